"""The start of a market until it is synced: the order of steps, and its notices."""

from __future__ import annotations

import pytest

from depthcache.core.commands import Fetch, OpenConnection, Send
from depthcache.core.notices import Ending
from depthcache.core.policy import Policy
from depthcache.errors import InvalidArgument, UnknownSymbol
from depthcache.model import Status
from depthcache.venues import Venue
from tests.core.harness import COIN, FUTURES, SPOT, Bench


@pytest.mark.parametrize("venue", [SPOT, FUTURES, COIN], ids=lambda venue: venue.name)
def test_a_market_becomes_synced_and_follows_the_exchange(venue: Venue) -> None:
    bench = Bench()
    bench.add("BTCUSDT", venue=venue)
    bench.exchange.ticks("BTCUSDT", venue, every_s=0.1)
    bench.run_until(bench.all_synced, within_s=2)
    bench.run(60.03)
    assert bench.follows("BTCUSDT", venue)
    assert bench.seen("BTCUSDT") == [Status.BUFFERING, Status.SYNCED]
    assert len(bench.asked("BTCUSDT")) == 1
    bench.assert_law_kept()


def test_a_market_is_empty_from_when_it_was_added() -> None:
    bench = Bench()
    bench.run(5)
    bench.add("BTCUSDT")
    assert (bench.book("BTCUSDT").status, bench.book("BTCUSDT").since_ns) == (Status.EMPTY, bench.now_ns)


def test_the_order_is_connect_subscribe_snapshot() -> None:
    bench = Bench()
    bench.add("BTCUSDT")
    bench.run(1)
    assert [type(command) for command in bench.commands] == [OpenConnection, Send, Fetch]
    _, send, fetch = bench.commands
    assert isinstance(send, Send)
    assert send.text == '{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms"],"id":1}'
    assert isinstance(fetch, Fetch)
    assert fetch.url == "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=500"


def test_no_snapshot_is_asked_before_the_subscription_is_acknowledged_or_data_came() -> None:
    bench = Bench()
    bench.exchange.ack_delay_ns = 4_000_000_000
    bench.add("BTCUSDT", "ETHUSDT")
    bench.run(1)
    assert bench.exchange.requests == []
    bench.exchange.tick("BTCUSDT")
    bench.run(1)
    assert (len(bench.asked("BTCUSDT")), len(bench.asked("ETHUSDT"))) == (1, 0)
    bench.run(5)
    assert len(bench.asked("ETHUSDT")) == 1
    assert bench.all_synced()


def test_a_quiet_symbol_is_synced_at_once() -> None:
    bench = Bench()
    bench.add("QUIETUSDT")
    assert bench.run_until(bench.all_synced, within_s=1) < 0.5
    assert bench.book("QUIETUSDT").unconfirmed


def test_a_quarter_more_levels_are_asked_than_are_wanted_where_the_budget_has_room() -> None:
    bench = Bench()
    bench.add("BTCUSDT", depth=20)
    bench.add("BNBUSDT", depth=100)
    bench.add("ADAUSDT", depth=1000)
    bench.add("ETHUSDT", depth=1500)
    bench.run(1)
    assert {symbol: limit for _, symbol, limit in bench.exchange.requests} == {
        "BTCUSDT": 100,
        "BNBUSDT": 500,
        "ADAUSDT": 1000,
        "ETHUSDT": 5000,
    }


def test_symbols_of_any_script_are_subscribed_raw_and_fetched_percent_encoded() -> None:
    bench = Bench()
    bench.add("币安人生USDT", venue=FUTURES)
    bench.run_until(bench.all_synced, within_s=2)
    assert bench.subscribe_names() == ["币安人生usdt@depth@100ms"]
    assert "%E5%B8%81" in bench.commands[-1].url  # type: ignore[union-attr]


def test_an_unknown_symbol_is_closed_with_the_reason_and_the_others_go_on() -> None:
    bench = Bench()
    bench.exchange.unknown.add("NOSUCH")
    bench.add("BTCUSDT", "NOSUCH", "ETHUSDT")
    bench.run(2)
    assert [bench.status(symbol) for symbol in bench.ids] == [Status.SYNCED, Status.CLOSED, Status.SYNCED]
    last = [notice for notice in bench.notices if notice.market == bench.ids["NOSUCH"]][-1]
    assert (last.status, last.ending) == (Status.CLOSED, Ending.UNKNOWN_SYMBOL)
    assert "-1121" in last.reason
    assert "Invalid symbol." in last.reason
    assert bench.subscribe_names("UNSUBSCRIBE") == ["nosuch@depth@100ms"]
    bench.run(600)
    assert len(bench.asked("NOSUCH")) == 1


