"""Minutes at full rate: no frame is lost, nothing leaks, and the book always equals the exchange's.

The paced exchange sends 5,000 recorded frames a second over TLS to a client with default settings. Every ten
seconds, this compares the best levels with those of the exchange at the same update id (its states repeat, so
they can be replayed) and checks memory, threads and file descriptors.

make endurance          or   python -m benches.endurance [--minutes 10] [--transport native]
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import depthcache
from benches import market_data, paced, paced_exchange

RATE = 5_000
CHECK_S = 10.0
WARM_S = 30.0
"""Until then, memory may grow to its working size."""
LEVELS = 500
MOST_GROWTH_MIB = 8.0


class Truth:
    """The book of the paced exchange at any update id."""

    def __init__(self) -> None:
        capture = market_data.load(paced_exchange.RECORDING)
        self._start = paced_exchange.start_of(capture, paced.FIRST_ID)
        self._changes = paced_exchange.there_and_back(capture)

    def best(self, update_id: int) -> tuple[list[object], list[object]]:
        """The best levels of both sides."""
        book = depthcache.Book(paced.VENUE, paced.SYMBOL)
        book.load_snapshot(self._start)
        count = (update_id - paced.FIRST_ID) % len(self._changes)
        for number, sides in enumerate(self._changes[:count], paced.FIRST_ID + 1):
            book.apply(f'{{"e":"depthUpdate","E":1,"s":"{paced.SYMBOL}","U":{number},"u":{number},{sides}')
        return levels(book)


def levels(book: depthcache.Book | depthcache.FrozenBook) -> tuple[list[object], list[object]]:
    """The best of both sides, exactly."""
    return list(book.exact.bids[:LEVELS]), list(book.exact.asks[:LEVELS])


@dataclass(frozen=True, slots=True)
class Usage:
    """The resources of the process."""

    mib: float
    threads: int
    descriptors: int

    @classmethod
    def now(cls) -> Usage:
        """Read from /proc."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        mib = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        return cls(mib, threading.active_count(), len(list(Path("/proc/self/fd").iterdir())))

    def __str__(self) -> str:
        return f"{self.mib:.1f} MiB, {self.threads} threads, {self.descriptors} file descriptors"


def run(minutes: float, transport: str) -> list[str]:
    """The faults found, a sentence each."""
    faults: list[str] = []
    truth = Truth()
    with paced.serving(rate=RATE, tls=True) as endpoint:
        settings = replace(endpoint.settings, transport=transport)  # type: ignore[arg-type]
        with depthcache.blocking.connect(paced.VENUE, [paced.SYMBOL], depth=5000, settings=settings) as books:
            books.wait_synced(timeout=30)
            book = books[paced.SYMBOL]
            begin_s, first_id = time.monotonic(), book.last_update_id or 0
            applied = book.counters["applied"]
            settled: Usage | None = None
            while (passed_s := time.monotonic() - begin_s) < 60 * minutes:
                time.sleep(min(CHECK_S, 60 * minutes - passed_s))
                frozen = book.freeze()
                if levels(frozen) != truth.best(frozen.last_update_id or 0):
                    faults.append(f"after {passed_s:.0f} s the book differs from the exchange's")
                usage = Usage.now()
                settled = usage if settled is None and passed_s >= WARM_S else settled
                frames = (frozen.last_update_id or 0) - first_id
                print(f"{passed_s + CHECK_S:5.0f} s  {frames:>9,} frames  {usage}", flush=True)
            counters = book.counters
            moved = (book.last_update_id or 0) - first_id
            faults += [
                f"{name}: {counters[name]}" for name in ("gaps", "malformed", "resyncs") if counters.get(name)
            ]
            if not 0 <= moved - (counters["applied"] - applied) + RATE <= 2 * RATE:
                faults.append(f"{counters['applied'] - applied:,} frames were applied, {moved:,} were sent")
            if moved < 0.98 * RATE * 60 * minutes:
                faults.append(f"only {moved:,} frames in {minutes} minutes")
            if settled is not None:
                faults += leaks(settled, Usage.now())
    return faults


def leaks(before: Usage, after: Usage) -> list[str]:
    """What grew."""
    found = []
    if after.mib > before.mib + MOST_GROWTH_MIB:
        found.append(f"memory grew from {before.mib:.1f} to {after.mib:.1f} MiB")
    if (after.threads, after.descriptors) != (before.threads, before.descriptors):
        found.append(f"before: {before}; after: {after}")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """1 when anything was lost, wrong or leaked."""
    parser = argparse.ArgumentParser(prog="python -m benches.endurance")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--transport", choices=("native", "aiohttp"), default="native")
    options = parser.parse_args(arguments)
    print(f"with {market_data.source()}")
    faults = run(options.minutes, options.transport)
    print("\n".join(faults) or f"{options.minutes:g} minutes at {RATE:,}/s: nothing lost, wrong or leaked")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
