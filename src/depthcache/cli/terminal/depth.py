"""How much rests near the mid, over the last minutes: one sparkline a side, on one scale."""

from __future__ import annotations

from collections import deque
from typing import Any

from depthcache.cli.terminal.lines import Line, fill
from depthcache.cli.terminal.numbers import ROUNDED_WIDTH, rounded
from depthcache.errors import BookError

__all__ = ["DepthHistory", "sparkline"]

DISTANCES_BPS = (10, 25, 50, 100, 250, 500, 1_000)
_MOST_SAMPLES = 600
_AXIS = "  last 999 s"
_BLOCKS = " ▁▂▃▄▅▆▇█"


def sparkline(values: list[float], width: int, *, largest: float) -> str:
    """The newest values, one a cell, from nothing to `largest`; a value that is not 0 is seen."""
    shown = values[-width:] if width > 0 else []
    steps = len(_BLOCKS) - 1
    return "".join(
        _BLOCKS[0 if value <= 0 or largest <= 0 else max(1, min(steps, round(value / largest * steps)))]
        for value in shown
    )


class DepthHistory:
    """Of one book: `sample` once a second, `lines` as often as needed."""

    def __init__(self) -> None:
        self._distance = 0
        self._samples: deque[tuple[float, float]] = deque(maxlen=_MOST_SAMPLES)
        self._is_complete = True

    @property
    def bps(self) -> int:
        """How far from the mid: the smallest distance within which both sides had levels."""
        return DISTANCES_BPS[self._distance]

    def sample(self, book: Any) -> None:
        """Take what rests near the mid now; nothing while the book cannot be trusted."""
        try:
            depth = book.depth_within(self.bps)
            while not (depth.bids.levels and depth.asks.levels) and self._distance + 1 < len(DISTANCES_BPS):
                self._distance += 1
                self._samples.clear()
                depth = book.depth_within(self.bps)
        except BookError:
            return
        self._is_complete = depth.complete
        self._samples.append((float(depth.bids.base), float(depth.asks.base)))

    def lines(self, width: int) -> list[Line]:
        """Asks above bids: how much now, and how it was, one cell a second."""
        sides = {"ask": [asks for _, asks in self._samples], "bid": [bids for bids, _ in self._samples]}
        largest = max((value for values in sides.values() for value in values), default=0.0)
        lines: list[Line] = []
        for side, values in sides.items():
            mark = "" if self._is_complete else "≥"
            now = (mark + rounded(values[-1]) if values else "-").rjust(ROUNDED_WIDTH + 1)
            label = f" {side}s within {self.bps} bp {now} "
            room = width - len(label) - len(_AXIS)
            if room < 5:
                label = f" {side}s {now} "
                room = width - len(label)
            line: Line = (
                (label, "label"),
                (sparkline(values, room, largest=largest).rjust(max(0, room)), f"{side}-bar"),
            )
            if side == "ask" and width - len(label) - room >= len(_AXIS):
                line = (*line, (f"  last {min(room, _MOST_SAMPLES)} s", "label"))
            lines.append(fill(line, width))
        return lines
