"""What is shown of one book at one moment, and how it is read from a live book.

`BookState` is a plain value; `Meter` makes one from a book and remembers the last look, because a
rate needs two. Not here: how it looks (`ladder`), when it is shown (`display`).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

from depthcache.errors import BookError
from depthcache.model import CompleteTo, Coverage, Status

__all__ = ["BookState", "Meter", "state_line"]

_RATE_OVER_NS = 3_000_000_000
"""Updates per second are a mean over the last three seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookState:
    """One book at one moment. `frozen` is None while the book cannot be read."""

    exchange: str
    symbol: str
    status: Status
    reason: str
    age_s: float | None
    """Seconds since the last applied update was received; None before one."""
    update_id: int | None
    complete_to: CompleteTo
    coverage: Coverage
    updates_per_second: float
    frozen: Any
    """A FrozenBook with exact numbers."""


class Meter:
    """Looks at one book; keep it as long as the book."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self._looks: deque[tuple[int, int]] = deque()

    def look(self, now_ns: int, *, levels: int) -> BookState:
        """The state now, with the best `levels` a side; `now_ns` on the client's monotonic clock."""
        book = self._book
        try:
            frozen = book.freeze(levels).exact
        except BookError:
            frozen = None
        shown = book if frozen is None else frozen
        updated_ns = book.updated_ns
        return BookState(
            exchange=book.exchange,
            symbol=book.symbol,
            status=book.status,
            reason=book.reason,
            age_s=None if updated_ns is None else max(0.0, (now_ns - updated_ns) / 1e9),
            update_id=shown.last_update_id,
            complete_to=book.complete_to,
            coverage=book.coverage,
            updates_per_second=self._rate(now_ns, book.counters["applied"]),
            frozen=frozen,
        )

    def _rate(self, now_ns: int, applied: int) -> float:
        self._looks.append((now_ns, applied))
        while len(self._looks) > 2 and now_ns - self._looks[1][0] >= _RATE_OVER_NS:
            self._looks.popleft()
        since_ns, before = self._looks[0]
        return (applied - before) * 1e9 / (now_ns - since_ns) if now_ns > since_ns else 0.0


def state_line(state: BookState) -> str:
    """One line of text: who, status, age, update id, how far complete, updates per second, and why."""
    parts = [
        f"{state.symbol:<12}",
        f"{state.exchange:<19}",
        f"{state.status:<12}",
        f"age {_age(state.age_s):>7}",
        f"id {'-' if state.update_id is None else state.update_id:>14}",
        f"complete {_completeness(state)}",
        f"{state.updates_per_second:.1f} updates/s",
    ]
    if state.reason:
        parts.append(state.reason)
    return "  ".join(parts)


def _age(age_s: float | None) -> str:
    if age_s is None:
        return "-"
    return f"{age_s * 1000:.0f} ms" if age_s < 1 else f"{age_s:.1f} s"


def _completeness(state: BookState) -> str:
    bids, asks = state.complete_to
    if bids is None and asks is None:
        return "-"
    if bids == 0 and asks is not None and math.isinf(asks):
        return f"whole book, {state.coverage.bids:,} x {state.coverage.asks:,} levels"
    low = "-" if bids is None else "0" if bids == 0 else f"{bids:.12g}"
    high = "-" if asks is None else "all" if math.isinf(asks) else f"{asks:.12g}"
    return f"{low} to {high}, {state.coverage.bids:,} x {state.coverage.asks:,} levels"
