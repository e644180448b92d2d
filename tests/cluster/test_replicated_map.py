"""The replicated map: newest wins, both of two edits of different fields last, deletions stay deleted."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.core.replicated_map import Delta, ReplicatedMap
from depthcache.cluster.core.stamps import HybridClock, Stamp
from depthcache.cluster.core.wanted_set import WantedSet

BOOK = BookKey("binance.com", "BTCUSDT")


def stamp(wall_ms: int, node: str = "a1") -> Stamp:
    return Stamp(wall_ms, 0, node)


@pytest.mark.parametrize(("earlier", "later"), [("a1", "b2"), ("b2", "a1")])
@pytest.mark.parametrize("is_first_merged_late", [True, False])
def test_the_newest_of_two_concurrent_edits_wins_whatever_the_ids(
    earlier: str, later: str, is_first_merged_late: bool
) -> None:
    one, two = ReplicatedMap(), ReplicatedMap()
    old = one.create("book", {"replicas": 2}, stamp(1, earlier))
    new = two.create("book", {"replicas": 3}, stamp(2, later))
    third = ReplicatedMap()
    for delta in (new, old) if is_first_merged_late else (old, new):
        third.merge(delta)
    one.merge(new)
    two.merge(old)
    for each in (one, two, third):
        assert each.fields("book") == {"replicas": 3}
        assert each.digest() == one.digest()


def test_concurrent_edits_of_two_fields_both_last() -> None:
    one, two = ReplicatedMap(), ReplicatedMap()
    two.merge(one.create("book", {"replicas": 2, "depth": 100}, stamp(1)))
    more = one.change("book", {"replicas": 3}, stamp(2))
    deeper = two.change("book", {"depth": 500}, stamp(3, "b2"))
    one.merge(deeper)
    two.merge(more)
    assert one.fields("book") == two.fields("book") == {"replicas": 3, "depth": 500}


def test_a_deletion_stays_deleted_when_an_older_edit_arrives_late() -> None:
    one, late = ReplicatedMap(), ReplicatedMap()
    created = one.create("book", {}, stamp(1))
    one.delete("book", stamp(3))
    late.merge(created)
    changed = late.change("book", {"depth": 5}, stamp(2, "b2"))
    one.merge(changed)
    assert "book" not in one


def test_a_deletion_stays_deleted_after_its_tombstone_is_gone() -> None:
    one, late = ReplicatedMap(), ReplicatedMap()
    late.merge(one.create("book", {}, stamp(1)))
    one.delete("book", stamp(2))
    one.raise_floor(stamp(2))
    assert one.tombstones() == 0
    one.merge(late.content())
    assert "book" not in one
    late.adopt(one.content(), one.floor)
    assert "book" not in late
    assert late.digest() == one.digest()


def test_a_new_node_takes_content_below_the_floor() -> None:
    one, new = ReplicatedMap(), ReplicatedMap()
    one.create("kept", {"depth": 5}, stamp(1))
    one.create("gone", {}, stamp(2))
    one.delete("gone", stamp(3))
    one.raise_floor(stamp(3))
    new.adopt(one.content(), one.floor)
    assert new.fields("kept") == {"depth": 5}
    assert new.floor == one.floor


def test_creating_again_does_not_bring_back_old_fields() -> None:
    one, two = ReplicatedMap(), ReplicatedMap()
    edits = [
        one.create("book", {"depth": 5, "old": True}, stamp(1)),
        one.delete("book", stamp(2)),
        one.create("book", {"depth": 7}, stamp(3)),
    ]
    for delta in reversed(edits):
        two.merge(delta)
    assert one.fields("book") == two.fields("book") == {"depth": 7}
    assert one.digest() == two.digest()


@st.composite
def edits(draw: st.DrawFn) -> list[Delta]:
    """Edits of up to three nodes that know nothing of each other."""
    made: list[Delta] = []
    for at in range(draw(st.integers(1, 4))):
        where = ReplicatedMap()
        key, when = (
            draw(st.sampled_from("xy")),
            Stamp(draw(st.integers(1, 4)), at, draw(st.sampled_from("abc"))),
        )
        kind = draw(st.sampled_from(("create", "change", "delete")))
        fields = draw(st.dictionaries(st.sampled_from(("depth", "replicas")), st.integers(0, 3)))
        if kind == "create":
            made.append(where.create(key, fields, when))
        elif kind == "change":
            made.append(where.change(key, fields, when))
        else:
            made.append(where.delete(key, when))
    return made


@given(edits())
def test_the_order_and_number_of_merges_do_not_matter(made: list[Delta]) -> None:
    digests = set()
    for order in permutations(made):
        merged = ReplicatedMap()
        for delta in (*order, *made[:2]):
            merged.merge(delta)
        digests.add(merged.digest())
    assert len(digests) == 1


def test_a_clock_that_is_late_still_makes_later_stamps_than_it_has_seen() -> None:
    clock = HybridClock("a1")
    clock.observe(Stamp(5_000, 3, "b2"))
    assert clock.tick(1_000) > Stamp(5_000, 3, "b2")
    first, second = clock.tick(900), clock.tick(800)
    assert second > first


@pytest.mark.slow
def test_ten_thousand_creates_and_stops_leave_nothing() -> None:
    wanted = WantedSet("a1")
    for number in range(10_000):
        key = BookKey("binance.com", f"SYM{number}")
        wanted.create(key, replicas=2, settings={"depth": 100}, wall_ms=number)
        wanted.stop(key, wall_ms=number)
    assert wanted.map.tombstones() == 10_000
    wanted.map.raise_floor(wanted.map.newest())
    assert wanted.map.content() == {}
    assert wanted.books() == {}


def test_a_removed_node_is_refused_until_its_certificate_has_ended() -> None:
    wanted = WantedSet("a1")
    wanted.register("b2", wall_ms=1)
    wanted.deny("b2", until_ms=100, wall_ms=2)
    wanted.drop_ended(wall_ms=99)
    assert (wanted.registered(), wanted.denied()) == (frozenset(), {"b2"})
    wanted.drop_ended(wall_ms=100)
    assert wanted.denied() == frozenset()


def test_a_book_with_a_senseless_number_of_replicas_is_kept_once() -> None:
    wanted = WantedSet("a1")
    wanted.create(BOOK, replicas=1_000_000, settings={}, wall_ms=1)
    assert wanted.books()[BOOK].replicas == 1
