"""Best prices of a book at a round price, with the update id they are of, again and again.

python straddle.py old|new REST_URL WEBSOCKET_URL
"""

from __future__ import annotations

import sys
import time

from common import ask, library, tell, until

ROUNDS = 5


def main() -> None:
    manager = library(*sys.argv[1:4]).BinanceLocalDepthCacheManager("binance.com", warn_on_update=False)
    manager.create_depthcache("BTCUSDT")
    for _ in range(ROUNDS):
        until(lambda: manager.is_depth_cache_synchronized("BTCUSDT"))
        time.sleep(3.0)
        ask("stand still")
        time.sleep(2.5)  # the stream sends once a second: what is on its way arrives
        bid, asked = manager.get_bids("BTCUSDT", 1)[0][0], manager.get_asks("BTCUSDT", 1)[0][0]
        tell(
            best=[bid, asked],
            update_id=manager.depth_caches["btcusdt"]["last_update_id"],
            synchronized=manager.is_depth_cache_synchronized("BTCUSDT"),
        )
        ask("move on")
    manager.stop_manager()


if __name__ == "__main__":
    main()
    tell(end=True)
