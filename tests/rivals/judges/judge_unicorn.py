"""UNICORN Binance Local Depth Cache, the library that depthcache.compat.ubldc stands in for."""

# /// script
# requires-python = ">=3.10"
# dependencies = ["unicorn-binance-local-depth-cache==2.14.0"]
#
# [tool.judge]
# client = "unicorn-binance-local-depth-cache"
# books = { "binance.com" = ["BTCUSDT", "ETHUSDT"] }
# ///

from __future__ import annotations

import logging
import os
import time
from typing import Any

from redirect_unicorn import redirect
from report import Task, task, tell

EXCHANGE = "binance.com"


def look(work: Task, manager: Any, symbol: str, looks: int) -> bool:
    """Whether the book was the same before and after it was read: then it was reported."""
    before = manager.depth_caches[symbol.lower()]["last_update_id"]
    try:
        bids, asks = manager.get_bids(symbol, 100), manager.get_asks(symbol, 100)
    except Exception:  # out of sync: there is nothing to see
        return False
    time.sleep(0.2)  # the stream sends once a second: an update that had begun is whole now
    if before is None or manager.depth_caches[symbol.lower()]["last_update_id"] != before:
        return False
    bids, asks = manager.get_bids(symbol, 100), manager.get_asks(symbol, 100)
    if manager.depth_caches[symbol.lower()]["last_update_id"] != before:
        return False
    tell(EXCHANGE, symbol, update_id=before, updates=looks, bids=bids, asks=asks)
    return True


def main() -> None:
    logging.disable(logging.CRITICAL)
    work = task()
    library = redirect(work.rest[EXCHANGE], work.websocket[EXCHANGE])
    manager = library.BinanceLocalDepthCacheManager(EXCHANGE, warn_on_update=False)
    symbols = [symbol for _, symbol in work.books]
    manager.create_depthcache(symbols)
    for symbol in symbols:
        seen, looks = None, 0
        while looks < work.looks:
            held = manager.depth_caches[symbol.lower()]["last_update_id"]
            if held != seen and manager.is_depth_cache_synchronized(symbol):
                looks += look(work, manager, symbol, looks + 1)
                seen = held
            time.sleep(0.05)
    os._exit(0)  # it does not always end by itself


main()
