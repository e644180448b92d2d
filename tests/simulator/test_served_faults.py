"""Faults on real sockets: a synced book is right, and every book recovers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

import depthcache
from depthcache import BookNotSynced, Policy, simulator
from depthcache.simulator import TINY, Faults, SimulatedExchange
from depthcache.simulator.http_server import Deflate

pytestmark = pytest.mark.slow

DEADLINE_S = 60
SYMBOLS = {"binance.com": ["BTCUSDT", "ETHUSDT"], "binance.com-futures": ["BTCUSDT"]}
IMPATIENT = Policy(
    relapse_base_s=0.05, relapse_cap_s=0.1, retry_base_s=0.05, retry_cap_s=0.1, too_old_base_s=0.05,
    too_old_cap_s=0.1, connect_base_s=0.05, connect_cap_s=0.1, limit_share=1.0, crossed_s=0.1,
)  # fmt: skip


@pytest.mark.parametrize(
    "faults",
    [
        Faults(seed=1, drop=0.05),
        Faults(seed=2, duplicate=0.2, reorder=0.3),
        Faults(seed=3, cut=0.05),
        Faults(seed=4, drop=0.05, lagging=0.5, slow=0.5, fail=0.2, late_ns=200_000_000),
    ],
    ids=lambda faults: f"seed {faults.seed}",
)
async def test_books_that_say_synced_are_right_and_all_come_back(faults: Faults) -> None:
    exchange = SimulatedExchange(SYMBOLS, seed=faults.seed, faults=faults)
    with simulator.Server(exchange) as server:
        settings = replace(server.settings, policy=IMPATIENT)
        async with (
            asyncio.timeout(DEADLINE_S),
            depthcache.connect(SYMBOLS, depth=1000, settings=settings) as books,
        ):
            checks = 0
            while sum(book.counters["snapshots"] - 1 for book in books) < 6:
                await asyncio.sleep(0)
                checks += judge(server, books)
            server.on_exchange(faults.end)
            await books.wait_synced(timeout=DEADLINE_S)
            for book in books:
                assert simulator.differences(book, server.truth(book.exchange, book.symbol)) == 0
            assert checks > 10


SEEN: dict[depthcache.LiveBook, int | None] = {}


def judge(server: simulator.Server, books: depthcache.Books) -> int:
    """Compare every book that moved; how many were."""
    compared = 0
    for book in books:
        if SEEN.get(book) == book.last_update_id:
            continue
        SEEN[book] = book.last_update_id
        try:
            wrong = simulator.differences(book, server.truth(book.exchange, book.symbol))
        except BookNotSynced:
            continue
        assert wrong == 0, repr(book)
        compared += 1
    return compared


# --- what only a socket can do wrong -------------------------------------------------------------------


ONE = {"binance.com": {"S0USDT": replace(TINY, levels=60)}}
TRANSPORTS = pytest.mark.parametrize("transport", ["native", "aiohttp"])


@asynccontextmanager
async def served(transport: str, *, deflate: Deflate = "never") -> AsyncIterator[tuple[Any, ...]]:
    """A server, its exchange, and the client's only book."""
    exchange = SimulatedExchange(ONE, seed=3)
    with simulator.Server(exchange, deflate=deflate) as server:
        settings = replace(server.settings, policy=IMPATIENT, transport=transport)
        async with (
            asyncio.timeout(DEADLINE_S),
            depthcache.connect("binance.com", ["S0USDT"], settings=settings) as books,
        ):
            yield server, exchange, books["S0USDT"]


async def until(is_true: Callable[[], bool]) -> None:
    while not is_true():  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0.001)


@TRANSPORTS
@pytest.mark.parametrize("fault", ["drip", "overlap", "duplicate", "drop", "corrupt", "truncate", "reorder"])
async def test_ordered_faults_of_diffs_on_real_sockets(fault: str, transport: str) -> None:
    async with served(transport) as (server, exchange, book):
        await book.wait_synced()
        server.on_exchange(lambda: exchange.trouble.next_diffs("binance.com", "S0USDT", fault))
        begun = book.last_update_id
        await until(lambda: exchange.trouble._next["binance.com", "S0USDT"] == deque())
        applied = book.counters["applied"]
        await until(lambda: book.counters["applied"] > applied + 3 and book.status == "synced")
        assert book.last_update_id > begun
        assert simulator.differences(book, server.truth("binance.com", "S0USDT")) == 0
        losses = {"drop": "gaps", "reorder": "gaps", "corrupt": "malformed", "truncate": "malformed"}
        assert book.counters["gaps"] + book.counters["malformed"] == (fault in losses)


@TRANSPORTS
@pytest.mark.parametrize("how", ["not listening", "reset", "refused"])
async def test_while_connecting_is_impossible_books_report_it_and_then_recover(
    how: str, transport: str
) -> None:
    async with served(transport) as (server, exchange, book):
        await book.wait_synced()
        trouble, connects = exchange.trouble, exchange.connects

        def begin() -> None:
            if how == "reset":
                trouble.reset_connects(3_600, exchange.now_ns)
            elif how == "refused":
                trouble.refuse_connects(3_600, exchange.now_ns)
            exchange.cut(exchange.now_ns)

        if how == "not listening":
            server.listen(on=False)
        server.on_exchange(begin)
        await until(lambda: book.status == "disconnected")
        connections = book._client.stats().connections
        await until(lambda: book._client.stats().connections[0].connects >= connections[0].connects + 3)
        assert exchange.connects == connects
        server.listen(on=True)
        server.on_exchange(lambda: trouble.reset_connects(0, 0))
        server.on_exchange(lambda: trouble.refuse_connects(0, 0))
        await book.wait_synced()
        assert simulator.differences(book, server.truth("binance.com", "S0USDT")) == 0


@TRANSPORTS
async def test_unrequested_compression_is_no_data_and_never_a_synced_book(transport: str) -> None:
    async with served(transport, deflate="unasked") as (_, exchange, book):
        await until(lambda: exchange.connects > 3)
        assert book.status != "synced"
        assert book.counters["applied"] == 0


@TRANSPORTS
async def test_a_server_that_can_compress_does_not_unless_asked(transport: str) -> None:
    async with served(transport, deflate="if_asked") as (server, _, book):
        await until(lambda: book.counters["applied"] > 3)
        assert simulator.differences(book, server.truth("binance.com", "S0USDT")) == 0


async def test_a_client_that_asks_for_compression_gets_it() -> None:
    with simulator.Server(SimulatedExchange(ONE, seed=3), deflate="if_asked") as server:
        url = f"{server.url}/binance.com/ws/s0usdt@depth@100ms"
        async with (
            asyncio.timeout(DEADLINE_S),
            aiohttp.ClientSession() as session,
            session.ws_connect(url, compress=15) as socket,
        ):
            assert socket.compress == 15
            assert (await socket.receive_json())["e"] == "depthUpdate"


@TRANSPORTS
@pytest.mark.parametrize("code", [1000, 1001, 1006, 1008, 1011])
async def test_after_every_way_to_end_a_connection_books_come_back(code: int, transport: str) -> None:
    async with served(transport) as (server, exchange, book):
        await book.wait_synced()
        server.on_exchange(lambda: exchange.close_all(exchange.now_ns, code, "by a test"))
        await until(lambda: exchange.connects == 2)
        await book.wait_synced()
        assert simulator.differences(book, server.truth("binance.com", "S0USDT")) == 0
        assert exchange.breaches == []
