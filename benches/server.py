"""What the book server costs and how late it is: reads, messages to subscribers, and the old cluster.

    python -m benches --only server

Server and load run on the same machine in processes of their own, so rates are those of a shared processor.
The ratio of two contestants that take turns is what counts. Needs cargo: it builds the programs of the
comparison (crates/server/examples).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benches import old_cluster, pushed
from benches.loads import LOADS
from benches.measure import Row, estimate
from benches.old_cluster import Unavailable
from depthcache import Book, _native
from depthcache.server import ServerConfig

ROOT = Path(__file__).parents[1]
TOKEN = "dcr_benchmark_benchmark"  # noqa: S105
CONNECTIONS = 32
RATE = 2_000
LEAST_OF_BARE = 0.7
LEAST_OF_OLD = 50
MOST_P99 = 1.2
MOST_MANY_MS = 10.0
BOOKS, LEVELS, HELD = 500, 20, 1_000
UPDATE_S = 0.1
SECONDS = 0.6
BUSY_S = 0.7
SETTLE_S = 0.5
"""A load of the processor prepares itself."""
OLD_CLIENTS: tuple[str, int, str, list[str], bool] = ("127.0.0.1", 0, "ubdcc-restapi", [], False)


@dataclass(frozen=True, slots=True)
class Load:
    """What a load saw: requests, requests a second, times to whole responses in microseconds."""

    count: float
    rate: float
    p50_us: float
    p99_us: float
    p999_us: float


def examples() -> Path:
    """Build the programs of the comparison; the folder they are in."""
    folder = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    command = ["cargo", "build", "--release", "--locked", "-q", "-p", "depthcache-server", "--examples"]
    subprocess.run(command, check=True, cwd=ROOT)
    return folder / "release" / "examples"


def load(program: Path, port: int, path: str, *, seconds: float, rate: int = 0, connections: int) -> Load:
    """Requests for so long; `rate` a second, or as fast as possible."""
    arguments = [str(port), path, TOKEN, str(connections), str(seconds), str(rate)]
    done = subprocess.run([program, *arguments], check=True, capture_output=True, text=True)
    return Load(*map(float, done.stdout.split()))


@contextmanager
def served() -> Iterator[tuple[int, int]]:
    """A server of 500 books in this process, of which the one that is read changes; its port, and that for
    old clients."""
    native = _native.BookServer(
        "127.0.0.1",
        0,
        workers=ServerConfig().workers,
        tokens=[("read", TOKEN)],
        hosts=[],
        documents={},
        compat=[OLD_CLIENTS],
    )
    kept = [book(f"S{number:03}USDT") for number in range(BOOKS - 1)]
    kept.append(book(old_cluster.SYMBOL))
    for each in kept:
        native.add("binance.com", each.symbol, each)
    try:
        with changing(kept[1]), changing(kept[-1]):
            yield native.port, native.compat_ports[0]
    finally:
        native.drain(0)


@contextmanager
def changing(held: Book) -> Iterator[None]:
    """An update of the best levels as often as the exchange sends one."""
    is_over = threading.Event()

    def change() -> None:
        update_id = 1
        while not is_over.wait(UPDATE_S):
            update_id += 1
            level = ["59999.99000000", f"{1 + update_id % 7}.00000000"]
            event = {"e": "depthUpdate", "E": 1_700_000_000_000, "s": held.symbol, "b": [level], "a": []}
            held.apply(json.dumps({**event, "U": update_id, "u": update_id}).encode())

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def book(symbol: str) -> Book:
    """A book of a thousand levels a side."""
    bids = [[f"{60_000 - i / 100:.8f}", f"{1 + i / 8:.8f}"] for i in range(1, HELD + 1)]
    asks = [[f"{60_000 + i / 100:.8f}", f"{2 + i / 8:.8f}"] for i in range(1, HELD + 1)]
    made = Book("binance.com", symbol)
    made.load_snapshot(json.dumps({"lastUpdateId": 1, "bids": bids, "asks": asks}).encode(), limit=1_000)
    return made


@contextmanager
def bare(program: Path, size: int) -> Iterator[int]:
    """The bare handler; its port."""
    with subprocess.Popen(
        [program, str(size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


def size_of(port: int, path: str) -> int:
    """Bytes of a response's body."""
    from urllib.request import Request, urlopen

    headers = {"Authorization": f"Bearer {TOKEN}"}
    with urlopen(Request(f"http://127.0.0.1:{port}{path}", headers=headers)) as response:
        return len(response.read())


@contextmanager
def busy_here(name: str, seconds: float) -> Iterator[None]:
    """A load on a thread of this process, the server's."""
    thread = threading.Thread(target=LOADS[name], args=(SETTLE_S + seconds,))
    thread.start()
    time.sleep(SETTLE_S)
    try:
        yield
    finally:
        thread.join()


