"""The nodes of a cluster, and how far one node sees the others.

A member is *suspect* as soon as its connection is lost or silent for a lease of 1 s: readers go elsewhere
at once. It is *dead* when it was suspect for another second: then its books get other owners. A wrong guess
costs one further copy of a book, never a wrong answer, so nodes need not agree: each acts on its own view.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum

from depthcache.cluster.core.protocol import FIRST, ProtocolRange

__all__ = ["DEAD_AFTER_NS", "Member", "MemberState", "Membership", "Node", "NodeState"]

DEAD_AFTER_NS = 1_000_000_000
"""How long a node is suspect before its books get other owners."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The facts of a node, which do not change while its process runs.

    Attributes:
        id: lower-case hexadecimal digits without a leading zero; kept over restarts with the node's data.
        run: larger after every start of its process: seconds since 1970 then, as a rule.
        address: host and port at which other nodes and readers reach its server.
        zone: nodes of one zone fail together: a rack, a host; copies of a book go to different zones.
        capacity: its share of the books against the other nodes, larger than 0.
        egress: nodes with the same name reach the exchange from one address and share its request weight.
        protocol: the versions of the protocol between nodes that it speaks.
        version: of its package, for people; empty if it does not say it.
    """

    id: str
    run: int
    address: str
    zone: str = ""
    capacity: float = 1.0
    egress: str = ""
    protocol: ProtocolRange = FIRST
    version: str = ""


class NodeState(StrEnum):
    """How a node of the cluster is seen by another one: in the status, metrics, and the log."""

    ALIVE = "alive"
    """It is up."""
    DRAINING = "draining"
    """It is up, and holds no books or hands them over."""
    SUSPECT = "suspect"
    """It has been silent for a moment."""
    AWAY = "away"
    """It does not run, or cannot be reached."""
    INCOMPATIBLE = "incompatible"
    """It runs a release that speaks no version of the protocol that this one speaks."""
    REMOVED = "removed"
    """It was removed from the cluster."""


class MemberState(Enum):
    """What the messaging engine says of another node."""

    ALIVE = "alive"
    """Its connection is up."""
    SUSPECT = "suspect"
    """Its connection was lost, or nothing came for a lease. It may be dead, frozen, cut off or restarting."""
    LEFT = "left"
    """It said goodbye."""


@dataclass(frozen=True, slots=True)
class Member:
    """Another node, as one node sees it."""

    node: Node
    state: MemberState


class Membership:
    """The view of one node. Call `on_member` for each change, and `on_time` when `next_ns` has come."""

    __slots__ = ("_members", "_suspect_ns", "me")

    def __init__(self, me: Node) -> None:
        self.me: Node = me
        self._members: dict[str, Member] = {}
        self._suspect_ns: dict[str, int] = {}

    # --- getters ---------------------------------------------------------------------------

    def is_alive(self, node: str) -> bool:
        """Whether a node can be asked: this one, or a member that is not suspect."""
        member = self._members.get(node)
        return node == self.me.id or (member is not None and member.state is MemberState.ALIVE)

    def is_dead(self, node: str) -> bool:
        """Whether a node was suspect for too long, left, or was never seen."""
        return node != self.me.id and node not in self._members

    def alive(self) -> tuple[str, ...]:
        """The other nodes that are not suspect."""
        return tuple(peer for peer, each in self._members.items() if each.state is MemberState.ALIVE)

    def not_dead(self) -> tuple[Node, ...]:
        """This node, the others that are alive, and those that have just become suspect: who owns books."""
        return (self.me, *(each.node for each in self._members.values()))

    def next_ns(self) -> int | None:
        """When a suspect node will be dead; None if none is suspect."""
        return min(self._suspect_ns.values()) + DEAD_AFTER_NS if self._suspect_ns else None

    def node(self, peer: str) -> Node | None:
        """The facts of a node; None if it is no member."""
        if peer == self.me.id:
            return self.me
        member = self._members.get(peer)
        return None if member is None else member.node

    def protocol_with(self, peer: str) -> int:
        """The version of the protocol that this node and a member use; the oldest one for any other node."""
        node = self.node(peer)
        common = None if node is None else self.me.protocol.common(node.protocol)
        return self.me.protocol.oldest if common is None else common

    # --- what happened ---------------------------------------------------------------------

    def on_member(self, member: Member, now_ns: int) -> bool:
        """A member was seen, became suspect or left. True if that changes anything."""
        peer = member.node.id
        before = self._members.get(peer)
        if peer == self.me.id or before == member:
            return False
        if before is not None and member.node.run < before.node.run:
            return False  # late news of an earlier process
        if member.state is MemberState.LEFT:
            self._forget(peer)
            return before is not None
        if member.state is MemberState.SUSPECT and before is None:
            return False
        self._members[peer] = member
        if member.state is MemberState.ALIVE:
            self._suspect_ns.pop(peer, None)
        else:
            self._suspect_ns.setdefault(peer, now_ns)
        return True

    def on_time(self, now_ns: int) -> tuple[str, ...]:
        """Returns the nodes that are dead now, and forgets them."""
        found = tuple(peer for peer, at in self._suspect_ns.items() if now_ns - at >= DEAD_AFTER_NS)
        for peer in found:
            self._forget(peer)
        return found

    def _forget(self, peer: str) -> None:
        self._members.pop(peer, None)
        self._suspect_ns.pop(peer, None)
