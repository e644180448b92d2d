"""Rehearse what operators do to a cluster, and what happens to it, while readers of every kind read.

    python -m benches.rehearsal [--short] [--seed 1] [--patience 1] [--json]

Three nodes, as users run them, against the simulated exchange: join, upgrade from an older build, drain,
kill, freeze, cut links, new tokens and certificates, a full disk, a clock that jumps, a backup and two
restores. No reader may get an error, and every read is compared with the exchange. The steps are those of
`tests.cluster.rehearsal`; the seed chooses their order and the nodes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """1 where a reader got an error or a wrong book, or a step failed."""
    parser = argparse.ArgumentParser(prog="python -m benches.rehearsal")
    parser.add_argument("--short", action="store_true", help="the form that is a test, below a minute")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--json", action="store_true", help="print the result as one object, nothing else")
    parser.add_argument(
        "--patience", type=float, default=1.0, help="larger on a slow machine: readers wait longer"
    )
    options = parser.parse_args(arguments)
    steps = import_module("tests.cluster.rehearsal")  # tests are not type-checked as benchmarks are
    logging.disable(logging.CRITICAL)  # readers that move write many lines; nodes have logs of their own
    say: Callable[[str], None] = _say_nothing if options.json else _say
    say(f"rehearsal{' in short' if options.short else ''}, seed {options.seed}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        report = asyncio.run(
            steps.rehearse(
                Path(folder), seed=options.seed, is_short=options.short, patience=options.patience, say=say
            )
        )
    print(json.dumps(report.json()) if options.json else "\n".join(steps.lines(report)))
    return 0 if report.is_right else 1


def _say(line: str) -> None:
    print(line, flush=True)


def _say_nothing(_: str) -> None:
    pass


if __name__ == "__main__":
    sys.exit(main())
