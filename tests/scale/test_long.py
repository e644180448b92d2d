"""Hours, bursts and thousands of follows and unfollows: nothing grows, and nothing breaks over time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from depthcache.simulator import TINY, Pair, SimulatedExchange

SPOT = "binance.com"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("interval_ms", "look_every_s", "looks"),
    [(TINY.interval_ms, 30, 240), (10_000, 900, 200)],
    ids=["two busy hours", "two quiet days"],
)
def test_hours_and_days_of_prices_that_cross_powers_of_ten_leave_no_wrong_level(
    interval_ms: int, look_every_s: int, looks: int
) -> None:
    """Prices are numbers: 9.99 and 10.00 are neighbours, whatever their texts say. Two days also outlive
    two connections."""
    market = replace(TINY, price_decimals=8, levels=40, interval_ms=interval_ms)
    near_ten = replace(market, start_price=10_00_000_000, tick=1_000_000)
    near_one = replace(market, start_price=1_00_000_000, tick=100_000)
    exchange = SimulatedExchange({SPOT: {"S0USDT": near_ten, "S1USDT": near_one}}, seed=7, history=2_000)
    pair = Pair(exchange)
    books = [pair.add(SPOT, symbol) for symbol in ("S0USDT", "S1USDT")]
    assert pair.run_until_synced()
    crossed = [False, False]
    for _ in range(looks):
        pair.run_for(look_every_s)
        assert pair.is_synced()
        assert pair.differences() == 0
        for number, (book, edge) in enumerate(zip(books, (10.0, 1.0), strict=True)):
            bids, asks = book.bids[:], book.asks[:]
            assert bids == sorted(bids, reverse=True)
            assert asks == sorted(asks)
            crossed[number] |= bids[-1].price < edge < asks[-1].price
    assert crossed == [True, True]
    assert all(book.counters["gaps"] == book.counters["corrections"] == 0 for book in books)


@pytest.mark.slow
def test_a_burst_of_ten_times_the_rate_leaves_nothing_behind() -> None:
    busy = replace(TINY, interval_ms=10, levels=200, levels_per_event=(3.0, 1.0, 0.7))
    exchange = SimulatedExchange({SPOT: {"S0USDT": busy}}, seed=7, history=20_000)
    pair = Pair(exchange)
    book = pair.add(SPOT, "S0USDT")
    assert pair.run_until_synced()
    for _ in range(12):
        pair.run_for(10)
        assert pair.differences() == 0
    assert book.counters["gaps"] == book.counters["dropped_buffers"] == 0


@pytest.mark.slow
def test_a_thousand_books_that_come_and_go_leave_nothing_behind() -> None:
    symbols = {SPOT: {f"S{number}USDT": TINY for number in range(10)}}
    exchange = SimulatedExchange(symbols, seed=7, history=500)
    pair = Pair(exchange)
    pair.add(SPOT, "S0USDT")
    assert pair.run_until_synced()
    pair.run_for(20)
    core = pair._runner._core

    def held() -> tuple[int, ...]:
        context = core._context
        return (
            len(core._markets),
            len(context.slots_by_connection),
            len(context.touched),
            sum(scheduler.waiting + scheduler.in_flight for scheduler in core.schedulers()),
            sum(len(slot.subscriptions) for slot in core.slots()),
            sum(len(listing._watchers) for listing in core._listings.values()),
        )

    before = held()
    for number in range(1_000):
        symbol = f"S{1 + number % 9}USDT"
        pair.add(SPOT, symbol)
        pair.run_for(0.7 if number % 3 else 0.01)
        pair.remove(SPOT, symbol)
    pair.run_for(60)
    assert held() == before
    assert len(core._context.deadlines._pending) < 30
    assert pair.is_synced()
    assert pair.differences() == 0
    assert exchange.breaches == []
