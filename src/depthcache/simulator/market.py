"""A simulated market: one book, moved by a random generator, that remembers every change.

Theory of operation. The market changes in events of a few up to hundreds of single changes. Every single
change has its own update id. Streams collect the changes since their last message (`streams`), so a snapshot
may have an id in the middle of a later diff, which makes bridging realistic. The history is a list of changes
with the previous quantities; undoing them gives the book at an earlier id.

Prices and quantities are integers at the profile's decimals. The book never crosses: a change that would
cross removes the levels of the other side first, like a trade. Trouble on command (a side that stays empty, a
crossed book, hundreds of levels at once, ids that restart) begins with the next event and is recorded in the
history like any other change, so the truth stays exact.
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
"""Restarts of the ids after which the history before the first is dropped."""
_STAYS_EMPTY = 0.8
"""Probability that a change leaves an empty side empty, while the other side has levels."""


class Change(NamedTuple):
    """One level was set. `before` and `quantity` are the old and new quantity; 0 means no level."""

    update_id: int
    side: int
    price: int
    quantity: int
    before: int


class _Era(NamedTuple):
    """The history before a restart of the ids: the last book, and the changes to undo."""

    oldest_id: int
    last_id: int
    book: tuple[dict[int, int], dict[int, int]]
    past: tuple[Change, ...]


@dataclass(slots=True)
class Ids:
    """The source of update ids: one per symbol on spot, one for all symbols on futures."""

    last: int
    step: int = 1
    """Ids grow by 1 to `step`; other symbols use those in between."""

    def next(self, generator: random.Random) -> int:
        """The next id."""
        self.last += 1 if self.step == 1 else generator.randint(1, self.step)
        return self.last


class Market:
    """The market of one symbol, with its true book. `move` performs one event."""

    def __init__(self, profile: Profile, ids: Ids, *, seed: str, history: int = 50_000) -> None:
        """`profile`: size and behaviour of the market. `ids`: the source of update ids. `seed`: the same seed
        gives the same market. `history`: number of single changes that can be undone."""
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
        """The last price of each side, for a side that runs empty."""
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
        """(price, quantity) of a `side` (0 bids, 1 asks), best first; the best `limit`, all if None."""
        prices = self._prices[side]
        best_first = reversed(prices) if side == BIDS else iter(prices)
        book = self._book[side]
        count = len(prices) if limit is None else min(limit, len(prices))
        return [(price, book[price]) for price, _ in zip(best_first, range(count), strict=False)]

    @property
    def shown_id(self) -> int:
        """The id of a snapshot taken now. If symbols share ids, it may belong to another symbol, between two
        ids of this one (USD-M, measured 2026-10-07)."""
        return max(self.last_update_id, self.ids.last)

    def id_before(self, changes: int) -> int:
        """The update id `changes` single changes ago, limited by the history."""
        if changes <= 0 or not self._past:
            return self.last_update_id
        if changes >= len(self._past):
            return self._oldest_id
        return self._past[-changes - 1].update_id

    def sides_at(self, update_id: int) -> tuple[dict[int, int], dict[int, int]]:
        """Price to quantity of both sides right after the change with `update_id`, or the last before it.

        After a restart of the ids, an id outside the current range is searched in the earlier ones. Raises
        InvalidArgument for an id that is no longer in the history, or has not happened yet.
        """
        now = _Era(self._oldest_id, self.shown_id, self._book, ())
        for era in (now, *reversed(self._eras)):
            if era.oldest_id <= update_id <= era.last_id:
                return _walked_back(era.book, self._past if era is now else era.past, update_id)
        allowed = f"{self._oldest_id} to {self.shown_id}, the ids in the history"
        raise InvalidArgument(name="update_id", value=update_id, allowed=allowed)

    def book_at(self, update_id: int) -> tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
        """Bids and asks at `update_id` as exact (price, quantity), best first. Raises like `sides_at`."""
        bids, asks = self.sides_at(update_id)
        return self._exact(sorted(bids.items(), reverse=True)), self._exact(sorted(asks.items()))

    def _exact(self, levels: list[tuple[int, int]]) -> list[tuple[Decimal, Decimal]]:
        profile = self.profile
        return [
            (Decimal(price).scaleb(-profile.price_decimals), Decimal(held).scaleb(-profile.quantity_decimals))
            for price, held in levels
        ]

    # --- commands -----------------------------------------------------------------------------

    def evict(self, rank: int) -> None:
        """Remove levels beyond this rank without a change in the streams. This drops the history."""
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
        """The ids have restarted: further changes use the new ones. `last_id`: the last id before."""
        book = (dict(self._book[BIDS]), dict(self._book[ASKS]))
        self._eras.append(_Era(self._oldest_id, last_id, book, tuple(self._past)))
        self._past.clear()
        self.last_update_id = self._oldest_id = self.ids.next(self._generator)

    def keep_empty(self, side: int | None) -> None:
        """Remove all levels of a side in the next event and keep it empty; None ends it."""
        self._empty = side

    def keep_crossed(self, *, on: bool) -> None:
        """With `on`, add a bid at or above the best ask in the next event, which the exchange never shows
        (measured 2026-09-04). Only quantities change until it ends."""
        self._is_crossed = on

    def set_tick(self, tick: int) -> None:
        """Make new levels multiples of `tick`; existing levels stay where they are."""
        self.profile = replace(self.profile, tick=tick)
        self._round = self._round_prices()

    def move(self, *, prices: int = 0) -> list[Change]:
        """Perform one event; return its single changes in the order of their ids.

        `prices`: number of prices to set, from the best ones outwards; 0 leaves it to the random generator.
        """
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
        """The changes for commands that have not taken effect yet."""
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
        """Changes of quantities only."""
        for side in (BIDS, ASKS):
            if self._prices[side]:
                yield self._set(side, self._generator.choice(self._prices[side]), self._quantity())

    def _many(self, count: int) -> Iterator[Change]:
        """Changes of `count` prices on alternating sides; half of those without a level are deletions."""
        for number in range(count):
            side = number % 2 if self._empty is None else 1 - self._empty
            best, away = self.best(side), self.profile.tick * (number // 2)
            price = 0 if best is None else best - away if side == BIDS else best + away
            if price > 0:
                held = price in self._book[side]
                quantity = self._quantity() if held or (number // 2) % 2 == 0 else 0
                yield self._set(side, price, quantity)

    def _one(self) -> Iterator[Change]:
        """The changes for one level; levels that it would cross are removed first."""
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
        """A better best price; if there is no room, remove the best level of the other side."""
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
        """The price of an update."""
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
        """The nearest price with a level, at or beyond the given one."""
        prices = self._prices[side]
        place = bisect_left(prices, price)
        return prices[min(place, len(prices) - 1)]

    def _free(self, side: int, price: int) -> int:
        """The nearest free price on the current tick, away from the other side."""
        price = self._on_tick(side, price)
        step = -self.profile.tick if side == BIDS else self.profile.tick
        while price in self._book[side]:
            price += step
        return price if price > 0 else self._beyond(side)

    def _beyond(self, side: int) -> int:
        """The next price on the current tick that is better than the best one."""
        best = self.best(side)
        price = self._on_tick(side, self._lonely[side] if best is None else best)
        return price + (self.profile.tick if side == BIDS else -self.profile.tick)

    def _on_tick(self, side: int, price: int) -> int:
        """The nearest multiple of the tick away from the other side; old levels may be off the tick."""
        return price - price % self.profile.tick if side == BIDS else price + -price % self.profile.tick

    def _quantity(self) -> int:
        profile = self.profile
        steps = profile.median_quantity * math.exp(self._generator.gauss(0.0, 1.8)) / profile.quantity_step
        return max(1, round(steps)) * profile.quantity_step

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
        """Distant prices that change repeatedly: powers of ten and their multiples."""
        lowest = self._prices[BIDS][0] if self._prices[BIDS] else self.profile.start_price
        highest = self._prices[ASKS][-1] if self._prices[ASKS] else self.profile.start_price
        tick, digits = self.profile.tick, 10 ** (len(str(self.profile.start_price)) - 1)
        below = [lowest * part // 10 // tick * tick for part in (1, 2, 5, 7, 8, 9)]
        above = [highest + digits * times // tick * tick for times in (1, 2, 3, 5, 8, 20)]
        return [max(price, tick) for price in below], above


def _walked_back(
    book: tuple[dict[int, int], dict[int, int]], past: Sequence[Change], update_id: int
) -> tuple[dict[int, int], dict[int, int]]:
    """The book at an earlier id, by undoing changes."""
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
