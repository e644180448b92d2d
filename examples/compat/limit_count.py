"""The best four levels of the first symbols in USDT: `python limit_count.py [ROUNDS]`."""

import sys
import time

from depthcache.compat.ubldc import BinanceLocalDepthCacheManager, DepthCacheOutOfSync

rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10

with BinanceLocalDepthCacheManager(exchange="binance.com") as ubldc:
    ubra = ubldc.get_ubra_manager()
    listed = [row["symbol"] for row in ubra.get_exchange_info()["symbols"] if row["status"] == "TRADING"]
    markets = [symbol for symbol in listed if symbol.endswith("USDT")][:40]
    ubldc.create_depthcache(markets=markets)
    while not all(ubldc.is_depth_cache_synchronized(market) for market in markets):
        time.sleep(0.1)
    for _ in range(rounds):
        lines = [f"binance_api_status={ubra.get_used_weight(cached=True)}"]
        for market in markets:
            try:
                lines.append(f"{market} asks {ubldc.get_asks(market=market, limit_count=4)}")
                lines.append(f"{market} bids {ubldc.get_bids(market=market, limit_count=4)}")
            except DepthCacheOutOfSync:
                lines.append(f"{market} is out of sync, it heals by itself")
        ubldc.print_summary(add_string="\r\n ".join(lines))
        time.sleep(1)
