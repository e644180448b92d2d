"""Does the event loop go on? A thread of its own looks, because nothing that runs on the loop can tell.

Where frames come over the loop, books are only as fresh as it is: the loop beats twice a second, and when
it stands still, every book is stale, for readers on other threads and for whoever stopped the loop, until
it goes on and has read what waited. There the thread also looks at the clock (`Router.tick`), which the
native transport does itself. Its frames do not wait for the loop.

Whatever brings the frames: when the loop has ended before its client was closed, nobody will look after
the books again, and they are closed. Not here: why it stood still or ended.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Callable
from typing import Protocol, runtime_checkable
from weakref import WeakMethod, WeakSet, ref

from depthcache._native import now_ns

__all__ = ["MarksStalled", "Pulse"]

_BEAT_S = 0.5
_LOOK_S = 0.25
_STILL_S = 1.5
_CATCH_UP_S = 0.1
"""What waited in the sockets is read before books count as fresh again."""


@runtime_checkable
class MarksStalled(Protocol):
    """Whose books are marked (the router)."""

    def set_stalled(self, reason: str | None, now_ns: int) -> None:
        """Every book is stale for that reason; None: not any more."""

    def start_watch(self) -> None:
        """Somebody ticks from now on."""

    def stop_watch(self) -> None:
        """Nobody does any more."""

    def tick(self) -> tuple[int, bool]:
        """Look at the clock; how many pauses there were, and whether there are events."""
        ...


class Pulse:
    """Order of calls: `start` on the loop, `stop` on the loop."""

    def __init__(
        self,
        router: MarksStalled | None,
        *,
        on_resumed: Callable[[], None],
        on_loop_ended: Callable[[], None],
    ) -> None:
        """`router`: whose frames come over the loop; None where none do.

        `on_resumed`: called on the loop after the machine or the process paused. `on_loop_ended`: called on
        the thread, and nothing after it. Both must be methods of whoever holds this: they are not kept alive.
        """
        self._router = router
        self._on_resumed, self._on_loop_ended = WeakMethod(on_resumed), WeakMethod(on_loop_ended)
        self._beat_ns = now_ns()
        self._stalled = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="depthcache-pulse", daemon=True)
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Beat and listen from now on."""
        self._loop = ref(asyncio.get_running_loop())
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
        loop = asyncio.get_running_loop()
        if self._stalled:
            self._timer = loop.call_later(_CATCH_UP_S, self._go_on)
            return
        self._beat_ns = now_ns()
        self._timer = loop.call_later(_BEAT_S, self._beat)

    def _go_on(self) -> None:
        self._beat_ns = now_ns()
        self._stalled = False
        if self._router is not None:
            self._router.set_stalled(None, self._beat_ns)
        self._beat()

    # --- on the thread ------------------------------------------------------------------------

    def _listen(self) -> None:
        pauses = 0
        while not self._over.wait(_LOOK_S):
            if (on_loop_ended := self._on_loop_ended()) is None:
                return  # who held this is gone, and its loop with it
            if self._has_ended():
                on_loop_ended()
                return
            del on_loop_ended
            if self._router is not None:
                pauses = self._look(self._router, pauses)

    def _look(self, router: MarksStalled, pauses: int) -> int:
        since_ns = self._beat_ns
        if not self._stalled and now_ns() - since_ns > _STILL_S * 1e9:
            self._stalled = True
            router.set_stalled("the event loop that carries this book stands still", since_ns)
        counted, _ = router.tick()
        if counted != pauses and (loop := self._loop()) and (on_resumed := self._on_resumed()):
            loop.call_soon_threadsafe(on_resumed)
        return counted

    def _has_ended(self) -> bool:
        loop = self._loop()
        return loop is None or loop.is_closed() or not (loop.is_running() or self._home.is_alive())


_PULSES: WeakSet[Pulse] = WeakSet()


@atexit.register
def _stop_all() -> None:
    """A daemon thread must not be in the middle of native code when the interpreter goes."""
    for pulse in tuple(_PULSES):
        pulse.end_thread()
