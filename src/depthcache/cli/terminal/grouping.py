"""The price steps of a ladder: multiples of the tick, which is derived from the prices. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal

__all__ = ["MULTIPLES", "tick_of"]

MULTIPLES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
"""Of the tick, for each step of the grouping; 1 shows the levels as they are."""


def tick_of(prices: Iterable[Decimal], known: Decimal | None = None) -> Decimal | None:
    """The largest step that divides all prices, and `known`, the tick so far; None without prices.

    Few prices may give too large a step, but every one of them is a multiple of it.
    """
    texts = [f"{price:f}" for price in prices]
    if known is not None:
        texts.append(f"{known:f}")
    decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
    whole = 0
    for text in texts:
        head, _, fraction = text.partition(".")
        whole = math.gcd(whole, int(head + fraction.ljust(decimals, "0")))
    return Decimal(whole).scaleb(-decimals).normalize() if whole else None
