"""Which diff may follow which: every boundary, both families, on both engines."""

from __future__ import annotations

import pytest

from depthcache import Outcome, SnapshotOutcome, Status, SymbolMismatch
from tests.engine import Engine, diff, encode, facts, payload, sides, snapshot, wrapped

L = 10

CONTIGUOUS = [
    (9, 9, Outcome.OLD),
    (1, 10, Outcome.OLD),
    (10, 10, Outcome.OLD),
    (5, 11, Outcome.APPLIED),
    (10, 11, Outcome.APPLIED),
    (11, 11, Outcome.APPLIED),
    (11, 20, Outcome.APPLIED),
    (12, 12, Outcome.GAP),
    (12, 20, Outcome.GAP),
]
CHAINED = [  # (pu, U, u)
    (3, 4, 9, Outcome.OLD),
    (3, 4, 10, Outcome.APPLIED),
    (9, 10, 10, Outcome.APPLIED),
    (5, 7, 14, Outcome.APPLIED),
    (10, 14, 19, Outcome.APPLIED),
    (10, 11, 11, Outcome.APPLIED),
    (11, 12, 19, Outcome.GAP),
    (12, 13, 13, Outcome.GAP),
]


@pytest.mark.parametrize(("first", "last", "outcome"), CONTIGUOUS)
def test_spot_borders_of_the_first_diff_after_a_snapshot(
    engine: Engine, first: int, last: int, outcome: Outcome
) -> None:
    book = engine.loaded(last=L)
    before = sides(book)
    assert book.apply(diff(first, last, [("98", "2")])) == outcome
    assert (sides(book) != before) == (outcome is Outcome.APPLIED)
    assert book.last_update_id == (last if outcome is Outcome.APPLIED else L)


@pytest.mark.parametrize(("first", "last", "outcome"), CONTIGUOUS)
def test_spot_borders_between_diffs_are_the_same(
    engine: Engine, first: int, last: int, outcome: Outcome
) -> None:
    book = engine.loaded(last=L - 1)
    assert book.apply(diff(L, L, [("98", "2")])) == Outcome.APPLIED
    assert book.apply(diff(first, last)) == outcome


@pytest.mark.parametrize(("previous", "first", "last", "outcome"), CHAINED)
def test_futures_borders_of_the_first_diff_after_a_snapshot(
    engine: Engine, previous: int, first: int, last: int, outcome: Outcome
) -> None:
    book = engine.loaded("chained", last=L)
    assert book.apply(diff(first, last, [("98", "2")], pu=previous)) == outcome


@pytest.mark.parametrize(
    ("previous", "first", "last", "outcome"),
    [
        (3, 4, 9, Outcome.OLD),
        (9, 10, 10, Outcome.OLD),
        (10, 13, 15, Outcome.APPLIED),
        (9, 10, 15, Outcome.APPLIED),
        (11, 13, 15, Outcome.GAP),
    ],
)
def test_futures_borders_between_diffs(
    engine: Engine, previous: int, first: int, last: int, outcome: Outcome
) -> None:
    book = engine.loaded("chained", last=L - 1)
    assert book.apply(diff(7, L, pu=6)) == Outcome.APPLIED
    assert book.apply(diff(first, last, [("98", "2")], pu=previous)) == outcome


def test_futures_ids_may_jump_as_long_as_they_chain(engine: Engine) -> None:
    book = engine.loaded("chained", last=1_000)
    assert book.apply(diff(900, 1_500, pu=880)) == Outcome.APPLIED
    assert book.apply(diff(9_000, 9_001, pu=1_500)) == Outcome.APPLIED


def test_a_snapshot_id_in_the_hole_between_two_diffs_is_bridged_by_the_chain(engine: Engine) -> None:
    book = engine.book("chained")
    assert book.apply(diff(95, 100, pu=90)) == Outcome.WAITING
    assert book.apply(diff(140, 150, pu=100)) == Outcome.WAITING
    assert book.load_snapshot(snapshot(120)) == SnapshotOutcome.SYNCED
    assert (book.last_update_id, book.counters["applied"], book.counters["old"]) == (150, 1, 1)


def test_before_a_snapshot_diffs_wait_and_nothing_is_there(engine: Engine) -> None:
    book = engine.book()
    assert book.apply(diff(11, 12, [("98", "2")])) == Outcome.WAITING
    assert (book.status, book.last_update_id, book.coverage) == (Status.BUFFERING, None, (0, 0))


