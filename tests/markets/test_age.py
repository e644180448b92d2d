"""The age of a book, on both engines: three clocks, and reads that refuse old books."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from depthcache import BookClosed, BookNotSynced, BookTooOld, InvalidArgument, Status, _native, reference
from tests.engine import Engine, diff, snapshot
from tests.markets.test_router import WALL_NS, Rig

S = 1_000_000_000
WALL = datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)
MADE_US = 1_700_000_000_000_000
"""`E` of the diffs."""


class Timed(Rig):
    """A rig whose readers are on its virtual clock."""

    def at(self, seconds: float) -> Timed:
        """It is that time."""
        self.now_ns = round(seconds * S)
        self.router.set_virtual_time(self.now_ns, WALL_NS + self.now_ns)
        return self

    def times(self) -> tuple[Any, ...]:
        book = self.book
        return book.updated_ns, book.updated_at, book.event_time_us, book.event_time


@pytest.fixture
def rig(engine: Engine) -> Timed:
    return Timed(engine)


def after(seconds: float) -> datetime:
    return WALL + timedelta(seconds=seconds)


# --- three clocks -----------------------------------------------------------------------------------


def test_no_time_is_known_before_a_snapshot(rig: Timed) -> None:
    rig.at(3).feed(11, 12)
    assert rig.times() == (None, None, None, None)
    assert (rig.book.confirmed_ns, rig.book.confirmed_at) == (None, None)
    assert (rig.book.since_ns, rig.book.since_at) == (3 * S + 1, after(3))


def test_times_count_from_a_snapshot_that_tells_none_until_a_diff_is_applied(rig: Timed) -> None:
    """Spot: made at the latest when it was received, by the system's clock while no other is known."""
    rig.at(5).install()
    assert rig.book.status is Status.SYNCED
    received_us = WALL_NS // 1_000 + 5_000_000
    assert rig.times() == (5 * S + 1, after(5), received_us, after(5))
    assert (rig.book.confirmed_ns, rig.book.confirmed_at) == (5 * S + 1, after(5))
    rig.at(6).feed(11, 11)
    made = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert rig.times() == (6 * S + 1, after(6), MADE_US, made)
    rig.at(7).feed(12, 12, E=None)
    assert rig.book.event_time_us == WALL_NS // 1_000 + 7_000_000, "it told none: when it was received"


def test_the_estimate_of_the_exchanges_clock_counts_before_the_systems(rig: Timed) -> None:
    rig.at(5)
    rig.router.install_snapshot(
        1, snapshot(10), limit=None, live=True, now_ns=5 * S, made_us=(MADE_US - 7, MADE_US)
    )
    assert rig.book.event_time_us == MADE_US
    rig.at(6).install(11)
    assert rig.book.event_time_us == WALL_NS // 1_000 + 6_000_000
    rig.router.date_snapshot(1, (MADE_US, MADE_US + 5))
    assert rig.book.event_time_us == MADE_US + 5, "known only now"
    rig.router.date_snapshot(1, (MADE_US, MADE_US + 9))
    assert rig.book.event_time_us == MADE_US + 5
    rig.feed(12, 12)
    rig.router.date_snapshot(1, (MADE_US, MADE_US + 9))
    assert rig.book.event_time_us == MADE_US, "a diff tells its own"


@pytest.mark.parametrize(
    ("body", "made_us"),
    [({"E": 1_700_000_000_123, "T": 1_700_000_000_001}, 123_000), ({"T": 1_700_000_000_001}, 1_000)],
)
def test_a_snapshot_of_futures_tells_its_own_time(rig: Timed, body: dict[str, int], made_us: int) -> None:
    rig.at(5).install(**body)
    assert rig.book.event_time_us == MADE_US + made_us
    assert rig.book.event_time == datetime.fromtimestamp(1_700_000_000, UTC) + timedelta(microseconds=made_us)


def test_a_new_snapshot_restarts_the_count(rig: Timed) -> None:
    rig.at(1).synced()
    rig.feed(13, 13)
    assert rig.book.status is Status.BUFFERING
    assert rig.book.updated_ns == S + 1, "the last known book is of then"
    rig.at(9).install(13)
    assert rig.book.updated_ns == 9 * S + 1


def test_a_frozen_book_keeps_its_times_also_elsewhere(rig: Timed) -> None:
    rig.at(4).synced()
    frozen = rig.book.freeze()
    rig.router.set_virtual_time(5 * S, 0)
    for each in (frozen, pickle.loads(pickle.dumps(frozen)), copy.deepcopy(frozen)):  # noqa: S301
        if rig.engine.name == "native":
            assert each.updated_at == after(4)
        assert (each.updated_ns, each.event_time_us) == (4 * S + 1, MADE_US)
        assert each == frozen
    if rig.engine.name == "native":
        assert rig.book.updated_at != frozen.updated_at
        assert rig.book.freeze() == frozen, "no step of a clock makes a book another"


