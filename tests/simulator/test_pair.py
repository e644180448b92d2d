"""A client and an exchange on one virtual clock, as users get it to test their programs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from depthcache import BookTooOld, Status, reference
from depthcache.simulator import TINY, Faults, Pair, SimulatedExchange

MARKETS = {"binance.com": {"BTCUSDT": TINY, "ETHUSDT": TINY}, "binance.com-futures": {"BTCUSDT": TINY}}


def pair(*, router: object = None, faults: Faults | None = None) -> Pair:
    return Pair(SimulatedExchange(MARKETS, seed=2, faults=faults), seed=2, router=router)


def test_books_are_synced_within_a_fraction_of_a_second_and_stay_true() -> None:
    made = pair()
    books = [made.add("binance.com", "btcusdt"), made.add("binance.com-futures", "BTCUSDT")]
    assert made.run_until_synced(within_s=1)
    made.run_for(30)
    assert [book.status for book in books] == [Status.SYNCED] * 2
    assert made.differences() == 0
    assert all(book.counters["gaps"] == 0 for book in books)
    assert made.now_ns < 31_000_000_000


def test_a_day_and_a_night_with_a_cut_every_24_hours() -> None:
    quiet = {"binance.com": {"BTCUSDT": replace(TINY, interval_ms=60_000)}}
    made = Pair(SimulatedExchange(quiet, seed=1), seed=1)
    book = made.add("binance.com", "BTCUSDT", speed_ms=1000)
    made.run_for(26 * 3_600)
    assert book.status is Status.SYNCED
    assert made.differences() == 0


def test_books_come_and_go() -> None:
    made = pair()
    made.add("binance.com", "BTCUSDT")
    made.run_for(1)
    book = made.add("binance.com", "ETHUSDT")
    assert made.run_until_synced()
    made.remove("binance.com", "ETHUSDT")
    assert book.status is Status.CLOSED
    assert set(made.books) == {("binance.com", "BTCUSDT")}
    made.close()
    assert made.books["binance.com", "BTCUSDT"].status is Status.CLOSED


def test_a_connection_that_breaks_is_made_again() -> None:
    made = pair()
    book = made.add("binance.com", "BTCUSDT")
    made.run_for(5)
    made.exchange.cut(made.now_ns)
    made.run_for(0.1)
    assert book.status is Status.DISCONNECTED
    assert made.run_until_synced(within_s=10)
    assert made.differences() == 0


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_differences_are_seen(engine: str) -> None:
    made = pair(router=None if engine == "native" else reference.Router())
    made.add("binance.com", "BTCUSDT")
    made.run_for(5)
    market = made.exchange.truth("binance.com", "BTCUSDT")
    price = market.best(0)
    assert price is not None
    market._book[0][price] += 1  # the truth is another one
    assert made.differences() == 1


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_ages_and_dates_are_those_of_the_virtual_clock(engine: str) -> None:
    made = pair(router=None if engine == "native" else reference.Router())
    book = made.add("binance.com", "BTCUSDT")
    assert made.run_until_synced()
    made.run_for(3)
    began = datetime.fromtimestamp(made.exchange.epoch_ms / 1_000, UTC)
    assert book.updated_ns is not None
    assert book.updated_at == began + timedelta(microseconds=book.updated_ns // 1_000)
    assert book.event_time is not None
    assert abs(book.updated_at - book.event_time) < timedelta(seconds=1)
    assert book.no_older_than(2).best == book.best
    made.hold()
    made.exchange.cut(made.now_ns)
    made.run_for(5)
    with pytest.raises(BookTooOld) as raised:
        book.no_older_than(2).best  # noqa: B018
    assert raised.value.age_s == pytest.approx((made.now_ns - book.updated_ns) / 1e9)


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_a_status_begins_when_it_is_seen_and_the_first_when_the_book_is_added(engine: str) -> None:
    made = pair(router=None if engine == "native" else reference.Router())
    made.run_for(7)
    book = made.add("binance.com", "BTCUSDT")
    assert (book.status, book.since_ns) == (Status.EMPTY, made.now_ns)
    assert book.since_at == datetime.fromtimestamp(made.exchange.epoch_ms / 1_000 + 7, UTC)
    seen = [(book.status, book.since_ns)]

    def look() -> None:
        if book.status is not seen[-1][0]:
            assert book.since_ns >= seen[-1][1], (seen, book.status)
            seen.append((book.status, book.since_ns))

    made.on_step = look
    assert made.run_until_synced()
    made.exchange.cut(made.now_ns)
    made.run_for(20)
    assert {Status.DISCONNECTED, Status.BUFFERING} <= {status for status, _ in seen}


def test_a_cut_connection_is_explained_once() -> None:
    made = pair()
    book = made.add("binance.com", "BTCUSDT")
    assert made.run_until_synced()
    reasons = set()
    made.on_step = lambda: reasons.add(book.reason)
    made.exchange.cut(made.now_ns)
    made.run_for(1)
    assert "the connection was lost: ended without a close frame" in reasons


def test_notices_tell_what_happened() -> None:
    made = pair(faults=Faults(seed=1, drop=0.05, until_ns=10_000_000_000))
    made.add("binance.com", "BTCUSDT")
    made.run_for(20)
    assert {notice.status for notice in made.notices} >= {Status.SYNCED, Status.BUFFERING}


def test_a_symbol_that_is_not_there_ends_its_book() -> None:
    made = pair()
    book = made.add("binance.com", "NOPEUSDT")
    made.run_for(5)
    assert book.status is Status.CLOSED
    assert "Invalid symbol" in book.reason
