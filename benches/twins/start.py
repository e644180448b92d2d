"""How long either library takes from nothing to all markets in sync.

python start.py old|new REST_URL WEBSOCKET_URL MARKET…
"""

from __future__ import annotations

import sys
import time

from common import library, tell, until


def main(markets: list[str]) -> None:
    module = library(*sys.argv[1:4])
    began = time.monotonic()
    manager = module.BinanceLocalDepthCacheManager("binance.com", warn_on_update=False)
    manager.create_depthcache(markets)
    first = until(lambda: any(map(manager.is_depth_cache_synchronized, markets)))
    last = until(lambda: all(map(manager.is_depth_cache_synchronized, markets)))
    seconds = time.monotonic() - began
    tell(seconds=None if last is None else seconds, first=first)
    manager.stop_manager()


if __name__ == "__main__":
    main(sys.argv[4:])
    tell(end=True)
