"""Does the event loop go on? Where frames come over the loop, books are only as fresh as it is.

The loop beats twice a second; a thread of its own listens. When the loop stands still, every book is stale,
for readers on other threads and for whoever stopped the loop, until it goes on and has read what waited.
The native transport needs none of this: its frames do not wait for the loop. Not here: why it stood still.
"""

from __future__ import annotations

import asyncio
import threading
from time import monotonic_ns
from typing import Protocol, runtime_checkable

__all__ = ["MarksStalled", "Pulse"]

_BEAT_S = 0.5
_STILL_S = 1.5
_CATCH_UP_S = 0.1
"""What waited in the sockets is read before books count as fresh again."""


@runtime_checkable
class MarksStalled(Protocol):
    """Whose books are marked (the router)."""

    def set_stalled(self, reason: str | None, now_ns: int) -> None:
        """Every book is stale for that reason; None: not any more."""


class Pulse:
    """Order of calls: `start` on the loop, `stop` on the loop."""

    def __init__(self, router: MarksStalled) -> None:
        self._router = router
        self._beat_ns = monotonic_ns()
        self._stalled = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="depthcache-pulse", daemon=True)
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Beat and listen from now on."""
        self._thread.start()
        self._beat()

    def stop(self) -> None:
        """Nothing is left afterwards."""
        if self._timer is not None:
            self._timer.cancel()
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        if self._stalled:
            self._timer = loop.call_later(_CATCH_UP_S, self._go_on)
            return
        self._beat_ns = monotonic_ns()
        self._timer = loop.call_later(_BEAT_S, self._beat)

    def _go_on(self) -> None:
        self._beat_ns = monotonic_ns()
        self._stalled = False
        self._router.set_stalled(None, self._beat_ns)
        self._beat()

    def _listen(self) -> None:
        while not self._over.wait(_BEAT_S):
            since_ns = self._beat_ns
            if not self._stalled and monotonic_ns() - since_ns > _STILL_S * 1e9:
                self._stalled = True
                self._router.set_stalled("the event loop that carries this book stands still", since_ns)
