"""What `limit_count` and `threshold_volume` leave of one side, by the rules of the old library.

Pure functions. Not here: which cache is read, and whether it may be.
"""

from __future__ import annotations

from operator import index

from depthcache import InvalidArgument, Side

__all__ = ["MOST_LEVELS", "read_levels"]

MOST_LEVELS = 1_000
"""The old library held so many levels a side; reads return no more, whatever the book knows."""


def read_levels(side: Side, limit_count: int | None, threshold_volume: float | None) -> list[list[float]]:
    """The best levels of a side as `[price, quantity]`, best first. Raises InvalidArgument, and what
    reading the side raises.

    `limit_count`: so many at most, a negative one is the end of a slice; None for all. `threshold_volume`:
    in the quote asset; levels are taken while their prices times quantities together do not exceed it, the
    first one always.
    """
    limit = _limit(limit_count)
    if threshold_volume is not None and not isinstance(threshold_volume, int | float):
        allowed = "a number (in the quote asset), or None"
        raise InvalidArgument(name="threshold_volume", value=threshold_volume, allowed=allowed)
    most = MOST_LEVELS if limit is None or limit < 0 else min(limit, MOST_LEVELS)
    kept = [[float(price), float(quantity)] for price, quantity in side[:most]]
    if threshold_volume is not None:
        del kept[_within(kept, threshold_volume) :]
    return kept[:limit]


def _limit(limit_count: int | None) -> int | None:
    if limit_count is None:
        return None
    try:
        return index(limit_count)
    except TypeError:
        allowed = "a whole number, or None for all"
        raise InvalidArgument(name="limit_count", value=limit_count, allowed=allowed) from None


def _within(levels: list[list[float]], threshold: float) -> int:
    """How many levels fit below a threshold."""
    total = 0.0
    for count, (price, quantity) in enumerate(levels):
        if total + price * quantity > threshold and total != 0:
            return count
        total += price * quantity
    return len(levels)
