"""Every defect in the behaviour of the old library, as a test that the drop-in passes.

Each test is named after its defect. Defects that cannot occur in this client are listed with the reason, and
a test checks that the list is complete.
"""

from __future__ import annotations

import itertools
import re
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from depthcache import Policy, Settings
from depthcache.compat.ubldc import (
    BinanceLocalDepthCacheManager,
    DepthCacheNotFound,
    DepthCacheOutOfSync,
)
from tests.compat.conftest import DEADLINE_S, Makes, until
from tests.support.by_hand import FromThread

FOLDER = Path(__file__).parents[2] / "src" / "depthcache" / "compat" / "ubldc"

ALL = {*(f"D{number}" for number in range(1, 40)), "D9b", *(f"P{number}" for number in range(1, 7))}

CANNOT = {
    "D4": "two calls are two moments by this interface; `freeze` and `best` of the modern one are one",
    "D9b": "there is no queue between socket and book: frames are applied natively where they are read; "
    "tests/scale/test_long.py::test_a_burst_of_ten_times_the_rate_leaves_nothing_behind",
    "D10": "there is no turnstile: requests queue before a weight budget: tests/core/test_scheduler.py",
    "D21": "kept diffs are bounded by bytes: `dropped_buffers`, tests/markets/test_router.py",
    "D22": "connections are replaced before the cut: "
    "tests/core/test_recovery.py::test_a_planned_successor_of_a_connection_counts_as_no_loss",
    "P1": "the native book keeps its levels ordered; make bench, section depth",
    "P3": "frames are scanned once, as bytes: crates/book/src/codec/json.rs; make bench, section frames",
    "P4": "no log line is written for a frame: depthcache/logs.py",
    "P5": "the native book is measured against orjson alone: make bench, section frames",
    "P6": "frames need no interpreter: make bench, section freshness",
}
"""Defects that have no test here, each with the reason or the place of its proof."""


def synced(manager: BinanceLocalDepthCacheManager, *markets: str) -> None:
    manager.create_depthcache(list(markets))
    until(lambda: all(map(manager.is_depth_cache_synchronized, markets)))


def names(by_hand: FromThread, method: str) -> list[str]:
    """What the client has subscribed, or unsubscribed, in order."""
    return [
        name
        for network in by_hand.networks
        for message in tuple(network.sent)
        if message["method"] == method
        for name in message["params"]  # type: ignore[attr-defined]
    ]


def own_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("depthcache")}


def counters(manager: BinanceLocalDepthCacheManager) -> dict[str, int]:
    return manager.stats().books[0].counters


def test_no_defect_is_forgotten() -> None:
    tested = {
        match.upper() for match in re.findall(r"def test_([dp]\d\d)_", Path(__file__).read_text("utf-8"))
    }
    numbered = {f"{name[0]}{int(name[1:])}" for name in tested}
    assert numbered | set(CANNOT) == ALL
    assert numbered & set(CANNOT) == set()


# --- silently wrong data ---------------------------------------------------------------------


@pytest.mark.parametrize("power", [10, 100, 1_000, 100_000])
def test_d01_best_prices_are_right_where_a_book_straddles_a_power_of_ten(
    power: int, make: Makes, by_hand: FromThread
) -> None:
    below = [[f"{power - 3 + step * 0.01:.2f}", "1.0"] for step in range(1_000)]  # crosses `power` at 300
    by_hand.default = {"lastUpdateId": 10, "bids": [[f"{power - 4}.00", "1.0"]], "asks": below}
    manager = make()
    synced(manager, "BTCUSDT")
    far = [[f"{power + 7 + step * 0.01:.2f}", "1.0"] for step in range(300)]
    by_hand.do(lambda network: network.diff("BTCUSDT", 11, 11, asks=far))
    assert manager.get_asks("BTCUSDT", 1) == [[float(f"{power - 3}.00"), 1.0]]
    by_hand.do(lambda network: network.diff("BTCUSDT", 12, 12, asks=[[f"{power - 3.5:.2f}", "2.0"]]))
    assert manager.get_asks("BTCUSDT")[:2] == [[power - 3.5, 2.0], [power - 3.0, 1.0]]


