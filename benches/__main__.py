"""Run every benchmark: a table of figures and thresholds, build/bench.json and charts.

make bench          or   python -m benches [--rounds 5] [--only frames]

A run of some sections prints them and writes charts to build/plots; a complete run also writes BENCHMARKS.md
and the charts of docs/concepts/measured.
"""

from __future__ import annotations

import argparse
import datetime as dt
import platform
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

import depthcache
from benches import (
    captures,
    columns,
    cpu,
    depth,
    following,
    frames,
    freshness,
    layers,
    many_books,
    memory,
    plots,
    readers,
    reads,
    reads_against_peers,
    rivals,
    startup,
    terminal,
    unicorn,
)
from benches.measure import Row
from benches.report import CAVEATS, MOST_SECONDS, Report, Section, machine, print_section

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"
DRAWINGS = ROOT / "docs" / "concepts" / "measured"
MOST_SERVED_ROUNDS = 3
MOST_LONG_ROUNDS = 2
"""Keep a complete run within ten minutes."""
FIRST = next(iter(captures.RECORDINGS))


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command line."""

    rounds: int
    burst_s: float
    old_library: Future[float] | None
    """Its start time, measured in the background of the first sections."""

    @property
    def served_rounds(self) -> int:
        """Rounds of sections that take seconds each."""
        return min(self.rounds, MOST_SERVED_ROUNDS)

    @property
    def long_rounds(self) -> int:
        """Rounds of sections with many contestants, each of which takes seconds."""
        return min(self.rounds, MOST_LONG_ROUNDS)


@dataclass(frozen=True, slots=True)
class Plan:
    """How to run a section. `recorded`: whether it needs the recordings."""

    title: str
    about: str
    unit: str
    run: Callable[[Options], list[Row]]
    recorded: bool = True


# Books of any size are timed first, on a heap as fresh as that of a client that just started: after 150 MB of
# recordings and the books of other clients, the 30,000 levels are scattered and cost more cache misses.
SECTIONS = {
    "layers": Plan(
        "Instructions by layer",
        "Instructions per operation, counted by valgrind. They depend on the compiler, not on the machine.",
        "of the stored count",
        lambda _: layers.run(),
        recorded=False,
    ),
    "depth": Plan(
        "Books of any size",
        "The cost of a level update in a book of 30,000 levels a side, against a book of 1,000. The frames "
        "are synthetic.",
        "ratio",
        lambda options: depth.run(rounds=options.rounds),
        recorded=False,
    ),
    "columns": Plan(
        "Levels as columns",
        "Exporting both sides of a book to numpy and Arrow, against a numpy copy of the same size.",
        "times numpy's copy",
        lambda _: columns.run(),
        recorded=False,
    ),
    "following": Plan(
        "Following",
        "What following all of 500 books adds to the cost of an update: with an idle consumer, and with "
        "one that takes each item at once. Negative figures are noise.",
        "empty native calls",
        lambda options: following.run(rounds=options.rounds),
        recorded=False,
    ),
    "frames": Plan(
        "Raw frames to an applied book",
        "Every frame of a recorded day, parsed and applied: `Book.apply` against the handlers of other "
        "clients. orjson only parses and keeps no book.",
        "of the rival's CPU",
        lambda options: frames.run(
            [captures.load(title) for title in captures.RECORDINGS], rounds=options.rounds
        ),
    ),
    "reads": Plan(
        "Reads",
        "One read of a book with thousands of levels. The unit is an empty native call.",
        "empty native calls",
        lambda _: reads.run(captures.load(FIRST)),
    ),
    "peers": Plan(
        "Reads against other libraries",
        "A read of the same book, in one process: repeated on an unchanged book, and first after an update, "
        "alone and with the update before it. Medians, with the interval of 95 %. The others are compared as "
        "programs use them: numbers as floats, levels as lists or tuples.",
        "of the fastest other",
        lambda _: reads_against_peers.run(captures.load(FIRST)),
    ),
    "readers": Plan(
        "Reads while the feed runs",
        "A native thread applies frames without the interpreter lock while Python threads read the book "
        "without a pause.",
        "of the time without readers",
        lambda options: readers.run(rounds=options.served_rounds),
    ),
    "memory": Plan(
        "Memory",
        "Memory per level. The unit is 16 bytes: a price and a quantity of 64 bits each.",
        "of the level data",
        lambda _: memory.run(),
        recorded=False,
    ),
    "startup": Plan(
        "Start",
        "CPU time of a fresh interpreter that imports the package, in units of one that does nothing.",
        "bare interpreters",
        lambda _: startup.run(),
        recorded=False,
    ),
    "terminal": Plan(
        "The terminal app",
        "CPU time that `depthcache watch` adds to a client with five books of the embedded exchange, in a "
        "terminal of 120 by 40 that is drawn ten times a second.",
        "of a core",
        lambda options: terminal.run(rounds=options.long_rounds),
        recorded=False,
    ),
    "unicorn": Plan(
        "From nothing to 20 synced markets",
        "Wall time until 20 markets are synced, with UNICORN Binance Local Depth Cache and with the drop-in. "
        "Each runs in its own process, against the embedded exchange with a round trip of 20 ms. The old "
        "library takes two minutes, so it runs in the background of the earlier sections.",
        "of the old library's time",
        lambda options: unicorn.run(options.old_library or unicorn.begin(), rounds=options.served_rounds),
        recorded=False,
    ),
    "freshness": Plan(
        "How late is a book?",
        "The time from sending a frame until the updated book can be read: p50 / p99 / p99.9. The embedded "
        "exchange sends over loopback, from its own process. The bare receiver has the same sockets, TLS and "
        "WebSockets, but no books, so the difference is the cost of the books. Meanwhile the main thread is "
        "idle, runs a pure-Python loop, or sorts for 75 ms at a time.",
        "ms",
        lambda options: freshness.run(rounds=options.served_rounds),
    ),
    "cpu": Plan(
        "What does a received frame cost?",
        "CPU time of the whole process per received frame, including all threads, sockets and TLS.",
        "of the other's CPU",
        lambda options: cpu.run(rounds=options.long_rounds),
    ),
    "many_books": Plan(
        "500 books",
        "The embedded exchange serves 500 symbols, three fifths of them thin, at 5,000 frames and about "
        "100,000 level updates a second, then a burst at ten times that rate or as fast as it can send.",
        "ratio",
        lambda options: many_books.run(rounds=options.served_rounds, burst_s=options.burst_s),
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print and write; 1 if a threshold was missed."""
    parser = argparse.ArgumentParser(prog="python -m benches")
    parser.add_argument("--rounds", type=int, default=5, help="rounds per section (default 5)")
    parser.add_argument(
        "--burst", type=float, default=5.0, help="seconds of the burst for 500 books (default 5)"
    )
    parser.add_argument(
        "--only", choices=SECTIONS, action="append", help="run only this section; may be repeated"
    )
    parsed = parser.parse_args(arguments)
    console = Console(width=160, highlight=False)
    environment = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "depthcache": f"{depthcache.__version__}, Python {platform.python_version()}",
        "compared with": rivals.versions(),
        "machine": machine(),
    }
    for name, value in environment.items():
        console.print(f"{name}: {value}")
    console.print(CAVEATS, end="\n\n")
    sections: list[Section] = []
    begin = time.monotonic()
    chosen = parsed.only or list(SECTIONS)
    options = Options(parsed.rounds, parsed.burst, unicorn.begin() if "unicorn" in chosen else None)
    for name in chosen:
        plan = SECTIONS[name]
        if plan.recorded and not captures.available():
            console.print(f"{plan.title}: the recorded market data (../shared/captures) is missing")
            continue
        begin_section = time.monotonic()
        rows = plan.run(options)
        seconds = time.monotonic() - begin_section
        sections.append(Section(name, plan.title, plan.about, plan.unit, rows, seconds))
        print_section(console, sections[-1])
    report = Report(environment, sections, time.monotonic() - begin)
    whole = len(sections) == len(SECTIONS)
    report.write(BUILD, ROOT / "BENCHMARKS.md" if whole else None)
    if whole:
        plots.draw(plots.read(report.as_markdown()), DRAWINGS)
    else:
        plots.draw({"sections": report.plain()}, BUILD / "plots")
    console.print(report.summary)
    if report.seconds > MOST_SECONDS:
        console.print(f"the run exceeded its limit of {MOST_SECONDS} s")
    console.print("repeat with: make bench")
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
