"""How evenly books are spread over nodes and zones, which have not moved yet, and what a change would move.

Pure functions of what a node answers to `GET /v1/cluster`. Placement is a function, too: so what it would do
with other nodes is known before they change.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from depthcache.cluster.core.members import Node
from depthcache.cluster.core.placement import BookKey, place

__all__ = ["Load", "MovingBook", "Plan", "Spread", "placed_nodes", "plan", "spread"]

_SAMPLES = 2_000
"""Imaginary books, whose placement says what is even: with zones and capacities there is no formula."""
_DEVIATIONS = 4
"""Of independent hashes: one node in 16,000 is further off by chance."""


@dataclass(frozen=True, slots=True)
class Load:
    """The replicas of one node.

    Attributes:
        node: its facts.
        owned: how many placement gives it.
        synced: how many it holds synced, its own and those that it still serves for others.
        even: how many it would have if hashes were perfectly even.
    """

    node: Node
    owned: int
    synced: int
    even: float

    @property
    def tolerance(self) -> float:
        """How far `owned` may be from `even` by chance."""
        return _DEVIATIONS * math.sqrt(max(self.even, 1.0)) + 4 * self.even / math.sqrt(_SAMPLES)


@dataclass(frozen=True, slots=True)
class MovingBook:
    """A book that is not where placement wants it.

    Attributes:
        key: the book.
        missing: owners that do not have it synced yet.
        extra: nodes that hold it until all owners have it.
        why: what it waits for.
    """

    key: BookKey
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Spread:
    """How books are spread now.

    Attributes:
        loads: of the nodes that may hold books.
        moving: books that are not where placement wants them.
        close: books whose owners are in fewer zones than is possible.
        short: books that want more replicas than there are nodes.
    """

    loads: tuple[Load, ...]
    moving: tuple[MovingBook, ...]
    close: tuple[BookKey, ...]
    short: int

    @property
    def uneven(self) -> tuple[Load, ...]:
        """The nodes that are further off than chance explains."""
        return tuple(each for each in self.loads if abs(each.owned - each.even) > each.tolerance)


@dataclass(frozen=True, slots=True)
class Plan:
    """What placement would do with other nodes.

    Attributes:
        owned: replicas by node, afterwards.
        gains: replicas that move to each node.
        losses: replicas that leave each node.
    """

    owned: Mapping[str, int]
    gains: Mapping[str, int]
    losses: Mapping[str, int]

    @property
    def moves(self) -> int:
        """How many replicas are copied."""
        return sum(self.gains.values())


def placed_nodes(status: Mapping[str, Any]) -> tuple[Node, ...]:
    """The nodes among which books are placed."""
    return tuple(
        Node(
            id=str(each["id"]),
            run=0,
            address=str(each["address"]),
            zone=str(each.get("zone") or ""),
            capacity=float(each.get("capacity") or 1.0),
            egress=str(each.get("egress") or ""),
        )
        for each in status["nodes"]
        if each["state"] in ("alive", "suspect")
    )


def spread(status: Mapping[str, Any]) -> Spread:
    """How the books of a status are spread."""
    nodes, books = placed_nodes(status), status["books"]
    by_id = {each.id: each for each in nodes}
    owned = Counter(peer for book in books for peer in book["owners"])
    synced = Counter(peer for book in books for peer, state in book["holders"].items() if state == "synced")
    even = _even(nodes, Counter(int(book["replicas"]) for book in books))
    zones = len({each.zone for each in nodes})
    return Spread(
        tuple(Load(each, owned[each.id], synced[each.id], even[each.id]) for each in nodes),
        tuple(found for book in books if (found := _moving(book)) is not None),
        tuple(_key(book) for book in books if _is_close(book, by_id, zones)),
        sum(int(book["replicas"]) > len(nodes) for book in books),
    )


def plan(status: Mapping[str, Any], nodes: Sequence[Node]) -> Plan:
    """What placement would do if the books had these nodes."""
    owned, gains, losses = Counter[str](), Counter[str](), Counter[str]()
    for book in status["books"]:
        before, after = (
            set(book["owners"]),
            set(place(_key(book), nodes, replicas=int(book["replicas"]))),
        )
        owned.update(after)
        gains.update(after - before)
        losses.update(before - after)
    return Plan(owned, gains, losses)


def _even(nodes: Sequence[Node], replicas: Mapping[int, int]) -> dict[str, float]:
    even = dict.fromkeys((each.id for each in nodes), 0.0)
    for count, books in replicas.items():
        samples = [BookKey("", f"sample {number}") for number in range(_SAMPLES)]
        owners = Counter(peer for key in samples for peer in place(key, nodes, replicas=count))
        for peer, found in owners.items():
            even[peer] += found / _SAMPLES * books
    return even


def _moving(book: Mapping[str, Any]) -> MovingBook | None:
    owners, holders = list(book["owners"]), book["holders"]
    missing = tuple(peer for peer in owners if holders.get(peer) != "synced")
    extra = tuple(sorted(peer for peer in holders if peer not in owners))
    if not extra and (not missing or "synced" not in holders.values()):
        return None  # one that no node can get has nowhere to move from
    reasons = dict.fromkeys(str(each) for each in book.get("reasons", {}).values() if each)
    waits = [f"{peer} {holders.get(peer, 'has not begun')}" for peer in missing]
    return MovingBook(_key(book), missing, extra, "; ".join(reasons) or ", ".join(waits) or "handed over")


def _is_close(book: Mapping[str, Any], nodes: Mapping[str, Node], zones: int) -> bool:
    found: Iterable[str] = {nodes[peer].zone for peer in book["owners"] if peer in nodes}
    return len(set(found)) < min(zones, len(book["owners"]))


def _key(book: Mapping[str, Any]) -> BookKey:
    return BookKey(str(book["exchange"]), str(book["symbol"]))
