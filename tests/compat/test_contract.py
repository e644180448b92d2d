"""The drop-in keeps the contract: every name, order, default, text and rule."""

from __future__ import annotations

import inspect
import itertools
import logging
import math
import pickle
import threading
from collections.abc import Mapping
from typing import Any

import pytest

import depthcache
from depthcache import DepthCacheError, InvalidArgument, Side, UnknownExchange
from depthcache.compat import ubldc
from depthcache.compat.ubldc import BinanceLocalDepthCacheManager, DepthCacheNotFound, DepthCacheOutOfSync
from depthcache.compat.ubldc.arguments import speed_of
from depthcache.compat.ubldc.manager import __version__
from depthcache.compat.ubldc.reads import read_levels
from tests.compat import contract
from tests.compat.conftest import Makes, until
from tests.support.by_hand import FromThread

LOGGER = "unicorn_binance_local_depth_cache"


def arguments(function: Any) -> list[tuple[str, object]]:
    """Positional arguments and their defaults, without `self`."""
    found = inspect.signature(function).parameters.values()
    return [
        (each.name, each.default)
        for each in found
        if each.name != "self" and each.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]


# --- names -----------------------------------------------------------------------------------


def test_the_constructor_has_every_argument_in_its_place() -> None:
    wanted = [(name, contract.DIFFERENT_DEFAULTS.get(name, value)) for name, value in contract.CONSTRUCTOR]
    assert arguments(BinanceLocalDepthCacheManager) == wanted


@pytest.mark.parametrize("name", contract.LICENCES)
def test_licences_are_accepted_with_a_warning(name: str) -> None:
    with pytest.warns(DeprecationWarning, match=name):
        BinanceLocalDepthCacheManager(**{name: "x"})


def test_positional_calls_in_the_order_of_both_releases_up_to_where_they_differ(make: Makes) -> None:
    manager = BinanceLocalDepthCacheManager("binance.us", 60, 1000, False, False, 4.0, 5)
    assert (manager.exchange, manager.depth_cache_update_interval) == ("binance.us", 1000)
    with pytest.raises(InvalidArgument, match="use keyword arguments after init_time_window"):
        BinanceLocalDepthCacheManager("binance.us", 60, 1000, False, False, 4.0, 5, 2)  # the order of 2.8


@pytest.mark.parametrize("name", contract.METHODS)
def test_every_method_has_its_arguments(name: str) -> None:
    assert tuple(arguments(getattr(BinanceLocalDepthCacheManager, name))) == contract.METHODS[name]


@pytest.mark.parametrize(("old", "new"), contract.ALIASES.items())
def test_every_deprecated_name_says_so_and_works(
    old: str, new: str, make: Makes, caplog: pytest.LogCaptureFixture
) -> None:
    manager = make()
    with caplog.at_level(logging.WARNING, logger=LOGGER):
        assert getattr(manager, old)() == getattr(manager, new)()
    assert f"{old}() is deprecated" in caplog.text


@pytest.mark.parametrize("name", contract.ATTRIBUTES + contract.THREAD)
def test_every_attribute_is_there(name: str, make: Makes) -> None:
    assert hasattr(make(), name)


def test_attributes_that_were_mutable_state_are_read_only_views(make: Makes, by_hand: FromThread) -> None:
    manager = make()
    manager.create_depthcache("BTCUSDT")
    until(lambda: manager.is_depth_cache_synchronized("BTCUSDT"))
    entry, stream = manager.depth_caches["btcusdt"], manager.dc_streams[str(manager.get_dc_stream_id())]
    assert set(entry) >= contract.CACHE_KEYS
    assert set(stream) == contract.STREAM_KEYS
    assert (entry["asks"], entry["bids"]) == ({"1.20": 7.0, "1.30": 8.0}, {"1.10": 5.0, "1.00": 6.0})
    assert (stream["markets"], stream["status"], stream["restarts"]) == (["btcusdt"], "RUNNING", 0)
    for view in (manager.depth_caches, manager.dc_streams, entry, stream):
        with pytest.raises(TypeError):
            view["x"] = 1  # type: ignore[index]
    for name in ("depth_caches", "dc_streams", "exchange", "stop_request", "cluster", "ubra", "version"):
        with pytest.raises(AttributeError):
            setattr(manager, name, None)


