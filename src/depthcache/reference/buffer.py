"""Diffs buffered as raw bytes until a snapshot arrives, or while their order is unknown.

When to buffer, and what happens when the buffer is full, is decided in `market`.
"""

from __future__ import annotations

from collections.abc import Callable

from depthcache.reference.messages import DepthUpdate, parse_frame

__all__ = ["Buffer"]

Waiting = tuple[DepthUpdate, bytes, int]
"""An update, its frame, and its time of receipt."""


class Buffer:
    """Raw frames in order of arrival, bounded by bytes."""

    newest: tuple[int, int] | None
    """The highest final update id among diffs with an event time, and that time."""

    def __init__(self, most_bytes: int) -> None:
        self.newest = None
        self._frames: list[tuple[bytes, int]] = []
        self.most_bytes: int = most_bytes
        self._bytes = 0

    def is_full(self, raw: bytes) -> bool:
        """Whether one more frame exceeds the bound. A single frame never does."""
        return bool(self._frames) and self._bytes + len(raw) > self.most_bytes

    def add(self, update: DepthUpdate, raw: bytes, received_ns: int) -> None:
        """Add one diff."""
        self._frames.append((raw, received_ns))
        self._bytes += len(raw)
        last, time_us = update.final_update_id, update.event_time_us
        if time_us and (self.newest is None or last > self.newest[0]):
            self.newest = (last, time_us)

    def all(self) -> list[Waiting]:
        """All diffs, parsed again."""
        return [
            (update, raw, received_ns)
            for raw, received_ns in self._frames
            if (update := parse_frame(raw).update) is not None
        ]

    def sort(self) -> None:
        """Sort by final update id; needed if several connections carry the same diffs."""
        waiting = sorted(self.all(), key=lambda each: each[0].final_update_id)
        self._frames = [(raw, received_ns) for _, raw, received_ns in waiting]

    def retain(self, stays: Callable[[Waiting], bool]) -> bool:
        """Keep the matching diffs; return whether any was dropped."""
        waiting = self.all()
        staying = [each for each in waiting if stays(each)]
        if len(staying) < len(waiting):
            self.clear()
            for each in staying:
                self.add(*each)
        return len(staying) < len(waiting)

    def clear(self) -> None:
        """Drop all diffs."""
        self._frames.clear()
        self._bytes, self.newest = 0, None
