"""As many levels as are worth 200,000 of the quote asset: `python threshold_volume.py [MARKET]`."""

import sys
import time

from depthcache.compat.ubldc import BinanceLocalDepthCacheManager

market = sys.argv[1] if len(sys.argv) > 1 else "BTCUSDT"
threshold = 200_000

with BinanceLocalDepthCacheManager(exchange="binance.com") as ubldc:
    ubldc.create_depthcache(markets=market)
    while not ubldc.is_depth_cache_synchronized(market=market):
        time.sleep(0.1)
    for name, levels in (
        ("asks", ubldc.get_asks(market=market, threshold_volume=threshold)),
        ("bids", ubldc.get_bids(market=market, threshold_volume=threshold)),
    ):
        value = sum(price * quantity for price, quantity in levels)
        print(f"{name}: {len(levels)} levels down to {levels[-1][0]}, worth {value:,.2f} of {threshold:,}")
