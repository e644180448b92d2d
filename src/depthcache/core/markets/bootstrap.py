"""Bootstrap: the stream of the best levels gives a book its first snapshot at no weight.

On spot, `lastUpdateId` of `@depth20@100ms` always equals the `u` of a diff (1,919 of 1,919 payloads, spot
BTCUSDT, measured 2026-08-24), so each payload is a snapshot of 20 levels. Like all streams it sends only when
something changes; if it delivers nothing for a second, a request is made. Payloads are used in `supervisor`.
"""

from __future__ import annotations

from depthcache.core.connections.control_messages import ErrorReply
from depthcache.core.connections.streams import Streams
from depthcache.core.context import Context
from depthcache.core.policy import to_ns
from depthcache.core.timers import Timer

__all__ = ["Bootstrap"]

_PATIENCE_S = 1.0
_DATA = b'"data":'


class Bootstrap:
    """The bootstrap stream of one market. Usage: `start`, frames, `stop`, repeatedly."""

    takes_diffs = False
    resume_id = None

    def __init__(self, context: Context, market: int, stream: str, streams: Streams) -> None:
        self.market = market
        self.stream = stream
        self._context = context
        self._streams = streams
        self._until_ns: int | None = None
        self._wanted = False

    # --- commands --------------------------------------------------------------------------

    def start(self, now_ns: int) -> None:
        """The book needs a snapshot."""
        self._until_ns = None
        if not self._wanted:
            self._wanted = True
            self._streams.add(self.stream, self, now_ns)

    def stop(self, now_ns: int) -> None:
        """The book has a snapshot, or no longer needs one."""
        self._until_ns = None
        if self._wanted:
            self._wanted = False
            self._streams.remove(self.stream, now_ns)
        self._context.deadlines.clear(self.market, Timer.BOOTSTRAP)

    def may_come(self, now_ns: int) -> bool:
        """Whether to wait for the stream; the timer BOOTSTRAP limits the wait."""
        if not self._wanted:
            return False
        if self._until_ns is None:
            self._until_ns = now_ns + to_ns(_PATIENCE_S)
            self._context.deadlines.set(Timer.BOOTSTRAP, self.market, self._until_ns)
        return now_ns < self._until_ns

    @staticmethod
    def body(frame: bytes) -> bytes:
        """The payload of a wrapped frame; an invalid frame gives an invalid body, which the book rejects."""
        return frame[frame.find(_DATA) + len(_DATA) : frame.rfind(b"}")]

    # --- what its slot reports -------------------------------------------------------------

    def on_connected(self, now_ns: int) -> None:
        """Frames may come."""

    def on_live(self, now_ns: int) -> None:
        """The subscription was acknowledged."""

    def on_disconnected(self, reason: str, now_ns: int) -> None:
        """No effect: the connection of the diffs is what matters."""

    def on_weakened(self, now_ns: int, *, is_silent: bool) -> None:
        """No effect."""

    def on_doubted(self) -> None:
        """No effect."""

    def on_refused(self, error: ErrorReply, now_ns: int) -> None:
        """A request fetches the snapshot instead."""
