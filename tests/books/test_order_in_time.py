"""Times distinguish backlogs, reset ids and older snapshots, on both engines."""

from __future__ import annotations

from typing import Any

import pytest

import depthcache
from depthcache import BookNotSynced, MalformedSnapshot, Outcome, SnapshotOutcome, Status, SymbolMismatch
from tests.engine import Engine, diff, facts, sides, snapshot

T = 1_700_000_000_000
"""Milliseconds on the exchange's clock."""
OLD, APPLIED, GAP = Outcome.OLD, Outcome.APPLIED, Outcome.GAP
FAMILIES = ("contiguous", "chained")


def at(continuity: str, last: int, ms: int | None, first: int | None = None, **more: Any) -> bytes:
    """A diff of one id (or from `first`), made at `ms`."""
    begin = last if first is None else first
    chain = {"pu": begin - 1} if continuity == "chained" else {}
    return diff(begin, last, [("98", "2")], E=ms, **(chain | more))


def held(book: Any) -> tuple[Any, Any]:
    return facts(book), sides(book)


@pytest.mark.parametrize("continuity", FAMILIES)
@pytest.mark.parametrize("apart_ms", [0, 5_000, 5_001, 60_000, 3_600_000])
def test_backlog_is_old_however_late_it_comes_and_however_far_it_is_apart(
    engine: Engine, continuity: str, apart_ms: int
) -> None:
    book = engine.book(continuity)
    book.load_snapshot(snapshot(1_000), limit=100)
    frames = [at(continuity, 900, T), at(continuity, 950, T + apart_ms)]
    assert [book.apply(frame) for frame in frames] == [OLD, OLD]
    assert book.apply(at(continuity, 1_005, T + apart_ms + 100, first=951)) == APPLIED
    assert (book.status, book.counters["resets"], book.counters["gaps"]) == (Status.SYNCED, 0, 0)
    assert book.counters["old"] == 2


@pytest.mark.parametrize("times", [{"E": T + 8_000, "T": T + 7_990}, {"T": T + 8_000}])
def test_diffs_of_before_the_snapshot_by_its_own_time_are_backlog(
    engine: Engine, times: dict[str, int]
) -> None:
    book = engine.book("chained")
    book.load_snapshot(snapshot(1_000, **times))
    for number, later in ((900, 0), (930, 5_001), (990, 8_000), (1_000, 8_100)):
        assert book.apply(at("chained", number, T + later, pu=1)) != GAP
    assert book.apply(at("chained", 1_005, T + 8_200)) == GAP  # 1001 to 1004 are missing
    assert book.counters["resets"] == 0


@pytest.mark.parametrize("how", ["body", "argument"])
@pytest.mark.parametrize(("later_ms", "outcome"), [(5_000, OLD), (5_001, GAP)])
def test_an_old_id_clearly_after_the_snapshot_means_that_ids_restarted(
    engine: Engine, how: str, later_ms: int, outcome: Outcome
) -> None:
    if how == "body":
        book = engine.book("chained")
        book.load_snapshot(snapshot(1_000, E=T, T=T - 3))
        anew = at("chained", 4, T + later_ms)
    else:
        book = engine.book()
        book.load_snapshot(snapshot(1_000), latest_us=T * 1_000)
        anew = at("contiguous", 4, T + later_ms)
    assert book.apply(anew) == outcome
    assert book.counters["resets"] == (outcome is GAP)
    if outcome is GAP:
        assert "reset its update ids" in book.reason
        with pytest.raises(BookNotSynced):
            assert book.best
        assert book.load_snapshot(snapshot(2)) == SnapshotOutcome.TOO_OLD
        assert book.load_snapshot(snapshot(3)) == SnapshotOutcome.SYNCED
        assert book.last_update_id == 4


def test_what_was_applied_last_is_the_base_up_to_its_id(engine: Engine) -> None:
    book = engine.book()
    book.load_snapshot(snapshot(10))
    assert book.apply(at("contiguous", 11, T)) == APPLIED
    for number in (12, 13, 14):
        assert book.apply(at("contiguous", number, None)) == APPLIED
    assert book.apply(at("contiguous", 13, T + 60_000)) == OLD  # nothing tells when id 13 was there
    assert book.apply(at("contiguous", 11, T + 5_000)) == OLD
    assert book.apply(at("contiguous", 11, T + 5_001)) == GAP


