"""Callbacks: functions that are called with each item of following a book.

Whatever a callback raises, books and the other callbacks go on: it is counted, logged and forgotten,
`SystemExit`, `GeneratorExit` and `CancelledError` as well. A callback that takes its time loses states of the
book, as any slow consumer. What a signal handler raises in the middle of a callback, such as Ctrl-C, ends the
program as everywhere else. Not here: what an item is (`follow`).
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

_AT_ONCE = 64
"""Items of one callback before the others get their turn."""


def parse_callback(callback: object) -> Callback:
    """Raises InvalidArgument for what cannot be called."""
    if not callable(callback):
        raise InvalidArgument(name="callback", value=callback, allowed="a function of one update")
    return callback


class CallbackHandle(OneProcess):
    """A callback at work, made by `on_update`; `close` it, or let it end with its client.

    Attributes:
        calls: how often it was called.
        errors: how many of these calls raised anything, `SystemExit` and the like included; each was logged,
            and changed nothing.
    """

    _pickle_instead = "pickle the updates that the callback gets"

    calls: int
    errors: int

    def __init__(self, stream: UpdateStream, callback: Callback) -> None:
        """Made by `on_update` of a book or of books: each item of a `stream` goes to a `callback`."""
        self._stream, self._callback = stream, callback
        self.calls = self.errors = 0
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Whether it is called no more."""
        return self._is_closed

    def close(self) -> None:
        """Call it no more; a call that is running ends by itself. May be called more than once."""
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
        with suppress(Exception):  # a log handler of the program
            logs.callback_failed(callback=self._callback, error=error)


def _is_of_a_signal(error: BaseException) -> bool:
    """Whether the handler of a signal raised it, in the main thread and in the middle of anything."""
    if isinstance(error, Exception) or current_thread() is not main_thread():
        return False
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    if isinstance(error, KeyboardInterrupt) and signal.default_int_handler in handlers:
        return True
    ran = {frame.f_code for frame, _ in walk_tb(error.__traceback__)}
    return any(_code(handler) in ran for handler in handlers)


def _code(handler: object) -> object:
    """The code of a function, a method or a partial of one (asyncio's); None for others."""
    while isinstance(handler, partial):
        handler = handler.func
    return getattr(handler, "__code__", None)


def call_back(
    client: Client[Any], spec: FollowSpec, callback: Callback, *, market: int | None
) -> CallbackHandle:
    """Call back on the event loop of the client, one call after the other, coroutine functions awaited.

    Raises InvalidArgument, and UsageError on another event loop.
    """
    client.check_loop()
    parsed = parse_callback(callback)
    handle = _LoopCallback(Updates(client, spec, market=market), parsed)
    client.keep(handle.work())
    return handle


def _take_exception(task: asyncio.Task[Any]) -> None:
    """What ends the program has gone through its loop: asyncio need not tell of it a second time."""
    if not task.cancelled():
        task.exception()


class _LoopCallback(CallbackHandle):
    """A callback of an event loop."""

    _stream: Updates
    _task: asyncio.Task[Any] | None = None

    async def work(self) -> None:
        """Until the stream ends."""
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
        """Whether the callback is being ended: with its client, or with its event loop."""
        if isinstance(error, GeneratorExit):
            try:
                return asyncio.current_task() is not self._task
            except RuntimeError:  # no loop runs
                return True
        cancelling = self._task is not None and self._task.cancelling() > 0
        return isinstance(error, asyncio.CancelledError) and cancelling


class ThreadCallbacks:
    """The callbacks of a blocking client: all on one thread, which begins with the first of them."""

    def __init__(self, *, name: str) -> None:
        self._name = name
        self._lock = Lock()
        self._ready: SimpleQueue[_ThreadCallback | None] = SimpleQueue()
        self._thread: OwnThread | None = None
        self._ended = False

    def call_back(
        self, client: Client[Any], spec: FollowSpec, callback: Callback, *, market: int | None
    ) -> CallbackHandle:
        """Call back from now on."""
        # First: where it raises, no thread is left that nobody would end.
        handle = _ThreadCallback(client, spec, parse_callback(callback), market=market, ready=self._ready)
        with self._lock:
            if self._thread is None and not self._ended:
                self._thread = OwnThread(target=self._run, name=self._name, daemon=False)
                self._thread.start()
            if self._ended:  # nothing would call it any more
                handle.close()
        self._ready.put(handle)
        return handle

    def end(self) -> None:
        """The client has ended: what is there is still told, then the thread ends."""
        with self._lock:
            self._ended = True
        self._ready.put(None)

    def join(self) -> None:
        """Wait for that end, but not for a callback that does not return."""
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
    """One of them."""

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
        super().__init__(UpdateStream(client.followers, follower, is_single=market is not None), callback)
        self._client = client

    def drain(self) -> bool:
        """Call for what there is; True where there may be more."""
        for _ in range(_AT_ONCE):
            update = self._stream.take_now(self._client.now_ns())
            if update is None:
                self._is_closed |= self._stream.is_closed
                return False
            self._call(update)
        return True


publish("depthcache", CallbackHandle)
