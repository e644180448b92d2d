"""Levels as columns, as multiples of a numpy copy of the same size: the least that any export costs."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import numpy as np

import depthcache
from benches.measure import Row, call_costs, ratio_of

BOOKS = 500
LEVELS = 20
MOST_NUMPY, MOST_ARROW = 5.0, 8.0
"""Thresholds of 1,000 levels of both sides, and of many books."""


def run() -> list[Row]:
    """One row per kind of export."""
    deep = book("BTCUSDT", 5_000)
    books = [book(f"COIN{number}USDT", 100) for number in range(BOOKS)]
    columns = depthcache.Columns(books, levels=LEVELS)
    table_bytes = sum(len(memoryview(memory)) for _, _, memory, _, _ in columns._parts())
    kinds: dict[str, tuple[Callable[[], object], int, float | None]] = {
        "top 1,000 levels of both sides as numpy": (lambda: deep.to_numpy(1_000), 2 * 1_000 * 16, MOST_NUMPY),
        "top 5,000 levels of both sides as numpy": (lambda: deep.to_numpy(5_000), 2 * 5_000 * 16, None),
        "top 5,000 levels of both sides as integers": (lambda: deep.to_integers(5_000), 2 * 5_000 * 16, None),
        f"{BOOKS} books, top {LEVELS} of both sides, as Arrow": (
            lambda: depthcache.Columns(books, levels=LEVELS).__arrow_c_stream__(),
            table_bytes,
            MOST_ARROW,
        ),
    }
    rows = []
    for what, (read, size, most) in kinds.items():
        memory = np.zeros(size, np.uint8)
        costs = call_costs({what: read, "copy": memory.copy}, calls=50)
        figure = f"{statistics.median(costs[what]) / 1e3:.1f} us"
        rows.append(Row.of(f"{what} ({size:,} bytes)", figure, ratio_of(costs[what], costs["copy"]), most))
    return rows


def book(symbol: str, levels: int) -> depthcache.Book:
    """A book with that many levels a side, a cent apart."""
    middle = 10 * levels
    bids = ",".join(f'["{(middle - rank) / 100:.2f}","1.50000"]' for rank in range(levels))
    asks = ",".join(f'["{(middle + 1 + rank) / 100:.2f}","2.50000"]' for rank in range(levels))
    made = depthcache.Book("binance.com", symbol)
    made.load_snapshot(f'{{"lastUpdateId":10,"bids":[{bids}],"asks":[{asks}]}}')
    return made
