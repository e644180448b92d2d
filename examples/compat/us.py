"""Binance US, read from a thread of its own while the program does something else."""

import threading
import time

from depthcache.compat.ubldc import BinanceLocalDepthCacheManager, DepthCacheAlreadyStopped

market = "BTCUSDT"


def read() -> None:
    try:
        while True:
            print(
                f"{market}: {ubldc.get_bids(market, limit_count=1)} {ubldc.get_asks(market, limit_count=1)}"
            )
            time.sleep(0.2)
    except DepthCacheAlreadyStopped:
        print("stopped")


with BinanceLocalDepthCacheManager(exchange="binance.us") as ubldc:
    ubldc.create_depthcache(markets=market)
    while not ubldc.is_depth_cache_synchronized(market):
        time.sleep(0.1)
    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(1)
    ubldc.stop_depthcache(markets=market)
    reader.join()
