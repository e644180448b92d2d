"""One bad minute on real sockets: a cut, a dead connection, a ban, lagging snapshots, a silent symbol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import depthcache
from depthcache import BookNotSynced, Policy, Settings, simulator

SPOT = "binance.com"
SYMBOLS = [f"S{number}USDT" for number in range(12)]


class Minute:
    """A client and an exchange on loopback, and what is asked of both."""

    def __init__(self, server: simulator.Server, books: depthcache.Books) -> None:
        self.server, self.books = server, books
        self.exchange: Any = server.exchange

    def do(self, work: Callable[[Any, int], object]) -> None:
        """Something happens to the exchange; it is given itself and its time."""
        self.server.on_exchange(lambda: work(self.exchange, self.exchange.now_ns))

    async def until(self, true: Callable[[], bool], *, within_s: float) -> None:
        async with asyncio.timeout(within_s):
            while not true():  # noqa: ASYNC110 - the books are looked at as a user would
                await asyncio.sleep(0.02)

    async def is_right(self) -> None:
        """All books come back by themselves and are the exchange's."""
        await self.books.wait_synced(timeout=30)
        await self.until(self.all_right, within_s=30)  # a busy machine applies the newest update late

    def all_right(self) -> bool:
        """Whether all books are synced, and the exchange's."""
        if any(book.status != "synced" for book in self.books):
            return False
        pairs = [(book, self.server.truth(SPOT, book.symbol)) for book in self.books]
        try:
            return not any(simulator.differences(book, truth) for book, truth in pairs)
        except BookNotSynced:  # since it was looked at
            return False


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["native", "aiohttp"])
async def test_a_bad_minute_is_noticed_said_and_healed(transport: str) -> None:
    exchange = simulator.SimulatedExchange({SPOT: SYMBOLS}, seed=8)
    with simulator.Server(exchange) as server:
        policy = Policy(silence_s=2.0, silence_cap_s=3.0, first_data_s=1.0)
        settings = Settings(
            endpoints=server.settings.endpoints, proxies=False, policy=policy, transport=transport
        )
        async with depthcache.connect(SPOT, SYMBOLS, settings=settings) as books:
            minute = Minute(server, books)
            await minute.is_right()

            minute.do(lambda each, now_ns: each.cut(now_ns))
            await minute.until(lambda: books["S0USDT"].status != "synced", within_s=2)
            await minute.is_right()

            minute.do(lambda each, _: each.trouble.silence(SPOT, "S3USDT"))
            await minute.until(lambda: books["S3USDT"].status == "stale", within_s=15)
            assert books["S4USDT"].status == "synced"
            minute.do(lambda each, _: each.trouble.resume(SPOT, "S3USDT"))
            await minute.is_right()

            minute.do(lambda each, now_ns: each.trouble.ban(SPOT, 3, now_ns))
            minute.do(lambda each, now_ns: each.cut(now_ns))
            await minute.until(lambda: "stopped" in books["S0USDT"].reason, within_s=5)
            await minute.is_right()

            minute.do(lambda each, _: each.trouble.lag_snapshots(SPOT, 3))
            minute.do(lambda each, now_ns: each.close_all(now_ns, 1001, "maintenance"))
            await minute.until(lambda: books["S0USDT"].status != "synced", within_s=2)
            await minute.until(minute.all_right, within_s=20)
            minute.do(lambda each, _: each.trouble.lag_snapshots(SPOT, 0))

            minute.do(lambda each, now_ns: each.half_open(now_ns))
            await minute.until(lambda: books["S0USDT"].status == "disconnected", within_s=15)
            await minute.is_right()
    assert exchange.breaches == []
