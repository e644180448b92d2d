"""Readers of a cluster that notice what goes wrong: one follows quick books, one reads all books."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

import depthcache
from benches.cluster_nodes import Nodes
from benches.thin_exchange import FIRST_ID, STEPS, levels_at
from depthcache import Status

__all__ = ["Follower", "Poller", "polling"]

CHECKED = 20
"""Best levels a side that are compared with the truth."""


@dataclass
class Follower:
    """Follows books over all nodes."""

    books: depthcache.Books
    seen_s: dict[str, float] = field(default_factory=dict)
    silent_s: float = 0.0
    """The longest time between two updates of a book since `reset`."""
    ids: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.books.on_update(self._on_update, "every", levels=CHECKED, on_stale="serve")

    def reset(self) -> None:
        """From now on."""
        self.silent_s = 0.0

    def silence(self) -> float:
        """The longest silence, also one that has not ended."""
        now_s = time.monotonic()
        return max(self.silent_s, *(now_s - each for each in self.seen_s.values()))

    def _on_update(self, update: Any) -> None:
        if update.status is not Status.SYNCED:
            return
        now_s, symbol, last = time.monotonic(), update.symbol, self.ids.get(update.symbol, 0)
        if update.last_update_id < last:
            self.faults.append(f"{symbol} went back from {last} to {update.last_update_id}")
        if update.last_update_id > last:
            self.silent_s = max(self.silent_s, now_s - self.seen_s.get(symbol, now_s))
            self.seen_s[symbol] = now_s
        self.ids[symbol] = update.last_update_id
        truth = levels_at((update.last_update_id - FIRST_ID) % STEPS)
        for side, true in zip((update.bids, update.asks), truth, strict=True):
            expected = [(float(price), float(quantity)) for price, quantity in true[:CHECKED]]
            if [tuple(level) for level in side[:CHECKED]] != expected:
                self.faults.append(f"{symbol} is not the book of {update.last_update_id}")


@dataclass
class Poller:
    """Reads all books through one node, again and again."""

    url: str
    token: str
    books: int
    reads: int = 0
    lost: float = 0.0
    """Book-seconds in which a book could not be read."""
    faults: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Until cancelled."""
        url = f"{self.url}/v1/books?symbols=*&levels=1"
        headers = {"Authorization": f"Bearer {self.token}"}
        before_s = time.monotonic()
        async with aiohttp.ClientSession(trust_env=False) as session:
            while True:
                async with session.get(url, headers=headers) as response:
                    body = await response.read()
                if response.status != 200:
                    self.faults.append(f"{response.status}: {body[:200]!r}")
                synced = body.count(b'"status":"synced"')
                now_s = time.monotonic()
                self.lost += max(self.books - synced, 0) * (now_s - before_s)
                self.reads, before_s = self.reads + 1, now_s
                await asyncio.sleep(0.1)


@asynccontextmanager
async def polling(nodes: Nodes, name: str, books: int) -> AsyncIterator[Poller]:
    """Read through one node meanwhile."""
    node = nodes.nodes[name]
    poller = Poller(node.url, await node.ask("read_token"), books)
    task = asyncio.create_task(poller.run())
    try:
        yield poller
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.wait([task])
