"""A cluster on a virtual clock: nodes with their cores and runners, disks, books and an exchange to follow.

The books are a model: a snapshot of the exchange is right, a copy is as right as the book it was made of. A
frozen process misses updates, so its books are stale once it runs again, until they are resynced; that is
what the books' own watchdogs do. Everything else is the real code of the cluster.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from unittest import mock

from depthcache import logs
from depthcache.cluster.core.commands import FromExchange, Source
from depthcache.cluster.core.members import Node
from depthcache.cluster.core.node import NodeCore, SelfRegistration, load
from depthcache.cluster.core.ownership import ReplicaState
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.core.protocol import FIRST, SPOKEN
from depthcache.cluster.core.wanted_set import WantedBook, WantedSet
from depthcache.cluster.memory_network import MemoryCluster, MemoryNetwork
from depthcache.cluster.runner import NodeRunner
from depthcache.simulator.virtual_loop import VirtualLoop

WALL_MS = 1_796_000_000_000
EXCHANGE_S, COPY_S = 0.4, 0.05
"""How long a snapshot of the exchange takes, and a copy of a sibling."""


class Clock:
    """The virtual clock of all nodes."""

    def __init__(self) -> None:
        self.now_ns: int = 0

    def advance(self, until_ns: int | None) -> None:
        """Jump to the next timer."""
        if until_ns is None:
            raise AssertionError("everything waits for something that will not come")
        self.now_ns = until_ns


class MemoryDisk:
    """What survives the process."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.needs_rewrite: bool = False
        self.is_full: bool = False

    def append(self, payloads: list[bytes]) -> None:
        """As `WantedFile.append`."""
        if self.is_full:
            self.needs_rewrite = True
            raise OSError(28, "No space left on device")
        self.payloads += payloads
        self.needs_rewrite = self.needs_rewrite or len(self.payloads) > 50

    def rewrite(self, payload: bytes) -> None:
        """As `WantedFile.rewrite`."""
        if self.is_full:
            raise OSError(28, "No space left on device")
        self.payloads = [payload]
        self.needs_rewrite = False


@dataclass(slots=True)
class DiskOfProcess:
    """The disk as one process sees it: once that was killed, nothing it writes arrives."""

    disk: MemoryDisk
    is_dead: bool = False

    @property
    def needs_rewrite(self) -> bool:
        """As `WantedFile.needs_rewrite`."""
        return self.disk.needs_rewrite

    @needs_rewrite.setter
    def needs_rewrite(self, value: bool) -> None:
        self.disk.needs_rewrite = value

    def append(self, payloads: list[bytes]) -> None:
        """As `WantedFile.append`."""
        if self.is_dead:
            raise OSError(5, "killed")
        self.disk.append(payloads)

    def rewrite(self, payload: bytes) -> None:
        """As `WantedFile.rewrite`."""
        if self.is_dead:
            raise OSError(5, "killed")
        self.disk.rewrite(payload)


class ProcessClock:
    """Time as a process notices it: not while it is frozen."""

    def __init__(self, clock: Clock, network: MemoryNetwork, skew_ms: int) -> None:
        self._clock, self._network, self.skew_ms = clock, network, skew_ms
        self._is_writing = False

    def now_ns(self) -> int:
        """Virtual nanoseconds."""
        return self._clock.now_ns

    def wall_ms(self) -> int:
        """The node's own idea of the time."""
        return WALL_MS + self.skew_ms + self._clock.now_ns // 1_000_000

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """A timer of the process."""
        return self._network.call_later(delay_s, callback)

    async def run(self, call: Callable[[], None]) -> None:
        """The disk is quick, and makes one write at a time."""
        assert not self._is_writing
        self._is_writing = True
        await asyncio.sleep(0.001)
        self._is_writing = False
        call()


@dataclass(slots=True)
class Replica:
    """A book on a node, in the model."""

    book: WantedBook
    source: Source
    state: ReplicaState = ReplicaState.STARTING
    has_gap: bool = False
    """Whether its own stream missed updates since it began."""
    is_right: bool = False
    """Whether it equals the exchange's book."""