@pytest.mark.parametrize("name", contract.EXCEPTIONS)
def test_every_exception_has_its_text_and_facts(name: str) -> None:
    kind = getattr(ubldc, name)
    with_argument, without = contract.EXCEPTIONS[name]
    error, bare = kind("btcusdt"), kind()
    assert (str(error), error.message) == (with_argument, with_argument)
    assert (str(bare), bare.message) == (without, without)
    assert getattr(error, "url" if "Cluster" in name else "market") == "btcusdt"
    assert isinstance(error, ubldc.LocalDepthCacheError)
    assert isinstance(error, DepthCacheError)
    assert str(pickle.loads(pickle.dumps(error))) == with_argument  # noqa: S301


def test_not_found_is_also_a_key_error_and_shows_its_text() -> None:
    error = DepthCacheNotFound("btcusdt")
    assert isinstance(error, KeyError)
    assert f"{error}" == "The depth_cache for market 'btcusdt' does not exist!"


@pytest.mark.parametrize("exchange", contract.EXCHANGES)
def test_every_exchange_name_is_accepted(exchange: str, make: Makes) -> None:
    assert make(exchange, depth_cache_update_interval=None).exchange == exchange


@pytest.mark.parametrize(("exchange", "speed_ms"), contract.SPEEDS.items())
def test_without_an_interval_the_bare_stream_is_taken(exchange: str, speed_ms: int) -> None:
    assert speed_of(exchange, None) == speed_ms
    assert speed_of(exchange, 100) == 100


def test_versions_and_names(make: Makes) -> None:
    manager = make()
    assert manager.get_version() == manager.version == __version__ == depthcache.__version__
    assert manager.get_user_agent().startswith(f"depthcache_{__version__}-python_3.")
    assert manager.name == "depthcache"


# --- arguments -------------------------------------------------------------------------------


def test_wrong_arguments_are_refused_at_once(make: Makes) -> None:
    with pytest.raises(UnknownExchange):
        make("binance.con")
    with pytest.raises(InvalidArgument, match="speed_ms"):
        make(depth_cache_update_interval=123)
    with pytest.raises(InvalidArgument, match="default_refresh_interval"):
        make(default_refresh_interval=-1)
    manager = make()
    for wrong in (7, {"BTCUSDT": 1}, b"BTCUSDT", ["BTC/USDT"], [None]):
        with pytest.raises(InvalidArgument):
            manager.create_depthcache(wrong)  # type: ignore[arg-type]
    assert manager.get_list_of_depthcaches() == []


@pytest.mark.parametrize("name", contract.WITHOUT_EFFECT)
def test_an_argument_without_effect_says_so_once(
    name: str, make: Makes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger=LOGGER):
        make(**{name: contract.WITHOUT_EFFECT[name]})
        make(**{name: dict(contract.CONSTRUCTOR)[name]})  # the default has nothing to say
    assert len([record for record in caplog.records if name in record.getMessage()]) == 1


# --- rules of reads --------------------------------------------------------------------------


@pytest.fixture
def side() -> Side:
    """`contract.SIDE` as asks of a real book."""
    levels = ",".join(f'["{price}","{quantity}"]' for price, quantity in contract.SIDE)
    book = depthcache.Book("binance.com", "BTCUSDT")
    book.load_snapshot(f'{{"lastUpdateId":1,"bids":[],"asks":[{levels}]}}', limit=1000)
    return book.asks


@pytest.mark.parametrize(("limit", "left"), contract.LIMITS)
def test_limit_count(side: Side, limit: int | None, left: int) -> None:
    assert read_levels(side, limit, None) == contract.SIDE[:left]


@pytest.mark.parametrize(("threshold", "limit", "left"), contract.THRESHOLDS)
def test_threshold_volume(side: Side, threshold: float | None, limit: int | None, left: int) -> None:
    assert read_levels(side, limit, threshold) == contract.SIDE[:left]


@pytest.mark.parametrize(
    ("limit", "threshold"),
    [(1.5, None), ("3", None), (None, "100"), (None, [1]), (None, math.nan), (None, True)],
    ids=str,
)
def test_wrong_limits_are_refused(side: Side, limit: Any, threshold: Any) -> None:
    with pytest.raises(InvalidArgument, match="limit_count" if threshold is None else "threshold_volume"):
        read_levels(side, limit, threshold)


