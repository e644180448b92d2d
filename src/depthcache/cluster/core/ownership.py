"""Which books this node holds, and where it gets them: the take-over of books from node to node.

Theory of operation. Placement names the *owners* of every wanted book. Each node acts alone, on what it
knows:

* An owner without a replica starts one. It copies the book from a *sibling*, a node that has it synced.
  Only if there is none, it asks the exchange; and only the first owner does so, the others wait for it, as
  long as it lives and makes progress. So second copies and moves cost no request weight.
* A node that owns a book no longer keeps serving it until every owner has reported it synced (handover).
  So a move is never seen by readers, and a book that no other node can get is not given up.
* Readers are sent to nodes that are alive and have reported the book synced (`holders`). A suspect node
  is asked after all others, and stays owner until it is dead.

Every node tells the others the states of its replicas. States arrive late; a late one costs a further try
or a further copy, never a wrong answer, because every answer carries the state of the replica that made it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from depthcache.cluster.core.commands import (
    Command,
    FromExchange,
    FromSibling,
    SetHolders,
    Source,
    StartReplica,
    StopReplica,
    UpdateReplica,
)
from depthcache.cluster.core.members import Membership, Node
from depthcache.cluster.core.placement import BookKey, place
from depthcache.cluster.core.wanted_set import WantedBook

__all__ = ["SHARED_WAIT_NS", "SIBLING_WAIT_NS", "WANTED", "Ownership", "ReplicaState"]

WANTED = "created or changed"
_NO_ROUTE: tuple[tuple[Node, ...], bool] = ((), False)

SIBLING_WAIT_NS = 30_000_000_000
"""How long to wait for a node that is getting the book, since it last made progress with any book."""
SHARED_WAIT_NS = 90_000_000_000
"""The same for a node that has begun and shares the exchange's request weight with this one: it may wait for
the next minute's weight, and this node would only take it away."""


class ReplicaState(Enum):
    """The state of a book on one node."""

    WAITING = "waiting"
    """It owns the book and waits until another node has it."""
    STARTING = "starting"
    """It is getting the book and was not synced yet."""
    SYNCED = "synced"
    """Its book can be trusted."""
    STALE = "stale"
    """Its book was synced and cannot be trusted now; it resyncs by itself."""


@dataclass(slots=True)
class _Replica:
    book: WantedBook
    state: ReplicaState
    since_ns: int
    source: Source | None = None
    failed: set[str] = field(default_factory=set)
    """Siblings that did not give the book since it was last synced."""


