"""How fast counts grow from one look to the next. Not here: who counts."""

from __future__ import annotations

from collections.abc import Hashable
from threading import Lock
from time import monotonic

__all__ = ["Rates"]

_SHORTEST_S = 0.5
"""Looks nearer to each other than this share a base: a rate over less says little."""


class Rates:
    """A look gives a count and gets its growth per second since a look before it; since this was made at
    first. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.begun: float = monotonic()
        """When this was made, on the monotonic clock."""
        self._looks: dict[Hashable, tuple[tuple[float, int], tuple[float, int]]] = {}

    def of(self, what: Hashable, count: int, *, now: float | None = None) -> float:
        """Growth per second; a count that fell (another connection) starts from 0."""
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
