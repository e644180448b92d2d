"""What `limit_count` and `threshold_volume` leave of one side, by the rules of the old library.

Pure functions. Not here: which cache is read, and whether it may be.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import index

from depthcache import InvalidArgument, Side
from depthcache.arguments import parse_real

__all__ = ["MOST_LEVELS", "read_levels", "select_from"]

MOST_LEVELS = 1_000
"""The old library held so many levels a side; reads return no more, whatever the book knows."""

_EVERYTHING = 1e20
"""A value that no side reaches."""


def read_levels(side: Side, limit_count: int | None, threshold_volume: float | None) -> list[list[float]]:
    """The best levels of a side as `[price, quantity]`, best first. Raises InvalidArgument, and what
    reading the side raises.

    `limit_count`: so many at most, a negative one is the end of a slice; None for all. `threshold_volume`:
    in the quote asset; levels are taken while their prices times quantities together do not exceed it, the
    first one always.
    """
    limit, threshold = _limit(limit_count), _threshold(threshold_volume)
    most = MOST_LEVELS if limit is None or limit < 0 else min(limit, MOST_LEVELS)
    levels = side[:most] if threshold is None else side.up_to_value(threshold)[:most]
    return [[price, quantity] for price, quantity in levels][:limit]


def select_from(
    items: Mapping[str, float],
    limit_count: int | None = None,
    reverse: bool = False,
    threshold_volume: float | None = None,
) -> list[list[float]]:
    """Levels of a plain mapping of prices to quantities, texts or numbers, by the same two rules.

    Sorted by price, from the lowest (from the highest with `reverse`). Unlike those of a book, values are
    summed as floats, as the old library did. Raises InvalidArgument for what is no mapping, ValueError for
    texts that are no numbers.
    """
    if not isinstance(items, Mapping):
        raise InvalidArgument(name="items", value=items, allowed="a mapping of prices to quantities")
    limit = _limit(limit_count)
    levels = [[float(price), float(quantity)] for price, quantity in items.items()]
    levels.sort(key=lambda level: level[0], reverse=reverse)
    if threshold_volume is None:
        return levels[:limit]
    taken, value = 0, 0.0
    for price, quantity in levels:
        more = value + price * quantity
        if value != 0 and not more <= threshold_volume:
            break
        taken, value = taken + 1, more
    return levels[:taken][:limit]


def _limit(limit_count: int | None) -> int | None:
    if limit_count is None:
        return None
    try:
        return index(limit_count)
    except TypeError:
        allowed = "a whole number, or None for all"
        raise InvalidArgument(name="limit_count", value=limit_count, allowed=allowed) from None


def _threshold(threshold_volume: float | None) -> float | None:
    """None for what leaves every level."""
    if threshold_volume is None:
        return None
    allowed, everything = "a number (in the quote asset), or None", float("inf")
    threshold = parse_real(
        threshold_volume, name="threshold_volume", allowed=allowed, least=-everything, most=everything
    )
    return None if threshold >= _EVERYTHING else max(threshold, 0)
