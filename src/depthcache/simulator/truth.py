"""Compare a book with the true book of an embedded exchange, inside the book's complete range."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from depthcache import BookReader

__all__ = ["Sides", "Truth", "differences"]

Sides: TypeAlias = tuple[Sequence[tuple[Decimal, Decimal]], Sequence[tuple[Decimal, Decimal]]]


class Truth(Protocol):
    """The true book of one symbol, at every update id in its history."""

    def book_at(self, update_id: int) -> Sides:
        """Bids and asks right after `update_id`: all levels as exact (price, quantity), best first."""
        ...


def differences(book: BookReader, truth: Truth) -> int:
    """Number of prices inside the complete range of `book` whose quantity differs from `truth`.

    It compares a frozen copy, so the book may keep changing. Raises BookNotSynced if the book cannot be read,
    and InvalidArgument if its update id is no longer in the history of the truth.
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
