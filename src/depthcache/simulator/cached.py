"""Cached snapshots like those of options: taken every 30 s, and served once they are 25 to 30 s old.

A client gets a snapshot that lags its stream by 25 s at best, and by about a minute right before the next one
is served: the ids of REST lagged by 25 to 30 s and changed about every 30 s (measured 2026-04-19).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final, TypeAlias

from depthcache.simulator.market import ASKS, BIDS, Market

__all__ = ["CachedSnapshot", "CachedSnapshots", "Levels"]

Levels: TypeAlias = tuple[list[tuple[int, int]], list[tuple[int, int]]]

_EVERY_NS = 30_000_000_000
_SHOWN_AFTER_NS = (25_000_000_000, 30_000_000_000)


@dataclass(frozen=True, slots=True)
class CachedSnapshot:
    """The complete book at one moment, best levels first."""

    at_ns: int
    shown_ns: int
    update_id: int
    sides: Levels


class CachedSnapshots:
    """The snapshots of one market. Call `on_time` before every change of the market and every `shown`."""

    def __init__(self, market: Market, now_ns: int, *, seed: str) -> None:
        self._market: Final = market
        self._generator = random.Random(seed)
        self._taken = [self._take(now_ns, now_ns)]
        self._next_ns = now_ns - now_ns % _EVERY_NS + _EVERY_NS

    def shown(self, now_ns: int) -> CachedSnapshot:
        """The snapshot that REST serves now."""
        return [taken for taken in self._taken if taken.shown_ns <= now_ns][-1]

    def on_time(self, now_ns: int) -> None:
        """Take the snapshots that are due; the market has not changed since the last call."""
        while self._next_ns <= now_ns:
            shown_ns = self._next_ns + self._generator.randint(*_SHOWN_AFTER_NS)
            # Keep the one that is served until this one is.
            current = [taken for taken in self._taken if taken.shown_ns <= self._next_ns][-1:]
            waiting = [taken for taken in self._taken if taken.shown_ns > self._next_ns]
            self._taken = [*current, *waiting, self._take(self._next_ns, shown_ns)]
            self._next_ns += _EVERY_NS

    def _take(self, at_ns: int, shown_ns: int) -> CachedSnapshot:
        market = self._market
        return CachedSnapshot(
            at_ns, shown_ns, market.last_update_id, (market.levels(BIDS), market.levels(ASKS))
        )
