"""Whatever a callback raises, books and other callbacks are unaffected; a signal still ends it."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

import depthcache
from depthcache import Status, Update, connect, logs
from depthcache.client.callbacks import CallbackHandle, parse_callback
from depthcache.compat.ubldc.restarts import Restarts
from depthcache.errors import InvalidArgument
from tests.support.by_hand import ByHand, FromThread
from tests.test_blocking import connect as connect_blocking
from tests.test_blocking import exchange as from_thread
from tests.test_blocking import no_thread_is_left
from tests.test_follow import DEADLINE_S, turns
from tests.test_follow_blocking import move, wait_until

__all__ = ["from_thread", "no_thread_is_left"]


@pytest.fixture(autouse=True)
def every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """All lines are written, whatever the tests before wrote; that they are few is a test of `test_logs`."""
    monkeypatch.setattr(logs, "_MISTAKES", {})
    monkeypatch.setattr(logs, "_MOST_MISTAKES", 100)


class OwnEnd(BaseException):
    """As programs make them to get past `except Exception`."""


class Unspeakable(Exception):
    """One whose text cannot be had."""

    def __str__(self) -> str:
        raise ZeroDivisionError

    __repr__ = __str__


ENDS = [
    SystemExit,
    KeyboardInterrupt,
    GeneratorExit,
    asyncio.CancelledError,
    StopIteration,
    StopAsyncIteration,
    OwnEnd,
    Unspeakable,
]


def named(error: type[BaseException]) -> str:
    return error.__name__


class Unnameable:
    """A callback without a name and without a repr."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __repr__(self) -> str:
        raise ZeroDivisionError

    def __call__(self, update: Update) -> None:
        raise self.error()


def told(caplog: pytest.LogCaptureFixture, error: type[BaseException]) -> list[logging.LogRecord]:
    return [
        each
        for each in caplog.records
        if each.levelno == logging.ERROR
        and f"raised {named(error)}; books and other callbacks are unaffected" in each.message
    ]


