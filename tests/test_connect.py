"""How a client starts and ends: `with`, `await` and `start`, refused calls, dropped clients."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest

import depthcache
from depthcache import Status, UsageError, blocking
from tests.support.by_hand import ByHand, FromThread

DEADLINE_S = 20.0
SETTINGS = depthcache.Settings()
ASYNC_WAYS = (
    r"`async with depthcache\.connect\(…\) as books`.*`books = await depthcache\.connect\(…\)`.*"
    r"depthcache\.blocking\.connect"
)
BLOCKING_WAYS = (
    r"`with depthcache\.blocking\.connect\(…\) as books`.*"
    r"`books = depthcache\.blocking\.connect\(…\)\.start\(\)`.*depthcache\.connect"
)


def connect() -> depthcache.Books:
    return depthcache.connect("binance.com", ["BTCUSDT"], settings=SETTINGS)


def connect_blocking() -> blocking.Books:
    return blocking.connect("binance.com", ["BTCUSDT"], settings=SETTINGS)


@pytest.fixture
def from_thread(monkeypatch: pytest.MonkeyPatch) -> FromThread:
    exchange = FromThread()
    monkeypatch.setattr("depthcache.blocking.real_network", exchange.make)
    return exchange


# --- asyncio --------------------------------------------------------------------------------


async def test_await_starts_a_client_and_aclose_ends_it(exchange: list[ByHand]) -> None:
    made = connect()
    books = await made
    assert books is made
    assert await books.wait_synced(DEADLINE_S) == [books["BTCUSDT"]]
    await books.aclose()
    assert exchange[0].closed
    assert books["BTCUSDT"].status is Status.CLOSED


async def test_a_started_client_may_be_awaited_again_and_entered_once(exchange: list[ByHand]) -> None:
    books = await connect()
    assert await books is books
    async with books as entered:
        assert entered is books
        assert await books is books
        with pytest.raises(UsageError, match="once"):
            await books.__aenter__()
        await books.wait_synced(DEADLINE_S)
    assert len(exchange) == 1
    assert exchange[0].closed


async def test_a_client_that_has_ended_cannot_be_awaited(exchange: list[ByHand]) -> None:
    books = await connect()
    await books.aclose()
    with pytest.raises(UsageError, match="once"):
        await books


async def test_a_started_client_is_awaited_on_its_own_loop_only(exchange: list[ByHand]) -> None:
    books = await connect()

    async def elsewhere() -> None:
        await books

    with pytest.raises(UsageError, match="another event loop"):
        await asyncio.to_thread(lambda: asyncio.run(elsewhere()))
    await books.aclose()


def test_with_names_the_way_out() -> None:
    made: Any = connect()
    with pytest.raises(UsageError, match=ASYNC_WAYS), made:
        pass


async def test_a_forgotten_client_is_closed_with_a_warning(exchange: list[ByHand]) -> None:
    books = await connect()
    book = books["BTCUSDT"]
    await book.wait_synced(DEADLINE_S)
    with pytest.warns(ResourceWarning, match=r"1 live books were closed.*aclose\(\)"):
        del books
    async with asyncio.timeout(DEADLINE_S):
        *_, last = [update async for update in book.updates("status")]
    assert last.status is Status.CLOSED
    assert "Books object was garbage collected" in last.reason
    assert exchange[0].closed


async def test_a_client_that_is_closed_or_was_never_started_is_forgotten_without_a_word(
    exchange: list[ByHand], recwarn: pytest.WarningsRecorder
) -> None:
    never, books = connect(), await connect()
    await books.aclose()
    del never, books
    gc.collect()
    assert len(recwarn) == 0


# --- threads --------------------------------------------------------------------------------


def test_start_starts_a_client_and_close_ends_it(from_thread: FromThread) -> None:
    made = connect_blocking()
    books = made.start()
    assert books is made
    assert books.wait_synced(DEADLINE_S) == [books["BTCUSDT"]]
    books.close()
    assert from_thread.networks[0].closed
    assert books["BTCUSDT"].status is Status.CLOSED


def test_a_started_client_may_be_started_again_and_entered_once_by_threads(from_thread: FromThread) -> None:
    books = connect_blocking().start()
    assert books.start() is books
    with books as entered:
        assert entered is books
        with pytest.raises(UsageError, match="once"):
            books.__enter__()
    assert len(from_thread.networks) == 1
    with pytest.raises(UsageError, match="once"):
        books.start()


def test_threads_that_start_one_client_at_once_get_the_same(from_thread: FromThread) -> None:
    books, got = connect_blocking(), list[blocking.Books]()
    begun = threading.Barrier(4)

    def start() -> None:
        begun.wait(DEADLINE_S)
        got.append(books.start())

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    books.close()
    assert (got, len(from_thread.networks)) == ([books] * 4, 1)


def test_a_start_that_failed_is_not_repeated(from_thread: FromThread) -> None:
    def fail() -> None:
        raise OSError("no more sockets")

    from_thread.on_make = fail
    books = connect_blocking()
    with pytest.raises(OSError, match="no more sockets"):
        books.start()
    with pytest.raises(UsageError, match="once"):
        books.start()
    books.close()


async def _enter(made: Any) -> None:
    async with made:
        pass


async def _await(made: Any) -> None:
    await made


@pytest.mark.parametrize("use", [_enter, _await])
async def test_asyncio_with_a_blocking_client_names_the_way_out(use: Callable[[Any], Any]) -> None:
    with pytest.raises(UsageError, match=BLOCKING_WAYS):
        await use(connect_blocking())


def test_a_forgotten_blocking_client_ends_by_itself_with_a_warning(from_thread: FromThread) -> None:
    before = set(threading.enumerate())
    books = connect_blocking().start()
    book = books["BTCUSDT"]
    seen: list[Status] = []
    books.on_update(lambda update: seen.append(update.status), "status")
    book.wait_synced(DEADLINE_S)
    threads = [each for each in threading.enumerate() if each not in before]
    with pytest.warns(ResourceWarning, match=r"1 live books were closed.*close\(\)"):
        del books
    for thread in threads:
        thread.join(DEADLINE_S)
    assert threads
    assert not any(thread.is_alive() for thread in threads)
    assert from_thread.networks[0].closed
    assert (book.status, seen[-1]) == (Status.CLOSED, Status.CLOSED)
    assert "Books object was garbage collected" in book.reason