def test_d02_a_market_that_stands_still_while_the_exchange_moves_on_is_not_served(
    make: Makes, by_hand: FromThread
) -> None:
    policy = Policy(silence_s=0.05, silence_cap_s=0.05, overdue_s=0.05, first_data_s=0.05)
    manager = make(settings=Settings(policy=policy))
    synced(manager, "BTCUSDT")
    by_hand.do(lambda network: network.diff("BTCUSDT", 11, 11, bids=[["1.1", "1"]]))
    by_hand.do(lambda network: setattr(network, "default", {"lastUpdateId": 20, "bids": [], "asks": []}))
    until(lambda: not manager.is_depth_cache_synchronized("BTCUSDT"))
    with pytest.raises(DepthCacheOutOfSync) as caught:
        manager.get_asks("BTCUSDT")
    assert caught.value.reason


def test_d03_a_late_snapshot_never_takes_a_newer_book_back(make: Makes, by_hand: FromThread) -> None:
    manager = make()
    synced(manager, "BTCUSDT")
    by_hand.do(lambda network: network.diff("BTCUSDT", 11, 15, bids=[["1.15", "3.0"]]))
    manager.set_refresh_request("BTCUSDT")
    until(lambda: by_hand.networks[0].asked.count("BTCUSDT") >= 2)
    by_hand.do(lambda network: None)  # what was answered has been heard
    assert counters(manager)["refreshes"] == 0
    assert manager.get_bids("BTCUSDT", 1) == [[1.15, 3.0]]
    assert manager.depth_caches["btcusdt"]["last_update_id"] == 15


def test_d05_levels_beyond_the_thousandth_come_back(make: Makes, by_hand: FromThread) -> None:
    bids = [[f"{100 - step * 0.01:.2f}", "1.0"] for step in range(1_200)]
    by_hand.default = {"lastUpdateId": 10, "bids": bids[:1_000], "asks": []}
    manager = make()
    synced(manager, "BTCUSDT")
    by_hand.do(lambda network: network.diff("BTCUSDT", 11, 11, bids=bids[1_000:]))
    gone = [[price, "0"] for price, _ in bids[:200]]
    by_hand.do(lambda network: network.diff("BTCUSDT", 12, 12, bids=gone))
    assert [level[0] for level in manager.get_bids("BTCUSDT")] == [float(price) for price, _ in bids[200:]]


def test_d06_one_price_in_two_spellings_is_one_level(make: Makes, by_hand: FromThread) -> None:
    manager = make()
    synced(manager, "BTCUSDT")
    by_hand.do(lambda network: network.diff("BTCUSDT", 11, 11, bids=[["1.1000", "9.0"]], asks=[["1.2", "0"]]))
    assert manager.get_bids("BTCUSDT") == [[1.1, 9.0], [1.0, 6.0]]
    assert manager.get_asks("BTCUSDT") == [[1.3, 8.0]]


def test_d07_floats_are_those_nearest_to_the_text_and_the_text_itself_can_be_had(
    make: Makes, by_hand: FromThread
) -> None:
    by_hand.default = {"lastUpdateId": 10, "bids": [["0.10000000", "0.30000001"]], "asks": []}
    manager = make()
    synced(manager, "BTCUSDT")
    assert manager.get_bids("BTCUSDT") == [[float("0.1"), float("0.30000001")]]
    assert manager.depth_caches["btcusdt"]["bids"] == {"0.10000000": 0.30000001}


def test_d08_a_stopped_cache_does_not_claim_to_be_synchronized(make: Makes, by_hand: FromThread) -> None:
    manager = make()
    synced(manager, "BTCUSDT", "ETHUSDT")
    manager.stop_depthcache("BTCUSDT")
    assert manager.is_depth_cache_synchronized("BTCUSDT") is False
    manager.stop_manager()
    assert manager.is_depth_cache_synchronized("ETHUSDT") is False


# --- availability and recovery ---------------------------------------------------------------


