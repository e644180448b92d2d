"""Recordings made by hand: JSON lines in the hftbacktest format, of one symbol or several."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

S = 1_000_000_000
BEGIN_NS = 1_700_000_000 * S


class Writer:
    """Builds a recording line by line; times are in seconds since its start."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, time_s: float, message: dict[str, Any]) -> str:
        text = json.dumps(message, separators=(",", ":"))
        self.lines.append(f"{BEGIN_NS + round(time_s * S)} {text}")
        return text

    def diff(self, time_s: float, first: int, last: int, symbol: str = "ABCUSDT", **levels: Any) -> str:
        """Add a wrapped spot diff; return its payload."""
        data = {
            "e": "depthUpdate",
            "E": (BEGIN_NS + round(time_s * S)) // 1_000_000,
            "s": symbol,
            "U": first,
            "u": last,
            "b": levels.get("b", [["1.00000000", f"{last}.00000000"]]),
            "a": levels.get("a", []),
        }
        self.line(time_s, {"stream": f"{symbol.lower()}@depth@100ms", "data": data})
        return json.dumps(data, separators=(",", ":"))

    def ticker(self, time_s: float, update_id: int, symbol: str = "ABCUSDT") -> None:
        data = {"u": update_id, "s": symbol, "b": "1.0", "B": "1.0", "a": "2.0", "A": "1.0"}
        self.line(time_s, {"stream": f"{symbol.lower()}@bookTicker", "data": data})

    def snapshot(self, time_s: float, last_update_id: int, **levels: Any) -> str:
        """Add a snapshot; return its body."""
        body = {
            "lastUpdateId": last_update_id,
            "bids": levels.get("b", [["1.00000000", "5.00000000"], ["0.90000000", "6.00000000"]]),
            "asks": levels.get("a", [["2.00000000", "7.00000000"]]),
        }
        return self.line(time_s, body)

    def write(self, path: Path) -> Path:
        path.write_text("".join(line + "\n" for line in self.lines), "utf-8")
        return path
