"""Continuous trouble on real sockets: cuts, gaps, books removed and added; nothing may be left behind.

    python -m benches.soak --resyncs 10000 --cycles 1000

200 books on the embedded exchange. Every few seconds connections break or updates are lost, so every book
needs a new snapshot within the weight limits of the exchange; in between, books are removed and added again.
Caveat: the exchange runs in the same process; its memory is bounded.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import depthcache
from depthcache import Policy, Settings, simulator

SPOT, FUTURES = "binance.com", "binance.com-futures"
BOOKS = 100
_PAGE = 4096
_WARM = 0.3
_FLAT = 0.05


@dataclass
class Progress:
    """The figures of the run so far."""

    resyncs: int = 0
    cycles: int = 0
    unretrieved: list[str] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)


def memory_bytes() -> int:
    """Resident memory after a garbage collection."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * _PAGE


def _files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def world() -> simulator.SimulatedExchange:
    names = {f"S{number}USDT": simulator.TINY for number in range(BOOKS)}
    return simulator.SimulatedExchange({SPOT: names, FUTURES: dict(names)}, seed=1, history=200)


async def run(resyncs: int, cycles: int) -> Progress:
    progress = Progress()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(
        lambda _loop, context: progress.unretrieved.append(str(context.get("message")))
    )
    exchange = world()
    with simulator.Server(exchange) as server:
        policy = Policy(limit_share=0.9, relapse_base_s=0.1, relapse_cap_s=0.2, refresh_s=0.0)
        settings = Settings(endpoints=server.settings.endpoints, proxies=False, policy=policy)
        symbols = {name: [f"S{number}USDT" for number in range(BOOKS)] for name in (SPOT, FUTURES)}
        async with depthcache.connect(symbols, depth=40, settings=settings) as books:
            await books.wait_synced(timeout=120)
            gone = 0  # resyncs of books that were removed
            number = 0
            while progress.resyncs < resyncs or progress.cycles < cycles:
                number += 1
                _trouble(server, exchange, number)
                gone += await _remove_and_add(books, progress, min(cycles - progress.cycles, 20))
                await asyncio.sleep(0.2)
                await books.wait_synced(timeout=120)
                progress.resyncs = gone + sum(book.counters["snapshots"] for book in books) - len(books)
                progress.memory.append(memory_bytes())
                print(
                    f"{progress.resyncs:,} resyncs, {progress.cycles:,} books removed and added, "
                    f"{progress.memory[-1] / 2**20:.1f} MiB",
                    flush=True,
                )
            wrong = sum(
                simulator.differences(book, server.truth(book.exchange, book.symbol)) for book in books
            )
            assert wrong == 0, f"{wrong} wrong levels"
    assert exchange.breaches == [], exchange.breaches[:3]
    return progress


def _trouble(server: simulator.Server, exchange: Any, number: int) -> None:
    """In turns: all connections break, or every book loses an update."""

    def cut() -> None:
        exchange.cut(exchange.now_ns)

    def lose() -> None:
        for name in (SPOT, FUTURES):
            for each in range(BOOKS):
                exchange.trouble.next_diffs(name, f"S{each}USDT", "drop")

    server.on_exchange(cut if number % 2 else lose)


async def _remove_and_add(books: depthcache.Books, progress: Progress, count: int) -> int:
    """Remove books and add them again; return the resyncs that their counters lose."""
    gone = 0
    for _ in range(max(0, count)):
        symbol = f"S{progress.cycles % BOOKS}USDT"
        gone += books[SPOT, symbol].counters["snapshots"] - 1
        books.remove(symbol, SPOT)
        books.add(symbol, SPOT)
        progress.cycles += 1
        await asyncio.sleep(0)
    return gone


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--resyncs", type=int, default=10_000)
    parser.add_argument("--cycles", type=int, default=1_000)
    chosen = parser.parse_args()
    threads, files = threading.active_count(), _files()
    progress = asyncio.run(run(chosen.resyncs, chosen.cycles))
    warm = progress.memory[int(len(progress.memory) * _WARM)]
    growth = max(progress.memory[int(len(progress.memory) * _WARM) :]) / warm - 1
    left = (threading.active_count() - threads, _files() - files)
    print(f"memory after warm-up: {growth:+.1%} at most (threshold {_FLAT:.0%})")
    print(f"left behind: {left[0]} threads, {left[1]} files; unretrieved: {len(progress.unretrieved)}")
    good = growth <= _FLAT and left == (0, 0) and not progress.unretrieved
    print("ok" if good else f"MISSED {progress.unretrieved[:2]}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
