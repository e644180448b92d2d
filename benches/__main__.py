"""Run every benchmark: a table of figures and thresholds, build/bench.json and charts.

make bench          or   python -m benches [--rounds 6] [--only frames] [--files a.jsonl.zst …]

A run of some sections prints them and writes charts to build/plots; a complete run also writes BENCHMARKS.md
and the charts of docs/concepts/measured. With `--files`, the sections that take recordings of the user's own
run on those.
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
    cluster,
    columns,
    cpu,
    depth,
    following,
    frames,
    freshness,
    layers,
    many_books,
    market_data,
    memory,
    old_cluster,
    plots,
    pushed,
    readers,
    reads,
    reads_against_peers,
    remote,
    rivals,
    server,
    startup,
    terminal,
    unicorn,
)
from benches.captures import Capture
from benches.measure import Row
from benches.report import CAVEATS, MOST_SECONDS, Report, Section, machine, print_section

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"
DRAWINGS = ROOT / "docs" / "concepts" / "measured"
MOST_SERVED_ROUNDS = 3
MOST_LONG_ROUNDS = 2
"""Keep a complete run within twelve minutes."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command line."""

    rounds: int
    """Rounds of judged figures: 6 are the fewest whose interval reaches 95 %."""
    burst_s: float
    old_library: Future[float] | None
    """Its start time, measured in the background of the first sections."""
    old_cluster: old_cluster.Begun | None = None
    """The old library's cluster, started in the background as well."""
    own: Sequence[Capture] = ()
    """The recordings of the user; where there are none, those of the repository or made ones are measured."""

    @property
    def markets(self) -> list[Capture]:
        """The market data to measure with."""
        return list(self.own) or [market_data.load(title) for title in captures.RECORDINGS]

    @property
    def first(self) -> Capture:
        """The first of them."""
        return self.own[0] if self.own else market_data.load(market_data.FIRST)

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
    """How to run a section. `data`: whether it measures with market data. `takes_files`: whether those may be
    recordings of the user's own."""

    title: str
    about: str
    unit: str
    run: Callable[[Options], list[Row]]
    data: bool = True
    takes_files: bool = False


