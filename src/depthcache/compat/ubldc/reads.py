"""Apply `limit_count` and `threshold_volume` to one side, by the rules of the old library."""

from __future__ import annotations

from collections.abc import Mapping
from operator import index

from depthcache import InvalidArgument, Side
from depthcache.arguments import parse_real

__all__ = ["MOST_LEVELS", "read_levels", "select_from"]

MOST_LEVELS = 1_000
"""The old library held this many levels a side. Reads return no more, even if the book has more."""

_EVERYTHING = 1e20
"""More than the value of any side."""


def read_levels(side: Side, limit_count: int | None, threshold_volume: float | None) -> list[list[float]]:
    """The best levels of a side as `[price, quantity]`, best first.

    `limit_count`: most levels; a negative number is the end of a slice, None means all. `threshold_volume`:
    return levels while the sum of price times quantity does not exceed it, but at least the first one. Raises
    InvalidArgument, and the errors of reading the side.
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
    """Levels of a mapping of prices to quantities (strings or numbers), by the same two rules.

    Sorted by price, lowest first, or highest first with `reverse`. Unlike for books, values are summed as
    floats, like in the old library. Raises InvalidArgument if it is not a mapping, and ValueError for strings
    that are not numbers.
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
    """The threshold; None if it keeps every level."""
    if threshold_volume is None:
        return None
    allowed, everything = "a number (in the quote asset), or None", float("inf")
    threshold = parse_real(
        threshold_volume, name="threshold_volume", allowed=allowed, least=-everything, most=everything
    )
    return None if threshold >= _EVERYTHING else max(threshold, 0)
