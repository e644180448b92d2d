"""What the core asks the router about the order in time, on both engines."""

from __future__ import annotations

from typing import Any

import pytest

from depthcache import MalformedSnapshot, SnapshotOutcome, Status, SymbolMismatch
from depthcache.events import RefreshOutcome
from tests.engine import Engine, payload, snapshot, wrapped

T_US = 1_700_000_000_000_000
S_NS = 1_000_000_000
STREAM = "btcusdt@depth@100ms"


def router(engine: Engine) -> Any:
    made = engine.Router()
    made.add_market(1, "x", "BTCUSDT", "contiguous")
    made.open_connection(7)
    made.route(7, STREAM, 1)
    return made


def feed(made: Any, number: int, event_us: int | None, at_ns: int) -> None:
    ms = None if event_us is None else event_us // 1_000
    made.feed(7, wrapped(payload(number, number, E=ms), STREAM), at_ns)


def install(made: Any, last: int, now_ns: int = 0, **more: Any) -> SnapshotOutcome:
    outcome = made.install_snapshot(1, snapshot(last), limit=100, live=True, now_ns=now_ns, **more)
    assert isinstance(outcome, SnapshotOutcome)
    return outcome


def test_how_late_the_newest_diff_was(engine: Engine) -> None:
    made = router(engine)
    assert (made.heard(1), made.late(0)) == (None, [])
    feed(made, 5, T_US, 8 * S_NS)  # kept
    assert (made.heard(1), made.late(0)) == ((8 * S_NS, T_US), [])
    made.set_clock_offset(1, T_US * 1_000 - S_NS)
    assert made.late(6_999_999) == [(1, 7_000_000, 8 * S_NS)]
    assert made.late(7_000_000) == []
    install(made, 10, made_us=(T_US, T_US + 7_000_000))
    feed(made, 6, T_US + 500_000, 9 * S_NS)  # backlog
    assert made.heard(1) == (9 * S_NS, T_US + 500_000)
    feed(made, 11, T_US + 900_000, 10 * S_NS)  # applied
    assert (made.heard(1), made.late(1)) == ((10 * S_NS, T_US + 900_000), [(1, 8_100_000, 10 * S_NS)])
    feed(made, 12, None, 11 * S_NS)
    assert (made.heard(1), made.late(1)) == ((11 * S_NS, None), [])


def test_lateness_is_told_as_long_as_it_is_so_and_whenever_it_is_so_again(engine: Engine) -> None:
    made = router(engine)
    made.add_market(2, "x", "ETHUSDT", "contiguous")
    made.set_clock_offset(1, T_US * 1_000)
    install(made, 10)
    for number in (11, 12):
        feed(made, number, T_US + number * 1_000_000, number * S_NS)
        assert made.late(999_999) == []
        assert made.late(999_999) == []
    for number in (13, 14):
        feed(made, number, T_US + 12_000_000, number * S_NS)
        expected = [(1, (number - 12) * 1_000_000, number * S_NS)]
        assert made.late(999_999) == expected
        assert made.late(999_999) == expected, "nothing came since"
    feed(made, 15, T_US + 15_000_000, 15 * S_NS)
    assert made.late(999_999) == []
    feed(made, 16, T_US + 15_500_000, 16 * S_NS)
    assert made.late(999_999) == []
    assert made.late(499_999) == [(1, 500_000, 16 * S_NS)], "a lower limit"
    assert made.late(999_999) == []
    made.set_clock_offset(1, T_US * 1_000 + S_NS)
    assert made.late(999_999) == [(1, 1_500_000, 16 * S_NS)], "the exchange's clock is another"


def test_what_nothing_orders_is_not_heard_and_leaves_the_book_in_doubt(engine: Engine) -> None:
    made = router(engine)
    install(made, 10)
    feed(made, 5, T_US, S_NS)
    assert made.heard(1) is None
    made.begin_refresh(1)
    assert made.refresh(1, snapshot(6), limit=100, now_ns=2 * S_NS).outcome is RefreshOutcome.TOO_OLD
    (change,) = made.take_events()
    assert (change.status, "reset" in change.causes) == (Status.BUFFERING, True)
    assert install(made, 4) is SnapshotOutcome.SYNCED  # the diff that was in doubt follows it
    assert made.reader(1).last_update_id == 5


def test_a_time_that_is_known_later_ends_the_doubt(engine: Engine) -> None:
    made = router(engine)
    install(made, 10)
    feed(made, 5, T_US, S_NS)
    made.date_snapshot(1, (T_US, T_US))
    feed(made, 6, T_US + 5_000_000, 2 * S_NS)
    assert made.heard(1) == (2 * S_NS, T_US + 5_000_000)
    feed(made, 7, T_US + 5_001_000, 3 * S_NS)
    assert made.reader(1).status is Status.BUFFERING


