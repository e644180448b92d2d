"""Checks of arguments shared by the whole API: integers and floats of Python and numpy, and keywords.

Prices and sizes are checked in native code, which reads them exactly.
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
"""What a call over several books does if some are unavailable."""


def parse_missing(missing: object) -> Missing:
    """Check `missing`. Raises InvalidArgument."""
    if missing not in ("raise", "skip"):
        raise InvalidArgument(name="missing", value=missing, allowed="'raise' or 'skip'")
    return missing


def parse_on_stale(on_stale: object) -> OnStale:
    """Check `on_stale`. Raises InvalidArgument."""
    if on_stale not in ("raise", "serve", "wait"):
        raise InvalidArgument(name="on_stale", value=on_stale, allowed="'raise', 'serve' or 'wait'")
    return on_stale


def is_whole(value: object) -> bool:
    """Whether the value is an integer: it has `__index__`, as numpy's integers do, and is not a bool."""
    if isinstance(value, bool):
        return False
    try:
        index(value)  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - whatever a foreign class raises
        return False
    return True


def parse_whole(value: Any, *, name: str, allowed: str, least: int, most: int = 2**63 - 1) -> int:
    """Check an integer in a range, both ends inclusive.

    Raises InvalidArgument with `allowed` for anything else, including floats.
    """
    if is_whole(value) and least <= index(value) <= most:
        return index(value)
    raise InvalidArgument(name=name, value=value, allowed=_not_text(allowed, value))


def parse_seed(seed: Any) -> int:
    """Check the seed of a random generator: any integer. Raises InvalidArgument."""
    return parse_whole(seed, name="seed", allowed="a whole number", least=-(2**127), most=2**127)


def is_real(value: object) -> bool:
    """Whether the value is a number: int, float, Decimal or Fraction, also of numpy; not text or bool."""
    return (isinstance(value, Real | Decimal) or is_whole(value)) and not isinstance(value, bool)


def parse_real(value: Any, *, name: str, allowed: str, least: float, most: float = float("inf")) -> float:
    """Check a number in a range, both ends inclusive.

    Raises InvalidArgument with `allowed` for anything else.
    """
    if is_real(value):
        number = value if isinstance(value, int | float) else _as_float(value)
        if least <= number <= most:
            return number
    raise InvalidArgument(name=name, value=value, allowed=_not_text(allowed, value))


def _not_text(allowed: str, value: object) -> str:
    return f"{allowed}, not text" if isinstance(value, str) else allowed


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")
