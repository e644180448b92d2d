"""Numbers as text: exact, in columns that never get narrower. Pure, except that a column keeps its width.

Prices and sizes are shown with every digit. If there is no room for a size, `rounded` shows it with a suffix
instead; a price is never shortened.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal
from itertools import accumulate

from depthcache.cli.state import plain

__all__ = ["ROUNDED_WIDTH", "Column", "bar", "cumulative", "nice_scale", "rounded"]

_EXACT = Context(prec=100)
_FOUR_DIGITS = Context(prec=4, rounding=ROUND_HALF_EVEN)
_SUFFIXES = ("", "k", "M", "G", "T", "P", "E")
_EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
ROUNDED_WIDTH = 7
"""Most cells of a rounded number."""


class Column:
    """A column of numbers, all with the decimals and in the cells of the widest one so far.

    Cells only grow, even after `forget_decimals`.
    """

    def __init__(self) -> None:
        self.decimals: int = 0
        self.width: int = 0
        self._whole = 1

    def grow(self, numbers: Iterable[Decimal]) -> None:
        """Make room for these numbers."""
        decimals, whole = self.decimals, self._whole
        for number in numbers:
            head, _, fraction = f"{number:f}".partition(".")
            if len(head) > whole:
                whole = len(head)
            if len(fraction) > decimals:
                decimals = max(decimals, len(fraction.rstrip("0")))
        self.decimals, self._whole = decimals, whole
        self.width = max(self.width, whole + (decimals + 1 if decimals else 0))

    def forget_decimals(self) -> None:
        """Start over with the decimals that the next numbers need."""
        self.decimals, self._whole = 0, 1

    def text(self, number: Decimal) -> str:
        """The number in exactly `width` cells; `grow` must have seen it."""
        head, _, fraction = f"{number:f}".partition(".")
        if not self.decimals:
            return head.rjust(self.width)
        return f"{head}.{fraction[: self.decimals].ljust(self.decimals, '0')}".rjust(self.width)


def cumulative(sizes: Iterable[Decimal]) -> list[Decimal]:
    """Exact running totals."""
    return list(accumulate(sizes, _EXACT.add))


def rounded(number: Decimal | float) -> str:
    """About this number, with four digits and a suffix, in at most `ROUNDED_WIDTH` cells."""
    value = Decimal(number) if isinstance(number, Decimal) else Decimal(repr(number))
    if not value.is_finite():
        return "-"
    value = _FOUR_DIGITS.plus(value)
    steps = min(len(_SUFFIXES) - 1, max(0, value.adjusted() // 3)) if value else 0
    scaled = value.scaleb(-3 * steps)
    if scaled and scaled.adjusted() < -5:
        return "<0.0001"
    if scaled.adjusted() > 5:
        return f"{scaled:.0e}"
    if scaled.adjusted() < 0:
        scaled = scaled.quantize(Decimal("0.0001"))
    return f"{plain(scaled)}{_SUFFIXES[steps]}"


def nice_scale(largest: Decimal) -> Decimal:
    """The smallest of 1, 2, 5, 10, 20 … that holds `largest`: bars keep their scale while sizes change."""
    if not largest:
        return Decimal(1)
    power = Decimal(1).scaleb(largest.adjusted())
    return next(step * power for step in map(Decimal, (1, 2, 5, 10)) if step * power >= largest)


def bar(share: float, width: int) -> str:
    """A bar for a share from 0 to 1; any share above 0 is visible."""
    eighths = min(8 * width, max(1 if share > 0 else 0, round(share * width * 8)))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8]
