"""Run every benchmark and print the report: caveats first, then figures, bars and verdicts.

make bench          or   python -m benches [--rounds 5]
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

import depthcache
from benches import captures, depth, frames, reads, rivals
from benches.measure import Row

CAVEATS = (
    "CPU time of one thread, the contestants in turns on the same bytes; medians over rounds. The machine "
    "may be shared and noisy: trust the ratios, not the microseconds. No network is in these figures."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; 1 when a bar was not reached."""
    parser = argparse.ArgumentParser(prog="python -m benches")
    parser.add_argument("--rounds", type=int, default=5, help="rounds per benchmark (default 5)")
    rounds = parser.parse_args(arguments).rounds
    console = Console(width=150, highlight=False)
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
    rows = show(console, "books of any size", depth.run(rounds=rounds), "ratio")
    if captures.available():
        recordings = [captures.load(title) for title in captures.WANTED]
        rows += show(
            console,
            "raw frames to an applied book",
            frames.run(recordings, rounds=rounds),
            "of the rival's CPU",
        )
        rows += show(console, "reads", reads.run(recordings[0]), "times an empty call")
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
