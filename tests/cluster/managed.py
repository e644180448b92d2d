"""A node whose core is moved by hand, for tests of what manages it: no network, no disk, no books."""

from __future__ import annotations

from collections.abc import Mapping

from depthcache.cluster.core.access_tokens import Role
from depthcache.cluster.core.members import Member, MemberState, Node
from depthcache.cluster.core.node import NodeCore
from depthcache.cluster.core.ownership import ReplicaState
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.core.replicated_map import Value
from depthcache.cluster.core.wanted_set import WantedSet
from depthcache.cluster.errors import ChangeNotStored, JoinRefused
from depthcache.cluster.management import Invitation, NewToken
from depthcache.cluster.status import ClusterStatus, EgressWeight, Move, read_status

CLUSTER = "amber-fox"
WALL_MS = 1_796_000_000_000
JOIN_TOKEN = "dcj_" + "5" * 64 + "_joinsecretjoinsecret"
NEW_TOKEN = "dcr_" + "rotated" * 3
BTC, ETH = BookKey("binance.com", "BTCUSDT"), BookKey("binance.com", "ETHUSDT")


def facts(peer: str, **more: str) -> Node:
    return Node(id=peer, run=1, address=f"10.0.0.{int(peer, 16)}:42081", **more)


class FakeRunner:
    """Carries out changes at once; the disk can be full."""

    def __init__(self, core: NodeCore) -> None:
        self.core: NodeCore = core
        self.is_full: bool = False

    def _stored(self) -> int:
        self.core.take_commands(0)
        if self.is_full:
            raise ChangeNotStored(stored=0, needed=1, reason="disk: No space left on device")
        return 1

    async def create(self, *keys: BookKey, replicas: int, settings: Mapping[str, Value]) -> int:
        self.core.create(*keys, replicas=replicas, settings=settings, now_ns=0, wall_ms=WALL_MS)
        return self._stored()

    async def change(self, *keys: BookKey, replicas: int | None, settings: Mapping[str, Value]) -> int:
        self.core.change(*keys, replicas=replicas, settings=settings, now_ns=0, wall_ms=WALL_MS)
        return self._stored()

    async def stop(self, *keys: BookKey) -> int:
        self.core.stop_books(*keys, now_ns=0, wall_ms=WALL_MS)
        return self._stored()

    async def drain(self, node: str, *, draining: bool) -> int:
        self.core.drain(node, draining=draining, now_ns=0, wall_ms=WALL_MS)
        return self._stored()


class FakeNode:
    """Node a1 of a cluster with some others, which are all alive."""

    def __init__(self, *others: str, can_issue: bool = True) -> None:
        wanted = WantedSet("a1")
        for each in ("a1", *others):
            wanted.register(each, wall_ms=WALL_MS)
        core = NodeCore(facts("a1"), wanted)
        core.start(0, WALL_MS)
        for each in others:
            core.on_member(Member(facts(each), MemberState.ALIVE), 0)
        core.take_commands(0)
        self.runner: FakeRunner = FakeRunner(core)
        self.history: list[Move] = []
        self.reasons: dict[BookKey, str] = {}
        self.rotated: list[Role] = []
        self.is_leaving: bool = False
        self._can_issue = can_issue

    @property
    def core(self) -> NodeCore:
        return self.runner.core

    def see(self, peer: str, state: MemberState) -> None:
        """Another node is seen differently."""
        self.core.on_member(Member(facts(peer), state), 0)
        self.core.take_commands(0)

    def report(self, peer: str, key: BookKey, state: ReplicaState | None) -> None:
        """A node reports a book; a1 is this one."""
        if peer == "a1":
            assert state is not None
            self.core.on_replica(key, state)
        else:
            self.core.books.on_report(peer, key, state, 0)
        self.core.take_commands(0)

    def status(self) -> ClusterStatus:
        weight = EgressWeight(egress="", exchange="binance.com", nodes=1, used=120, limit=6_000)
        return read_status(self.core, cluster=CLUSTER, reasons=self.reasons, weights=[weight])

    def moves(self) -> list[Move]:
        return self.history

    def invite(self) -> Invitation:
        if not self._can_issue:
            raise JoinRefused(reason="this node has no key of the authority: ask node a1")
        return Invitation(command=("cluster", "join", "10.0.0.1:42080", JOIN_TOKEN), valid_s=1_800)

    async def rotate_token(self, role: Role) -> NewToken:
        self.rotated.append(role)
        return NewToken(secret=NEW_TOKEN, old_until_ms=WALL_MS + 3_600_000)

    async def remove(self, node: str) -> int:
        self.core.deny(node, until_ms=WALL_MS + 1, now_ns=0, wall_ms=WALL_MS)
        self.core.take_commands(0)
        return 1

    def begin_leaving(self) -> None:
        self.is_leaving = True