def test_what_is_fed_by_hand_has_no_times_of_this_machine(engine: Engine) -> None:
    book = engine.loaded()
    assert (book.updated_at, book.confirmed_at, book.since_at, book.event_time) == (None, None, None, None)
    book.apply(diff(11, 11))
    assert book.event_time == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    book.apply(diff(12, 12, E=9 * 10**17))
    assert book.event_time is None, "no datetime has that year"


def test_both_engines_offer_the_same_times(rig: Timed) -> None:
    assert all(hasattr(_native.BookReader, name) for name in vars(type(rig.book)) if not name.startswith("_"))


def test_the_reference_uses_only_the_times_it_is_given() -> None:
    router = reference.Router()
    router.add_market(1, "binance.com", "BTCUSDT", "contiguous")
    router.install_snapshot(1, snapshot(10), limit=None, live=True, now_ns=_native.now_ns())
    book = router.reader(1)
    assert (book.updated_at, book.event_time) == (None, None)
    assert book.no_older_than(1e-9).best.bid == (99.0, 1.0)
    router.install_snapshot(1, snapshot(11), limit=None, live=True, now_ns=5_000)
    router.set_virtual_time(5_000, WALL_NS)
    assert book.updated_at == datetime.fromtimestamp(WALL_NS / 1e9, UTC)


def test_on_the_systems_own_clock_times_are_those_of_now() -> None:
    router = _native.Router()
    router.add_market(1, "binance.com", "BTCUSDT", "contiguous")
    book, before = router.reader(1), datetime.now(UTC)
    router.install_snapshot(1, snapshot(10), limit=None, live=True, now_ns=_native.now_ns())
    assert book.updated_at is not None
    assert abs(book.updated_at - before) < timedelta(minutes=1)
    assert len({book.updated_at for _ in range(100)}) == 1, "one time has one date"
    assert book.no_older_than(60).best.bid == (99.0, 1.0)
    with pytest.raises(BookTooOld):
        book.no_older_than(1e-9).best  # noqa: B018


# --- reads that refuse old books ---------------------------------------------------------------------

READS: dict[str, Callable[[Any], Any]] = {
    "best": lambda book: book.best,
    "best_bid": lambda book: book.best_bid,
    "mid": lambda book: book.mid,
    "microprice": lambda book: book.microprice,
    "spread": lambda book: book.spread,
    "spread_bps": lambda book: book.spread_bps,
    "freeze": lambda book: book.freeze(5),
    "bids": lambda book: book.bids[:3],
    "one ask": lambda book: book.asks[0],
    "len": lambda book: len(book.asks),
    "loop": lambda book: list(book.bids),
    "exact": lambda book: book.exact.best,
}
NATIVE_READS: dict[str, Callable[[Any], Any]] = {
    "imbalance": lambda book: book.imbalance(),
    "fill": lambda book: book.fill("buy", base=1),
    "depth_within": lambda book: book.depth_within(10),
    "grouped": lambda book: book.grouped(1),
    "up_to_value": lambda book: book.bids.up_to_value(5),
    "to_numpy": lambda book: book.to_numpy(),
    "to_integers": lambda book: book.to_integers(),
    "side to_numpy": lambda book: book.asks.to_numpy(2),
    "to_arrow": lambda book: book.to_arrow(),
    "Columns": lambda book: _native.Columns([book]),
}


@pytest.mark.parametrize("read", [*READS, *NATIVE_READS])
def test_a_book_older_than_allowed_is_not_read(rig: Timed, read: str) -> None:
    if read in NATIVE_READS and rig.engine.name != "native":
        pytest.skip("arrays, columns and analytics are native alone")
    call = (READS | NATIVE_READS)[read]
    rig.at(0).synced()
    rig.at(10).feed(12, 12)
    view = rig.book.no_older_than(0.5)
    rig.at(10.5)
    call(view)
    rig.at(10.6)
    with pytest.raises(BookTooOld) as raised:
        call(view)
    facts = (raised.value.exchange, raised.value.symbol, raised.value.age_s, raised.value.max_age_s)
    assert facts == ("binance.com", "BTCUSDT", pytest.approx(0.6), 0.5)
    assert not isinstance(raised.value, BookNotSynced)
    assert "is 0.600 s old, max_age is 0.5 s" in str(raised.value)
    call(rig.book)
    call(view.no_older_than(float("inf")))
    assert view.status is Status.SYNCED
    rig.feed(13, 13)
    call(view)


def test_the_age_counts_from_the_snapshot_before_the_first_diff(rig: Timed) -> None:
    rig.at(10).install()
    view = rig.book.no_older_than(1)
    rig.at(10.9)
    assert view.best.update_id == 10
    rig.at(12)
    with pytest.raises(BookTooOld):
        view.best  # noqa: B018


