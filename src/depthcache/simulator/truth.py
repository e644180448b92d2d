"""Is a book right? Compared with what the exchange itself knows, as far as the book claims to be complete.

Not here: where the truth comes from (`market`).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from depthcache import BookReader

__all__ = ["Sides", "Truth", "differences"]

Sides: TypeAlias = tuple[Sequence[tuple[Decimal, Decimal]], Sequence[tuple[Decimal, Decimal]]]


class Truth(Protocol):
    """What the exchange itself knows of one symbol."""

    def book_at(self, update_id: int) -> Sides:
        """Bids and asks as (price, quantity), all levels, exact, best first, right after `update_id`."""
        ...


def differences(book: BookReader, truth: Truth) -> int:
    """How many prices have another quantity than the truth inside the book's complete range.

    The book is frozen first, so it may go on. Raises BookNotSynced when it cannot be read, and
    InvalidArgument when the truth of its update id is forgotten.
    """
    frozen = book.freeze().exact
    bids, asks = truth.book_at(frozen.last_update_id or 0)
    complete_to = frozen.complete_to
    wrong = 0
    for side, true, bound, sign in (
        (frozen.bids, bids, complete_to.bids, 1),
        (frozen.asks, asks, complete_to.asks, -1),
    ):
        if bound is None:
            continue
        edge = sign * bound
        ours: dict[object, object] = {price: held for price, held in side if sign * price >= edge}
        theirs: dict[object, object] = {price: quantity for price, quantity in true if sign * price >= edge}
        wrong += sum(ours.get(price) != theirs.get(price) for price in ours.keys() | theirs.keys())
    return wrong
