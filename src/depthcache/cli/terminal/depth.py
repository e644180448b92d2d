"""Depth near the mid, now and over the last minutes: one sparkline per side, on one scale."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from depthcache.cli.terminal.lines import Line, fill
from depthcache.cli.terminal.numbers import ROUNDED_WIDTH, rounded
from depthcache.errors import BookError
from depthcache.model import Status

__all__ = ["DepthHistory", "sparkline"]

DISTANCES_BPS = (10, 25, 50, 100, 250, 500, 1_000)
_MOST_SAMPLES = 600
_SAMPLE_NS = 1_000_000_000
_AXIS = "  last 999 s"
_BLOCKS = " ▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float | None], width: int, *, largest: float) -> str:
    """The newest values, one per cell, from 0 to `largest`. A value above 0 is always visible; None is a
    hole."""
    shown: Sequence[float | None] = values[-width:] if width > 0 else []
    steps = len(_BLOCKS) - 1
    return "".join(
        _BLOCKS[0 if not value or largest <= 0 else max(1, min(steps, round(value / largest * steps)))]
        for value in shown
    )


class DepthHistory:
    """The history of one book. Call `sample` once a second, `lines` as often as needed."""

    def __init__(self, unit: str = "") -> None:
        """`unit`: what the sizes count."""
        self._unit = unit
        self._distance = 0
        self._samples: deque[tuple[float, float] | None] = deque(maxlen=_MOST_SAMPLES)
        self._is_complete = True
        self._sampled_ns: int | None = None

    @property
    def bps(self) -> int:
        """Distance from the mid: the smallest within which both sides had levels."""
        return DISTANCES_BPS[self._distance]

    def sample(self, book: Any, now_ns: int) -> None:
        """Add the depth near the mid now; a hole while the book is not synced, and for each second without a
        call."""
        if self._sampled_ns is not None:
            missed = round((now_ns - self._sampled_ns) / _SAMPLE_NS) - 1
            self._samples.extend([None] * min(missed, _MOST_SAMPLES))
        self._sampled_ns = now_ns
        self._samples.append(self._read(book))

    def _read(self, book: Any) -> tuple[float, float] | None:
        if book.status is not Status.SYNCED:
            return None
        try:
            depth = book.depth_within(self.bps)
            while not (depth.bids.levels and depth.asks.levels) and self._distance + 1 < len(DISTANCES_BPS):
                self._distance += 1
                self._samples.clear()
                depth = book.depth_within(self.bps)
        except BookError:
            return None
        self._is_complete = depth.complete
        return float(depth.bids.base), float(depth.asks.base)

    def copy(self) -> DepthHistory:
        """A copy of the samples so far."""
        copied = DepthHistory(self._unit)
        copied._distance, copied._is_complete = self._distance, self._is_complete
        copied._samples = self._samples.copy()
        return copied

    def lines(self, width: int) -> list[Line]:
        """Asks above bids: the depth now, then its history, one cell per second. A dash while not synced."""
        sides: dict[str, list[float | None]] = {
            side: [None if each is None else each[at] for each in self._samples]
            for side, at in (("ask", 1), ("bid", 0))
        }
        largest = max(
            (value for values in sides.values() for value in values if value is not None), default=0.0
        )
        mark = "" if self._is_complete else "≥"
        unit = f"{self._unit} " if self._unit else ""
        lines: list[Line] = []
        for side, values in sides.items():
            value = values[-1] if values else None
            now = ("-" if value is None else mark + rounded(value)).rjust(ROUNDED_WIDTH + 1)
            label = f" {side}s within {self.bps} bps {now} {unit}"
            room = width - len(label) - len(_AXIS)
            if room < 5:
                label = f" {side}s {now} {unit}"
                room = width - len(label)
            line: Line = (
                (label, "label"),
                (sparkline(values, room, largest=largest).rjust(max(0, room)), f"{side}-bar"),
            )
            if side == "ask" and width - len(label) - room >= len(_AXIS):
                line = (*line, (f"  last {min(room, len(values))} s", "label"))
            lines.append(fill(line, width))
        return lines
