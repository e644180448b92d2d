"""A short run of the soak of a cluster (`make soak`), and the truth of its exchange."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path

import pytest

pytest.importorskip("cryptography")
pytest.importorskip("zenoh")

from benches import cluster_soak
from benches.thin_exchange import FIRST_ID, QUICK, STEPS, VENUE, ThinExchange, levels_at, symbols
from depthcache import Book

SEED = 1
pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="it reads /proc")


@pytest.mark.slow
def test_nodes_that_come_and_go_leave_nothing_behind() -> None:
    assert asyncio.run(cluster_soak.soak(joins=3, changes=0, seed=SEED, dying=0.0, idle_s=None)) == []


def test_the_exchange_of_the_benchmarks_is_what_its_formula_says() -> None:
    """Every update leads from the state before it to the next."""
    exchange = ThinExchange(books=QUICK + 1, interval_s=1.0)
    symbol = symbols(1)[0]
    session = exchange.accept(VENUE, f"/stream?streams={symbol.lower()}@depth@100ms", 0)
    book = Book(VENUE, symbol)
    snapshot = exchange.request(VENUE, f"/api/v3/depth?symbol={symbol}&limit=1000", 0)
    book.load_snapshot(snapshot.body)
    for number in range(2 * STEPS):
        exchange.advance(number * 100_000_000)
        for sent in session.take():
            book.apply(json.dumps(json.loads(sent.text)["data"]))
        exact = book.exact
        step = ((book.last_update_id or 0) - FIRST_ID) % STEPS
        for side, truth in zip((exact.bids, exact.asks), levels_at(step), strict=True):
            assert [tuple(level) for level in side] == [tuple(map(Decimal, level)) for level in truth]
    assert (book.last_update_id or 0) > FIRST_ID + STEPS
