"""An invented market that knows its truth: one book, moved by a random generator, with every change
remembered.

Theory of operation. The market changes in events, each of a few or of hundreds of single changes;
every single change has an update id of its own. Streams gather the changes since their last message
(`streams`), so a snapshot may be taken at an id in the middle of a later diff: that is what makes
joining them real. The past is kept as a list of changes with what was there before, so the book at an
earlier id is the present one walked backwards.

Prices and quantities are integers at the profile's decimals. The book never crosses: what would
cross takes away the other side's levels first, as a trade does. What a test orders otherwise (a side that
stays empty, a crossed book, hundreds of levels at once, ids that restart) begins with the next event and
is remembered like anything else, so the truth stays exact. Not here: messages, time.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, NamedTuple

from depthcache.errors import InvalidArgument
from depthcache.simulator.profiles import Profile

__all__ = ["BIDS", "Change", "Ids", "Market", "decimal_text"]

BIDS, ASKS = 0, 1

_REMEMBERED_PRICES = 200
_ERAS = 8
"""So many times ids may restart until the time before is forgotten."""
_STAYS_EMPTY = 0.8
"""How likely the next change leaves an empty side alone, while the other one holds anything."""


class Change(NamedTuple):
    """One level of one side was set. `before` and `quantity`: 0 is no level."""

    update_id: int
    side: int
    price: int
    quantity: int
    before: int


class _Era(NamedTuple):
    """What is remembered of the time before ids restarted: the book at its end, and the way back."""

    oldest_id: int
    last_id: int
    book: tuple[dict[int, int], dict[int, int]]
    past: tuple[Change, ...]


@dataclass(slots=True)
class Ids:
    """Where update ids come from: one source a symbol on spot, one for all symbols on futures."""

    last: int
    step: int = 1
    """Ids grow by 1 to `step`: other symbols take the ones between."""

    def next(self, generator: random.Random) -> int:
        """The next id."""
        self.last += 1 if self.step == 1 else generator.randint(1, self.step)
        return self.last


class Market:
    """One symbol's truth. `move` makes one event happen."""

    def __init__(self, profile: Profile, ids: Ids, *, seed: str, history: int = 50_000) -> None:
        """`profile`: how it looks and moves. `ids`: where update ids come from. `seed`: the same seed, the
        same market. `history`: single changes that can be walked back."""
        self.profile: Profile = profile
        self.ids: Final = ids
        self._generator = random.Random(seed)
        self._book: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self._prices: list[list[int]] = [[], []]
        self._past: deque[Change] = deque(maxlen=history)
        self._touched: tuple[list[int], list[int]] = ([], [])
        self._burst = 0.0
        self._eras: deque[_Era] = deque(maxlen=_ERAS)
        self._empty: int | None = None
        self._is_crossed = False
        self._crossing: int | None = None
        self._lonely = [profile.start_price, profile.start_price + profile.tick]
        """Where a side that ran empty had its last level."""
        self._fill()
        self._round = self._round_prices()
        self.last_update_id: int = ids.next(self._generator)
        self._oldest_id = self.last_update_id

    # --- getters ------------------------------------------------------------------------------

    def best(self, side: int) -> int | None:
        """The best price of a side."""
        prices = self._prices[side]
        return (prices[-1] if side == BIDS else prices[0]) if prices else None

    def levels(self, side: int, limit: int | None = None) -> list[tuple[int, int]]:
        """(price, quantity) of a `side` (0 bids, 1 asks), best first; the best `limit`, all when None."""
        prices = self._prices[side]
        best_first = reversed(prices) if side == BIDS else iter(prices)
        book = self._book[side]
        count = len(prices) if limit is None else min(limit, len(prices))
        return [(price, book[price]) for price, _ in zip(best_first, range(count), strict=False)]

    @property
    def shown_id(self) -> int:
        """The id that a snapshot of now has: where symbols share their ids, one of another symbol may be the
        newest, and lies between this symbol's own (USD-M, ids measured 2026-10-07)."""
        return max(self.last_update_id, self.ids.last)

    def id_before(self, changes: int) -> int:
        """The update id that many single changes ago, at most as many as are remembered."""
        if changes <= 0 or not self._past:
            return self.last_update_id
        if changes >= len(self._past):
            return self._oldest_id
        return self._past[-changes - 1].update_id

    def sides_at(self, update_id: int) -> tuple[dict[int, int], dict[int, int]]:
        """Price to quantity of both sides right after the change of `update_id`, or of the last before it.

        Where ids restarted, an id that is not one of the present ones is looked for among the earlier.
        Raises InvalidArgument for an id that is not remembered any more, or has not happened yet.
        """
        now = _Era(self._oldest_id, self.shown_id, self._book, ())
        for era in (now, *reversed(self._eras)):
            if era.oldest_id <= update_id <= era.last_id:
                return _walked_back(era.book, self._past if era is now else era.past, update_id)
        allowed = f"{self._oldest_id} to {self.shown_id}, the ids that are remembered"
        raise InvalidArgument(name="update_id", value=update_id, allowed=allowed)

    def book_at(self, update_id: int) -> tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
        """Bids and asks at `update_id` as (price, quantity), best first, exact. Raises as `sides_at`."""
        bids, asks = self.sides_at(update_id)
        return self._exact(sorted(bids.items(), reverse=True)), self._exact(sorted(asks.items()))

    def _exact(self, levels: list[tuple[int, int]]) -> list[tuple[Decimal, Decimal]]:
        profile = self.profile
        return [
            (Decimal(price).scaleb(-profile.price_decimals), Decimal(held).scaleb(-profile.quantity_decimals))
            for price, held in levels
        ]

    # --- what happens -------------------------------------------------------------------------

    def evict(self, rank: int) -> None:
        """Levels beyond that rank vanish, and no change tells of it. The past is forgotten by that."""
        for side in (BIDS, ASKS):
            prices = self._prices[side]
            gone = prices[: len(prices) - rank] if side == BIDS else prices[rank:]
            for price in gone:
                del self._book[side][price]
            if gone:
                self._prices[side] = prices[len(gone) :] if side == BIDS else prices[:rank]
                self._past.clear()
                self._eras.clear()
                self._oldest_id = self.last_update_id

    def on_new_ids(self, last_id: int) -> None:
        """Ids have restarted: from here on changes have those of the source as it is now. `last_id`: the
        last that the source gave before."""
        book = (dict(self._book[BIDS]), dict(self._book[ASKS]))
        self._eras.append(_Era(self._oldest_id, last_id, book, tuple(self._past)))
        self._past.clear()
        self.last_update_id = self._oldest_id = self.ids.next(self._generator)

    def keep_empty(self, side: int | None) -> None:
        """With the next event all levels of a side go, and none comes; None ends that."""
        self._empty = side

    def keep_crossed(self, *, on: bool) -> None:
        """`on`: with the next event a bid at or above the best ask appears, as the exchange's own book
        never shows (measured 2026-09-04); nothing but quantities changes until that ends."""
        self._is_crossed = on

    def set_tick(self, tick: int) -> None:
        """From now on new levels are multiples of `tick`; those that are held stay where they are."""
        self.profile = replace(self.profile, tick=tick)
        self._round = self._round_prices()

    def move(self, *, prices: int = 0) -> list[Change]:
        """One event: its single changes in the order of their ids. `prices`: so many of them are set at once,
        from the best ones outwards; 0 leaves that to the a random generator."""
        made = [*self._ordered()]
        if self._crossing is not None:
            return [*made, *self._quantities()]
        if prices:
            return [*made, *self._many(prices)]
        mean, deviation, kept = self.profile.levels_per_event
        shock = self._generator.gauss(0.0, deviation * math.sqrt(1 - kept * kept))
        self._burst = kept * self._burst + shock
        count = max(1, round(math.exp(mean + self._burst)))
        while len(made) < count:
            made.extend(self._one())
        return made

    def _ordered(self) -> Iterator[Change]:
        """What has been ordered and is not so yet."""
        if self._empty is not None:
            for price in tuple(self._prices[self._empty]):
                yield self._set(self._empty, price, 0)
        if self._is_crossed and self._crossing is None:
            ask = self.best(ASKS)
            if ask is not None and self._empty != BIDS and self.best(BIDS) is not None:
                self._crossing = ask + self.profile.tick * self._generator.randint(0, 2)
                yield self._set(BIDS, self._crossing, self._quantity())
        elif not self._is_crossed and self._crossing is not None:
            price, self._crossing = self._crossing, None
            if price in self._book[BIDS]:
                yield self._set(BIDS, price, 0)

    def _quantities(self) -> Iterator[Change]:
        """Only quantities change."""
        for side in (BIDS, ASKS):
            if self._prices[side]:
                yield self._set(side, self._generator.choice(self._prices[side]), self._quantity())

    def _many(self, count: int) -> Iterator[Change]:
        """So many prices, on both sides in turn; of those that are not held, half are deleted."""
        for number in range(count):
            side = number % 2 if self._empty is None else 1 - self._empty
            best, away = self.best(side), self.profile.tick * (number // 2)
            price = 0 if best is None else best - away if side == BIDS else best + away
            if price > 0:
                held = price in self._book[side]
                quantity = self._quantity() if held or (number // 2) % 2 == 0 else 0
                yield self._set(side, price, quantity)

    def _one(self) -> Iterator[Change]:
        """One level is touched; the levels that it would cross go first."""
        generator, profile = self._generator, self.profile
        side = generator.getrandbits(1)
        roll = generator.random()
        if not self._book[side] and self._book[1 - side] and generator.random() < _STAYS_EMPTY:
            side = 1 - side
        if side == self._empty:
            side = 1 - side
        if not self._book[side]:
            price = self._free(side, self._lonely[side])
            yield from self._make_way(side, price)
            yield self._set(side, price, self._quantity())
            return
        if roll < profile.inside:
            yield from self._better(side)
            return
        book, price = self._book[side], self._price(side, roll)
        lack = (profile.levels - len(book)) / profile.levels
        urge = min(max(4 * lack, -0.9), 0.9)
        news, deletes = profile.deletes * (1 + urge), profile.deletes * (1 - urge)
        roll = generator.random()
        if roll < news:
            price = self._free(side, price)
            yield from self._make_way(side, price)
            yield self._set(side, price, self._quantity())
        elif roll < news + deletes:
            quantity = 0 if len(book) > profile.fewest else self._quantity()
            yield self._set(side, self._held(side, price), quantity)
        elif roll < news + deletes + profile.phantoms:
            yield self._set(side, self._free(side, price), 0)
        else:
            price = self._held(side, price)
            same = roll < news + deletes + profile.phantoms + profile.unchanged
            yield self._set(side, price, book[price] if same else self._quantity())

    def _better(self, side: int) -> Iterator[Change]:
        """The best price gets better, or, where there is no room, the other side's best is taken."""
        best, other = self.best(side), self.best(1 - side)
        better = self._beyond(side)
        if other is None or (better < other if side == BIDS else better > other):
            yield self._set(side, better, self._quantity())
        elif len(self._book[1 - side]) > self.profile.fewest and self._generator.random() < 0.5:
            yield self._set(1 - side, other, 0)
        elif best is not None:
            yield self._set(side, best, self._quantity())

    def _make_way(self, side: int, price: int) -> Iterator[Change]:
        while (other := self.best(1 - side)) is not None and (
            price >= other if side == BIDS else price <= other
        ):
            yield self._set(1 - side, other, 0)
            if self.best(1 - side) is None and self.profile.fewest and self._empty != 1 - side:
                far = self.profile.tick * 10 * (1 - 2 * side)
                yield self._set(1 - side, price + far, self._quantity())

    def _price(self, side: int, roll: float) -> int:
        """Where an update lands."""
        generator, profile = self._generator, self.profile
        best = self.best(side)
        assert best is not None  # an empty side is filled first
        if roll < profile.inside + profile.at_best:
            return best
        if generator.random() < profile.far:
            return generator.choice(self._round[side])
        touched = self._touched[side]
        if touched and generator.random() < profile.reuse:
            price = touched[int(len(touched) * generator.random())]
        else:
            ticks = max(1, int(profile.body_ticks * math.exp(generator.gauss(0.0, profile.body_sigma))))
            price = best - ticks * profile.tick if side == BIDS else best + ticks * profile.tick
            price = max(price, profile.tick)
            if len(touched) < _REMEMBERED_PRICES:
                touched.append(price)
            else:
                touched[generator.randrange(_REMEMBERED_PRICES)] = price
        beyond = price > best if side == BIDS else price < best
        return best if beyond else price

    def _held(self, side: int, price: int) -> int:
        """The nearest price that is held, at or beyond that one."""
        prices = self._prices[side]
        place = bisect_left(prices, price)
        return prices[min(place, len(prices) - 1)]

    def _free(self, side: int, price: int) -> int:
        """The nearest price of the present tick that is not held, away from the other side."""
        price = self._on_tick(side, price)
        step = -self.profile.tick if side == BIDS else self.profile.tick
        while price in self._book[side]:
            price += step
        return price if price > 0 else self._beyond(side)

    def _beyond(self, side: int) -> int:
        """The next better price of the present tick than the best one."""
        best = self.best(side)
        price = self._on_tick(side, self._lonely[side] if best is None else best)
        return price + (self.profile.tick if side == BIDS else -self.profile.tick)

    def _on_tick(self, side: int, price: int) -> int:
        """The nearest multiple of the tick, away from the other side; levels may be older than the tick."""
        return price - price % self.profile.tick if side == BIDS else price + -price % self.profile.tick

    def _quantity(self) -> int:
        return max(1, round(self.profile.median_quantity * math.exp(self._generator.gauss(0.0, 1.8))))

    def _set(self, side: int, price: int, quantity: int) -> Change:
        book, prices = self._book[side], self._prices[side]
        before = book.get(price, 0)
        if quantity:
            if not before:
                insort(prices, price)
            book[price] = quantity
        elif before:
            del book[price]
            del prices[bisect_left(prices, price)]
            if not prices:
                self._lonely[side] = price
        self.last_update_id = self.ids.next(self._generator)
        change = Change(self.last_update_id, side, price, quantity, before)
        if len(self._past) == self._past.maxlen:
            self._oldest_id = self._past[0].update_id
        self._past.append(change)
        return change

    # --- the beginning ------------------------------------------------------------------------

    def _fill(self) -> None:
        profile, generator = self.profile, self._generator
        for side in (BIDS, ASKS):
            price = profile.start_price if side == BIDS else profile.start_price + profile.tick
            step = -profile.tick if side == BIDS else profile.tick
            for _ in range(profile.levels):
                if price <= 0:
                    break
                self._book[side][price] = self._quantity()
                price += step * max(1, round(profile.gap_ticks * math.exp(generator.gauss(0.0, 0.8))))
            self._prices[side].extend(sorted(self._book[side]))

    def _round_prices(self) -> tuple[list[int], list[int]]:
        """Far prices that are touched again and again: powers of ten and their multiples."""
        lowest = self._prices[BIDS][0] if self._prices[BIDS] else self.profile.start_price
        highest = self._prices[ASKS][-1] if self._prices[ASKS] else self.profile.start_price
        tick, digits = self.profile.tick, 10 ** (len(str(self.profile.start_price)) - 1)
        below = [lowest * part // 10 // tick * tick for part in (1, 2, 5, 7, 8, 9)]
        above = [highest + digits * times // tick * tick for times in (1, 2, 3, 5, 8, 20)]
        return [max(price, tick) for price in below], above


def _walked_back(
    book: tuple[dict[int, int], dict[int, int]], past: Sequence[Change], update_id: int
) -> tuple[dict[int, int], dict[int, int]]:
    """A book as it was at an earlier id."""
    sides = (dict(book[BIDS]), dict(book[ASKS]))
    for change in reversed(past):
        if change.update_id <= update_id:
            break
        if change.before:
            sides[change.side][change.price] = change.before
        else:
            sides[change.side].pop(change.price, None)
    return sides


def decimal_text(mantissa: int, decimals: int) -> str:
    """`mantissa / 10^decimals` as Binance writes it: fixed decimals, no exponent."""
    if not decimals:
        return str(mantissa)
    digits = str(mantissa).rjust(decimals + 1, "0")
    return f"{digits[:-decimals]}.{digits[-decimals:]}"
