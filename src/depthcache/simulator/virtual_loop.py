"""An asyncio event loop in virtual time: when no task is ready, the clock jumps to the next event.

`asyncio.sleep`, `asyncio.timeout` and `loop.time()` follow the given clock. Only threads take real time: the
clock stops during calls of `run_in_executor` and `asyncio.to_thread`. Real sockets are refused.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Callable, Generator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, Final, NoReturn, Protocol, TypeVar, TypeVarTuple, Unpack

from depthcache.errors import UsageError

__all__ = ["Clock", "VirtualLoop"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_REAL_SOCKET = (
    "this program opened a real socket in virtual time: use pair.connect(…) instead of depthcache.connect, "
    "or the fixture depthcache_server"
)

_S_NS = 1_000_000_000
_BUSY_ROUNDS = 1_000
_BUSY_NS = 10_000_000
"""The clock advances by this after `_BUSY_ROUNDS` rounds without an idle one: polling must not stop it."""


class Clock(Protocol):
    """The clock of a loop, and the other events on it."""

    @property
    def now_ns(self) -> int:
        """The time."""
        ...

    def advance(self, until_ns: int | None) -> None:
        """Advance to the next event, or to `until_ns` if that is earlier; None if the loop has no timer."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time. Other threads use `call_soon_threadsafe`, as with any event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock
        self._waits = _Waits(clock)
        super().__init__(self._waits)
        self._waits.is_sealed = True  # the loop has registered its own wake-up socket

    def time(self) -> float:
        """The virtual time in seconds."""
        return self._clock.now_ns / _S_NS

    def refuse_real_sockets(self) -> NoReturn:
        """Raise UsageError, before a client waits for a network that never reports anything."""
        raise UsageError(_REAL_SOCKET)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Like any event loop, but the clock stops until the call returns."""
        future = super().run_in_executor(executor, func, *args)
        self._waits.threads += 1
        future.add_done_callback(self._on_thread_done)
        return future

    async def shutdown_default_executor(self, *args: Any, **options: Any) -> None:
        """Like any event loop, but the clock stops until it is done."""
        with self._waits.for_thread():
            await super().shutdown_default_executor(*args, **options)

    def _on_thread_done(self, _: object) -> None:
        self._waits.threads -= 1


class _Waits(selectors.DefaultSelector):
    """A selector that advances the clock instead of waiting for sockets."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.is_sealed: bool = False
        self.threads: int = 0
        """Number of calls that are running on other threads."""
        self._clock: Final = clock
        self._busy_rounds = 0

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Register the loop's own wake-up socket. Raises UsageError for any other."""
        if self.is_sealed:
            raise UsageError(_REAL_SOCKET)
        return super().register(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Called once per round. `timeout`: 0 if tasks are ready, else the seconds to the next timer."""
        is_busy = timeout is not None and timeout <= 0
        woken = super().select(None if self.threads and not is_busy else 0)
        if woken:
            return woken
        if is_busy:
            self._busy_rounds += not self.threads
            if self._busy_rounds < _BUSY_ROUNDS:
                return woken
        self._busy_rounds = 0
        wait_ns = _BUSY_NS if is_busy else None if timeout is None else max(1, math.ceil(timeout * _S_NS))
        self._clock.advance(None if wait_ns is None else self._clock.now_ns + wait_ns)
        return woken

    @contextmanager
    def for_thread(self) -> Generator[None]:
        """Count a running call on a thread for the duration of this context."""
        self.threads += 1
        try:
            yield
        finally:
            self.threads -= 1
