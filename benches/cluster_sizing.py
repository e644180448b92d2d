"""What a node of a cluster spends on a book, a frame and a read: the figures to plan machines with.

    python -m benches.cluster_sizing

Three nodes keep 500 books twice. The exchange plays recorded market data at several rates; the cost of a
frame is the slope. Then a load reads one book at a fixed rate, at a node that holds it and at one that does
not. All figures are CPU of whole processes, so they hardly depend on what else the machine does. What a
message to a subscriber costs is measured in `pushed`.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benches import many_books, server, thin_exchange
from benches.cluster_nodes import NodeProcess, Nodes
from benches.measure import Row
from benches.thin_exchange import VENUE

NAMES = ("a1", "b2", "c3")
REPLICAS = 2
SLOW, FAST = 250, 2_500
"""Frames a second of the exchange; each is received by two nodes."""
LEVELS = 20
READS_A_SECOND = 1_000
SECONDS = 3.0
SETTLE_S = 1.5
ROUNDS = 4


async def rows(*, rounds: int) -> list[Row]:
    """All figures."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        endpoint = stack.enter_context(many_books.serving())
        many_books.set_rate(endpoint, FAST)
        nodes = Nodes(folder, thin_exchange.environment(endpoint), NAMES)
        processes = [nodes.nodes[name] for name in NAMES]
        try:
            await nodes.start()
            await nodes.since_whole(NAMES, alive=len(NAMES))
            empty_mb = await most_mb(processes)
            await processes[0].ask("create", VENUE, many_books.SYMBOLS, REPLICAS)
            await nodes.since_whole(NAMES, alive=len(NAMES))
            frame_us: list[float] = []
            for _ in range(rounds):
                many_books.set_rate(endpoint, SLOW)
                slow = await spent(processes, SECONDS)
                many_books.set_rate(endpoint, FAST)
                fast = await spent(processes, SECONDS)
                frame_us.append((sum(fast) - sum(slow)) / (REPLICAS * (FAST - SLOW)) * 1e6)
            full_mb = await most_mb(processes)
            many_books.set_rate(endpoint, SLOW)
            held = len(many_books.SYMBOLS) * REPLICAS / len(NAMES)
            return [
                Row(f"a frame of the exchange, {LEVELS} to 5,000 levels", f"{median(frame_us):.1f} us CPU"),
                Row("memory of a node without books", f"{empty_mb:.0f} MB"),
                Row(
                    f"memory of a node with {held:.0f} books as deep as recorded",
                    f"{full_mb:.0f} MB, {(full_mb - empty_mb) / held * 1e3:.0f} kB a book",
                ),
                *await reads(processes, rounds=rounds),
            ]
        finally:
            await nodes.end()


async def reads(processes: Sequence[NodeProcess], *, rounds: int) -> list[Row]:
    """CPU of a read at a node that holds the book, and of one that another node answers."""
    asked, others = processes[0], processes[1:]
    token = await asked.ask("read_token")
    elsewhere = await asked.ask("not_held", many_books.SYMBOLS)
    here = next(symbol for symbol in many_books.SYMBOLS if symbol not in elsewhere)
    program = server.examples() / "load"
    found: list[Row] = []
    for what, symbol in (("of its own", here), ("of another node", elsewhere[0])):
        costs: list[tuple[float, float]] = []
        for _ in range(rounds):
            idle = await spent(processes, SECONDS)
            path = f"/v1/books/{VENUE}/{symbol}?levels={LEVELS}"
            command = [str(program), str(asked.port), path, token, "4", str(SECONDS), str(READS_A_SECOND)]
            before, began_s = await cpu_s(processes), time.monotonic()
            done = await asyncio.to_thread(
                subprocess.run, command, check=True, capture_output=True, text=True
            )
            took_s = time.monotonic() - began_s
            after = await cpu_s(processes)
            count = float(done.stdout.split()[0])
            used = [two - one - rest * took_s for one, two, rest in zip(before, after, idle, strict=True)]
            costs.append((used[0] / count * 1e6, sum(used[1:]) / count * 1e6))
        asked_us, others_us = (median(each) for each in zip(*costs, strict=True))
        more = f", and {others_us:.0f} us at the other" if symbol is not here and others else ""
        found.append(Row(f"a read of {LEVELS} levels {what}", f"{asked_us:.0f} us CPU{more}"))
    return found


async def spent(processes: Sequence[NodeProcess], seconds: float) -> list[float]:
    """CPU seconds a second of each node."""
    await asyncio.sleep(SETTLE_S)
    before, began_s = await cpu_s(processes), time.monotonic()
    await asyncio.sleep(seconds)
    after, took_s = await cpu_s(processes), time.monotonic() - began_s
    return [(two - one) / took_s for one, two in zip(before, after, strict=True)]


async def cpu_s(processes: Sequence[NodeProcess]) -> list[float]:
    """CPU seconds of each node."""
    return [(await each.ask("usage"))["cpu_s"] for each in processes]


async def most_mb(processes: Sequence[NodeProcess]) -> float:
    """The memory of the largest node."""
    found: float = max([(await each.ask("usage"))["mb"] for each in processes])
    return found


def run(*, rounds: int = ROUNDS) -> list[Row]:
    """The rows of the report."""
    return asyncio.run(rows(rounds=rounds))


def main() -> int:
    """Print the rows."""
    for row in run():
        print(f"{row.what}: {row.figure}")
    print(f"load {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
