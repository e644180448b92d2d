"""The states of a node's books as messages: `Reports`, or `GroupedReports` for nodes that understand them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from depthcache.cluster.core.messages import GroupedReports, Reports
from depthcache.cluster.core.ownership import ReplicaState
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.core.protocol import GROUPED_REPORTS

__all__ = ["States", "read_states", "report"]

States = Mapping[BookKey, ReplicaState | None]
"""None for a book that is no longer held."""

_STATES = {each.value: each for each in ReplicaState}


def report(
    states: States, *, run: int, number: int, is_full: bool, protocol: int
) -> Reports | GroupedReports:
    """The message for a node with which this one speaks that version of the protocol."""
    if protocol >= GROUPED_REPORTS:
        return GroupedReports(run, number, is_full, _grouped(states))
    return Reports(
        run,
        number,
        is_full,
        {f"{exchange} {symbol}": _text(each) for (exchange, symbol), each in states.items()},
    )


def read_states(message: Reports | GroupedReports) -> Iterator[tuple[BookKey, ReplicaState | None]]:
    """The states in a message. One that this build does not know counts as not held."""
    if isinstance(message, Reports):
        for name, text in message.states.items():
            exchange, _, symbol = name.partition(" ")
            yield BookKey(exchange, symbol), _STATES.get(text)
        return
    for text, exchanges in message.symbols.items():
        state = _STATES.get(text)
        for exchange, symbols in exchanges.items():
            for symbol in symbols:
                yield BookKey(exchange, symbol), state


def _grouped(states: States) -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = {}
    for (exchange, symbol), state in states.items():
        found.setdefault(_text(state), {}).setdefault(exchange, []).append(symbol)
    return found


def _text(state: ReplicaState | None) -> str:
    return "" if state is None else state.value
