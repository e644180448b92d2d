"""The displayed state of one book at one moment, and how it is read from a live book.

`BookState` is a plain value; `Meter` makes one from a book and remembers earlier reads, because a rate needs
two. The terminal app and the plain lines use both.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from depthcache.errors import BookError
from depthcache.foreign_text import clean
from depthcache.model import Best, CompleteTo, Coverage, Status

__all__ = [
    "BookState",
    "Meter",
    "age_text",
    "completeness",
    "counted",
    "gap_text",
    "plain",
    "price_text",
    "state_figures",
    "state_line",
]

_RATE_OVER_NS = 3_000_000_000
"""Updates per second are a mean over the last three seconds."""
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400
_LEVELS_FOR_DECIMALS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class BookState:
    """One book at one moment; texts of the exchange are safe to print."""

    exchange: str
    symbol: str
    status: Status
    reason: str
    since_at: datetime | None
    """Since when the status is what it is, in UTC."""
    age_s: float | None
    """Seconds since the last applied update was received; None before one."""
    update_id: int | None
    best: Best[Decimal] | None
    """None while the book cannot be read."""
    complete_to: CompleteTo[Decimal]
    coverage: Coverage
    updates_per_second: float
    gaps: int
    gap_s: float | None
    """Seconds since the last gap was noticed; None if there was none."""
    decimals: int
    """Of every price that is shown."""

    @property
    def spread_bps(self) -> float | None:
        """The spread in basis points of the mid; None where a side is empty or the book is not synced."""
        if self.status is not Status.SYNCED or self.best is None:
            return None
        if self.best.bid is None or self.best.ask is None:
            return None
        bid, ask = self.best.bid.price, self.best.ask.price
        return float(20_000 * (ask - bid) / (ask + bid))


class Meter:
    """Reads the state of one book; keep it as long as the book."""

    def __init__(self, book: Any) -> None:
        self.book = book
        self._exact: Any = book.exact
        self._looks: deque[tuple[int, int]] = deque()
        self._gaps = 0
        self._gap_ns: int | None = None
        self._decimals: int | None = None

    def look(self, now_ns: int) -> BookState:
        """The state now; `now_ns` on the client's monotonic clock."""
        book, counters = self.book, self.book.counters
        updated_ns, gaps = book.updated_ns, counters["gaps"]
        if gaps != self._gaps:
            self._gaps, self._gap_ns = gaps, now_ns
        try:
            best = self._exact.best
        except BookError:
            best = None
        return BookState(
            exchange=book.exchange,
            symbol=clean(book.symbol),
            status=book.status,
            reason=clean(book.reason),
            since_at=book.since_at,
            age_s=None if updated_ns is None else max(0.0, (now_ns - updated_ns) / 1e9),
            update_id=book.last_update_id,
            best=best,
            complete_to=self._exact.complete_to,
            coverage=book.coverage,
            updates_per_second=self._rate(now_ns, counters["applied"]),
            gaps=gaps,
            gap_s=None if self._gap_ns is None else (now_ns - self._gap_ns) / 1e9,
            decimals=self._decimals_of(best),
        )

    def _decimals_of(self, best: Best[Decimal] | None) -> int:
        """The most that any price has needed: first levels near the best, then each best price."""
        if best is None:
            return self._decimals or 0
        levels = [level for level in best[:2] if level is not None]
        if self._decimals is None:
            frozen = self._exact.freeze(on_stale="serve")
            levels += [*frozen.bids[:_LEVELS_FOR_DECIMALS], *frozen.asks[:_LEVELS_FOR_DECIMALS]]
        needed = (len(plain(level.price).partition(".")[2]) for level in levels)
        self._decimals = max([self._decimals or 0, *needed])
        return self._decimals

    def _rate(self, now_ns: int, applied: int) -> float:
        self._looks.append((now_ns, applied))
        while len(self._looks) > 2 and now_ns - self._looks[1][0] >= _RATE_OVER_NS:
            self._looks.popleft()
        since_ns, before = self._looks[0]
        return (applied - before) * 1e9 / (now_ns - since_ns) if now_ns > since_ns else 0.0


def state_line(state: BookState) -> str:
    """One line of text: which book, its status and why, then the figures. Nothing is cut."""
    head = [f"{state.symbol:<12}", f"{state.exchange:<19}", f"{state.status:<12}"]
    reason = [f"({state.reason})"] if state.reason else []
    return "  ".join([*head, *reason, *state_figures(state)])


def state_figures(state: BookState) -> list[str]:
    """The figures of a state, one after another. No prices while the book is not synced."""
    return [
        f"age {age_text(state.age_s):>7}",
        f"id {'-' if state.update_id is None else state.update_id:>14}",
        *_best(state),
        f"{state.updates_per_second:.1f} updates/s",
        completeness(state),
        gap_text(state),
    ]


def age_text(age_s: float | None) -> str:
    """How long ago, in at most 7 characters."""
    if age_s is None:
        return "-"
    if age_s < 1:
        return f"{min(999, age_s * 1000):.0f} ms"
    if age_s < 2 * _MINUTE_S:
        return f"{age_s:.1f} s"
    if age_s < 2 * _HOUR_S:
        return f"{age_s // _MINUTE_S:.0f} min"
    return f"{age_s // _HOUR_S:.0f} h" if age_s < 2 * _DAY_S else f"{age_s // _DAY_S:.0f} d"


def gap_text(state: BookState) -> str:
    """How many gaps there were, and when the last one was."""
    if not state.gaps:
        return "no gaps"
    return f"{counted(state.gaps, 'gap')}, last {age_text(state.gap_s)} ago"


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 gap`, `2 gaps`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def completeness(state: BookState) -> str:
    """The complete range as prices, and how many levels lie inside it; none while the book is not synced."""
    bids, asks = state.complete_to
    if state.status is not Status.SYNCED or (bids is None and asks is None):
        return "complete -"
    levels = f"{counted(state.coverage.bids, 'bid')}, {counted(state.coverage.asks, 'ask')}"
    if bids == 0 and asks is not None and math.isinf(asks):
        return f"whole book: {levels}"
    low = "-" if bids is None else "0" if bids == 0 else price_text(bids, state.decimals)
    high = "-" if asks is None else "all" if math.isinf(asks) else price_text(asks, state.decimals)
    return f"complete {low} to {high}: {levels}"


def plain(number: Decimal) -> str:
    """A number exactly, without trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def price_text(price: Decimal, decimals: int) -> str:
    """A price exactly, with at least so many decimals."""
    head, _, fraction = plain(price).partition(".")
    return f"{head}.{fraction.ljust(decimals, '0')}" if decimals or fraction else head


def _best(state: BookState) -> tuple[str, ...]:
    best = state.best
    if state.status is not Status.SYNCED or best is None:
        return ()
    bid = "-" if best.bid is None else price_text(best.bid.price, state.decimals)
    ask = "-" if best.ask is None else price_text(best.ask.price, state.decimals)
    return (f"bid {bid}", f"ask {ask}")