@pytest.mark.parametrize("error", ENDS, ids=named)
def test_a_callback_of_a_blocking_client_ends_no_other(
    from_thread: FromThread, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    seen: list[Any] = []

    def fails(update: Update) -> None:
        raise error()

    with connect_blocking("binance.com", ["BTCUSDT"]) as books:
        book = books["BTCUSDT"]
        broken = [books.on_update(fails, "every"), book.on_update(fails, "status")]
        nameless = book.on_update(Unnameable(error), "every")
        book.on_update(lambda update: seen.append(update.last_update_id), "every")
        book.wait_synced(DEADLINE_S)
        wait_until(lambda: seen == [10])
        for number in (11, 12):
            move(from_thread, number)
        wait_until(lambda: seen == [10, 11, 12] and broken[0].errors == nameless.errors == 3)
        assert not any(each.is_closed for each in broken)
        assert book.status is Status.SYNCED
    assert seen[-1] == 12, "the end is told"
    assert broken[0].errors == 4
    assert 2 <= broken[1].errors <= 3, "synced and closed; buffering where the callback came before"
    assert len(told(caplog, error)) == 3, "once each, with a traceback"


@pytest.mark.parametrize("error", ENDS, ids=named)
async def test_a_callback_on_an_event_loop_ends_no_other(
    exchange: list[ByHand], caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    seen: list[Any] = []

    def fails(update: Update) -> None:
        raise error()

    async def fails_later(update: Update) -> None:
        await asyncio.sleep(0)
        raise error()

    def waits_for_another(update: Update) -> asyncio.Future[None]:
        other = asyncio.get_running_loop().create_future()
        other.cancel()
        return other

    async with connect("binance.com", ["BTCUSDT"]) as books:
        book = books["BTCUSDT"]
        callbacks = (fails, fails_later, waits_for_another)
        broken = [book.on_update(each, "every") for each in callbacks]
        books.on_update(lambda update: seen.append(update.last_update_id), "every")
        await book.wait_synced(DEADLINE_S)
        for number in (11, 12):
            exchange[0].diff("BTCUSDT", number, number, bids=[["1.15", str(number)]])
            await turns(50)
        assert seen == [10, 11, 12]
        assert [(each.calls, each.errors, each.is_closed) for each in broken] == [(3, 3, False)] * 3
    later = RuntimeError if error is StopIteration else error
    expected = Counter((error, later, asyncio.CancelledError))
    assert Counter({each: len(told(caplog, each)) for each in expected}) == expected, "one each"


async def test_a_callback_that_waits_ends_with_its_client(
    exchange: list[ByHand], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("depthcache.client.client.CALLBACK_DRAIN_S", 0.01)
    async with connect("binance.com", ["BTCUSDT"]) as books:
        began = asyncio.Event()

        async def hang(update: Update) -> None:
            began.set()
            await asyncio.Event().wait()

        handle = books.on_update(hang)
        await asyncio.wait_for(began.wait(), DEADLINE_S)
    assert (handle.is_closed, handle.errors) == (True, 0)
    assert told(caplog, asyncio.CancelledError) == []


def test_a_callback_that_waits_ends_with_its_event_loop(
    exchange: list[ByHand], caplog: pytest.LogCaptureFixture
) -> None:
    """The loop is closed in the middle: the coroutine is told by GeneratorExit, and must end."""
    callbacks: list[depthcache.CallbackHandle] = []
    ended: list[str] = []
    kept: list[depthcache.Books] = []

    async def hang(update: Update) -> None:
        try:
            await asyncio.Event().wait()
        except GeneratorExit:
            ended.append("closed")
            raise

    async def step() -> Any:
        books = await connect("binance.com", ["BTCUSDT"])
        kept.append(books)
        handle = books.on_update(hang)
        callbacks.append(handle)
        await turns(50)
        [work] = [task for task in asyncio.all_tasks() if "work" in repr(task.get_coro())]
        return work.get_coro()

    loop = asyncio.new_event_loop()
    coroutine = loop.run_until_complete(step())
    try:
        coroutine.close()
        assert (ended, callbacks[0].errors) == (["closed"], 0)
    finally:
        loop.run_until_complete(kept[0].aclose())
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


# --- signals -------------------------------------------------------------------------------------


@pytest.fixture
def handlers() -> Iterator[None]:
    """The handlers as they were, whatever a test sets."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def end(number: int, frame: object) -> None:
    raise SystemExit(7)


async def interrupted(number: signal.Signals, *, later: bool) -> None:
    """A client whose callback is running when the signal comes."""

    def at_once(update: Update) -> None:
        signal.raise_signal(number)

    async def awaited(update: Update) -> None:
        await asyncio.sleep(0)
        signal.raise_signal(number)

    async with connect("binance.com", ["BTCUSDT"]) as books:
        books.on_update(awaited if later else at_once)
        await asyncio.Event().wait()


def run_plainly(work: Coroutine[Any, Any, None]) -> None:
    """As programs did before `asyncio.run`: Ctrl-C strikes wherever the program is."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(work)
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(loop), return_exceptions=True))
        loop.close()


@pytest.mark.parametrize("later", [False, True], ids=["function", "coroutine"])
def test_ctrl_c_and_other_signals_still_end_the_program(
    exchange: list[ByHand], handlers: None, *, later: bool
) -> None:
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(interrupted(signal.SIGINT, later=later))
    with pytest.raises(KeyboardInterrupt):
        run_plainly(interrupted(signal.SIGINT, later=later))
    for run in (asyncio.run, run_plainly):
        with pytest.raises(SystemExit) as ended:
            run(interrupted(signal.SIGTERM, later=later))
        assert ended.value.code == 7


# --- the drop-in -----------------------------------------------------------------------------------


class Restarted:
    """A cache whose connection was lost once."""

    stopped, restarts, restarts_told, restarted_at = False, 1, 0, 5.0

    def __init__(self, market: str) -> None:
        self.market = market


@pytest.mark.parametrize("error", ENDS[:3], ids=named)
def test_on_restart_of_the_drop_in_is_called_for_the_others_too(
    caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    caches: Any = [Restarted("btcusdt"), Restarted("ethusdt")]
    told, stopped, done = [], threading.Event(), threading.Event()

    def on_restart(market: str, at: float) -> None:
        told.append((market, at))
        if len(told) == len(caches):
            done.set()
        raise error()

    restarts = Restarts(caches, stopped, on_restart)
    restarts.start()
    assert done.wait(DEADLINE_S)
    stopped.set()
    restarts._thread.join(DEADLINE_S)
    assert told == [("btcusdt", 5.0), ("ethusdt", 5.0)]
    assert sum("on_restart raised" in each.message for each in caplog.records) == 2


def test_a_callback_of_a_client_that_has_ended_is_closed(from_thread: FromThread) -> None:
    with connect_blocking("binance.com", ["BTCUSDT"]) as books:
        books["BTCUSDT"].wait_synced(DEADLINE_S)
    late = books.on_update(print)
    assert late.is_closed
    assert late.calls == 0


async def test_a_callback_of_an_asyncio_client_that_has_ended_is_closed(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"]) as books:
        await books.wait_synced(DEADLINE_S)
    late = books.on_update(print)
    await turns()
    assert late.is_closed
    assert late.calls == 0


class ByMinute:
    """A clock by hand, for a callback that fails."""

    now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def test_an_exception_is_logged_with_its_traceback_once_then_counted_every_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, failing = ByMinute(), [KeyError, KeyError, ValueError, KeyError]

    def fails(update: Any) -> None:
        raise failing.pop(0) if failing else KeyError

    handle = CallbackHandle(SimpleNamespace(close=lambda: None), fails, clock)  # type: ignore[arg-type]
    for second in range(0, 181, 10):
        clock.now_ns = second * 10**9
        handle._call(SimpleNamespace())  # type: ignore[arg-type]
    assert handle.errors == 19
    lines = [
        (each.exc_info is not None, each.message.partition("<locals>.")[2])
        for each in caplog.records
        if each.levelno == logging.ERROR
    ]
    unaffected = "; books and other callbacks are unaffected"
    assert lines == [
        (True, f"fails raised KeyError{unaffected}"),
        (True, f"fails raised ValueError{unaffected}"),
        (False, "fails has raised 7 more exceptions, most recently KeyError"),
        (False, "fails has raised 6 more exceptions, most recently KeyError"),
    ]


@pytest.mark.parametrize(
    ("callback", "shown"),
    [
        (lambda: None, "()"),
        (lambda one, two: None, "(one, two)"),
        (lambda update, *, wanted: None, "(update, *, wanted)"),
    ],
)
def test_a_callback_of_another_signature_is_refused_at_once(callback: Any, shown: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse_callback(callback)
    assert str(refused.value).endswith(f"expected a function that takes one Update, not {shown}")


def test_a_blocking_client_checks_a_callback_when_it_is_registered(from_thread: FromThread) -> None:
    with connect_blocking("binance.com", ["BTCUSDT"]) as books:
        for source in (books, books["BTCUSDT"]):
            with pytest.raises(InvalidArgument, match=r"takes one Update, not \(\)$"):
                source.on_update(lambda: None)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize("callback", [print, list, [].append, Mock(), partial(max, 1), lambda *them: None])
def test_a_callback_whose_signature_fits_or_is_unknown_is_taken(callback: Any) -> None:
    assert parse_callback(callback) is callback
