"""Numbers from numpy and elsewhere are accepted for counts and measures, and refused anywhere else.

Every public argument that is a whole number accepts objects with `__index__` and refuses bools, floats and
strings.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import depthcache
from depthcache import InvalidArgument, Policy, Settings, connect, simulator, venues
from depthcache.client.config import parse_refresh, parse_timeout
from depthcache.client.follow import parse_follow_spec
from depthcache.compat.ubldc import BinanceLocalDepthCacheManager
from depthcache.compat.ubldc.cluster_requests import cluster_url
from depthcache.compat.ubldc.reads import select_from
from depthcache.core.policy import to_ns
from depthcache.simulator.listing import check_tick
from tests.engine import Engine
from tests.support.by_hand import ByHand
from tests.test_pickling import book

SPOT = venues.venue("binance.com")
BARE = Settings()
BODY = b'{"lastUpdateId":5,"bids":[["1","1"]],"asks":[["2","1"]]}'


class Counted:
    """As SymPy and others make them."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __index__(self) -> int:
        return self.number


class Refuses:
    def __index__(self) -> int:
        raise OverflowError

    def __float__(self) -> float:
        raise OverflowError


def follow_spec(**options: Any) -> Any:
    mode = options.pop("mode", "every")
    given = {"interval_ms": None, "on_stale": None, "buffer": 1, "buffer_bytes": 1} | options
    return parse_follow_spec(mode, given.pop("levels", 5), default="raise", **given)


def connected(**options: Any) -> Any:
    return connect("binance.com", ["BTCUSDT"], settings=BARE, **options)._client.config


WHOLE: dict[str, tuple[Callable[[Any], Any], int]] = {
    "depth of connect": (lambda n: connected(depth=n).depth, 100),
    "speed_ms of connect": (lambda n: connected(speed_ms=n).speed_ms, 1000),
    "depth of a snapshot": (SPOT.snapshot_limit, 100),
    "limit of a snapshot": (SPOT.served_limit, 100),
    "weight of a snapshot": (SPOT.snapshot_weight, 100),
    "speed of a stream": (lambda n: SPOT.stream("BTCUSDT", n), 100),
    "limit of load_snapshot": (lambda n: depthcache.Book("binance.com").load_snapshot(BODY, limit=n), 100),
    "levels of freeze": (lambda n: book().freeze(n), 1),
    "levels of to_numpy": (lambda n: book().to_numpy(n), 1),
    "levels of to_integers": (lambda n: book().asks.to_integers(n), 1),
    "levels of to_arrow": (lambda n: book().to_arrow(n), 1),
    "levels of columns": (lambda n: depthcache.Columns([book()], n), 1),
    "levels of imbalance": (lambda n: book().imbalance(n), 1),
    "levels of grouped": (lambda n: book().grouped(10, n), 1),
    "levels of updates": (lambda n: follow_spec(levels=n).levels, 5),
    "buffer of updates": (lambda n: follow_spec(buffer=n).buffer, 5),
    "buffer_bytes of updates": (lambda n: follow_spec(buffer_bytes=n).buffer_bytes, 5_000),
    "flight_bytes": (lambda n: Settings(flight_bytes=n), 1024),
    "requests_in_flight": (lambda n: Policy(requests_in_flight=n), 5),
    "streams_per_connection": (lambda n: Policy(streams_per_connection=n), 5),
    "thin_levels": (lambda n: Policy(thin_levels=n), 5),
    "too_old_patience": (lambda n: Policy(too_old_patience=n), 5),
    "seed of an exchange": (lambda n: simulator.SimulatedExchange(seed=n)._seed, 7),
    "history of an exchange": (lambda n: simulator.SimulatedExchange(history=n)._history, 100),
    "epoch of an exchange": (lambda n: simulator.SimulatedExchange(epoch_ms=n)._epoch_ms, 100),
    "seed of faults": (lambda n: simulator.Faults(seed=n), 7),
    "seed of a pair": (lambda n: simulator.Pair(simulator.SimulatedExchange(), seed=n).now_ns, 7),
    "latency of a pair": (lambda n: simulator.Pair(simulator.SimulatedExchange(), latency_ns=n).now_ns, 7),
    "tick": (lambda n: check_tick(n, simulator.TINY), 2),
    "port of a cluster": (lambda n: cluster_url("host", n), 8080),
    "interval of the drop-in": (
        lambda n: BinanceLocalDepthCacheManager(depth_cache_update_interval=n, settings=BARE).exchange,
        100,
    ),
}
REAL: dict[str, tuple[Callable[[Any], Any], float]] = {
    "timeout": (parse_timeout, 2.5),
    "refresh": (parse_refresh, 2.5),
    "interval_ms": (lambda n: follow_spec(mode="interval", interval_ms=n).interval_ns, 2.5),
    "limit_share": (lambda n: Policy(limit_share=n), 0.5),
    "silence_s": (lambda n: to_ns(Policy(silence_s=n).silence_s), 2.5),
    "refresh_s": (lambda n: Policy(refresh_s=n), 0.0),
    "chance": (lambda n: simulator.Faults(drop=n), 0.5),
    "refresh interval of the drop-in": (
        lambda n: BinanceLocalDepthCacheManager(default_refresh_interval=n, settings=BARE)._default_refresh,
        2.5,
    ),
    "size of a fill": (lambda n: book().fill("buy", base=n), 0.5),
    "bps": (lambda n: book().depth_within(n), 2.5),
}
BAD = [True, False, np.True_, "5", b"5", None, [5], np.array([5, 6]), 5j, float("nan"), Refuses(), object()]