def test_d09_many_markets_are_subscribed_in_one_message_and_need_no_turns(
    make: Makes, by_hand: FromThread
) -> None:
    manager = make()
    markets = [f"S{number}USDT" for number in range(50)]
    synced(manager, *markets)
    messages = [each for network in by_hand.networks for each in network.sent]
    assert len(messages) <= 3
    assert sorted(names(by_hand, "SUBSCRIBE")) == sorted(f"{each.lower()}@depth@100ms" for each in markets)


def test_d11_events_older_than_the_snapshot_are_skipped(make: Makes, by_hand: FromThread) -> None:
    manager = make()
    synced(manager, "BTCUSDT")
    for last in range(5, 11):
        by_hand.do(lambda network, last=last: network.diff("BTCUSDT", last, last, bids=[["1.05", "1"]]))
    assert manager.is_depth_cache_synchronized("BTCUSDT")
    assert manager.get_bids("BTCUSDT", 2) == [[1.1, 5.0], [1.0, 6.0]]
    assert counters(manager)["gaps"] == 0
    assert names(by_hand, "UNSUBSCRIBE") == []


def test_d12_a_resync_leaves_the_subscription_alone(make: Makes, by_hand: FromThread) -> None:
    manager = make()
    synced(manager, "BTCUSDT")
    by_hand.do(lambda network: network.diff("BTCUSDT", 20, 21))
    until(lambda: counters(manager)["gaps"] == 1)
    manager.set_resync_request("BTCUSDT")
    assert names(by_hand, "UNSUBSCRIBE") == []
    assert names(by_hand, "SUBSCRIBE") == ["btcusdt@depth@100ms"]


@pytest.mark.slow
def test_d13_a_refresh_interval_never_takes_a_cache_out_of_sync(make: Makes, by_hand: FromThread) -> None:
    manager = make(default_refresh_interval=0.1)
    synced(manager, "BTCUSDT")
    while counters(manager)["refreshes"] < 2:
        assert manager.get_asks("BTCUSDT")
    assert manager.stats().books[0].losses == 0


def test_d14_a_refresh_request_is_harmless(make: Makes, by_hand: FromThread) -> None:
    manager = make()
    synced(manager, "BTCUSDT")
    for _ in range(5):
        manager.set_refresh_request("BTCUSDT")
        assert manager.is_depth_cache_synchronized("BTCUSDT")
    until(lambda: counters(manager)["refreshes"] >= 1)
    assert manager.stats().books[0].losses == 0


@pytest.mark.slow
def test_d15_a_refused_connection_is_tried_again(make: Makes, server: Any) -> None:
    exchange = server.exchange
    server.on_exchange(lambda: exchange.trouble.refuse_connects(1.5, exchange.now_ns))
    manager = make(settings=server.settings)
    synced(manager, "BTCUSDT")


@pytest.mark.slow
def test_d16_no_method_waits_for_an_outage_to_end(make: Makes, server: Any) -> None:
    exchange = server.exchange
    manager = make(settings=server.settings)
    synced(manager, "BTCUSDT")
    server.on_exchange(lambda: exchange.trouble.outage("binance.com", 3_600, exchange.now_ns))
    server.on_exchange(lambda: exchange.cut(exchange.now_ns))
    try:
        until(lambda: not manager.is_depth_cache_synchronized("BTCUSDT"))
        done = threading.Event()

        def use() -> None:
            manager.create_depthcache("ETHUSDT")
            manager.set_refresh_request("BTCUSDT")
            manager.set_resync_request("BTCUSDT")
            manager.get_restart_count("BTCUSDT")
            manager.stop_depthcache("ETHUSDT")
            done.set()

        threading.Thread(target=use, daemon=True).start()
        assert done.wait(DEADLINE_S)
        assert not manager.is_depth_cache_synchronized("BTCUSDT")  # the outage was there all the time
    finally:
        server.on_exchange(lambda: exchange.trouble.outage("binance.com", 0, exchange.now_ns))


