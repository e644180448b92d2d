"""Without the event loop, silence is detected natively, and books of an ended loop are closed."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import depthcache
from depthcache import BookClosed, Settings, Status, UsageError, blocking, simulator
from depthcache._native import _pretend
from tests.support.process import DEADLINE_S, eventually, native_threads

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # clients are forgotten on purpose

S = 1_000_000_000
WANTED = ("binance.com", ["BTCUSDT", "ETHUSDT"])


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """What is forgotten is destroyed in the test that forgets it: its warnings would fail a later one."""
    yield
    gc.collect()


@pytest.fixture
def server() -> Iterator[simulator.Server]:
    with simulator.serve(seed=5, symbols={"binance.com": ["BTCUSDT", "ETHUSDT"]}) as server:
        yield server


@pytest.fixture
def settings(server: simulator.Server, transport: str) -> Settings:
    return replace(server.settings, transport=transport)  # type: ignore[arg-type]


def sessions(server: simulator.Server) -> int:
    exchange = server.exchange
    return server.on_exchange(lambda: len(exchange.sessions()))  # type: ignore[attr-defined]


async def begin(settings: Settings) -> depthcache.Books:
    """A client that nobody closes."""
    books = await depthcache.connect(*WANTED, settings=settings).__aenter__()
    await books.wait_synced()
    return books


def returned(settings: Settings) -> depthcache.Books:
    return asyncio.run(begin(settings))


def closed(settings: Settings) -> depthcache.Books:
    loop = asyncio.new_event_loop()
    books = loop.run_until_complete(begin(settings))
    loop.close()
    return books


def on_a_thread(settings: Settings) -> depthcache.Books:
    loop, made = asyncio.new_event_loop(), []
    thread = threading.Thread(target=lambda: made.append(loop.run_until_complete(begin(settings))))
    thread.start()
    thread.join()
    return made[0]


@pytest.mark.parametrize("end", [returned, closed, on_a_thread])
def test_books_of_a_loop_that_has_ended_are_closed(
    end: Callable[[Settings], depthcache.Books], settings: Settings, server: simulator.Server
) -> None:
    books = end(settings)
    book = books["BTCUSDT"]
    eventually(lambda: book.status is Status.CLOSED)
    assert book.reason == "the event loop ended before the client was closed"
    with pytest.raises(BookClosed, match="the event loop ended"):
        _ = book.best
    with pytest.raises(BookClosed):
        books.add("BNBUSDT")
    asyncio.run(books.aclose())
    eventually(lambda: sessions(server) == 0)


def test_a_client_is_closed_at_once_after_its_loop(settings: Settings, server: simulator.Server) -> None:
    loop = asyncio.new_event_loop()
    books = loop.run_until_complete(depthcache.connect(*WANTED, settings=settings).__aenter__())
    loop.close()
    asyncio.run(books.aclose())
    assert [book.status for book in books] == [Status.CLOSED, Status.CLOSED]
    asyncio.run(books.aclose())
    eventually(lambda: sessions(server) == 0)


async def test_another_loop_cannot_close_a_client_that_goes_on(settings: Settings) -> None:
    books = await begin(settings)
    with pytest.raises(UsageError, match="another event loop"):
        await asyncio.to_thread(asyncio.run, books.aclose())
    assert books["BTCUSDT"].status is Status.SYNCED
    await books.aclose()


FORGOTTEN = """
import asyncio, depthcache
async def main():
    books = await depthcache.connect("binance.com", ["BTCUSDT"])
    await books.wait_synced()
    print(books["BTCUSDT"].status)
