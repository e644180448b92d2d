"""What a node says of its cluster, as it sees it: nodes, books with their replicas, request weight, moves.

Nodes may differ for a moment: each tells what it knows. `read_status` makes a status of the node's core.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from depthcache.cluster.core.members import MemberState
from depthcache.cluster.core.node import NodeCore
from depthcache.cluster.core.ownership import ReplicaState
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.core.replicated_map import Value

__all__ = [
    "AWAY",
    "BookStatus",
    "ClusterStatus",
    "EgressWeight",
    "Move",
    "NodeStatus",
    "ReplicaStatus",
    "read_status",
]

AWAY = "away"
"""The state of a node that belongs to the cluster and is not seen: it is down, or cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """A node that belongs to the cluster.

    Attributes:
        node: its id.
        state: `alive`, `suspect` or `away`.
        is_draining: whether it is to hold no books.
        address: host and port of its server; empty for one that was never seen.
        zone, egress, capacity: as it was started; empty, and 0, for one that was never seen.
        replicas: books that it holds or gets.
        synced: those of them that can be read.
    """

    node: str
    state: str
    is_draining: bool
    address: str = ""
    zone: str = ""
    egress: str = ""
    capacity: float = 0.0
    replicas: int = 0
    synced: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaStatus:
    """A book on one node.

    Attributes:
        node: its id.
        state: `waiting`, `starting`, `synced` or `stale`.
        reason: why it is not synced; empty where it is, and where only that node knows.
    """

    node: str
    state: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookStatus:
    """A book that the cluster keeps.

    Attributes:
        exchange, symbol: its names.
        wanted: replicas that were asked for.
        possible: as many of them as there are nodes that may hold it.
        settings: what else was said about it, by name.
        created_ms: when it was created, in milliseconds since 1970.
        owners: the nodes that should hold it.
        replicas: what nodes hold of it.
    """

    exchange: str
    symbol: str
    wanted: int
    possible: int
    settings: Mapping[str, Value]
    created_ms: int
    owners: tuple[str, ...]
    replicas: tuple[ReplicaStatus, ...]

    @property
    def synced(self) -> int:
        """Replicas that can be read."""
        return sum(each.state == ReplicaState.SYNCED.value for each in self.replicas)


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressWeight:
    """The request weight of the nodes that reach an exchange from one address.

    Attributes:
        egress: the name of the group; empty for the nodes that were started without one.
        exchange: the exchange.
        nodes: how many of its nodes are up.
        used: weight of the current minute, as the exchange counts it; None where this node does not know.
        limit: weight a minute that the exchange allows for one address.
    """

    egress: str
    exchange: str
    nodes: int
    used: int | None
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A book came to a node or went.

    Attributes:
        at_ms: when, in milliseconds since 1970.
        exchange, symbol: the book.
        node: the node.
        what: what happened, such as `started`, `synced` or `stopped`.
        why: the reason.
    """

    at_ms: int
    exchange: str
    symbol: str
    node: str
    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterStatus:
    """The cluster as one node sees it.

    Attributes:
        cluster: its name.
        node: the node that says it.
        nodes: all that belong to the cluster, by id.
        books: all that the cluster keeps, by exchange and symbol.
        weights: of the groups and exchanges that are known to this node.
    """

    cluster: str
    node: str
    nodes: tuple[NodeStatus, ...]
    books: tuple[BookStatus, ...]
    weights: tuple[EgressWeight, ...] = ()


def read_status(
    core: NodeCore,
    *,
    cluster: str,
    reasons: Mapping[BookKey, str] | None = None,
    weights: Iterable[EgressWeight] = (),
) -> ClusterStatus:
    """The status of a cluster in the eyes of a node.

    `reasons`: why books of this node are not synced. `weights`: what its client knows of request weight.
    """
    wanted, me = core.wanted, core.members.me.id
    found = sorted(wanted.books().items())
    draining, registered = wanted.draining(), wanted.registered() | {me}
    may_own = len({node.id for node in core.members.not_dead()} & (registered - draining)) or 1
    reasons = reasons or {}
    books = tuple(
        BookStatus(
            exchange=key.exchange,
            symbol=key.symbol,
            wanted=book.replicas,
            possible=min(book.replicas, may_own),
            settings=dict(book.settings),
            created_ms=wanted.created_ms(key),
            owners=core.books.owners(key),
            replicas=tuple(
                ReplicaStatus(node=peer, state=state.value, reason=_reason(peer, me, key, state, reasons))
                for peer, state in sorted(core.books.replicas(key).items())
            ),
        )
        for key, book in found
    )
    held: dict[str, list[str]] = {}
    for each in books:
        for replica in each.replicas:
            held.setdefault(replica.node, []).append(replica.state)
    nodes = tuple(
        _node(core, peer, draining, held.get(peer, [])) for peer in sorted(registered, key=_by_number)
    )
    return ClusterStatus(cluster=cluster, node=me, nodes=nodes, books=books, weights=tuple(weights))


def _reason(peer: str, me: str, key: BookKey, state: ReplicaState, reasons: Mapping[BookKey, str]) -> str:
    if state is ReplicaState.WAITING:
        return "waits until another node has it"
    return reasons.get(key, "") if peer == me and state is not ReplicaState.SYNCED else ""


def _node(core: NodeCore, peer: str, draining: frozenset[str], states: list[str]) -> NodeStatus:
    node = core.members.node(peer)
    is_draining, synced = peer in draining, states.count(ReplicaState.SYNCED.value)
    if node is None:
        return NodeStatus(node=peer, state=AWAY, is_draining=is_draining)
    state = MemberState.ALIVE if core.members.is_alive(peer) else MemberState.SUSPECT
    return NodeStatus(
        node=peer,
        state=state.value,
        is_draining=is_draining,
        address=node.address,
        zone=node.zone,
        egress=node.egress,
        capacity=node.capacity,
        replicas=len(states),
        synced=synced,
    )


def _by_number(node: str) -> tuple[int, str]:
    return len(node), node
