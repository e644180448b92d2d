"""What a cluster does when nodes come, go, die and freeze, and what a read through another node costs.

    python -m benches --only cluster
    python -m benches.cluster --only large     a part: 5,000 books twice on three nodes

Three nodes on loopback keep every book twice. Meanwhile a program follows twenty quick books over all nodes,
checks every update against the truth, and notes the longest silence of a book; another reads all books
again and again through one node and counts those that were not synced. The exchange (`thin_exchange`) sends
little, so the figures are those of the cluster. A cut needs namespaces of the kernel (`cluster_cut`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median

import depthcache
from benches import cluster_cut, server, thin_exchange
from benches.cluster_followers import Follower, polling
from benches.cluster_nodes import Nodes
from benches.measure import Row, estimate
from benches.paced import Endpoint
from benches.thin_exchange import QUICK, VENUE, symbols

BOOKS, STARTED, LARGE = 1_000, 500, 5_000
NAMES, LATER = ("a1", "b2", "c3"), "d4"
REPLICAS = 2
MOST_REST_S, MOST_DEPTH20_S = 15.0, 5.0
MOST_KILLED_S, MOST_FROZEN_S, MOST_EVEN_S = 3.0, 5.0, 10.0
MOST_SILENT_KILLED_S, MOST_SILENT_FROZEN_S = 0.5, 2.0
MOST_OF_RELAY = 1.3
MOST_MB, MOST_LARGE_MB = 150.0, 700.0
LEVELS, CONNECTIONS = 20, 2
READ_S = 0.25
ROUNDS = 6
SETTLE_S = 1.0


# --- what happens to nodes ----------------------------------------------------------------------------


async def started(*, books: int, depth20: bool, interval_s: float) -> tuple[float, dict[str, int], float]:
    """Seconds from the creation of books until both copies of each are synced, what the exchange was asked
    for that, and the most megabytes of a node."""
    async with cluster(books=books, depth20=depth20, interval_s=interval_s) as (nodes, endpoint):
        took_s = await created(nodes, symbols(books))
        asked = thin_exchange.asked(endpoint)
        await asyncio.sleep(SETTLE_S)
        return took_s, asked, await most_mb(nodes)


@asynccontextmanager
async def cluster(*, books: int, depth20: bool, interval_s: float) -> AsyncIterator[tuple[Nodes, Endpoint]]:
    """Three nodes that see each other, and a fourth that may join."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        endpoint = stack.enter_context(thin_exchange.serving(books=books, interval_s=interval_s))
        environment = thin_exchange.environment(endpoint)
        nodes = Nodes(folder, environment, NAMES, later=(LATER,), depth20=depth20)
        try:
            await nodes.start()
            await nodes.since_whole(NAMES, alive=len(NAMES))
            yield nodes, endpoint
        finally:
            await nodes.end()


async def created(nodes: Nodes, names: Sequence[str]) -> float:
    """Create books; seconds until both copies of each are synced."""
    began_s = time.monotonic()
    await nodes.nodes[NAMES[0]].ask("create", VENUE, names, REPLICAS)
    return await nodes.since_whole(NAMES, alive=len(NAMES)) - began_s


async def most_mb(nodes: Nodes) -> float:
    """The memory of the largest node."""
    found: float = max([(await nodes.nodes[name].ask("usage"))["mb"] for name in NAMES])
    return found


async def events(books: int, *, rounds: int = ROUNDS) -> list[Row]:
    """All that happens to nodes, one thing after the other, and reads."""
    async with cluster(books=books, depth20=True, interval_s=1.0) as (nodes, _):
        rows = [
            Row(
                f"start of {books:,} books twice, mostly from depth20",
                f"{await created(nodes, symbols(books)):.1f} s",
            )
        ]
        if rounds:
            rows += await reads(nodes, rounds=rounds)
        urls = [nodes.nodes[name].url for name in (*NAMES[::-1], LATER)]
        async with depthcache.connect(
            VENUE, symbols(QUICK), server=urls, settings=depthcache.Settings(proxies=False)
        ) as followed:
            await followed.wait_synced()
            follower = Follower(followed)
            await asyncio.sleep(SETTLE_S)
            rows += await come_and_go(nodes, follower, books)
            rows += await die_and_freeze(nodes, follower, books)
            faults = len(follower.faults)
        print(*follower.faults[:5], sep="\n")
        rows.append(
            Row("updates of the follower that were not true, or went back", f"{faults}", float(faults), 0.0)
        )
        return rows


