"""Small recordings made by hand: frames and snapshots as bytes, files of each format."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

Levels = Sequence[tuple[str, str]]


def snapshot(last_update_id: int, bids: Levels = (("1.00", "5"),), asks: Levels = (("1.10", "7"),)) -> bytes:
    return _json({"lastUpdateId": last_update_id, "bids": list(bids), "asks": list(asks)})


def diff(
    first: int,
    final: int,
    *,
    bids: Levels = (),
    asks: Levels = (),
    symbol: str = "ABCUSDT",
    previous: int | None = None,
    pair: str | None = None,
    speed: str = "@depth@100ms",
    wrapped: bool = True,
) -> bytes:
    payload = {"e": "depthUpdate", "E": 1_700_000_000_000 + final, "s": symbol, "U": first, "u": final}
    if previous is not None:
        payload["pu"] = previous
    if pair is not None:
        payload["ps"] = pair
    payload |= {"b": [list(level) for level in bids], "a": [list(level) for level in asks]}
    return _json({"stream": symbol.lower() + speed, "data": payload} if wrapped else payload)


def ticker(
    update_id: int,
    bid: tuple[str, str] = ("1.00", "5"),
    ask: tuple[str, str] = ("1.10", "7"),
    *,
    symbol: str = "ABCUSDT",
) -> bytes:
    data = {"u": update_id, "s": symbol, "b": bid[0], "B": bid[1], "a": ask[0], "A": ask[1]}
    return _json({"stream": symbol.lower() + "@bookTicker", "data": data})


def trade(symbol: str = "ABCUSDT") -> bytes:
    data = {"e": "trade", "E": 1, "s": symbol, "t": 3, "p": "1.0", "q": "2", "b": 4, "a": 5, "m": True}
    return _json({"stream": symbol.lower() + "@trade", "data": data})


def write(path: Path, lines: Sequence[bytes], *, compressed: bool = False) -> Path:
    content = b"".join(line + b"\n" for line in lines)
    path.write_bytes(gzip.compress(content) if compressed else content)
    return path


def timed(
    lines: Sequence[bytes], *, start_ns: int = 1_700_000_000_000_000_000, step_ns: int = 1_000_000
) -> list[bytes]:
    """hftbacktest lines with receive times in nanoseconds."""
    return [b"%d %s" % (start_ns + index * step_ns, line) for index, line in enumerate(lines)]


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
