"""The old library as a client of its cluster: every call, blocking and as a coroutine; one JSON line each.

    old_cluster_client.py {"port": …, "rest": …, "websocket": …}

Its constructor asks the exchange for the time, so `redirect` leads that elsewhere.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from typing import Any

from redirect_unicorn import redirect

SPOT = "binance.com"


def calls(has_credentials: bool) -> list[tuple[str, tuple[Any, ...]]]:
    """Names and arguments, in an order in which each finds what it needs."""
    all_of_them: list[tuple[str, tuple[Any, ...]]] = [
        ("get_test", ()),
        ("get_asks", (SPOT, "BTCUSDT")),
        ("get_bids", (SPOT, "btcusdt", 3, None, True)),
        ("get_bids", (SPOT, "BTCUSDT", None, 100_000)),
        ("get_asks", (SPOT, "NOBODY")),
        ("get_cluster_info", ()),
        ("get_depthcache_list", ()),
        ("get_depthcache_info", (SPOT, "BTCUSDT", True)),
        ("create_depthcache", (SPOT, "ETHUSDT", 2)),
        ("create_depthcache", (SPOT, "ETHUSDT")),
        ("create_depthcaches", (SPOT, ["BNBUSDT", "ETHUSDT"])),
        ("create_depthcache", ("typo", "BTCUSDT")),
        ("stop_depthcache", (SPOT, "ETHUSDT")),
        ("stop_depthcache", (SPOT, "BNBUSDT")),
        ("stop_depthcache", (SPOT, "BNBUSDT")),
    ]
    if has_credentials:
        all_of_them += [
            ("add_credentials", (SPOT, "KEYKEYKEYKEYKEY", "SECRETSECRETSECRET")),
            ("get_credentials_list", ()),
            ("remove_credentials", ("no such id",)),
        ]
    else:
        all_of_them.append(("submit_license", ("SECRETSECRETSECRET", "token")))
    return all_of_them


def main() -> None:
    logging.disable(logging.CRITICAL)
    given = json.loads(sys.argv[1])
    library = redirect(given["rest"], given["websocket"])
    manager = library.BinanceLocalDepthCacheManager(
        SPOT, ubdcc_address="127.0.0.1", ubdcc_port=given["port"], warn_on_update=False
    )
    cluster = manager.cluster
    told: list[Any] = [["version", [], manager.version]]
    told.append(["test_connection", [], cluster.test_connection()])
    told.append(["test_connection_async", [], asyncio.run(cluster.test_connection_async())])
    for name, arguments in calls(hasattr(cluster, "add_credentials")):
        told.append([name, arguments, getattr(cluster, name)(*arguments)])
    for name, arguments in calls(hasattr(cluster, "add_credentials")):
        answer = asyncio.run(getattr(cluster, f"{name}_async")(*arguments))
        told.append([f"{name}_async", arguments, answer])
    for each in told:
        print(json.dumps({"told": each}, default=repr), flush=True)
    os._exit(0)  # it does not always end by itself


main()
