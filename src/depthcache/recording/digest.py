"""A book as text and as one number: what two books are compared by.

The text is one line a level, `b PRICE QUANTITY` for bids, then `a PRICE QUANTITY` for asks, best
first, numbers at the width in which the exchange sends them. Not here: reading books.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from decimal import Decimal
from itertools import islice

from depthcache.model import Level

__all__ = ["level_texts", "sha256_of"]


def level_texts(level: Level[Decimal]) -> list[str]:
    """[price, quantity] of an exact level, never in exponent form."""
    return [format(level.price, "f"), format(level.quantity, "f")]


def sha256_of(
    bids: Iterable[Level[Decimal]], asks: Iterable[Level[Decimal]], *, levels: int | None = None
) -> str:
    """SHA-256 of the text of exact levels, of the best `levels` a side (all when None)."""
    digest = hashlib.sha256()
    for letter, side in (("b", bids), ("a", asks)):
        for level in islice(side, levels):
            price, quantity = level_texts(level)
            digest.update(f"{letter} {price} {quantity}\n".encode())
    return digest.hexdigest()
