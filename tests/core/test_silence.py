"""Silent books: quiet ones are left alone, and those that the exchange no longer updates are resynced."""

from __future__ import annotations

import pytest

from depthcache.core.markets.watchdogs import LateWatch, SilenceWatch
from depthcache.core.policy import Policy
from depthcache.model import Status
from depthcache.venues import Venue
from tests.core.harness import FUTURES, SECOND, SPOT, Bench

BOTH = pytest.mark.parametrize("venue", [SPOT, FUTURES], ids=lambda venue: venue.name)


def flowing_bench(*symbols: str, venue: Venue = SPOT, every_s: float = 0.5) -> Bench:
    bench = Bench()
    bench.add(*symbols, venue=venue)
    for symbol in symbols:
        bench.exchange.ticks(symbol, venue, every_s=every_s)
    bench.run_until(bench.all_synced, within_s=5)
    return bench


@BOTH
def test_a_quiet_symbol_stays_synced_and_is_looked_at_now_and_then(venue: Venue) -> None:
    bench = Bench()
    bench.add("QUIETUSDT", venue=venue)
    bench.run(2 * 3600)
    assert bench.seen("QUIETUSDT") == [Status.SYNCED]
    assert 140 < len(bench.asked("QUIETUSDT")) < 175  # every 45 s
    limits = [limit for _, _, limit in bench.exchange.requests[1:]]
    assert limits.count(venue.cheapest_limit) >= len(limits) - 2  # and hourly a refresh
    assert bench.asked("QUIETUSDT")[1] == pytest.approx(6, abs=1.5)


@BOTH
def test_a_symbol_with_one_update_a_minute_is_never_doubted(venue: Venue) -> None:
    bench = flowing_bench("SLOWUSDT", venue=venue, every_s=60)
    bench.run(3600)
    assert bench.seen("SLOWUSDT")[-1] is Status.SYNCED
    assert Status.STALE not in bench.seen("SLOWUSDT")
    assert len(bench.exchange.all_sockets) == 1


@BOTH
@pytest.mark.slow
def test_a_book_that_flows_costs_no_look(venue: Venue) -> None:
    bench = flowing_bench("BTCUSDT", venue=venue)
    bench.run(3500)
    assert len(bench.asked("BTCUSDT")) == 1
    bench.run(200)
    assert len(bench.asked("BTCUSDT")) == 2  # the hourly refresh


@BOTH
def test_one_silent_symbol_of_many_becomes_stale_and_is_subscribed_again_alone(venue: Venue) -> None:
    symbols = [f"S{number}USDT" for number in range(20)]
    bench = flowing_bench(*symbols, venue=venue)
    bench.run(60)
    bench.exchange.mute("S7USDT", venue)
    took_s = bench.run_until(lambda: bench.status("S7USDT") is not Status.SYNCED, within_s=60)
    assert took_s < 37
    assert bench.status("S7USDT") is Status.STALE
    assert "no update arrived" in bench.book("S7USDT").reason
    bench.exchange.unmute("S7USDT", venue)
    bench.run_until(bench.all_synced, within_s=5)
    bench.run(0.53)
    assert bench.follows("S7USDT", venue)
    assert bench.subscribe_names("UNSUBSCRIBE") == [venue.stream("S7USDT")]
    assert bench.subscribe_names().count(venue.stream("S7USDT")) == 2
    assert len(bench.subscribe_names()) == 21
    assert all(len(bench.asked(symbol)) == 1 for symbol in symbols if symbol != "S7USDT")
    bench.assert_law_kept()


@BOTH
@pytest.mark.slow
def test_a_symbol_that_stays_silent_moves_to_another_connection_and_is_never_served(venue: Venue) -> None:
    bench = flowing_bench("BTCUSDT", "MUTEUSDT", venue=venue)
    bench.run(30)
    bench.exchange.mute("MUTEUSDT", venue)
    bench.run(60)
    synced_s = 0
    for _ in range(3600):
        bench.run(1)
        synced_s += bench.status("MUTEUSDT") is Status.SYNCED
    assert synced_s == 0
    assert len(bench.asked("BTCUSDT")) <= 2
    assert len(bench.asked("MUTEUSDT")) < 200
    assert 2 <= len(bench.exchange.connects) < 20
    bench.exchange.unmute("MUTEUSDT", venue)
    bench.run_until(bench.all_synced, within_s=40)


