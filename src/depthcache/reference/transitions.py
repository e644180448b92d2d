"""The market machine as a table: which state follows when what happens. An unknown pair raises.

What each state and event means, and what is done besides, is in `market`; the page
docs/concepts/market-machine.md is drawn from this table. Conditions from outside and crossed prices lie over
the states and are not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from depthcache.model import Status

__all__ = ["BY_HAND", "TRANSITIONS", "Event", "follow", "page"]


class Event(Enum):
    """What happens to a market."""

    KEPT = "a diff comes and is kept"
    DROPPED = "there is no room for another diff: the kept ones are dropped"
    BUFFER_RESET = "the exchange reset its ids: the kept diffs are dropped"
    NEXT = "a diff continues the book"
    OLD = "all of a diff is in the book already"
    AHEAD = "a diff leaves a hole that another feed may fill"
    GAP = "updates between the book and a diff are missing"
    RESET = "a diff or a snapshot has an older id and is clearly younger: the exchange reset its ids"
    MALFORMED = "a frame cannot be read"
    FEED_LOST = "the feed that could have filled a hole is gone"
    TOO_OLD = "a snapshot is older than the kept diffs allow"
    HOLE = "a snapshot is installed, and updates among the kept diffs are missing"
    UNPROVEN = "a snapshot is installed, and nothing shows that the stream was live before"
    INSTALLED = "a snapshot is installed, with all that was kept"
    REFRESHED = "a snapshot is compared with the live book and merged"
    RESYNC = "a new snapshot is ordered"
    RESTART = "the diffs will come from a new subscription"


_EMPTY, _BUFFERING, _BRIDGING, _SYNCED = Status.EMPTY, Status.BUFFERING, Status.BRIDGING, Status.SYNCED

TRANSITIONS: Mapping[tuple[Status, Event], Status] = MappingProxyType(
    {
        (_EMPTY, Event.KEPT): _BUFFERING,
        (_EMPTY, Event.MALFORMED): _EMPTY,
        (_EMPTY, Event.INSTALLED): _SYNCED,
        (_EMPTY, Event.UNPROVEN): _BRIDGING,
        (_EMPTY, Event.RESYNC): _BUFFERING,
        (_EMPTY, Event.RESTART): _BUFFERING,
        (_BUFFERING, Event.KEPT): _BUFFERING,
        (_BUFFERING, Event.DROPPED): _BUFFERING,
        (_BUFFERING, Event.BUFFER_RESET): _BUFFERING,
        (_BUFFERING, Event.MALFORMED): _BUFFERING,
        (_BUFFERING, Event.TOO_OLD): _BUFFERING,
        (_BUFFERING, Event.HOLE): _BUFFERING,
        (_BUFFERING, Event.INSTALLED): _SYNCED,
        (_BUFFERING, Event.UNPROVEN): _BRIDGING,
        (_BUFFERING, Event.RESYNC): _BUFFERING,
        (_BUFFERING, Event.RESTART): _BUFFERING,
        (_BRIDGING, Event.NEXT): _SYNCED,
        (_BRIDGING, Event.OLD): _BRIDGING,
        (_BRIDGING, Event.AHEAD): _BRIDGING,
        (_BRIDGING, Event.GAP): _BUFFERING,
        (_BRIDGING, Event.RESET): _BUFFERING,
        (_BRIDGING, Event.MALFORMED): _BUFFERING,
        (_BRIDGING, Event.INSTALLED): _SYNCED,
        (_BRIDGING, Event.UNPROVEN): _BRIDGING,
        (_BRIDGING, Event.RESYNC): _BUFFERING,
        (_BRIDGING, Event.RESTART): _BUFFERING,
        (_SYNCED, Event.NEXT): _SYNCED,
        (_SYNCED, Event.OLD): _SYNCED,
        (_SYNCED, Event.AHEAD): _SYNCED,
        (_SYNCED, Event.GAP): _BUFFERING,
        (_SYNCED, Event.RESET): _BUFFERING,
        (_SYNCED, Event.MALFORMED): _BUFFERING,
        (_SYNCED, Event.FEED_LOST): _BUFFERING,
        (_SYNCED, Event.INSTALLED): _SYNCED,
        (_SYNCED, Event.UNPROVEN): _BRIDGING,
        (_SYNCED, Event.REFRESHED): _SYNCED,
        (_SYNCED, Event.RESYNC): _BUFFERING,
        (_SYNCED, Event.RESTART): _BUFFERING,
    }
)

BY_HAND = frozenset(
    {
        (_BRIDGING, Event.INSTALLED),
        (_BRIDGING, Event.UNPROVEN),
        (_SYNCED, Event.INSTALLED),
        (_SYNCED, Event.UNPROVEN),
    }
)
"""Pairs that only a book without a network can meet."""


def follow(state: Status, event: Event) -> Status:
    """The next state. Raises LookupError for a pair that cannot be."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise LookupError(f"nothing follows when {event.value} ({event.name}) while {state.value}") from None


def page() -> str:
    """The page of the documentation: the picture and the table."""
    states = (_EMPTY, _BUFFERING, _BRIDGING, _SYNCED)
    arrows: dict[tuple[Status, Status], list[str]] = {}
    for (state, event), after in TRANSITIONS.items():
        if (state, event) not in BY_HAND:
            arrows.setdefault((state, after), []).append(event.name)
    lines = [_HEAD, "```mermaid", "stateDiagram-v2", "    [*] --> empty"]
    for (state, after), names in arrows.items():
        if state is not after:
            lines.append(f"    {state} --> {after}: {', '.join(names)}")
    lines += ["```", "", "| what happens | " + " | ".join(states) + " |", "|---|" + "---|" * len(states)]
    for event in Event:
        cells = " | ".join(_cell(state, event) for state in states)
        lines.append(f"| {event.name}: {event.value} | {cells} |")
    return "\n".join([*lines, "", _FOOT, ""])


def _cell(state: Status, event: Event) -> str:
    after = TRANSITIONS.get((state, event))
    if after is None:
        return ""
    return ("stays" if after is state else str(after)) + (" *" if (state, event) in BY_HAND else "")


_HEAD = """# The market machine

One symbol of one exchange, from nothing to a synced book and back. This page is drawn from the table in
`src/depthcache/reference/transitions.py`, which the readable engine follows; the native one is held to it by
the tests that both run. What the states mean is in `src/depthcache/reference/market.py`.
"""
_FOOT = """An empty cell is a pair that cannot be: the readable engine raises there. *: only a book without a
network meets it. Every other pair is visited by the schedules of `tests/properties/test_coverage.py`, which
fails where one is not. A condition from outside (disconnected, stale, halted, closed) and crossed prices lie
over the states."""