class Books:
    """The books of one node: `runner.ReplicaHost`."""

    def __init__(self, cluster: Cluster, member: TestNode) -> None:
        self._cluster, self._member = cluster, member
        self.replicas: dict[BookKey, Replica] = {}
        self.share: float = 0.0
        self.routes: dict[BookKey, tuple[tuple[str, ...], bool]] = {}
        self.denied: frozenset[str] = frozenset()
        self.copy_of: Callable[[Replica], bool] = lambda replica: replica.state is ReplicaState.SYNCED
        """Whether a replica may be copied: only a synced one; tests plant another rule."""

    def start(self, book: WantedBook, source: Source) -> None:
        """As `StartReplica`."""
        self._cluster.starts.append((self._member.id, book.key, source))
        replica = self.replicas[book.key] = Replica(book, source)
        delay_s = EXCHANGE_S if isinstance(source, FromExchange) else COPY_S
        self._member.network.call_later(delay_s, lambda: self._arrived(replica))

    def update(self, book: WantedBook) -> None:
        """As `UpdateReplica`."""
        self.replicas[book.key].book = book

    def stop(self, key: BookKey) -> None:
        """As `StopReplica`."""
        del self.replicas[key]

    def set_budget_share(self, share: float) -> None:
        """As `SetBudgetShare`."""
        self.share = share

    def set_holders(self, key: BookKey, nodes: tuple[Node, ...], *, is_synced: bool) -> None:
        """As `SetHolders`."""
        self.routes[key] = tuple(node.id for node in nodes), is_synced

    def set_denied(self, nodes: frozenset[str]) -> None:
        """As `SetDenied`."""
        self.denied = nodes

    def on_thawed(self) -> None:
        """Updates were missed: nothing is synced until it is resynced."""
        for key, replica in self.replicas.items():
            replica.has_gap, replica.is_right = True, False
            if replica.state is ReplicaState.SYNCED:
                replica.state = ReplicaState.STALE
                self._member.runner.on_replica(key, replica.state)
                self._member.network.call_later(EXCHANGE_S, lambda replica=replica: self._snapshot(replica))  # type: ignore[misc]

    def _arrived(self, replica: Replica) -> None:
        """A snapshot or a copy arrived, unless the replica was stopped or began anew."""
        if isinstance(replica.source, FromExchange):
            self._snapshot(replica)
        elif self.replicas.get(replica.book.key) is replica:
            self._copy(replica, replica.source.node)

    def _copy(self, replica: Replica, node: str) -> None:
        """Copy a sibling's book and bridge it with the own stream."""
        key = replica.book.key
        sibling = self._cluster.nodes.get(node)
        found = sibling.books.replicas.get(key) if sibling is not None else None
        is_given = (
            found is not None and self._cluster.is_linked(node, self._member.id) and self.copy_of(found)
        )
        if found is None or not is_given or replica.has_gap:
            self._member.runner.on_copy_failed(key)
            return
        self._synced(replica, is_right=found.is_right)

    def _snapshot(self, replica: Replica) -> None:
        if self.replicas.get(replica.book.key) is replica:
            self._synced(replica, is_right=True)

    def _synced(self, replica: Replica, *, is_right: bool) -> None:
        replica.state, replica.is_right, replica.has_gap = ReplicaState.SYNCED, is_right, False
        self._member.runner.on_replica(replica.book.key, replica.state)


class TestNode:
    """One process of a node."""

    __test__ = False

    def __init__(
        self,
        cluster: Cluster,
        me: Node,
        disk: MemoryDisk,
        skew_ms: int,
        registration: SelfRegistration | None = None,
    ) -> None:
        self.id: str = me.id
        self.network: MemoryNetwork = cluster.wire.network()
        self.disk: DiskOfProcess = DiskOfProcess(disk)
        self.books: Books = Books(cluster, self)
        self.removed: str = ""
        wanted = WantedSet(me.id)
        load(wanted, disk.payloads)
        self.runner: NodeRunner = NodeRunner(
            NodeCore(me, wanted, registration=registration),
            self.network,
            disk=self.disk,
            host=self.books,
            clock=ProcessClock(cluster.clock, self.network, skew_ms),
            on_stop=self._on_stop,
        )

    @property
    def core(self) -> NodeCore:
        """Its decisions."""
        return self.runner.core

    def _on_stop(self, reason: str) -> None:
        self.removed = reason


