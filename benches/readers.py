"""Whether readers slow the feed: eight Python threads read without a pause while frames arrive.

The paced exchange sends 5,000 frames a second to a client with default settings. With and without readers, in
turns, this compares the CPU time that the native thread spends on a frame, which leaves out the competition
for cores. It also reports how late the book is with readers.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from functools import partial
from pathlib import Path

import depthcache
from benches import freshness, paced, scaling
from benches.measure import Row, estimate
from depthcache import _native
from depthcache.io.network import native as native_network

RATE = 5_000
THREADS = 8
SECONDS = 1.0
THRESHOLD = 1.1
FEED = "depthcache-io"
"""The system's name of the native thread."""


def run(*, rounds: int) -> list[Row]:
    """What a frame costs the feed with and without readers."""
    costs: dict[bool, list[float]] = {False: [], True: []}
    late: dict[bool, list[float]] = {False: [], True: []}
    reads = 0
    probe = _native._Probe()
    native_network.Transport = partial(_native.Transport, _probe=probe)  # type: ignore[assignment,attr-defined]
    try:
        with paced.serving(rate=RATE, tls=False) as endpoint, freshness.client(endpoint, "native") as books:
            book = books[paced.SYMBOL]
            for _ in range(rounds):
                for reading in (False, True):
                    with Readers(book, THREADS if reading else 0) as readers:
                        time.sleep(0.2)
                        probe.take_delays_ns()
                        before_s = feed_s()
                        time.sleep(SECONDS)
                        spent_s, delays = feed_s() - before_s, sorted(probe.take_delays_ns())
                    if not delays:
                        raise AssertionError("no frames arrived: the feed cannot be measured")
                    costs[reading].append(spent_s / len(delays) * 1e6)
                    late[reading].append(delays[int(0.99 * len(delays))] / 1e6)
                    reads += readers.count
    finally:
        native_network.Transport = _native.Transport  # type: ignore[attr-defined]
    pairs = zip(costs[False], costs[True], strict=True)
    alone, beside = statistics.median(costs[False]), statistics.median(costs[True])
    return [
        Row.of(
            f"the feed with {THREADS} reading threads",
            f"{beside:.1f} us a frame against {alone:.1f} us alone",
            estimate(with_readers / without for without, with_readers in pairs),
            THRESHOLD,
        ),
        Row(
            "how late the book is (p99)",
            f"{statistics.median(late[True]):.3f} ms against {statistics.median(late[False]):.3f} ms alone",
        ),
        Row("reads during the feed", f"{reads / rounds / SECONDS / 1000:,.0f} thousand a second"),
        scaling.row(),
    ]


class Readers:
    """Threads that read best and freeze(20) in a loop."""

    def __init__(self, book: depthcache.BookReader | depthcache.blocking.LiveBook, threads: int) -> None:
        self._book, self._stop = book, threading.Event()
        self._counts = [0] * threads
        self._threads = [threading.Thread(target=self._read, args=(index,)) for index in range(threads)]

    @property
    def count(self) -> int:
        """Reads so far."""
        return sum(self._counts)

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _read(self, index: int) -> None:
        while not self._stop.is_set():
            for _ in range(50):
                self._book.best  # noqa: B018
                self._book.freeze(20)
            self._counts[index] += 100


def feed_s() -> float:
    """CPU seconds of the native threads of this process."""
    ticks = 0
    for task in Path("/proc/self/task").iterdir():
        name, _, rest = task.joinpath("stat").read_text("ascii").rpartition(")")
        if name.partition("(")[2].startswith(FEED):
            fields = rest.split()
            ticks += int(fields[11]) + int(fields[12])
            exact = task.joinpath("schedstat")
            if exact.exists():
                return int(exact.read_text("ascii").split()[0]) / 1e9
    return ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    for found in run(rounds=3):
        print(found)