asyncio.run(main())
"""


def test_a_program_that_forgets_its_client_ends_without_a_word_of_sessions(
    server: simulator.Server, transport: str
) -> None:
    environment = os.environ | dict(server.environment) | {"DEPTHCACHE_TRANSPORT": transport}
    ran = subprocess.run(
        [sys.executable, "-c", FORGOTTEN],
        env=environment | {"PYTHONWARNINGS": "", "PYTHONDEVMODE": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.stdout, ran.stderr, ran.returncode) == ("synced\n", "", 0)


def test_followers_and_waiters_are_notified_of_the_end(settings: Settings) -> None:
    heard: list[list[Status]] = [[], []]

    async def main() -> depthcache.Books:
        books = await begin(settings)
        books.on_update(lambda update: heard[0].append(update.status), "status")
        stream = books["BTCUSDT"].updates("status")
        heard[1].append((await anext(stream)).status)
        kept.append(stream)
        return books

    kept: list[depthcache.Updates] = []
    asyncio.run(main())
    follower = kept[0]._follower
    eventually(lambda: (item := follower.take(0)) is not None and item.status is Status.CLOSED)
    eventually(lambda: follower.take(0) is None and follower.is_over)
    assert heard[1] == [Status.SYNCED]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the system does not tell its threads")
def test_no_thread_is_left_of_a_loop_that_has_ended(settings: Settings) -> None:
    gc.collect()
    before = native_threads()
    books = [returned(settings) for _ in range(3)]
    eventually(lambda: all(each["BTCUSDT"].status is Status.CLOSED for each in books))
    eventually(lambda: native_threads() <= before + 1)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the system does not tell its threads")
def test_a_client_that_is_forgotten_with_its_loop_leaves_no_thread(settings: Settings) -> None:
    gc.collect()
    before = native_threads()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin(settings))
    del loop

    def gone() -> bool:
        gc.collect()
        return native_threads() <= before

    eventually(gone)


def test_the_books_of_a_blocking_client_whose_loop_is_stopped_are_closed(settings: Settings) -> None:
    books = blocking.connect(*WANTED, settings=settings).__enter__()
    books.wait_synced()
    book, heard = books["BTCUSDT"], []
    books.on_update(lambda update: heard.append(update.status), "status")
    stream = book.updates()
    follows = threading.Thread(target=lambda: heard.extend(update.status for update in stream))
    follows.start()
    loop = books._thread._loop
    assert loop is not None
    loop.call_soon_threadsafe(loop.stop)
    eventually(lambda: book.status is Status.CLOSED)
    follows.join(DEADLINE_S)
    assert not follows.is_alive()
    eventually(lambda: heard.count(Status.CLOSED) >= 2)
    with pytest.raises(RuntimeError):  # asyncio's own word for it
        books.close()
    books.close()


def test_an_idle_loop_has_not_ended_and_its_books_recover_when_it_runs_again(
    settings: Settings, transport: str, server: simulator.Server
) -> None:
    loop = asyncio.new_event_loop()
    books = loop.run_until_complete(begin(settings))
    book = books["BTCUSDT"]
    router = books._client._router
    for market in books._client.markets():
        router.set_time_to_detect(market, 2 * S)
    exchange = server.exchange
    server.on_exchange(lambda: exchange.trouble.silence("binance.com", "BTCUSDT"))  # type: ignore[attr-defined]
    _pretend(4 * S)
    eventually(lambda: book.status is Status.STALE)
    silent = "no update for 2 s while the event loop is blocked"
    assert book.reason == silent or (transport == "aiohttp" and "is blocked" in book.reason)
    server.on_exchange(lambda: exchange.trouble.resume("binance.com", "BTCUSDT"))  # type: ignore[attr-defined]
    loop.run_until_complete(books.wait_synced(timeout=DEADLINE_S))
    assert simulator.differences(book, server.truth("binance.com", "BTCUSDT")) == 0
    loop.run_until_complete(books.aclose())
    loop.close()


def test_a_native_book_whose_diffs_flow_stays_synced_however_long_the_loop_is_held(
    settings: Settings, transport: str
) -> None:
    if transport != "native":
        pytest.skip("these books are carried by the loop")
    loop = asyncio.new_event_loop()
    books = loop.run_until_complete(begin(settings))
    book, seen = books["BTCUSDT"], set()
    for market in books._client.markets():
        books._client._router.set_time_to_detect(market, 6 * S)
    for _ in range(10):  # 40 s in which nobody lets the loop run
        _pretend(4 * S)
        applied = book.counters["applied"]
        while book.counters["applied"] == applied:
            seen.add((book.status, book.reason))
    assert {status for status, _ in seen} == {Status.SYNCED}, seen
    loop.run_until_complete(books.aclose())
    loop.close()


async def test_who_cancels_all_tasks_does_not_make_the_client_deaf(
    settings: Settings, server: simulator.Server
) -> None:
    books = await begin(settings)
    try:
        mine = asyncio.current_task()
        for task in asyncio.all_tasks() - {mine}:
            task.cancel()
        exchange = server.exchange
        await asyncio.sleep(0)
        server.on_exchange(lambda: exchange.reset_ids("binance.com", "BTCUSDT"))  # type: ignore[attr-defined]
        await books.wait_synced(timeout=DEADLINE_S)
        server.on_exchange(lambda: exchange.close_all(exchange.now_ns, 1001))  # type: ignore[attr-defined]
        async with asyncio.timeout(DEADLINE_S):
            while not books["BTCUSDT"].reconnects:  # noqa: ASYNC110 - looked at as a user would
                await asyncio.sleep(0.01)
        await books.wait_synced(timeout=DEADLINE_S)
    finally:
        await books.aclose()
