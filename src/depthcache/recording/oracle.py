"""Compare the best prices of a replayed book with the exchange's bookTicker at the same update ids.

After the diff with final id u, the best price and quantity of both sides must equal those of the last
bookTicker whose id is at most u. A diff is compared only after a ticker with a larger id, or at the end:
until then, the ticker that belongs to it may still come. Diffs before the first ticker are not compared.
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
"""Most tickers kept while no newer diff is applied; several hours of a busy market."""

_id = attrgetter("update_id")


class Oracle:
    """Counts equal and different best prices. Call `on_ticker` and `on_applied` in order, `on_end` once."""

    def __init__(self) -> None:
        self.equal: int = 0
        self.different: int = 0
        self._tickers: list[Ticker] = []
        self._waiting: deque[tuple[int, Best[Decimal] | None]] = deque()

    def on_ticker(self, ticker: Ticker) -> None:
        """Take the next ticker and compare the diffs before it."""
        while self._waiting and self._waiting[0][0] < ticker.update_id:
            self._judge(*self._waiting.popleft())
        if self._tickers and ticker.update_id < self._tickers[-1].update_id:
            insort(self._tickers, ticker, key=_id)
        else:
            self._tickers.append(ticker)
        if len(self._tickers) > 2 * _KEPT:
            del self._tickers[:_KEPT]

    def on_applied(self, update_id: int, best: Best[Decimal] | None) -> None:
        """Take an applied diff with the exact best prices after it; None if the book was not readable."""
        if self._tickers and self._tickers[-1].update_id > update_id:
            self._judge(update_id, best)
        else:
            self._waiting.append((update_id, best))

    def on_end(self) -> None:
        """Compare the remaining diffs; nothing more will come."""
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
        if count > 1000:  # older tickers are never needed again: the ids of applied diffs only grow
            del self._tickers[: count - 1]


def _agree(best: Best[Decimal], ticker: Ticker) -> bool:
    return _same(best.bid, ticker.bid_price, ticker.bid_quantity) and _same(
        best.ask, ticker.ask_price, ticker.ask_quantity
    )


def _same(level: Level[Decimal] | None, price: str, quantity: str) -> bool:
    if level is None:
        return Decimal(quantity) == 0
    return level.price == Decimal(price) and level.quantity == Decimal(quantity)