def test_kept_diffs_are_applied_with_the_snapshot(engine: Engine) -> None:
    book = engine.book()
    for number in (8, 9, 10, 11, 12):
        book.apply(diff(number, number, [("90", str(number))]))
    assert book.load_snapshot(snapshot(10)) == SnapshotOutcome.SYNCED
    assert (book.last_update_id, book.unconfirmed) == (12, False)
    assert sides(book)[0] == [("99", "1"), ("90", "12")]
    assert book.counters["old"] == 3


@pytest.mark.parametrize(("continuity", "more"), [("contiguous", {}), ("chained", {"pu": 11})])
def test_a_snapshot_older_than_the_kept_diffs_is_refused_and_a_newer_one_taken(
    engine: Engine, continuity: str, more: dict[str, int]
) -> None:
    book = engine.book(continuity)
    book.apply(diff(12, 13, [("98", "3")], **more))
    assert book.load_snapshot(snapshot(10)) == SnapshotOutcome.TOO_OLD
    assert (book.last_update_id, book.status) == (None, Status.BUFFERING)
    assert book.load_snapshot(snapshot(11)) == SnapshotOutcome.SYNCED
    assert book.last_update_id == 13


def test_after_a_gap_the_book_stays_as_it_was_until_a_new_snapshot(engine: Engine) -> None:
    book = engine.loaded(last=10)
    assert book.apply(diff(13, 13, [("98", "7")])) == Outcome.GAP
    before = sides(book)
    assert book.apply(diff(14, 14, [("97", "7")])) == Outcome.GAP
    assert (sides(book), book.last_update_id, book.status) == (before, 10, Status.BUFFERING)
    assert "is at 10" in book.reason
    assert book.load_snapshot(snapshot(12, [("95", "1")])) == SnapshotOutcome.SYNCED
    assert sides(book)[0] == [("98", "7"), ("97", "7"), ("95", "1")]
    assert book.counters["gaps"] == 1


def test_a_hole_among_kept_diffs_is_a_gap_that_keeps_what_follows(engine: Engine) -> None:
    book = engine.book()
    for number in (11, 12, 14, 15):
        book.apply(diff(number, number, [("90", str(number))]))
    assert book.load_snapshot(snapshot(10)) == SnapshotOutcome.GAP
    assert (book.last_update_id, book.status) == (12, Status.BUFFERING)
    assert book.load_snapshot(snapshot(12)) == SnapshotOutcome.TOO_OLD
    assert book.load_snapshot(snapshot(13)) == SnapshotOutcome.SYNCED
    assert (book.last_update_id, sides(book)[0][-1]) == (15, ("90", "15"))


def test_overlaps_and_duplicates_are_harmless(engine: Engine) -> None:
    book = engine.loaded(last=10)
    one = diff(8, 12, [("98", "2")])
    assert book.apply(one) == Outcome.APPLIED
    assert book.apply(one) == Outcome.OLD
    assert book.apply(diff(12, 13, [("98", "3")])) == Outcome.APPLIED
    assert sides(book)[0] == [("99", "1"), ("98", "3")]


def test_a_snapshot_alone_is_unconfirmed_until_a_diff_bridges_it(engine: Engine) -> None:
    book = engine.loaded(last=10)
    assert (book.status, book.unconfirmed) == (Status.SYNCED, True)
    assert "not yet confirmed" in book.reason
    book.apply(diff(9, 9))
    assert book.unconfirmed
    book.apply(diff(11, 11))
    assert (book.unconfirmed, book.reason) == (False, "")


@pytest.mark.parametrize(("later_ms", "outcome"), [(5_000, Outcome.OLD), (5_001, Outcome.GAP)])
def test_old_ids_more_than_five_seconds_later_are_restarted_ids(
    engine: Engine, later_ms: int, outcome: Outcome
) -> None:
    book = engine.loaded(last=1_000)
    book.apply(diff(1_001, 1_001, E=1_700_000_000_000))
    assert book.apply(diff(3, 4, E=1_700_000_000_000 + later_ms)) == outcome
    assert book.counters["resets"] == (outcome is Outcome.GAP)
    if outcome is Outcome.GAP:
        assert book.load_snapshot(snapshot(3)) == SnapshotOutcome.SYNCED
        assert book.last_update_id == 4