@pytest.mark.parametrize(("seconds", "status"), [(5.0, Status.SYNCED), (5.1, Status.BUFFERING)])
def test_a_lower_id_of_a_clearly_younger_snapshot_takes_the_book_out_of_sync(
    engine: Engine, seconds: float, status: Status
) -> None:
    made = router(engine)
    made.set_clock_offset(1, T_US * 1_000)
    install(made, 10, made_us=(T_US, T_US))
    feed(made, 11, T_US, S_NS)  # a second late: by its receipt it may be as old as that
    made.begin_refresh(1)
    made_us = (T_US + 1_000_000 + int(seconds * 1e6), T_US + 60_000_000)
    assert (
        made.refresh(1, snapshot(3), limit=100, now_ns=60 * S_NS, made_us=made_us).outcome
        is RefreshOutcome.TOO_OLD
    )
    assert made.reader(1).status is status


def test_an_event_time_in_the_future_of_its_receipt_orders_nothing(engine: Engine) -> None:
    made = router(engine)
    made.set_clock_offset(1, T_US * 1_000)
    install(made, 10, made_us=(T_US, T_US))
    feed(made, 5, T_US + 60_000_000, S_NS)
    assert (made.reader(1).status, made.heard(1)) == (Status.SYNCED, None)
    feed(made, 5, T_US + 60_000_000, 60 * S_NS)
    assert made.reader(1).status is Status.BUFFERING


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (snapshot(10, symbol="ETHUSDT"), SymbolMismatch),
        (snapshot(10, pair="ETHUSDT"), SymbolMismatch),
        (snapshot(11 + 10**12), MalformedSnapshot),
        (snapshot(2**63 - 1), MalformedSnapshot),
    ],
)
def test_a_live_book_stays_as_it_is_where_a_snapshot_is_refused(
    engine: Engine, body: bytes, error: type[Exception]
) -> None:
    made = router(engine)
    with pytest.raises(SymbolMismatch if error is SymbolMismatch else MalformedSnapshot):
        made.install_snapshot(
            1, body if error is SymbolMismatch else snapshot(2**63 - 1), limit=100, live=True, now_ns=0
        )
    install(made, 9)
    feed(made, 10, T_US, S_NS)
    made.begin_refresh(1)
    with pytest.raises(error):
        made.refresh(1, body, limit=100, now_ns=2 * S_NS)
    assert made.reader(1).status is Status.SYNCED
    assert made.refresh(1, snapshot(10), limit=100, now_ns=3 * S_NS).outcome is RefreshOutcome.NOT_LIVE


SIX = [(f"{99 - step}", "1") for step in range(6)], [(f"{101 + step}", "1") for step in range(6)]


def ahead(engine: Engine, proven: int, bids: list[tuple[str, str]]) -> Any:
    """A chained book of which so many bids are proven, and a snapshot that is ahead, with those bids."""
    made = engine.Router()
    made.add_market(1, "x", "BTCUSDT", "chained")
    held = snapshot(10, SIX[0][:proven], SIX[1])
    made.install_snapshot(1, held, limit=proven, live=True, now_ns=0)
    made.begin_refresh(1)
    assert made.refresh(1, snapshot(25, bids, SIX[1]), limit=6, now_ns=S_NS).outcome is RefreshOutcome.WAITING
    return made


@pytest.mark.parametrize(
    ("proven", "bids", "same"),
    [
        (6, SIX[0], True),
        (5, SIX[0], True),
        (4, SIX[0], False),  # nothing tells of the others
        (1, SIX[0], False),
        (1, SIX[0][:1], True),  # there are no others
        (6, [*SIX[0][:5], ("94", "2")], False),
        (2, [("97", "1"), ("96", "1"), ("95", "1"), ("94", "1"), ("93", "1"), ("92", "1")], False),
    ],
)
def test_a_book_is_proven_at_another_id_only_by_enough_of_its_levels(
    engine: Engine, proven: int, bids: list[tuple[str, str]], same: bool
) -> None:
    made = ahead(engine, proven, bids)
    outcome, comparison = made.settle_refresh(1, 2 * S_NS)
    assert outcome is (RefreshOutcome.MERGED if same else RefreshOutcome.OTHER_BOOK)
    assert (comparison is not None) is same
    assert made.reader(1).last_update_id == 10


def test_a_book_without_a_proven_level_is_not_proven_by_a_snapshot_of_another_id(engine: Engine) -> None:
    made = engine.Router()
    made.add_market(1, "x", "BTCUSDT", "chained")
    made.open_connection(7)
    made.route(7, STREAM, 1)
    made.install_snapshot(1, snapshot(10, [("99", "1")], [("101", "1")]), limit=1, live=True, now_ns=0)
    gone = payload(11, 12, [("99", "0"), ("90", "1")], [("101", "0"), ("110", "1")], pu=9, E=T_US // 1_000)
    made.feed(7, wrapped(gone, STREAM), S_NS)
    made.begin_refresh(1)
    body = snapshot(25, [("95", "1")], [("105", "1")])
    assert made.refresh(1, body, limit=1, now_ns=2 * S_NS).outcome is RefreshOutcome.WAITING
    assert made.settle_refresh(1, 3 * S_NS) == (RefreshOutcome.OTHER_BOOK, None)
    assert made.reader(1).last_update_id == 12