@pytest.mark.slow
def test_d17_on_restart_may_call_any_method_and_may_fail(make: Makes, by_hand: FromThread) -> None:
    told: list[tuple[str, int]] = []
    done = threading.Event()

    def on_restart(market: str, at: float) -> None:
        manager.stop_depthcache("ETHUSDT")
        manager.create_depthcache("BNBUSDT")
        manager.set_resync_request(market)
        told.append((market, manager.get_restart_count(market)))
        manager.stop_manager()
        done.set()
        raise ValueError("mine")

    manager = make(on_restart=on_restart)
    synced(manager, "BTCUSDT", "ETHUSDT")
    by_hand.do(lambda network: network.cut())
    assert done.wait(DEADLINE_S)
    assert told in ([("btcusdt", 1)], [("ethusdt", 1)])


def test_d18_several_connections_at_once(make: Makes, by_hand: FromThread) -> None:
    manager = make(settings=Settings(policy=Policy(streams_per_connection=1)))
    markets = [f"S{number}USDT" for number in range(6)]
    synced(manager, *markets)
    assert len(by_hand.networks[0].urls) == 6


def test_d19_what_is_wrong_with_one_market_touches_no_other(make: Makes, by_hand: FromThread) -> None:
    manager = make()
    synced(manager, "BTCUSDT", "ETHUSDT")
    by_hand.do(lambda network: setattr(network, "default", None))
    by_hand.do(
        lambda network: network.raw(
            b'{"stream":"ethusdt@depth@100ms","data":{"e":"depthUpdate","s":"ETHUSDT","U":11,"u":11,"b":[[1]]}}'
        )
    )
    by_hand.do(lambda network: network.diff("BTCUSDT", 11, 11, bids=[["1.15", "2"]]))
    until(lambda: not manager.is_depth_cache_synchronized("ETHUSDT"))
    assert manager.get_bids("BTCUSDT", 1) == [[1.15, 2.0]]


@pytest.mark.slow
def test_d20_the_weight_of_the_exchange_itself_is_kept(make: Makes, server: Any) -> None:
    manager = make("binance.com-futures", settings=server.settings)
    synced(manager, "BTCUSDT")
    (budget,) = manager.stats().budgets
    assert "binance.com" in budget.pool
    assert budget.limit == 2_400
    assert budget.used >= 20
    assert budget.exchange_used is not None


@pytest.mark.slow
def test_d23_an_unknown_symbol_ends_with_the_reason(make: Makes, by_hand: FromThread) -> None:
    manager = make()
    synced(manager, "BTCUSDT")
    by_hand.do(lambda network: network.unknown.add("BTCUSDX"))
    manager.create_depthcache("BTCUSDX")

    def ended() -> bool:
        try:
            manager.get_asks("BTCUSDX")
        except DepthCacheNotFound as error:
            return "does not know the symbol" in error.reason
        except DepthCacheOutOfSync:
            return False
        return False

    until(ended)
    assert manager.get_list_of_depthcaches() == ["btcusdt"]


# --- interface, life, resources --------------------------------------------------------------


def test_d24_ping_settings_are_not_swapped_but_said_to_have_no_effect(
    make: Makes, caplog: pytest.LogCaptureFixture
) -> None:
    make(websocket_ping_interval=30, websocket_ping_timeout=5)
    assert "websocket_ping_interval, websocket_ping_timeout: accepted but without effect" in caplog.text


def test_d25_restarts_are_counted_and_have_a_time(make: Makes, by_hand: FromThread) -> None:
    manager = make()
    synced(manager, "BTCUSDT")
    assert (manager.get_restart_count("btcusdt"), manager.get_last_restart_time("btcusdt")) == (0, None)
    by_hand.do(lambda network: network.cut())
    until(lambda: manager.get_restart_count("BTCUSDT") == 1)
    first = manager.get_last_restart_time("BTCUSDT")
    assert first is not None
    assert first > 1_700_000_000
    assert manager.get_last_restart_time("BTCUSDT") == first
    manager.stop_depthcache("BTCUSDT")
    with pytest.raises(DepthCacheNotFound):
        manager.get_restart_count("BTCUSDT")


