"""The recorded frames of the benchmarks, in memory: snapshot, diffs, expected result.

The recordings live outside the repository. Not here: what is measured without them (`market_data`).
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

CAPTURES = Path(__file__).parents[2] / "shared" / "captures"
GOLDEN = CAPTURES / "golden" / "golden.json"


@dataclass(frozen=True, slots=True)
class Capture:
    """One symbol of one recording.

    `before`: the raw diffs received before the snapshot; `after`: those received after it. `limit`: of the
    snapshot's request, None where it is not known. `like`: the title of the recording that it is, or stands
    for.
    """

    title: str
    exchange: str
    symbol: str
    snapshot: bytes
    before: list[bytes]
    after: list[bytes]
    final_update_id: int
    best_bid: tuple[str, str]
    best_ask: tuple[str, str]
    final_levels: tuple[int, int]
    limit: int | None = 1_000
    like: str = ""


RECORDINGS = {
    "spot BTCUSDT 2024-08": ("binance.com", "hftbacktest/spot/btcusdt_20240808.gz"),
    "USD-M ETHUSDT 2024-08": ("binance.com-futures", "hftbacktest/usdm/ethusdt_20240808.gz"),
    "COIN-M BTCUSD_PERP 2024-08": ("binance.com-coin_futures", "hftbacktest/cm/btcusd_perp_20240808.gz"),
    "spot NEXOUSDT 2024-07": ("binance.com", "hftbacktest_playground/nexousdt_20240723.dat.gz"),
}


def available() -> bool:
    """Whether the recordings exist."""
    return GOLDEN.is_file()


def load(title: str) -> Capture:
    """Read a whole recording."""
    exchange, first = RECORDINGS[title]
    golden = next(row for row in json.loads(GOLDEN.read_bytes())["captures"] if row["files"][0] == first)
    before: list[bytes] = []
    after: list[bytes] = []
    snapshot = b""
    for file in golden["files"]:
        with gzip.open(CAPTURES / file) as lines:
            for line in lines:
                body = line[line.index(b" ") + 1 :].rstrip()
                if body.startswith(b'{"lastUpdateId"'):
                    snapshot = snapshot or body
                elif b"@depth" in body[:60]:
                    (after if snapshot else before).append(body)
    return Capture(
        title=title,
        exchange=exchange,
        symbol=golden["symbol"],
        snapshot=snapshot,
        before=before,
        after=after,
        final_update_id=golden["final_u"],
        best_bid=tuple(golden["best_bid"]),
        best_ask=tuple(golden["best_ask"]),
        final_levels=(golden["final_bids"], golden["final_asks"]),
        like=title,
    )


def expected(
    title: str,
    exchange: str,
    symbol: str,
    *,
    snapshot: bytes,
    before: list[bytes],
    after: list[bytes],
    limit: int | None = 1_000,
    like: str = "",
) -> Capture:
    """A capture whose result is computed here: a book of texts, which knows no rule but that of the levels.

    Raises ValueError where a side has no level in the end.
    """
    body = json.loads(snapshot)
    held = [dict(body["bids"]), dict(body["asks"])]
    update_id = body["lastUpdateId"]
    for frame in (*before, *after):
        data = json.loads(frame)
        data = data.get("data", data)
        if data["u"] <= update_id:
            continue
        update_id = data["u"]
        for side, changes in zip(held, (data["b"], data["a"]), strict=True):
            for price, quantity in changes:
                if quantity.strip("0."):
                    side[price] = quantity
                else:
                    side.pop(price, None)
    bids, asks = held
    if not bids or not asks:
        raise ValueError("a side is empty in the end")
    best_bid, best_ask = max(bids, key=Decimal), min(asks, key=Decimal)
    return Capture(
        title=title,
        exchange=exchange,
        symbol=symbol,
        snapshot=snapshot,
        before=before,
        after=after,
        final_update_id=update_id,
        best_bid=(best_bid, bids[best_bid]),
        best_ask=(best_ask, asks[best_ask]),
        final_levels=(len(bids), len(asks)),
        limit=limit,
        like=like,
    )


def shortened(capture: Capture, diffs: int) -> Capture:
    """The first diffs of a recording; its expected result no longer applies."""
    return replace(capture, after=capture.after[:diffs])
