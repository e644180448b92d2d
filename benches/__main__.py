"""Run every benchmark and print the report: caveats first, then figures, bars and verdicts.

make bench          or   python -m benches [--rounds 5] [--only freshness]
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

import depthcache
from benches import captures, depth, frames, freshness, processor, reads, rivals
from benches.measure import Row

CAVEATS = (
    "CPU time of one thread, the contestants in turns on the same bytes; medians over rounds. The machine "
    "may be shared and noisy: trust the ratios, not the microseconds. Freshness and whole "
    "programs: over loopback, wall and CPU time of whole processes."
)
SECTIONS = ("depth", "frames", "reads", "freshness", "processor")
MOST_SERVED_ROUNDS = 3
"""Of what takes minutes."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; 1 when a bar was not reached."""
    parser = argparse.ArgumentParser(prog="python -m benches")
    parser.add_argument("--rounds", type=int, default=5, help="rounds per benchmark (default 5)")
    parser.add_argument(
        "--only", choices=SECTIONS, action="append", help="this section alone; may be repeated"
    )
    wanted = parser.parse_args(arguments)
    rounds, sections = wanted.rounds, wanted.only or SECTIONS
    served_rounds = min(rounds, MOST_SERVED_ROUNDS)
    console = Console(width=160, highlight=False)
    console.print(
        f"depthcache {depthcache.__version__}, Python {platform.python_version()}, {rivals.versions()}"
    )
    console.print(f"{platform.machine()} {platform.system()} {platform.release()}")
    console.print(CAVEATS)
    if not captures.available():
        console.print(
            "the recorded market data (../shared/captures) is not there: only the synthetic benchmark runs"
        )
    console.print()
    # First, while the heap is as fresh as it is for a client that just started: after 150 MB of
    # recordings and other people's books the 30,000 levels lie scattered, and their cache misses show.
    rows = (
        show(console, "books of any size", depth.run(rounds=rounds), "ratio") if "depth" in sections else []
    )
    if captures.available():
        if "frames" in sections:
            recordings = [captures.load(title) for title in captures.WANTED]
            title = "raw frames to an applied book"
            rows += show(console, title, frames.run(recordings, rounds=rounds), "of the rival's CPU")
        if "reads" in sections:
            title = next(iter(captures.WANTED))
            rows += show(console, "reads", reads.run(captures.load(title)), "times an empty call")
        if "freshness" in sections:
            title = "from sent to readable: p50 / p99 / p99.9"
            rows += show(console, title, freshness.run(rounds=served_rounds), "ms")
        if "processor" in sections:
            title = "CPU of a whole program per received frame"
            rows += show(console, title, processor.run(rounds=served_rounds), "of the other's CPU")
    missed = [row for row in rows if row.verdict == "NOT REACHED"]
    console.print(f"{len([row for row in rows if row.verdict])} bars, {len(missed)} not reached")
    console.print("repeat with: make bench")
    return 1 if missed else 0


def show(console: Console, title: str, rows: list[Row], unit: str) -> list[Row]:
    """Print one group of rows and give them back."""
    table = Table(title=title, title_justify="left")
    for heading in ("what", "figure", unit, "bar", "verdict"):
        table.add_column(heading, justify="left" if heading in {"what", "verdict"} else "right", no_wrap=True)
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.3f}" if row.ratio < 10 else f"{row.ratio:.1f}"
        table.add_row(row.what, row.figure, ratio, "" if row.bar is None else f"{row.bar:.3f}", row.verdict)
    console.print(table)
    return rows


if __name__ == "__main__":
    sys.exit(main())