@pytest.mark.parametrize("continuity", FAMILIES)
def test_where_nothing_tells_the_order_a_second_snapshot_decides_by_whether_its_id_fell(
    engine: Engine, continuity: str
) -> None:
    book = engine.book(continuity)
    book.load_snapshot(snapshot(1_000), limit=100)
    for number in (3, 4, 5):
        assert book.apply(at(continuity, number, T + 6_000 * number)) == OLD
    assert (book.status, book.last_update_id) == (Status.SYNCED, 1_000)
    assert book.load_snapshot(snapshot(4, [("90", "1")]), limit=100) == SnapshotOutcome.SYNCED
    assert (book.last_update_id, sides(book)[0]) == (5, [("98", "2"), ("90", "1")])
    assert (book.counters["resets"], book.counters["old"]) == (1, 3)
    assert book.apply(at(continuity, 6, T + 36_000)) == APPLIED


@pytest.mark.parametrize("continuity", FAMILIES)
def test_the_same_doubt_ends_with_the_diff_that_bridges(engine: Engine, continuity: str) -> None:
    book = engine.book(continuity)
    book.load_snapshot(snapshot(1_000))
    assert book.apply(at(continuity, 900, T)) == OLD
    assert book.apply(at(continuity, 1_005, T + 100, first=901)) == APPLIED
    before = held(book)
    assert book.load_snapshot(snapshot(950)) == SnapshotOutcome.TOO_OLD
    assert held(book) == before


# --- older snapshots ------------------------------------------------------------------------------------


@pytest.mark.parametrize("continuity", FAMILIES)
def test_an_older_snapshot_changes_nothing(engine: Engine, continuity: str) -> None:
    book = engine.book(continuity)
    book.load_snapshot(snapshot(104), limit=100)
    for number in range(105, 111):
        assert book.apply(at(continuity, number, T + number)) == APPLIED
    before = held(book)
    for older in (0, 1, 103, 104, 109):
        assert book.load_snapshot(snapshot(older, [("50", "1")]), limit=1) == SnapshotOutcome.TOO_OLD
        assert held(book) == before
    assert book.load_snapshot(snapshot(110, [("50", "1")]), limit=100) == SnapshotOutcome.SYNCED
    assert sides(book)[0] == [("50", "1")]
    assert book.apply(at(continuity, 111, T + 111)) == APPLIED


def test_an_older_snapshot_of_a_book_without_diffs_changes_nothing(engine: Engine) -> None:
    book = engine.loaded(last=110)
    before = held(book)
    assert book.load_snapshot(snapshot(103, [("50", "1")])) == SnapshotOutcome.TOO_OLD
    assert held(book) == before
    assert book.load_snapshot(snapshot(110, [("50", "1")])) == SnapshotOutcome.SYNCED


def test_after_a_gap_the_kept_diffs_decide_what_is_too_old(engine: Engine) -> None:
    book = engine.loaded(last=110)
    assert book.apply(at("contiguous", 115, T)) == GAP
    before = held(book)
    for older in (3, 109, 110, 113):
        assert book.load_snapshot(snapshot(older)) == SnapshotOutcome.TOO_OLD
        assert held(book) == before
    assert book.load_snapshot(snapshot(114)) == SnapshotOutcome.SYNCED
    assert book.last_update_id == 115


def test_a_lower_id_of_a_clearly_younger_snapshot_is_no_older_one(engine: Engine) -> None:
    book = engine.book("chained")
    book.load_snapshot(snapshot(1_000, E=T, T=T))
    assert book.apply(at("chained", 1_001, T + 100)) == APPLIED
    lagging = T + 100 + 30_000 + 5_000  # a node may be 30 s behind
    assert book.load_snapshot(snapshot(7, E=lagging, T=lagging)) == SnapshotOutcome.TOO_OLD
    assert book.load_snapshot(snapshot(7, E=lagging + 1, T=lagging + 1)) == SnapshotOutcome.SYNCED
    assert (book.last_update_id, book.counters["resets"]) == (7, 1)


