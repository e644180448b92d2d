"""Placement: minimal moves, as many zones as there are, and a fair share for each node."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import sqrt

from hypothesis import given
from hypothesis import strategies as st

from depthcache.cluster.core.members import Node
from depthcache.cluster.core.placement import BookKey, place

BOOKS = [BookKey("binance.com", f"SYM{number}USDT") for number in range(1_000)]


@st.composite
def clusters(draw: st.DrawFn, fewest: int = 1) -> list[Node]:
    """Nodes with ids, zones and capacities."""
    ids = draw(st.lists(st.integers(1, 2**64 - 1), min_size=fewest, max_size=9, unique=True))
    zones = st.sampled_from(("", "x", "y", "z"))
    return [
        Node(
            id=f"{peer:x}",
            run=1,
            address="",
            zone=draw(zones),
            capacity=draw(st.sampled_from((0.5, 1.0, 4.0))),
        )
        for peer in ids
    ]


def node(peer: str, zone: str = "", capacity: float = 1.0) -> Node:
    return Node(id=peer, run=1, address="", zone=zone, capacity=capacity)


@given(clusters(), st.integers(1, 5), st.integers(0, 999))
def test_a_book_has_as_many_different_owners_as_it_can_have(
    nodes: list[Node], replicas: int, book: int
) -> None:
    owners = place(BOOKS[book], nodes, replicas=replicas)
    assert len(set(owners)) == len(owners) == min(replicas, len(nodes))


@given(clusters(), st.integers(1, 5), st.randoms())
def test_the_order_of_the_nodes_does_not_matter(nodes: list[Node], replicas: int, random: object) -> None:
    shuffled = list(nodes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for book in BOOKS[:20]:
        assert place(book, nodes, replicas=replicas) == place(book, shuffled, replicas=replicas)


@given(clusters(fewest=2), st.integers(1, 4), st.data())
def test_only_the_copies_of_a_node_that_goes_move(
    nodes: list[Node], replicas: int, data: st.DataObject
) -> None:
    gone = data.draw(st.sampled_from(nodes))
    left = [each for each in nodes if each is not gone]
    for book in BOOKS[:40]:
        before = set(place(book, nodes, replicas=replicas))
        after = set(place(book, left, replicas=replicas))
        assert before - after <= {gone.id}
        assert len(after - before) <= (gone.id in before)


@given(clusters(), st.integers(1, 4))
def test_one_more_replica_moves_no_other(nodes: list[Node], replicas: int) -> None:
    for book in BOOKS[:30]:
        more = place(book, nodes, replicas=replicas + 1)
        assert more[:replicas] == place(book, nodes, replicas=replicas)


@given(clusters(), st.integers(1, 5))
def test_copies_are_in_as_many_zones_as_there_are(nodes: list[Node], replicas: int) -> None:
    zones = {each.id: each.zone for each in nodes}
    for book in BOOKS[:30]:
        owners = place(book, nodes, replicas=replicas)
        assert len({zones[peer] for peer in owners}) == min(replicas, len(set(zones.values())))


@given(clusters(fewest=2))
def test_more_capacity_takes_books_from_others_only(nodes: list[Node]) -> None:
    larger = [replace(nodes[0], capacity=2 * nodes[0].capacity), *nodes[1:]]
    for book in BOOKS[:30]:
        before, after = set(place(book, nodes, replicas=1)), set(place(book, larger, replicas=1))
        assert after == before or after == {nodes[0].id}


def test_shares_follow_the_capacity_within_the_margin_of_chance() -> None:
    nodes = [node(f"{number:x}", capacity=1.0 + number % 2) for number in range(1, 9)]
    counts = Counter(peer for book in BOOKS for peer in place(book, nodes, replicas=1))
    for each in nodes:
        share = len(BOOKS) * each.capacity / sum(other.capacity for other in nodes)
        assert abs(counts[each.id] - share) <= 4 * sqrt(share)


def test_a_node_that_comes_takes_its_share_and_no_more_than_the_margin() -> None:
    nodes = [node("a1"), node("b2"), node("c3")]
    moves = sum(
        len(set(place(book, [*nodes, node("d4")], replicas=2)) - set(place(book, nodes, replicas=2)))
        for book in BOOKS
    )
    optimum = 2 * len(BOOKS) / 4
    assert abs(moves - optimum) <= 4 * sqrt(optimum)


def test_a_known_placement_stays_as_it_is() -> None:
    """Nodes of two releases must agree."""
    nodes = [node("a1", "x"), node("b2", "x"), node("c3", "y", 2.0)]
    assert [place(book, nodes, replicas=2) for book in BOOKS[:4]] == [
        ("c3", "b2"),
        ("b2", "c3"),
        ("c3", "a1"),
        ("c3", "a1"),
    ]
