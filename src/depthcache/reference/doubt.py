"""Doubt: a synced book is stale while it may be wrong, until an update or a snapshot confirms it.

Two things raise doubt, both independent of the event loop: the book was not confirmed within its time to
detect while the event loop judged no silence, or the machine or process was paused. After a pause, old
updates that waited in a socket still chain; so an update confirms the book only if the exchange made it after
the pause, as far as its clock is known.
"""

from __future__ import annotations

from depthcache.reference import reasons

__all__ = ["Doubt"]

_MARGIN_NS = 2_000_000_000
"""Updates this much older than the end of a pause still confirm the book: the exchange's clock is an
estimate, and clocks lose up to a second in a sleep.
"""
_WAIT_NS = 10_000_000_000
"""From this long after a pause, any update confirms the book, whatever its event time."""
_BACKLOG_NS = 1_000_000_000
"""The same if the exchange's clock is unknown: sockets have been drained by then."""


class Doubt:
    """The doubt of one market. Raise it only for a synced book."""

    detect_ns: int | None
    """The longest time without confirmation while the event loop judges no silence; None for no limit."""
    reason: str | None
    """Why the book is doubted; None if it is not."""

    def __init__(self) -> None:
        self.detect_ns = None
        self.reason = None
        self._paused_until_ns: int | None = None

    def judge(self, proven_ns: int, now_ns: int) -> bool:
        """Check silence in place of the event loop; return whether the book is doubted from now on."""
        if self.reason is not None or self.detect_ns is None or now_ns - proven_ns <= self.detect_ns:
            return False
        self.reason = reasons.silent(self.detect_ns // 1_000_000_000)
        self._paused_until_ns = None
        return True

    def on_pause(self, reason: str, now_ns: int) -> None:
        """The machine or process was paused until now."""
        self.reason = reason
        self._paused_until_ns = now_ns

    def is_over(self, made_ns: int | None, received_ns: int) -> bool:
        """Whether an update made at that time confirms the book; None if its time is unknown."""
        until_ns = self._paused_until_ns
        if self.reason is None or until_ns is None:
            return self.reason is not None
        if made_ns is None:
            return received_ns >= until_ns + _BACKLOG_NS
        return made_ns >= until_ns - _MARGIN_NS or received_ns >= until_ns + _WAIT_NS

    def end(self) -> bool:
        """End the doubt; return whether there was any."""
        was_doubted, self.reason = self.reason is not None, None
        return was_doubted
