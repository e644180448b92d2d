"""Which of several caches are in sync, until all are: `python several_markets.py [MARKET …]`."""

import sys
import time

from depthcache.compat.ubldc import BinanceLocalDepthCacheManager

markets = sys.argv[1:] or ["BTCUSDT", "ETHUSDT", "BNBUSDT"]

with BinanceLocalDepthCacheManager(exchange="binance.com", depth_cache_update_interval=100) as ubldc:
    ubldc.create_depthcache(markets=markets)
    while ubldc.is_stop_request() is False:
        synced = [market for market in markets if ubldc.is_depth_cache_synchronized(market=market)]
        print(f"synced: {synced}, not yet: {[market for market in markets if market not in synced]}")
        if len(synced) == len(markets):
            break
        time.sleep(0.2)
    print(ubldc.get_list_of_depthcaches())
