"""Hundreds of books on a virtual clock with the exchange's real weights: how fast, how deep, at what cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from depthcache import BookReader, Policy
from depthcache.simulator import Pair, Profile, SimulatedExchange
from depthcache.simulator.interface import Cut
from depthcache.simulator.profiles import profile_of

SECOND = 1_000_000_000
ROUND_TRIP_NS = 350_000_000
SHARE = 3_000  # half of 6,000 a minute
COUNT = 500


def profile(number: int) -> Profile:
    """One symbol in fifty trades like BTCUSDT, one in ten like ETHUSDT, the others are thin."""
    if number < COUNT // 50:
        return replace(profile_of("spot", "BTCUSDT"), levels=1500)
    if number < COUNT // 10:
        burst = (1.2, 0.8, 0.5)
        return replace(profile_of("spot", "ETHUSDT"), levels=1200, interval_ms=300, levels_per_event=burst)
    thin = profile_of("spot", "NEXOUSDT")
    return replace(thin, interval_ms=1500 + number * 37 % 9000, levels=150 + number * 13 % 300)


def world(*, depth: int = 100, bootstrap: bool = False, **choices: float) -> Pair:
    symbols = {"binance.com": {f"S{number}USDT": profile(number) for number in range(COUNT)}}
    exchange = SimulatedExchange(symbols, seed=1, history=3_000)
    pair = Pair(
        exchange, policy=Policy(bootstrap_from_depth20=bootstrap, **choices), latency_ns=ROUND_TRIP_NS // 2
    )
    for number in range(COUNT):
        pair.add("binance.com", f"S{number}USDT", depth=depth)
    return pair


def complete(book: BookReader, levels: int) -> bool:
    """Whether so many levels a side are proven, or the whole side is."""
    whole = (0.0, float("inf"))
    bounds = zip(book.coverage, book.complete_to, whole, strict=True)
    return book.status == "synced" and all(held >= levels or edge == end for held, edge, end in bounds)


def moments(pair: Pair, *, step_s: float, until_s: float) -> Iterator[float]:
    while pair.now_ns < until_s * SECOND:
        pair.run_for(step_s)
        yield pair.now_ns / SECOND


def spent(pair: Pair) -> int:
    """Weight of the last minute."""
    return pair.exchange.limits.most("binance.com")


@pytest.mark.slow
def test_500_spot_books_have_20_complete_levels_within_15_seconds_by_rest_at_half_the_limit() -> None:
    pair = world()
    took = next(
        at_s
        for at_s in moments(pair, step_s=0.25, until_s=60)
        if all(complete(book, 20) for book in pair.books.values())
    )
    assert took <= 15
    assert spent(pair) <= SHARE
    assert pair.exchange.breaches == []
    assert pair.differences() == 0


@pytest.mark.slow
def test_500_spot_books_have_20_complete_levels_within_5_seconds_with_seeding() -> None:
    pair = world(bootstrap=True)
    took = next(
        at_s
        for at_s in moments(pair, step_s=0.25, until_s=60)
        if all(complete(book, 20) for book in pair.books.values())
    )
    assert took <= 5
    assert pair.exchange.breaches == []
    assert pair.differences() == 0


@pytest.mark.slow
def test_until_all_have_100_levels_hardly_any_book_has_fewer_than_20() -> None:
    pair = world()
    pair.run_for(15)
    seen = thin = 0
    at_s = 0.0
    for at_s in moments(pair, step_s=1.0, until_s=900):  # noqa: B007
        seen += COUNT
        thin += sum(not complete(book, 20) for book in pair.books.values())
        if all(complete(book, 100) for book in pair.books.values()):
            break
    assert at_s < 900
    assert thin <= 0.001 * seen
    assert spent(pair) <= SHARE
    assert pair.exchange.breaches == []
    assert pair.differences() == 0


@pytest.mark.slow
def test_500_books_of_1000_levels_take_no_longer_than_their_weight_at_the_share() -> None:
    pair = world(depth=1000)
    at_s = 0.0
    for at_s in moments(pair, step_s=5.0, until_s=1800):  # noqa: B007
        if all(complete(book, 800) for book in pair.books.values()):
            break
    assert at_s < 1800
    assert at_s <= 1.15 * pair.exchange.limits.all("binance.com") / SHARE * 60
    assert at_s < 33 * 60 / 2  # what UNICORN needs for 500 books: 33 minutes (one snapshot in 4 s)
    assert spent(pair) <= SHARE
    assert pair.exchange.breaches == []


@pytest.mark.slow
def test_one_dropped_connection_of_three_is_healed_at_once_and_touches_no_other_book() -> None:
    pair = world()
    pair.run_for(400)
    first = pair.exchange.sessions()[0]
    carried = {name.partition("@")[0].upper() for name in first.streams}
    others = {key: book for key, book in pair.books.items() if key[1] not in carried}
    before = {key: book.counters["snapshots"] for key, book in others.items()}
    first.end(Cut(), pair.now_ns)
    pair.run_for(0.5)
    assert sum(book.status == "synced" for book in pair.books.values()) == len(others) == COUNT - 200
    assert pair.run_until_synced(within_s=15)
    assert {key: book.counters["snapshots"] for key, book in others.items()} == before
    assert pair.exchange.breaches == []


@pytest.mark.slow
def test_while_another_program_spends_70_percent_nobody_is_refused() -> None:
    symbols = {"binance.com": {f"S{number}USDT": profile(COUNT) for number in range(300)}}
    exchange = SimulatedExchange(symbols, seed=1, history=3_000)
    exchange.trouble.foreign_weight("binance.com", 0.7)
    pair = Pair(exchange, latency_ns=ROUND_TRIP_NS // 2)
    for number in range(300):
        pair.add("binance.com", f"S{number}USDT")
    assert pair.run_until_synced(within_s=300)
    pair.run_for(300)
    assert exchange.breaches == []


@pytest.mark.slow
def test_in_a_week_of_renewals_no_book_is_ever_out_of_sync() -> None:
    """One event per 10 s and book, a cut after 24 h of each connection: none is seen by a book."""
    quiet = replace(profile_of("spot", "NEXOUSDT"), interval_ms=10_000, levels=60)
    symbols = [f"S{number}USDT" for number in range(6)]
    exchange = SimulatedExchange({"binance.com": dict.fromkeys(symbols, quiet)}, seed=3, history=500)
    policy = Policy(streams_per_connection=3, silence_s=120.0, silence_cap_s=600.0, refresh_s=0.0)
    pair = Pair(exchange, policy=policy)
    for symbol in symbols:
        pair.add("binance.com", symbol)
    assert pair.run_until_synced(within_s=10)
    pair.notices.clear()
    pair.run_for(7 * 86_400)
    assert exchange.connects >= 2 * 7
    assert pair.notices == []
    assert all(book.counters["gaps"] == 0 for book in pair.books.values())
    assert pair.is_synced()
    assert pair.differences() == 0
    assert exchange.breaches == []
