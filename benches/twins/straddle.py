"""Best prices of a book at a round price, each with its update id, sampled while the id does not change.

python straddle.py old|new REST_URL WEBSOCKET_URL
"""

from __future__ import annotations

import sys
import time

from common import library, tell, until

SAMPLES = 25


def main() -> None:
    manager = library(*sys.argv[1:4]).BinanceLocalDepthCacheManager("binance.com", warn_on_update=False)
    manager.create_depthcache("BTCUSDT")
    until(lambda: manager.is_depth_cache_synchronized("BTCUSDT"))
    seen = 0
    for _ in range(SAMPLES):
        until(lambda seen=seen: manager.depth_caches["btcusdt"]["last_update_id"] not in (None, seen))
        time.sleep(0.2)  # the stream sends once a second: the update is whole
        seen = manager.depth_caches["btcusdt"]["last_update_id"]
        synchronized = manager.is_depth_cache_synchronized("BTCUSDT")
        try:
            best = [manager.get_bids("BTCUSDT", 1)[0][0], manager.get_asks("BTCUSDT", 1)[0][0]]
        except Exception:  # noqa: BLE001, S112 - out of sync: there is nothing to compare
            continue
        if seen == manager.depth_caches["btcusdt"]["last_update_id"]:
            tell(best=best, update_id=seen, synchronized=synchronized)
    manager.stop_manager()


if __name__ == "__main__":
    main()
    tell(end=True)