def test_a_symbol_that_is_there_already_is_refused_and_nothing_changes() -> None:
    bench = Bench()
    bench.add("BTCUSDT")
    bench.run(1)
    before = len(bench.commands)
    with pytest.raises(InvalidArgument, match=r"not yet added on binance\.com"):
        bench.core.add(SPOT, "BTCUSDT", depth=100, now_ns=bench.now_ns)
    bench.run(1)
    assert len(bench.commands) == before


@pytest.mark.parametrize(("depth", "speed_ms"), [(0, None), (6000, None), (100, 250)])
def test_wrong_arguments_raise_before_anything_is_done(depth: int, speed_ms: int | None) -> None:
    bench = Bench()
    with pytest.raises(InvalidArgument):
        bench.core.add(SPOT, "BTCUSDT", depth=depth, speed_ms=speed_ms, now_ns=bench.now_ns)
    assert bench.core.take_commands() == []
    assert bench.core.next_wake_ns() is None


def test_a_depth_that_costs_more_than_the_whole_budget_is_refused() -> None:
    bench = Bench(policy=Policy(limit_share=0.02))
    with pytest.raises(InvalidArgument, match="at most 120 weight"):
        bench.core.add(SPOT, "BTCUSDT", depth=5000, now_ns=bench.now_ns)
    bench.add("BTCUSDT", depth=1000)


def test_markets_come_and_go_at_run_time() -> None:
    bench = Bench()
    bench.add("BTCUSDT")
    bench.exchange.ticks("BTCUSDT", every_s=0.1)
    bench.run_until(bench.all_synced, within_s=2)
    bench.add("ETHUSDT", "BNBUSDT")
    bench.run_until(bench.all_synced, within_s=2)
    first = bench.ids["ETHUSDT"]
    bench.remove("ETHUSDT")
    bench.run(2)
    assert bench.subscribe_names("UNSUBSCRIBE") == ["ethusdt@depth@100ms"]
    bench.add("ETHUSDT")
    bench.run_until(bench.all_synced, within_s=2)
    assert bench.ids["ETHUSDT"] > first
    assert len(bench.exchange.all_sockets) == 1
    assert bench.status("BTCUSDT") is Status.SYNCED
    bench.assert_law_kept()


def test_a_symbol_removed_and_added_in_one_breath_is_synced_again() -> None:
    bench = Bench()
    bench.add("BTCUSDT", "ETHUSDT")
    bench.run_until(bench.all_synced, within_s=2)
    for _ in range(5):
        bench.remove("ETHUSDT")
        bench.add("ETHUSDT")
    bench.run_until(bench.all_synced, within_s=4)
    bench.exchange.tick("ETHUSDT")
    bench.run(1)
    assert bench.follows("ETHUSDT")
    bench.assert_law_kept()


def test_answers_and_frames_for_a_removed_market_are_harmless() -> None:
    bench = Bench()
    bench.add("BTCUSDT", "ETHUSDT")
    bench.run_until(lambda: bool(bench.exchange.requests), within_s=1)
    bench.remove("BTCUSDT")
    bench.exchange.tick("BTCUSDT")
    bench.run(5)
    assert bench.status("ETHUSDT") is Status.SYNCED
    bench.assert_law_kept()


def test_removing_an_unknown_number_raises() -> None:
    with pytest.raises(UnknownSymbol):
        Bench().core.remove(7, 0)


def test_the_last_market_takes_its_connection_with_it() -> None:
    bench = Bench()
    bench.add("BTCUSDT")
    bench.run_until(bench.all_synced, within_s=2)
    bench.remove("BTCUSDT")
    bench.run(60)
    assert bench.exchange.sockets == {}
    assert bench.core.next_wake_ns() is None


def test_close_gives_up_everything_and_nothing_comes_after_it() -> None:
    bench = Bench()
    bench.add("BTCUSDT", "ETHUSDT")
    bench.exchange.ticks("BTCUSDT", every_s=0.1)
    bench.run(0.2)  # a snapshot is on its way
    bench.core.close(bench.now_ns)
    bench.settle()
    count = len(bench.commands)
    bench.run(60)
    assert len(bench.commands) == count
    assert bench.exchange.sockets == {}
    assert bench.core.next_wake_ns() is None
    endings = [notice for notice in bench.notices if notice.status is Status.CLOSED]
    assert [notice.ending for notice in endings] == [Ending.SHUTDOWN, Ending.SHUTDOWN]
    with pytest.raises(InvalidArgument, match="closed"):
        bench.core.add(SPOT, "BNBUSDT", depth=100, now_ns=bench.now_ns)


def test_unknown_numbers_are_ignored() -> None:
    bench = Bench()
    core = bench.core
    core.on_open(99, 1)
    core.on_closed(99, 1006, "", 1)
    core.on_alive(99, 1)
    core.on_response(99, 200, {}, b"{}", 1)
    core.on_failure(99, "", 1)
    core.on_wake(1)
    assert core.take_commands() == []
    assert core.take_notices() == []
