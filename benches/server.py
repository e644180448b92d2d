"""What a read over HTTP costs: the book server against a bare axum handler of the same size, taking turns.

    python -m benches.server [--rounds 5] [--seconds 2]

Server and load run on the same machine in processes of their own, so rates are those of a shared processor.
The ratio of two contestants that take turns is what counts. Needs cargo: it builds both programs of the
comparison (crates/server/examples).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benches.measure import Row
from benches.report import Section, print_section
from depthcache import Book, _native

ROOT = Path(__file__).parents[1]
TOKEN = "dcr_benchmark_benchmark"  # noqa: S105
CONNECTIONS = 32
RATE = 2_000
LEAST_OF_BARE = 0.7
MOST_P99 = 1.2
MOST_MANY_MS = 10.0
BOOKS, LEVELS, HELD = 500, 20, 1_000
UPDATE_S = 0.1


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
def served() -> Iterator[int]:
    """A server of 500 books in this process, of which the one that is read changes; its port."""
    native = _native.BookServer("127.0.0.1", 0, workers=2, tokens=[("read", TOKEN)], hosts=[], documents={})
    kept = [book(f"S{number:03}USDT") for number in range(BOOKS)]
    for each in kept:
        native.add("binance.com", each.symbol, each)
    try:
        with changing(kept[1]):
            yield native.port
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
def looping_here() -> Iterator[None]:
    """A pure-Python loop on a thread of this process, the server's."""
    is_over = threading.Event()

    def loop() -> None:
        total = 0
        while not is_over.is_set():
            for number in range(1_000):
                total += number * number

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@contextmanager
def looping_elsewhere() -> Iterator[None]:
    """The same loop in another process."""
    code = "while True: sum(number * number for number in range(1_000))"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        try:
            yield
        finally:
            process.kill()


def run(*, rounds: int, seconds: float) -> list[Row]:
    """All comparisons."""
    programs = examples()
    path = f"/v1/books/binance.com/S001USDT?levels={LEVELS}"
    with served() as port, bare(programs / "bare", size_of(port, path)) as fixed:
        return [
            *rates(programs / "load", port, path, fixed, rounds=rounds, seconds=seconds),
            busy(programs / "load", port, path, rounds=rounds, seconds=seconds),
            many(programs / "load", port, seconds=seconds),
        ]


def rates(program: Path, port: int, path: str, fixed: int, *, rounds: int, seconds: float) -> Iterator[Row]:
    """As fast as possible, in turns."""
    ours: list[Load] = []
    theirs: list[Load] = []
    for _ in range(rounds):
        ours.append(load(program, port, path, seconds=seconds, connections=CONNECTIONS))
        theirs.append(load(program, fixed, "/fixed", seconds=seconds, connections=CONNECTIONS))
    ratio = statistics.median(bare.rate / own.rate for own, bare in zip(ours, theirs, strict=True))
    for name, found in (("bare axum handler, fixed bytes", theirs), ("book server", ours)):
        rate, p50_us = (
            statistics.median(values) for values in zip(*((e.rate, e.p50_us) for e in found), strict=True)
        )
        is_ours = found is ours
        yield Row(
            f"{name}, {LEVELS} levels, {CONNECTIONS} connections",
            f"{rate:,.0f}/s, p50 {p50_us:.0f} us",
            ratio if is_ours else None,
            1 / LEAST_OF_BARE if is_ours else None,
        )


def busy(program: Path, port: int, path: str, *, rounds: int, seconds: float) -> Row:
    """At a fixed rate, beside a Python loop."""
    kinds: tuple[tuple[str, Callable[[], object]], ...] = (
        ("here", looping_here),
        ("there", looping_elsewhere),
    )
    found: dict[str, list[float]] = {"here": [], "there": []}
    for _ in range(rounds):
        for name, looping in kinds:
            with looping():  # type: ignore[attr-defined]
                seen = load(program, port, path, seconds=seconds, rate=RATE, connections=CONNECTIONS)
            found[name].append(seen.p99_us)
    here, there = (statistics.median(found[name]) for name in ("here", "there"))
    ratio = statistics.median(a / b for a, b in zip(found["here"], found["there"], strict=True))
    figure = f"p99 {here:,.0f} us, elsewhere {there:,.0f} us"
    return Row(f"{RATE:,}/s beside a Python loop in the same process", figure, ratio, MOST_P99)


def many(program: Path, port: int, *, seconds: float) -> Row:
    """500 books in one request: CPU of all threads of this process, which only waits meanwhile."""
    path = f"/v1/books?symbols=*&levels={LEVELS}"
    begin = time.process_time()
    seen = load(program, port, path, seconds=seconds, connections=1)
    spent_ms = 1e3 * (time.process_time() - begin)
    each_ms = spent_ms / seen.count
    size = size_of(port, path) / 1e6
    figure = f"{each_ms:.2f} ms CPU, {size:.1f} MB"
    return Row(f"{BOOKS} books of {LEVELS} levels in one request", figure, each_ms / MOST_MANY_MS, 1.0)


def main() -> int:
    """Run and print; 1 if a threshold was missed."""
    parser = argparse.ArgumentParser(prog="python -m benches.server")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    rows = run(rounds=given.rounds, seconds=given.seconds)
    about = "Reads over HTTP; server and load share this machine."
    print_section(
        Console(width=160, highlight=False), Section("server", "Book server", about, "ratio", rows, 0.0)
    )
    return 1 if any(row.result == "MISSED" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
