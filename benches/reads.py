"""Reads as multiples of an empty native call, on a real book of thousands of levels."""

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
    functions = {
        "an empty native call": _native._nothing,
        "best (both sides, one update id)": lambda: book.best,
        "bids[0].price": lambda: book.bids[0].price,
        "top 20 of both sides as lists": lambda: (book.bids[:20], book.asks[:20]),
        "freeze(20)": lambda: book.freeze(20),
        "freeze(20), then read its 40 levels": lambda: (lambda frozen: (frozen.bids[:], frozen.asks[:]))(
            book.freeze(20)
        ),
        "top 1,000 of a side as numpy": lambda: book.bids.to_numpy(1000),
    }
    costs = call_cost(functions, calls=2_000)
    nothing = costs["an empty native call"]
    levels = f"{len(book.bids):,} x {len(book.asks):,} levels"
    return [
        Row(
            f"{what}" + ("" if what == "an empty native call" else f" ({levels})"),
            f"{cost:.0f} ns",
            cost / nothing,
        )
        for what, cost in costs.items()
    ]
