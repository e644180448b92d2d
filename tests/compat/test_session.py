"""Complete sessions of programs of the old library, on real sockets against the embedded exchange."""

from __future__ import annotations

import threading
import time

import pytest

from depthcache import simulator
from depthcache.compat.ubldc import (
    BinanceLocalDepthCacheManager,
    DepthCacheAlreadyStopped,
    DepthCacheNotFound,
    DepthCacheOutOfSync,
)
from tests.compat.conftest import until

pytestmark = pytest.mark.slow


def test_a_program_creates_reads_and_stops(server: simulator.Server) -> None:
    with BinanceLocalDepthCacheManager("binance.com", settings=server.settings) as ubldc:
        assert ubldc.create_depthcache(["BTCUSDT", "ethusdt"]) is True
        assert ubldc.get_list_of_depthcaches() == ["btcusdt", "ethusdt"]
        with pytest.raises(DepthCacheOutOfSync):
            ubldc.get_asks("BTCUSDT")
        until(lambda: ubldc.is_depth_cache_synchronized("btcusdt"))
        asks, bids = ubldc.get_asks("BTCUSDT", limit_count=3), ubldc.get_bids("btcusdt")
        assert [type(value) for level in asks for value in level] == [float] * 6
        assert asks == sorted(asks)
        assert bids == sorted(bids, reverse=True)
        assert len(bids) <= 1_000
        until(lambda: ubldc.is_depth_cache_synchronized("ETHUSDT"))
        assert ubldc.stop_depthcache("ETHUSDT") is True
        assert ubldc.get_list_of_depthcaches() == ["btcusdt"]
        with pytest.raises(DepthCacheAlreadyStopped):
            ubldc.get_asks("ethusdt")
        with pytest.raises(DepthCacheNotFound):
            ubldc.get_asks("nobody")
    with pytest.raises(DepthCacheAlreadyStopped):
        ubldc.get_bids("btcusdt")


def test_a_lost_connection_is_reported_and_the_callback_may_call_any_method(server: simulator.Server) -> None:
    told: list[tuple[str, float, int, bool]] = []

    def on_restart(market: str, at: float) -> None:
        count = ubldc.get_restart_count(market)
        ubldc.create_depthcache("BNBUSDT")
        ubldc.set_refresh_request(market)
        told.append((market, at, count, at == ubldc.get_last_restart_time(market)))
        raise RuntimeError("a mistake of the program")

    with BinanceLocalDepthCacheManager(
        "binance.com", on_restart=on_restart, settings=server.settings
    ) as ubldc:
        ubldc.create_depthcache(["BTCUSDT", "ETHUSDT"])
        until(lambda: all(map(ubldc.is_depth_cache_synchronized, ubldc.get_list_of_depthcaches())))
        assert (ubldc.get_restart_count("btcusdt"), ubldc.get_last_restart_time("btcusdt")) == (0, None)
        server.on_exchange(lambda: server.exchange.cut(server.exchange.now_ns))  # type: ignore[attr-defined]
        until(lambda: len(told) >= 2)
        assert {market for market, *_ in told[:2]} == {"btcusdt", "ethusdt"}
        assert all(abs(at - time.time()) < 60 and count == 1 and same for _, at, count, same in told[:2])
        until(lambda: ubldc.is_depth_cache_synchronized("BTCUSDT"))
        assert "bnbusdt" in ubldc.get_list_of_depthcaches()


def test_a_market_that_the_exchange_does_not_know_says_so(server: simulator.Server) -> None:
    with BinanceLocalDepthCacheManager("binance.com", settings=server.settings) as ubldc:
        ubldc.create_depthcache("BTCUSDX")

        def told() -> bool:
            with pytest.raises((DepthCacheOutOfSync, DepthCacheNotFound)) as caught:
                ubldc.get_asks("BTCUSDX")
            return caught.type is DepthCacheNotFound

        until(told)
        assert ubldc.get_list_of_depthcaches() == []


def test_a_refresh_keeps_a_cache_readable_and_a_resync_rebuilds_it(server: simulator.Server) -> None:
    with BinanceLocalDepthCacheManager("binance.com-futures", settings=server.settings) as ubldc:
        ubldc.create_depthcache("BTCUSDT", refresh_interval=3600)
        until(lambda: ubldc.is_depth_cache_synchronized("BTCUSDT"))
        (before,) = ubldc.stats().books
        ubldc.set_refresh_request("BTCUSDT")
        while ubldc.stats().books[0].counters["refreshes"] == before.counters["refreshes"]:
            assert ubldc.get_asks("BTCUSDT", limit_count=1)
        (refreshed,) = ubldc.stats().books
        assert refreshed.losses == before.losses
        assert ubldc.set_resync_request("BTCUSDT") is True
        until(lambda: ubldc.stats().books[0].counters["snapshots"] > refreshed.counters["snapshots"])
        until(lambda: ubldc.is_depth_cache_synchronized("btcusdt"))


def test_a_given_ubra_manager_brings_the_snapshots_and_is_never_stopped(server: simulator.Server) -> None:
    class Ubra:
        def __init__(self) -> None:
            self.asked: list[tuple[str, int, str]] = []
            self.stopped = False

        def get_order_book(self, *, symbol: str, limit: int) -> object:
            self.asked.append((symbol, limit, threading.current_thread().name))
            exchange = server.exchange
            target = f"/api/v3/depth?symbol={symbol}&limit={limit}"
            response = server.on_exchange(
                lambda: exchange.request("binance.com", target, exchange.now_ns)  # type: ignore[attr-defined]
            )
            return response.body

        def get_used_weight(self, cached: bool = False) -> dict[str, object]:
            assert cached
            return {"weight": 77}

        def stop_manager(self) -> None:
            self.stopped = True

    ubra = Ubra()
    with BinanceLocalDepthCacheManager("binance.com", ubra_manager=ubra, settings=server.settings) as ubldc:
        assert ubldc.ubra is ubldc.get_ubra_manager() is ubra
        ubldc.create_depthcache("BTCUSDT")
        until(lambda: ubldc.is_depth_cache_synchronized("BTCUSDT"))
    assert {symbol for symbol, *_ in ubra.asked} == {"BTCUSDT"}
    assert {name for *_, name in ubra.asked} == {"depthcache snapshot"}
    assert not ubra.stopped
