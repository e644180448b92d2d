"""A book whose best prices touch or cross after a complete event is kept current, but not served."""

from __future__ import annotations

import pytest

from depthcache import BookNotSynced, Outcome, Status
from tests.engine import Engine, diff, sides, snapshot


@pytest.mark.parametrize("ask", ["99", "98.5", "50"])
def test_touching_and_crossing_prices_are_not_served(engine: Engine, ask: str) -> None:
    book = engine.loaded()
    assert book.apply(diff(11, 11, asks=[(ask, "1")])) == Outcome.APPLIED
    assert (book.status, book.counters["crossed"], book.last_update_id) == (Status.CROSSED, 1, 11)
    assert book.reason == f"best bid 99{'.0' if '.' in '99' else ''} is at or above best ask {ask}"
    for read in (lambda: book.best, lambda: book.bids[:5], lambda: book.freeze(), lambda: list(book.asks)):
        with pytest.raises(BookNotSynced) as raised:
            read()
        assert (raised.value.status, raised.value.reason) == ("crossed", book.reason)


def test_an_event_that_uncrosses_serves_it_again(engine: Engine) -> None:
    book = engine.loaded()
    book.apply(diff(11, 11, asks=[("98", "1")]))
    book.apply(diff(12, 12, asks=[("97", "1")]))
    assert book.counters["crossed"] == 1
    book.apply(diff(13, 13, asks=[("98", "0"), ("97", "0")]))
    assert (book.status, book.reason, book.best.ask.price) == (Status.SYNCED, "", 101.0)


def test_only_the_whole_event_counts(engine: Engine) -> None:
    book = engine.loaded()
    book.apply(diff(11, 11, [("101", "5")], [("101", "0"), ("102", "1")]))
    assert (book.status, book.counters["crossed"]) == (Status.SYNCED, 0)
    assert sides(book) == ([("101", "5"), ("99", "1")], [("102", "1")])


def test_different_widths_are_compared_as_numbers(engine: Engine) -> None:
    book = engine.loaded(bids=[("99.5", "1")], asks=[("99.50000001", "1")])
    assert book.status is Status.SYNCED
    book.apply(diff(11, 11, asks=[("99.50000000", "1")]))
    assert book.status is Status.CROSSED


def test_a_crossed_snapshot_is_not_served_until_a_diff_uncrosses_it(engine: Engine) -> None:
    book = engine.loaded(bids=[("102", "1")])
    assert (book.status, book.unconfirmed) == (Status.CROSSED, True)
    assert "at or above" in book.reason
    book.apply(diff(11, 11, [("102", "0"), ("98", "1")]))
    assert (book.status, book.reason) == (Status.SYNCED, "")


def test_a_crossed_book_stays_unread_after_a_gap(engine: Engine) -> None:
    book = engine.loaded()
    book.apply(diff(11, 11, asks=[("98", "1")]))
    assert book.apply(diff(20, 20)) == Outcome.GAP
    with pytest.raises(BookNotSynced):
        book.bids[:1]
    book.load_snapshot(snapshot(19))
    assert book.best.update_id == 20


def test_a_side_without_levels_is_not_crossed(engine: Engine) -> None:
    book = engine.loaded(bids=(), asks=())
    assert book.status is Status.SYNCED
    assert book.best == (None, None, 10)
