"""What requests may begin, at the program that runs a server."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from depthcache.model import Status
from depthcache.server.kept_books import KeptBooks
from depthcache.server.management import Management


@dataclass
class Fake:
    """A book by its status alone."""

    exchange: str
    symbol: str
    status: Status = Status.BUFFERING


class Books:
    """Books that nothing feeds."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, str], Fake] = {}
        self.begun: list[str] = []

    def add(self, symbol: str, exchange: str | None = None) -> Fake:
        assert exchange is not None
        self.begun.append(symbol)
        return self.held.setdefault((exchange, symbol), Fake(exchange, symbol))

    def remove(self, symbol: str, exchange: str | None = None) -> None:
        del self.held[str(exchange), symbol]

    def get(self, key: tuple[str, str]) -> Any:
        return self.held.get(key)


def test_a_book_that_the_exchange_refused_is_not_begun_again_at_once() -> None:
    """Each attempt costs weight: two symbols that take turns would cost it without end."""
    books, now_s = Books(), [1_000.0]
    management = Management(books, KeptBooks(None), depth=20, clock=lambda: now_s[0])

    def ask(symbol: str) -> int:
        return int(management.answer("begin_asked_book", "binance.com", symbol, b"10")[0])

    def close() -> None:
        for book in books.held.values():
            book.status = Status.CLOSED

    assert ask("A") == 200
    close()
    assert ask("B") == 200
    close()
    assert [ask("A"), ask("B"), ask("A")] == [429, 429, 429]
    assert books.begun == ["A", "B"]
    now_s[0] += 61
    assert ask("A") == 200
    assert json.loads(management.answer("begin_asked_book", "binance.com", "C", b"1")[1])["error"][
        "code"
    ] == ("too_many_books")