@dataclass(slots=True)
class Cluster:
    """All nodes, their disks, and the wire between them."""

    wire: MemoryCluster = field(default_factory=MemoryCluster)
    clock: Clock = field(default_factory=Clock)
    nodes: dict[str, TestNode] = field(default_factory=dict)
    disks: dict[str, MemoryDisk] = field(default_factory=dict)
    facts: dict[str, Node] = field(default_factory=dict)
    skews_ms: dict[str, int] = field(default_factory=dict)
    registrations: dict[str, SelfRegistration] = field(default_factory=dict)
    """Of nodes that have the secrets of the cluster."""
    frozen: set[str] = field(default_factory=set)
    starts: list[tuple[str, BookKey, Source]] = field(default_factory=list)
    """Every replica that was started, and from where."""

    def run(self, test: Callable[[Cluster], Awaitable[None]]) -> None:
        """Run a test in virtual time."""
        loop, errors = VirtualLoop(self.clock), list[BaseException]()
        with mock.patch.object(logs, "unexpected", lambda *, where, error: errors.append(error)):
            try:
                loop.run_until_complete(self._run(test))
            finally:
                loop.run_until_complete(self._end())
                loop.close()
        assert errors == []

    async def join(
        self,
        peer: str,
        *,
        issuer: str | None = None,
        zone: str = "",
        egress: str = "",
        skew_ms: int = 0,
    ) -> TestNode:
        """A new node joins; all but the first through another one."""
        self.disks[peer] = MemoryDisk()
        self.facts[peer] = Node(id=peer, run=0, address=f"{peer}:1", zone=zone, egress=egress)
        self.skews_ms[peer] = skew_ms
        if issuer is not None:
            await self.nodes[issuer].runner.register(peer)
            self.disks[peer].append([self.nodes[issuer].core.snapshot()])
        return await self.start(peer)

    async def appear(self, peer: str, *, is_ephemeral: bool = False, skew_ms: int = 0) -> TestNode:
        """A new node that has the secrets of the cluster."""
        self.registrations[peer] = SelfRegistration(listen=f"{peer}:2", is_ephemeral=is_ephemeral)
        return await self.join(peer, skew_ms=skew_ms)

    async def start(self, peer: str) -> TestNode:
        """Start the process of a node, or start it again: with an older protocol or the newest one."""
        before = self.facts[peer]
        run = before.run + 1
        is_older = (run + len(self.nodes)) % 2
        me = self.facts[peer] = replace(before, run=run, protocol=FIRST if is_older else SPOKEN)
        given = self.registrations.get(peer)
        node = self.nodes[peer] = TestNode(self, me, self.disks[peer], self.skews_ms[peer], given)
        await node.runner.start()
        return node

    def kill(self, peer: str) -> None:
        """kill -9."""
        node = self.nodes.pop(peer)
        node.disk.is_dead = True
        self.frozen.discard(peer)
        self.wire.kill(peer)

    def freeze(self, peer: str) -> None:
        """SIGSTOP."""
        self.frozen.add(peer)
        self.wire.freeze(peer)

    def thaw(self, peer: str) -> None:
        """SIGCONT."""
        self.frozen.discard(peer)
        self.nodes[peer].network.run(self.nodes[peer].books.on_thawed)
        self.wire.thaw(peer)

    async def leave(self, peer: str) -> None:
        """A node hands its books over and leaves for good."""
        node = self.nodes[peer]
        async with asyncio.timeout(60):
            await node.runner.retire()
        del self.nodes[peer]

    async def end(self, peer: str) -> None:
        """SIGTERM: a node hands over what it alone has, and ends; an ephemeral one leaves."""
        node, given = self.nodes[peer], self.registrations.get(peer)
        async with asyncio.timeout(60):
            if given is not None and given.is_ephemeral:
                await node.runner.hand_over_all()
                await node.runner.leave()
            else:
                await node.runner.hand_over()
        await node.runner.close()
        del self.nodes[peer]

    def cut(self, sides: tuple[set[str], set[str]]) -> None:
        """Cut the cluster in two."""
        for one in sides[0]:
            for other in sides[1]:
                self.wire.cut(one, other)
                self.wire.cut(other, one)

    def is_linked(self, one: str, other: str) -> bool:
        """Whether two nodes can reach each other."""
        up = {one, other} <= self.nodes.keys() and not {one, other} & self.frozen
        return up and not {(one, other), (other, one)} & self.wire.cuts

    async def until(self, is_so: Callable[[], bool], *, within_s: float = 60.0) -> float:
        """Let time pass until something is so. Returns the seconds it took."""
        began_ns = self.clock.now_ns
        while not is_so():
            passed_s = (self.clock.now_ns - began_ns) / 1e9
            assert passed_s <= within_s, f"not within {within_s:g} s"
            await asyncio.sleep(0.05)
        return (self.clock.now_ns - began_ns) / 1e9

    def synced_on(self, key: BookKey) -> set[str]:
        """The nodes that say that they hold a book synced, frozen ones left out."""
        return {
            peer
            for peer, node in self.nodes.items()
            if peer not in self.frozen
            if (replica := node.books.replicas.get(key)) is not None and replica.state is ReplicaState.SYNCED
        }

    def false_synced(self) -> list[tuple[str, BookKey]]:
        """Replicas that say synced and are not right."""
        return [
            (peer, key)
            for peer, node in self.nodes.items()
            for key, replica in node.books.replicas.items()
            if peer not in self.frozen and replica.state is ReplicaState.SYNCED and not replica.is_right
        ]

    async def _run(self, test: Callable[[Cluster], Awaitable[None]]) -> None:
        await test(self)

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
