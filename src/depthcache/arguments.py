"""Arguments as programs pass them, checked once: integers and floats of Python, numpy and the standard
library, and what a call does with books that it cannot have.

Not here: numbers of the exchange (the scanner, `crates/book/src/codec/json.rs`), and prices and sizes, which
native code reads exactly.
"""

from __future__ import annotations

from decimal import Decimal
from numbers import Real
from operator import index
from typing import Any, Literal, TypeAlias

from depthcache.errors import InvalidArgument
from depthcache.model import OnStale

__all__ = [
    "Missing",
    "is_real",
    "is_whole",
    "parse_missing",
    "parse_on_stale",
    "parse_real",
    "parse_seed",
    "parse_whole",
]

Missing: TypeAlias = Literal["raise", "skip"]
"""What a call over several books does with those that it cannot have."""


def parse_missing(missing: object) -> Missing:
    """What is done with books that are not to be had. Raises InvalidArgument."""
    if missing not in ("raise", "skip"):
        raise InvalidArgument(name="missing", value=missing, allowed="'raise' or 'skip'")
    return missing


def parse_on_stale(on_stale: object) -> OnStale:
    """What reading a book does that is not synced. Raises InvalidArgument."""
    if on_stale not in ("raise", "serve", "wait"):
        raise InvalidArgument(name="on_stale", value=on_stale, allowed="'raise', 'serve' or 'wait'")
    return on_stale


def is_whole(value: object) -> bool:
    """Whether it counts: what has `__index__`, as integers of numpy do, and is no bool."""
    if isinstance(value, bool):
        return False
    try:
        index(value)  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - whatever a foreign class raises
        return False
    return True


def parse_whole(value: Any, *, name: str, allowed: str, least: int, most: int = 2**63 - 1) -> int:
    """The integer. Raises InvalidArgument with these words for anything else, floats included."""
    if is_whole(value) and least <= index(value) <= most:
        return index(value)
    raise InvalidArgument(name=name, value=value, allowed=allowed)


def parse_seed(seed: Any) -> int:
    """A seed of chances: any integer. Raises InvalidArgument."""
    return parse_whole(seed, name="seed", allowed="a whole number", least=-(2**127), most=2**127)


def is_real(value: object) -> bool:
    """Whether it measures: a whole number, float, Decimal or fraction, of numpy too; no text, no bool."""
    return (isinstance(value, Real | Decimal) or is_whole(value)) and not isinstance(value, bool)


def parse_real(value: Any, *, name: str, allowed: str, least: float, most: float = float("inf")) -> float:
    """The number, with both ends allowed. Raises InvalidArgument with these words for anything else."""
    if is_real(value):
        number = value if isinstance(value, int | float) else _as_float(value)
        if least <= number <= most:
            return number
    raise InvalidArgument(name=name, value=value, allowed=allowed)


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")
