"""What following 500 books adds to the cost of an update, as multiples of an empty native call.

Synthetic frames of 10 levels for 500 books in turn. The cost of following is the cost of an update minus
that of the same update on a router without followers. It is measured with an idle consumer, which shows what
a slow one costs the feed, and with a prompt one, which handles the event and takes an item of 20 levels after
every update.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from benches.measure import Piece, Row, call_cost, estimate, median, take_turns
from depthcache import _native
from depthcache._native import Router

BOOKS, UPDATES, LEVELS = 500, 24, 10
MOST_BYTES = 1 << 24
MOST_TAKEN = 10.0
"""Threshold of an item that is taken at once, in empty native calls."""
WARM = "warm-up: brings the frames into the cache"
STEADY, SLOW, PROMPT = "not followed", "idle consumer", "each item taken (20 levels)"


def snapshot() -> bytes:
    """A book of 100 levels a side."""
    bids = ",".join(f'["{9_999 - rank}.50","1.5"]' for rank in range(100))
    asks = ",".join(f'["{10_000 + rank}.50","1.5"]' for rank in range(100))
    return f'{{"lastUpdateId":1,"bids":[{bids}],"asks":[{asks}]}}'.encode()


def frames() -> list[bytes]:
    """Updates of all books, one after the other, each changing the best levels."""
    made = []
    for number in range(2, 2 + UPDATES):
        bids = ",".join(f'["{9_999 - rank}.50","{number}.{rank}"]' for rank in range(LEVELS // 2))
        asks = ",".join(f'["{10_000 + rank}.50","{number}.{rank}"]' for rank in range(LEVELS // 2))
        made += [
            f'{{"stream":"{book}@depth","data":{{"e":"depthUpdate","E":1723161255208,"s":"{book}",'
            f'"U":{number},"u":{number},"b":[{bids}],"a":[{asks}]}}}}'.encode()
            for book in range(BOOKS)
        ]
    return made


def router_of_500() -> Router:
    """500 synced books on one connection."""
    router, body = Router(flight_bytes=0), snapshot()
    router.open_connection(1)
    for book in range(BOOKS):
        router.add_market(book, "binance.com", str(book), "contiguous")
        router.route(1, f"{book}@depth", book)
        router.install_snapshot(book, body, limit=1000, live=True, now_ns=1)
    router.take_events()
    return router


def contestant(kind: str) -> Callable[[], Piece]:
    """A router with or without a follower of all its books."""

    def make() -> Piece:
        router = router_of_500()
        feed = router.feed
        if kind in (WARM, STEADY):
            return lambda part: _all(part, lambda frame: feed(1, frame, 1))
        follower = router.follow("latest", levels=20, most_items=BOOKS, most_bytes=MOST_BYTES)
        for book in range(BOOKS):
            follower.add(router, book)
        while kind == PROMPT and follower.take(1):
            pass
        take, take_events = follower.take, router.take_events

        def prompt(frame: bytes) -> None:
            if feed(1, frame, 1):
                take_events()
                while take(1) is not None:
                    pass

        slow: Callable[[bytes], object] = lambda frame: feed(1, frame, 1)  # noqa: E731
        call = prompt if kind == PROMPT else slow
        return lambda part: _all(part, call)

    return make


def _all(part: Sequence[bytes], call: Callable[[bytes], object]) -> None:
    for frame in part:
        call(frame)


def run(*, rounds: int) -> list[Row]:
    """One row for each kind of consumer."""
    results = take_turns(
        frames(), {kind: contestant(kind) for kind in (WARM, STEADY, SLOW, PROMPT)}, rounds=rounds
    )
    empty = call_cost({"empty": _native._nothing}, calls=2_000)["empty"]
    plain = median(results, STEADY)
    rows = [Row(f"an update of {BOOKS} books, {STEADY}", f"{plain:.0f} ns", plain / empty)]
    for kind in (SLOW, PROMPT):
        added = [each[kind] - each[STEADY] for each in results]
        rows.append(
            Row.of(
                f"added by following all in latest mode: {kind}",
                f"{statistics.median(added):.0f} ns",
                estimate(more / empty for more in added),
                MOST_TAKEN if kind == PROMPT else None,
            )
        )
    return rows
