"""What was read last is given again while nothing changed, and never when something did.

On both engines where a read is the same; that it is the same object is asked of the native one alone.
"""

from __future__ import annotations

import json
import pickle
import random
import threading
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from depthcache import (
    BookClosed,
    BookNotSynced,
    BookTooOld,
    InvalidArgument,
    Level,
    Levels,
    Outcome,
    Status,
    _native,
    reference,
)
from tests.engine import Engine, diff, load, snapshot
from tests.markets.test_age import S, Timed

BIDS = [(f"{99 - i}", f"{i + 1}.5") for i in range(30)]
ASKS = [(f"{101 + i}", f"{i + 1}.25") for i in range(30)]

READS: dict[str, Callable[[Any], Any]] = {
    "best": lambda book: book.best,
    "best_bid": lambda book: book.best_bid,
    "mid": lambda book: book.mid,
    "microprice": lambda book: book.microprice,
    "spread": lambda book: book.spread,
    "spread_bps": lambda book: book.spread_bps,
    "a slice": lambda book: book.bids[:20],
    "a part": lambda book: book.asks[2:5],
    "pairs": lambda book: book.bids.pairs(20),
}
CALLS: dict[str, Callable[[Any], Any]] = {
    "imbalance": lambda book: book.imbalance(5),
    "imbalance near the mid": lambda book: book.imbalance(bps=500),
    "fill": lambda book: book.fill("buy", base=5),
    "fill of a float": lambda book: book.fill("sell", quote=123.5),
    "depth_within": lambda book: book.depth_within(300),
    "size_to_move": lambda book: book.size_to_move("buy", 200),
}
ALL = READS | CALLS


@pytest.fixture
def rig() -> Timed:
    """A market on the native router, with its clock."""
    rig = Timed(load("native"))
    rig.at(1).synced()
    rig.at(2).feed(12, 12, BIDS, ASKS)
    return rig


def native(**options: Any) -> Any:
    return load("native").loaded(bids=BIDS, asks=ASKS, limit=100, **options)


# --- the same object, as long as nothing changed ------------------------------------------------------


@pytest.mark.parametrize("read", ALL)
@pytest.mark.parametrize("view", [lambda book: book, lambda book: book.exact, lambda book: book.freeze()])
def test_a_repeated_read_is_the_same_object(read: str, view: Callable[[Any], Any]) -> None:
    book = view(native())
    first = ALL[read](book)
    assert ALL[read](book) is first


@pytest.mark.parametrize("read", ALL)
def test_after_an_update_it_is_read_anew(read: str) -> None:
    book, twin = native(), native()
    before = ALL[read](book)
    shown = repr(before)
    changes = {"bids": [("99", "3"), ("99.5", "1")], "asks": [("101", "2"), ("103", "0")]}
    for each in (book, twin):
        assert each.apply(diff(11, 11, **changes)) is Outcome.APPLIED
    after = ALL[read](book)
    assert after == ALL[read](twin), "that of a reader that has read nothing before"
    assert repr(before) == shown, "who holds the earlier one keeps it"
    assert after != before


def test_other_arguments_are_another_result() -> None:
    book = native()
    amounts: list[Any] = [1, 2, 5, 5.0, 5.5, 6, Decimal(5), np.float64(5), np.int64(7)]
    for _ in range(2):
        for amount in amounts:
            assert book.fill("buy", base=amount) == native().fill("buy", base=amount), amount
            assert book.fill("sell", base=amount) == native().fill("sell", base=amount), amount
        for count in (1, 2, 3):
            assert book.imbalance(count) == native().imbalance(count)
            assert book.imbalance(bps=count) == native().imbalance(bps=count)
        for stop in range(1, 8):
            assert book.bids[:stop] == native().bids[:stop]
            assert book.bids.pairs(stop) == native().bids.pairs(stop)


def test_errors_of_arguments_are_not_kept_and_hide_nothing() -> None:
    book = native()
    held = book.fill("buy", base=5)
    for _ in range(2):
        with pytest.raises(InvalidArgument):
            book.fill("buy", base=-5)
        with pytest.raises(InvalidArgument):
            book.fill("up", base=5)
    assert book.fill("buy", base=5) is held


