"""What a book server in between costs its reader: CPU time of a frame, and how much later a book is readable.

    python -m benches --only remote      or, in a tree under development:
    python -m benches.remote [--rounds 6] [--seconds 2]

One exchange sends at an exact rate. A server process keeps the book and serves it; a reader in a process of
its own takes it from the exchange (`direct`) or from the server (`remote`), in turns. The reader's CPU time
covers its whole process. Delays are from the exchange's sending to the item of an asyncio follower, on one
clock.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console

import depthcache
from benches import paced
from benches.measure import Row, ratio_of
from benches.report import Section, print_section
from depthcache.server import ServerConfig, serve

RATE = 1_000
SECONDS = 2.0
WARM_S = 0.3
DEADLINE_S = 20.0
MAX_OF_DIRECT = 1.1
"""Threshold of the remote reader's CPU time of a frame, in units of a direct connection's."""


# --- the server, and one reader, in processes of their own ------------------------------------------


async def serve_until_told(endpoint: paced.Endpoint) -> None:
    """Serve the book and print the URL; ends with standard input."""
    with tempfile.TemporaryDirectory() as folder:
        config = ServerConfig(port=0, data_dir=folder)
        async with (
            depthcache.connect(paced.VENUE, [paced.SYMBOL], depth=1000, settings=endpoint.settings) as books,
            serve(books, config) as running,
        ):
            await books.wait_synced(DEADLINE_S)
            print(running.url, flush=True)
            await asyncio.to_thread(sys.stdin.read)


async def read(endpoint: paced.Endpoint, server: str | None, seconds: float) -> dict[str, float]:
    """CPU time of a frame in microseconds, then the delays of the items of a follower in milliseconds."""
    connecting = depthcache.connect(
        paced.VENUE, [paced.SYMBOL], depth=1000, settings=endpoint.settings, server=server
    )
    async with connecting as books:
        book = books[paced.SYMBOL]
        await book.wait_synced(DEADLINE_S)
        await asyncio.sleep(WARM_S)
        first, before_s = book.counters["applied"], _cpu_s()
        await asyncio.sleep(seconds)
        frames, used_s = book.counters["applied"] - first, _cpu_s() - before_s
        delays_ms: list[float] = []
        async with asyncio.timeout(DEADLINE_S):
            async for update in book.updates("latest"):
                if (sent_us := update.event_time_us) is not None:
                    delays_ms.append(time.time() * 1e3 - sent_us / 1e3)
                if len(delays_ms) >= RATE * seconds / 2:
                    break
        percentiles = statistics.quantiles(delays_ms, n=100)
        return {"cpu_us": used_s / frames * 1e6, "p50_ms": percentiles[49], "p99_ms": percentiles[98]}


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# --- both in turns ----------------------------------------------------------------------------------


@contextmanager
def serving(endpoint: paced.Endpoint) -> Generator[str]:
    """A server process; its URL."""
    command = [sys.executable, "-m", "benches.remote", "--serve", endpoint.url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("the process has no pipes")
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def run(*, rounds: int, seconds: float) -> list[Row]:
    """The reader's CPU time beside the other one's, and both delays."""
    found: dict[str, list[dict[str, float]]] = {"direct": [], "remote": []}
    with paced.serving(rate=RATE, tls=False) as endpoint, serving(endpoint) as url:
        for number in range(rounds):
            for name in sorted(found, reverse=bool(number % 2)):
                command = [
                    sys.executable,
                    "-m",
                    "benches.remote",
                    "--read",
                    endpoint.url,
                    "--seconds",
                    str(seconds),
                ]
                command += ["--server", url] if name == "remote" else []
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                found[name].append(json.loads(done.stdout.splitlines()[-1]))
    title = f"plain, paced at {RATE:,}/s"
    costs = {name: [each["cpu_us"] for each in results] for name, results in found.items()}
    both = " and ".join(f"{statistics.median(costs[name]):.1f} us {name}" for name in found)
    of_direct = ratio_of(costs["remote"], costs["direct"])
    rows = [Row.of(f"CPU of a frame, {title}", both, of_direct, MAX_OF_DIRECT)]
    for figure in ("p50", "p99"):
        medians = {
            name: statistics.median(each[f"{figure}_ms"] for each in results)
            for name, results in found.items()
        }
        told = ", ".join(f"{value:.2f} ms {name}" for name, value in medians.items())
        rows.append(Row(f"from sent to followed, {title}: {figure}", told))
    return rows


def main() -> int:
    """Run and print; 1 if a threshold was missed."""
    parser = argparse.ArgumentParser(prog="python -m benches.remote")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--serve", metavar="URL")
    parser.add_argument("--read", metavar="URL")
    parser.add_argument("--server", metavar="URL")
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve_until_told(paced.Endpoint(given.serve, None)))
        return 0
    if given.read:
        print(json.dumps(asyncio.run(read(paced.Endpoint(given.read, None), given.server, given.seconds))))
        return 0
    rows = run(rounds=given.rounds, seconds=given.seconds)
    about = "A reader of a book server beside one of the exchange; all processes share this machine."
    print_section(Console(width=160, highlight=False), Section("remote", "Remote", about, "ratio", rows, 0.0))
    return 1 if any(row.result == "MISSED" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
