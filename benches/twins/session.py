"""One scripted session of a program of the old library, on the old library or the drop-in.

    python session.py old|new REST_URL WEBSOCKET_URL

It prints each step with its result. Not here: the expected results.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from common import ask, library, tell, until

MARKETS = ["BTCUSDT", "ETHUSDT"]
LIMITS = (0, 1, 3, 300)
THRESHOLDS = (0, -1, 1, 1_000, 5_000, 20_000, 100_000)


def outcome(call: Callable[[], Any]) -> Any:
    """The result of a call, or the type and text of its exception."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - an exception is a result
        return f"{type(error).__name__}: {error}"


def session(module: Any) -> None:
    manager = module.BinanceLocalDepthCacheManager("binance.com", warn_on_update=False)

    def step(name: str, call: Callable[[], Any]) -> None:
        tell(step=name, result=outcome(call))

    def synced() -> bool:
        return all(map(manager.is_depth_cache_synchronized, MARKETS))

    def timed(name: str, condition: Callable[[], Any]) -> None:
        seconds = until(condition)
        tell(step=name, result=seconds is not None, seconds=seconds)

    step("create nothing", lambda: manager.create_depthcache())
    step("create an empty list", lambda: manager.create_depthcache([]))
    step("create a list", lambda: manager.create_depthcache(MARKETS))
    step("list", manager.get_list_of_depthcaches)
    step("list by its old name", manager.get_list_of_depth_caches)
    step("asks before sync", lambda: manager.get_asks("BTCUSDT"))
    step("bids before sync", lambda: manager.get_bids(market="btcusdt"))
    step("synchronized before sync", lambda: manager.is_depth_cache_synchronized("BTCUSDT"))
    step("last update before sync", lambda: manager.get_last_update_time("BTCUSDT"))
    for method in ("get_asks", "get_bids", "is_depth_cache_synchronized", "get_last_update_time",
                   "get_last_restart_time", "get_restart_count", "set_refresh_request",
                   "set_resync_request", "stop_depthcache"):  # fmt: skip
        step(f"{method} of nobody", lambda method=method: getattr(manager, method)("NOBODY"))  # type: ignore[misc]
    for method in ("get_asks", "get_bids", "is_depth_cache_synchronized", "get_last_update_time"):
        step(f"{method} of None", lambda method=method: getattr(manager, method)())  # type: ignore[misc]
    for method in ("stop_depthcache", "set_refresh_request"):
        step(f"{method} of None", lambda method=method: getattr(manager, method)())  # type: ignore[misc]
    step("set_resync_request of None", lambda: manager.set_resync_request().__class__.__name__)
    step("create a tuple", lambda: manager.create_depthcache(tuple(MARKETS)))
    timed("all synced", synced)

    ask("stand still")
    time.sleep(2.5)  # frames in flight arrive; the streams send once a second
    for limit in LIMITS:
        step(f"asks, limit {limit}", lambda limit=limit: manager.get_asks("BTCUSDT", limit_count=limit))  # type: ignore[misc]
        step(f"bids, limit {limit}", lambda limit=limit: manager.get_bids("BTCUSDT", limit_count=limit))  # type: ignore[misc]
    for volume in THRESHOLDS:
        step(
            f"asks, threshold {volume}",
            lambda volume=volume: manager.get_asks("BTCUSDT", threshold_volume=volume),  # type: ignore[misc]
        )
        step(
            f"bids, threshold {volume}, limit 5",
            lambda volume=volume: manager.get_bids("BTCUSDT", 5, volume),  # type: ignore[misc]
        )
    step("negative limit", lambda: len(manager.get_asks("BTCUSDT", -1)) - len(manager.get_asks("BTCUSDT")))
    step(
        "at most 1,000",
        lambda: max(len(manager.get_asks("BTCUSDT")), len(manager.get_bids("BTCUSDT"))) <= 1_000,
    )
    step("kinds", lambda: str([type(value).__name__ for value in manager.get_asks("BTCUSDT", 1)[0]]))
    step(
        "last update is recent",
        lambda: abs(manager.get_last_update_time("BTCUSDT") / 1000 - time.time()) < 60,
    )
    ask("move on")

    step("a stream carries it", lambda: manager.get_dc_stream_id("btcusdt") in manager.dc_streams)
    step(
        "a stream carries it, in capitals", lambda: manager.get_dc_stream_id("BTCUSDT") in manager.dc_streams
    )
    step("a stream carries nobody", lambda: manager.get_dc_stream_id("nobody"))
    step("stop request", lambda: [manager.is_stop_request(), manager.is_stop_request("btcusdt")])
    step("version", manager.get_version)
    step("create again", lambda: manager.create_depthcache("ETHUSDT"))
    step("list after creating again", manager.get_list_of_depthcaches)
    timed("all synced after creating again", synced)

    step("refresh", lambda: manager.set_refresh_request("btcusdt"))
    timed("all synced after a refresh", synced)
    ask("gap")
    time.sleep(2.5)
    timed("all synced after a gap", synced)
    ask("cut")
    time.sleep(1.0)
    timed("all synced after a cut", synced)
    step("restarts", lambda: manager.get_restart_count("btcusdt"))
    step("time of the last restart is known", lambda: manager.get_last_restart_time("btcusdt") is not None)
    step("resync, in capitals", lambda: manager.set_resync_request("BTCUSDT"))
    step("resync", lambda: manager.set_resync_request("btcusdt"))
    timed("all synced after a resync", synced)

    step("stop one", lambda: manager.stop_depthcache("ETHUSDT"))
    step("stop it again", lambda: manager.stop_depthcache(["ethusdt"]))
    step("list after stopping one", manager.get_list_of_depthcaches)
    step("asks of a stopped one", lambda: manager.get_asks("ETHUSDT"))
    step("synchronized of a stopped one", lambda: manager.is_depth_cache_synchronized("ETHUSDT"))
    step("stop request of a stopped one", lambda: manager.is_stop_request("ETHUSDT"))
    step("restarts of a stopped one", lambda: manager.get_restart_count("ETHUSDT"))
    manager.create_depthcache("BNBUSDT")
    step("stop before sync", lambda: manager.stop_depthcache("BNBUSDT"))
    step("asks of one stopped before sync", lambda: manager.get_asks("BNBUSDT"))
    step("stop the manager", manager.stop_manager)
    step("stop request after that", lambda: [manager.is_stop_request(), manager.is_stop_request("nobody")])
    step("asks after that", lambda: manager.get_asks("BTCUSDT"))
    step("asks of nobody after that", lambda: manager.get_asks("NOBODY"))
    step("list after that", manager.get_list_of_depthcaches)


if __name__ == "__main__":
    session(library(*sys.argv[1:4]))
    tell(end=True)
