"""Detect a blocked or ended event loop, from a separate thread.

With the aiohttp transport, frames arrive on the loop, so books are only as current as the loop. It beats
twice a second. While it is blocked, every book is stale, both for other threads and for the code that blocks
it, until the loop runs again and has read the waiting frames. The thread also checks the clock
(`Router.tick`). The native transport does that itself, and its frames do not wait for the loop.

With either transport, if the loop ends before its client is closed, nothing can maintain the books, and they
are closed.
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
"""Without a beat for this long, the loop counts as blocked."""
_CATCH_UP_S = 0.1
"""Time to read the waiting frames before books count as current again."""


@runtime_checkable
class StallSink(Protocol):
    """The router, whose books become stale."""

    def set_stalled(self, reason: str | None, now_ns: int) -> None:
        """Make every book stale with this reason; None ends it."""

    def start_watch(self) -> None:
        """A ticker is running from now on."""

    def stop_watch(self) -> None:
        """The ticker has stopped."""

    def tick(self) -> WatchTick:
        """Check the clock for pauses and deadlines."""
        ...


class LoopWatchdog:
    """Watches one event loop. Call `start` and `stop` on that loop."""

    def __init__(
        self,
        router: StallSink | None,
        *,
        on_events: Callable[[], None],
        on_resumed: Callable[[], None],
        on_loop_ended: Callable[[], None],
    ) -> None:
        """`router`: the router whose frames arrive on the loop; None if they do not.

        `on_events`, `on_resumed`: called on the loop when the router has events, and after the machine or the
        process paused. `on_loop_ended`: called on the watchdog's thread, as the last call.
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
        """Start watching."""
        self._loop = asyncio.get_running_loop()
        self._home = threading.current_thread()
        if self._router is not None:
            self._router.start_watch()
            self._beat()
        self._thread.start()
        _PULSES.add(self)

    def stop(self) -> None:
        """Stop watching and end the thread."""
        if self._timer is not None:
            self._timer.cancel()
        self.end_thread()
        if self._router is not None:
            self._router.stop_watch()

    def end_thread(self) -> None:
        """End the thread; from any thread."""
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
        """Check once. False if there is nothing left to watch."""
        if self._loop.is_closed() or not (self._loop.is_running() or self._home.is_alive()):
            self._on_loop_ended()
            return False
        if self._router is not None:
            self._look_at(self._router)
        return True

    def _look_at(self, router: StallSink) -> None:
        tick = router.tick()
        if tick.pauses != self._pauses:
            self._beat_ns = now_ns()  # the loop could not beat during the pause
        since_ns = self._beat_ns
        if not self._stalled and now_ns() - since_ns > _STILL_S * 1e9:
            self._stalled = True
            router.set_stalled("the event loop that feeds this book is blocked", since_ns)
        with suppress(RuntimeError):  # the loop was closed at this moment
            if tick.pauses != self._pauses:
                self._loop.call_soon_threadsafe(self._on_resumed)
            elif tick.has_events:
                self._loop.call_soon_threadsafe(self._on_events)
        self._pauses = tick.pauses


def _listen(loop_watchdog: ref[LoopWatchdog], over: threading.Event) -> None:
    """The body of the thread. It keeps nothing alive, so that it ends with a client that is dropped."""
    while not over.wait(_LOOK_S):
        held = loop_watchdog()
        if held is None or not held.look():
            return
        del held


_PULSES: WeakSet[LoopWatchdog] = WeakSet()


@atexit.register
def _stop_all() -> None:
    """Stop all watchdogs: a daemon thread must not run native code while the interpreter exits."""
    for loop_watchdog in tuple(_PULSES):
        loop_watchdog.end_thread()
