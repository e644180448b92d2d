"""The ladder of one book: asks above the spread line, bids below it, each with size, total and bar.

A `Ladder` remembers what must not jump: column widths, the scale of the bars, and which levels changed in the
last frames. It turns frozen books into lines and needs neither a terminal nor a clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from depthcache.cli.state import counted, plain, price_text
from depthcache.cli.terminal.book_list import bps_text
from depthcache.cli.terminal.grouping import MULTIPLES, tick_of
from depthcache.cli.terminal.lines import Line, cells, fill
from depthcache.cli.terminal.numbers import ROUNDED_WIDTH, Column, bar, cumulative, nice_scale, rounded
from depthcache.model import Best, CompleteTo, Level

__all__ = ["HOT_STEPS", "LEVELS", "Columns", "Ladder"]

LEVELS = (1, 2, 3, 5, 8, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1_000, 2_000, 5_000)
"""Levels a side, for each step of `[` and `]`."""
HOT_STEPS = 3
_FRAMES_A_STEP = 2
_FRAMES_HOT = HOT_STEPS * _FRAMES_A_STEP
_FRAMES_TO_SHRINK = 50
_GAP = 2
_LEAST_BAR = 4
_MOST_BAR = 60
ASK, BID = "ask", "bid"
_SIGNS = {ASK: "▾", BID: "▴"}
"""Tell the sides apart without colours: asks push down, bids up."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that fit a width. Prices are always exact; sizes are exact, or rounded and marked."""

    total: bool
    bar: int
    """Cells, 0 for none."""
    is_rounded: bool
    fits: bool
    """Whether there is room for price and size at all."""

    @classmethod
    def of(cls, width: int, price: int, size: int, total: int) -> Columns:
        """Choose columns for `width` cells: drop the bar first, then the total."""
        base = 2 + price + _GAP + size
        with_total = base + _GAP + total
        room = width - with_total - _GAP
        if room >= _LEAST_BAR:
            return cls(True, min(room, _MOST_BAR), is_rounded=False, fits=True)
        if with_total <= width:
            return cls(True, 0, is_rounded=False, fits=True)
        if base <= width:
            room = width - base - _GAP
            return cls(False, room if room >= _LEAST_BAR else 0, is_rounded=False, fits=True)
        return cls(False, 0, is_rounded=True, fits=2 + price + _GAP + ROUNDED_WIDTH + 1 <= width)


@dataclass(frozen=True, slots=True)
class _Row:
    side: str
    price: Decimal
    size: Decimal
    total: Decimal
    is_beyond: bool
    """Beyond the complete range: real, but others may be missing."""


