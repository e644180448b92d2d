"""Doubt: a book that was right, and may not be any more, is stale until an update or a snapshot proves it.

Two things raise it, both without the event loop: nothing has proven the book within its time to detect
while nobody judged silence, and a pause of the machine or the process. After a pause, updates that
waited in a socket chain although they are old, so an update proves only if the exchange made it after
the pause, as far as its clock is known.

Not here: who judges and when (`router`).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Doubt"]

_MARGIN_NS = 2_000_000_000
"""Updates so much older than the end of a pause still prove the book: the exchange's clock is known to some
error, and clocks lose up to a second in a sleep."""
_WAIT_NS = 10_000_000_000
"""So long after a pause every update proves the book, whatever its event time says."""
_BACKLOG_NS = 1_000_000_000
"""The same where the exchange's clock is not known: what waited in sockets is read by then."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why and since when a book is doubted, and the end of the pause that raised it."""

    said: tuple[str, int]
    paused_until_ns: int | None

    def is_over(self, event_time_ns: int | None, received_ns: int) -> bool:
        """Whether an update proves the book; its event time on the clock of the frames, None: unknown."""
        until_ns = self.paused_until_ns
        if until_ns is None:
            return True
        if event_time_ns is None:
            return received_ns >= until_ns + _BACKLOG_NS
        return event_time_ns >= until_ns - _MARGIN_NS or received_ns >= until_ns + _WAIT_NS
