"""Cost per update at 30,000 levels a side against 1,000, on synthetic frames of realistic shape.

Both books get frames of 46 levels: two thirds of the updates are near the best price (log-normal, as
measured on real data), one third anywhere in the book. Updates delete prices and restore them, so the
books roughly keep their size.

Recordings of the user's own are applied to two books: one of the recorded snapshot, and one whose snapshot
has been filled up to 30,000 levels a side behind the recorded ones.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import islice, pairwise

import depthcache
from benches.captures import Capture
from benches.frames import ours
from benches.measure import Piece, Row, median, ratio, take_turns

SIZES = (1_000, 30_000)
LEVELS_A_FRAME = 46
FRAMES = 6_000
MID = 6_000_000
TICKS_BETWEEN_LEVELS = 11
THRESHOLD = 1.5

KEPT = 0.65
"""An update deletes its price 4 times in 10, and the next one restores it: in the end 29 % are absent."""


def text(ticks: int) -> str:
    """A price of two decimals."""
    return f"{ticks // 100}.{ticks % 100:02d}000000"


def price(ask: int, rank: int) -> str:
    """The price of a level, counted from the best."""
    return text(MID + rank * TICKS_BETWEEN_LEVELS if ask else MID - 1 - rank * TICKS_BETWEEN_LEVELS)


def snapshot(size: int) -> bytes:
    """A book of `size` levels a side."""
    bids, asks = (",".join(f'["{price(ask, rank)}","1.50000000"]' for rank in range(size)) for ask in (0, 1))
    return f'{{"lastUpdateId":1,"bids":[{bids}],"asks":[{asks}]}}'.encode()


def frames(size: int) -> list[bytes]:
    """Diffs that hold the size."""
    generator = random.Random(size)
    absent: set[tuple[bool, int]] = set()
    made = []
    for number in range(FRAMES):
        sides: tuple[dict[int, str], dict[int, str]] = ({}, {})
        for _ in range(LEVELS_A_FRAME):
            ask = generator.random() < 0.5
            near = generator.random() < 2 / 3
            rank = (
                min(int(generator.lognormvariate(4.5, 1.2)), size - 1) if near else generator.randrange(size)
            )
            if (ask, rank) in absent:
                absent.discard((ask, rank))
                quantity = "2.50000000"
            elif generator.random() < 0.4 and rank:
                absent.add((ask, rank))
                quantity = "0.00000000"
            else:
                quantity = f"{generator.randrange(1, 10**6)}.25000000"
            sides[ask][rank] = quantity
        bids, asks = (
            ",".join(f'["{price(ask, rank)}","{quantity}"]' for rank, quantity in sorted(side.items()))
            for ask, side in enumerate(sides)
        )
        identity = number + 2
        made.append(
            f'{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT",'
            f'"U":{identity},"u":{identity},"b":[{bids}],"a":[{asks}]}}}}'.encode()
        )
    return made


def contestant(size: int) -> Callable[[], Piece]:
    """A book of one size that applies its own frames; the frames passed in only count them."""
    body, diffs = snapshot(size), frames(size)

    def make() -> Piece:
        book = depthcache.Book("binance.com", "BTCUSDT")
        book.load_snapshot(body, limit=5000)
        apply, waiting = book.apply, iter(diffs)

        def piece(part: Sequence[bytes]) -> None:
            for frame in islice(waiting, len(part)):
                apply(frame)
            if min(len(book.bids), len(book.asks)) < size * KEPT:
                raise AssertionError("the book did not keep its size")

        return piece

    return make


def run(*, rounds: int) -> list[Row]:
    """One row: the ratio of both sizes."""
    contestants = {str(size): contestant(size) for size in SIZES}
    results = take_turns([b""] * FRAMES, contestants, rounds=rounds)
    small, large = (median(results, str(size)) / LEVELS_A_FRAME for size in SIZES)
    return [
        Row.of(
            "an update at 30,000 levels a side against 1,000",
            f"{large:.0f} ns against {small:.0f} ns (scanning included)",
            ratio(results, str(SIZES[1]), str(SIZES[0])),
            THRESHOLD,
        )
    ]


def run_own(captures: Sequence[Capture], *, rounds: int) -> list[Row]:
    """One row per market of the user's recordings."""
    return [_own(capture, rounds=rounds) for capture in captures]


def _own(capture: Capture, *, rounds: int) -> Row:
    deep = filled_up(capture, SIZES[1])
    shown, filled = (sum(map(len, _sides(each.snapshot))) // 2 for each in (capture, deep))
    # The first one brings the frames into the cache.
    contestants = {"warm-up": ours(capture), "recorded": ours(capture), "deep": ours(deep)}
    results = take_turns(capture.after, contestants, rounds=rounds)
    deep_us, recorded_us = (median(results, name) / 1000 for name in ("deep", "recorded"))
    return Row.of(
        f"{capture.title}: a frame with the snapshot filled up to {filled:,} levels a side against {shown:,}",
        f"{deep_us:.2f} us against {recorded_us:.2f} us a frame",
        ratio(results, "deep", "recorded"),
        THRESHOLD,
    )


def filled_up(capture: Capture, size: int) -> Capture:
    """Market data whose snapshot has `size` levels a side, as far as there are prices behind the recorded."""
    body = json.loads(capture.snapshot)
    sides = {"bids": _filled(body["bids"], size, -1), "asks": _filled(body["asks"], size, 1)}
    return replace(capture, snapshot=json.dumps(body | sides).encode(), limit=None)


def _filled(levels: list[list[str]], size: int, direction: int) -> list[list[str]]:
    """At the smallest distance of the recorded prices, or a smaller one where bids would reach zero."""
    if len(levels) < 2:
        return levels
    prices = [Decimal(price) for price, _ in levels]
    unit = Decimal(1).scaleb(int(prices[0].as_tuple().exponent))
    step = min(abs(one - other) for one, other in pairwise(prices))
    missing = max(0, size - len(levels))
    if direction < 0:
        room = prices[-1] / (missing + 1)
        step = min(step, max(unit, room - room % unit))
    behind = (prices[-1] + direction * step * number for number in range(1, missing + 1))
    return [*levels, *([f"{price:f}", levels[-1][1]] for price in behind if price > 0)]


def _sides(snapshot: bytes) -> tuple[list[list[str]], list[list[str]]]:
    body = json.loads(snapshot)
    return body["bids"], body["asks"]