def test_d26_creating_a_market_again_changes_nothing(make: Makes, by_hand: FromThread) -> None:
    manager = make()
    synced(manager, "BTCUSDT", "ETHUSDT")
    by_hand.do(lambda network: network.diff("BTCUSDT", 11, 11, bids=[["1.15", "2"]]))
    assert manager.create_depthcache(["btcusdt", "BTCUSDT"], refresh_interval=7) is True
    assert manager.depth_caches["btcusdt"]["refresh_interval"] is None
    assert manager.get_bids("BTCUSDT", 1) == [[1.15, 2.0]]
    assert manager.get_list_of_depthcaches() == ["btcusdt", "ethusdt"]
    manager.stop_depthcache("BTCUSDT")
    until(lambda: names(by_hand, "UNSUBSCRIBE") == ["btcusdt@depth@100ms"])
    assert names(by_hand, "SUBSCRIBE").count("btcusdt@depth@100ms") == 1


def test_d26_a_stopped_market_can_be_created_again(make: Makes, by_hand: FromThread) -> None:
    manager = make()
    synced(manager, "BTCUSDT")
    manager.stop_depthcache("BTCUSDT")
    synced(manager, "BTCUSDT")
    assert manager.get_bids("BTCUSDT", 1) == [[1.1, 5.0]]


def test_d27_a_market_stopped_at_once_is_not_subscribed_later(make: Makes, by_hand: FromThread) -> None:
    manager = make()
    manager.create_depthcache(["BTCUSDT", "ETHUSDT"])
    manager.stop_depthcache("BTCUSDT")
    until(lambda: manager.is_depth_cache_synchronized("ETHUSDT"))
    subscribed, ended = names(by_hand, "SUBSCRIBE"), names(by_hand, "UNSUBSCRIBE")
    until(lambda: names(by_hand, "SUBSCRIBE").count("btcusdt@depth@100ms") == len(ended) or not ended)
    assert subscribed.count("btcusdt@depth@100ms") <= 1
    assert [stream["markets"] for stream in manager.dc_streams.values()] == [["ethusdt"]]


def test_d28_every_method_takes_names_in_any_case(make: Makes, by_hand: FromThread) -> None:
    manager = make()
    synced(manager, "BtcUsdt")
    for name in ("BTCUSDT", "btcusdt", "bTcUsDt"):
        assert manager.get_asks(name)
        assert manager.get_bids(name)
        assert manager.is_depth_cache_synchronized(name)
        assert manager.get_last_update_time(name)
        assert manager.get_restart_count(name) == 0
        assert manager.get_last_restart_time(name) is None
        assert manager.get_dc_stream_id(name) == manager.get_dc_stream_id()
        assert manager.set_refresh_request(name)
        assert not manager.is_stop_request(name)
    assert manager.set_resync_request("BTCUSDT")
    assert manager.stop_depthcache("BTCUSDT")
    assert manager.is_stop_request("btcUSDT")


@pytest.mark.parametrize("name", ["set_refresh_request", "set_resync_request"])
def test_d29_requests_for_an_unknown_market_are_not_found(name: str, make: Makes) -> None:
    with pytest.raises(DepthCacheNotFound, match="does not exist!"):
        getattr(make(), name)("NOBODY")
    with pytest.raises(KeyError):
        getattr(make(), name)("NOBODY")


def test_d30_the_documentation_says_what_a_threshold_is() -> None:
    text = " ".join((BinanceLocalDepthCacheManager.get_asks.__doc__ or "").split())
    assert "in the quote asset" in text
    assert "does not exceed it, but at least the first one" in text


@pytest.mark.parametrize("kind", [list, tuple, set, iter, lambda names: (each for each in names)])
def test_d31_markets_may_be_any_iterable(kind: Any, make: Makes, by_hand: FromThread) -> None:
    manager = make()
    assert manager.create_depthcache(kind(["BTCUSDT", "ETHUSDT"])) is True
    assert sorted(manager.get_list_of_depthcaches()) == ["btcusdt", "ethusdt"]
    assert manager.stop_depthcache(kind(["BTCUSDT"])) is True
    assert manager.get_list_of_depthcaches() == ["ethusdt"]


