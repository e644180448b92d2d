"""Callbacks: functions called with each item of a followed book.

An exception in a callback, including `SystemExit`, `GeneratorExit` and `CancelledError`, is counted and
logged; books and other callbacks continue. An exception raised by a signal handler during a callback, such as
KeyboardInterrupt, ends the program as usual. A slow callback gets conflated items, like any slow consumer.
"""

from __future__ import annotations

import asyncio
import inspect
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Lock, current_thread, main_thread
from traceback import walk_tb
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from depthcache import logs
from depthcache._native import Update
from depthcache.client.follow import Updates, UpdateStream, make_follower
from depthcache.errors import InvalidArgument
from depthcache.io.followers import CALLBACK_DRAIN_S, FollowSpec
from depthcache.io.thread import OwnThread
from depthcache.naming import publish
from depthcache.pickling import OneProcess

if TYPE_CHECKING:
    from depthcache.client.client import Client

__all__ = ["Callback", "CallbackHandle", "ThreadCallbacks", "call_back", "parse_callback"]

Callback: TypeAlias = Callable[[Update], object]

_SUMMARY_NS = 60 * 10**9
_AT_ONCE = 64
"""The number of consecutive items for one callback before the others get their turn."""


def parse_callback(callback: object) -> Callback:
    """Check that `callback` can be called with one argument, as far as its signature is known.

    Raises InvalidArgument.
    """
    allowed = "a function that takes one Update"
    if not callable(callback):
        raise InvalidArgument(name="callback", value=callback, allowed=allowed)
    try:
        signature = inspect.signature(callback)
    except (TypeError, ValueError):  # some builtins have none
        return callback
    try:
        signature.bind(None)
    except TypeError:
        allowed = f"{allowed}, not {signature}"
        raise InvalidArgument(name="callback", value=callback, allowed=allowed) from None
    return callback


class _Failures:
    """The log of one callback: the first exception of a type with a traceback, others as a count a minute."""

    def __init__(self, callback: Callback) -> None:
        self._callback = callback
        self._types: set[type[BaseException]] = set()
        self._count, self._told_ns = 0, 0

    def on_error(self, error: BaseException, now_ns: int) -> None:
        if type(error) not in self._types:
            self._types.add(type(error))
            self._told_ns = now_ns
            logs.callback_failed(callback=self._callback, error=error)
            return
        self._count += 1
        if now_ns - self._told_ns >= _SUMMARY_NS:
            count, self._count, self._told_ns = self._count, 0, now_ns
            logs.callback_still_fails(callback=self._callback, error=error, count=count)


