"""What a node writes about itself and others: one line for many books, and one for each change of a node.

A node may hold thousands of books, which come, go and lose sync together. So what happens is collected, and
written by `look`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from depthcache import logs
from depthcache.cluster.core.commands import FromSibling, Source
from depthcache.cluster.core.members import NodeState
from depthcache.cluster.core.node import NodeCore
from depthcache.cluster.core.placement import BookKey

__all__ = ["NodeLog"]

_WAITS_NS = 60_000_000_000


class NodeLog:
    """The log lines of one node. Call `begin` once it runs, and `look` after changes and several times a
    second."""

    def __init__(self, *, now_ns: Callable[[], int]) -> None:
        self.failed_copies: int = 0
        """Books that other nodes did not give since the process began."""
        self._now_ns = now_ns
        self._core: NodeCore | None = None
        self._states: dict[str, NodeState] = {}
        """Of the other nodes, as last written."""
        self._registered: frozenset[str] = frozenset()
        self._denied: frozenset[str] = frozenset()
        self._draining: frozenset[str] = frozenset()
        self._taken: dict[BookKey, str] = {}
        """Books that were taken and are not synced yet, and why not."""
        self._count = self._took_ns = 0
        self._copied: set[BookKey] = set()
        self._why = ""
        self._told = 0
        """How many of the books that are taken were written."""
        self._is_late = False
        """Whether it was written that it takes long."""
        self._given_up: Counter[str] = Counter()
        self._not_copied: Counter[tuple[str, str]] = Counter()
        self._lost: dict[BookKey, str] = {}
        self._lost_told = self._lost_ns = 0

    # --- what happened ---------------------------------------------------------------------

    def on_began(self, key: BookKey, source: Source, why: str) -> None:
        """A replica begins, or begins again from another source."""
        if not self._count:
            self._took_ns = self._now_ns()
        if key not in self._taken:
            self._why = why
            self._count += 1
            if isinstance(source, FromSibling):
                self._copied.add(key)
        self._taken[key] = "it was not begun yet"

    def on_synced(self, key: BookKey) -> None:
        """A replica is synced, for the first time or again."""
        self._taken.pop(key, None)
        self._lost.pop(key, None)

    def on_not_synced(self, key: BookKey, reason: str, *, was_synced: bool) -> None:
        """A replica has another state than synced."""
        if was_synced:
            self._lost[key] = reason
        elif key in self._taken:
            self._taken[key] = reason

    def on_ended(self, key: BookKey, why: str) -> None:
        """A replica ended."""
        if self._taken.pop(key, None) is not None:
            self._count, self._told = self._count - 1, max(self._told - 1, 0)
            self._copied.discard(key)
        if not self._count:
            self._take_over_is_over()
        self._lost.pop(key, None)
        self._given_up[why] += 1

    def on_copy_failed(self, host: str, reason: str) -> None:
        """Another node did not give its book."""
        self.failed_copies += 1
        self._not_copied[host, reason] += 1

    # --- writing ---------------------------------------------------------------------------

    def begin(self, core: NodeCore, cluster: str) -> None:
        """The node runs."""
        wanted = core.wanted
        self._core, self._registered, self._denied = core, wanted.registered(), wanted.denied()
        self._draining = wanted.draining()
        self._states = dict.fromkeys(self._registered, NodeState.AWAY)
        books, nodes = len(wanted.books()), len(self._registered)
        logs.node_started(node=core.members.me.id, cluster=cluster, nodes=nodes, books=books)

    def look(self, books: int) -> None:
        """Write what happened since the last call. `books`: how many this node holds."""
        if self._core is None:
            return
        self._write_nodes(self._core)
        self._write_taken()
        self._write_lost(books)
        for why, count in self._given_up.items():
            logs.books_given_up(books=count, reason=why)
        for (host, reason), count in self._not_copied.items():
            logs.copies_failed(books=count, host=host, reason=reason)
        self._given_up.clear()
        self._not_copied.clear()

    def _write_nodes(self, core: NodeCore) -> None:
        me, wanted = core.members.me.id, core.wanted
        registered, denied, draining = wanted.registered(), wanted.denied(), wanted.draining()
        for peer in sorted(registered - self._registered - {me}):
            logs.node_joined(peer=peer)
        for peer in sorted(denied - self._denied - {me}):
            logs.node_refused(peer=peer)
        for peer in sorted(self._registered - registered - denied - {me}):
            logs.node_left(peer=peer)
        for peer in sorted((draining ^ self._draining) & registered):
            logs.node_draining(peer=peer, is_draining=peer in draining)
        self._registered, self._denied, self._draining = registered, denied, draining
        states = {peer: _seen(core, peer) for peer in sorted(registered - denied - {me})}
        for peer, state in states.items():
            before = self._states.get(peer, NodeState.AWAY)
            if state is before:
                continue
            if state is NodeState.ALIVE:
                node = core.members.node(peer)
                logs.node_back(peer=peer, address="" if node is None else node.address)
            elif state is NodeState.SUSPECT:
                logs.node_suspect(peer=peer)
            elif state is NodeState.INCOMPATIBLE:
                logs.node_incompatible(peer=peer, reason=core.incompatible()[peer])
            else:
                why = "nothing was heard of it" if before is NodeState.SUSPECT else "its process has ended"
                logs.node_away(peer=peer, reason=why)
        self._states = states

    def _write_taken(self) -> None:
        if not self._count:
            return
        if self._told < self._count:
            logs.take_over_began(books=self._count - self._told, reason=self._why)
            self._told = self._count
        passed_ns = self._now_ns() - self._took_ns
        if not self._taken:
            logs.take_over_done(books=self._count, copied=len(self._copied), took_s=passed_ns / 1e9)
            self._take_over_is_over()
        elif passed_ns >= _WAITS_NS and not self._is_late:
            self._is_late = True
            (exchange, symbol), reason = next(iter(self._taken.items()))
            logs.take_over_waits(books=len(self._taken), exchange=exchange, symbol=symbol, reason=reason)

    def _take_over_is_over(self) -> None:
        self._count = self._told = 0
        self._copied.clear()
        self._is_late = False

    def _write_lost(self, books: int) -> None:
        lost = len(self._lost)
        if lost and not self._lost_told:
            self._lost_ns = self._now_ns()
        if lost >= max(2 * self._lost_told, 1):
            self._lost_told = lost
            (exchange, symbol), reason = next(iter(self._lost.items()))
            logs.books_lost_sync(books=lost, of=books, exchange=exchange, symbol=symbol, reason=reason)
        elif self._lost_told and not lost:
            self._lost_told = 0
            logs.books_in_sync_again(after_s=(self._now_ns() - self._lost_ns) / 1e9)


def _seen(core: NodeCore, peer: str) -> NodeState:
    """How a node is seen; a drain has a line of its own."""
    state = core.state_of(peer)
    return NodeState.ALIVE if state is NodeState.DRAINING else state
