"""Whole nodes in one process: real clients, book servers and sockets, on the cluster's in-memory engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from depthcache import Settings, simulator
from depthcache.cluster.core.members import Node
from depthcache.cluster.core.node import SelfRegistration
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.data_folder import Identity
from depthcache.cluster.memory_network import MemoryCluster
from depthcache.cluster.running_node import ClusterNode, NodeOptions
from depthcache.model import Status
from depthcache.server import ServerConfig
from depthcache.simulator import TINY, differences
from tests.server.asking import DEADLINE_S

SPOT = "binance.com"
SYMBOLS = tuple(f"SYM{number}USDT" for number in range(6))


def exchange(seed: int = 5, symbols: tuple[str, ...] = SYMBOLS) -> simulator.Server:
    """An exchange on loopback with small markets."""
    markets = {SPOT: {symbol: replace(TINY, interval_ms=100) for symbol in symbols}}
    return simulator.Server(simulator.SimulatedExchange(markets, seed=seed))


@dataclass
class Cluster:
    """Nodes of one process, by name."""

    exchange: simulator.Server
    folder: Path
    wire: MemoryCluster = field(default_factory=MemoryCluster)
    nodes: dict[str, ClusterNode] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    registrations: dict[str, SelfRegistration] = field(default_factory=dict)
    """Of nodes that have the secrets of the cluster."""

    def settings(self) -> Settings:
        return self.exchange.settings

    def make(self, name: str, **changes: Any) -> ClusterNode:
        """A node that does not run yet."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        self.runs[name] = self.runs.get(name, 0) + 1
        facts = {"id": name, "run": self.runs[name], "address": "127.0.0.1:0"} | changes
        identity = Identity("test", Node(**facts), "", "", "", (), name == "a1")
        options = NodeOptions(
            folder=folder,
            server=ServerConfig(port=self.ports.get(name, 0), data_dir=folder, drain_s=0.1),
            settings=self.settings(),
            network=self.wire.network,
            registration=self.registrations.get(name),
        )
        return ClusterNode(identity, options)

    async def start(self, name: str, *, issuer: str | None = None, **changes: Any) -> ClusterNode:
        """A new node joins, or one starts again."""
        node = self.make(name, **changes)
        if issuer is not None:
            from depthcache.cluster.wanted_file import WantedFile

            await self.nodes[issuer].runner.register(name)
            path = node.options.folder / "wanted.journal"
            WantedFile(path).append([self.nodes[issuer].runner.core.snapshot()])
        self.nodes[name] = await node.__aenter__()
        self.ports[name] = node.server.port
        return node

    async def three(self) -> tuple[ClusterNode, ClusterNode, ClusterNode]:
        """Three nodes that see each other."""
        one = await self.start("a1")
        two = await self.start("b2", issuer="a1")
        await self.see_each_other()
        three = await self.start("c3", issuer="a1")
        await self.see_each_other()
        return one, two, three

    async def see_each_other(self) -> None:
        """Wait until all nodes see all others."""
        others = len(self.nodes) - 1
        for node in self.nodes.values():
            await until(lambda node=node: len(node.runner.core.members.alive()) == others)  # type: ignore[misc]

    async def stop(self, name: str) -> None:
        """The process of a node ends; it may start again."""
        await self.nodes.pop(name).close()

    def kill(self, name: str) -> ClusterNode:
        """The node is gone without a goodbye, for the other nodes; close it at the end."""
        self.wire.kill(name)
        return self.nodes.pop(name)

    def synced_on(self, key: BookKey) -> set[str]:
        """The nodes whose book is synced."""
        return {
            name
            for name, node in self.nodes.items()
            if key in node.books._client.books
            if node.books[key].status is Status.SYNCED
        }

    def is_whole(self, replicas: int) -> bool:
        """Whether every wanted book is synced on as many nodes as it should be."""
        wanted = next(iter(self.nodes.values())).runner.core.wanted.books()
        most = min(replicas, len(self.nodes))
        return all(len(self.synced_on(key)) == most for key in wanted)

    def assert_true(self) -> None:
        """Every synced book equals the exchange's at its id."""
        for node in self.nodes.values():
            for book in node.books:
                if book.status is Status.SYNCED:
                    assert differences(book.freeze(), self.exchange.truth(SPOT, book.symbol)) == 0


@asynccontextmanager
async def cluster(folder: Path, **changes: Any) -> AsyncIterator[Cluster]:
    """A cluster without nodes; those that were started are closed at the end."""
    with exchange(**changes) as server:
        found = Cluster(server, folder)
        started: list[ClusterNode] = []
        make = found.make

        def remembered(name: str, **given: Any) -> ClusterNode:
            node = make(name, **given)
            started.append(node)
            return node

        found.make = remembered  # type: ignore[method-assign]
        try:
            yield found
        finally:
            for node in started:
                await node.close()


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(DEADLINE_S):
        while not is_so():  # noqa: ASYNC110 - a book has no event for every change
            await asyncio.sleep(0.005)
