"""A whole session of a program of the old library, on real sockets against the embedded exchange."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from depthcache import simulator
from depthcache.compat.ubldc import (
    BinanceLocalDepthCacheManager,
    DepthCacheAlreadyStopped,
    DepthCacheNotFound,
    DepthCacheOutOfSync,
)


@pytest.fixture(scope="module")
def server() -> Iterator[simulator.Server]:
    with simulator.serve(seed=5) as server:
        yield server


def until(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "waited too long"
        time.sleep(0.01)


@pytest.mark.slow
def test_a_program_creates_reads_and_stops(server: simulator.Server) -> None:
    with BinanceLocalDepthCacheManager("binance.com", settings=server.settings) as ubldc:
        assert ubldc.create_depthcache(["BTCUSDT", "ethusdt"]) is True
        assert ubldc.get_list_of_depthcaches() == ["btcusdt", "ethusdt"]
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


@pytest.mark.slow
def test_before_sync_both_getters_say_so(server: simulator.Server) -> None:
    with BinanceLocalDepthCacheManager("binance.com", settings=server.settings) as ubldc:
        ubldc.create_depthcache("BTCUSDT")
        with pytest.raises(DepthCacheOutOfSync):
            ubldc.get_asks("BTCUSDT")