@pytest.mark.parametrize("later_ms", [5_000, 5_001])
def test_buffered_diffs_from_before_an_id_restart_do_not_block_snapshots(
    engine: Engine, later_ms: int
) -> None:
    book = engine.book()
    assert book.apply(diff(1_001, 1_002, E=1_700_000_000_000)) == Outcome.WAITING
    assert book.apply(diff(3, 4, E=1_700_000_000_000 + later_ms)) == Outcome.WAITING
    anew = later_ms > 5_000
    assert book.counters["resets"] == anew
    assert book.load_snapshot(snapshot(3)) == (SnapshotOutcome.SYNCED if anew else SnapshotOutcome.TOO_OLD)


def test_old_diffs_right_after_a_snapshot_are_no_reset_however_old_the_book_was(engine: Engine) -> None:
    book = engine.loaded(last=1_000)
    for number in (1, 2, 3):
        assert book.apply(diff(number, number, E=1_800_000_000_000 + number)) == Outcome.OLD


def test_times_in_microseconds_and_milliseconds_mean_the_same(engine: Engine) -> None:
    book = engine.loaded(last=10)
    book.apply(diff(11, 11, E=1_700_000_000_123))
    assert book.event_time_us == 1_700_000_000_123_000
    book.apply(diff(12, 12, E=1_700_000_000_123_456))
    assert book.event_time_us == 1_700_000_000_123_456
    book.apply(diff(13, 13, E=None))
    assert book.event_time_us is None


OTHERS = [
    b'{"result":null,"id":1}',
    b'{"e":"trade","s":"BTCUSDT","p":"1"}',
    b'{"u":5,"s":"BTCUSDT","b":"1","B":"1","a":"2","A":"1"}',
    b'{"lastUpdateId":5,"bids":[],"asks":[]}',
    b"{}",
    wrapped(payload(11, 11), "btcusdt@depth5"),
    wrapped(payload(11, 11), "btcusdt@depth20@100ms"),
    wrapped(payload(11, 11), "btcusdt@rpiDepth@500ms"),
]


@pytest.mark.parametrize("frame", OTHERS)
def test_what_is_no_diff_is_ignored(engine: Engine, frame: bytes) -> None:
    book = engine.loaded(last=10)
    before = facts(book)
    assert book.apply(frame) == Outcome.IGNORED
    assert facts(book) == before


def test_the_first_diff_gives_the_symbol_and_another_one_is_refused(engine: Engine) -> None:
    book = engine.book(symbol=None)
    assert book.symbol == ""
    book.apply(diff(1, 1, s="币安人生USDT"))
    assert book.symbol == "币安人生USDT"
    before = facts(book)
    with pytest.raises(SymbolMismatch) as raised:
        book.apply(diff(2, 2, s="ETHUSDT"))
    assert (raised.value.expected, raised.value.received) == ("币安人生USDT", "ETHUSDT")
    assert facts(book) == before


def test_a_frame_may_be_any_kind_of_bytes_or_a_text(engine: Engine) -> None:
    book = engine.loaded(last=10)
    frames = [diff(n, n) for n in range(11, 15)]
    kinds = [frames[0], bytearray(frames[1]), memoryview(frames[2]), frames[3].decode()]
    assert [book.apply(frame) for frame in kinds] == [Outcome.APPLIED] * 4
    with pytest.raises(TypeError):
        book.apply({"e": "depthUpdate"})


def test_kept_diffs_are_bounded_by_bytes(engine: Engine) -> None:
    frame = diff(11, 11, [("98", "1")])
    book = engine.book(buffer_bytes=3 * len(frame))
    for number in range(11, 16):
        book.apply(diff(number, number, [("98", "1")]))
    assert book.counters["dropped_buffers"] == 1
    assert book.load_snapshot(snapshot(10)) == SnapshotOutcome.TOO_OLD
    assert book.load_snapshot(snapshot(13)) == SnapshotOutcome.SYNCED
    assert book.last_update_id == 15


def test_wrapped_and_raw_frames_do_the_same(engine: Engine) -> None:
    book = engine.loaded(last=10)
    assert book.apply(wrapped(payload(11, 11))) == Outcome.APPLIED
    turned = encode({"other": 1, "data": payload(12, 12), "stream": "btcusdt@depth"})
    assert book.apply(turned) == Outcome.APPLIED
    assert book.last_update_id == 12
