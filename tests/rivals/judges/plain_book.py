"""An order book by Binance's own instructions, for clients that bring diffs and snapshots but keep no book.

"How to manage a local order book correctly" of spot and of futures (2026-05). Only the standard library.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

Level = tuple[Decimal, Decimal]


class PlainBook:
    """Feed every diff from before the snapshot on; raises ValueError where the chain is broken."""

    def __init__(self) -> None:
        self.update_id = 0
        self.updates = 0
        self._bids: dict[Decimal, Decimal] = {}
        self._asks: dict[Decimal, Decimal] = {}
        self._is_first = True

    def load(self, last_update_id: int, bids: Sequence[Sequence[str]], asks: Sequence[Sequence[str]]) -> None:
        self.update_id, self._is_first = last_update_id, True
        self._bids.clear()
        self._asks.clear()
        _set(self._bids, bids)
        _set(self._asks, asks)

    def apply(
        self,
        first: int,
        last: int,
        previous: int | None,
        bids: Sequence[Sequence[str]],
        asks: Sequence[Sequence[str]],
    ) -> bool:
        """`U`, `u`, `pu` (None on spot), `b`, `a`; False for a diff that is older than the book."""
        is_old = last <= self.update_id if previous is None else last < self.update_id
        if is_old:
            return False
        if previous is None:
            chains = first <= self.update_id + 1 if self._is_first else first == self.update_id + 1
        else:
            # Futures say U <= L <= u; but ids are shared by symbols, so L may lie between pu and U.
            chains = previous <= self.update_id if self._is_first else previous == self.update_id
        if not chains:
            raise ValueError(f"{first} to {last} after {previous} does not follow {self.update_id}")
        _set(self._bids, bids)
        _set(self._asks, asks)
        self.update_id, self._is_first = last, False
        self.updates += 1
        return True

    def bids(self) -> list[Level]:
        return sorted(self._bids.items(), reverse=True)

    def asks(self) -> list[Level]:
        return sorted(self._asks.items())


def _set(side: dict[Decimal, Decimal], levels: Sequence[Sequence[str]]) -> None:
    for price, quantity in levels:
        if Decimal(quantity):
            side[Decimal(price)] = Decimal(quantity)
        else:
            side.pop(Decimal(price), None)
