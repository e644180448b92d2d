"""The exchange as its own judge: best prices of a book against the bookTicker of the same ids.

After the diff with final id u, best price and quantity of both sides must equal those of the last
bookTicker whose id is at most u. A diff is judged only once a ticker with a larger id, or the end,
has been seen: an earlier verdict could miss the ticker that belongs to it. Diffs before the first
ticker are not judged.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import deque
from decimal import Decimal
from operator import attrgetter

from depthcache.model import Best, Level
from depthcache.recording.records import Ticker

__all__ = ["Oracle"]

_KEPT = 500_000
"""Tickers kept while no diff has been applied that is newer; hours of a busy market."""

_id = attrgetter("update_id")


class Oracle:
    """Order of calls: `on_ticker` and `on_applied` as they come, then `on_end` once."""

    def __init__(self) -> None:
        self.equal: int = 0
        self.different: int = 0
        self._tickers: list[Ticker] = []
        self._waiting: deque[tuple[int, Best[Decimal] | None]] = deque()

    def on_ticker(self, ticker: Ticker) -> None:
        """A ticker was recorded: the diffs before it can be judged."""
        while self._waiting and self._waiting[0][0] < ticker.update_id:
            self._judge(*self._waiting.popleft())
        if self._tickers and ticker.update_id < self._tickers[-1].update_id:
            insort(self._tickers, ticker, key=_id)
        else:
            self._tickers.append(ticker)
        if len(self._tickers) > 2 * _KEPT:
            del self._tickers[:_KEPT]

    def on_applied(self, update_id: int, best: Best[Decimal] | None) -> None:
        """A diff was applied; `best` after it, exact; None when the book was not readable then."""
        if self._tickers and self._tickers[-1].update_id > update_id:
            self._judge(update_id, best)
        else:
            self._waiting.append((update_id, best))

    def on_end(self) -> None:
        """Nothing more will come: judge the rest."""
        while self._waiting:
            self._judge(*self._waiting.popleft())

    def _judge(self, update_id: int, best: Best[Decimal] | None) -> None:
        count = bisect_right(self._tickers, update_id, key=_id)
        if count == 0:
            return
        if best is not None and _agree(best, self._tickers[count - 1]):
            self.equal += 1
        else:
            self.different += 1
        if count > 1000:  # older tickers are never asked for again: ids of applied diffs only grow
            del self._tickers[: count - 1]


def _agree(best: Best[Decimal], ticker: Ticker) -> bool:
    return _same(best.bid, ticker.bid_price, ticker.bid_quantity) and _same(
        best.ask, ticker.ask_price, ticker.ask_quantity
    )


def _same(level: Level[Decimal] | None, price: str, quantity: str) -> bool:
    if level is None:
        return Decimal(quantity) == 0
    return level.price == Decimal(price) and level.quantity == Decimal(quantity)
