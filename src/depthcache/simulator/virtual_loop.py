"""An asyncio event loop in virtual time: while no task is ready, the clock jumps to what happens next.

`asyncio.sleep`, `asyncio.timeout` and `loop.time()` follow the clock that is given. Only threads
take real time: the clock stops during a call of `run_in_executor` or `asyncio.to_thread`.
Real sockets are refused. Not here: what happens next (`pair`).
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Callable, Generator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, Final, Protocol, TypeVar, TypeVarTuple, Unpack

from depthcache.errors import UsageError

__all__ = ["Clock", "VirtualLoop"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_S_NS = 1_000_000_000
_BUSY_ROUNDS = 1_000
_BUSY_NS = 10_000_000
"""So long do so many rounds of a loop take that is never idle: a task that polls must not stop the clock."""


class Clock(Protocol):
    """The time of a loop, and what else happens in it."""

    @property
    def now_ns(self) -> int:
        """The time."""
        ...

    def advance(self, until_ns: int | None) -> None:
        """Let the next thing happen, at `until_ns` at the latest; None while the loop has no timer."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs on one thread, as every event loop; other threads reach it with `call_soon_threadsafe`."""

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock
        self._waits = _Waits(clock)
        super().__init__(self._waits)
        self._waits.is_sealed = True  # the loop has registered its own wake-up socket

    def time(self) -> float:
        """Seconds of the virtual clock."""
        return self._clock.now_ns / _S_NS

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """As every loop; the clock stands still until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._waits.threads += 1
        future.add_done_callback(self._on_thread_done)
        return future

    async def shutdown_default_executor(self, *args: Any, **options: Any) -> None:
        """As every loop; the clock stands still until it is done."""
        with self._waits.for_thread():
            await super().shutdown_default_executor(*args, **options)

    def _on_thread_done(self, _: object) -> None:
        self._waits.threads -= 1


class _Waits(selectors.DefaultSelector):
    """Moves the clock where other loops wait for sockets."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.is_sealed: bool = False
        self.threads: int = 0
        """Calls that are under way on other threads."""
        self._clock: Final = clock
        self._busy_rounds = 0

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Only for the loop's own wake-up socket. Raises UsageError."""
        if self.is_sealed:
            raise UsageError("there are no real sockets in virtual time: run this against simulator.serve()")
        return super().register(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Called once a round: `timeout` is 0 while tasks are ready, else the seconds to the next timer."""
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
        """A thread is at work meanwhile."""
        self.threads += 1
        try:
            yield
        finally:
            self.threads -= 1