class Ladder:
    """Call `look` with a frozen book each frame, then `lines` as often as needed."""

    def __init__(self, levels: int) -> None:
        self.levels: int = levels
        self.offset: int = 0
        """Lines by which the view is scrolled down from the centre."""
        self.tick: Decimal | None = None
        self._step = 0
        self._forget_changes()
        self._best: Best[Decimal] = Best(None, None, 0)
        self._bids: list[_Row] = []
        self._asks: list[_Row] = []
        self._price, self._size, self._total = Column(), Column(), Column()
        self._scale, self._too_large = Decimal(1), _FRAMES_TO_SHRINK
        self._decimals = 0
        """Of spread and mid: as many as the levels themselves, however they are grouped."""

    # --- what keys do -------------------------------------------------------------------------

    @property
    def group(self) -> Decimal | None:
        """The size of the groups; None while the levels are shown as they are."""
        return None if self.tick is None or self._step == 0 else self.tick * MULTIPLES[self._step]

    @property
    def grouping(self) -> str:
        """In words: the step of the prices, and how many levels a side."""
        group = self.tick if self.group is None else self.group
        step = "" if group is None else f"group {plain(group)}  "
        return f"{step}{counted(self.levels, 'level')}"

    def regroup(self, steps: int, frozen: Any) -> None:
        """Make the groups coarser (above 0) or finer, and derive the tick from the book again."""
        if frozen is not None:
            self.tick = _tick(frozen, self.tick)
        self._step = min(max(0, self._step + steps), len(MULTIPLES) - 1)
        for column in (self._price, self._size, self._total):
            column.forget_decimals()
        self._forget_changes()
        self.offset = 0

    def deepen(self, steps: int) -> None:
        """More (above 0) or fewer levels a side."""
        at = min(range(len(LEVELS)), key=lambda number: abs(LEVELS[number] - self.levels))
        if steps > 0 and LEVELS[at] > self.levels:
            at -= 1
        if steps < 0 and LEVELS[at] < self.levels:
            at += 1
        self.levels = LEVELS[min(max(0, at + steps), len(LEVELS) - 1)]
        self._forget_changes()

    def scroll(self, lines: int, height: int) -> None:
        """Move the view; it ends where the levels end."""
        self.offset = self._clamped(self.offset + lines, height)

    def centre(self) -> None:
        """Bring the spread line back to the middle."""
        self.offset = 0

    # --- reading ------------------------------------------------------------------------------

    def look(self, frozen: Any) -> None:
        """Take the levels of a frozen book with exact numbers; None keeps what was there."""
        if frozen is None:
            return
        if self.tick is None:
            self.tick = _tick(frozen, None)
        group = self.group
        shown = frozen if group is None else frozen.grouped(group, self.levels)
        reach: CompleteTo[Decimal] = frozen.complete_to
        self._asks = _rows(ASK, shown.asks[: self.levels], reach.asks)
        self._bids = _rows(BID, shown.bids[: self.levels], reach.bids)
        self._notice_changes()
        rows = [*self._asks, *self._bids]
        self._price.grow(row.price for row in rows)
        self._size.grow(row.size for row in rows)
        self._total.grow(row.total for row in rows)
        self._best = frozen.best
        prices = [self.tick, *(level.price for level in frozen.best[:2] if level is not None)]
        needed = (len(plain(price).partition(".")[2]) for price in prices if price is not None)
        self._decimals = max([self._decimals, *needed])

    @property
    def is_empty(self) -> bool:
        """Whether there is no level to show."""
        return not (self._asks or self._bids)

    # --- drawing ------------------------------------------------------------------------------

    def width(self) -> int:
        """Cells that all columns need, with a short bar."""
        return 2 + self._price.width + self._size.width + self._total.width + 3 * _GAP + 2 * _LEAST_BAR

    def lines(self, width: int, height: int, *, is_faded: bool) -> list[Line]:
        """The heading and `height - 1` lines of the ladder. `is_faded`: the book is not current."""
        if height <= 0:
            return []
        columns = Columns.of(width, self._price.width, self._size.width, self._total.width)
        if not columns.fits:
            return [fill((("too narrow for the prices", "note"),), width), *[()] * (height - 1)]
        room = height - 1
        self.offset = self._clamped(self.offset, room)
        rows = self._visible(room)
        self._rescale(row for row in rows.values() if row is not None)
        lines: list[Line] = [()] * room
        for at, row in rows.items():
            lines[at] = (
                self._spread_line(width, is_faded=is_faded)
                if row is None
                else self._line(row, columns, is_faded=is_faded)
            )
        return [self._heading(columns, width), *lines]

    def _visible(self, room: int) -> dict[int, _Row | None]:
        """The row of each line; None is the spread line."""
        whole: list[_Row | None] = [*reversed(self._asks), None, *self._bids]
        first = len(self._asks) - room // 2 + self.offset
        return {at - first: whole[at] for at in range(max(0, first), min(len(whole), first + room))}

    def _clamped(self, offset: int, room: int) -> int:
        """Limit the offset to the last level; a book that fits does not scroll."""
        above, below = len(self._asks) - room // 2, len(self._bids) - (room - room // 2 - 1)
        return min(max(offset, -max(0, above)), max(0, below))

    def _heading(self, columns: Columns, width: int) -> Line:
        price = "price".rjust(2 + self._price.width)
        size = ("≈ size" if columns.is_rounded else "size").rjust(self._size_width(columns) + _GAP)
        total = "total".rjust(self._total.width + _GAP) if columns.total else ""
        return fill(((price + size + total, "heading"),), width)

    def _size_width(self, columns: Columns) -> int:
        return ROUNDED_WIDTH + 1 if columns.is_rounded else self._size.width

    def _line(self, row: _Row, columns: Columns, *, is_faded: bool) -> Line:
        side = "faded" if is_faded or row.is_beyond else row.side
        hot = 0 if is_faded else -(-self._hot.get((row.side, row.price), 0) // _FRAMES_A_STEP)
        size = self._size.text(row.size) if not columns.is_rounded else f"≈{rounded(row.size)}"
        size = size.rjust(self._size_width(columns))
        digits = size.lstrip(" ")
        line: list[tuple[str, str]] = [
            (f"{_SIGNS[row.side]} {self._price.text(row.price)}", side),
            (" " * (_GAP + len(size) - len(digits)), ""),
            (digits, f"{row.side}-hot{hot}" if hot else "faded" if side == "faded" else "size"),
        ]
        if columns.total:
            line.append((" " * _GAP + self._total.text(row.total), "faded" if side == "faded" else "total"))
        if columns.bar:
            share = float(row.size / self._scale)
            line.append((" " * _GAP, ""))
            line.append((bar(share, columns.bar), f"{row.side}-bar" if side != "faded" else "faded"))
        return tuple(line)

    def _spread_line(self, width: int, *, is_faded: bool) -> Line:
        """Spread and mid of the best prices, whatever the grouping; nothing for a book that is not synced."""
        if is_faded:
            return self._ruled("  not synced: no spread", "faded", width)
        bid, ask = self._best.bid, self._best.ask
        if bid is None or ask is None:
            missing = "no bids" if bid is None else "no asks"
            return fill((("  ", ""), (missing, "spread")), width)
        spread, mid = ask.price - bid.price, (ask.price + bid.price) / 2
        figures = f"  {price_text(spread, self._decimals).rjust(self._price.width)}"
        bps = bps_text(float(10_000 * spread / mid))
        for more in ("  spread", f"  {bps}", f"  mid {price_text(mid, self._decimals + 1)}"):
            if cells(figures + more) <= width:
                figures += more
        return self._ruled(figures, "spread", width)

    def _ruled(self, text: str, style: str, width: int) -> Line:
        rule = "─" * max(0, min(width, _MOST_BAR + self.width()) - cells(text) - 1)
        return fill(((text, style), (f" {rule}" if rule else "", "rule")), width)

    # --- what must not jump, and what fades -----------------------------------------------------

    def _rescale(self, rows: Iterable[_Row]) -> None:
        """Scale bars to the largest visible size; a scale that became too large is kept for some frames."""
        wanted = nice_scale(max((row.size for row in rows), default=Decimal(0)))
        self._too_large = self._too_large + 1 if wanted < self._scale else 0
        if wanted > self._scale or self._too_large > _FRAMES_TO_SHRINK:
            self._scale, self._too_large = wanted, 0

    def _forget_changes(self) -> None:
        self._hot: dict[tuple[str, Decimal], int] = {}
        self._before: dict[str, dict[Decimal, Decimal]] = {}

    def _notice_changes(self) -> None:
        self._hot = {key: left - 1 for key, left in self._hot.items() if left > 1}
        for side, rows in ((ASK, self._asks), (BID, self._bids)):
            now = {row.price: row.size for row in rows}
            before = self._before.get(side)
            if before:
                # A level behind the last one of before has only moved into view.
                farthest = max(before) if side == ASK else min(before)
                for price, size in now.items():
                    old = before.get(price)
                    is_inside = price <= farthest if side == ASK else price >= farthest
                    if old != size and (old is not None or is_inside):
                        self._hot[side, price] = _FRAMES_HOT
            self._before[side] = now


def _rows(side: str, levels: Sequence[Level[Decimal]], bound: Decimal | None) -> list[_Row]:
    totals = cumulative(level.quantity for level in levels)
    return [
        _Row(side, level.price, level.quantity, total, _is_beyond(side, level.price, bound))
        for level, total in zip(levels, totals, strict=True)
    ]


def _is_beyond(side: str, price: Decimal, bound: Decimal | None) -> bool:
    if bound is None:
        return True
    return price > bound if side == ASK else price < bound


def _tick(frozen: Any, known: Decimal | None) -> Decimal | None:
    return tick_of([level.price for side in (frozen.bids, frozen.asks) for level in side[:500]], known)
