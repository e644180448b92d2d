"""What the native server of a node must know of the other nodes, as far as the native server takes it."""

from __future__ import annotations

from typing import Any

from depthcache import _native
from depthcache.cluster.core.members import Node
from depthcache.cluster.core.placement import BookKey

__all__ = ["NativeServer", "speaks_mutual_tls"]


def speaks_mutual_tls() -> bool:
    """Whether the native class of servers knows nodes by their certificates."""
    return "cluster" in (getattr(_native.BookServer, "__text_signature__", None) or "")


class NativeServer:
    """The native part of a `server.BookServer` that runs."""

    def __init__(self, native: Any) -> None:
        self._native = native

    def set_holders(self, key: BookKey, nodes: tuple[Node, ...], *, is_synced: bool) -> None:
        """Forward reads of a book to these nodes, first choice first; none: to no node."""
        if hasattr(self._native, "set_holders"):
            addresses = [(node.id, node.address) for node in nodes]
            status, reason = ("synced", "") if is_synced else ("buffering", "no node has the book yet")
            self._native.set_holders(*key, addresses, status=status, reason=reason)

    def set_denied(self, nodes: frozenset[str]) -> None:
        """Refuse the certificates of these nodes."""
        if hasattr(self._native, "set_denied"):
            self._native.set_denied(sorted(nodes))

    def readers(self, key: BookKey) -> int:
        """How many connections follow a book."""
        return self._native.readers(*key) if hasattr(self._native, "readers") else 0
