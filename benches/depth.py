"""Cost per update at 30,000 levels a side against 1,000, on synthetic frames of realistic shape.

Both books get frames of 46 levels: two thirds of the updates are near the best price (log-normal, as
measured on real data), one third anywhere in the book. Updates delete prices and restore them, so the
books roughly keep their size.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import islice

import depthcache
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
        Row(
            "an update at 30,000 levels a side against 1,000",
            f"{large:.0f} ns against {small:.0f} ns (scanning included)",
            ratio(results, str(SIZES[1]), str(SIZES[0])),
            THRESHOLD,
        )
    ]
