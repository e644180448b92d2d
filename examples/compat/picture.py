"""The same as pictures, for a web page or a chat: `python picture.py [FOLDER]`.

Needs Pillow: pip install depthcache[png].
"""

import sys
import time

from depthcache.compat.ubldc import BinanceLocalDepthCacheManager

folder = sys.argv[1] if len(sys.argv) > 1 else "."

with BinanceLocalDepthCacheManager(exchange="binance.com") as ubldc:
    ubldc.create_depthcache(markets=["BTCUSDT", "ETHUSDT"])
    while not ubldc.is_depth_cache_synchronized("ETHUSDT"):
        time.sleep(0.1)
    ubldc.print_summary_to_png(print_summary_export_path=folder, height_per_row=16, title="My caches")
    print(f"see {folder}: print_summary.png, print_summary_plain.png, print_summary.txt")
