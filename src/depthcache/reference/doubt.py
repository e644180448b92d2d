"""Doubt: a book that was right, and may not be any more, is stale until an update or a snapshot proves it.

Two things raise it, both without the event loop: nothing has proven the book within its time to detect
while nothing judged silence, and a pause of the machine or the process. After a pause, updates that
waited in a socket chain although they are old, so an update proves only if the exchange made it after
the pause, as far as its clock is known.

Not here: what judges and when (`router`).
"""

from __future__ import annotations

from depthcache.reference import reasons

__all__ = ["Doubt"]

_MARGIN_NS = 2_000_000_000
"""Updates so much older than the end of a pause still prove the book: the exchange's clock is known to some
error, and clocks lose up to a second in a sleep."""
_WAIT_NS = 10_000_000_000
"""So long after a pause every update proves the book, regardless of its event time."""
_BACKLOG_NS = 1_000_000_000
"""The same where the exchange's clock is not known: what waited in sockets is read by then."""


class Doubt:
    """The doubt of one market, if there is any. Nothing may be raised but of a synced book."""

    detect_ns: int | None
    """The longest time without a proof while nothing judges silence; None: for ever."""
    reason: tuple[str, int] | None
    """Why and since when it is doubted; None while it is not."""

    def __init__(self) -> None:
        self.detect_ns = self.reason = None
        self._paused_until_ns: int | None = None

    def judge(self, proven_ns: int, now_ns: int) -> bool:
        """Nothing judged silence for a while: whether the book is doubted for that from now on."""
        if self.reason is not None or self.detect_ns is None or now_ns - proven_ns <= self.detect_ns:
            return False
        self.reason = (reasons.silent(self.detect_ns // 1_000_000_000), now_ns)
        self._paused_until_ns = None
        return True

    def on_pause(self, reason: str, since_ns: int, now_ns: int) -> None:
        """The machine or the process paused for that time."""
        self.reason = (reason, since_ns if self.reason is None else min(since_ns, self.reason[1]))
        self._paused_until_ns = now_ns

    def is_over(self, made_ns: int | None, received_ns: int) -> bool:
        """Whether an update proves the book that was made then; None: that is unknown."""
        until_ns = self._paused_until_ns
        if self.reason is None or until_ns is None:
            return self.reason is not None
        if made_ns is None:
            return received_ns >= until_ns + _BACKLOG_NS
        return made_ns >= until_ns - _MARGIN_NS or received_ns >= until_ns + _WAIT_NS

    def end(self) -> bool:
        """There is no doubt any more; whether there was."""
        was_doubted, self.reason = self.reason is not None, None
        return was_doubted