def same(one: Any, two: Any) -> bool:
    return bool(type(one) is type(two) and one == two)


@pytest.mark.parametrize("name", WHOLE)
def test_what_counts_is_taken_from_anywhere(name: str) -> None:
    call, number = WHOLE[name]
    expected = call(number)
    kinds: list[Any] = [np.int64, np.uint32, np.int16, Counted, np.array]
    for kind in kinds:
        assert same(call(kind(number)), expected), kind


@pytest.mark.parametrize("name", WHOLE)
def test_what_does_not_count_is_refused_with_its_name(name: str) -> None:
    call, number = WHOLE[name]
    bad = [each for each in BAD if each is not None]
    for value in (*bad, float(number), np.float64(number), Decimal(number), Fraction(number)):
        with pytest.raises(InvalidArgument) as refused:
            call(value)
        assert refused.value.allowed


@pytest.mark.parametrize("name", REAL)
def test_what_measures_is_taken_from_anywhere(name: str) -> None:
    call, number = REAL[name]
    expected = call(number)
    for kind in (np.float64, np.float32, np.float16, Fraction, Decimal):
        if kind is Fraction and name in ("size of a fill", "bps"):
            continue
        assert call(kind(number)) == expected, kind
    if number in (0.0, 2.5):
        assert call(np.int64(2)) == call(2)
        assert call(np.float32(2)) == call(2)


@pytest.mark.parametrize("name", REAL)
def test_what_does_not_measure_is_refused(name: str) -> None:
    call, _ = REAL[name]
    for value in BAD:
        if value is None and name in ("timeout", "refresh", "refresh interval of the drop-in"):
            continue
        with pytest.raises(InvalidArgument):
            call(value)


def test_sizes_of_lists_of_the_drop_in() -> None:
    items = {"1": 1.0, "2": 1.0, "3": 1.0}
    assert select_from(items, np.int64(2)) == select_from(items, 2)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument):
        select_from(items, 2.0)  # type: ignore[arg-type]


def test_places_and_slices_of_a_side(engine: Engine) -> None:
    loaded = engine.loaded(bids=[("99", "1"), ("98", "1"), ("97", "1")])
    for kind in (np.int64, np.uint8, Counted):
        assert loaded.bids[kind(1)] == loaded.bids[1]
        assert loaded.bids[kind(0) : kind(2)] == loaded.bids[0:2]
        assert list(loaded.freeze(kind(2)).bids) == list(loaded.freeze(2).bids)
    for place in (1.0, "1", None):
        with pytest.raises(TypeError):
            _ = loaded.bids[place]
    for bad in (True, 1.0, np.float64(1), "1", -1, np.int64(-1)):
        with pytest.raises(InvalidArgument):
            loaded.freeze(bad)


async def test_a_client_with_numbers_of_numpy(exchange: list[ByHand]) -> None:
    depth: Any = np.int64(100)
    speed_ms: Any = np.int32(100)
    async with connect("binance.com", ["BTCUSDT"], depth=depth, speed_ms=speed_ms) as books:
        found = books["BTCUSDT"]
        await found.wait_synced(np.float32(20))  # type: ignore[arg-type]
        await books.wait_synced(timeout=np.int64(20))
        read = await found.read(np.int64(1), timeout=np.float64(20))  # type: ignore[arg-type]
        assert len(read.bids) == 1
        found.refresh_every(np.float32(60))  # type: ignore[arg-type]
        for bad in (True, "20", float("nan"), -1):
            with pytest.raises(InvalidArgument, match="timeout"):
                await found.wait_synced(bad)  # type: ignore[arg-type]
        for bad in ("1", True, -1.0):
            with pytest.raises(InvalidArgument, match="seconds"):
                await found.audit(seconds=bad)  # type: ignore[arg-type]


def test_a_pair_with_numbers_of_numpy() -> None:
    pair = simulator.Pair(simulator.SimulatedExchange({"binance.com": ["BTCUSDT"]}, seed=np.int64(3)))  # type: ignore[arg-type]
    pair.add("binance.com", "BTCUSDT", depth=np.int64(100), speed_ms=np.int64(100))  # type: ignore[arg-type]
    assert pair.run_until_synced()
    assert pair.differences() == 0
    assert pair.unexpected == ()
    pair.close()
