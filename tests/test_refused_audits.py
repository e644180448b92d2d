"""An audit whose snapshot is refused ends with the exchange's error, and the book is unaffected."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

import depthcache
from depthcache import InvalidArgument, RequestRejected, blocking, simulator
from depthcache.client import audits
from depthcache.simulator import TINY, Server, SimulatedExchange

SPOT = "binance.com"


@pytest.fixture
def server() -> Iterator[Server]:
    with simulator.Server(SimulatedExchange({SPOT: {"S0USDT": TINY}}, seed=3)) as server:
        yield server


def refuse(server: Server, code: int, count: int = 1) -> None:
    exchange = server.exchange
    assert isinstance(exchange, SimulatedExchange)
    server.on_exchange(lambda: exchange.trouble.refuse_snapshots(SPOT, "S0USDT", code, count))


@pytest.mark.parametrize("code", [-1121, -4108])
async def test_it_raises_what_the_exchange_said(server: Server, code: int) -> None:
    async with depthcache.connect(SPOT, ["S0USDT"], settings=server.settings) as books:
        await books.wait_synced()
        [book] = books
        refuse(server, code)
        with pytest.raises(RequestRejected) as caught:
            await book.audit()
        assert (caught.value.status, caught.value.code) == (400, code)
        assert "symbol=S0USDT" in caught.value.url
        assert book.status == "synced"
        assert (await book.audit()).is_clean


def test_it_raises_the_same_where_calls_block(server: Server) -> None:
    with blocking.connect(SPOT, ["S0USDT"], settings=server.settings) as books:
        with pytest.raises(InvalidArgument, match="invalid levels 5001: expected 1 to 5,000"):
            books["S0USDT"].audit(5_001)
        books.wait_synced()
        [book] = books
        refuse(server, -1121)
        with pytest.raises(RequestRejected, match="Invalid symbol"):
            book.audit()
        assert book.status == "synced"


async def test_one_refusal_does_not_end_a_long_audit(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audits, "_BETWEEN_AUDITS_S", 0.02)
    async with depthcache.connect(SPOT, ["S0USDT"], settings=server.settings) as books:
        await books.wait_synced()
        [book] = books
        work = asyncio.create_task(book.audit(seconds=0.2))
        while not book.counters["refreshes"]:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.001)
        refuse(server, -1121)
        assert (await work).is_clean
