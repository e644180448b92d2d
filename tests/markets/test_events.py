"""Events of an engine: the same classes from both engines, with named parts."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from depthcache import events
from depthcache.events import (
    Comparison,
    ControlMessage,
    FeedInfo,
    FollowerReady,
    HeardDiff,
    LateMarket,
    MarketChange,
    RefreshOutcome,
    RefreshResult,
    ShallowMarket,
    StrayFrame,
    StreamFrame,
    Traffic,
)
from depthcache.model import Status
from tests.engine import Engine, encode, payload, snapshot, wrapped
from tests.markets.test_router import STREAM, Rig

TOP = "btcusdt@depth20@100ms"
TRUE_BIDS = [("100", "1"), ("99", "7")]


@pytest.fixture
def rig(engine: Engine) -> Rig:
    """Synced at 11 on connection 7, with one wrong bid and one that is missing."""
    return Rig(engine).synced()


def taken(rig: Rig) -> Any:
    (event,) = rig.router.take_events()
    return event


# --- events -------------------------------------------------------------------------------------------


def test_each_event_is_of_the_one_class_for_it_whatever_engine_tells_it(rig: Rig) -> None:
    follower = rig.router.follow("latest", most_items=1, most_bytes=1)
    follower.add(rig.router, 1)
    while follower.take(0) is not None:
        pass
    rig.router.listen(7, TOP)
    rig.feed(20, 20)
    rig.raw(b'{"id":1}')
    rig.raw(wrapped({"lastUpdateId": 1}, TOP))
    rig.raw(wrapped({"x": 1}, "other"))
    told = rig.router.take_events()
    kinds = [MarketChange, ControlMessage, StreamFrame, StrayFrame, FollowerReady]
    assert [type(event) for event in told] == kinds
    match told[0]:
        case MarketChange(market=1, causes=causes, status=Status.BUFFERING, comparison=None):
            assert causes == {"gap"}
        case other:
            pytest.fail(repr(other))


def test_events_are_values(rig: Rig) -> None:
    rig.raw(b'{"id":1}')
    event = taken(rig)
    assert event == ControlMessage(connection=7, payload=b'{"id":1}', at_ns=rig.now_ns)
    assert len({event, event}) == 1
    with pytest.raises(FrozenInstanceError):
        event.at_ns = 0


# --- refreshes ----------------------------------------------------------------------------------------


def test_a_refresh_returns_what_it_found(rig: Rig) -> None:
    rig.router.begin_refresh(1)
    result = rig.router.refresh(1, snapshot(11, TRUE_BIDS, [("101", "1")]), limit=100, now_ns=50)
    found = Comparison(update_id=11, checked=3, differing=1, missing=1, extra=0)
    assert result == RefreshResult(RefreshOutcome.MERGED, found)
    assert (type(result), type(result.comparison), found.wrong) == (RefreshResult, Comparison, 2)
    assert rig.router.take_events() == [], "it is told once"


@pytest.mark.parametrize(("last", "outcome"), [(9, "too_old"), (12, "waiting"), (None, "not_live")])
def test_a_refresh_that_merged_nothing_found_nothing(rig: Rig, last: int | None, outcome: str) -> None:
    if last is not None:
        rig.router.begin_refresh(1)
    result = rig.router.refresh(1, snapshot(last or 11), limit=100, now_ns=50)
    assert result == (RefreshOutcome(outcome), None)
    assert result.outcome is RefreshOutcome(outcome)


def test_findings_of_a_waiting_snapshot_are_reported_when_the_book_reaches_it(rig: Rig) -> None:
    rig.router.begin_refresh(1)
    rig.router.refresh(1, snapshot(13, TRUE_BIDS, [("101", "1")]), limit=100, now_ns=50)
    rig.feed(12, 12)
    assert rig.router.take_events() == []
    rig.feed(13, 13)
    change = taken(rig)
    assert (change.causes, change.status) == ({"refreshed"}, Status.SYNCED)
    assert change.comparison == Comparison(update_id=13, checked=3, differing=1, missing=1, extra=0)
    rig.feed(20, 20)
    assert taken(rig).comparison is None, "it is told once"


def test_what_waits_for_nothing_is_settled_as_such(rig: Rig) -> None:
    assert rig.router.settle_refresh(1, 5) == (RefreshOutcome.NONE_WAITING, None)
    rig.router.begin_refresh(1)
    rig.router.refresh(1, snapshot(13), limit=100, now_ns=50)
    assert rig.router.settle_refresh(1, 60) == (RefreshOutcome.OTHER_BOOK, None)
    assert rig.router.settle_refresh(1, 61).outcome is RefreshOutcome.NONE_WAITING


# --- values with names --------------------------------------------------------------------------------


def test_what_the_router_is_asked_has_names(rig: Rig) -> None:
    router = rig.router
    router.set_clock_offset(1, 0)
    router.set_depth_target(1, 5, requested=0)
    router.open_connection(8)
    router.route(8, STREAM, 1)
    frame = wrapped(payload(12, 12, E=1), STREAM)
    at_ns = 3_001_000_000
    router.feed(7, frame, at_ns)
    fed = router.traffic(7).received_bytes
    router.feed(7, encode({"id": 1}), at_ns + 1)
    assert router.traffic(7) == Traffic(
        frames=3, received_bytes=fed + len(encode({"id": 1})), last_data_ns=at_ns, last_diff_ns=at_ns
    )
    assert router.feeds(1) == [
        FeedInfo(connection=7, is_joined=True, heard_ns=at_ns),
        FeedInfo(connection=8, is_joined=False, heard_ns=None),
    ]
    assert router.heard(1) == HeardDiff(received_ns=at_ns, event_time_us=1_000)
    assert router.late(1) == [LateMarket(market=1, late_us=3_000_000, received_ns=at_ns)]
    assert [type(late) for late in router.late(1)] == [LateMarket]
    assert router.shallow() == [ShallowMarket(market=1, covered_levels=1, asked_levels=0)]
    assert router.last_diff(1) == HeardDiff(received_ns=at_ns, event_time_us=1_000)
    told = (router.traffic(7), router.feeds(1)[0], router.last_diff(1), router.shallow()[0])
    assert [type(each) for each in told] == [Traffic, FeedInfo, HeardDiff, ShallowMarket]


def test_only_the_native_router_counts_taps_and_times_them() -> None:
    from depthcache._native import Router

    router = Router()
    router.add_market(1, "binance.com", "BTCUSDT", "contiguous")
    router.start_tap(10, 0)
    router.open_connection(1)
    for at_ns in (1, 2):
        router.feed(1, encode({"id": 1}), at_ns)
    tapped = router.take_tapped()
    assert (type(tapped), tapped.lines.count(b"\n"), tapped.lost_frames) == (events.TappedLines, 1, 1)
    assert router.tick() == events.WatchTick(pauses=0, has_events=True)
    delays = router.delays(1)
    assert (type(delays), delays.sum_us, set(delays.counts)) == (events.DelayHistogram, 0, {0})
