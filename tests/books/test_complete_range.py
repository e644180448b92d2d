"""The complete range: each of its rules, on both engines."""

from __future__ import annotations

import math
from typing import Any

import pytest

from depthcache import SnapshotOutcome
from tests.engine import Engine, diff, snapshot

BIDS = [("99", "1"), ("98", "1"), ("95", "1")]
ASKS = [("101", "1"), ("103", "1"), ("106", "1")]


def loaded(engine: Engine, limit: int | None, bids: Any = BIDS, asks: Any = ASKS) -> Any:
    return engine.loaded(last=10, bids=bids, asks=asks, limit=limit)


@pytest.mark.parametrize(
    ("limit", "bids", "asks", "complete_to", "coverage"),
    [
        (3, BIDS, ASKS, (95.0, 106.0), (3, 3)),
        (4, BIDS, ASKS, (0.0, math.inf), (3, 3)),
        (3, BIDS[:2], ASKS, (0.0, 106.0), (2, 3)),
        (2, BIDS, ASKS, (95.0, 106.0), (3, 3)),
        (None, BIDS, ASKS, (95.0, 106.0), (3, 3)),
        (None, BIDS, [], (95.0, None), (3, 0)),
        (5, [], [], (0.0, math.inf), (0, 0)),
        (None, [], [], (None, None), (0, 0)),
    ],
)
def test_a_snapshot_proves_a_side_to_its_last_level_or_all_of_it(
    engine: Engine, limit: int | None, bids: Any, asks: Any, complete_to: Any, coverage: Any
) -> None:
    book = loaded(engine, limit, bids, asks)
    assert (book.complete_to, book.coverage) == (complete_to, coverage)


def test_before_a_snapshot_nothing_is_proven(engine: Engine) -> None:
    book = engine.book()
    assert (book.complete_to, book.coverage) == ((None, None), (0, 0))


def test_diffs_never_move_the_bound_only_the_coverage(engine: Engine) -> None:
    book = loaded(engine, 3)
    book.apply(
        diff(11, 11, [("97", "1"), ("90", "4"), ("99", "0"), ("98", "0")], [("102", "1"), ("200", "1")])
    )
    assert (book.complete_to, book.coverage) == ((95.0, 106.0), (2, 4))
    assert [level.price for level in book.bids] == [97.0, 95.0, 90.0]


def test_a_bound_stays_when_its_level_goes(engine: Engine) -> None:
    book = loaded(engine, 3)
    book.apply(diff(11, 11, [("95", "0")], [("106", "0")]))
    assert (book.complete_to, book.coverage) == ((95.0, 106.0), (2, 2))


def test_coverage_is_nothing_when_the_price_leaves_the_range(engine: Engine) -> None:
    book = loaded(engine, 3)
    gone = [(price, "0") for price, _ in BIDS]
    book.apply(diff(11, 11, [*gone, ("80", "1"), ("79", "1")]))
    assert (book.coverage.bids, len(book.bids), book.bids[:1].complete) == (0, 2, False)
    assert book.complete_to.bids == 95.0


def test_levels_beyond_the_bound_are_kept(engine: Engine) -> None:
    book = loaded(engine, 3)
    book.apply(diff(11, 11, [("50", "1")], [("500", "1")]))
    assert (len(book.bids), len(book.asks)) == (4, 4)
    assert (book.bids[:].complete, book.bids[:3].complete, book.bids[:4].complete) == (False, True, False)


@pytest.mark.parametrize(
    ("limit", "asked", "complete"), [(3, 3, True), (3, 4, False), (4, 4, True), (4, 99, True)]
)
def test_a_read_says_whether_every_level_asked_for_is_proven(
    engine: Engine, limit: int, asked: int, complete: bool
) -> None:
    book = loaded(engine, limit)
    assert (book.bids[:asked].complete, book.asks[:asked].complete) == (complete, complete)
    assert book.freeze(asked).complete is complete


def test_a_new_snapshot_sets_the_range_again(engine: Engine) -> None:
    book = loaded(engine, 4)
    assert book.load_snapshot(snapshot(12, BIDS[:1], ASKS[:2]), limit=1) == SnapshotOutcome.SYNCED
    assert (book.complete_to, len(book.bids), len(book.asks)) == ((99.0, 103.0), 1, 2)


def test_a_wider_number_does_not_move_the_bound(engine: Engine) -> None:
    book = loaded(engine, 3)
    book.apply(diff(11, 11, [("94.999", "1")], [("106.00000001", "1")]))
    assert (book.complete_to, book.coverage) == ((95.0, 106.0), (3, 3))


@pytest.mark.parametrize(
    ("levels", "complete_to"), [(2, (98.0, 103.0)), (3, (0.0, math.inf)), (0, (None, None))]
)
def test_a_copy_proves_no_more_than_it_holds(engine: Engine, levels: int, complete_to: Any) -> None:
    frozen = loaded(engine, 4).freeze(levels)
    assert frozen.complete_to == complete_to
    assert frozen.complete
    assert (len(frozen.bids), frozen.coverage.bids) == (levels, levels)
    assert frozen.freeze(1).complete_to == ((99.0, 101.0) if levels else (None, None))


def test_a_copy_that_reaches_beyond_the_bound_says_so(engine: Engine) -> None:
    book = loaded(engine, 3)
    book.apply(diff(11, 11, [("90", "1"), ("80", "1")]))
    frozen = book.freeze(4)
    assert (frozen.complete, frozen.complete_to.bids, frozen.coverage.bids) == (False, 95.0, 3)
    assert (frozen.bids[:3].complete, frozen.bids[:4].complete) == (True, False)


def test_nothing_is_ever_pruned_by_count(engine: Engine) -> None:
    book = loaded(engine, 3)
    many = [(f"{price / 100:.2f}", "1") for price in range(9_000, 100, -1)]
    for start in range(0, len(many), 100):
        number = 11 + start
        book.apply(diff(number, number + 99, many[start : start + 100]))
    assert len(book.bids) == len(many) + 3
