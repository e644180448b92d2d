"""A node whose core is moved by hand, for tests of what manages it: no network, no disk, no books."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import depthcache
from depthcache import Settings, server
from depthcache.cluster.compat_management import ClusterCompat
from depthcache.cluster.core.access_tokens import Role
from depthcache.cluster.core.members import Member, MemberState, Node
from depthcache.cluster.core.node import NodeCore
from depthcache.cluster.core.ownership import ReplicaState
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.core.replicated_map import Value
from depthcache.cluster.core.wanted_set import CertificateReport, WantedSet
from depthcache.cluster.data_folder import Identity
from depthcache.cluster.errors import ChangeNotStored, JoinRefused
from depthcache.cluster.management import ClusterManagement, Invitation, NewToken
from depthcache.cluster.moves import Move
from depthcache.cluster.running_node import ClusterNode, NodeOptions
from depthcache.errors import UsageError
from depthcache.server import BookServer, ServerConfig
from tests.server.asking import ADMIN, READ

CLUSTER = "amber-fox"
WALL_MS = 1_796_000_000_000
JOIN_TOKEN = "dcj_" + "5" * 64 + "_joinsecretjoinsecret"
NEW_TOKEN = "dcr_" + "rotated" * 3
BTC, ETH = BookKey("binance.com", "BTCUSDT"), BookKey("binance.com", "ETHUSDT")


def facts(peer: str) -> Node:
    """A node, by the number that is its id."""
    return Node(id=peer, run=1, address=f"10.0.0.{int(peer, 16)}:42081")


class FakeRunner:
    """Carries out changes at once; the disk can be full, or slow."""

    def __init__(self, core: NodeCore) -> None:
        self.core: NodeCore = core
        self.is_full: bool = False
        self.may_go_on: asyncio.Event | None = None

    async def _stored(self) -> int:
        self.core.take_commands(0)
        if self.may_go_on is not None:
            await self.may_go_on.wait()
        if self.is_full:
            raise ChangeNotStored(stored=0, needed=1, reason="disk: No space left on device")
        return 1

    async def create(self, *keys: BookKey, replicas: int, settings: dict[str, Value]) -> int:
        self.core.create(*keys, replicas=replicas, settings=settings, now_ns=0, wall_ms=WALL_MS)
        return await self._stored()

    async def change(self, *keys: BookKey, replicas: int | None, settings: dict[str, Value]) -> int:
        self.core.change(*keys, replicas=replicas, settings=settings, now_ns=0, wall_ms=WALL_MS)
        return await self._stored()

    async def stop(self, *keys: BookKey) -> int:
        self.core.stop_books(*keys, now_ns=0, wall_ms=WALL_MS)
        return await self._stored()

    async def drain(self, node: str, *, draining: bool, until_after: int | None = None) -> int:
        self.core.drain(node, draining=draining, until_after=until_after, now_ns=0, wall_ms=WALL_MS)
        return await self._stored()


class FakeHost:
    """Knows why a book is not synced."""

    def __init__(self) -> None:
        self.reasons: dict[BookKey, str] = {}

    def reason(self, key: BookKey) -> str:
        return self.reasons.get(key, "")


async def _silent(_address: str, _path: str) -> bytes | None:
    return None


class FakeNode(ClusterNode):
    """Node a1 of a cluster with some others, which are all alive."""

    def __init__(self, *others: str) -> None:
        wanted = WantedSet("a1")
        for each in ("a1", *others):
            wanted.register(each, wall_ms=WALL_MS)
        core = NodeCore(facts("a1"), wanted)
        core.start(0, WALL_MS)
        for each in others:
            core.on_member(Member(facts(each), MemberState.ALIVE), 0)
        core.take_commands(0)
        identity = Identity(CLUSTER, facts("a1"), "", "", "", (), True)
        self.asked: list[tuple[str, str]] = []
        """Servers of other nodes, and paths."""
        self.peers: Callable[[str, str], Awaitable[bytes | None]] = _silent
        super().__init__(identity, NodeOptions(folder=Path("/nonexistent"), settings=Settings()))
        self.fake: FakeRunner = FakeRunner(core)
        self.runner = self.fake  # type: ignore[assignment]
        self.reasons: FakeHost = FakeHost()
        self.host = self.reasons  # type: ignore[assignment]
        self.history: list[Move] = []
        self.apart: str = ""
        """Why it has not met the other nodes."""
        self.is_leaving: bool = False

    @property
    def core(self) -> NodeCore:
        return self.fake.core

    def see(self, peer: str, state: MemberState) -> None:
        """Another node is seen differently."""
        self.core.on_member(Member(facts(peer), state), 0)
        self.core.take_commands(0)

    def report(self, peer: str, key: BookKey, state: ReplicaState) -> None:
        """A node reports a book; a1 is this one."""
        if peer == "a1":
            self.core.on_replica(key, state)
        else:
            self.core.books.on_report(peer, key, state, 0)
        self.core.take_commands(0)

    def report_key(self, node: str = "a1") -> None:
        """A node says that it has the authority's key."""
        wanted = self.core.wanted
        before, wanted.node = wanted.node, node
        wanted.report_certificate(CertificateReport(frozenset({"5" * 64}), "5" * 64, True), wall_ms=WALL_MS)
        wanted.node = before

    async def remove(self, node: str) -> int:
        self.core.deny(node, until_ms=WALL_MS + 1, now_ns=0, wall_ms=WALL_MS)
        self.core.take_commands(0)
        return 1

    def begin_leaving(self) -> None:
        self.is_leaving = True

    def why_apart(self) -> str:
        return self.apart

    def moves(self) -> tuple[Move, ...]:
        return tuple(self.history)

    def moves_after(self, number: int, most: int) -> tuple[int, tuple[Move, ...]]:
        return len(self.history), tuple(self.history[number : number + most])

    async def _ask_server(self, address: str, path: str) -> bytes | None:
        self.asked.append((address, path))
        return await self.peers(address, path)

    def weight(self) -> list[dict[str, object]]:
        pool = {"pool": "binance.com", "limit": 6_000, "allowed": 3_000, "used": 40, "exchange_used": 120}
        return [{"egress": "", **pool}]


