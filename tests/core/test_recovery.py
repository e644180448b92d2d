"""Recovery of books: gaps, crossed books, late and malformed snapshots."""

from __future__ import annotations

from itertools import pairwise

import pytest

from depthcache.core.context import Context
from depthcache.core.markets.pauses import Pauses
from depthcache.core.policy import Policy
from depthcache.core.requests.budget import Budgets
from depthcache.model import Status
from depthcache.venues import Venue
from tests.core.harness import FUTURES, SECOND, SPOT, Bench


def synced_bench(*symbols: str, venue: Venue = SPOT, every_s: float = 0.1) -> Bench:
    """A bench whose books are synced and flow."""
    bench = Bench()
    bench.add(*symbols, venue=venue)
    for symbol in symbols:
        bench.exchange.ticks(symbol, venue, every_s=every_s)
    bench.run_until(bench.all_synced, within_s=5)
    return bench


def reconnects(bench: Bench, market: int) -> tuple[int, int | None]:
    """How often a book's connection was lost and another took its place, and when last."""
    uptime = bench.core.uptime(market)
    assert uptime is not None
    return uptime.reconnects, uptime.reconnected_ns


@pytest.mark.parametrize("venue", [SPOT, FUTURES], ids=lambda venue: venue.name)
def test_a_gap_resyncs_this_book_at_once_and_no_other(venue: Venue) -> None:
    bench = synced_bench("BTCUSDT", "ETHUSDT", venue=venue)
    bench.run(2)
    bench.exchange.drop_next_diff("BTCUSDT", venue)
    bench.run_until(lambda: not bench.all_synced(), within_s=1)
    took_s = bench.run_until(bench.all_synced, within_s=2)
    assert took_s < 0.5
    assert bench.seen("BTCUSDT")[-2:] == [Status.BUFFERING, Status.SYNCED]
    assert len(bench.asked("ETHUSDT")) == 1
    bench.run(1.03)
    assert bench.follows("BTCUSDT", venue)


def test_a_gap_does_not_touch_the_subscription() -> None:
    bench = synced_bench("BTCUSDT")
    bench.exchange.drop_next_diff("BTCUSDT")
    bench.run(5)
    assert bench.subscribe_names() == ["btcusdt@depth@100ms"]
    assert bench.subscribe_names("UNSUBSCRIBE") == []
    assert len(bench.exchange.all_sockets) == 1


