"""Which nodes own a book: weighted rendezvous hashing, spread over zones. A pure function without a leader.

Every node has a score for every book, made of the hash of both and of the node's capacity. A book's owners
are found in rounds: the best node of each zone, then the second of each zone, and so on, each round in the
order of scores, until there are enough. So copies are spread over as many zones as possible; without zones,
the nodes with the highest scores own a book.

Moves are minimal. When a node goes, only its own copies move; when one comes, copies move only to it; one
more replica moves none. Balance is statistical: of B copies, a node with the share s of the capacity gets
s · B ± 4 √(s · B) (4 standard deviations of independent hashes). With zones of unequal capacity, spreading
comes before balance.

Weighted rendezvous hashing: Thaler and Ravishankar 1998; weights by logarithms: Schindelhauer and Schomaker
2005.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from depthcache.cluster.core.members import Node

__all__ = ["BookKey", "place"]

_MASK = (1 << 64) - 1


class BookKey(NamedTuple):
    """A book: the name of its exchange and its symbol."""

    exchange: str
    symbol: str


def place(book: BookKey, nodes: Iterable[Node], *, replicas: int) -> tuple[str, ...]:
    """The owners of a book, the first choice first: `replicas` node ids, or as many as there are nodes."""
    book_hash = _hash(f"{book.exchange}\0{book.symbol}")
    zones: dict[str, list[tuple[float, str]]] = {}
    for node in nodes:
        zones.setdefault(node.zone, []).append((-_score(node, book_hash), node.id))
    ranked = (
        (rank, score, peer) for each in zones.values() for rank, (score, peer) in enumerate(sorted(each))
    )
    return tuple(peer for _, _, peer in sorted(ranked)[:replicas])


def _score(node: Node, book_hash: int) -> float:
    mixed = _mix(book_hash ^ _hash(node.id))
    return -node.capacity / math.log((mixed + 0.5) / 2.0**64)


@lru_cache(maxsize=20_000)
def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _mix(value: int) -> int:
    """The finalizer of SplitMix64: every bit of the result depends on every bit of the value."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
