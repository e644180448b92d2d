"""Following from threads: native waiting, callbacks on one thread, and an end in any order."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from typing import Any

import pytest

from depthcache import BookClosed, BookNotSynced, InvalidArgument, Status, SyncTimeout, Update
from tests.support.by_hand import FromThread
from tests.test_blocking import DEADLINE_S, connect, exchange, no_thread_is_left

__all__ = ["exchange", "no_thread_is_left"]


def move(exchange: FromThread, number: int, symbol: str = "BTCUSDT") -> None:
    exchange.do(lambda network: network.diff(symbol, number, number, bids=[["1.15", str(number)]]))


def wait_until(condition: Any) -> None:
    ends_at = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < ends_at
        time.sleep(0.001)


def test_a_loop_over_updates_on_a_thread_gets_each_new_book_until_the_end(exchange: FromThread) -> None:
    seen: list[Any] = []
    got = threading.Semaphore(0)

    def consume(stream: Any) -> None:
        for update in stream:
            seen.append((update.status.value, update.last_update_id, update.skipped, update.is_fresh))
            got.release()

    with connect("binance.com", ["BTCUSDT"]) as books:
        thread = threading.Thread(target=consume, args=(books["BTCUSDT"].updates(),))
        thread.start()
        for number in (11, 12):
            assert got.acquire(timeout=DEADLINE_S)
            move(exchange, number)
        assert got.acquire(timeout=DEADLINE_S)
    thread.join(DEADLINE_S)
    assert not thread.is_alive()
    assert seen == [
        ("synced", 10, 0, True),
        ("synced", 11, 0, False),
        ("synced", 12, 0, False),
        ("closed", 12, 0, False),
    ]


def test_take_waits_no_longer_than_it_was_asked_to(exchange: FromThread) -> None:
    with connect("binance.com", ["BTCUSDT"]) as books:
        stream = books["BTCUSDT"].updates()
        first = stream.take(timeout=DEADLINE_S)
        assert first is not None
        assert first.is_fresh
        assert stream.take() is None
        assert stream.take(timeout=0.01) is None
        with pytest.raises(InvalidArgument):
            stream.take(timeout=-1)
        move(exchange, 11)
        later = stream.take()
        assert later is not None
        assert later.last_update_id == 11
        stream.close()
        assert stream.take(timeout=None) is None
        assert list(stream) == []


def test_async_for_over_the_items_of_threads_says_what_to_use(exchange: FromThread) -> None:
    async def iterate(stream: Any) -> None:
        async for _ in stream:
            pass

    told = r"iterate with plain `for`; .*depthcache\.connect"
    with connect("binance.com", ["BTCUSDT"]) as books, pytest.raises(TypeError, match=told):
        asyncio.run(iterate(books["BTCUSDT"].updates()))


def test_closing_from_another_thread_ends_the_iteration(exchange: FromThread) -> None:
    before = set(threading.enumerate())
    with connect("binance.com", ["BTCUSDT"]) as books:
        with books.updates() as stream:
            next(stream)
            threading.Timer(0.02, stream.close).start()
            assert list(stream) == []
        wait_until(lambda: len(set(threading.enumerate()) - before) <= 1)  # the thread of the client


def test_an_interval_ends_without_anything_happening(exchange: FromThread) -> None:
    with connect("binance.com", ["BTCUSDT"]) as books:
        stream = books["BTCUSDT"].updates("interval", interval_ms=20)
        next(stream)
        move(exchange, 11)
        move(exchange, 12)
        update = stream.take(timeout=DEADLINE_S)
        assert update is not None
        assert (update.last_update_id, update.skipped) == (12, 1)


def test_one_stream_over_many_books_also_those_that_come_and_go(exchange: FromThread) -> None:
    with connect("binance.com", ["BTCUSDT"]) as books:
        stream = books.updates()
        assert next(stream).symbol == "BTCUSDT"
        books.add("ETHUSDT")
        assert next(stream).symbol == "ETHUSDT"
        move(exchange, 11, "ETHUSDT")
        assert next(stream).symbol == "ETHUSDT"
        books.remove("ETHUSDT")
        gone = next(stream)
        assert (gone.symbol, gone.status) == ("ETHUSDT", Status.CLOSED)
    assert [update.status for update in stream] == [Status.CLOSED]


def test_a_thread_that_sleeps_delays_nothing_and_continues_with_the_present(exchange: FromThread) -> None:
    with connect("binance.com", ["BTCUSDT"]) as books:
        book = books["BTCUSDT"]
        streams = {mode: book.updates(mode, buffer=50) for mode in ("latest", "best", "every")}
        for stream in streams.values():
            next(stream)
        for number in range(11, 511):
            move(exchange, number)
        assert book.last_update_id == 510
        assert streams["every"].held == 50
        for mode in ("latest", "best"):
            update = next(streams[mode])
            assert (update.last_update_id, update.skipped) == (510, 499)
        items = [next(streams["every"]) for _ in range(51)]
        assert [item.skipped for item in items] == [0] * 50 + [450]
        assert (items[-1].is_fresh, items[-1].best.bid) == (True, (1.15, 510.0))


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no such timers on this system")
def test_ctrl_c_is_noticed_while_a_thread_waits(exchange: FromThread) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with connect("binance.com", ["BTCUSDT"]) as books:
        stream = books["BTCUSDT"].updates()
        next(stream)
        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            with pytest.raises(KeyboardInterrupt):
                next(stream)
        finally:
            signal.signal(signal.SIGALRM, before)
        move(exchange, 11)
        assert next(stream).last_update_id == 11, "nothing was lost by it"


def test_callbacks_of_a_client_are_called_on_one_thread_of_it(exchange: FromThread) -> None:
    seen: list[Any] = []

    def note(update: Update) -> None:
        seen.append((threading.current_thread().name, update.symbol, update.last_update_id))

    with connect("binance.com", ["BTCUSDT", "ETHUSDT"]) as books:
        listeners = [books.on_update(note, "every"), books["BTCUSDT"].on_update(note, "best")]
        wait_until(lambda: len(seen) == 3)
        move(exchange, 11)
        wait_until(lambda: len(seen) == 5)
        assert {name for name, _, _ in seen} == {"depthcache-callbacks"}
        listeners[1].close()
        move(exchange, 12)
        wait_until(lambda: len(seen) == 6)
        with pytest.raises(InvalidArgument, match="callback"):
            books.on_update(None)  # type: ignore[arg-type]
    assert [each.calls for each in listeners] == [6, 2]
    assert len(seen) == 8, "the last items say closed"


def test_a_callback_that_raises_or_blocks_changes_nothing_for_books(
    exchange: FromThread, caplog: pytest.LogCaptureFixture
) -> None:
    go_on, blocked = threading.Event(), threading.Event()
    seen: list[Any] = []

    def block(update: Update) -> None:
        seen.append((update.last_update_id, update.skipped))
        blocked.set()
        assert go_on.wait(DEADLINE_S)
        raise ZeroDivisionError("mine")

    with connect("binance.com", ["BTCUSDT"]) as books:
        book = books["BTCUSDT"]
        handle = book.on_update(block)
        assert blocked.wait(DEADLINE_S)
        for number in range(11, 111):
            move(exchange, number)
        assert (book.status, book.last_update_id) == (Status.SYNCED, 110)
        assert book.best.bid == (1.15, 110.0)
        go_on.set()
        wait_until(lambda: handle.errors == 2)
        assert seen == [(10, 0), (110, 99)]
        move(exchange, 111)
        wait_until(lambda: handle.errors == 3)
    assert sum("callback " in record.message for record in caplog.records) == 1


def test_a_client_may_be_closed_by_its_own_callback(exchange: FromThread) -> None:
    books = connect("binance.com", ["BTCUSDT"])
    books.__enter__()
    closed = threading.Event()

    def close(update: Update) -> None:
        books.close()
        closed.set()

    books.on_update(close)
    assert closed.wait(DEADLINE_S)
    books.close()


def test_a_callback_that_does_not_return_does_not_keep_the_client_from_closing(
    exchange: FromThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("depthcache.client.callbacks.CALLBACK_DRAIN_S", 0.01)
    go_on, blocked = threading.Event(), threading.Event()

    def block(update: Update) -> None:
        blocked.set()
        go_on.wait(DEADLINE_S)

    before = set(threading.enumerate())
    with connect("binance.com", ["BTCUSDT"]) as books:
        books.on_update(block)
        assert blocked.wait(DEADLINE_S)
    assert books["BTCUSDT"].status is Status.CLOSED
    go_on.set()
    books.close()
    wait_until(lambda: set(threading.enumerate()) <= before)


def test_reads_wait_where_that_is_wanted(exchange: FromThread) -> None:
    with connect("binance.com", ["BTCUSDT"], on_stale="wait") as books:
        book = books["BTCUSDT"]
        assert book.best.bid == (1.1, 5.0)
        assert book.freeze(1).best.bid == (1.1, 5.0)
        exchange.do(lambda network: setattr(network, "default", None))
        exchange.do(lambda network: network.diff("BTCUSDT", 20, 21))
        with pytest.raises(SyncTimeout):
            book.read(timeout=0.01)
        with pytest.raises(BookNotSynced):
            book.freeze(on_stale="raise")
        with pytest.raises(BookNotSynced):
            book.bids[0]
        assert book.freeze(on_stale="serve").last_update_id == 10
    with pytest.raises(BookClosed):
        book.freeze()


def test_a_client_that_raises_can_be_asked_to_wait(exchange: FromThread) -> None:
    with connect("binance.com", ["BTCUSDT"]) as books:
        assert books["BTCUSDT"].freeze(1, on_stale="wait").best.bid == (1.1, 5.0)
        exchange.do(lambda network: setattr(network, "default", None))
        books.add("ETHUSDT")
        assert books.wait_any_synced(DEADLINE_S, books=["ETHUSDT", "BTCUSDT"]) == [books["BTCUSDT"]]
        books.wait_synced(DEADLINE_S, books=["BTCUSDT"])
        with pytest.raises(SyncTimeout, match="ETHUSDT"):
            books.wait_synced(0.01, books=[books["ETHUSDT"]])
    with pytest.raises(BookClosed):
        books.wait_any_synced()
