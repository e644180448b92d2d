"""The old library as a reader of its cluster: bids and asks again and again, one JSON line a new side.

    old_cluster_reader.py {"port": …, "rest": …, "websocket": …, "looks": …}

The last line has the errors that were answered in between. Its constructor asks the exchange for the time, so
`redirect` leads that elsewhere.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time

from redirect_unicorn import redirect

SPOT, SYMBOL = "binance.com", "BTCUSDT"


def main() -> None:
    logging.disable(logging.CRITICAL)
    given = json.loads(sys.argv[1])
    library = redirect(given["rest"], given["websocket"])
    manager = library.BinanceLocalDepthCacheManager(
        SPOT, ubdcc_address="127.0.0.1", ubdcc_port=given["port"], warn_on_update=False
    )
    looks, held, errors = 0, 0, set()
    while looks < given["looks"]:
        side = ("bids", "asks")[looks % 2]
        answer = getattr(manager.cluster, f"get_{side}")(SPOT, SYMBOL, 20)
        if answer["result"] != "OK":
            errors.add(answer["error_id"])
        elif answer["last_update_id"] > held:
            held, looks = answer["last_update_id"], looks + 1
            look = {"exchange": SPOT, "symbol": SYMBOL, "side": side, "update_id": held}
            print(json.dumps(look | {side: answer[side]}), flush=True)
        time.sleep(0.05)
    print(json.dumps({"errors": sorted(errors)}), flush=True)
    os._exit(0)  # it does not always end by itself


main()
