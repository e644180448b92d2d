"""Write the frames and snapshots that fuzzing starts from: one of every shape on the wire.

python3 fuzz/seeds.py FOLDER       makes FOLDER/frame and FOLDER/snapshot
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


def main() -> None:
    """Write one file a seed."""
    folder = Path(sys.argv[1])
    for name, seeds in (("frame", FRAMES), ("snapshot", SNAPSHOTS)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds):
            (folder / name / f"seed-{number}").write_text(seed, "utf-8")


if __name__ == "__main__":
    main()
