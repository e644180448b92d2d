"""A market of which something raised: whatever it was, the book comes back, or says that it is closed.

An exception leaves a supervisor between two states: a ticket without an answer, a deadline that was taken
and not set again, a report of its link that was not heard. So none of that is believed: the states of the
book and of its stream are read, and whatever follows from them is armed. `Context.on_fault` says when, each
time later while it raises. Not here: what a market does otherwise (`supervisor`).
"""

from __future__ import annotations

from depthcache.core.supervisor import Supervisor
from depthcache.core.timers import Timer
from depthcache.model import Status

__all__ = ["Recovering"]

_OF_THE_BOOK = (Status.EMPTY, Status.BUFFERING, Status.BRIDGING, Status.SYNCED, Status.CROSSED)


class Recovering(Supervisor):
    """A supervisor that can begin again."""

    def recover(self, now_ns: int) -> None:
        """Something of this market raised: arm whatever it waits for, from what the book itself says."""
        if self.ending:
            self._lay("closed", self._ended_because, now_ns)
            self.streams.remove(self.stream, now_ns)
            self._listing.forget(self)
            return
        self._give_up_ticket()
        self.upkeep.end()
        self.streams.retell(self.stream, now_ns)
        self._show(now_ns)
        status = self._book.status
        if status not in _OF_THE_BOOK:  # a condition lies over it, so nobody reads it: begin again
            self._router.resync(self.market, "this client made a mistake with the book", now_ns)
            status = Status.BUFFERING
        self._native, self._synced_ns = Status.EMPTY, None
        self._become(Status(status), now_ns)
        self._context.deadlines.set(Timer.SNAPSHOT, self.market, now_ns)