class CallbackHandle(OneProcess):
    """A running callback, returned by `on_update`. It ends with `close`, or with its book or client.

    Attributes:
        calls: the number of calls.
        errors: the number of calls that raised, including `SystemExit` and the like. The first of each type
            is logged with its traceback, the others as a count at most once a minute.
    """

    _pickle_instead = "pickle the updates passed to the callback instead"

    calls: int
    errors: int

    def __init__(self, stream: UpdateStream, callback: Callback, now_ns: Callable[[], int]) -> None:
        """Created by `on_update`: passes each item of `stream` to `callback`. `now_ns`: its clock."""
        self._stream, self._callback, self._now_ns = stream, callback, now_ns
        self._failures = _Failures(callback)
        self.calls = self.errors = 0
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Whether the callback has ended."""
        return self._is_closed

    def close(self) -> None:
        """Stop calling back; a call in progress is completed. May be called more than once."""
        self._is_closed = True
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "listening"
        return f"<depthcache.CallbackHandle: {state}, {self.calls} calls, {self.errors} errors>"

    def _call(self, update: Update) -> object:
        self.calls += 1
        try:
            return self._callback(update)
        except BaseException as error:
            self._on_error(error)
            if _is_of_a_signal(error):
                raise
            return None

    def _on_error(self, error: BaseException) -> None:
        self.errors += 1
        with suppress(Exception):  # a failing log handler must not end the callback
            self._failures.on_error(error, self._now_ns())


def _is_of_a_signal(error: BaseException) -> bool:
    """Whether a signal handler raised this exception, in the main thread."""
    if isinstance(error, Exception) or current_thread() is not main_thread():
        return False
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    if isinstance(error, KeyboardInterrupt) and signal.default_int_handler in handlers:
        return True
    ran = {frame.f_code for frame, _ in walk_tb(error.__traceback__)}
    return any(_code(handler) in ran for handler in handlers)


def _code(handler: object) -> object:
    """The code object of a function, a method or a `partial` of one (as asyncio's); None for others."""
    while isinstance(handler, partial):
        handler = handler.func
    return getattr(handler, "__code__", None)


def call_back(
    client: Client[Any], spec: FollowSpec, callback: Callback, *, market: int | None
) -> CallbackHandle:
    """Call `callback` on the event loop of the client, one call at a time; coroutines are awaited.

    Raises InvalidArgument, and UsageError on another event loop.
    """
    client.check_loop()
    parsed = parse_callback(callback)
    handle = _LoopCallback(Updates(client, spec, market=market), parsed, client.now_ns)
    client.keep(handle.work())
    return handle


def _take_exception(task: asyncio.Task[Any]) -> None:
    """Mark the exception as retrieved: it has already ended the program, so asyncio need not log it."""
    if not task.cancelled():
        task.exception()


class _LoopCallback(CallbackHandle):
    """A callback on an event loop."""

    _stream: Updates
    _task: asyncio.Task[Any] | None = None

    async def work(self) -> None:
        """Run until the stream ends."""
        self._task = asyncio.current_task()
        if self._task is not None:
            self._task.add_done_callback(_take_exception)
        try:
            async for update in self._stream:
                result = self._call(update)
                if inspect.isawaitable(result):
                    await self._await(result)
        finally:
            self.close()

    async def _await(self, result: Awaitable[object]) -> None:
        try:
            await result
        except BaseException as error:
            if self._is_ended_by(error):
                raise
            self._on_error(error)
            if _is_of_a_signal(error):
                raise

    def _is_ended_by(self, error: BaseException) -> bool:
        """Whether the callback is being cancelled, with its client or with its event loop."""
        if isinstance(error, GeneratorExit):
            try:
                return asyncio.current_task() is not self._task
            except RuntimeError:  # no running loop
                return True
        cancelling = self._task is not None and self._task.cancelling() > 0
        return isinstance(error, asyncio.CancelledError) and cancelling


class ThreadCallbacks:
    """All callbacks of a blocking client, on one thread that starts with the first of them."""

    def __init__(self, *, name: str) -> None:
        self._name = name
        self._lock = Lock()
        self._ready: SimpleQueue[_ThreadCallback | None] = SimpleQueue()
        self._thread: OwnThread | None = None
        self._ended = False

    def call_back(
        self, client: Client[Any], spec: FollowSpec, callback: Callback, *, market: int | None
    ) -> CallbackHandle:
        """Start a callback."""
        # Before the thread starts: if this raises, no thread is left running.
        handle = _ThreadCallback(client, spec, parse_callback(callback), market=market, ready=self._ready)
        with self._lock:
            if self._thread is None and not self._ended:
                self._thread = OwnThread(target=self._run, name=self._name, daemon=False)
                self._thread.start()
            if self._ended:  # the thread no longer takes callbacks
                handle.close()
        self._ready.put(handle)
        return handle

    def end(self) -> None:
        """Deliver the remaining items, then end the thread; called when the client has ended."""
        with self._lock:
            self._ended = True
        self._ready.put(None)

    def join(self) -> None:
        """Wait for the thread, but only for a bounded time if a callback does not return."""
        if self._thread is not None and self._thread is not current_thread():
            self._thread.join(CALLBACK_DRAIN_S)

    def _run(self) -> None:
        ending = False
        while not (ending and self._ready.empty()):
            handle = self._ready.get()
            if handle is None:
                ending = True
            elif self._drain(handle):
                self._ready.put(handle)

    @staticmethod
    def _drain(handle: _ThreadCallback) -> bool:
        try:
            return handle.drain()
        except BaseException as error:  # noqa: BLE001 - the other callbacks must live on
            logs.unexpected(where="a callback's stream", error=error)
            handle.close()
            return False


class _ThreadCallback(CallbackHandle):
    """A callback on the thread of a blocking client."""

    def __init__(
        self,
        client: Client[Any],
        spec: FollowSpec,
        callback: Callback,
        *,
        market: int | None,
        ready: SimpleQueue[Any],
    ) -> None:
        follower = make_follower(client, spec, lambda: ready.put(self), market=market, announces=True)
        stream = UpdateStream(client.followers, follower, is_single=market is not None)
        super().__init__(stream, callback, client.now_ns)
        self._client = client

    def drain(self) -> bool:
        """Process the waiting items; True if there may be more."""
        for _ in range(_AT_ONCE):
            update = self._stream.take_now(self._client.now_ns())
            if update is None:
                self._is_closed |= self._stream.is_closed
                return False
            self._call(update)
        return True


publish("depthcache", CallbackHandle)