@pytest.mark.slow
def test_one_symbol_with_a_permanent_gap_waits_longer_and_longer_and_burns_no_budget() -> None:
    bench = synced_bench("BTCUSDT", "BADUSDT")

    def break_again() -> None:
        bench.exchange.drop_next_diff("BADUSDT")
        bench.after(SECOND // 2, break_again)

    break_again()
    bench.run(30 * 60)
    asked = bench.asked("BADUSDT")
    assert len(asked) < 30 * 60 / 20
    assert max(after - before for before, after in pairwise(asked)) <= 31
    last_minute = [at for at in asked if at > 29 * 60]
    assert len(last_minute) <= 4
    assert bench.status("BTCUSDT") is Status.SYNCED
    assert len(bench.asked("BTCUSDT")) == 1


def test_a_book_that_was_stable_is_healed_at_once_again() -> None:
    bench = synced_bench("BTCUSDT")
    for _ in range(3):
        bench.run(90)
        bench.exchange.drop_next_diff("BTCUSDT")
        bench.run_until(lambda: not bench.all_synced(), within_s=1)
        assert bench.run_until(bench.all_synced, within_s=2) < 0.5


def test_a_crossed_book_that_stays_crossed_for_a_second_gets_a_new_snapshot() -> None:
    bench = synced_bench("BTCUSDT", every_s=3600)
    bench.exchange.tick("BTCUSDT", bid=("101.50", "1"))
    bench.run(0.5)
    assert bench.status("BTCUSDT") is Status.CROSSED
    del bench.exchange.market("BTCUSDT").bids["101.50"]  # the exchange's own book is not crossed
    bench.run(0.4)
    assert len(bench.asked("BTCUSDT")) == 1
    bench.run(0.5)
    assert len(bench.asked("BTCUSDT")) == 2
    assert bench.status("BTCUSDT") is Status.SYNCED
    assert Status.CROSSED in bench.seen("BTCUSDT")


def test_a_book_crossed_for_a_moment_costs_no_snapshot() -> None:
    bench = synced_bench("BTCUSDT", every_s=3600)
    for _ in range(4):
        bench.exchange.tick("BTCUSDT", bid=("101.50", "1"))
        bench.run(0.8)
        assert bench.status("BTCUSDT") is Status.CROSSED
        bench.exchange.tick("BTCUSDT", bid=("101.50", "0"))
        bench.run(0.3)
        assert bench.status("BTCUSDT") is Status.SYNCED
    assert len(bench.asked("BTCUSDT")) == 1


def test_a_book_that_the_exchange_itself_shows_crossed_is_not_fetched_for_ever_at_full_speed() -> None:
    bench = synced_bench("BTCUSDT", every_s=3600)
    bench.exchange.tick("BTCUSDT", bid=("101.50", "1"))
    bench.run(600)
    assert bench.status("BTCUSDT") is not Status.SYNCED
    assert len(bench.asked("BTCUSDT")) < 40


@pytest.mark.parametrize("lag_s", [0.8, 5.0, 30.0])
@pytest.mark.parametrize("venue", [SPOT, FUTURES], ids=lambda venue: venue.name)
def test_snapshots_of_a_lagging_node_converge_because_the_buffer_is_kept(venue: Venue, lag_s: float) -> None:
    bench = Bench()
    bench.exchange.market("BTCUSDT", venue)
    bench.exchange.lag_snapshots(lag_s)
    bench.exchange.ticks("BTCUSDT", venue, every_s=0.1)
    bench.run(40)
    bench.add("BTCUSDT", venue=venue)
    took_s = bench.run_until(bench.all_synced, within_s=lag_s + 5)
    assert took_s <= lag_s + 3
    bench.run(1.03)
    assert bench.follows("BTCUSDT", venue)
    gaps = [after - before for before, after in pairwise(bench.asked("BTCUSDT"))]
    assert all(0.3 < gap < 2.3 for gap in gaps)


def test_a_node_that_never_catches_up_is_asked_more_and_more_rarely() -> None:
    bench = Bench()
    bench.exchange.market("BTCUSDT")
    bench.exchange.scripted_for["BTCUSDT"] = lambda: (200, {}, b'{"lastUpdateId":1,"bids":[],"asks":[]}')
    bench.exchange.ticks("BTCUSDT", every_s=1.0)
    bench.add("BTCUSDT")
    bench.run(20 * 60)
    late = [at for at in bench.asked("BTCUSDT") if at > 15 * 60]
    assert 8 <= len(late) <= 25
    assert "older than the buffered updates" in bench.book("BTCUSDT").reason


def test_a_hole_in_the_buffer_is_healed_by_a_second_snapshot() -> None:
    bench = Bench()
    bench.exchange.rest_delay_ns = 4 * SECOND
    bench.add("BTCUSDT")
    bench.exchange.ticks("BTCUSDT", every_s=0.1)
    bench.run(3.0)  # the snapshot was made, and is on its way back
    bench.exchange.drop_next_diff("BTCUSDT")
    bench.run_until(bench.all_synced, within_s=8)
    assert len(bench.asked("BTCUSDT")) == 2
    bench.run(1.03)
    assert bench.follows("BTCUSDT")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>busy</html>",
        b"null",
        b"[]",
        b"{}",
        b'{"code":-1000,"msg":"UNKNOWN"}',
        b"\xff\xfe",
    ],
    ids=repr,
)
def test_a_body_that_is_no_snapshot_is_asked_again(body: bytes) -> None:
    bench = Bench()
    bench.exchange.answer_next(200, body)
    bench.add("BTCUSDT")
    bench.run(0.3)
    assert "malformed snapshot" in bench.book("BTCUSDT").reason
    bench.run_until(bench.all_synced, within_s=2)
    assert len(bench.asked("BTCUSDT")) == 2


@pytest.mark.parametrize("status", [302, 400, 404, 408, 410, 500, 502, 503, 504])
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"code":-1001,"msg":"Internal error"}'])
def test_errors_of_the_exchange_are_retried(status: int, body: bytes) -> None:
    bench = Bench()
    bench.exchange.answer_next(status, body)
    bench.add("BTCUSDT")
    bench.run(0.3)
    assert f"HTTP {status}" in bench.book("BTCUSDT").reason
    bench.run_until(bench.all_synced, within_s=2)


def test_repeated_failures_are_retried_after_growing_pauses_without_end() -> None:
    bench = Bench()
    bench.exchange.scripted_for["BTCUSDT"] = lambda: (500, {}, b"")
    bench.add("BTCUSDT")
    bench.run(3600)
    asked = bench.asked("BTCUSDT")
    gaps = [round(after - before, 6) for before, after in pairwise(asked)]
    assert gaps == sorted(gaps)
    assert 0.25 < gaps[0] < 1.0
    assert 20 < gaps[-1] < 31
    del bench.exchange.scripted_for["BTCUSDT"]
    bench.run_until(bench.all_synced, within_s=31)


def test_a_request_that_times_out_is_retried() -> None:
    bench = Bench()
    bench.exchange.fail_next("timed out")
    bench.add("BTCUSDT")
    bench.run_until(bench.all_synced, within_s=8)
    assert len(bench.asked("BTCUSDT")) == 2


