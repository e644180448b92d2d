"""Faults on real sockets: a book that says synced is right, and every book comes back."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

import depthcache
from depthcache import BookNotSynced, Policy, simulator
from depthcache.simulator import Faults, SimulatedExchange

pytestmark = pytest.mark.slow

DEADLINE_S = 60
SYMBOLS = {"binance.com": ["BTCUSDT", "ETHUSDT"], "binance.com-futures": ["BTCUSDT"]}
IMPATIENT = Policy(
    relapse_base_s=0.05, relapse_cap_s=0.1, retry_base_s=0.05, retry_cap_s=0.1, too_old_base_s=0.05,
    too_old_cap_s=0.1, connect_base_s=0.05, connect_cap_s=0.1, share=1.0, crossed_s=0.1,
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