def test_d32_stopping_leaves_no_thread_and_a_given_rest_manager_alone(by_hand: FromThread) -> None:
    class Ubra:
        def stop_manager(self) -> None:
            raise AssertionError("it is not ours")

    before = own_threads()
    manager = BinanceLocalDepthCacheManager(
        ubra_manager=Ubra(), on_restart=lambda *_: None, settings=Settings(), depth_cache_update_interval=100
    )
    synced(manager, "BTCUSDT")
    manager.set_credentials("key", "secret")
    manager.stop_manager()
    until(lambda: own_threads() <= before)
    assert by_hand.networks[0].closed


def test_d33_the_constructor_makes_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with BinanceLocalDepthCacheManager("binance.com") as manager:
        assert manager.get_list_of_depthcaches() == []


@pytest.mark.slow
def test_d34_other_hosts_can_be_given(make: Makes, server: Any) -> None:
    manager = make("binance.us", settings=server.settings)
    synced(manager, "BTCUSDT")
    assert server.settings.endpoints["binance.us"].rest.startswith("http://127.0.0.1")


def test_d35_nothing_is_ever_printed(
    make: Makes, by_hand: FromThread, capfd: pytest.CaptureFixture[str]
) -> None:
    manager = make(high_performance=True)
    synced(manager, "BTCUSDT")
    by_hand.do(lambda network: network.raw(b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate"'))
    by_hand.do(lambda network: network.diff("BTCUSDT", 30, 31))
    manager.stop_manager()
    assert capfd.readouterr().out == ""


def test_d36_no_shell_is_used() -> None:
    words = re.compile(r"\bsubprocess\b|os\.system|os\.popen|shell=True")
    assert [path.name for path in FOLDER.glob("*.py") if words.search(path.read_text("utf-8"))] == []


@pytest.mark.slow
def test_d37_threads_may_create_stop_and_look_at_once(make: Makes, by_hand: FromThread) -> None:
    manager = make()
    synced(manager, "BTCUSDT")
    errors: list[BaseException] = []
    ends = threading.Event()

    def look() -> None:
        try:
            while not ends.is_set():
                manager.get_list_of_depthcaches()
                dict(manager.depth_caches)
                assert manager.get_asks("BTCUSDT", 1)
        except BaseException as error:
            errors.append(error)

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for looker in lookers:
        looker.start()
    for turn, name in itertools.product(range(5), range(10)):
        manager.create_depthcache(f"S{name}USDT")
        if turn % 2:
            manager.stop_depthcache(f"S{name}USDT")
    ends.set()
    for looker in lookers:
        looker.join(DEADLINE_S)
    assert errors == []


def test_d38_all_that_is_stopped_is_unsubscribed_at_once(make: Makes, by_hand: FromThread) -> None:
    manager = make()
    markets = [f"S{number}USDT" for number in range(10)]
    synced(manager, *markets)
    manager.stop_depthcache(markets[:9])
    until(lambda: len(names(by_hand, "UNSUBSCRIBE")) == 9)
    assert manager.get_list_of_depthcaches() == ["s9usdt"]


@pytest.mark.slow
def test_d39_each_stream_is_subscribed_once(make: Makes, by_hand: FromThread) -> None:
    manager = make()
    for number in range(10):
        synced(manager, f"S{number}USDT")
    subscribed = names(by_hand, "SUBSCRIBE")
    assert len(subscribed) == len(set(subscribed)) == 10


# --- performance -----------------------------------------------------------------------------


def test_p02_a_read_of_one_level_reads_one_level() -> None:
    from depthcache.compat.ubldc.reads import read_levels

    class Side:
        def __getitem__(self, key: slice) -> list[list[float]]:
            self.key = key
            return [[1.0, 2.0]]

    side = Side()
    assert read_levels(side, 1, None) == [[1.0, 2.0]]  # type: ignore[arg-type]
    assert side.key == slice(None, 1)