@pytest.mark.parametrize("read", ALL)
def test_the_exact_view_keeps_its_own_results(rig: Timed, read: str) -> None:
    for book in (rig.book, native(), native().freeze(), rig.book.no_older_than(0.5)):
        first = ALL[read](book.exact)
        assert ALL[read](book.exact) is first
        assert book.exact is book.exact
        assert type(book.exact) is type(book)
        assert ALL[read](book) is not first
        assert book.exact.bids[0].price.__class__ is Decimal
    rig.feed(20, 20)
    with pytest.raises(BookNotSynced):
        ALL[read](rig.book.exact)


def test_a_side_is_made_once_for_each_reader() -> None:
    book = native()
    assert book.bids is book.bids
    assert book.asks is not book.bids
    assert book.exact.bids != book.bids
    assert (book.exact.bids[0].price, book.bids[0].price) == (Decimal(99), 99.0)


# --- nothing outlives its truth -----------------------------------------------------------------------


@pytest.mark.parametrize("read", ALL)
def test_not_after_a_gap_and_again_after_the_snapshot(rig: Timed, read: str) -> None:
    book = rig.book
    ALL[read](book)
    rig.feed(20, 20)
    with pytest.raises(BookNotSynced):
        ALL[read](book)
    rig.install(20, bids=BIDS, asks=ASKS)
    rig.feed(21, 21)
    assert ALL[read](book) == ALL[read](rig.book)


@pytest.mark.parametrize("read", ALL)
def test_not_while_the_market_says_stale_halted_or_closed(rig: Timed, read: str) -> None:
    book = rig.book
    held = ALL[read](book)
    for condition in ("stale", "halted", "disconnected"):
        rig.router.set_condition(1, condition, "a reason", rig.now_ns)
        with pytest.raises(BookNotSynced):
            ALL[read](book)
        rig.router.set_condition(1, None, "", rig.now_ns)
        assert ALL[read](book) == held
    rig.router.remove_market(1, "removed", rig.now_ns)
    with pytest.raises(BookClosed):
        ALL[read](book)


@pytest.mark.parametrize("read", ALL)
def test_not_beyond_its_age(rig: Timed, read: str) -> None:
    view = rig.book.no_older_than(0.5)
    ALL[read](view)
    rig.at(2.5)
    ALL[read](view)
    rig.at(2.6)
    for _ in range(2):
        with pytest.raises(BookTooOld):
            ALL[read](view)
    rig.at(2.5)
    ALL[read](view)


def test_not_by_a_reader_of_another_policy(rig: Timed) -> None:
    serving = rig.router.reader(1, serve_stale=True)
    strict = rig.book
    held = serving.best
    assert strict.best == held
    rig.router.set_condition(1, "stale", "silent", rig.now_ns)
    assert serving.best == held
    with pytest.raises(BookNotSynced):
        _ = strict.best


@pytest.mark.parametrize("read", ALL)
def test_not_after_a_pause_of_the_machine(read: str) -> None:
    router = _native.Router()
    router.add_market(1, "binance.com", "BTCUSDT", "contiguous")
    body = snapshot(10, bids=BIDS, asks=ASKS)
    router.install_snapshot(1, body, limit=100, live=True, now_ns=_native.now_ns())
    book = router.reader(1)
    router.start_watch()
    ALL[read](book)
    _native._pretend(20 * S, slept_ns=20 * S)
    with pytest.raises(BookNotSynced):
        ALL[read](book)
    router.stop_watch()


@pytest.mark.parametrize("read", ALL)
def test_crossed_prices_are_not_served(read: str) -> None:
    book = native()
    ALL[read](book)
    book.apply(diff(11, 11, asks=[("98", "1")]))
    assert book.status is Status.CROSSED
    with pytest.raises(BookNotSynced):
        ALL[read](book)


# --- what was given never changes ---------------------------------------------------------------------


