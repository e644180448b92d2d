"""Memory of levels: after a snapshot, after thousands of diffs, and for 500 books."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import depthcache
from benches import depth
from benches.measure import Row

SIZES = (1_000, 2_000, 5_000, 30_000)
BOOKS = 500
A_SIDE = 2_000
NUMBERS = 16
MOST = 1.6


def run() -> list[Row]:
    """One row per size, and one for the resident memory of 500 books."""
    rows = []
    for size in SIZES:
        book = book_of(size)
        rows.append(row(f"{size:,} levels a side, from a snapshot", book))
        for frame in depth.frames(size):
            book.apply(frame)
        rows.append(row(f"{size:,} levels a side, after {depth.FRAMES:,} diffs", book))
    rows.append(many())
    return rows


def many() -> Row:
    """Resident memory of 500 books in a fresh process, including objects and the allocator's overhead."""
    command = [sys.executable, "-m", "benches.memory"]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    needed = NUMBERS * 2 * A_SIDE * BOOKS
    what = f"{BOOKS} books of {A_SIDE:,} levels a side, resident"
    return Row(what, f"{grown / 2**20:.1f} MiB", grown / needed, MOST)


def book_of(size: int) -> depthcache.Book:
    """A book of `size` levels a side."""
    book = depthcache.Book("binance.com", "BTCUSDT")
    book.load_snapshot(depth.snapshot(size), limit=size)
    return book


def row(what: str, book: depthcache.Book) -> Row:
    """The memory that the book reports."""
    needed = NUMBERS * (len(book.bids) + len(book.asks))
    return Row(what, f"{book.memory_bytes / 1024:,.0f} KiB", book.memory_bytes / needed, MOST)


def grown_by_many() -> int:
    """Bytes that 500 books add to this process."""
    body = depth.snapshot(A_SIDE)
    depthcache.Book("binance.com", "BTCUSDT").load_snapshot(body, limit=A_SIDE)
    gc.collect()
    before = resident()
    books = [depthcache.Book("binance.com", "BTCUSDT") for _ in range(BOOKS)]
    for book in books:
        book.load_snapshot(body, limit=A_SIDE)
    return resident() - before


def resident() -> int:
    """Bytes that this process has in memory."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    print(grown_by_many())
