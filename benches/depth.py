"""Cost per update at 30,000 levels a side against 1,000, on made-up frames of real shape.

Both books see frames of 46 levels: two thirds of the updates near the best price (log-normal, as
measured on real data), one third anywhere in the book. Every second touch of a price deletes it
and the next brings it back, so that the books keep their size.
"""

from __future__ import annotations

import random

import depthcache
from benches.measure import Row, median, ratio, take_turns

SIZES = (1_000, 30_000)
LEVELS_A_FRAME = 46
FRAMES = 6_000
MID = 6_000_000
TICKS_BETWEEN_LEVELS = 11
BAR = 1.5


def text(ticks: int) -> str:
    """A price of two decimals."""
    return f"{ticks // 100}.{ticks % 100:02d}000000"


def snapshot(size: int) -> bytes:
    """A book of `size` levels a side."""
    bids = ",".join(f'["{text(MID - 1 - n * TICKS_BETWEEN_LEVELS)}","1.50000000"]' for n in range(size))
    asks = ",".join(f'["{text(MID + n * TICKS_BETWEEN_LEVELS)}","1.50000000"]' for n in range(size))
    return f'{{"lastUpdateId":1,"bids":[{bids}],"asks":[{asks}]}}'.encode()


def frames(size: int) -> list[bytes]:
    """Diffs that hold the size."""
    dice = random.Random(size)
    absent: set[tuple[bool, int]] = set()
    made = []
    for number in range(FRAMES):
        sides: tuple[dict[int, str], dict[int, str]] = ({}, {})
        for _ in range(LEVELS_A_FRAME):
            ask = dice.random() < 0.5
            near = dice.random() < 2 / 3
            rank = min(int(dice.lognormvariate(4.5, 1.2)), size - 1) if near else dice.randrange(size)
            if (ask, rank) in absent:
                absent.discard((ask, rank))
                quantity = "2.50000000"
            elif dice.random() < 0.4 and rank:
                absent.add((ask, rank))
                quantity = "0.00000000"
            else:
                quantity = f"{dice.randrange(1, 10**6)}.25000000"
            sides[ask][rank] = quantity
        bids = ",".join(
            f'["{text(MID - 1 - rank * TICKS_BETWEEN_LEVELS)}","{quantity}"]'
            for rank, quantity in sorted(sides[0].items())
        )
        asks = ",".join(
            f'["{text(MID + rank * TICKS_BETWEEN_LEVELS)}","{quantity}"]'
            for rank, quantity in sorted(sides[1].items())
        )
        identity = number + 2
        made.append(
            f'{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT",'
            f'"U":{identity},"u":{identity},"b":[{bids}],"a":[{asks}]}}}}'.encode()
        )
    return made


def run(*, rounds: int) -> list[Row]:
    """One row: the ratio of both sizes."""
    results: list[dict[str, float]] = [{} for _ in range(rounds)]
    pieces = {size: (snapshot(size), frames(size)) for size in SIZES}
    for result in results:
        for size, (body, diffs) in pieces.items():
            book = depthcache.Book("binance.com", "BTCUSDT")
            book.load_snapshot(body, limit=5000)

            def piece(part: object, apply: object = book.apply) -> None:
                for frame in part:  # type: ignore[attr-defined]
                    apply(frame)  # type: ignore[operator]

            measured = take_turns(diffs, {"it": lambda piece=piece: piece}, rounds=1)
            result[str(size)] = measured[0]["it"]
            if min(len(book.bids), len(book.asks)) < size * 0.9:
                raise AssertionError("the book did not keep its size")
    small, large = (median(results, str(size)) / LEVELS_A_FRAME for size in SIZES)
    return [
        Row(
            "an update at 30,000 levels a side against 1,000",
            f"{large:.0f} ns against {small:.0f} ns (scanning included)",
            ratio(results, str(SIZES[1]), str(SIZES[0])),
            BAR,
        )
    ]
