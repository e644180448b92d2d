"""How the books of a cluster are: on as many nodes as wanted and possible, on fewer, on none, or not traded.

Every node counts the books of which it is the first owner. So the numbers of all nodes add up to the whole
cluster, and the node that knows why a book is not synced is the one that counts it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from depthcache.cluster.core.node import NodeCore
from depthcache.cluster.core.placement import BookKey

__all__ = ["BookHealth", "BookState", "HealthCounts"]


class BookState(Enum):
    """How one book of the cluster is."""

    WHOLE = "whole"
    """Synced on as many nodes as wanted, or on all that can own it."""
    SHORT = "short"
    """Synced on fewer."""
    UNSYNCED = "unsynced"
    """Synced on no node."""
    UNTRADED = "untraded"
    """The exchange does not trade or know it, or the node cannot hold it: no node can have it."""


@dataclass(frozen=True, slots=True)
class HealthCounts:
    """The books of which a node is the first owner.

    Attributes:
        books: by state.
        missing: replicas that lack, of those that are possible.
        impossible: replicas that lack because there are fewer nodes than replicas.
        unsynced_s, short_s: for how long the longest book has been synced on no node, and on fewer nodes than
            wanted and possible; 0.0 without such a book.
    """

    books: Counter[BookState]
    missing: int
    impossible: int
    unsynced_s: float
    short_s: float


class BookHealth:
    """Call `look` now and then: how long a book has been short is measured between the calls."""

    def __init__(self, core: NodeCore, *, is_hopeless: Callable[[BookKey], bool]) -> None:
        """`is_hopeless`: as `replica_host.BookHost.is_hopeless`."""
        self._core, self._is_hopeless = core, is_hopeless
        self._short_ns: dict[BookKey, int] = {}
        self._unsynced_ns: dict[BookKey, int] = {}
        """Since when books are so."""

    def look(self, now_ns: int) -> HealthCounts:
        """How the books are now."""
        core, me = self._core, self._core.members.me.id
        counts: Counter[BookState] = Counter()
        missing = impossible = 0
        short: dict[BookKey, int] = {}
        unsynced: dict[BookKey, int] = {}
        for key, book in core.wanted.books().items():
            owners = core.books.owners(key)
            if not owners or owners[0] != me:
                continue
            impossible += book.replicas - len(owners)
            synced = len(core.books.holders(key))
            if synced >= len(owners):
                counts[BookState.WHOLE] += 1
                continue
            if not synced and self._is_hopeless(key):
                counts[BookState.UNTRADED] += 1
                continue
            counts[BookState.SHORT if synced else BookState.UNSYNCED] += 1
            missing += len(owners) - synced
            short[key] = self._short_ns.get(key, now_ns)
            if not synced:
                unsynced[key] = self._unsynced_ns.get(key, now_ns)
        self._short_ns, self._unsynced_ns = short, unsynced
        return HealthCounts(
            counts, missing, impossible, _longest_s(unsynced, now_ns), _longest_s(short, now_ns)
        )


def _longest_s(since_ns: dict[BookKey, int], now_ns: int) -> float:
    return (now_ns - min(since_ns.values())) / 1e9 if since_ns else 0.0