# Books of any size are timed first, on a heap as fresh as that of a client that just started: after 150 MB of
# recordings and the books of other clients, the 30,000 levels are scattered and cost more cache misses.
SECTIONS = {
    "layers": Plan(
        "Instructions by layer",
        "Instructions per operation, counted by valgrind. They depend on the compiler, not on the machine.",
        "of the stored count",
        lambda _: layers.run(),
        data=False,
    ),
    "depth": Plan(
        "Books of any size",
        "The cost of a level update in a book of 30,000 levels a side, against a book of 1,000. The frames "
        "are synthetic; recordings of your own are applied to books filled up behind their snapshot.",
        "ratio",
        lambda options: (
            depth.run_own(options.own, rounds=options.rounds)
            if options.own
            else depth.run(rounds=options.rounds)
        ),
        data=False,
        takes_files=True,
    ),
    "columns": Plan(
        "Levels as columns",
        "Exporting both sides of a book to numpy and Arrow, against a numpy copy of the same size.",
        "times numpy's copy",
        lambda _: columns.run(),
        data=False,
    ),
    "following": Plan(
        "Following",
        "What following all of 500 books adds to the cost of an update: with an idle consumer, and with "
        "one that takes each item at once. Negative figures are noise.",
        "empty native calls",
        lambda options: following.run(rounds=options.rounds),
        data=False,
    ),
    "frames": Plan(
        "Raw frames to an applied book",
        "Every frame of a day, parsed and applied: `Book.apply` against the handlers of other "
        "clients. orjson only parses and keeps no book.",
        "of the rival's CPU",
        lambda options: frames.run(options.markets, rounds=options.rounds),
        takes_files=True,
    ),
    "reads": Plan(
        "Reads",
        "A read of a book with thousands of levels, repeated while the book does not change. The unit is an "
        "empty native call.",
        "empty native calls",
        lambda options: reads.run(options.first),
        takes_files=True,
    ),
    "peers": Plan(
        "Reads against other libraries",
        "A read of the same book, in one process: repeated on an unchanged book, and first after an update, "
        "alone and with the update before it. Medians, with the interval of 95 %. The others are compared as "
        "programs use them: numbers as floats, levels as lists or tuples.",
        "of the fastest other",
        lambda options: reads_against_peers.run(options.first),
    ),
    "readers": Plan(
        "Reads while the feed runs",
        "A native thread applies frames without the interpreter lock while Python threads read the book "
        "without a pause.",
        "of the time without readers",
        lambda options: readers.run(rounds=options.rounds),
    ),
    "memory": Plan(
        "Memory",
        "Memory per level. The unit is 16 bytes: a price and a quantity of 64 bits each.",
        "of the level data",
        lambda _: memory.run(),
        data=False,
    ),
    "startup": Plan(
        "Start",
        "CPU time of a fresh interpreter that imports the package, in units of one that does nothing.",
        "bare interpreters",
        lambda _: startup.run(),
        data=False,
    ),
    "terminal": Plan(
        "The terminal app",
        "CPU time that `depthcache watch` adds to a client with five books of the embedded exchange, in a "
        "terminal of 120 by 40 that is drawn ten times a second.",
        "of a core",
        lambda options: terminal.run(rounds=options.rounds),
        data=False,
    ),
    "unicorn": Plan(
        "From nothing to 20 synced markets",
        "Wall time until 20 markets are synced, with UNICORN Binance Local Depth Cache and with the drop-in. "
        "Each runs in its own process, against the embedded exchange with a round trip of 20 ms. The old "
        "library takes two minutes, so it runs in the background of the earlier sections.",
        "of the old library's time",
        lambda options: unicorn.run(options.old_library or unicorn.begin(), rounds=options.served_rounds),
        data=False,
    ),
    "server": Plan(
        "The book server",
        "Programs of their own read books over HTTP and follow them on WebSockets. The bare axum handler "
        "returns fixed bytes of the same size. The bare relay forwards the frames of the same exchange and "
        f"keeps no books: {pushed.RATE:,} frames a second of {pushed.BOOKS} books, each followed by one of "
        f"{pushed.SUBSCRIBERS} subscribers, so that every message needs a wake-up of its own. Its delays, "
        "p50 / p99, run from the frame that the exchange sends to the subscriber's socket. CPU for a message "
        "is that of the whole process above what it spends without subscribers. The old cluster is that of "
        "the old library, which starts in the background of the earlier sections.",
        "ratio",
        lambda options: server.run(options.old_cluster, rounds=options.rounds),
    ),
    "remote": Plan(
        "A book from a book server",
        f"A program follows one book of the exchange, or of a book server between them, at {remote.RATE:,} "
        "frames a second, in turns. CPU is that of the reading process for a received frame.",
        "of a direct connection",
        lambda options: remote.run(rounds=options.rounds, seconds=remote.SECONDS),
        data=False,
    ),
    "cluster": Plan(
        "A cluster",
        f"Three nodes on this machine keep {cluster.BOOKS:,} books twice; they connect to an embedded "
        "exchange that sends little: twenty books change ten times a second, the others once. Times run "
        "until both copies of every book are synced, as the last node sees it. Meanwhile a program "
        "follows the quick books over all nodes and compares each update with the exchange's book; "
        "another reads all books through one node, ten times a second. A cut takes the link of a node "
        "down, in network namespaces. Reads are compared with a bare axum handler and, through another "
        "node, with a bare axum relay in front of one; both hops are over kept connections with mutual "
        "TLS. Figures of reads are p50 / p99.",
        "of the limit",
        lambda options: cluster.run(rounds=options.rounds),
        data=False,
    ),
    "freshness": Plan(
        "How late is a book?",
        "The time from sending a frame until the updated book can be read: p50 / p99 / p99.9. The embedded "
        "exchange sends over loopback, from its own process. The bare receiver has the same sockets, TLS and "
        "WebSockets, but no books, so the difference is the cost of the books; it runs before and after each "
        "run of the client, and its difference from itself is the noise of the machine. Meanwhile the main "
        "thread is idle, runs a pure-Python loop, or sorts for 75 ms at a time.",
        "ms",
        lambda options: freshness.run(rounds=options.rounds),
    ),
    "cpu": Plan(
        "What does a received frame cost?",
        "CPU time of the whole process per received frame, including all threads, sockets and TLS. The bare "
        "receiver, which keeps no books, runs before and after each run of the client; its ratio to itself "
        "is the noise of the machine.",
        "of the other's CPU",
        lambda options: cpu.run(rounds=options.long_rounds, judged=options.rounds),
    ),
    "many_books": Plan(
        "500 books",
        "The embedded exchange serves 500 symbols, three fifths of them thin, at 5,000 frames and about "
        "100,000 level updates a second, then a burst at ten times that rate or as fast as it can send. As "
        "above, the client runs between two bare receivers.",
        "ratio",
        lambda options: many_books.run(rounds=options.rounds, burst_s=options.burst_s),
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print and write; 1 if a threshold was missed, 2 for files that cannot be measured."""
    parsed = parsed_arguments(arguments)
    console = Console(width=180, highlight=False)
    environment = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "depthcache": f"{depthcache.__version__}, Python {platform.python_version()}",
        "compared with": rivals.versions(),
        "machine": machine(),
        "market data": market_data.names(parsed.files) if parsed.files else market_data.source(),
    }
    for name, value in environment.items():
        console.print(f"{name}: {value}")
    console.print(CAVEATS, end="\n\n")
    begin = time.monotonic()
    own: list[Capture] = []
    if parsed.files:
        try:
            own, left_out = market_data.own(parsed.files)
        except market_data.UnusableFiles as why:
            console.print(f"FILES: {why}")
            return 2
        for each in left_out:
            console.print(f"not measured: {each}")
    chosen = parsed.only or [name for name, plan in SECTIONS.items() if plan.takes_files or not own]
    old_library = unicorn.begin() if "unicorn" in chosen else None
    cluster = old_cluster.begin() if "server" in chosen else None
    options = Options(parsed.rounds, parsed.burst, old_library, cluster, own)
    sections: list[Section] = []
    for number, name in enumerate(chosen, 1):
        plan = SECTIONS[name]
        so_far = elapsed(time.monotonic() - begin)
        console.print(f"[{number}/{len(chosen)}] {plan.title}, {so_far} since the start", markup=False)
        begin_section = time.monotonic()
        rows = plan.run(options)
        seconds = time.monotonic() - begin_section
        data = environment["market data"] if plan.data or (own and plan.takes_files) else ""
        sections.append(Section(name, plan.title, plan.about, plan.unit, rows, seconds, data))
        print_section(console, sections[-1])
        console.print(f"the section took {elapsed(seconds)}", end="\n\n")
    report = Report(environment, sections, time.monotonic() - begin)
    whole = len(sections) == len(SECTIONS) and not own
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


def parsed_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benches")
    parser.add_argument("--rounds", type=int, default=6, help="rounds of judged figures (default 6)")
    parser.add_argument(
        "--burst", type=float, default=5.0, help="seconds of the burst for 500 books (default 5)"
    )
    parser.add_argument(
        "--only", choices=SECTIONS, action="append", help="run only this section; may be repeated"
    )
    parser.add_argument(
        "--files",
        nargs="+",
        default=[],
        metavar="FILE",
        help="recordings to measure with: all that `depthcache verify` reads",
    )
    parsed = parser.parse_args(arguments)
    if parsed.files and (others := [name for name in parsed.only or () if not SECTIONS[name].takes_files]):
        taken = ", ".join(name for name, plan in SECTIONS.items() if plan.takes_files)
        parser.error(f"--files is for the sections {taken}, not for {', '.join(others)}")
    return parsed


def elapsed(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


if __name__ == "__main__":
    sys.exit(main())
