"""Books on a hostile network, on a virtual clock: faults are detected in time and recovered from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from depthcache import Policy, venues
from depthcache.core.notices import Ending
from depthcache.core.requests.budget import Budgets
from depthcache.simulator import TINY, Pair, SimulatedExchange
from depthcache.simulator.interface import Cut
from depthcache.simulator.profiles import profile_of

SECOND = 1_000_000_000
BUSY = replace(TINY, levels=60)
QUIET = replace(profile_of("spot", "NEXOUSDT"), interval_ms=20_000, levels=60)
SPOT, FUTURES = "binance.com", "binance.com-futures"


def flowing(count: int = 3, venue: str = SPOT, *, policy: Policy | None = None, **options: object) -> Pair:
    symbols = {venue: {f"S{number}USDT": BUSY for number in range(count)}}
    exchange = SimulatedExchange(symbols, seed=5, history=5_000, **options)  # type: ignore[arg-type]
    pair = Pair(exchange, policy=policy)
    for number in range(count):
        pair.add(venue, f"S{number}USDT")
    assert pair.run_until_synced(within_s=15)
    pair.run_for(5)
    pair.notices.clear()
    return pair


def until(pair: Pair, true: Callable[[], bool], *, within_s: float) -> float:
    """How long it takes, in seconds."""
    begun_ns = pair.now_ns
    while not true():
        assert pair.now_ns - begun_ns <= within_s * SECOND, f"not true within {within_s} s"
        pair.run_for(0.1)
    return (pair.now_ns - begun_ns) / SECOND


def heals(pair: Pair, *, within_s: float) -> None:
    """All books come back by themselves and are right."""
    assert pair.run_until_synced(within_s=within_s)
    pair.run_for(3)
    assert pair.is_synced()
    assert pair.differences() == 0
    assert pair.exchange.breaches == []


BOTH = pytest.mark.parametrize("venue", [SPOT, FUTURES])


# --- silence -------------------------------------------------------------------------------------------


@BOTH
def test_a_half_open_connection_is_noticed_within_15_seconds(venue: str) -> None:
    pair = flowing(venue=venue)
    pair.exchange.half_open(pair.now_ns)
    book = pair.books[venue, "S0USDT"]
    assert until(pair, lambda: book.status != "synced", within_s=60) <= 15
    assert book.status == "disconnected"
    assert "nothing received" in book.reason
    heals(pair, within_s=5)


@BOTH
def test_a_subscription_that_never_delivers_is_noticed_within_10_seconds(venue: str) -> None:
    exchange = SimulatedExchange({venue: {"S0USDT": BUSY, "S1USDT": BUSY}}, seed=5)
    pair = Pair(exchange)
    pair.add(venue, "S0USDT")
    assert pair.run_until_synced()
    exchange.trouble.silence_new(venue)
    book = pair.add(venue, "S1USDT")
    assert pair.run_until_synced()
    assert until(pair, lambda: book.status != "synced", within_s=60) <= 10
    assert book.status == "stale"
    exchange.trouble.silence_new(venue, on=False)
    heals(pair, within_s=60)


@pytest.mark.slow
@BOTH
def test_one_silent_symbol_of_200_is_noticed_within_60_seconds_and_alone(venue: str) -> None:
    pair = flowing(200, venue)
    pair.exchange.trouble.silence(venue, "S7USDT")
    book = pair.books[venue, "S7USDT"]
    assert until(pair, lambda: book.status != "synced", within_s=90) <= 60
    assert {notice.market for notice in pair.notices} == {8}
    pair.exchange.trouble.resume(venue, "S7USDT")
    heals(pair, within_s=30)
    assert pair.exchange.connects == 1


def test_a_symbol_that_is_quiet_by_nature_is_never_doubted() -> None:
    exchange = SimulatedExchange({SPOT: {"S0USDT": QUIET}}, seed=5, history=5_000)
    pair = Pair(exchange)
    pair.add(SPOT, "S0USDT")
    pair.run_for(1_800)
    assert [notice.status for notice in pair.notices] == ["synced"]
    assert exchange.connects == 1


# --- requests ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ban", "limit_hit", "forbid", "not_here"])
def test_while_the_address_is_refused_nobody_asks_and_then_books_come_back(kind: str) -> None:
    pair = flowing()
    getattr(pair.exchange.trouble, kind)(SPOT, 45, pair.now_ns)
    before = pair.exchange.limits.all(SPOT)
    pair.exchange.cut(pair.now_ns)
    pair.run_for(40)
    assert pair.exchange.limits.all(SPOT) == before
    assert "requests are stopped" in pair.books[SPOT, "S0USDT"].reason
    heals(pair, within_s=90)


@pytest.mark.slow
def test_an_outage_of_an_hour_ends_with_right_books_and_without_a_storm() -> None:
    pair = flowing()
    pair.exchange.trouble.outage(SPOT, 3_600, pair.now_ns)
    pair.exchange.cut(pair.now_ns)
    before = pair.exchange.connects
    pair.run_for(3_600)
    assert not pair.is_synced()
    heals(pair, within_s=60)
    assert pair.exchange.connects - before < 10


@BOTH
def test_snapshots_of_a_node_that_lags_30_seconds_converge(venue: str) -> None:
    pair = flowing(venue=venue)
    pair.exchange.trouble.lag_snapshots(venue, 30)
    pair.run_for(40)
    pair.exchange.cut(pair.now_ns)
    pair.run_for(40)  # the first snapshots are older than the connection
    heals(pair, within_s=50)


def test_an_option_whose_snapshots_are_cached_for_half_a_minute_is_right_when_it_says_so() -> None:
    venue, symbol = "binance.com-vanilla-options", "BTC-261225-126000-C"
    exchange = SimulatedExchange({venue: [symbol]}, seed=5)
    first = Pair(exchange)
    first.add(venue, symbol)
    first.run_for(100)
    late = Pair(exchange)
    late._network.step(first.now_ns)
    book = late.add(venue, symbol)
    while book.status != "synced":
        late.run_for(0.25)
        assert late.now_ns - first.now_ns < 120 * SECOND
    assert late.differences() == 0


@pytest.mark.slow
def test_an_option_whose_stream_dies_while_its_snapshots_are_old_is_found_and_healed() -> None:
    """A look after 30 s, with a snapshot of up to a minute ago; so several looks until one shows more."""
    venue, symbol = "binance.com-vanilla-options", "BTC-261225-126000-C"
    exchange = SimulatedExchange({venue: [symbol]}, seed=5)
    pair = Pair(exchange)
    book = pair.add(venue, symbol)
    pair.run_for(150)
    assert pair.is_synced()
    exchange.trouble.silence(venue, symbol)
    assert until(pair, lambda: book.status != "synced", within_s=300) <= 180
    exchange.trouble.resume(venue, symbol)
    assert pair.run_until_synced(within_s=240)
    pair.run_for(60)
    assert pair.is_synced()
    assert pair.differences() == 0


# --- a program that does not keep up -------------------------------------------------------------------


@pytest.mark.slow
@BOTH
def test_a_program_that_stands_still_for_a_minute_of_a_burst_costs_no_book_and_no_memory(venue: str) -> None:
    """As on the native transport: frames go on to the router while nobody takes its events."""
    pair = flowing(venue=venue)
    network, taken = pair._network, pair._router.take_events
    callbacks = network._callbacks

    class Stands:
        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *_: None

    network._callbacks = Stands()  # type: ignore[assignment]
    for number in range(3):
        pair.exchange.burst(venue, f"S{number}USDT", 60)
    applied = [book.counters["applied"] for book in pair.books.values()]
    for _ in range(60):
        pair.run_for(1)
        assert pair.is_synced()
        assert pair.differences() == 0
    assert all(
        book.counters["applied"] > before + 500
        for book, before in zip(pair.books.values(), applied, strict=True)
    )
    assert len(taken()) <= len(pair.books)
    network._callbacks = callbacks
    callbacks.on_wake()
    heals(pair, within_s=30)
    assert all(book.counters["gaps"] == 0 for book in pair.books.values())


# --- connections ---------------------------------------------------------------------------------------


def test_an_announced_shutdown_is_not_seen_by_any_book() -> None:
    pair = flowing()
    pair.run_for(20)
    pair.exchange.announce_shutdown(pair.now_ns)
    pair.run_for(10)
    assert len(pair.exchange.sessions()) == 1
    assert pair.exchange.connects == 2
    assert pair.notices == []
    assert all(book.counters["snapshots"] == 1 for book in pair.books.values())
    assert pair.differences() == 0


def test_a_successor_that_brings_nothing_is_given_up_and_the_old_connection_stays() -> None:
    pair = flowing()
    pair.run_for(20)
    pair.exchange.trouble.silence_new(SPOT)
    pair.exchange.announce_shutdown(pair.now_ns)
    pair.run_for(45)
    assert pair.notices == []
    pair.exchange.trouble.silence_new(SPOT, on=False)
    pair.run_for(120)
    assert pair.notices == []
    assert len(pair.exchange.sessions()) == 1
    assert pair.differences() == 0


def test_of_two_connections_one_may_break_and_no_book_notices() -> None:
    pair = flowing(policy=Policy(redundant=True))
    assert len(pair.exchange.sessions()) == 2
    for number in range(6):
        pair.exchange.sessions()[number % 2].end(Cut(), pair.now_ns)
        pair.run_for(20)
    assert pair.notices == []
    assert pair.differences() == 0
    assert len(pair.exchange.sessions()) == 2


def test_of_two_connections_one_may_die_silently_and_no_book_notices() -> None:
    pair = flowing(policy=Policy(redundant=True))
    pair.exchange.sessions()[0].die()
    pair.run_for(60)
    assert pair.notices == []
    assert pair.differences() == 0


@pytest.mark.slow
@BOTH
def test_a_connection_that_flaps_with_every_code_is_made_again_and_each_stream_subscribed_once(
    venue: str,
) -> None:
    pair = flowing(venue=venue)
    for code in (1000, 1001, 1006, 1008, 1011) * 6:
        pair.exchange.close_all(pair.now_ns, code, "flapping")
        pair.run_for(7)
    heals(pair, within_s=60)
    [session] = pair.exchange.sessions()
    assert len(session.streams) == len(set(session.streams)) == 3
    assert pair.exchange.connects <= 31


# --- what the exchange lists ---------------------------------------------------------------------------


def test_a_halted_symbol_says_so_and_comes_back_with_trading() -> None:
    pair = flowing()
    pair.exchange.set_status(SPOT, "S1USDT", "BREAK")
    book = pair.books[SPOT, "S1USDT"]
    until(pair, lambda: book.status == "halted", within_s=60)
    assert "BREAK" in book.reason
    assert pair.books[SPOT, "S0USDT"].status == "synced"
    pair.exchange.set_status(SPOT, "S1USDT", "TRADING")
    heals(pair, within_s=60)


def test_a_delisted_symbol_is_closed_alone() -> None:
    pair = flowing()
    pair.exchange.delist(SPOT, "S1USDT")
    book = pair.books[SPOT, "S1USDT"]
    until(pair, lambda: book.status == "closed", within_s=60)
    assert [notice.ending for notice in pair.notices if notice.ending] == [Ending.DELISTED]
    assert pair.books[SPOT, "S0USDT"].status == "synced"


def test_an_unknown_symbol_ends_at_once_with_names_like_it() -> None:
    pair = flowing()
    pair.add(SPOT, "S1USD")
    until(pair, lambda: bool(pair.notices), within_s=2)
    [told] = pair.notices
    assert told.ending is Ending.UNKNOWN_SYMBOL
    assert "S1USDT" in told.near


# --- comparisons ---------------------------------------------------------------------------------------


def test_an_audit_of_a_right_book_finds_nothing_and_leaves_it_in_sync() -> None:
    pair = flowing()
    pair.audit(SPOT, "S0USDT")
    pair.run_for(2)
    [done] = pair.audits
    assert done.found is not None
    assert done.found[1] > 50
    assert done.found[2:] == (0, 0, 0)
    assert pair.notices == []


def test_levels_that_vanish_without_a_word_are_found_and_shrink_the_range() -> None:
    pair = flowing(evicts_beyond=50)
    book = pair.books[SPOT, "S0USDT"]
    pair.audit(SPOT, "S0USDT")
    pair.run_for(1)
    [done] = pair.audits
    assert done.found is not None
    assert sum(done.found[2:]) > 0
    assert book.counters["corrections"] == sum(done.found[2:])


def test_refreshing_on_an_interval_never_leaves_sync_and_corrects_nothing() -> None:
    pair = flowing(policy=Policy(refresh_s=5.0))
    pair.run_for(60)
    assert all(book.counters["refreshes"] >= 8 for book in pair.books.values())
    assert all(book.counters["corrections"] == 0 for book in pair.books.values())
    assert pair.notices == []
    assert pair.differences() == 0


# --- clients of one address ----------------------------------------------------------------------------


def test_clients_of_one_process_share_one_budget() -> None:
    symbols = {SPOT: {f"S{number}USDT": TINY for number in range(60)}}
    exchange = SimulatedExchange(symbols, seed=5, history=500)
    budgets = Budgets()
    pairs = [Pair(exchange, policy=Policy(limit_share=0.05), budgets=budgets) for _ in range(2)]
    for pair in pairs:
        for number in range(60):
            pair.add(SPOT, f"S{number}USDT")
    for _ in range(400):
        for pair in pairs:
            pair.run_for(0.5)
    assert all(pair.is_synced() for pair in pairs)
    budget = budgets.of(venues.venue(SPOT))
    assert exchange.limits.most(SPOT) <= budget.most(0.05)


def test_the_clock_of_the_exchange_is_known_within_the_round_trip() -> None:
    pair = flowing()
    pair.run_for(10)
    estimate = pair._runner._core.clock(1)
    assert estimate is not None
    true_ns = pair.exchange._epoch_ms * 1_000_000
    assert abs(estimate.offset_ns - true_ns) <= estimate.error_ns <= 25_000_000
