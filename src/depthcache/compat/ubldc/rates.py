"""Rates of growing counters."""

from __future__ import annotations

from collections.abc import Hashable
from threading import Lock
from time import monotonic

__all__ = ["Rates"]

_SHORTEST_S = 0.5
"""Shortest interval for a rate; more frequent calls share the same base."""


class Rates:
    """Growth per second of counters since an earlier call, or at first since creation. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.begun: float = monotonic()
        """Creation time by the monotonic clock."""
        self._looks: dict[Hashable, tuple[tuple[float, int], tuple[float, int]]] = {}

    def of(self, what: Hashable, count: int, *, now: float | None = None) -> float:
        """Growth per second of a counter. A counter that fell (new connection) starts from 0."""
        at = monotonic() if now is None else now
        with self._lock:
            base, last = self._looks.get(what, ((self.begun, 0), (self.begun, 0)))
            if count < last[1]:
                base = last = (last[0], 0)
            if at - last[0] >= _SHORTEST_S:
                base, last = last, (at, count)
            self._looks[what] = base, last
        span_s = at - base[0]
        return max(0, count - base[1]) / span_s if span_s > 0 else 0.0
