"""Tells the native server of a node about the other nodes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from depthcache.client.live_book import LiveBook
from depthcache.cluster.core.members import Node
from depthcache.cluster.core.placement import BookKey

__all__ = ["NativeServer"]


class NativeServer:
    """The native part of a running `server.BookServer`. Without effect on a server outside a cluster."""

    def __init__(self, native: Any, *, is_node: bool) -> None:
        self._native, self._is_node = native, is_node

    def set_holders(self, key: BookKey, nodes: tuple[Node, ...], *, is_synced: bool) -> None:
        """Forward reads of a book to these nodes, first choice first; none: to no node."""
        if self._is_node:
            addresses = [(node.id, node.address) for node in nodes]
            status, reason = ("synced", "") if is_synced else ("buffering", "no node has the book yet")
            self._native.set_holders(*key, addresses, status=status, reason=reason)

    def set_nodes(self, addresses: Iterable[str]) -> None:
        """Tell clients that can connect to other nodes where all nodes are."""
        if self._is_node:
            self._native.set_nodes(list(addresses))

    def set_not_ready(self, reason: str) -> None:
        """Why `/readyz` says that this node is not ready; empty if it is."""
        if self._is_node:
            self._native.set_not_ready(reason)

    def set_denied(self, nodes: frozenset[str]) -> None:
        """Refuse the certificates of these nodes."""
        if self._is_node:
            self._native.set_denied(sorted(nodes))

    def keep_for_readers(self, key: BookKey, *, is_kept: bool) -> None:
        """Keep an own book only for its present readers, or serve it as a replica again. Each call tells the
        readers that can move which nodes hold the book."""
        if self._is_node:
            self._native.keep_for_readers(*key, is_kept)

    def show(self, key: BookKey, book: LiveBook) -> None:
        """As `following.Shown.show`."""
        self._native.add_followed(*key, book)

    def hide(self, key: BookKey) -> None:
        """As `following.Shown.hide`."""
        self._native.remove_followed(*key)

    def take_over(self, key: BookKey, *, is_exact: bool) -> bool:
        """As `following.Shown.take_over`."""
        is_done: bool = self._native.take_over(*key, is_exact=is_exact)
        return is_done

    def readers(self, key: BookKey) -> int:
        """How many connections follow a book."""
        count: int = self._native.readers(*key)
        return count
