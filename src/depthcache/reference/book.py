"""The two sides of price levels, and their complete range.

Quantities are absolute; zero deletes a level. Deleting a price that is not held is normal (up to 14 % of all
updates) and has no effect. Levels are never pruned by count.

**The complete range.** A snapshot holds the best levels of each side, up to its limit. Each side has one
inclusive bound: bids are complete from the bound upwards, asks up to it. If a snapshot has fewer levels than
requested, it shows the whole side (no bound); otherwise its last level is the bound. The same holds if the
limit is unknown, and an empty side then has no complete range. Diffs never move a bound: they carry every
change, but no resting orders that do not change.

Numbers are exact. Each side remembers the most decimals it has seen, so that every number can be written as
the exchange would.

**Merging.** A later copy of a side at the same update id replaces the range that it proves; beyond its bound
the held levels stay. The bound becomes the wider of the two. If the two differ inside both bounds, something
was lost unnoticed, so only the bound of the later copy is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Context, Decimal
from enum import Enum
from typing import NamedTuple, TypeAlias

from depthcache.reference.messages import Number

__all__ = ["NOTHING", "WHOLE", "BookSide", "Bound", "Tally", "at_width"]


class Range(Enum):
    """A complete range that does not end at a price."""

    WHOLE = "whole"  #     no bound: every level of the side is known
    NOTHING = "nothing"  # no complete range: not even the best is proven


WHOLE, NOTHING = Range.WHOLE, Range.NOTHING

Bound: TypeAlias = Decimal | Range

_WIDE = Context(prec=60)
"""At least 38 digits; the default context rounds to 28."""


class Tally(NamedTuple):
    """The comparison of two copies of a side where both are proven, in prices."""

    checked: int
    differing: int
    missing: int
    extra: int

    @property
    def wrong(self) -> int:
        """The number of wrong prices."""
        return self.differing + self.missing + self.extra


@dataclass(slots=True)
class BookSide:
    """One side: `sign` is 1 for bids (best is highest) and -1 for asks."""

    sign: int
    levels: dict[Decimal, Decimal] = field(default_factory=dict)
    bound: Bound = NOTHING
    price_scale: int = 0
    quantity_scale: int = 0
    _sorted: list[tuple[Decimal, Decimal]] | None = None

    def install(self, levels: list[tuple[Number, Number]], limit: int | None) -> None:
        """Replace all levels with those of a snapshot requested with `limit`."""
        self.levels.clear()
        self._sorted = None
        self.price_scale = self.quantity_scale = 0
        self.apply(levels)
        prices = [price.value for price, _ in levels]
        if limit is not None and len(levels) < limit:
            self.bound = WHOLE
        elif prices:
            self.bound = min(prices) if self.sign > 0 else max(prices)
        else:
            self.bound = NOTHING

    def apply(self, levels: list[tuple[Number, Number]]) -> int:
        """Set or delete levels; return how many changed."""
        changed = 0
        for price, quantity in levels:
            self.price_scale = max(self.price_scale, price.scale)
            if quantity.value:
                self.quantity_scale = max(self.quantity_scale, quantity.scale)
                changed += self.levels.get(price.value) != quantity.value
                self.levels[price.value] = quantity.value
            else:
                changed += self.levels.pop(price.value, None) is not None
        if changed:
            self._sorted = None
        return changed

    def compare(self, fresh: BookSide) -> Tally:
        """Compare this side with a later copy at the same update id."""
        prices = [
            price
            for price in self.levels.keys() | fresh.levels.keys()
            if self.proves(price) and fresh.proves(price)
        ]
        pairs = [(self.levels.get(price), fresh.levels.get(price)) for price in prices]
        missing = sum(ours is None for ours, _ in pairs)
        extra = sum(theirs is None for _, theirs in pairs)
        differing = sum(ours != theirs for ours, theirs in pairs) - missing - extra
        return Tally(len(pairs), differing, missing, extra)

    def merge(self, fresh: BookSide) -> Tally:
        """Take the levels that a later copy at the same update id proves, and keep the rest."""
        found = self.compare(fresh)
        self.price_scale = max(self.price_scale, fresh.price_scale)
        self.quantity_scale = max(self.quantity_scale, fresh.quantity_scale)
        if fresh.bound is NOTHING:
            return found
        beyond = {price: held for price, held in self.levels.items() if not fresh.proves(price)}
        self.levels = beyond | {price: held for price, held in fresh.levels.items() if fresh.proves(price)}
        self.bound = fresh.bound if found.wrong else self._wider(fresh.bound)
        self._sorted = None
        return found

    def _wider(self, other: Bound) -> Bound:
        if self.bound is NOTHING or other is WHOLE:
            return other
        if self.bound is WHOLE:
            return WHOLE
        assert isinstance(self.bound, Decimal)
        assert isinstance(other, Decimal)
        return min(self.bound, other) if self.sign > 0 else max(self.bound, other)

    def sorted(self) -> list[tuple[Decimal, Decimal]]:
        """All levels, best first."""
        if self._sorted is None:
            self._sorted = sorted(self.levels.items(), reverse=self.sign > 0)
        return self._sorted

    def best(self) -> Decimal | None:
        """The best price."""
        if not self.levels:
            return None
        return max(self.levels) if self.sign > 0 else min(self.levels)

    def price_text(self, price: Decimal) -> str:
        """A price in the exchange's format."""
        return format(at_width(price, self.price_scale), "f")

    def proves(self, price: Decimal) -> bool:
        """Whether a level at this price lies inside the complete range."""
        if self.bound is WHOLE:
            return True
        return isinstance(self.bound, Decimal) and self.sign * price >= self.sign * self.bound

    def coverage(self) -> int:
        """The number of levels inside the complete range."""
        return sum(map(self.proves, self.levels))

    def copy(self) -> BookSide:
        """An independent copy."""
        return BookSide(
            self.sign, dict(self.levels), self.bound, self.price_scale, self.quantity_scale, self._sorted
        )


def at_width(value: Decimal, scale: int) -> Decimal:
    """The number with as many decimals as the exchange sends."""
    return value.quantize(Decimal(1).scaleb(-scale), context=_WIDE) if value.is_finite() else value