def test_views_compose(rig: Timed) -> None:
    rig.at(10).synced()
    rig.at(13)
    for view in (rig.book.exact.no_older_than(1), rig.book.no_older_than(1).exact, rig.book.no_older_than(1)):
        with pytest.raises(BookTooOld):
            view.bids[0]
    for view in (rig.book.exact.no_older_than(5), rig.book.no_older_than(5).exact):
        assert isinstance(view.bids[0].price, Decimal)


def test_a_book_that_cannot_be_trusted_says_that_first(rig: Timed) -> None:
    view = rig.at(10).synced().book.no_older_than(1)
    rig.at(20).feed(14, 14)
    with pytest.raises(BookNotSynced):
        view.best  # noqa: B018
    served = rig.router.reader(1, serve_stale=True)
    assert served.best.update_id == 11
    with pytest.raises(BookTooOld):
        served.no_older_than(1).best  # noqa: B018
    rig.router.remove_market(1, "gone", 21 * S)
    with pytest.raises(BookClosed):
        view.best  # noqa: B018


def test_freezing_takes_an_age_and_frozen_books_get_no_older(rig: Timed) -> None:
    rig.at(10).synced()
    rig.at(12)
    with pytest.raises(BookTooOld):
        rig.book.freeze(max_age=1)
    with pytest.raises(BookTooOld):
        rig.book.no_older_than(1).freeze()
    frozen = rig.book.no_older_than(1).freeze(max_age=3)
    rig.at(100)
    assert frozen.no_older_than(1) is frozen
    assert frozen.freeze(1, max_age=1).best == frozen.best
    if rig.engine.name == "native":
        assert frozen.mid == 100.0


def test_a_reader_is_made_with_an_age(engine: Engine) -> None:
    rig = Timed(engine)
    rig.at(10).synced()
    reader = engine.BookReader(rig.router, 1, max_age_s=1.0)
    assert reader.best.update_id == 11
    rig.at(12)
    with pytest.raises(BookTooOld):
        reader.best  # noqa: B018


def test_a_book_without_a_clock_is_never_too_old(engine: Engine) -> None:
    book = engine.loaded()
    assert book.no_older_than(1e-9) is book
    assert book.freeze(max_age=1e-9).best.update_id == 10


@pytest.mark.parametrize("seconds", [1e11, 1e300, 1.7e308, 10**300, float("inf")])
def test_an_age_of_ages_takes_every_book(engine: Engine, seconds: Any) -> None:
    rig = Timed(engine).at(1)
    rig.synced()
    for book in (rig.book, rig.at(60).book):
        assert book.no_older_than(seconds).best.bid == (99.0, 1.0)
        assert book.freeze(max_age=seconds).best.bid == (99.0, 1.0)
        assert book.freeze().freeze(max_age=seconds).best.bid == (99.0, 1.0)


@pytest.mark.parametrize(
    "seconds", [0, -1, float("nan"), True, "1", [1], pytest.param(10**400, id="10**400")], ids=repr
)
def test_seconds_that_are_none_are_refused(engine: Engine, seconds: Any) -> None:
    rig = Timed(engine).at(1)
    rig.synced()
    for book in (rig.book, rig.book.freeze(), engine.loaded()):
        with pytest.raises(InvalidArgument, match="seconds"):
            book.no_older_than(seconds)
        with pytest.raises(InvalidArgument, match="max_age"):
            book.freeze(max_age=seconds)
    with pytest.raises(InvalidArgument, match="max_age_s"):
        engine.BookReader(rig.router, 1, max_age_s=seconds)


def test_columns_name_books_that_are_too_old_beside_those_that_cannot_be_trusted() -> None:
    router = _native.Router()
    router.set_virtual_time(10 * S, WALL_NS)
    for number, symbol in ((1, "OLDUSDT"), (2, "NEWUSDT"), (3, "LATEUSDT")):
        router.add_market(number, "binance.com", symbol, "contiguous")
    for number, at_s in ((1, 1), (2, 10)):
        router.install_snapshot(number, snapshot(10), limit=None, live=True, now_ns=at_s * S)
    old, new, late = (router.reader(number).no_older_than(2) for number in (1, 2, 3))
    with pytest.raises(BookTooOld, match="OLDUSDT"):
        _native.Columns([new, old])
    with pytest.raises(BookNotSynced, match=r"2 of 3 books.*OLDUSDT.*LATEUSDT"):
        _native.Columns([new, old, late])
    columns = _native.Columns([new, old, late], missing="skip")
    assert len(columns) == 2
    told = [(each.symbol, each.status, each.reason) for each in columns.missing]
    assert told[0] == ("OLDUSDT", Status.SYNCED, "9.000 s old, max_age is 2 s")
    assert told[1][:2] == ("LATEUSDT", Status.EMPTY)
