"""A consumer that never reads, during the market's busiest minute: on a virtual clock, on both engines.

Complaint 5 of the survey: with other clients, a slow consumer breaks the feed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from depthcache import Status, reference
from depthcache.simulator import TINY, Faults, Pair, SimulatedExchange
from tests.engine import sides

KEY = ("binance.com", "BTCUSDT")
BURST = replace(TINY, interval_ms=TINY.interval_ms // 10)
ENGINES = {"native": lambda: None, "reference": reference.Router}
MODES: dict[str, dict[str, Any]] = {
    "latest": {},
    "interval": {"interval_ms": 250},
    "best": {},
    "levels": {"levels": 5},
    "every": {"buffer": 100},
}


def taken(stream: Any, pair: Pair) -> list[Any]:
    items = []
    while (item := stream.take_now(pair.now_ns)) is not None:
        items.append(item)
    return items


def busy(engine: str, **more: Any) -> Pair:
    """A client of an exchange that moves ten times as fast as usual, synced."""
    exchange = SimulatedExchange({"binance.com": {"BTCUSDT": BURST}}, seed=3, **more)
    pair = Pair(exchange, seed=3, router=ENGINES[engine]())
    pair.add(*KEY, depth=1)
    assert pair.run_until_synced()
    return pair


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_consumer_that_sleeps_a_minute_in_a_burst_loses_states_and_nothing_else(engine: str) -> None:
    pair = busy(engine)
    book = pair.books[KEY]
    streams = {mode: pair.follow(mode, of=KEY, **options) for mode, options in MODES.items()}
    before = {mode: taken(stream, pair) for mode, stream in streams.items()}
    assert all(len(items) == 1 and items[0].is_fresh for items in before.values())
    began = book.counters["applied"]
    most = 0

    def look() -> None:
        nonlocal most
        most = max(most, *(stream.held_bytes for stream in streams.values()))

    pair.on_step = look
    pair.run_for(60)
    assert book.status is Status.SYNCED
    assert pair.differences() == 0, "the book does not know of its consumers"
    applied = book.counters["applied"] - began
    assert applied > 500, "a burst"
    assert most <= 1_000_000
    for mode, stream in streams.items():
        items = taken(stream, pair)
        last = items[-1]
        assert sum(item.skipped for item in items) + sum(not item.is_fresh for item in items) == applied, mode
        assert last.last_update_id == book.last_update_id, mode
        assert last.best == book.best, "the next state is the present"
        assert len(items) == (101 if mode == "every" else 1), mode
        assert (stream.held, stream.held_bytes) == (0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_an_interval_brings_the_newest_book_on_a_grid_that_does_not_drift(engine: str) -> None:
    pair = busy(engine)
    at: list[int] = []
    stream: Any = None

    def come() -> None:
        at.extend(pair.now_ns for _ in taken(stream, pair))

    stream = pair.follow("interval", interval_ms=250, of=KEY, on_ready=come)
    start_ns = pair.now_ns
    come()
    pair.run_for(60)
    steps = [(each - start_ns) % 250_000_000 for each in at]
    assert set(steps) == {0}
    assert 200 < len(at) <= 241
    assert sorted(set(at)) == at


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_the_changes_of_every_update_make_the_book_again_whatever_goes_wrong(engine: str) -> None:
    for seed in range(1, 7):
        faults = Faults(
            seed=seed, drop=0.02, duplicate=0.05, reorder=0.05, cut=0.002, lagging=0.5, until_ns=20 * 10**9
        )
        pair = busy(engine, faults=faults)
        replay = Replay(pair)
        pair.on_step = replay.look
        pair.run_for(25)
        pair.audit(*KEY)
        pair.run_for(3)
        assert replay.compared > 50
        assert replay.fresh > 1, "faults made it begin anew"


class Replay:
    """Goes on from fresh books by changes, and compares with the book at every update id."""

    def __init__(self, pair: Pair, **options: Any) -> None:
        self.pair, self.book = pair, pair.books[KEY]
        self.stream = pair.follow("every", None, of=KEY, **options)
        self.held: list[dict[Any, Any]] = [{}, {}]
        self.compared = self.fresh = self.brought = self.skipped = 0

    def look(self) -> None:
        for item in taken(self.stream, self.pair):
            self.take(item)
            if item.status is Status.SYNCED:
                assert [sorted(side.items()) for side in self.held] == [
                    sorted(side) for side in (item.exact.bids, item.exact.asks)
                ], f"{item!r}"
                self.compared += 1
        if self.book.status is Status.SYNCED:
            assert [sorted(side.items()) for side in self.held] == [
                sorted(side) for side in (self.book.exact.bids, self.book.exact.asks)
            ]

    def take(self, item: Any) -> None:
        self.skipped += item.skipped
        if item.status is not Status.SYNCED:
            return
        if item.is_fresh:
            self.fresh += 1
            self.held = [dict(side) for side in (item.exact.bids, item.exact.asks)]
            return
        self.brought += 1
        for held, changed in zip(self.held, item.exact.changes, strict=True):
            for price, quantity in changed:
                assert held.get(price, 0) != quantity, "what changed is another"
                if quantity:
                    held[price] = quantity
                else:
                    del held[price]


@pytest.mark.slow
def test_many_books_in_one_stream_keep_their_order_and_their_counts() -> None:
    symbols = [f"COIN{number}USDT" for number in range(20)]
    exchange = SimulatedExchange({"binance.com": dict.fromkeys(symbols, TINY)}, seed=5)
    pair = Pair(exchange, seed=5)
    stream = pair.follow("latest")
    for symbol in symbols:
        pair.add("binance.com", symbol, depth=1)
    assert pair.run_until_synced()
    told: dict[str, list[Any]] = {symbol: [] for symbol in symbols}
    for _ in range(20):
        items = taken(stream, pair)
        for item in items:
            told[item.symbol].append(item)
        assert len({item.symbol for item in items}) == len(items), "each book once"
        pair.run_for(0.7)
    for item in taken(stream, pair):
        told[item.symbol].append(item)
    for symbol, items in told.items():
        applied = pair.books["binance.com", symbol].counters["applied"]
        assert sum(item.skipped for item in items) + sum(not item.is_fresh for item in items) == applied
        ids = [item.last_update_id for item in items]
        assert ids == sorted(ids)
        assert ids[-1] == pair.books["binance.com", symbol].last_update_id
    pair.close()
    assert {item.status for item in taken(stream, pair)} == {Status.CLOSED}
    assert stream.is_closed


def test_sides_of_a_replay_are_those_of_the_book() -> None:
    pair = busy("native")
    item = taken(pair.follow("every", None, of=KEY), pair)[0]
    assert sides(item) == sides(pair.books[KEY].freeze())