def test_sides_come_best_first_as_lists_of_floats_that_are_the_callers_own(
    make: Makes, by_hand: FromThread
) -> None:
    manager = make()
    manager.create_depthcache(["BTCUSDT"])
    until(lambda: manager.is_depth_cache_synchronized("BTCUSDT"))
    assert manager.get_asks("BTCUSDT") == [[1.2, 7.0], [1.3, 8.0]]
    assert manager.get_bids("BTCUSDT") == [[1.1, 5.0], [1.0, 6.0]]
    assert manager.get_bids("BTCUSDT", 1) == manager.get_bids("BTCUSDT", threshold_volume=5.5) == [[1.1, 5.0]]
    manager.get_asks("BTCUSDT")[0][0] = 0.0
    assert manager.get_asks("BTCUSDT")[0] == [1.2, 7.0]
    assert {type(value) for level in manager.get_asks("BTCUSDT") for value in level} == {float}


# --- the order of errors ---------------------------------------------------------------------

READS = ("get_asks", "get_bids")


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("market", [None, "nobody", "NOBODY", 7])
def test_reading_an_unknown_market_is_not_found_even_after_the_manager_was_stopped(
    name: str, market: Any, make: Makes
) -> None:
    manager = make()
    for _ in range(2):
        with pytest.raises(DepthCacheNotFound):
            getattr(manager, name)(market)
        manager.stop_manager()


@pytest.mark.parametrize("name", READS)
def test_a_cache_that_was_never_synced_is_out_of_sync_also_when_it_was_stopped(
    name: str, make: Makes, by_hand: FromThread
) -> None:
    by_hand.default = None
    manager = make()
    manager.create_depthcache(["BTCUSDT", "ETHUSDT"])
    for stop in (lambda: None, lambda: manager.stop_depthcache("BTCUSDT"), manager.stop_manager):
        stop()
        with pytest.raises(DepthCacheOutOfSync) as caught:
            getattr(manager, name)("BTCUSDT")
        assert caught.value.market == "btcusdt"


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("stop", ["cache", "manager"])
def test_a_synced_cache_that_was_stopped_says_so(
    name: str, stop: str, make: Makes, by_hand: FromThread
) -> None:
    manager = make()
    manager.create_depthcache("BTCUSDT")
    until(lambda: manager.is_depth_cache_synchronized("BTCUSDT"))
    manager.stop_depthcache("BTCUSDT") if stop == "cache" else manager.stop_manager()
    with pytest.raises(ubldc.DepthCacheAlreadyStopped) as caught:
        getattr(manager, name)("BTCUSDT", limit_count="wrong")
    assert caught.value.market == "btcusdt"


BY_MARKET = (
    "get_asks", "get_bids", "is_depth_cache_synchronized", "get_last_update_time", "get_last_restart_time",
    "get_restart_count", "set_refresh_request", "set_resync_request", "stop_depthcache",
)  # fmt: skip


@pytest.mark.parametrize("name", BY_MARKET)
def test_an_unknown_market_is_not_found_everywhere(name: str, make: Makes) -> None:
    with pytest.raises(DepthCacheNotFound) as caught:
        getattr(make(), name)("NOBODY")
    assert caught.value.market == "nobody"


# --- results ---------------------------------------------------------------------------------


def test_none_and_nothing_at_all(make: Makes, caplog: pytest.LogCaptureFixture) -> None:
    manager = make()
    assert manager.create_depthcache() is False
    assert manager.create_depthcache([]) is True
    with caplog.at_level(logging.CRITICAL, logger=LOGGER):
        assert manager.stop_depthcache() is False
        assert manager.set_refresh_request() is False
    assert [record.levelname for record in caplog.records] == ["CRITICAL", "CRITICAL"]
    with pytest.raises(ValueError, match="market"):
        manager.set_resync_request()
    assert manager.get_dc_stream_id("btcusdt") is None
    assert manager.is_stop_request("nobody") is False
    assert manager.stop_manager() is True
    assert manager.is_stop_request("nobody") is manager.is_stop_request() is manager.stop_request is True


def test_the_context_manager_logs_an_exception_and_lets_it_go_on(caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.CRITICAL, logger=LOGGER),
        pytest.raises(RuntimeError),
        BinanceLocalDepthCacheManager() as manager,
    ):
        raise RuntimeError("mine")
    assert caplog.records[0].levelname == "CRITICAL"
    assert manager.stop_request


def test_refresh_interval_zero_means_the_default(make: Makes, by_hand: FromThread) -> None:
    manager = make(default_refresh_interval=60)
    manager.create_depthcache("BTCUSDT", refresh_interval=0)
    manager.create_depthcache("ETHUSDT", refresh_interval=5)
    intervals = [entry["refresh_interval"] for entry in manager.depth_caches.values()]
    assert intervals == [60, 5]


