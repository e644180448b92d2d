"""Does the event loop go on? A thread of its own looks, because nothing that runs on the loop can tell.

Where frames come over the loop, books are only as fresh as it is: the loop beats twice a second, and while
it is blocked every book is stale, for readers on other threads and for the code that blocks it, until it
goes on and has read what waited. There the thread also looks at the clock (`Router.tick`), which the
native transport does itself. Its frames do not wait for the loop.

With every transport: when the loop has ended before its client was closed, nothing maintains the books any
more, and they are closed. Not here: why it was blocked or ended.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, runtime_checkable
from weakref import WeakSet, ref

from depthcache._native import now_ns
from depthcache.events import WatchTick

__all__ = ["LoopWatchdog", "StallSink"]

_BEAT_S = 0.5
_LOOK_S = 0.25
_STILL_S = 3 * _BEAT_S
"""So long without a beat is no delay any more."""
_CATCH_UP_S = 0.1
"""What waited in the sockets is read before books count as fresh again."""


@runtime_checkable
class StallSink(Protocol):
    """Whose books are marked (the router)."""

    def set_stalled(self, reason: str | None, now_ns: int) -> None:
        """Every book is stale for that reason; None: not any more."""

    def start_watch(self) -> None:
        """A ticker runs from now on."""

    def stop_watch(self) -> None:
        """No ticker runs any more."""

    def tick(self) -> WatchTick:
        """Look at the clock."""
        ...


class LoopWatchdog:
    """Order of calls: `start` on the loop, `stop` on the loop."""

    def __init__(
        self,
        router: StallSink | None,
        *,
        on_events: Callable[[], None],
        on_resumed: Callable[[], None],
        on_loop_ended: Callable[[], None],
    ) -> None:
        """`router`: whose frames come over the loop; None where none do.

        `on_events`, `on_resumed`: called on the loop when the router has events, and after the machine or the
        process paused. `on_loop_ended`: called on the thread, and nothing after it.
        """
        self._router = router
        self._on_events, self._on_resumed, self._on_loop_ended = on_events, on_resumed, on_loop_ended
        self._beat_ns = now_ns()
        self._stalled = False
        self._pauses = 0
        self._over = threading.Event()
        self._thread = threading.Thread(
            target=_listen, args=(ref(self), self._over), name="depthcache-pulse", daemon=True
        )
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Beat and listen from now on."""
        self._loop = asyncio.get_running_loop()
        self._home = threading.current_thread()
        if self._router is not None:
            self._router.start_watch()
            self._beat()
        self._thread.start()
        _PULSES.add(self)

    def stop(self) -> None:
        """Nothing is left afterwards."""
        if self._timer is not None:
            self._timer.cancel()
        self.end_thread()
        if self._router is not None:
            self._router.stop_watch()

    def end_thread(self) -> None:
        """Look no more; from any thread."""
        self._over.set()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _beat(self) -> None:
        if self._stalled:
            self._timer = self._loop.call_later(_CATCH_UP_S, self._go_on)
            return
        self._beat_ns = now_ns()
        self._timer = self._loop.call_later(_BEAT_S, self._beat)

    def _go_on(self) -> None:
        self._beat_ns = now_ns()
        self._stalled = False
        if self._router is not None:
            self._router.set_stalled(None, self._beat_ns)
        self._beat()

    # --- on the thread ------------------------------------------------------------------------

    def look(self) -> bool:
        """Whether there will be something to look at again."""
        if self._loop.is_closed() or not (self._loop.is_running() or self._home.is_alive()):
            self._on_loop_ended()
            return False
        if self._router is not None:
            self._look_at(self._router)
        return True

    def _look_at(self, router: StallSink) -> None:
        tick = router.tick()
        if tick.pauses != self._pauses:
            self._beat_ns = now_ns()  # the loop could not beat either
        since_ns = self._beat_ns
        if not self._stalled and now_ns() - since_ns > _STILL_S * 1e9:
            self._stalled = True
            router.set_stalled("the event loop that carries this book is blocked", since_ns)
        with suppress(RuntimeError):  # the loop is closed in this moment
            if tick.pauses != self._pauses:
                self._loop.call_soon_threadsafe(self._on_resumed)
            elif tick.has_events:
                self._loop.call_soon_threadsafe(self._on_events)
        self._pauses = tick.pauses


def _listen(loop_watchdog: ref[LoopWatchdog], over: threading.Event) -> None:
    """The thread keeps nothing alive: a client that is forgotten with its loop goes, and this with it."""
    while not over.wait(_LOOK_S):
        held = loop_watchdog()
        if held is None or not held.look():
            return
        del held


_PULSES: WeakSet[LoopWatchdog] = WeakSet()


@atexit.register
def _stop_all() -> None:
    """A daemon thread must not be in the middle of native code when the interpreter goes."""
    for loop_watchdog in tuple(_PULSES):
        loop_watchdog.end_thread()