def test_kept_diffs_of_before_a_clearly_younger_snapshot_with_a_lower_id_are_dropped(engine: Engine) -> None:
    for later_ms, outcome in ((35_000, SnapshotOutcome.TOO_OLD), (35_001, SnapshotOutcome.SYNCED)):
        book = engine.book("chained")
        assert book.apply(at("chained", 1_000, T)) == Outcome.WAITING
        made = T + later_ms
        assert book.load_snapshot(snapshot(3, E=made, T=made)) == outcome
        assert book.counters["resets"] == (outcome is SnapshotOutcome.SYNCED)
        if outcome is SnapshotOutcome.SYNCED:
            assert book.apply(at("chained", 4, made)) == APPLIED


def test_a_recorded_day_with_a_snapshot_again_and_again_is_never_read_wrongly(engine: Engine) -> None:
    book, truth = engine.book(), {"99": "1"}
    first = snapshot(1_000, list(truth.items()))
    assert book.load_snapshot(first, limit=100) == SnapshotOutcome.SYNCED
    for number in range(1_001, 1_400):
        price, quantity = str(50 + number % 40), str(number)
        if number % 130:
            outcome = book.apply(diff(number, number, [(price, quantity)], E=T + number))
        truth[price] = quantity
        if number % 130 == 0:
            continue  # one is lost: a gap until somebody brings a younger snapshot
        if number % 100 == 0:
            assert book.load_snapshot(first, limit=100) == SnapshotOutcome.TOO_OLD
        if outcome is GAP:
            with pytest.raises(BookNotSynced):
                assert book.best
            if number % 10 == 0:
                book.load_snapshot(snapshot(number, sorted(truth.items(), reverse=True)), limit=100)
                assert book.status is Status.SYNCED
        else:
            assert dict(sides(book)[0]) == truth


# --- chains that overlap --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("previous", "first", "last", "outcome"),
    [
        (1_004, 1_005, 1_010, APPLIED),  # overlaps by one diff
        (900, 901, 1_010, APPLIED),  # by much
        (900, 1_008, 1_010, APPLIED),  # the ids between belong to other symbols
        (1_005, 1_007, 1_010, APPLIED),
        (1_006, 1_007, 1_010, GAP),
        (900, 901, 1_005, OLD),
        (900, 901, 1_004, OLD),
    ],
)
def test_a_chain_may_overlap_what_is_held_and_leave_no_hole(
    engine: Engine, previous: int, first: int, last: int, outcome: Outcome
) -> None:
    book = engine.book("chained")
    book.load_snapshot(snapshot(1_000))
    assert book.apply(diff(1_001, 1_005, [("98", "5")], pu=1_000, E=T)) == APPLIED
    assert book.apply(diff(first, last, [("98", "7")], pu=previous, E=T + 100)) == outcome
    if outcome is APPLIED:
        assert sides(book)[0] == [("99", "1"), ("98", "7")]


# --- what is no snapshot of this book -------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        {"symbol": "ETHUSD_PERP", "pair": "ETHUSD"},
        {"symbol": "ETHUSD_PERP"},
        {"pair": "ETHUSD"},
        {"symbol": "BTCUSD_PERP", "pair": "ETHUSD"},
        {"symbol": "BTCUSD_240927", "pair": "BTCUSD"},
    ],
)
@pytest.mark.parametrize("state", ["empty", "buffering", "synced", "broken"])
def test_a_snapshot_of_another_symbol_is_refused_and_changes_nothing(
    engine: Engine, names: dict[str, str], state: str
) -> None:
    book = engine.book("chained", "BTCUSD_PERP")
    if state == "buffering":
        book.apply(at("chained", 5, T, s="BTCUSD_PERP"))
    elif state != "empty":
        book.load_snapshot(snapshot(10))
    if state == "broken":
        book.apply(at("chained", 50, T, s="BTCUSD_PERP"))
    before = facts(book)
    with pytest.raises(SymbolMismatch) as raised:
        book.load_snapshot(snapshot(60, **names))
    assert raised.value.expected == "BTCUSD_PERP"
    assert raised.value.received in names.values()
    assert facts(book) == before


