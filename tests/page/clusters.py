"""A cluster of real nodes for tests of the page, which run no event loop of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from depthcache.cluster.authority import Authority
from depthcache.cluster.core.ownership import ReplicaState
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.core.replicated_map import Value
from tests.cluster.managed import CLUSTER, WALL_MS, FakeAdmission, FakeNode
from tests.cluster.managed import serving as serving_node
from tests.cluster.processes import SYMBOLS, NodeProcess, Processes, running
from tests.server.asking import READ
from tests.server.clustering import issue

__all__ = ["FakeCluster", "RealCluster", "fake_cluster", "real_cluster"]

T = TypeVar("T")
_START_S = 240


class FakeCluster:
    """The page of a node whose core is moved by hand."""

    def __init__(self, node: FakeNode, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self.node, self.url, self._loop = node, url, loop

    @property
    def link(self) -> str:
        return f"{self.url}/#token={READ}"

    def do(self, call: Callable[[], T]) -> T:
        """Make a call on the loop of the node."""

        async def work() -> T:
            return call()

        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(_START_S)

    def keep(self, *keys: BookKey, replicas: int = 2, **settings: int) -> None:
        """The cluster keeps books, which are synced at a1 and b2."""

        def work() -> None:
            self.node.core.create(*keys, replicas=replicas, settings=settings, now_ns=0, wall_ms=WALL_MS)
            self.node.core.take_commands(0)
            for key in keys:
                self.node.core.books.on_report("b2", key, ReplicaState.SYNCED, 0)
            self.node.core.take_commands(0)
            for key in keys:
                self.node.core.on_replica(key, ReplicaState.SYNCED)
            self.node.core.take_commands(0)

        self.do(work)

    @property
    def books(self) -> dict[str, tuple[int, dict[str, Value]]]:
        """Replicas and settings of the books that the cluster keeps, by symbol."""
        found = self.do(lambda: dict(self.node.core.wanted.books()))
        return {key.symbol: (book.replicas, dict(book.settings)) for key, book in found.items()}


@contextmanager
def fake_cluster(folder: Path, *others: str, admission: FakeAdmission | None = None) -> Iterator[FakeCluster]:
    """Node a1 with others, as `FakeNode`, and its page."""
    authority = Authority.create(CLUSTER, now=datetime.now(UTC))
    proof = issue(authority, "a1")
    certificates = {
        "node": "a1",
        "authority": authority.certificate,
        "certificate": proof.certificate,
        "key": proof.key,
    }
    made: list[FakeCluster] = []
    is_ready, over = threading.Event(), list[asyncio.Event]()

    async def run() -> None:
        try:
            over.append(asyncio.Event())
            node = FakeNode(*others)
            async with serving_node(folder, node, cluster=certificates, admission=admission) as running:
                made.append(FakeCluster(node, running.url, asyncio.get_running_loop()))
                is_ready.set()
                await over[0].wait()
        finally:
            is_ready.set()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        assert is_ready.wait(_START_S)
        yield made[0]
    finally:
        if made:
            made[0]._loop.call_soon_threadsafe(over[0].set)
        thread.join()


class RealCluster:
    """Nodes in processes of their own, moved from a thread that has no event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, processes: Processes) -> None:
        self.processes, self._loop = processes, loop

    def __getitem__(self, name: str) -> NodeProcess:
        return self.processes[name]

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for what a node is asked."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_START_S)

    def link(self, name: str) -> str:
        """The page of a node, with the read token."""
        return str(self[name].facts["page"])

    def admin(self, name: str) -> str:
        return self[name].secret("admin")


@contextmanager
def real_cluster(
    folder: Path, names: str = "abc", *, symbols: Sequence[str] = SYMBOLS, options: Sequence[str] = ()
) -> Iterator[RealCluster]:
    """A cluster whose books are synced."""
    made: list[RealCluster] = []
    failed: list[BaseException] = []
    is_ready = threading.Event()
    over: list[asyncio.Event] = []

    async def run() -> None:
        try:
            over.append(asyncio.Event())
            async with running(folder, names, *options, symbols=symbols) as processes:
                made.append(RealCluster(asyncio.get_running_loop(), processes))
                is_ready.set()
                await over[0].wait()
        except BaseException as error:
            failed.append(error)
            raise
        finally:
            is_ready.set()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        assert is_ready.wait(_START_S)
        if failed:
            raise failed[0]
        yield made[0]
    finally:
        if made:
            made[0]._loop.call_soon_threadsafe(over[0].set)
        thread.join()
