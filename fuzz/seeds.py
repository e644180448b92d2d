"""Write the seed inputs of fuzzing: frames, snapshots and messages, one of every shape.

python3 fuzz/seeds.py FOLDER       writes to FOLDER/frame, FOLDER/snapshot and FOLDER/message
"""

from __future__ import annotations

import sys
from pathlib import Path

SPOT = (
    '{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":189,"u":202,'
    '"b":[["61737.63000000","0.00000000"]],"a":[["61837.64000000","1.54698000"]]}'
)
USD_M = (
    '{"e":"depthUpdate","E":1791382994616,"T":1791382994613,"s":"BTCUSDT","ps":"BTCUSDT","U":11757092616793,'
    '"u":11757092625654,"pu":11757092616661,"b":[["83091.60","4.215"],["83088.10","0.000"]],"a":[],"st":1}'
)
FRAMES = (
    SPOT,
    USD_M,
    '{"stream":"btcusdt@depth@100ms","data":' + SPOT + "}",
    '{"data":' + USD_M + ',"stream":"btcusdt@depth@0ms"}',
    '{"stream":"btcusdt@depth20@100ms","data":{"lastUpdateId":1,"bids":[["1.0","2"]],"asks":[]}}',
    '{"u":1,"s":"BTCUSDT","b":"61837.63","B":"3.7","a":"61837.64","A":"1.5"}',
    '{"result":null,"id":1}',
    '{"error":{"code":2,"msg":"Invalid request: \\u00e4"},"id":1}',
    SPOT.replace("61737.63000000", "1e-8").replace("1.54698000", "92233720368.54775808").replace(":", " : "),
)
SNAPSHOTS = (
    '{"lastUpdateId":50093239218,"bids":[["61837.63000000","3.78826000"]],"asks":[["61837.64000000","1.5"]]}',
    '{"lastUpdateId":5,"E":1791382991286,"T":1,"symbol":"A","bids":[["83084.30","2.986"]],"asks":[]}',
    '{"lastUpdateId": 1, "bids": [["1.2", "3"], ["1.1", "4"]], "asks": [[".5", "6."]]}',
    '{"code":-1121,"msg":"Invalid symbol."}',
)


HEAD = (
    '"exchange":"binance.com","symbol":"BTCUSDT","status":"synced","reason":"","since_ns":5,"since_time_us":9,'
    '"unconfirmed":false,"last_update_id":12,"event_time_us":7,"updated_ns":6,"confirmed_ns":6'
)
BODY = (
    '"complete":false,"complete_to":{"bids":"all","asks":"2.50"},"coverage":{"bids":1,"asks":1},'
    '"bids":[["1.50","12345678901234567890.123456789012345678"]],"asks":[["2.50","1"],["3.00","2"]]'
)
LOST = (
    '"complete":true,"complete_to":{"bids":null,"asks":null},"coverage":{"bids":0,"asks":0},'
    '"bids":null,"asks":null'
)
CHANGES = '"skipped":3,"is_fresh":false,"changes":{"bids":[["1.50","0"]],"asks":[]}'
MESSAGES = (
    f'{{"schema":1,"type":"book",{HEAD},{BODY},"counters":{{"applied":4}}}}',
    f'{{"schema":1,"type":"update",{HEAD},{CHANGES},{BODY}}}',
    f'{{"schema":1,"type":"book",{HEAD.replace("synced", "stale")},{LOST}}}',
    f'{{"schema":1,"type":"best",{HEAD},"best":{{"bid":["1.5","2"],"ask":null,"update_id":12}}}}',
    f'{{"schema":1,"type":"status",{HEAD}}}',
)


def main() -> None:
    """Write one file per seed."""
    folder = Path(sys.argv[1])
    for name, seeds in (("frame", FRAMES), ("snapshot", SNAPSHOTS), ("message", MESSAGES)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds):
            (folder / name / f"seed-{number}").write_text(seed, "utf-8")


if __name__ == "__main__":
    main()
