"""Every analytic in a slow and obvious version: fractions, lists and loops, by the documented formulas."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

WHOLE = "whole"
NOTHING = "nothing"

Rows = list[tuple[Fraction, Fraction]]


@dataclass(frozen=True)
class Side:
    """Price and quantity of every level, best first. `edge`: the end of the complete range."""

    sign: int
    rows: Rows
    edge: Fraction | str

    @staticmethod
    def of(sign: int, levels: Iterable[tuple[Decimal, Decimal]], edge: Decimal | None) -> Side:
        """The side of an exact book."""
        bound: Fraction | str = NOTHING
        if edge is not None:
            bound = WHOLE if edge == (0 if sign > 0 else Decimal("inf")) else Fraction(edge)
        return Side(sign, [(Fraction(price), Fraction(quantity)) for price, quantity in levels], bound)

    def proves(self, price: Fraction | None) -> bool:
        """Whether a level at this price is proven; None means the end of the side."""
        if isinstance(self.edge, str):
            return self.edge == WHOLE
        return price is not None and self.sign * price >= self.sign * self.edge


@dataclass(frozen=True)
class Book:
    """Both sides."""

    bids: Side
    asks: Side

    @staticmethod
    def of(book: Any) -> Book:
        """The levels of a book of the package."""
        exact = book.exact
        return Book(
            Side.of(1, exact.bids, exact.complete_to.bids), Side.of(-1, exact.asks, exact.complete_to.asks)
        )

    def taken(self, side: str) -> Side:
        return self.asks if side == "buy" else self.bids


def mid(book: Book) -> Fraction | None:
    if not book.bids.rows or not book.asks.rows:
        return None
    return (book.bids.rows[0][0] + book.asks.rows[0][0]) / 2


def top_is_proven(book: Book) -> bool:
    return all(side.proves(side.rows[0][0] if side.rows else None) for side in (book.bids, book.asks))


def microprice(book: Book) -> Fraction | None:
    if mid(book) is None:
        return None
    (bid, bid_quantity), (ask, ask_quantity) = book.bids.rows[0], book.asks.rows[0]
    return (ask * bid_quantity + bid * ask_quantity) / (bid_quantity + ask_quantity)


def spread(book: Book) -> tuple[Fraction | None, Fraction | None]:
    middle = mid(book)
    if middle is None:
        return None, None
    absolute = book.asks.rows[0][0] - book.bids.rows[0][0]
    return absolute, 10_000 * absolute / middle


def depth_within(book: Book, bps: Fraction) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Base amount, quote amount, number of levels and completeness of each side."""
    middle = mid(book)
    found = []
    for side in (book.bids, book.asks):
        if middle is None:
            found.append((Fraction(0), Fraction(0), 0, top_is_proven(book)))
            continue
        limit = middle * (1 - side.sign * bps / 10_000)
        near = [row for row in side.rows if side.sign * row[0] >= side.sign * limit]
        found.append((*sums(near), top_is_proven(book) and side.proves(limit)))
    return found[0], found[1]


def sums(rows: Rows) -> tuple[Fraction, Fraction, int]:
    base = sum((quantity for _, quantity in rows), Fraction(0))
    return base, sum((price * quantity for price, quantity in rows), Fraction(0)), len(rows)


def imbalance(book: Book, *, levels: int | None = None, bps: Fraction | None = None) -> tuple[Any, ...]:
    """Ratio, bids, asks, complete."""
    if bps is not None:
        bids, asks = depth_within(book, bps)
        complete, sizes = bids[3] and asks[3], (bids[0], asks[0])
    else:
        assert levels is not None
        parts = [side.rows[:levels] for side in (book.bids, book.asks)]
        sizes = (sums(parts[0])[0], sums(parts[1])[0])
        complete = all(
            side.edge == WHOLE or (len(part) == levels and all(side.proves(price) for price, _ in part))
            for side, part in zip((book.bids, book.asks), parts, strict=True)
        )
    total = sizes[0] + sizes[1]
    return ((sizes[0] - sizes[1]) / total if total else None, *sizes, complete)


def fill(
    book: Book,
    side: str,
    *,
    base: Fraction | None = None,
    quote: Fraction | None = None,
    contracts: bool = False,
) -> dict[str, Any]:
    """`contracts`: quantities are contracts of a fixed value, so the average is weighted by coins."""
    taken, middle = book.taken(side), mid(book)
    rest = base if base is not None else quote
    assert rest is not None
    got, paid, coins, touched = Fraction(0), Fraction(0), Fraction(0), []
    for price, quantity in taken.rows:
        if rest == 0:
            break
        part = min(quantity, rest if base is not None else rest / price)
        got, paid, rest = got + part, paid + part * price, rest - (part if base is not None else part * price)
        coins += part / price
        touched.append(price)
    average = (got / coins if contracts else paid / got) if got else None
    worse = None
    if average is not None and middle is not None:
        worse = 10_000 * (average - middle) / middle * (1 if side == "buy" else -1)
    return {
        "average": average,
        "worst": touched[-1] if touched else None,
        "slippage_bps": worse,
        "base": got,
        "quote": paid,
        "unfilled": rest,
        "levels": len(touched),
        "complete": all(taken.proves(price) for price in touched) and (rest == 0 or taken.proves(None)),
    }


def size_to_move(book: Book, side: str, bps: Fraction) -> dict[str, Any]:
    taken = book.taken(side)
    rows, after = taken.rows, None
    if rows:
        limit = rows[0][0] * (1 - taken.sign * bps / 10_000)
        rows = [row for row in taken.rows if taken.sign * row[0] > taken.sign * limit]
        after = taken.rows[len(rows)][0] if len(rows) < len(taken.rows) else None
    base, quote, levels = sums(rows)
    return {"base": base, "quote": quote, "price": after, "levels": levels, "complete": taken.proves(after)}


def grouped(side: Side, size: Fraction, levels: int | None) -> tuple[Rows, bool]:
    """The groups, and whether they are proven."""
    groups: dict[Fraction, Fraction] = {}
    for price, quantity in side.rows:
        count = price / size
        place = (
            (count.numerator // count.denominator)
            if side.sign > 0
            else -(-count.numerator // count.denominator)
        )
        groups[place * size] = groups.get(place * size, Fraction(0)) + quantity
    found = sorted(groups.items(), reverse=side.sign > 0)[:levels]
    if side.edge == WHOLE or levels == 0:
        return found, True
    return found, bool(found) and len(found) == levels and side.proves(found[-1][0])


def up_to_value(side: Side, value: Fraction) -> tuple[Rows, bool]:
    """The rule of the old library: take a level if the sum stays at or below, or is 0 so far."""
    total, kept = Fraction(0), []
    for price, quantity in side.rows:
        if total + price * quantity > value and total != 0:
            return kept, side.proves(price)
        total += price * quantity
        kept.append((price, quantity))
    return kept, side.proves(None)
