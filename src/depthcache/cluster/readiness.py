"""Whether a node is ready: what `/readyz` of its server says.

A load balancer sends readers to nodes that are ready, and Kubernetes replaces the next pod once this one is
ready. So a node is ready as soon as every book that it holds can be read there or at a sibling. From then on
a book that was just created, or is taken over from a lost node, changes nothing: other nodes could not
answer better.
"""

from __future__ import annotations

from collections.abc import Callable

from depthcache.cluster.core.node import NodeCore
from depthcache.cluster.core.placement import BookKey

__all__ = ["Readiness"]


class Readiness:
    """Of one node. Call `why_not` now and then."""

    def __init__(
        self,
        core: NodeCore,
        *,
        is_hopeless: Callable[[BookKey], bool],
        has_peers: Callable[[], bool],
        why_apart: Callable[[], str] = lambda: "",
    ) -> None:
        """`is_hopeless`: whether the exchange does not trade a book. `has_peers`: whether the node was told
        of other nodes. `why_apart`: as `running_node.NodeOptions.why_apart`."""
        self._core, self._is_hopeless, self._has_peers = core, is_hopeless, has_peers
        self._why_apart = why_apart
        self._was_ready = False

    def why_not(self) -> str:
        """Why the node is not ready; empty if it is."""
        if not self._was_ready:
            reason = self._missing()
            self._was_ready = not reason
            return reason
        return self._lost()

    def _missing(self) -> str:
        """What a node that starts waits for."""
        core = self._core
        if reason := self._why_apart():
            return reason
        if not core.is_settled() or not core.has_heard_all():
            return "the other nodes have not said yet which books they hold"
        knows_nobody = core.wanted.registered() <= {core.members.me.id} and not core.wanted.books()
        if knows_nobody and self._has_peers() and not core.members.alive():
            return "no other node was reached yet"
        own = core.books.states()
        late = sum(not core.books.holders(key) and not self._is_hopeless(key) for key in own)
        return f"{late} of {len(own)} books are synced on no node yet" if late else ""

    def _lost(self) -> str:
        own, books = self._core.books.states(), self._core.books
        if not own or any(books.holders(key) for key in own) or all(map(self._is_hopeless, own)):
            return ""
        return "no book is synced now, here or on another node"
