"""Books without a network, and the screen on which a session shows them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from depthcache import Book
from depthcache.cli.terminal.drawing import picture
from depthcache.cli.terminal.lines import text_of
from depthcache.cli.terminal.session import Session

Pairs = Sequence[tuple[str, str]]

BIDS: Pairs = [
    ("61837.63000000", "3.78826000"),
    ("61837.62000000", "0.61700000"),
    ("61837.60000000", "1.00000000"),
]
ASKS: Pairs = [("61837.64000000", "1.54698000"), ("61838.04000000", "12.00000000")]
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def book(
    symbol: str = "BTCUSDT",
    bids: Pairs = BIDS,
    asks: Pairs = ASKS,
    *,
    exchange: str = "binance.com",
    limit: int = 1_000,
) -> Book:
    """A synced book of these levels; with a `limit` of as many as there are it is complete that far only."""
    made = Book(exchange, symbol)
    made.load_snapshot(snapshot(bids, asks), limit=limit)
    return made


def snapshot(bids: Pairs, asks: Pairs, update_id: int = 10) -> bytes:
    return json.dumps({"lastUpdateId": update_id, "bids": bids, "asks": asks}).encode()


def diff(first: int, last: int, *, bids: Pairs = (), asks: Pairs = (), symbol: str = "BTCUSDT") -> bytes:
    """A diff of the spot exchange."""
    payload = {"e": "depthUpdate", "E": 1, "s": symbol, "U": first, "u": last, "b": bids, "a": asks}
    return json.dumps(payload).encode()


class Claims:
    """A book that says something else of itself: what `claimed` names, and everything else as it is."""

    def __init__(self, book: Any, **claimed: Any) -> None:
        self._book, self._claimed = book, claimed

    def __getattr__(self, name: str) -> Any:
        return self._claimed[name] if name in self._claimed else getattr(self._book, name)


class Clock:
    """Moves when a test says so."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def session(books: Iterable[Any], *, levels: int = 20, clock: Clock | None = None, **options: Any) -> Session:
    made = Session(books, levels=levels, clock_ns=clock or Clock(), wall=lambda: AT, **options)
    made.frame()
    return made


def screen(shown: Session, width: int = 80, height: int = 24) -> list[str]:
    """What is on it, without styles."""
    return [text_of(line) for line in picture(shown, width, height)]


def press(shown: Session, *names: str) -> None:
    for name in names:
        shown.press(name, name if len(name) == 1 else None)
