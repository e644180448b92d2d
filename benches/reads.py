"""Reads as multiples of an empty native call, on a book of thousands of levels.

The time of the Python function around each read is measured, too, and subtracted.
"""

from __future__ import annotations

from benches.captures import Capture
from benches.frames import fresh_book
from benches.measure import Row, call_costs, estimate, ratio_of
from depthcache import _native, blocking, simulator

NOTHING = "an empty native call"
BY_NAME, IMBALANCE = 'books["BTCUSDT"]', "imbalance(5)"
THRESHOLDS = {BY_NAME: 2.0, IMBALANCE: 4.0}


def run(capture: Capture) -> list[Row]:
    """One row per kind of read."""
    book = fresh_book(capture)
    for frame in capture.after:
        book.apply(frame)

    nothing = _native._nothing

    def frozen_levels() -> object:
        frozen = book.freeze(20)
        return frozen.bids[:], frozen.asks[:]

    five, deep = (sum(level.quantity for level in book.asks[:count]) * 0.999 for count in (5, 200))
    functions = {
        NOTHING: lambda: nothing(),
        "best (both sides, one update id)": lambda: book.best,
        "bids[0].price": lambda: book.bids[0].price,
        "top 20 of both sides as lists": lambda: (book.bids[:20], book.asks[:20]),
        "freeze(20)": lambda: book.freeze(20),
        "freeze(20), then its 40 levels as lists": frozen_levels,
        "mid": lambda: book.mid,
        IMBALANCE: lambda: book.imbalance(5),
        "average price of a fill of 5 levels": lambda: book.fill("buy", base=five),
        "average price of a fill of 200 levels": lambda: book.fill("buy", base=deep),
        "depth within 10 bps": lambda: book.depth_within(10),
        "top 1,000 of a side as numpy": lambda: book.bids.to_numpy(1000),
    }
    with (
        simulator.Server(simulator.SimulatedExchange()) as server,
        blocking.connect("binance.com", ["BTCUSDT"], settings=server.settings) as books,
    ):
        functions[BY_NAME] = lambda: books["BTCUSDT"]
        functions[""] = lambda: None
        spent = call_costs(functions, calls=2_000)
    around = spent.pop("")
    spent = {
        what: [each - empty for each, empty in zip(times, around, strict=True)]
        for what, times in spent.items()
    }
    size = f"{len(book.bids):,} x {len(book.asks):,} levels"
    return [
        Row.of(
            what if what in {NOTHING, BY_NAME} else f"{what} ({size})",
            f"{estimate(times).median:.0f} ns",
            ratio_of(times, spent[NOTHING]),
            THRESHOLDS.get(what),
        )
        for what, times in spent.items()
    ]
