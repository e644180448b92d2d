"""Books that come and go leave nothing behind in a client."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest

import depthcache
from benches.growth import entries, grown
from depthcache import BookClosed, UnknownSymbol
from tests.core.harness import Bench
from tests.engine import Engine
from tests.support.by_hand import ByHand

EXCHANGE = "binance.com"
DEADLINE_S = 20.0


async def left(books: depthcache.Books, before: Counter[str], exchange: list[ByHand]) -> list[str]:
    """What is left, once there was time to unsubscribe."""
    ends_s = time.monotonic() + DEADLINE_S
    while found := grown(before, entries(books._client, without=exchange)):
        if time.monotonic() > ends_s:
            break
        await asyncio.sleep(0.01)
    return found


async def come_and_go(books: depthcache.Books, symbols: list[str]) -> None:
    for symbol in symbols:
        books.add(symbol)
    await books.wait_synced(DEADLINE_S)
    for symbol in symbols:
        books.remove(symbol)


@pytest.mark.slow
async def test_books_that_were_removed_leave_nothing_in_their_client(exchange: list[ByHand]) -> None:
    async with depthcache.connect(EXCHANGE, ["BTCUSDT"], settings=depthcache.Settings()) as books:
        await books.wait_synced(DEADLINE_S)
        before = entries(books._client, without=exchange)
        await come_and_go(books, [f"A{number}USDT" for number in range(50)])
        assert await left(books, before, exchange) == []


@pytest.mark.slow
async def test_an_unknown_book_is_forgotten_once_it_is_removed(exchange: list[ByHand]) -> None:
    async with depthcache.connect(EXCHANGE, ["BTCUSDT"], settings=depthcache.Settings()) as books:
        await books.wait_synced(DEADLINE_S)
        before = entries(books._client, without=exchange)
        exchange[0].unknown.add("NOUSDT")
        book = books.add("NOUSDT")
        with pytest.raises(UnknownSymbol):
            await book.wait_synced(DEADLINE_S)
        books.remove("NOUSDT")
        with pytest.raises(BookClosed):
            await book.wait_synced(DEADLINE_S)
        assert await left(books, before, exchange) == []


def test_markets_that_were_removed_leave_nothing_in_the_core(engine: Engine) -> None:
    bench = Bench(router=engine.Router())
    bench.add("BTCUSDT")
    found: list[Counter[str]] = []
    for count in (5, 100):
        symbols = [f"A{number}B{count}USDT" for number in range(count)]
        bench.add(*symbols)
        bench.run_until(bench.all_synced, within_s=60)
        for symbol in symbols:
            bench.core.remove(bench.ids.pop(symbol), bench.now_ns)
        bench.run(70)
        found.append(entries(bench.core, without=[bench.router]))
    assert grown(*found) == []
    assert bench.synced() == 1
