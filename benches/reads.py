"""Reads as multiples of an empty native call, on a book of thousands of levels."""

from __future__ import annotations

from benches.captures import Capture
from benches.frames import fresh_book
from benches.measure import Row, call_cost
from depthcache import _native


def run(capture: Capture) -> list[Row]:
    """One row per kind of read."""
    book = fresh_book(capture)
    for frame in capture.after:
        book.apply(frame)

    def frozen_levels() -> object:
        frozen = book.freeze(20)
        return frozen.bids[:], frozen.asks[:]

    five, deep = (sum(level.quantity for level in book.asks[:count]) * 0.999 for count in (5, 200))
    nothing = "an empty native call"
    functions = {
        nothing: _native._nothing,
        "best (both sides, one update id)": lambda: book.best,
        "bids[0].price": lambda: book.bids[0].price,
        "top 20 of both sides as lists": lambda: (book.bids[:20], book.asks[:20]),
        "freeze(20)": lambda: book.freeze(20),
        "freeze(20), then its 40 levels as lists": frozen_levels,
        "mid": lambda: book.mid,
        "average price of a fill of 5 levels": lambda: book.fill("buy", base=five),
        "average price of a fill of 200 levels": lambda: book.fill("buy", base=deep),
        "depth within 10 bps": lambda: book.depth_within(10),
        "top 1,000 of a side as numpy": lambda: book.bids.to_numpy(1000),
    }
    costs = call_cost(functions, calls=2_000)
    size = f"{len(book.bids):,} x {len(book.asks):,} levels"
    return [
        Row(what if what == nothing else f"{what} ({size})", f"{cost:.0f} ns", cost / costs[nothing])
        for what, cost in costs.items()
    ]
