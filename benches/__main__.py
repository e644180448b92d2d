"""Run every benchmark: a table with figures, bars and verdicts; build/bench.json and drawings.

make bench          or   python -m benches [--rounds 5] [--only frames]

A run of some sections prints them and draws into build/plots; a whole one also writes BENCHMARKS.md and draws
into docs/concepts/measured.
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
    rivals,
    startup,
    unicorn,
)
from benches.measure import Row
from benches.report import CAVEATS, MOST_SECONDS, Report, Section, machine, print_section

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"
DRAWN = ROOT / "docs" / "concepts" / "measured"
MOST_SERVED_ROUNDS = 3
MOST_LONG_ROUNDS = 2
"""So that a whole run takes ten minutes."""
FIRST = next(iter(captures.WANTED))


@dataclass(frozen=True, slots=True)
class Asked:
    """What the run was asked for."""

    rounds: int
    burst_s: float
    old_library: Future[float] | None
    """Its start, which goes on beside the first sections."""

    @property
    def served_rounds(self) -> int:
        """Rounds of what needs seconds each."""
        return min(self.rounds, MOST_SERVED_ROUNDS)

    @property
    def long_rounds(self) -> int:
        """Rounds of what needs many contestants for seconds each."""
        return min(self.rounds, MOST_LONG_ROUNDS)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a section comes about. `recorded`: it needs the recordings."""

    title: str
    about: str
    unit: str
    run: Callable[[Asked], list[Row]]
    recorded: bool = True


# Books of any size are timed first, while the heap is as fresh as it is for a client that just started: after
# 150 MB of recordings and other people's books the 30,000 levels lie scattered, and their misses show.
SECTIONS = {
    "layers": Plan(
        "Instructions by layer",
        "Counted by valgrind, per operation: the same on any machine with the same compiler.",
        "of what is stored",
        lambda _: layers.run(),
        recorded=False,
    ),
    "depth": Plan(
        "Books of any size",
        "One update of a book of 30,000 levels a side against one of 1,000; invented frames of real shape.",
        "ratio",
        lambda asked: depth.run(rounds=asked.rounds),
        recorded=False,
    ),
    "columns": Plan(
        "Levels as columns",
        "A side of a book handed to numpy and Arrow, against numpy's copy of as many numbers.",
        "times numpy's copy",
        lambda _: columns.run(),
        recorded=False,
    ),
    "following": Plan(
        "Following",
        "What following 500 books costs an update, with a consumer that never comes and with a prompt one.",
        "empty native calls",
        lambda asked: following.run(rounds=asked.rounds),
        recorded=False,
    ),
    "frames": Plan(
        "Raw frames to an applied book",
        "`Book.apply` of every frame of a recorded day. orjson only parses: it holds no book.",
        "of the rival's CPU",
        lambda asked: frames.run([captures.load(title) for title in captures.WANTED], rounds=asked.rounds),
    ),
    "reads": Plan(
        "Reads",
        "One read of a book of thousands of levels, in units of a native call that does nothing.",
        "empty native calls",
        lambda _: reads.run(captures.load(FIRST)),
    ),
    "readers": Plan(
        "Reads while the feed runs",
        "Frames are applied by a thread that needs no interpreter, while threads of Python read.",
        "of the time without readers",
        lambda asked: readers.run(rounds=asked.served_rounds),
    ),
    "memory": Plan(
        "Memory",
        "What levels take, in units of 16 bytes a level: two numbers of 64 bits.",
        "of the level data",
        lambda _: memory.run(),
        recorded=False,
    ),
    "startup": Plan(
        "Start",
        "CPU time of a fresh interpreter that imports, in units of one that does nothing.",
        "bare interpreters",
        lambda _: startup.run(),
        recorded=False,
    ),
    "unicorn": Plan(
        "From nothing to 20 synced markets",
        "UNICORN Binance Local Depth Cache and the drop-in, one after the other, each in a process of its "
        "own, on the embedded exchange 20 ms away; wall time. The old library waits two minutes for it, "
        "beside the sections before this one.",
        "of the old library's time",
        lambda asked: unicorn.run(asked.old_library or unicorn.begin(), rounds=asked.served_rounds),
        recorded=False,
    ),
    "freshness": Plan(
        "How late is a book?",
        "From the sending of a frame by the embedded exchange, in a process of its own over loopback, to the "
        "moment in which its book can be read: p50 / p99 / p99.9. The bare receiver has the same sockets, "
        "TLS and WebSockets, and no books. Main thread: idle, a loop in pure Python, sorts of 75 ms.",
        "ms",
        lambda asked: freshness.run(rounds=asked.served_rounds),
    ),
    "processor": Plan(
        "What does a received frame cost?",
        "CPU time of whole processes, all threads, sockets and TLS included, per frame.",
        "of the other's CPU",
        lambda asked: cpu.run(rounds=asked.long_rounds),
    ),
    "crowd": Plan(
        "500 books",
        "The embedded exchange serves 500 symbols, three fifths of them thin, at 5,000 frames and about "
        "100,000 level updates a second; then ten times as fast, or as fast as it can.",
        "ratio",
        lambda asked: many_books.run(rounds=asked.served_rounds, burst_s=asked.burst_s),
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, write; 1 when a bar was not reached."""
    parser = argparse.ArgumentParser(prog="python -m benches")
    parser.add_argument("--rounds", type=int, default=5, help="rounds per benchmark (default 5)")
    parser.add_argument(
        "--burst", type=float, default=5.0, help="seconds of the burst of 500 books (default 5)"
    )
    parser.add_argument(
        "--only", choices=SECTIONS, action="append", help="this section alone; may be repeated"
    )
    wanted = parser.parse_args(arguments)
    console = Console(width=160, highlight=False)
    facts = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "depthcache": f"{depthcache.__version__}, Python {platform.python_version()}",
        "rivals": rivals.versions(),
        "machine": machine(),
    }
    for name, value in facts.items():
        console.print(f"{name}: {value}")
    console.print(CAVEATS, end="\n\n")
    sections: list[Section] = []
    begin = time.monotonic()
    chosen = wanted.only or list(SECTIONS)
    asked = Asked(wanted.rounds, wanted.burst, unicorn.begin() if "unicorn" in chosen else None)
    for name in chosen:
        plan = SECTIONS[name]
        if plan.recorded and not captures.available():
            console.print(f"{plan.title}: the recorded market data (../shared/captures) is not there")
            continue
        begin_section = time.monotonic()
        rows = plan.run(asked)
        seconds = time.monotonic() - begin_section
        sections.append(Section(name, plan.title, plan.about, plan.unit, rows, seconds))
        print_section(console, sections[-1])
    report = Report(facts, sections, time.monotonic() - begin)
    whole = len(sections) == len(SECTIONS)
    report.write(BUILD, ROOT / "BENCHMARKS.md" if whole else None)
    try:
        plots.draw({"sections": report.plain()}, DRAWN if whole else BUILD / "plots")
    except ImportError as missing:
        console.print(f"nothing is drawn: {missing}")
    console.print(report.summary)
    if report.seconds > MOST_SECONDS:
        console.print(f"longer than the {MOST_SECONDS} s that a run may take")
    console.print("repeat with: make bench")
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
