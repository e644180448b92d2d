"""A book that a program feeds by hand, in any order, equals the truth whenever it can be read.

Diffs are lost, duplicated and late; snapshots are new, old and loaded again. A read either raises
BookNotSynced, or shows the exchange's book at the update id it names, inside the complete range, and never an
older one than before.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from depthcache import BookNotSynced, Status
from tests.engine import Engine, diff, snapshot

FAMILIES = ("contiguous", "chained")
SEEDS = range(60)
STEPS = 150
LIMIT = 6
T = 1_700_000_000_000

Ladder = dict[int, int]


class Exchange:
    """A market of few prices, which changes often, and its whole history."""

    def __init__(self, random: Random, *, chained: bool) -> None:
        self.random, self.chained = random, chained
        self.bids: Ladder = dict.fromkeys(range(80, 100), 5)
        self.asks: Ladder = dict.fromkeys(range(101, 121), 5)
        self.last = 100
        self.now_ms = T
        self.truth: dict[int, tuple[Ladder, Ladder, int]] = {100: (dict(self.bids), dict(self.asks), T)}
        self.frames: list[bytes] = []

    def move(self) -> None:
        """One event of a few changes; ids of chained venues leave holes, of other symbols."""
        bids, asks = (self._change(side, low) for side, low in ((self.bids, 80), (self.asks, 101)))
        before = self.last
        first = before + 1 + (self.random.randrange(5) if self.chained else 0)
        self.last = first + self.random.randrange(3)
        self.now_ms += self.random.choice((1, 100, 7_000))
        self.truth[self.last] = (dict(self.bids), dict(self.asks), self.now_ms)
        more = {"pu": before} if self.chained else {}
        self.frames.append(diff(first, self.last, bids, asks, E=self.now_ms, **more))

    def _change(self, side: Ladder, low: int) -> list[tuple[str, str]]:
        changes: dict[int, int] = {}
        for _ in range(self.random.randrange(4)):
            price = low + self.random.randrange(20)
            changes[price] = self.random.choice((0, 0, 1, 2, 3))
        for price, quantity in changes.items():
            if quantity:
                side[price] = quantity
            else:
                side.pop(price, None)
        return [(str(price), str(quantity)) for price, quantity in changes.items()]

    def snapshot(self, last: int) -> bytes:
        """The best levels at that id."""
        bids, asks, ms = self.truth[last]
        shown = [
            [(str(price), str(side[price])) for price in sorted(side, reverse=reverse)[:LIMIT]]
            for side, reverse in ((bids, True), (asks, False))
        ]
        return snapshot(last, *shown, **({"E": ms, "T": ms} if self.chained else {}))


def load(book: Any, exchange: Exchange, last: int) -> str:
    """Load the snapshot of that id; spot bodies name no time, so the program tells when the response came."""
    latest_us = None if exchange.chained else exchange.truth[last][2] * 1_000
    return str(book.load_snapshot(exchange.snapshot(last), limit=LIMIT, latest_us=latest_us))


def differences(book: Any, exchange: Exchange) -> int:
    """Prices that are wrong inside the complete range; raises BookNotSynced where nothing may be read."""
    frozen = book.freeze().exact
    bids, asks, _ = exchange.truth[frozen.last_update_id]
    wrong = 0
    for side, truth, edge, sign in (
        (frozen.bids, bids, frozen.complete_to.bids, 1),
        (frozen.asks, asks, frozen.complete_to.asks, -1),
    ):
        held = {price: quantity for price, quantity in side if edge is not None}
        wanted = {Decimal(price): Decimal(quantity) for price, quantity in truth.items()}
        inside = [p for p in held.keys() | wanted.keys() if edge is not None and sign * p >= sign * edge]
        wrong += sum(held.get(price) != wanted.get(price) for price in inside)
    return wrong


@pytest.mark.parametrize("continuity", FAMILIES)
def test_a_book_fed_by_hand_equals_the_truth_or_cannot_be_read(engine: Engine, continuity: str) -> None:
    seen: Counter[str] = Counter()
    for seed in SEEDS:
        random = Random(seed)
        exchange = Exchange(random, chained=continuity == "chained")
        book = engine.book(continuity)
        sent = newest = 0
        for _ in range(STEPS):
            match random.choices(("move", "feed", "lose", "again", "snapshot", "old"), (6, 6, 1, 1, 1, 1))[0]:
                case "move":
                    exchange.move()
                case "feed" if sent < len(exchange.frames):
                    book.apply(exchange.frames[sent])
                    sent += 1
                case "lose" if sent < len(exchange.frames):
                    sent += 1
                case "again" if sent:
                    book.apply(exchange.frames[random.randrange(sent)])
                case "snapshot":
                    load(book, exchange, exchange.last)
                case "old":
                    seen[load(book, exchange, random.choice(list(exchange.truth)))] += 1
            try:
                assert differences(book, exchange) == 0, f"seed {seed}"
                assert book.status is Status.SYNCED, f"seed {seed}"
                assert book.last_update_id >= newest, f"seed {seed}"
                newest = book.last_update_id
                seen["read"] += 1
            except BookNotSynced:
                assert book.status is not Status.SYNCED, f"seed {seed}"
                seen["refused"] += 1
    assert min(seen["read"], seen["refused"], seen["too_old"]) > 100, seen