async def come_and_go(nodes: Nodes, follower: Follower, books: int) -> list[Row]:
    """A node joins, and leaves."""
    every = (*NAMES, LATER)
    async with polling(nodes, NAMES[0], books) as poller:
        follower.reset()
        began_s = time.monotonic()
        await nodes.join(LATER, NAMES[0])
        join_s = await nodes.since_whole(every, alive=len(every), is_even=True) - began_s
        began_s = time.monotonic()
        leaving = asyncio.create_task(nodes.nodes[LATER].ask("retire"))
        leave_s = await nodes.since_whole(NAMES, alive=len(NAMES), is_even=True) - began_s
        await leaving
        await nodes.nodes[LATER].end()
    print(*poller.faults[:5], sep="\n")
    what = (
        f"{poller.reads} reads of all books, {len(poller.faults)} failed, silence {follower.silence():.2f} s"
    )
    return [
        limited("a node joins: books even, with the start of its process", join_s, MOST_EVEN_S),
        limited("a node leaves: books even", leave_s, MOST_EVEN_S),
        Row("book-seconds lost meanwhile", what, poller.lost, 0.0),
    ]


async def die_and_freeze(nodes: Nodes, follower: Follower, books: int) -> list[Row]:
    """The node that the follower reads is killed; then the next is frozen."""
    rows: list[Row] = []
    for victim, what, most_s, most_silent_s in (
        ("c3", "kill -9", MOST_KILLED_S, MOST_SILENT_KILLED_S),
        ("b2", "freeze", MOST_FROZEN_S, MOST_SILENT_FROZEN_S),
    ):
        others = [name for name in NAMES if name != victim]
        follower.reset()
        async with polling(nodes, others[0], books) as poller:
            node, began_s = nodes.nodes[victim], time.monotonic()
            if what == "freeze":
                node.signal(signal.SIGSTOP)
            else:
                await node.kill()
            again_s = await nodes.since_whole(others, alive=len(others)) - began_s
            await asyncio.sleep(SETTLE_S)
            silent_s = follower.silence()
            began_s = time.monotonic()
            if what == "freeze":
                node.signal(signal.SIGCONT)
            else:
                await node.start()
            back_s = await nodes.since_whole(NAMES, alive=len(NAMES), is_even=True) - began_s
        print(*poller.faults[:5], sep="\n")
        lost = f"{poller.lost:.1f} book-seconds lost, {len(poller.faults)} of {poller.reads} reads failed"
        rows += [
            limited(f"{what}: both copies of every book synced again", again_s, most_s, f"; {lost}"),
            limited(f"{what}: longest silence of a followed book", silent_s, most_silent_s),
            Row(f"{what}: even again after the node is back", f"{back_s:.1f} s"),
        ]
    return rows


def limited(what: str, seconds: float, most_s: float, more: str = "") -> Row:
    """A row of seconds, of so many."""
    return Row(f"{what}, of {most_s:g} s", f"{seconds:.2f} s{more}", seconds / most_s, 1.0)


# --- reads --------------------------------------------------------------------------------------------


async def reads(nodes: Nodes, *, rounds: int) -> list[Row]:
    """Reads of a book that the asked node has, and of one that another has, against bare ones."""
    asked = nodes.nodes[NAMES[0]]
    token = await asked.ask("read_token")
    every = symbols(BOOKS)[QUICK:]
    elsewhere = await asked.ask("not_held", every)
    here = next(symbol for symbol in every if symbol not in elsewhere)
    paths = [f"/v1/books/{VENUE}/{name}?levels={LEVELS}" for name in (here, elsewhere[0])]
    return await asyncio.to_thread(compare, asked.folder, asked.port, token, paths, rounds)


def compare(folder: Path, port: int, token: str, paths: Sequence[str], rounds: int) -> list[Row]:
    """In turns."""
    programs = server.examples()
    size = size_of(port, paths[0], token)
    with ExitStack() as stack:
        fixed = stack.enter_context(server.bare(programs / "bare", size))
        end = stack.enter_context(running(programs / "hop", "answer", folder, size))
        relay = stack.enter_context(running(programs / "hop", "forward", folder, end))
        targets = ((fixed, "/fixed"), (port, paths[0]), (relay, "/fixed"), (port, paths[1]))
        found: list[list[server.Load]] = [[] for _ in targets]
        for _ in range(2 * rounds):
            for (each, path), values in zip(targets, found, strict=True):
                values.append(load(programs / "load", each, path, token))
    rows: list[Row] = []
    pairs = (("of its own", found[0], found[1]), ("through another node", found[2], found[3]))
    for what, bare, ours in pairs:
        ratios = estimate(own.p99_us / other.p99_us for own, other in zip(ours, bare, strict=True))
        figure = f"{latency(ours)}, bare {latency(bare)}"
        rows.append(
            Row.of(
                f"read of a book {what}: p99 against bare axum, of {MOST_OF_RELAY:g}",
                figure,
                ratios,
                MOST_OF_RELAY,
            )
        )
    return rows