class FakeAdmission:
    """Remembers what was asked of it."""

    def __init__(self, *, can_issue: bool = True) -> None:
        self._can_issue = can_issue
        self.rotated: list[Role] = []
        self.authorities: int = 0
        self.renewals: int = 0

    def invite(self) -> Invitation:
        if not self._can_issue:
            raise JoinRefused(reason="this node does not have the authority's key: ask node a1")
        return Invitation(command=("cluster", "join", "10.0.0.1:42080", JOIN_TOKEN), valid_s=1_800)

    async def rotate_token(self, role: Role) -> NewToken:
        self.rotated.append(role)
        return NewToken(secret=NEW_TOKEN, old_until_ms=WALL_MS + 3_600_000)

    async def renew_certificates(self) -> None:
        self.renewals += 1

    async def rotate_authority(self) -> str:
        if not self._can_issue:
            raise UsageError("this node does not have the authority's key: ask a node that has it")
        self.authorities += 1
        return "5" * 64


@asynccontextmanager
async def serving(
    folder: Path,
    node: FakeNode | None,
    *,
    manages: bool = True,
    port: int = 0,
    cluster: Mapping[str, str] | None = None,
    admission: FakeAdmission | None = None,
) -> AsyncIterator[BookServer]:
    """A server without books of its own, which is that node of a cluster. `cluster`: its certificates, with
    which its page shows the cluster."""
    config = ServerConfig(
        port=port,
        data_dir=folder,
        read_token=READ,
        admin_token=ADMIN,
        compat_listen="127.0.0.1:0",
        compat_manage=manages,
    )
    books = depthcache.connect({}, settings=depthcache.Settings())
    async with books as client:
        made = server.serve(client, config)
        made._cluster = cluster
        async with made as running:
            if node is not None:
                management = ClusterManagement(node, admission or FakeAdmission())
                running._delegate(management, ClusterCompat(node, wall_s=lambda: 1_800.0))
            yield running