@BOTH
def test_a_connection_that_pings_but_brings_no_data_is_replaced(venue: Venue) -> None:
    symbols = [f"S{number}USDT" for number in range(10)]
    bench = flowing_bench(*symbols, venue=venue)
    bench.run(60)
    for symbol in symbols:
        bench.exchange.mute(symbol, venue)
    bench.run_until(lambda: bench.synced() == 0, within_s=60)
    bench.run(1)
    assert len(bench.exchange.connects) == 2
    for symbol in symbols:
        bench.exchange.unmute(symbol, venue)
    bench.run_until(bench.all_synced, within_s=30)
    bench.assert_law_kept()


@pytest.mark.slow
def test_an_exchange_that_is_mute_for_an_hour_is_neither_served_nor_hammered() -> None:
    symbols = [f"S{number}USDT" for number in range(50)]
    bench = flowing_bench(*symbols)
    bench.run(60)
    for symbol in symbols:
        bench.exchange.mute(symbol)
    bench.run(60)
    before = len(bench.exchange.requests)
    bench.run(3600)
    assert len(bench.exchange.connects) < 20
    assert len(bench.exchange.requests) - before < 50 * 20
    for symbol in symbols:
        bench.exchange.unmute(symbol)
    bench.run_until(bench.all_synced, within_s=40)


def test_acknowledged_but_never_delivered_is_found_from_the_start() -> None:
    bench = Bench()
    bench.exchange.market("DEADUSDT").mute = True
    bench.add("DEADUSDT")
    bench.exchange.ticks("DEADUSDT", every_s=0.5)
    bench.run(1)
    assert bench.status("DEADUSDT") is Status.SYNCED
    bench.run(9)
    assert bench.status("DEADUSDT") is Status.STALE


def test_the_last_update_before_a_long_silence_being_lost_is_found_and_healed() -> None:
    bench = flowing_bench("BTCUSDT")
    bench.add("QUIETUSDT")
    bench.exchange.tick("QUIETUSDT")
    bench.run(5)
    bench.exchange.drop_next_diff("QUIETUSDT")
    bench.exchange.tick("QUIETUSDT")
    bench.run(120)
    assert bench.status("QUIETUSDT") is Status.SYNCED
    assert bench.follows("QUIETUSDT")
    assert Status.STALE in bench.seen("QUIETUSDT")
    assert len(bench.asked("BTCUSDT")) == 1


def test_shared_ids_that_moved_without_a_change_of_the_levels_prove_nothing() -> None:
    bench = Bench()
    bench.add("QUIETUSDT", venue=FUTURES)
    bench.run(5)

    def counter_moves_on() -> None:
        bench.exchange.market("QUIETUSDT", FUTURES).update_id += 1000
        bench.after(SECOND, counter_moves_on)

    counter_moves_on()
    bench.run(3600)
    assert bench.seen("QUIETUSDT") == [Status.SYNCED]
    assert len(bench.exchange.connects) == 1


def test_a_diff_that_comes_during_the_look_ends_it() -> None:
    bench = flowing_bench("SLOWUSDT", every_s=34.9)
    bench.run(1800)
    assert Status.STALE not in bench.seen("SLOWUSDT")
    assert len(bench.exchange.all_sockets) == 1


@pytest.mark.parametrize(
    "response", [(500, {}, b""), (200, {}, b"<html>"), (429, {"retry-after": "5"}, b""), "timeout"]
)
def test_a_look_that_fails_is_repeated_and_changes_nothing_within_the_time_to_detect(
    response: tuple[int, dict[str, str], bytes] | str,
) -> None:
    bench = Bench()
    bench.add("QUIETUSDT")
    bench.run(5)
    bench.exchange.scripted_for["QUIETUSDT"] = lambda: response
    bench.run(54)
    assert bench.seen("QUIETUSDT") == [Status.SYNCED]
    bench.run(66)
    assert bench.seen("QUIETUSDT") == [Status.SYNCED, Status.STALE]
    assert 4 < len(bench.asked("QUIETUSDT")) < 15
    del bench.exchange.scripted_for["QUIETUSDT"]
    bench.run(45)
    assert bench.seen("QUIETUSDT") == [Status.SYNCED, Status.STALE, Status.SYNCED]


