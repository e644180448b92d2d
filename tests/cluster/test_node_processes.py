"""Three nodes in processes of their own are killed, frozen and restarted, and no reader notices."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import depthcache
from depthcache import Status
from depthcache.simulator import differences
from tests.cluster.node_process import Processes
from tests.cluster.nodes import SPOT, SYMBOLS, exchange
from tests.server.asking import DEADLINE_S

pytestmark = pytest.mark.slow

NAMES = ("a1", "b2", "c3")


class Reader:
    """A client of all nodes that follows every book, and checks what it gets."""

    def __init__(self, books: depthcache.Books, truth: Callable[[str, str], Any]) -> None:
        self.books, self.truth = books, truth
        self.updates = 0
        self.errors: list[str] = []
        self.last: dict[str, int] = {}
        books.on_update(self.on_update, "every", levels=None, on_stale="serve")

    def on_update(self, update: Any) -> None:
        """No update comes twice, none is lost, and the book of each that says synced is true."""
        self.updates += 1
        if update.status is Status.CLOSED:
            self.errors.append(f"{update.symbol} is closed: {update.reason}")
        if update.status is not Status.SYNCED or update.book is None:
            return
        before = self.last.get(update.symbol, 0)
        if update.book.last_update_id < before:
            self.errors.append(f"{update.symbol} went back from {before} to {update.book.last_update_id}")
        self.last[update.symbol] = update.book.last_update_id

    def assert_true(self) -> None:
        """Every synced book equals the exchange's at its id."""
        for book in self.books:
            if book.status is Status.SYNCED:
                assert differences(book.freeze(), self.truth(SPOT, book.symbol)) == 0


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[Any, Processes]]:
    """An exchange, and three nodes with all books twice."""
    with exchange() as server:
        cluster = Processes(folder, server.environment, NAMES)
        try:
            await cluster.start()
            await cluster.nodes["a1"].ask("create_books", SPOT, SYMBOLS, replicas=2)
            await whole(cluster, "a1")
            yield server, cluster
        finally:
            await cluster.end()


async def whole(cluster: Processes, name: str, *, alive: int = 3) -> None:
    """Wait until every book is synced on two nodes, as one node sees it, and so many nodes are alive."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            status = await cluster.nodes[name].ask("status")
            nodes = sum(each["state"] == "alive" for each in status["nodes"])
            if nodes == alive and all(book["synced"] == 2 for book in status["books"]):
                return
            await asyncio.sleep(0.05)


async def test_readers_notice_no_loss_of_a_node(tmp_path: Path) -> None:
    async with running(tmp_path) as (server, cluster):
        urls = [node.url for node in cluster.nodes.values()]
        async with depthcache.connect(SPOT, SYMBOLS, server=urls) as books:
            await books.wait_synced()
            reader = Reader(books, server.truth)
            await cluster.nodes["b2"].kill()
            await whole(cluster, "a1", alive=2)
            reader.assert_true()
            await cluster.nodes["b2"].start()
            await whole(cluster, "a1")
            cluster.nodes["a1"].signal(signal.SIGSTOP)
            await whole(cluster, "c3", alive=2)
            await books.wait_synced()
            reader.assert_true()
            cluster.nodes["a1"].signal(signal.SIGCONT)
            await whole(cluster, "c3")
            await books.wait_synced()
            reader.assert_true()
            assert reader.errors == []
            assert reader.updates > 0
