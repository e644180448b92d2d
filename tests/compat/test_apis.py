"""The APIs for REST and streams against the embedded exchange on real sockets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from depthcache import InvalidArgument, Settings, UnknownExchange, simulator
from depthcache.compat.ubldc import BinanceLocalDepthCacheManager
from depthcache.compat.ubldc.human import human_bytes, human_seconds
from depthcache.compat.ubldc.rates import Rates
from depthcache.compat.ubldc.rest_api import (
    AlreadyStoppedError,
    BinanceAPIException,
    BinanceRestApiManager,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[simulator.Server]:
    with simulator.serve(seed=4) as server:
        yield server


@pytest.fixture
def ubldc(server: simulator.Server) -> Iterator[BinanceLocalDepthCacheManager]:
    with BinanceLocalDepthCacheManager("binance.com", settings=server.settings) as manager:
        yield manager


def until(condition: Callable[[], object]) -> None:
    ends = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends, "waited too long"
        time.sleep(0.01)


def test_ubra_lists_symbols_of_every_family(ubldc: BinanceLocalDepthCacheManager) -> None:
    ubra = ubldc.get_ubra_manager()
    assert ubra is ubldc.ubra
    row = next(row for row in ubra.get_exchange_info()["symbols"] if row["symbol"] == "BTCUSDT")
    assert row["status"] == "TRADING"
    assert ubra.get_symbol_info("btcusdt") == row
    assert ubra.get_symbol_info("NOBODY") is None
    assert "BTCUSDT" in {row["symbol"] for row in ubra.futures_exchange_info()["symbols"]}
    assert ubra.futures_coin_exchange_info()["symbols"]
    assert ubra.options_exchange_info()["optionSymbols"]
    assert len(ubra.get_exchange_info(symbol="BTCUSDT")["symbols"]) == 1


def test_ubra_brings_snapshots_as_the_exchange_sends_them(ubldc: BinanceLocalDepthCacheManager) -> None:
    ubra = ubldc.get_ubra_manager()
    book = ubra.get_order_book(symbol="BTCUSDT", limit=5)
    assert len(book["bids"]) == len(book["asks"]) == 5
    assert all(isinstance(text, str) for level in book["bids"] for text in level)
    assert len(ubra.futures_order_book(symbol="BTCUSDT", limit=5)["asks"]) == 5
    assert len(ubra.futures_order_book(symbol="BTCUSDT")["asks"]) > 5


def test_ubra_says_what_the_exchange_refused(ubldc: BinanceLocalDepthCacheManager) -> None:
    with pytest.raises(BinanceAPIException) as caught:
        ubldc.get_ubra_manager().get_order_book(symbol="NOBODY")
    assert (caught.value.code, caught.value.status_code) == (-1121, 400)
    assert str(caught.value) == "APIError(code=-1121): Invalid symbol."


def test_ubra_has_time_and_ping(ubldc: BinanceLocalDepthCacheManager) -> None:
    ubra = ubldc.get_ubra_manager()
    assert ubra.ping() == ubra.futures_ping() == {}
    assert ubra.get_server_time().keys() == ubra.futures_time().keys() == {"serverTime"}


@pytest.mark.parametrize("exchange", ["binance.com", "binance.com-futures"])
def test_d20_the_used_weight_is_that_of_the_own_family(server: simulator.Server, exchange: str) -> None:
    with BinanceLocalDepthCacheManager(exchange, settings=server.settings) as ubldc:
        ubra = ubldc.get_ubra_manager()
        asked = ubra.get_used_weight()
        assert set(asked) == {"weight", "timestamp", "status_code"}
        again = ubra.get_used_weight()
        assert again["weight"] == asked["weight"] + 1, "one ping of that family"
        assert ubra.get_used_weight(cached=True)["weight"] == again["weight"]
        assert ubra.get_used_weight(cached=True, cached_timeout=0)["weight"] == again["weight"] + 1
        ubldc.create_depthcache("BTCUSDT")
        until(lambda: ubra.get_used_weight(cached=True)["weight"] > again["weight"] + 1)


def test_nothing_was_counted_before_the_first_request() -> None:
    with simulator.serve(seed=1) as fresh, BinanceRestApiManager(settings=fresh.settings) as ubra:
        assert ubra.get_used_weight(cached=True) is None


def test_d32_a_shared_rest_manager_is_not_stopped_and_an_own_one_is(server: simulator.Server) -> None:
    with BinanceRestApiManager(exchange="binance.com", settings=server.settings) as shared:
        with BinanceLocalDepthCacheManager(
            "binance.com", ubra_manager=shared, settings=server.settings
        ) as ubldc:
            assert ubldc.get_ubra_manager() is shared
            ubldc.create_depthcache("BTCUSDT")
            until(lambda: ubldc.is_depth_cache_synchronized("BTCUSDT"))
        assert shared.ping() == {}
    with pytest.raises(AlreadyStoppedError):
        shared.ping()
    with BinanceLocalDepthCacheManager("binance.com", settings=server.settings) as ubldc:
        own = ubldc.get_ubra_manager()
        own.ping()
        ubldc.set_credentials("key", "secret")
        assert ubldc.get_ubra_manager() is not own
    with pytest.raises(AlreadyStoppedError):
        ubldc.get_ubra_manager().ping()
    assert [each for each in threading.enumerate() if each.name.startswith("depthcache ")] == [
        each for each in threading.enumerate() if each.name == "depthcache exchange"
    ]


def test_the_face_opens_nothing_until_it_is_asked() -> None:
    BinanceRestApiManager("key", "secret", settings=Settings(proxies=False))
    assert [each for each in threading.enumerate() if each.name == "depthcache rest"] == []


def test_what_the_face_cannot_do_it_says() -> None:
    ubra = BinanceRestApiManager(settings=Settings(proxies=False))
    with pytest.raises(AttributeError, match="install unicorn-binance-rest-api"):
        ubra.create_order(symbol="BTCUSDT")
    with pytest.raises(InvalidArgument, match="socks5h://"):
        BinanceRestApiManager(socks5_proxy_server="127.0.0.1:1080")
    with pytest.raises(UnknownExchange):
        BinanceRestApiManager(exchange="binance.con")
    assert BinanceRestApiManager(tld="us").exchange == "binance.us"


def test_calls_of_other_families_stay_on_the_same_kind_of_exchange() -> None:
    asked: list[str] = []

    def make_api(exchange: str) -> Any:
        ubra: Any = BinanceRestApiManager(exchange=exchange, settings=Settings(proxies=False))
        ubra._ask = lambda name, path, weight, params=None: asked.append(name)
        return ubra

    testnet = make_api("binance.com-futures-testnet")
    testnet.get_exchange_info()
    testnet.futures_exchange_info()
    testnet.futures_coin_order_book(symbol="BTCUSD_PERP", limit=5)
    assert asked == ["binance.com-testnet", "binance.com-futures-testnet", "binance.com-coin_futures-testnet"]
    asked.clear()
    make_api("binance.us").get_exchange_info()
    make_api("binance.us").futures_exchange_info()
    make_api("binance.com-vanilla-options").get_order_book(symbol="BTCUSDT")
    assert asked == ["binance.us", "binance.com-futures", "binance.com"]


def test_ubwa_tells_what_streams_do(ubldc: BinanceLocalDepthCacheManager) -> None:
    ubwa = ubldc.get_ubwa_manager()
    assert ubwa.get_active_stream_list() is None
    assert ubwa.get_stream_list() == {}
    ubldc.create_depthcache(["BTCUSDT", "ETHUSDT"])
    until(lambda: ubwa.get_active_stream_list())
    until(lambda: ubwa.get_total_receives() > 3)
    (stream_id,) = ubwa.get_active_stream_list()
    info = ubwa.get_stream_info(stream_id)
    assert info["status"] == "running"
    assert info["subscriptions"] == ubwa.get_number_of_all_subscriptions() == 2
    assert info["exchange"] == ubwa.get_exchange() == "binance.com"
    assert ubwa.get_number_of_streams_in_stream_list() == 1
    assert ubwa.get_total_received_bytes() > 0
    assert ubwa.get_reconnects() == 0
    assert ubwa.get_stream_info("nobody") is False
    assert list(ubwa.get_stream_list()) == [stream_id], "ids stay"
    assert ubwa.is_manager_stopping() is False
    assert "binance.com #1" in (ubwa.print_summary(disable_print=True) or "")
    with pytest.raises(AttributeError, match="create_stream"):
        ubwa.create_stream([], [])


def test_d37_lists_may_be_read_while_caches_come_and_go(ubldc: BinanceLocalDepthCacheManager) -> None:
    failed: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        try:
            while not stop.is_set():
                ubldc.get_list_of_depthcaches()
                ubldc.get_ubwa_manager().get_stream_list()
                ubldc.get_ubwa_manager().print_summary(disable_print=True)
        except BaseException as error:
            failed.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(10):
        for market in ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT"):
            ubldc.create_depthcache(market)
        for market in ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT"):
            ubldc.stop_depthcache(market)
    stop.set()
    reader.join()
    assert failed == []


def test_rates_use_the_previous_call_and_restart_with_a_counter() -> None:
    rates = Rates()
    begun = rates.begun
    assert rates.of("frames", 20, now=begun + 2) == 10
    assert rates.of("frames", 60, now=begun + 4) == 20
    assert rates.of("frames", 62, now=begun + 4.1) == pytest.approx(42 / 2.1), "looks too near share a base"
    assert rates.of("frames", 5, now=begun + 6) == pytest.approx(2.5), "another connection"
    assert rates.of("other", 0, now=begun) == 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 seconds"), (61, "1m:1s"), (3_723, "1h:2m:3s"), (200_000, "2d:7h:33m:20s"), (-1, "0 seconds")],
)
def test_spans_of_time_in_words(seconds: float, words: str) -> None:
    assert human_seconds(seconds) == words


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 B"), (999, "999 B"), (1_500, "1.5 kB"), (2.5e6, "2.5 MB"), (3e15, "3000.0 TB")]
)
def test_bytes_in_words(size: float, words: str) -> None:
    assert human_bytes(size) == words