@contextmanager
def busy_elsewhere(name: str, seconds: float) -> Iterator[None]:
    """The same load in another process."""
    command = [sys.executable, "-m", "benches.loads", name, str(SETTLE_S + seconds)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        time.sleep(SETTLE_S)
        try:
            yield
        finally:
            process.wait()


def run(cluster: old_cluster.Begun | None = None, *, rounds: int, seconds: float = SECONDS) -> list[Row]:
    """All comparisons. `cluster`: the old one; started here where it was not begun before."""
    programs = examples()
    program = programs / "load"
    begun = cluster or old_cluster.begin()
    path = f"/v1/books/binance.com/S001USDT?levels={LEVELS}"
    try:
        with served() as (port, port_of_old_clients), bare(programs / "bare", size_of(port, path)) as fixed:
            rows = [
                *rates(program, port, path, fixed, rounds=rounds, seconds=seconds),
                *busy(program, port, path, rounds=rounds),
                many(program, port, rounds=rounds, seconds=seconds),
            ]
        rows += pushed.run(programs, rounds=rounds)
        with served() as (port, port_of_old_clients):
            ports = (port, port_of_old_clients)
            return [*rows, *against_the_old_cluster(program, ports, path, begun, rounds, seconds)]
    finally:
        begun.end()


def rates(program: Path, port: int, path: str, fixed: int, *, rounds: int, seconds: float) -> Iterator[Row]:
    """As fast as possible, in turns."""
    ours: list[Load] = []
    theirs: list[Load] = []
    for _ in range(rounds):
        ours.append(load(program, port, path, seconds=seconds, connections=CONNECTIONS))
        theirs.append(load(program, fixed, "/fixed", seconds=seconds, connections=CONNECTIONS))
    what = f"{LEVELS} levels, {CONNECTIONS} connections"
    yield Row(f"bare axum handler, fixed bytes, {what}", figure_of(theirs))
    ratios = estimate(bare.rate / own.rate for own, bare in zip(ours, theirs, strict=True))
    yield Row.of(f"book server, {what}", figure_of(ours), ratios, 1 / LEAST_OF_BARE)


def figure_of(found: list[Load]) -> str:
    """Rate and time."""
    return f"{median(e.rate for e in found):,.0f}/s, p50 {median(e.p50_us for e in found):,.0f} us"


Busy = Callable[[str, float], AbstractContextManager[None]]


def busy(program: Path, port: int, path: str, *, rounds: int, seconds: float = BUSY_S) -> Iterator[Row]:
    """At a fixed rate, beside Python that computes in the server's process, or in another."""
    for name in list(LOADS)[1:]:
        found: dict[Busy, list[float]] = {busy_here: [], busy_elsewhere: []}
        for _ in range(rounds):
            for running, values in found.items():
                with running(name, seconds):
                    seen = load(program, port, path, seconds=seconds, rate=RATE, connections=CONNECTIONS)
                values.append(seen.p99_us)
        here, there = found.values()
        figure = f"p99 {median(here):,.0f} us, in another process {median(there):,.0f} us"
        ratios = estimate(ours / theirs for ours, theirs in zip(here, there, strict=True))
        yield Row.of(f"{RATE:,}/s beside {name} in the same process", figure, ratios, MOST_P99)


def many(program: Path, port: int, *, rounds: int, seconds: float) -> Row:
    """500 books in one request: CPU of all threads of this process, which only waits meanwhile."""
    path = f"/v1/books?symbols=*&levels={LEVELS}"
    costs_ms = []
    for _ in range(rounds):
        begin = time.process_time()
        seen = load(program, port, path, seconds=seconds / 2, connections=1)
        costs_ms.append(1e3 * (time.process_time() - begin) / seen.count)
    figure = f"{median(costs_ms):.2f} ms CPU, {size_of(port, path) / 1e6:.1f} MB"
    cost = estimate(each / MOST_MANY_MS for each in costs_ms)
    return Row.of(
        f"{BOOKS} books of {LEVELS} levels in one request, of {MOST_MANY_MS:.0f} ms", figure, cost, 1.0
    )


def against_the_old_cluster(
    program: Path,
    ports: tuple[int, int],
    path: str,
    cluster: old_cluster.Begun,
    rounds: int,
    seconds: float,
) -> list[Row]:
    """The same request to both; and our own better one."""
    what = f"one side of {LEVELS} levels"
    name = f"old cluster (UBDCC {old_cluster.VERSION}), {what}"
    try:
        port = cluster.port()
    except Unavailable as why:
        return [Row(name, f"not measured: {why}")]
    found: tuple[list[Load], ...] = ([], [], [])
    targets = ((port, old_cluster.PATH), (ports[1], old_cluster.PATH), (ports[0], path))
    for _ in range(rounds):
        for (each, asked), values in zip(targets, found, strict=True):
            values.append(load(program, each, asked, seconds=seconds, connections=CONNECTIONS))
    old, same, own = found
    ratios = estimate(LEAST_OF_OLD * theirs.rate / ours.rate for theirs, ours in zip(old, same, strict=True))
    times = median(ours.rate / theirs.rate for theirs, ours in zip(old, same, strict=True))
    return [
        Row(name, figure_of(old)),
        Row.of(
            f"book server, same request: {LEAST_OF_OLD} times that rate over ours",
            f"{figure_of(same)}, {times:.0f} times as many",
            ratios,
            1.0,
        ),
        Row(f"book server, both sides of {LEVELS} levels at one id", figure_of(own)),
    ]