def test_the_last_update_time_is_system_time_and_the_same_until_something_came(
    make: Makes, by_hand: FromThread
) -> None:
    by_hand.default = None
    manager = make()
    manager.create_depthcache("BTCUSDT")
    assert manager.get_last_update_time("BTCUSDT") is None
    by_hand.do(
        lambda network: network.books.__setitem__("ETHUSDT", {"lastUpdateId": 10, "bids": [], "asks": []})
    )
    manager.create_depthcache("ETHUSDT")
    until(lambda: manager.is_depth_cache_synchronized("ethusdt"))
    first = manager.get_last_update_time("ETHUSDT")
    assert isinstance(first, int)
    assert {manager.get_last_update_time("ethusdt") for _ in range(20)} == {first}
    ids = itertools.count(11)

    def moved() -> bool:
        last = next(ids)
        by_hand.do(lambda network: network.diff("ETHUSDT", last, last, bids=[["1.0", "1"]]))
        return (manager.get_last_update_time("ethusdt") or 0) > first

    until(moved)


def test_a_manager_as_a_thread_is_alive_until_it_is_stopped_and_joined_by_that(make: Makes) -> None:
    manager = make()
    manager.start()
    manager.setName("mine")
    manager.setDaemon(True)
    assert (manager.getName(), manager.isDaemon(), manager.ident) == ("mine", True, None)
    manager.join(timeout=0)
    assert manager.is_alive()
    joined = threading.Thread(target=manager.join)
    joined.start()
    manager.stop_manager()
    joined.join(60)
    assert not joined.is_alive()
    assert not manager.is_alive()


def test_reads_return_at_most_a_thousand_levels_and_the_book_keeps_them_all(
    make: Makes, by_hand: FromThread
) -> None:
    asks = [[f"{100 + step * 0.01:.2f}", "1.0"] for step in range(1_500)]
    by_hand.default = {"lastUpdateId": 10, "bids": [["99.00", "1.0"]], "asks": asks[:1_000]}
    manager = make()
    manager.create_depthcache("BTCUSDT")
    until(lambda: manager.is_depth_cache_synchronized("BTCUSDT"))
    by_hand.do(lambda network: network.diff("BTCUSDT", 11, 11, asks=asks[1_000:]))
    assert len(manager.get_asks("BTCUSDT")) == len(manager.get_asks("BTCUSDT", limit_count=5_000)) == 1_000
    gone = [[price, "0"] for price, _ in asks[:500]]
    by_hand.do(lambda network: network.diff("BTCUSDT", 12, 12, asks=gone))
    assert [level[0] for level in manager.get_asks("BTCUSDT")] == [float(price) for price, _ in asks[500:]]


def test_a_read_of_everything_says_once_where_it_cannot_be_proven(
    make: Makes, by_hand: FromThread, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("depthcache.compat.ubldc.books._PATIENCE_S", 0.0)
    asks = [[f"{100 + step * 0.01:.2f}", "1.0"] for step in range(1_500)]
    by_hand.default = {"lastUpdateId": 10, "bids": [["99.00", "1.0"]], "asks": asks[:1_000]}
    manager = make()
    manager.create_depthcache("BTCUSDT")
    until(lambda: manager.is_depth_cache_synchronized("BTCUSDT"))
    assert len(manager.get_asks("BTCUSDT")) == 1_000
    assert caplog.text == ""
    changes = [[price, "0"] for price, _ in asks[:500]] + asks[1_000:]
    by_hand.do(lambda network: network.diff("BTCUSDT", 11, 11, asks=changes))
    manager.get_asks("BTCUSDT", limit_count=1)
    manager.get_bids("BTCUSDT")  # one level, and the whole side is known
    assert caplog.text == ""
    for _ in range(3):
        manager.get_asks("BTCUSDT")
    assert caplog.text.count("only 500 asks of btcusdt are proven") == 1


def test_the_names_of_the_package_are_these() -> None:
    assert set(ubldc.__all__) == {
        *contract.EXCEPTIONS,
        "BinanceLocalDepthCacheManager",
        "LocalDepthCacheError",
    }
    assert issubclass(ubldc.LocalDepthCacheError, depthcache.DepthCacheError)
    assert isinstance(BinanceLocalDepthCacheManager().depth_caches, Mapping)
