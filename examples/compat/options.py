"""European options: the calls and puts of one underlying, whose snapshots are up to 30 s old."""

import time

from depthcache.compat.ubldc import BinanceLocalDepthCacheManager

with BinanceLocalDepthCacheManager(exchange="binance.com-vanilla-options") as ubldc:
    listed = ubldc.get_ubra_manager().options_exchange_info()["optionSymbols"]
    markets = [row["symbol"] for row in listed if row["symbol"].startswith("BTC-")][:4]
    ubldc.create_depthcache(markets=markets)
    while not all(ubldc.is_depth_cache_synchronized(market) for market in markets):
        time.sleep(0.5)
    for market in markets:
        print(f"{market}: bids {ubldc.get_bids(market, 3)}, asks {ubldc.get_asks(market, 3)}")
