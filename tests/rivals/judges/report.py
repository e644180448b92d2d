"""What a judge is asked, and how it reports: one JSON object as argument, one JSON line a look at a book.

Only the standard library: judges run in environments of their own, without depthcache. Not here: what a look
is compared with (`tests/rivals/judging.py`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

DEPTH = 1_000
"""Levels of the snapshots that judges ask for."""
RETRY_S = 0.5
"""Before a client is asked again that has no book at the moment."""
_LEVELS = 100
"""Levels a side that a look shows: far inside what a snapshot of 1,000 proves."""


@dataclass(frozen=True)
class Task:
    """Which books to keep, where, and when to look at them."""

    books: tuple[tuple[str, str], ...]
    """Exchange names of depthcache, and symbols."""
    rest: Mapping[str, str]
    """Exchange name to base URL, without a path of the exchange's own."""
    websocket: Mapping[str, str]
    updates: int
    """Between two looks at a book."""
    looks: int

    def is_time(self, updates: int) -> bool:
        """Whether to look at a book after its so-many-th update."""
        return updates % self.updates == 0 and updates <= self.updates * self.looks

    def is_done(self, updates: int) -> bool:
        """Whether a book was looked at often enough."""
        return updates >= self.updates * self.looks


def task() -> Task:
    """The task of this process."""
    given = json.loads(sys.argv[1])
    return Task(**(given | {"books": tuple(map(tuple, given["books"]))}))


def tell(
    exchange: str,
    symbol: str,
    *,
    update_id: int | None,
    updates: int,
    bids: Iterable[tuple[object, object]],
    asks: Iterable[tuple[object, object]],
) -> None:
    """Report a look: both sides best first, prices and quantities in anything whose text is a number.

    `update_id`: that the client holds; None where it names none: then each side must be the truth at some id.
    """
    sides = {
        name: [[str(price), str(quantity)] for price, quantity in list(side)[:_LEVELS]]
        for name, side in (("bids", bids), ("asks", asks))
    }
    line = {"exchange": exchange, "symbol": symbol, "update_id": update_id, "updates": updates, **sides}
    print(json.dumps(line), flush=True)