@pytest.mark.parametrize(
    "names", [{"symbol": "BTCUSD_PERP", "pair": "BTCUSD"}, {"symbol": "btcusd_perp"}, {"symbol": ""}]
)
def test_a_snapshot_of_the_same_symbol_is_taken(engine: Engine, names: dict[str, str]) -> None:
    book = engine.book("chained", "BTCUSD_PERP")
    assert book.load_snapshot(snapshot(60, **names)) == SnapshotOutcome.SYNCED


def test_the_first_message_that_names_a_symbol_decides(engine: Engine) -> None:
    book = engine.book("chained", None)
    book.load_snapshot(snapshot(10, symbol="ETHUSD_PERP", pair="ETHUSD"))
    assert book.symbol == "ETHUSD_PERP"
    with pytest.raises(SymbolMismatch):
        book.apply(at("chained", 11, T, s="BTCUSD_PERP"))


@pytest.mark.parametrize("absurd", [10**15 + 1, 2**53 + 1, 2**62, 2**63 - 2, 2**63 - 1, 2**63, 2**64, 10**40])
@pytest.mark.parametrize("state", ["empty", "buffering", "synced"])
def test_an_absurd_id_is_a_malformed_snapshot(engine: Engine, absurd: int, state: str) -> None:
    book = engine.book()
    if state == "buffering":
        book.apply(at("contiguous", 5, T))
    elif state == "synced":
        book.load_snapshot(snapshot(10))
    before = facts(book)
    with pytest.raises(MalformedSnapshot):
        book.load_snapshot(snapshot(absurd))
    assert facts(book) == before
    assert book.load_snapshot(snapshot(10)) == SnapshotOutcome.SYNCED


def test_an_id_far_above_the_kept_diffs_is_malformed(engine: Engine) -> None:
    book = engine.book()
    book.apply(at("contiguous", 5, T))
    with pytest.raises(MalformedSnapshot):
        book.load_snapshot(snapshot(5 + 10**12 + 1))
    assert book.load_snapshot(snapshot(5 + 10**12)) == SnapshotOutcome.SYNCED


def test_a_public_book_takes_the_time_of_the_answer() -> None:
    book = depthcache.Book("binance.com", "BTCUSDT")
    book.load_snapshot(snapshot(1_000), limit=100, latest_us=T * 1_000)
    assert book.apply(at("contiguous", 4, T + 5_001)) == GAP
    with pytest.raises(depthcache.InvalidArgument):
        book.load_snapshot(snapshot(1_000), latest_us="now")  # type: ignore[arg-type]


@pytest.mark.parametrize("continuity", FAMILIES)
def test_a_diff_of_known_ids_leaves_no_doubt_after_a_snapshot_without_a_time(
    engine: Engine, continuity: str
) -> None:
    """What was applied before is known to be old; so an older snapshot is only an older one."""
    book = engine.book(continuity)
    book.load_snapshot(snapshot(100), limit=100)
    for number in range(101, 111):
        assert book.apply(at(continuity, number, T + number)) == APPLIED
    assert book.load_snapshot(snapshot(110), limit=100) != SnapshotOutcome.TOO_OLD
    assert book.apply(at(continuity, 105, T + 105)) == OLD
    before = held(book)
    assert book.load_snapshot(snapshot(103), limit=100) == SnapshotOutcome.TOO_OLD
    assert held(book) == before
    assert book.apply(at(continuity, 111, T + 111)) == APPLIED


def test_diffs_that_waited_in_doubt_are_counted_once(engine: Engine) -> None:
    book = engine.book("contiguous")
    book.load_snapshot(snapshot(100), limit=100)
    doubtful = [at("contiguous", 100, T + 10, first=95), at("contiguous", 100, T + 20)]
    assert [book.apply(frame) for frame in doubtful] == [OLD, OLD]
    book.load_snapshot(snapshot(99), limit=100)
    assert (book.counters["applied"], book.counters["old"]) == (1, 2)