def test_a_request_that_the_network_never_reports_is_given_up() -> None:
    bench = Bench()
    bench.exchange.get = lambda request, url: None  # type: ignore[method-assign]
    bench.add("BTCUSDT")
    bench.run(30)
    del bench.exchange.get  # type: ignore[method-assign]
    bench.run_until(bench.all_synced, within_s=20)


def test_a_request_that_can_never_succeed_is_asked_on_and_on_and_harms_no_other_market() -> None:
    bench = Bench()
    bench.exchange.scripted_for["BADUSDT"] = lambda: (400, {}, b'{"code":-1102,"msg":"Mandatory parameter"}')
    bench.add("BADUSDT", "BTCUSDT")
    bench.run(120)
    assert bench.status("BADUSDT") is Status.BUFFERING
    assert bench.status("BTCUSDT") is Status.SYNCED
    assert "-1102" in bench.book("BADUSDT").reason
    assert len(bench.asked("BADUSDT")) < 15


def test_a_delisted_symbol_ends_when_the_exchange_says_so() -> None:
    bench = synced_bench("BTCUSDT", "OLDUSDT")
    bench.exchange.mute("OLDUSDT")
    bench.exchange.unknown.add("OLDUSDT")
    bench.run(120)
    assert bench.status("OLDUSDT") is Status.CLOSED
    assert bench.status("BTCUSDT") is Status.SYNCED
    assert len(bench.asked("BTCUSDT")) == 1


def test_a_lost_connection_is_counted_for_each_book_that_another_one_carries_now() -> None:
    bench = synced_bench("BTCUSDT", "ETHUSDT")
    assert [reconnects(bench, market) for market in (1, 2)] == [(0, None)] * 2
    bench.exchange.close_all(1006)
    lost_ns = bench.now_ns
    bench.run_until(lambda: not bench.all_synced(), within_s=1)
    bench.run_until(bench.all_synced, within_s=10)
    for market in (1, 2):
        count, at_ns = reconnects(bench, market)
        assert count == 1
        assert at_ns is not None
        assert at_ns > lost_ns


def test_a_planned_successor_of_a_connection_counts_as_no_loss() -> None:
    bench = synced_bench("BTCUSDT")
    bench.exchange.announce_shutdown()
    bench.run(60)
    assert len(bench.exchange.all_sockets) == 2
    assert reconnects(bench, 1) == (0, None)
    assert bench.all_synced()


def test_a_resync_that_is_asked_for_is_made_at_once_however_often() -> None:
    bench = synced_bench("BTCUSDT")
    for _ in range(5):
        before = len(bench.asked("BTCUSDT"))
        bench.core.resync(1, "asked for", bench.now_ns)
        bench.settle()
        assert bench.status("BTCUSDT") is Status.BUFFERING
        assert bench.run_until(bench.all_synced, within_s=2) < 0.5
        assert len(bench.asked("BTCUSDT")) == before + 1
    bench.run(1.03)
    assert bench.follows("BTCUSDT")


def test_a_resync_where_nothing_is_connected_waits_for_the_connection() -> None:
    bench = Bench()
    bench.add("BTCUSDT")
    bench.core.resync(1, "asked for", bench.now_ns)
    bench.exchange.ticks("BTCUSDT", every_s=0.1)
    bench.run_until(bench.all_synced, within_s=5)
    assert len(bench.asked("BTCUSDT")) == 1


def test_one_book_is_refreshed_more_often_than_the_others_and_never_leaves_sync() -> None:
    bench = synced_bench("BTCUSDT", "ETHUSDT")
    bench.core.refresh_every(1, 10.0)
    before = {symbol: len(bench.asked(symbol)) for symbol in ("BTCUSDT", "ETHUSDT")}
    bench.run(61)
    assert 5 <= len(bench.asked("BTCUSDT")) - before["BTCUSDT"] <= 6
    assert len(bench.asked("ETHUSDT")) == before["ETHUSDT"]
    assert bench.seen("BTCUSDT")[-1] is Status.SYNCED
    assert bench.seen("BTCUSDT").count(Status.SYNCED) == 1


def test_a_resync_that_is_asked_for_changes_nothing_about_the_pauses_after_gaps() -> None:
    pauses = Pauses(Context(None, Policy(), lambda: 0.0, Budgets()))  # type: ignore[arg-type]
    pauses.on_wish()
    assert pauses.on_relapse(None, 0)
    assert pauses.on_relapse(None, 0), "the first gap is healed at once"
    pauses.on_wish()
    assert pauses.on_relapse(None, 0)
    assert pauses.not_before_ns == 0
    assert not pauses.on_relapse(None, 0)
    assert pauses.not_before_ns == SECOND // 2, "the pause of a first relapse, not of a third"