def _plain(result: Any) -> Any:
    if isinstance(result, (tuple, Levels)):
        return [_plain(each) for each in result]
    return result


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_results_are_constant_however_they_are_held(seed: int, *, exact: bool) -> None:
    """Objects that nobody holds are used again: whole results, levels, iterators and numbers are held."""
    choose = random.Random(seed)
    feeds = [load("native").loaded(bids=BIDS, asks=ASKS, limit=100) for _ in range(2)]
    book = feeds[0].exact if exact else feeds[0]
    held: list[tuple[Any, Any]] = []
    for update in range(11, 211):
        sides = {}
        for side, base, sign in (("bids", 99, -1), ("asks", 101, 1)):
            places = choose.sample(range(24), choose.randrange(4))
            sides[side] = [
                (f"{base + sign * place}.{choose.choice('05')}", choose.choice("001234")) for place in places
            ]
        sides["bids"].append(("99", f"{update}"))
        sides["asks"].append(("101", f"{update}"))
        sides["bids"] = [level for level in sides["bids"] if float(level[0]) < 100]
        for each in feeds:
            assert each.apply(diff(update, update, **sides)) is Outcome.APPLIED
        count = choose.choice((1, 3, 20, 20, 20))
        twin = feeds[1].exact if exact else feeds[1]
        fresh = twin.freeze()  # keeps nothing of the reads before
        levels, pairs, best = book.bids[:count], book.bids.pairs(count), book.best
        asks = book.asks.pairs(count)
        assert (list(levels), list(pairs)) == (
            list(fresh.bids[:count]),
            [tuple(x) for x in fresh.bids[:count]],
        )
        assert list(asks) == [tuple(level) for level in fresh.asks[:count]]
        assert best == fresh.best
        assert {type(pair) for pair in pairs} == {tuple}
        kind = choose.randrange(8)
        if kind == 0:
            held.append((levels, _plain(levels)))
        elif kind == 1:
            held.append((pairs, _plain(pairs)))
        elif kind == 2:
            held.append((best, _plain(best)))
        elif kind == 3:
            held.append((best.bid, _plain(best.bid)))
        elif kind == 4:
            held.append((levels[0], _plain(levels[0])))
        elif kind == 5:
            held.append((pairs[-1], _plain(pairs[-1])))
        elif kind == 6:
            held.append(
                (
                    zip(pairs, iter(levels), strict=True),
                    [[_plain(x), _plain(y)] for x, y in zip(pairs, levels, strict=True)],
                )
            )
        del levels, pairs, best, asks
        if choose.random() < 0.1:
            held.pop(choose.randrange(len(held))) if held else None
    for result, was in held:
        found = [_plain(each) for each in result] if isinstance(result, zip) else _plain(result)
        assert found == was


def test_a_book_of_thousands_of_levels_is_not_kept() -> None:
    many = [(f"{9_000 - i}", "1") for i in range(5_000)]
    book = load("native").loaded(bids=many, asks=[("9001", "1")], limit=5_000)
    assert book.bids[:] is not book.bids[:]
    assert book.bids.pairs() is not book.bids.pairs()
    assert book.bids.pairs(128) is book.bids.pairs(128)
    for stop in range(1, 9):
        _ = book.bids[:stop]
    assert book.bids[:8] is book.bids[:8]


# --- levels -------------------------------------------------------------------------------------------


@pytest.fixture(params=["book", "frozen", "exact"])
def sides(engine: Engine, request: Any) -> Any:
    book = engine.loaded(bids=BIDS, asks=ASKS, limit=100)
    return {"book": book, "frozen": book.freeze(), "exact": book.exact}[request.param]


def test_levels_are_a_constant_sequence(sides: Any) -> None:
    levels = sides.bids[:3]
    assert isinstance(levels, Levels)
    assert isinstance(levels, Sequence)
    same = [Level(99, 1.5), Level(98, 2.5), Level(97, 3.5)]
    assert levels == same
    assert same == levels
    assert levels == tuple(same)
    assert levels == [(99, 1.5), (98, 2.5), (97, 3.5)]
    assert levels == sides.bids[:3]
    assert levels != same[:2]
    assert levels != [(99, 1.5), (98, 2.5), (97, 4)]
    assert levels != "levels"
    assert hash(levels) == hash(tuple(same))
    assert (len(levels), levels[0], levels[-1]) == (3, same[0], same[2])
    assert levels[1:] == tuple(same[1:])
    assert levels[::-1] == tuple(same[::-1]) == tuple(reversed(levels))
    assert (levels.index((98, 2.5)), levels.count(same[0]), same[1] in levels, (1, 2) in levels) == (
        1,
        1,
        True,
        False,
    )
    assert repr(levels) == repr(list(levels))
    assert [*levels, None] == [*same, None]
    with pytest.raises(IndexError):
        levels[3]
    with pytest.raises(ValueError):  # noqa: PT011 - Python's own words
        levels.index((1, 2))
    for change in ("append", "sort", "clear", "__setitem__", "__delitem__"):
        assert not hasattr(levels, change)
    for fact, other in (("complete", False), ("update_id", 11), ("reason", "changed")):
        with pytest.raises(AttributeError):
            setattr(levels, fact, other)
    match levels:
        case [best, *_]:
            assert best == same[0]
        case _:
            pytest.fail("a pattern of a sequence takes it")
    copied = pickle.loads(pickle.dumps(levels))  # noqa: S301
    assert (copied, copied.complete, copied.update_id, copied.reason) == (levels, True, 10, "")
    assert isinstance(copied, Levels)