class Ownership:
    """The books of one node. Report what happened, then call `decide` for the commands."""

    __slots__ = (
        "_changes",
        "_dirty",
        "_members",
        "_nodes",
        "_owners",
        "_progress_ns",
        "_replicas",
        "_reports",
        "_routes",
        "_to_route",
        "_why",
        "_why_view",
        "revision",
    )

    def __init__(self, members: Membership) -> None:
        self.revision: int = 0
        """Grows with every change of what the getters return, and may grow without one."""
        self._members = members
        self._nodes: tuple[Node, ...] = (members.me,)
        self._owners: dict[BookKey, tuple[str, ...]] = {}
        self._replicas: dict[BookKey, _Replica] = {}
        self._reports: dict[str, dict[BookKey, ReplicaState]] = {}
        self._progress_ns: dict[str, int] = {}
        self._dirty: set[BookKey] = set()
        self._changes: dict[BookKey, ReplicaState | None] = {}
        self._to_route: set[BookKey] = set()
        """Books whose holders may have changed."""
        self._routes: dict[BookKey, tuple[tuple[Node, ...], bool]] = {}
        """As last given out."""
        self._why: dict[BookKey, str] = {}
        self._why_view = ""

    # --- getters ---------------------------------------------------------------------------

    def owners(self, key: BookKey) -> tuple[str, ...]:
        """The nodes that placement names, first choice first; empty for a book that is not wanted."""
        return self._owners.get(key, ())

    def states(self) -> dict[BookKey, ReplicaState]:
        """The states of this node's replicas."""
        return {key: each.state for key, each in self._replicas.items()}

    def all_states(self, key: BookKey) -> dict[str, ReplicaState]:
        """The states of a book's replicas, by node, as far as nodes reported them."""
        found = {peer: states[key] for peer, states in self._reports.items() if key in states}
        own = self._replicas.get(key)
        return found if own is None else {self._members.me.id: own.state, **found}

    def holders(self, key: BookKey) -> tuple[str, ...]:
        """The nodes that can answer for a book now: this one first if it can, then owners, then others."""
        synced, owners = ReplicaState.SYNCED, self.owners(key)
        found = list(filter(self._members.is_alive, self._synced(key)))
        found.sort(key=lambda peer: (owners.index(peer) if peer in owners else len(owners), peer))
        own = self._replicas.get(key)
        return (self._members.me.id, *found) if own is not None and own.state is synced else tuple(found)

    def has_all(self, peers: Iterable[str]) -> bool:
        """Whether every book that is synced here is synced at one of these nodes, too."""
        states = [self._reports.get(peer, {}) for peer in peers]
        return all(
            any(each.get(key) is ReplicaState.SYNCED for each in states)
            for key, replica in self._replicas.items()
            if replica.state is ReplicaState.SYNCED
        )

    def source(self, key: BookKey) -> Source:
        """Where this node should get a book now that it holds: for a resync, too."""
        replica = self._replicas.get(key)
        failed: set[str] = set() if replica is None else replica.failed
        return self._sibling(key, failed) or FromExchange()

    def why(self, key: BookKey) -> str:
        """What last changed who is to hold a book."""
        return self._why.get(key, self._why_view)

    # --- what happened ---------------------------------------------------------------------

    def on_nodes(self, nodes: Iterable[Node], why: str = "") -> None:
        """The nodes among which books are placed changed, or how this node sees them."""
        self.revision += 1
        placed = tuple(nodes)
        if placed != self._nodes:
            self._why.clear()
            self._why_view = why
        self._nodes = placed
        self._dirty |= self._owners.keys() | self._replicas.keys()
        self._owners.clear()

    def on_wanted(self, keys: Iterable[BookKey], why: str = WANTED) -> None:
        """These books are wanted now, or no longer, or with other settings."""
        self.revision += 1
        for key in keys:
            self._owners.pop(key, None)
            self._dirty.add(key)
            self._why[key] = why

    def on_report(self, node: str, key: BookKey, state: ReplicaState | None, now_ns: int) -> None:
        """The state of a book on another node; None if it does not hold it."""
        states = self._reports.setdefault(node, {})
        if state is states.get(key):
            return
        self.revision += 1
        if state is None:
            del states[key]
        else:
            states[key] = state
        if state is ReplicaState.SYNCED:
            self._progress_ns[node] = now_ns
        self._dirty.add(key)

    def on_reports_begin(self, node: str) -> None:
        """All states of a node will be reported anew."""
        self.revision += 1
        self._dirty |= self._reports.get(node, {}).keys()
        self._reports[node] = {}

    def on_gone(self, node: str) -> None:
        """A node is dead, left, or was removed."""
        self.revision += 1
        self._dirty |= self._reports.pop(node, {}).keys()
        self._progress_ns.pop(node, None)

    def on_replica(self, key: BookKey, state: ReplicaState) -> None:
        """The state of a book on this node changed."""
        replica = self._replicas.get(key)
        if replica is None or replica.state is ReplicaState.WAITING:
            return  # it was stopped meanwhile
        if state is ReplicaState.SYNCED:
            replica.failed.clear()
        self._set_state(replica, state)

    def on_copy_failed(self, key: BookKey) -> None:
        """A sibling did not give its book."""
        replica = self._replicas.get(key)
        if replica is None or not isinstance(replica.source, FromSibling):
            return
        replica.failed.add(replica.source.node)
        replica.source = None
        self._dirty.add(key)

    def look_again(self) -> None:
        """Time has passed: check the books that wait for other nodes."""
        waiting = ReplicaState.WAITING
        self._dirty |= {key for key, each in self._replicas.items() if each.state is waiting}

    # --- what to do ------------------------------------------------------------------------

    def decide(self, wanted: Mapping[BookKey, WantedBook], now_ns: int) -> list[Command]:
        """The commands that follow from everything reported since the last call."""
        commands: list[Command] = []
        self.revision += bool(self._dirty)
        for key in sorted(self._dirty):
            self._decide(key, wanted.get(key), commands, now_ns)
        self._to_route |= self._dirty
        self._dirty.clear()
        return commands

    def take_routes(self, wanted: Mapping[BookKey, WantedBook]) -> list[SetHolders]:
        """The books that other nodes than before answer for."""
        keys, self._to_route = self._to_route | self._dirty, set()
        found: list[SetHolders] = []
        for key in sorted(keys):
            route = self._route(key, is_wanted=key in wanted)
            if route != self._routes.get(key, _NO_ROUTE):
                self._routes[key] = route
                found.append(SetHolders(key, *route))
            if key not in wanted:
                self._routes.pop(key, None)
        return found

    def take_changes(self) -> dict[BookKey, ReplicaState | None]:
        """The states of this node's replicas that changed since the last call; None if no longer held."""
        changes, self._changes = self._changes, {}
        return changes

    # --- helpers ---------------------------------------------------------------------------

    def _route(self, key: BookKey, *, is_wanted: bool) -> tuple[tuple[Node, ...], bool]:
        """The other nodes to ask for a book, suspect ones last; whether any that is alive has it synced."""
        if not is_wanted:
            return _NO_ROUTE
        holders = self.holders(key)
        peers = holders or tuple(filter(self._members.is_alive, self.owners(key)))
        peers += tuple(sorted(self._synced(key) - {*peers, self._members.me.id}))
        nodes = (self._members.node(peer) for peer in peers if peer != self._members.me.id)
        return tuple(node for node in nodes if node is not None), bool(holders)

    def _synced(self, key: BookKey) -> set[str]:
        """The other nodes that have reported a book synced, also suspect ones."""
        return {peer for peer, states in self._reports.items() if states.get(key) is ReplicaState.SYNCED}

    def _decide(self, key: BookKey, book: WantedBook | None, commands: list[Command], now_ns: int) -> None:
        if book is None:
            self._owners.pop(key, None)
            self._why.pop(key, None)
            self._stop(key, commands)
            return
        if key not in self._owners:
            self._owners[key] = place(key, self._nodes, replicas=book.replicas)
        owners = self._owners[key]
        replica = self._replicas.get(key)
        if self._members.me.id not in owners:
            if replica is not None and self._is_handed_over(key, replica, owners):
                self._stop(key, commands)
                return
        elif replica is None:
            replica = self._replicas[key] = _Replica(book, ReplicaState.WAITING, now_ns)
            self._changes[key] = replica.state
        if replica is not None:
            self._go_on(replica, book, owners, commands, now_ns)

    def _go_on(
        self,
        replica: _Replica,
        book: WantedBook,
        owners: tuple[str, ...],
        commands: list[Command],
        now_ns: int,
    ) -> None:
        """Start a replica, give it another source, or tell it new settings."""
        is_new = replica.book != book
        replica.book = book
        if replica.state is ReplicaState.WAITING:
            sibling = self._sibling(book.key, replica.failed)
            if sibling is not None:
                self._start(replica, sibling, commands)
            elif not self._is_hope(replica, owners, now_ns):
                self._start(replica, FromExchange(), commands)
        elif replica.state is ReplicaState.STARTING and self._is_source_lost(replica):
            self._start(replica, self._sibling(book.key, replica.failed) or FromExchange(), commands)
        elif is_new:
            commands.append(UpdateReplica(book))

    def _start(self, replica: _Replica, source: Source, commands: list[Command]) -> None:
        replica.source = source
        commands.append(StartReplica(replica.book, source))
        self._set_state(replica, ReplicaState.STARTING)

    def _stop(self, key: BookKey, commands: list[Command]) -> None:
        replica = self._replicas.pop(key, None)
        if replica is None:
            return
        self._changes[key] = None
        self._to_route.add(key)
        if replica.state is not ReplicaState.WAITING:
            commands.append(StopReplica(key))

    def _set_state(self, replica: _Replica, state: ReplicaState) -> None:
        if state is not replica.state:
            self.revision += 1
            self._to_route.add(replica.book.key)
            replica.state = state
            self._changes[replica.book.key] = state

    def _sibling(self, key: BookKey, failed: set[str]) -> FromSibling | None:
        for peer in self.holders(key):
            node = self._members.node(peer)
            if peer != self._members.me.id and peer not in failed and node is not None:
                return FromSibling(peer, node.address)
        return None

    def _is_source_lost(self, replica: _Replica) -> bool:
        source = replica.source
        if isinstance(source, FromSibling) and not self._members.is_alive(source.node):
            replica.failed.add(source.node)
            return True
        return source is None

    def _is_hope(self, replica: _Replica, owners: tuple[str, ...], now_ns: int) -> bool:
        """Whether another node is getting the book: an owner that comes first, one that has begun, or one
        that has not said yet what it holds."""
        key, me = replica.book.key, self._members.me.id
        begun = (ReplicaState.STARTING, ReplicaState.STALE)
        getting = {peer for peer, states in self._reports.items() if states.get(key) in begun}
        others = getting | set(owners[: owners.index(me)]) | set(self._members.alive()) - self._reports.keys()
        return any(
            now_ns - max(replica.since_ns, self._progress_ns.get(peer, 0)) < self._patience_ns(peer, getting)
            for peer in others
            if self._members.is_alive(peer)
        )

    def _patience_ns(self, peer: str, getting: set[str]) -> int:
        node = self._members.node(peer)
        is_shared = node is not None and node.egress == self._members.me.egress
        return SHARED_WAIT_NS if is_shared and peer in getting else SIBLING_WAIT_NS

    def _is_handed_over(self, key: BookKey, replica: _Replica, owners: tuple[str, ...]) -> bool:
        """Whether no reader misses the replica of this node, which does not own the book."""
        if replica.state is ReplicaState.WAITING:
            return True
        synced = ReplicaState.SYNCED
        return all(
            self._members.is_alive(peer) and self._reports.get(peer, {}).get(key) is synced for peer in owners
        )
