"""An event loop on a background thread, for programs without one.

The thread is not a daemon, so it always shuts down cleanly. A program that forgets to close it still exits:
the loop checks regularly and ends when all other threads of the program have ended. (`atexit` runs too late:
the interpreter waits for the threads first.)
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, TypeVar

from depthcache.errors import NetworkError, UsageError
from depthcache.io.forks import HomeProcess
from depthcache.io.network.interface import lacks_descriptors

__all__ = ["LoopEnded", "LoopThread", "OwnThread"]

T = TypeVar("T")

_LOOK_S = 0.2
"""Interval of the check whether the program has ended; the most by which the loop delays its exit."""
_LOOKUPS = 4
"""Threads for DNS lookups, which block."""


class LoopEnded(Exception):
    """The loop ended before it could start or finish the work."""


class LoopThread:
    """Keeps an asynchronous context open on a thread. Call `start`, then `call` and `submit`, then `stop`.

    All methods may be called from any thread except the loop's own. Repeated calls of `stop` have no effect.
    """

    def __init__(self, resource: AbstractAsyncContextManager[object], *, name: str) -> None:
        self._resource = resource
        self._thread = OwnThread(target=self._run, name=name, daemon=False)
        self._home = HomeProcess()
        self._begun: Future[None] = Future()
        self._lock = threading.Lock()
        self._calls: set[Future[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wish_to_stop: asyncio.Event | None = None
        self._stopping = self._ended = False
        self._error: BaseException | None = None

    # --- commands -----------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread and enter the context on it. Raises the errors of entering it."""
        try:
            self._thread.start()
            self._begun.result()
        except BaseException:  # including Ctrl-C during the wait
            self.stop()
            raise

    def submit(self, work: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        """Start a coroutine on the loop. Cancelling the future cancels it.

        Raises LoopEnded if the loop has ended; the future raises it if the loop ends before the coroutine.
        """
        self._home.check()
        future: Future[T] = Future()
        with self._lock:
            if self._loop is None or self._ended or not self._thread.is_alive():
                raise LoopEnded
            self._calls.add(future)
            self._loop.call_soon_threadsafe(self._begin, work, future)
        return future

    def call(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine on the loop and return its result.

        Raises its errors, LoopEnded if the loop ends before it, and UsageError on the loop's own thread.
        """
        if threading.current_thread() is self._thread:
            raise UsageError("a blocking call on the client's own thread would deadlock")
        future = self.submit(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # after Ctrl-C nothing waits for it; no effect once it is done
            raise

    def stop(self) -> None:
        """Leave the context and wait until the thread has ended.

        Raises the error of leaving the context, once.
        """
        if not self._home.is_here:
            return  # in a forked child: the thread belongs to the parent
        with self._lock:
            self._stopping = True
            if self._wish_to_stop is not None and self._loop is not None and not self._ended:
                self._loop.call_soon_threadsafe(self._wish_to_stop.set)
        if self._thread.ident is not None and threading.current_thread() is not self._thread:
            self._thread.join()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def abandon(self) -> None:
        """Let the thread end by itself. Takes no lock, so garbage collection may call it at any point."""
        self._stopping = True
        if self._loop is not None and self._wish_to_stop is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._wish_to_stop.set)

    # --- on the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            loop = asyncio.new_event_loop()
        except OSError as error:
            told = lacks_descriptors(error)
            self._hand_over(NetworkError(told) if told else error)
            return
        lookups = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix=f"{self._thread.name} lookup")
        loop.set_default_executor(lookups)
        try:
            loop.run_until_complete(self._main(loop))
        except BaseException as error:  # noqa: BLE001 - raised in `start` or `stop`
            self._hand_over(error)
        finally:
            with self._lock:
                self._ended = True  # first: work submitted after the cancellation would never end
            with suppress(BaseException):
                loop.run_until_complete(_cancel_what_is_left())
            with self._lock:
                left, self._calls = self._calls, set()
            for future in left:
                with suppress(InvalidStateError):
                    future.set_exception(LoopEnded())
            lookups.shutdown(cancel_futures=True)
            loop.close()

    async def _main(self, loop: asyncio.AbstractEventLoop) -> None:
        async with self._resource:
            with self._lock:
                self._loop, self._wish_to_stop = loop, asyncio.Event()
                if self._stopping:
                    self._wish_to_stop.set()
            self._begun.set_result(None)
            self._look(loop, self._wish_to_stop)
            await self._wish_to_stop.wait()

    def _look(self, loop: asyncio.AbstractEventLoop, wish_to_stop: asyncio.Event) -> None:
        """Check whether the program has ended. Must be cheap: it wakes a thread that is otherwise idle."""
        if _somebody_is_left():
            loop.call_later(_LOOK_S, self._look, loop, wish_to_stop)
        else:
            wish_to_stop.set()

    def _hand_over(self, error: BaseException) -> None:
        if self._begun.done():
            self._error = error
        else:
            self._begun.set_exception(error)

    def _begin(self, work: Callable[[], Coroutine[Any, Any, T]], future: Future[T]) -> None:
        task = asyncio.ensure_future(work())
        task.add_done_callback(lambda done: self._finish(done, future))
        future.add_done_callback(lambda _: self._forget(task, future))

    def _finish(self, task: asyncio.Future[T], future: Future[T]) -> None:
        with self._lock:
            self._calls.discard(future)
        with suppress(InvalidStateError):  # the caller cancelled it
            if task.cancelled():
                future.set_exception(LoopEnded())
            elif (error := task.exception()) is not None:
                future.set_exception(error)
            else:
                future.set_result(task.result())

    def _forget(self, task: asyncio.Future[T], future: Future[T]) -> None:
        """The caller cancelled the future, on any thread: cancel the work on the loop."""
        if future.cancelled():
            with self._lock:
                if self._loop is not None and not self._ended:
                    self._loop.call_soon_threadsafe(task.cancel)


class OwnThread(threading.Thread):
    """A thread of a client. Such threads do not keep each other alive at exit."""


def _somebody_is_left() -> bool:
    """Whether any thread is left that could use this loop."""
    if threading.main_thread().is_alive():
        return True
    return any(
        thread.is_alive() and not thread.daemon and not isinstance(thread, OwnThread)
        for thread in threading.enumerate()
    )


async def _cancel_what_is_left() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
