"""Three nodes in processes of their own are killed, frozen and restarted, and no reader notices."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import depthcache
from depthcache import Status
from depthcache.simulator import differences
from tests.cluster.node_process import Processes
from tests.cluster.nodes import SPOT, SYMBOLS, exchange
from tests.server.asking import DEADLINE_S

pytestmark = pytest.mark.slow

NAMES = ("a1", "b2", "c3")
Truth = Callable[[str, str], Any]


class Reader:
    """A client of all nodes that follows every book, and checks what it gets."""

    def __init__(self, books: depthcache.Books, truth: Truth) -> None:
        self.books, self.truth = books, truth
        self.updates = 0
        self.errors: list[str] = []
        self.last: dict[str, int] = {}
        books.on_update(self.on_update, "every", levels=None, on_stale="serve")

    def breaks(self) -> dict[str, dict[str, int]]:
        """What a loss of a node must not cost: by book, gaps, resets, and snapshots besides the first."""
        most = {"gaps": 0, "resets": 0, "snapshots": 1}
        counts = {book.symbol: book.counters for book in self.books}
        found = {
            symbol: {name: count[name] for name, few in most.items() if count[name] > few}
            for symbol, count in counts.items()
        }
        return {symbol: each for symbol, each in found.items() if each}

    def on_update(self, update: Any) -> None:
        """No update comes twice or goes back, and the book of each that says synced is true."""
        try:
            self.check(update)
        except Exception as error:
            self.errors.append(repr(error))

    def check(self, update: Any) -> None:
        symbol = update.symbol
        assert update.status is not Status.CLOSED, update.reason
        if update.status is not Status.SYNCED:
            return
        self.updates += 1
        last = self.last.get(symbol, 0)
        assert update.last_update_id >= last, symbol
        assert update.is_fresh or update.last_update_id > last, symbol
        self.last[symbol] = update.last_update_id
        assert differences(update, self.truth(SPOT, symbol)) == 0, symbol


class Poller:
    """Asks nodes that are well for all books over HTTP, again and again, and checks the answers."""

    def __init__(self, cluster: Processes, truth: Truth) -> None:
        self.cluster, self.truth = cluster, truth
        self.well = set(NAMES)
        self.answers = self.elsewhere = 0
        self.errors: list[str] = []

    async def start(self) -> asyncio.Task[None]:
        tokens = {name: await self.cluster.nodes[name].ask("read_token") for name in NAMES}
        return asyncio.create_task(self.run(tokens))

    async def run(self, tokens: Mapping[str, str]) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                for name in NAMES:
                    if name in self.well:
                        await self.read(session, name, tokens[name])
                await asyncio.sleep(0.01)

    async def read(self, session: aiohttp.ClientSession, name: str, token: str) -> None:
        for symbol in SYMBOLS:
            url = f"{self.cluster.nodes[name].url}/v1/books/{SPOT}/{symbol}?levels=5"
            try:
                async with session.get(url, headers={"Authorization": f"Bearer {token}"}) as response:
                    body, status = await response.read(), response.status
            except aiohttp.ClientError as error:
                body, status = repr(error).encode(), 0
            if name not in self.well:
                return
            if status != 200:
                self.errors.append(f"{name} {symbol}: {status} {body[:200]!r}")
                continue
            self.answers += 1
            self.elsewhere += json.loads(body)["node"] != name


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[Any, Processes]]:
    """An exchange, and three nodes with all books twice."""
    with exchange() as server:
        cluster = Processes(folder, server.environment, NAMES)
        try:
            await cluster.start()
            await cluster.nodes["a1"].ask("create_books", SPOT, SYMBOLS, replicas=2)
            await whole(cluster, NAMES)
            yield server, cluster
        finally:
            await cluster.end()


async def whole(cluster: Processes, names: Collection[str]) -> None:
    """Wait until all books are synced on two nodes, and these alone are alive, as each of them sees it."""
    for name in names:
        async with asyncio.timeout(DEADLINE_S):
            while not is_whole(await cluster.nodes[name].ask("status"), names):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


def is_whole(status: Any, names: Collection[str]) -> bool:
    alive = {each["id"] for each in status["nodes"] if each["state"] == "alive"}
    return alive == set(names) and all(book["synced"] == 2 for book in status["books"])


async def test_readers_notice_no_loss_of_a_node(tmp_path: Path) -> None:
    async with running(tmp_path) as (server, cluster):
        urls = [node.url for node in cluster.nodes.values()]
        async with depthcache.connect(SPOT, SYMBOLS, server=urls) as books:
            await books.wait_synced()
            reader, poller = Reader(books, server.truth), Poller(cluster, server.truth)
            polling = await poller.start()
            for victim, is_killed in (("a1", True), ("b2", False)):
                node = cluster.nodes[victim]
                poller.well.discard(victim)
                if is_killed:
                    await node.kill()
                else:
                    node.signal(signal.SIGSTOP)
                await whole(cluster, poller.well)
                await books.wait_synced()
                if is_killed:
                    await node.start()
                else:
                    node.signal(signal.SIGCONT)
                await whole(cluster, NAMES)
                await books.wait_synced()
                poller.well.add(victim)
            assert not polling.done(), polling.result()
            polling.cancel()
            assert (reader.errors, poller.errors) == ([], [])
            assert reader.breaks() == {}
            assert reader.updates > 100
            assert 0 < poller.elsewhere < poller.answers
