"""How even a cluster is, which books have not moved, and that a plan is what placement then does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from depthcache.cluster.core.members import Node
from depthcache.cluster.core.placement import BookKey, place
from depthcache.cluster.evenness import plan, spread

BOOKS = 400


def node(name: str, zone: str = "", capacity: float = 1.0) -> Node:
    return Node(id=name, run=0, address="", zone=zone, capacity=capacity)


def status(*nodes: Node, replicas: int = 2, books: int = BOOKS) -> dict[str, Any]:
    """Of a cluster whose books are all where placement wants them."""
    rows = []
    for number in range(books):
        owners = place(BookKey("x", f"S{number}"), nodes, replicas=replicas)
        held = dict.fromkeys(owners, "synced")
        rows.append({"exchange": "x", "symbol": f"S{number}", "replicas": replicas, "owners": list(owners),
                     "holders": held, "synced": len(held)})  # fmt: skip
    facts = [{"id": each.id, "state": "alive", "address": "", "zone": each.zone, "capacity": each.capacity}
             for each in nodes]  # fmt: skip
    return {"nodes": facts, "books": rows}


@pytest.mark.parametrize(
    "nodes",
    [
        (node("a"), node("b"), node("c")),
        (node("a"), node("b", capacity=3.0), node("c", capacity=0.5)),
        (node("a", "x"), node("b", "x"), node("c", "y")),
    ],
    ids=["equal", "capacities", "zones"],
)
def test_what_is_even_follows_from_capacities_and_zones(nodes: Sequence[Node]) -> None:
    found = spread(status(*nodes))
    assert sum(each.owned for each in found.loads) == 2 * BOOKS
    assert sum(each.even for each in found.loads) == pytest.approx(2 * BOOKS)
    assert (found.uneven, found.moving, found.close, found.short) == ((), (), (), 0)
    if nodes[0].zone:
        even = {each.node.id: each.even for each in found.loads}
        assert even["c"] == pytest.approx(BOOKS), "one replica of each book is in the other zone"


def test_a_node_with_far_more_than_chance_explains_is_named() -> None:
    given = status(node("a"), node("b"), node("c"))
    for book in given["books"][:300]:
        book["owners"] = ["a", "b"]
    assert {each.node.id for each in spread(given).uneven} >= {"c"}


def test_a_book_that_has_not_moved_yet_is_named_with_what_it_waits_for() -> None:
    given = status(node("a"), node("b"), books=3)
    one, two, three = given["books"]
    one["holders"] = {"a": "synced", "b": "starting"}
    one["reasons"] = {"b": "waits for request weight"}
    two["holders"] = {"a": "synced", "b": "synced", "c": "synced"}
    three["holders"] = {"a": "starting", "b": "waiting"}  # an unknown symbol moves nowhere
    found = spread(given).moving
    assert [each.key.symbol for each in found] == ["S0", "S1"]
    assert (found[0].missing, found[0].why) == (("b",), "waits for request weight")
    assert (found[1].missing, found[1].extra, found[1].why) == ((), ("c",), "handed over")


def test_books_with_more_replicas_than_nodes_and_too_few_zones_are_counted() -> None:
    assert spread(status(node("a"), node("b"), replicas=3, books=5)).short == 5
    given = status(node("a", "x"), node("b", "x"), node("c", "y"), books=4)
    given["books"][0]["owners"] = ["a", "b"]
    assert [key.symbol for key in spread(given).close] == ["S0"]


def test_nodes_that_drain_or_are_away_hold_no_books() -> None:
    given = status(node("a"), node("b"))
    given["nodes"] += [
        {"id": "d", "state": "draining", "address": ""},
        {"id": "e", "state": "away", "address": None},
    ]
    assert [each.node.id for each in spread(given).loads] == ["a", "b"]


@pytest.mark.parametrize(
    "after",
    [
        (node("a"), node("b"), node("c"), node("d")),
        (node("a"), node("b")),
        (node("a"), node("b"), node("c", capacity=3.0)),
        (node("a", "x"), node("b", "x"), node("c", "y")),
    ],
    ids=["one more", "one less", "capacity", "zones"],
)
def test_a_plan_is_what_placement_then_does(after: Sequence[Node]) -> None:
    before, then = status(node("a"), node("b"), node("c")), status(*after)
    found = plan(before, after)
    assert found.owned == Counter(peer for book in then["books"] for peer in book["owners"])
    assert sum(found.gains.values()) == sum(found.losses.values()) == found.moves > 0
    if len(after) == 4:
        assert set(found.gains) == {"d"}, "only the new node gets books"
    if len(after) == 2:
        assert set(found.losses) == {"c"}


def test_a_plan_without_a_change_moves_nothing() -> None:
    nodes = (node("a"), node("b"), node("c"))
    assert plan(status(*nodes), nodes).moves == 0
