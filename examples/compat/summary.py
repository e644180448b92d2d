"""The state of everything, once a second: `python summary.py [ROUNDS]`."""

import sys
import time

from depthcache.compat.ubldc import BinanceLocalDepthCacheManager

rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 30

with BinanceLocalDepthCacheManager(exchange="binance.com") as ubldc:
    ubldc.create_depthcache(markets=["BTCUSDT", "ETHUSDT", "BNBUSDT"])
    while not ubldc.is_depth_cache_synchronized("BTCUSDT"):
        time.sleep(0.1)
    for number in range(rounds):
        ubldc.print_summary(add_string=f"round {number + 1} of {rounds}", title="My caches")
        streams = ubldc.get_ubwa_manager().get_active_stream_list() or {}
        print(f"active streams: {list(streams)}")
        time.sleep(1)
