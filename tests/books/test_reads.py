"""Reads: the same interface of offline, live and frozen books, on both engines."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import depthcache
from depthcache import Best, BookEmpty, BookNotSynced, InvalidArgument, Level, Levels, Outcome, Status
from tests.engine import Engine, diff, snapshot

BIDS = [(f"{99 - i}", f"{i + 1}.5") for i in range(7)]
ASKS = [(f"{101 + i}", f"{i + 1}.25") for i in range(5)]
PRICES = [float(price) for price, _ in BIDS]


@pytest.fixture(params=["book", "frozen"])
def book(engine: Engine, request: Any) -> Any:
    made = engine.loaded(bids=BIDS, asks=ASKS, limit=100)
    return made if request.param == "book" else made.freeze()


def test_best_is_both_sides_of_one_update_id(book: Any) -> None:
    best = book.best
    assert isinstance(best, Best)
    assert isinstance(best.bid, Level)
    assert best == ((99.0, 1.5), (101.0, 1.25), 10)
    bid, ask, update_id = best
    assert (bid.price, ask.quantity, update_id) == (99.0, 1.25, 10)


@pytest.mark.parametrize(
    "key",
    [
        slice(None), slice(3), slice(2, 5), slice(2, None), slice(0), slice(100), slice(50, 60), slice(5, 2),
        slice(-3, None), slice(None, -2), slice(None, None, 2), slice(None, None, -1), slice(5, 1, -2),
        slice(-100, 100), slice(10**30), slice(-(10**30), None),
    ],
)  # fmt: skip
def test_slices_are_those_of_a_list(book: Any, key: slice) -> None:
    found = book.bids[key]
    assert isinstance(found, Levels)
    assert [level.price for level in found] == PRICES[key]
    assert found.complete is True


def test_a_slice_has_a_step(book: Any) -> None:
    with pytest.raises(ValueError, match="step"):
        book.bids[::0]


@pytest.mark.parametrize("place", [0, 3, 6, -1, -7])
def test_places_are_those_of_a_list(book: Any, place: int) -> None:
    assert book.bids[place] == Level(PRICES[place], float(BIDS[place][1]))


@pytest.mark.parametrize("place", [7, -8, 10**30, -(10**30)])
def test_places_outside_are_index_errors(book: Any, place: int) -> None:
    with pytest.raises(IndexError):
        book.bids[place]


@pytest.mark.parametrize("key", ["1", 1.0, None, (1, 2)])
def test_other_keys_are_type_errors(book: Any, key: Any) -> None:
    with pytest.raises(TypeError):
        book.bids[key]


def test_sides_have_a_length_and_can_be_walked(book: Any) -> None:
    assert (len(book.bids), len(book.asks)) == (7, 5)
    assert [level.price for level in book.asks] == [101.0, 102.0, 103.0, 104.0, 105.0]
    assert Level(101.0, 1.25) in list(book.asks)


def test_a_walk_sees_the_side_as_it_was_when_it_began(engine: Engine) -> None:
    book = engine.loaded(bids=BIDS)
    walk = iter(book.bids)
    next(walk)
    book.apply(diff(11, 11, [(price, "0") for price, _ in BIDS]))
    assert len(list(walk)) == len(BIDS) - 1


def test_exact_reads_are_decimals_of_the_same_book(book: Any) -> None:
    exact = book.exact
    assert str(exact.best.bid.price) == "99"
    assert str(exact.asks[:1][0].quantity) == "1.25"
    assert float(exact.complete_to.bids) == book.complete_to.bids
    assert exact.last_update_id == book.last_update_id


def test_a_frozen_book_never_changes(engine: Engine) -> None:
    book = engine.loaded(bids=BIDS, asks=ASKS, limit=100)
    frozen = book.freeze(3)
    before = (frozen.best, list(frozen.bids), frozen.status, frozen.counters, frozen.coverage)
    book.apply(diff(11, 11, [("99", "0")], [("101", "0")]))
    assert book.apply(diff(15, 15)) == Outcome.GAP
    assert (frozen.best, list(frozen.bids), frozen.status, frozen.counters, frozen.coverage) == before
    assert frozen.freeze(2).last_update_id == 10


def test_nothing_else_than_freeze_makes_frozen_books(engine: Engine) -> None:
    if engine.name == "native":
        with pytest.raises(TypeError, match="freeze"):
            type(engine.loaded().freeze())()


def test_reading_before_a_snapshot_raises_with_the_reason(engine: Engine) -> None:
    book = engine.book()
    book.apply(diff(1, 1))
    for read in (lambda: book.best, lambda: book.bids[:1], lambda: len(book.asks), lambda: book.freeze(1)):
        with pytest.raises(BookNotSynced) as raised:
            read()
        assert (raised.value.status, raised.value.reason) == ("buffering", "waiting for a snapshot")
        assert raised.value.since_ns == 0


def test_errors_of_a_book_without_a_symbol_say_so(engine: Engine) -> None:
    book = engine.book(symbol=None)
    with pytest.raises(BookNotSynced, match=r"^a book without a symbol on x is empty, not synced"):
        _ = book.best
    book.load_snapshot(snapshot(10, [], []), limit=1000)
    with pytest.raises(BookEmpty, match=r"^a book without a symbol on x has no bids"):
        _ = book.best_bid


def test_what_says_how_far_a_book_can_be_trusted_never_raises(engine: Engine) -> None:
    book = engine.book(symbol=None)
    states = [
        lambda: None,
        lambda: book.apply(diff(5, 5)),
        lambda: book.load_snapshot(snapshot(10)),
        lambda: book.apply(diff(11, 11, [("102", "1")])),
        lambda: book.apply(diff(20, 20)),
    ]
    for change in states:
        change()
        told = (book.status, book.reason, book.since_ns, book.complete_to, book.coverage, book.last_update_id)
        assert told[0] in Status
        assert repr(book).startswith("<Book ")
        assert book.unconfirmed in (True, False)
        assert book.counters["gaps"] >= 0
        assert repr(book.bids)
        assert book.exact.status is book.status


READS: dict[str, Any] = {
    "best": lambda book: book.best,
    "length": lambda book: len(book.bids),
    "index": lambda book: book.asks[0],
    "slice": lambda book: book.bids[:5],
    "iteration": lambda book: list(book.asks),
    "freeze": lambda book: book.freeze(),
    "freeze of some": lambda book: book.freeze(5),
    "exact": lambda book: book.exact.best,
    "exact side": lambda book: book.exact.bids[0],
}
NATIVE_READS: dict[str, Any] = {
    "mid": lambda book: book.mid,
    "microprice": lambda book: book.microprice,
    "spread": lambda book: book.spread,
    "imbalance": lambda book: book.imbalance(),
    "depth_within": lambda book: book.depth_within(10),
    "fill": lambda book: book.fill("buy", base=1),
    "size_to_move": lambda book: book.size_to_move("buy", 10),
    "grouped": lambda book: book.grouped(1),
    "to_numpy": lambda book: book.to_numpy(),
    "side to_numpy": lambda book: book.bids.to_numpy(),
    "to_integers": lambda book: book.to_integers(),
    "side to_integers": lambda book: book.asks.to_integers(),
    "to_arrow": lambda book: book.to_arrow(),
    "up_to_value": lambda book: book.bids.up_to_value(100),
    "columns": lambda book: depthcache.Columns([book]),
}


@pytest.mark.parametrize("name", [*READS, *NATIVE_READS])
def test_after_a_gap_no_read_serves_the_old_levels_unless_it_was_wanted(engine: Engine, name: str) -> None:
    if engine.name == "reference" and name in NATIVE_READS:
        pytest.skip("arrays, columns and analytics are native alone")
    read = (READS | NATIVE_READS)[name]
    book, serving = engine.book(), engine.book(serve_stale=True)
    for each in (book, serving):
        with pytest.raises(BookNotSynced):
            read(each)
        each.load_snapshot(snapshot(10), limit=100)
        read(each)
        assert each.apply(diff(20, 20)) == "gap"
        assert each.status is Status.BUFFERING
    with pytest.raises(BookNotSynced) as raised:
        read(book)
    assert raised.value.status == "buffering"
    assert "is at 10" in raised.value.reason
    read(serving)
    assert serving.best.update_id == serving.exact.best.update_id == 10
    assert book.load_snapshot(snapshot(19), limit=100) == "synced"
    read(book)


def test_a_public_book_serves_the_last_known_levels_on_demand_alone() -> None:
    book = depthcache.Book("binance.com", on_stale="serve")
    book.load_snapshot(snapshot(10))
    book.apply(diff(20, 20))
    assert (book.status, book.best.update_id, book.exact.bids[0].price) == (Status.BUFFERING, 10, 99)
    assert len(depthcache.Columns([book])) == 2
    with pytest.raises(BookNotSynced):
        book.freeze(on_stale="raise")
    refusing = depthcache.Book("binance.com")
    refusing.load_snapshot(snapshot(10))
    refusing.apply(diff(20, 20))
    with pytest.raises(BookNotSynced):
        assert refusing.best
    assert refusing.freeze(on_stale="serve").best.update_id == 10


@pytest.mark.parametrize("word", ["wait", "", "Serve", None, True, 1])
def test_a_public_book_knows_two_ways_with_stale_levels(word: Any) -> None:
    with pytest.raises(InvalidArgument) as raised:
        depthcache.Book("binance.com", on_stale=word)
    assert (raised.value.name, raised.value.value) == ("on_stale", word)


def test_numpy_gets_its_own_table(engine: Engine) -> None:
    if engine.name == "reference":
        pytest.skip("arrays are for speed; the reference has none")
    book = engine.loaded(bids=BIDS, asks=ASKS, limit=100)
    table = book.bids.to_numpy()
    assert (table.dtype, table.shape, table.flags.owndata or table.base is not None) == (
        np.float64,
        (7, 2),
        True,
    )
    assert table.tolist() == [[float(price), float(quantity)] for price, quantity in BIDS]
    table[0, 0] = 5.0
    book.apply(diff(11, 11, [("99", "0")]))
    assert (table[0, 0], book.bids.to_numpy(2).tolist()) == (5.0, [[98.0, 2.5], [97.0, 3.5]])
    assert book.bids.to_numpy(0).shape == (0, 2)
    assert book.exact.asks.to_numpy(1).tolist() == [[101.0, 1.25]]
    frozen = book.freeze(3).asks.to_numpy()
    assert frozen.shape == (3, 2)


def test_numpy_refuses_what_cannot_be_read(engine: Engine) -> None:
    if engine.name == "reference":
        pytest.skip("arrays are for speed; the reference has none")
    with pytest.raises(BookNotSynced):
        engine.book().bids.to_numpy()
    with pytest.raises((TypeError, OverflowError, ValueError)):
        engine.loaded().bids.to_numpy(-1)


def test_a_frozen_book_is_a_value_and_others_belong_to_their_process(book: Any) -> None:
    if type(book).__name__ == "FrozenBook":
        assert pickle.loads(pickle.dumps(book)) == book  # noqa: S301
        return
    with pytest.raises(TypeError, match="freeze"):
        pickle.dumps(book)


def test_counters_count(engine: Engine) -> None:
    book = engine.loaded(bids=BIDS)
    book.apply(diff(11, 11, [("99", "1.5"), ("98", "9"), ("50", "0"), ("97", "0"), ("40", "1")]))
    book.apply(diff(11, 11))
    book.apply(diff(20, 20))
    counters = book.counters
    wanted = {"applied": 1, "old": 1, "gaps": 1, "snapshots": 1, "levels_changed": 3, "malformed": 0}
    assert {name: counters[name] for name in wanted} == wanted
