"""Symbols and faults as text: what a command line or a pytest marker says, made into what `serve` takes.

    parse_symbols(["BTCUSDT,ETHUSDT", "binance.com-futures:BTCUSDT"])
    parse_faults("rough,cut=0.01,seed=7")

Not here: what a fault does (`faults`), which symbols trade by which figures (`profiles`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from depthcache import venues
from depthcache.errors import InvalidArgument
from depthcache.simulator.faults import Faults

__all__ = ["DEFAULT_EXCHANGE", "FAULTS", "PRESETS", "parse_faults", "parse_symbols"]

DEFAULT_EXCHANGE = "binance.com"
"""The exchange of a symbol that names none."""

PRESETS: Mapping[str, Mapping[str, float]] = {
    "rough": {"drop": 0.01, "reorder": 0.01, "cut": 0.001, "lagging": 0.3},
}
"""Sets of faults by name."""

_CHANCES = tuple(each.name for each in fields(Faults) if each.type == "float")
_NUMBERS = {
    "seed": "a whole number",
    "late_ns": "nanoseconds, 0 or more",
    "lag_changes": "changes, 1 or more",
}
_EXAMPLES = {"seed": 7, "late_ns": 3_000_000_000, "lag_changes": 400}
FAULTS = (*_CHANCES, *_NUMBERS)
"""What `NAME=VALUE` can name."""
_SYMBOLS_ALLOWED = (
    "symbols separated by commas, with an exchange and a colon in front where it is not binance.com: "
    "'BTCUSDT,ETHUSDT' or 'binance.com-futures:BTCUSDT'"
)


def parse_symbols(texts: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Exchange names to symbols. `EXCHANGE:` holds for its symbol and those after it in the same text; before
    the first, it is binance.com. Raises InvalidArgument, and UnknownExchange with the names most like it."""
    found: dict[str, dict[str, None]] = {}
    for text in texts:
        venue = venues.venue(DEFAULT_EXCHANGE)
        for item in text.split(","):
            exchange, colon, symbol = item.strip().partition(":")
            if not colon:
                exchange, symbol = "", exchange
            if not symbol or (colon and not exchange):
                raise InvalidArgument(name="symbols", value=text, allowed=_SYMBOLS_ALLOWED)
            venue = venues.venue(exchange) if colon else venue
            found.setdefault(venue.name, {})[venues.parse_symbol(symbol, venue)] = None
    return {exchange: tuple(symbols) for exchange, symbols in found.items()}


def parse_faults(text: str, *, seed: int = 0) -> Faults:
    """Faults from `NAME=VALUE` and names of `PRESETS`, separated by commas; what comes later wins.

    `seed`: of their chances, where the text names none. Raises InvalidArgument with the name, the value and
    what is allowed.
    """
    given: dict[str, Any] = {"seed": seed}
    for item in text.split(","):
        name, sign, value = item.strip().partition("=")
        name = name.strip().replace("-", "_")
        if not sign and name in PRESETS:
            given |= PRESETS[name]
        elif sign and name in _CHANCES:
            given[name] = _number(float, name, value, "a probability from 0.0 to 1.0")
        elif sign and name in _NUMBERS:
            given[name] = _number(int, name, value, _NUMBERS[name])
        elif not sign and name in (*_CHANCES, *_NUMBERS):
            example = f"{name}={_EXAMPLES.get(name, 0.01)}"
            allowed = f"a value for {name}, such as {example}"
            raise InvalidArgument(name="faults", value=item.strip(), allowed=allowed)
        else:
            raise InvalidArgument(name="faults", value=item.strip() or text, allowed=_faults_allowed(name))
    return Faults(**given)


def _number(kind: Callable[[str], float], name: str, text: str, allowed: str) -> float:
    try:
        return kind(text)
    except ValueError:
        raise InvalidArgument(name=name, value=text, allowed=allowed) from None


def _faults_allowed(name: str) -> str:
    known = (*PRESETS, *_CHANCES, *_NUMBERS)
    near = get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{', '.join(PRESETS)}, or NAME=VALUE with one of {', '.join((*_CHANCES, *_NUMBERS))}{hint}"