def test_looks_are_bounded_for_1500_quiet_books() -> None:
    watch = SilenceWatch(Policy())
    watch.on_synced(0)
    looks = []
    now = 0
    while now < 3600 * SECOND:
        now = watch.next_look_ns()
        looks.append(now)
        watch.on_compared(now)
    assert [look // SECOND for look in looks[:5]] == [5, 35, 80, 125, 170]
    assert len(looks) <= 82


@BOTH
def test_messages_of_no_use_do_not_keep_a_silent_connection_alive(venue: Venue) -> None:
    """Strays, replies that nobody waits for and no response to a question: the connection is replaced."""
    bench = flowing_bench("BTCUSDT", venue=venue)
    bench.run(20)
    chatter(bench)
    bench.exchange.mute("BTCUSDT", venue)
    bench.exchange.answers_lists = False
    took_s = bench.run_until(lambda: len(bench.exchange.all_sockets) == 2, within_s=15)
    assert took_s < 15


@BOTH
def test_messages_of_no_use_do_not_keep_a_silent_book_synced(venue: Venue) -> None:
    """The connection responses, so it stays; the book is found by its own silence."""
    bench = flowing_bench("BTCUSDT", venue=venue)
    bench.run(20)
    chatter(bench)
    bench.exchange.mute("BTCUSDT", venue)
    bench.run_until(lambda: bench.status("BTCUSDT") is not Status.SYNCED, within_s=60)


def chatter(bench: Bench) -> None:
    """Ten times a second, on every connection, what no book can use."""
    for socket in tuple(bench.exchange.sockets.values()):
        bench.exchange.say(socket, {"stream": "nobody@depth", "data": {"e": "x"}})
        bench.exchange.say(socket, {"result": None, "id": 10**9})
        bench.exchange.say(socket, {"id": 10**9})
    bench.after(SECOND // 10, lambda: chatter(bench))


@pytest.mark.parametrize("code", [-1121, -4108, -1000, 429])
def test_a_silent_book_that_cannot_be_compared_either_is_stale_in_time(code: int) -> None:
    bench = Bench()
    bench.add("BTCUSDT", "ETHUSDT")
    for symbol in ("BTCUSDT", "ETHUSDT"):
        bench.exchange.ticks(symbol, every_s=0.5)
    bench.run(5)
    status, headers = (429, {"retry-after": "90"}) if code == 429 else (400, {})
    response = (status, headers, b'{"code":%d,"msg":"refused"}' % code)
    bench.exchange.scripted_for["BTCUSDT"] = lambda: response
    bench.exchange.mute("BTCUSDT")
    bench.run(58)
    assert bench.status("BTCUSDT") is Status.SYNCED
    bench.run(5)
    assert bench.status("BTCUSDT") is Status.STALE
    assert bench.book("BTCUSDT").reason == "no update arrives, and comparing the book with a snapshot fails"
    assert bench.status("ETHUSDT") is Status.SYNCED
    assert bench.seen("ETHUSDT") == [Status.SYNCED]
    bench.exchange.unmute("BTCUSDT")
    bench.run(61)
    assert bench.status("BTCUSDT") is not Status.SYNCED, "a gap, and no snapshot"
    del bench.exchange.scripted_for["BTCUSDT"]
    bench.run_until(bench.all_synced, within_s=91)
    assert bench.follows("BTCUSDT")


@pytest.mark.parametrize(
    ("late_s", "believed"), [(7.0, True), (3_000.0, True), (90_000.0, False), (1.7e9, False)]
)
def test_event_times_of_another_clock_are_no_lateness(late_s: float, believed: bool) -> None:
    watch = LateWatch()
    assert not watch.accepts_sample(late_s, 10 * SECOND)  # one diff tells nothing
    assert watch.accepts_sample(late_s, 15 * SECOND) is believed