def load(program: Path, port: int, path: str, token: str) -> server.Load:
    """One request after the other on each connection: a rate would be paced by a clock of milliseconds."""
    arguments = [str(port), path, token, str(CONNECTIONS), str(READ_S), "0"]
    done = subprocess.run([program, *arguments], check=True, capture_output=True, text=True)
    return server.Load(*map(float, done.stdout.split()))


def latency(found: Sequence[server.Load]) -> str:
    """Medians of p50 and p99."""
    return f"{median(e.p50_us for e in found):,.0f} / {median(e.p99_us for e in found):,.0f} us"


def size_of(port: int, path: str, token: str) -> int:
    """Bytes of a response's body."""
    from urllib.request import Request, urlopen

    request = Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {token}"})
    with urlopen(request) as response:  # noqa: S310 - loopback
        return len(response.read())


@contextmanager
def running(program: Path, role: str, folder: Path, number: int) -> Iterator[int]:
    """A program of the comparison; its port."""
    command = [str(program), role, str(folder), str(number)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


# --- all of them --------------------------------------------------------------------------------------


def run(*, rounds: int = ROUNDS) -> list[Row]:
    """The section of the report."""
    rest_s, asked, mb = asyncio.run(started(books=STARTED, depth20=False, interval_s=1.0))
    depth20_s, _, _ = asyncio.run(started(books=STARTED, depth20=True, interval_s=0.5))
    return [
        limited(f"start of {STARTED} books twice, by REST", rest_s, MOST_REST_S),
        Row("snapshots of the exchange for that", f"{asked['snapshots']}", asked["snapshots"] / STARTED, 1.0),
        limited(f"start of {STARTED} books twice, from depth20", depth20_s, MOST_DEPTH20_S),
        Row(
            f"most memory of a node at {STARTED * REPLICAS // 3} books, of {MOST_MB:.0f} MB",
            f"{mb:.0f} MB",
            mb / MOST_MB,
            1.0,
        ),
        *large(),
        *asyncio.run(events(BOOKS, rounds=rounds)),
        *cluster_cut.run(),
    ]


def large() -> list[Row]:
    """5,000 books twice."""
    took_s, _, mb = asyncio.run(started(books=LARGE, depth20=True, interval_s=5.0))
    return [
        Row(f"start of {LARGE:,} books twice, mostly from depth20", f"{took_s:.1f} s"),
        Row(
            f"most memory of a node at {LARGE * REPLICAS // 3:,} books, of {MOST_LARGE_MB:.0f} MB",
            f"{mb:.0f} MB",
            mb / MOST_LARGE_MB,
            1.0,
        ),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows; 1 if a threshold was missed."""
    parser = argparse.ArgumentParser(prog="python -m benches.cluster")
    parser.add_argument("--only", choices=("rest", "depth20", "large", "events", "cut"), help="a part")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of the reads, 0 for none")
    parser.add_argument("--books", type=int, default=BOOKS, help="books of the events")
    options = parser.parse_args(arguments)
    print(f"load {os.getloadavg()[0]:.1f}", flush=True)
    parts: dict[str | None, Callable[[], list[Row]]] = {
        None: run,
        "rest": lambda: part(depth20=False),
        "depth20": lambda: part(depth20=True),
        "large": large,
        "events": lambda: asyncio.run(events(options.books, rounds=options.rounds)),
        "cut": cluster_cut.run,
    }
    began_s = time.monotonic()
    rows = parts[options.only]()
    for row in rows:
        print(f"{row.what}: {row.figure} [{row.ratio}, {row.threshold}] {row.result}")
    print(f"{time.monotonic() - began_s:.0f} s, load {os.getloadavg()[0]:.1f}")
    return int(any(row.result == "MISSED" for row in rows))


def part(*, depth20: bool) -> list[Row]:
    """One start."""
    took_s, asked, mb = asyncio.run(started(books=STARTED, depth20=depth20, interval_s=0.5))
    return [Row("start", f"{took_s:.2f} s, {json.dumps(asked)}, {mb:.0f} MB")]


if __name__ == "__main__":
    sys.exit(main())