def test_levels_go_where_lists_go() -> None:
    levels = native().bids[:3]
    assert json.loads(json.dumps(list(levels))) == [[99.0, 1.5], [98.0, 2.5], [97.0, 3.5]]
    assert np.array(levels).tolist() == [[99.0, 1.5], [98.0, 2.5], [97.0, 3.5]]
    own = list(levels)
    own.sort()
    assert own[0] == levels[-1]


def test_pairs_are_plain_tuples_of_the_same_numbers(sides: Any) -> None:
    for side in (sides.bids, sides.asks):
        for count in (0, 1, 20, 29, 30, 31, 10**30):
            pairs = side.pairs(count)
            assert type(pairs) is tuple
            assert {type(pair) for pair in pairs} <= {tuple}
            assert pairs == tuple(tuple(level) for level in side[:count])
        assert side.pairs() == side.pairs(None) == side.pairs(30)
        assert {type(price) for price, _ in side.pairs(2)} == {type(side[0].price)}
    for wrong in (-1, 1.5, "1", True):
        with pytest.raises(InvalidArgument, match="invalid n"):
            sides.bids.pairs(wrong)


def test_pairs_of_a_book_that_is_not_synced_raise(engine: Engine) -> None:
    book = engine.loaded(bids=BIDS, asks=ASKS)
    book.bids.pairs(2)
    book.apply(diff(20, 20))
    with pytest.raises(BookNotSynced):
        book.bids.pairs(2)


def test_the_reference_reads_the_same() -> None:
    readers = [engine.Book("x", "BTCUSDT", "contiguous") for engine in (_native, reference)]
    for book in readers:
        book.load_snapshot(snapshot(10, bids=BIDS, asks=ASKS), limit=100)
    one, two = (book.bids[:40] for book in readers)
    assert one == two
    assert two == one
    assert (one.complete, one.reason, one.update_id) == (two.complete, two.reason, two.update_id)


# --- threads ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_reads_of_many_threads_belong_to_one_update_and_never_go_back() -> None:
    """Prices and quantities of the best 20 tell their update; the reader is one that keeps what it read."""

    def levels_of(update: int) -> dict[str, list[tuple[str, str]]]:
        tick = update % 7 / 10
        gone = (update - 1) % 7 / 10
        sides: dict[str, list[tuple[str, str]]] = {"bids": [], "asks": []}
        for place in range(20):
            sides["bids"] += [(f"{90 - place + gone:.1f}", "0"), (f"{90 - place + tick:.1f}", str(update))]
            sides["asks"] += [(f"{110 + place + gone:.1f}", "0"), (f"{110 + place + tick:.1f}", str(update))]
        return sides

    book = load("native").loaded(limit=100)
    book.apply(diff(11, 11, bids=[("99", "0")], asks=[("101", "0")]))
    book.apply(diff(12, 12, **levels_of(12)))
    begin, end = threading.Barrier(5), threading.Event()
    wrong: list[Any] = []
    looks = [0] * 4

    def read() -> None:
        who = begin.wait()
        last = 0
        while not end.is_set():
            best, bids, pairs, mid = book.best, book.bids[:20], book.asks.pairs(20), book.mid
            updates = [best.update_id, bids.update_id]
            for found in (bids, pairs, [best.bid, best.ask]):
                quantities = {int(quantity) for _, quantity in found}
                if len(quantities) != 1:
                    wrong.append(found)
                updates += quantities
            if not 99.9 < mid < 100.7 or not updates[0] == updates[4] >= last or updates[1] != updates[2]:
                wrong.append((updates, last, mid))
            if updates[0] > updates[1] or updates[2] > updates[3]:
                wrong.append(("back", updates))
            last = max(updates)
            if who < 4:
                looks[who] += 1

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    begin.wait()
    update = 12
    while sum(looks) < 2_000 and not wrong:
        update += 1
        assert book.apply(diff(update, update, **levels_of(update))) is Outcome.APPLIED
    end.set()
    for reader in readers:
        reader.join()
    assert wrong == []
