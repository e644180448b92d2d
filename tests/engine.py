"""Both engines under one name, and the messages for them.

`Engine` has the classes of the native module or of the reference; both must behave the same. The functions
below create frames and snapshots like an exchange.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from depthcache import reference

NAMES = ("native", "reference")
FACTS = (
    "symbol",
    "status",
    "reason",
    "since_ns",
    "unconfirmed",
    "last_update_id",
    "event_time_us",
    "updated_ns",
)

Levels = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Engine:
    """The classes of one engine."""

    name: str
    Book: Any
    Router: Any
    BookReader: Any

    def book(
        self,
        continuity: str = "contiguous",
        symbol: str | None = "BTCUSDT",
        exchange: str = "x",
        **options: Any,
    ) -> Any:
        """An offline book."""
        return self.Book(exchange, symbol, continuity, **options)

    def loaded(self, continuity: str = "contiguous", **snapshot_options: Any) -> Any:
        """An offline book with a snapshot, at update id 10 by default."""
        book = self.book(continuity)
        limit = snapshot_options.pop("limit", None)
        book.load_snapshot(snapshot(snapshot_options.pop("last", 10), **snapshot_options), limit=limit)
        return book


def load(name: str) -> Engine:
    """The engine of a name. Without the native module the test is skipped, unless a wheel is under test."""
    if name == "reference":
        return Engine(name, reference.Book, reference.Router, reference.BookReader)
    try:
        from depthcache import _native
    except ImportError:
        if os.environ.get("TESTED_WHEEL"):
            raise
        pytest.skip("the native module is not built: make dev")
    return Engine(name, _native.Book, _native.Router, _native.BookReader)


def payload(first: int, last: int, bids: Levels = (), asks: Levels = (), **more: Any) -> dict[str, Any]:
    """A diff as a value, with `pu`, `E`, `s` and other keys as keywords (None omits a key)."""
    data: dict[str, Any] = {"e": "depthUpdate", "E": 1_700_000_000_000, "s": "BTCUSDT", "U": first, "u": last}
    data |= {"b": [list(level) for level in bids], "a": [list(level) for level in asks]}
    return {key: value for key, value in (data | more).items() if value is not None}


def diff(first: int, last: int, bids: Levels = (), asks: Levels = (), **more: Any) -> bytes:
    """A diff as a raw frame."""
    return encode(payload(first, last, bids, asks, **more))


def wrapped(data: dict[str, Any], stream: str = "btcusdt@depth@100ms") -> bytes:
    """A payload in a combined-stream frame."""
    return encode({"stream": stream, "data": data})


def snapshot(
    last: int = 10, bids: Levels = (("99", "1"),), asks: Levels = (("101", "1"),), **more: Any
) -> bytes:
    """The body of a depth snapshot."""
    message: dict[str, Any] = {"lastUpdateId": last, "bids": [list(level) for level in bids]}
    return encode(message | {"asks": [list(level) for level in asks]} | more)


def encode(value: object) -> bytes:
    """Compact JSON, like that of the exchange."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def sides(book: Any) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """All levels of both sides as exact strings, of the last known book if there is one."""
    exact = book.freeze(on_stale="serve").exact if book.last_update_id is not None else book.exact
    return tuple([(format(p, "f"), format(q, "f")) for p, q in side] for side in (exact.bids, exact.asks))  # type: ignore[return-value]


def facts(book: Any) -> dict[str, Any]:
    """The state of a reader without its levels, to compare two moments or two engines."""
    told = {name: getattr(book, name) for name in FACTS}
    told |= {"complete_to": book.complete_to, "coverage": book.coverage, "counters": book.counters}
    return told | {"exact_complete_to": tuple(map(str, book.exact.complete_to))}
