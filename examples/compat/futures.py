"""USD-M futures, and what happens when a connection is replaced: `python futures.py [ROUNDS]`."""

import sys
import time

from depthcache.compat.ubldc import BinanceLocalDepthCacheManager

rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10


def on_restart(market: str, unix_time: float) -> None:
    print(f"{market} came back at {unix_time}, restart {ubldc.get_restart_count(market)}")


with BinanceLocalDepthCacheManager(exchange="binance.com-futures", on_restart=on_restart) as ubldc:
    listed = ubldc.get_ubra_manager().futures_exchange_info()["symbols"]
    markets = [row["symbol"] for row in listed if row["status"] == "TRADING"][:3]
    ubldc.create_depthcache(markets=markets)
    while not all(ubldc.is_depth_cache_synchronized(market) for market in markets):
        time.sleep(0.1)
    for _ in range(rounds):
        for market in markets:
            best_ask, best_bid = ubldc.get_asks(market, 1)[0], ubldc.get_bids(market, 1)[0]
            print(f"{market}: {best_bid} / {best_ask}, update at {ubldc.get_last_update_time(market)} ms")
        time.sleep(1)
