"""The router: how frames reach their market, and the events they cause, on both engines."""

from __future__ import annotations

from typing import Any

import pytest

from depthcache import BookClosed, BookNotSynced, MalformedSnapshot, SnapshotOutcome, Status
from tests.engine import NAMES, Engine, diff, encode, load, payload, snapshot, wrapped

STREAM = "btcusdt@depth@100ms"
WALL_NS = 1_790_000_000 * 10**9
"""The system's clock at time 0: 2026-09-21 14:13:20 UTC."""


class Rig:
    """A router with one market on one connection, and a clock that counts calls."""

    def __init__(self, engine: Engine, continuity: str = "contiguous", **options: Any) -> None:
        self.engine = engine
        self.router = engine.Router(**options)
        self.router.set_virtual_time(0, WALL_NS)
        self.router.add_market(1, "binance.com", "BTCUSDT", continuity)
        self.router.open_connection(7)
        self.router.route(7, STREAM, 1)
        self.now_ns = 0

    def feed(self, first: int, last: int, *levels: Any, connection: int = 7, **more: Any) -> bool:
        return self.raw(wrapped(payload(first, last, *levels, **more), STREAM), connection)

    def raw(self, frame: bytes | str, connection: int = 7) -> bool:
        self.now_ns += 1
        told: bool = self.router.feed(connection, frame, self.now_ns)
        return told

    def install(
        self, last: int = 10, *, live: bool = True, limit: int | None = None, **more: Any
    ) -> SnapshotOutcome:
        self.now_ns += 1
        body = snapshot(last, **more)
        outcome: SnapshotOutcome = self.router.install_snapshot(
            1, body, limit=limit, live=live, now_ns=self.now_ns
        )
        return outcome

    def synced(self) -> Rig:
        self.feed(11, 11)
        self.install()
        self.router.take_events()
        return self

    @property
    def book(self) -> Any:
        return self.router.reader(1)

    def causes(self) -> list[set[str]]:
        return [set(event.causes) for event in self.router.take_events()]


@pytest.fixture
def rig(engine: Engine) -> Rig:
    return Rig(engine)


def kinds(events: list[Any]) -> list[str]:
    return [type(event).__name__ for event in events]


# --- the way of a book ------------------------------------------------------------------------------


def test_a_book_becomes_synced(rig: Rig) -> None:
    assert rig.book.status is Status.EMPTY
    assert rig.feed(11, 12, [("98", "2")]) is True
    (event,) = rig.router.take_events()
    assert (event.market, event.causes, event.status) == (1, {"first_data"}, Status.BUFFERING)
    assert (event.reason, event.at_ns) == ("waiting for a snapshot", 1)
    assert rig.router.take_events() == []
    assert rig.install() == SnapshotOutcome.SYNCED
    (event,) = rig.router.take_events()
    assert (event.causes, event.status, event.reason) == ({"synced", "confirmed"}, Status.SYNCED, "")
    assert rig.feed(13, 13) is False
    book = rig.book
    assert (book.status, book.last_update_id, book.updated_ns, book.since_ns) == (Status.SYNCED, 13, 3, 2)


def test_the_time_of_a_replayed_diff_is_when_it_arrived(rig: Rig) -> None:
    rig.feed(11, 12)
    rig.now_ns = 1_000
    rig.install()
    assert (rig.book.updated_ns, rig.book.since_ns) == (1, 1_001)


def test_a_live_snapshot_alone_is_synced_and_unconfirmed(rig: Rig) -> None:
    assert rig.install(live=True) == SnapshotOutcome.SYNCED
    assert rig.causes() == [{"synced"}]
    assert (rig.book.status, rig.book.unconfirmed) == (Status.SYNCED, True)
    rig.feed(11, 11)
    assert rig.causes() == [{"first_data", "confirmed"}]
    assert not rig.book.unconfirmed


def test_a_snapshot_without_confirmation_waits_for_its_bridge(rig: Rig) -> None:
    assert rig.install(live=False) == SnapshotOutcome.BRIDGING
    assert rig.book.status is Status.BRIDGING
    with pytest.raises(BookNotSynced):
        rig.book.best  # noqa: B018
    rig.feed(9, 10)
    assert rig.book.status is Status.BRIDGING
    rig.feed(11, 11)
    assert rig.book.status is Status.SYNCED
    assert rig.causes() == [{"first_data", "synced", "confirmed"}]


@pytest.mark.parametrize("live", [True, False])
def test_a_first_diff_that_does_not_bridge_is_a_gap(rig: Rig, live: bool) -> None:
    rig.install(live=live)
    rig.feed(12, 12)
    assert rig.book.status is Status.BUFFERING
    assert "gap" in rig.causes()[0]
    assert rig.install(11) == SnapshotOutcome.SYNCED
    assert rig.book.last_update_id == 12


def test_a_gap_keeps_the_frame_and_heals_with_the_next_snapshot(rig: Rig) -> None:
    rig.synced()
    rig.feed(20, 20, [("98", "7")])
    (event,) = rig.router.take_events()
    assert (event.causes, event.status) == ({"gap"}, Status.BUFFERING)
    assert event.reason == "sequence gap: the book is at 11, but the next update follows 19"
    assert rig.install(15) == SnapshotOutcome.TOO_OLD
    assert rig.router.take_events() == []
    assert rig.install(19) == SnapshotOutcome.SYNCED
    assert rig.book.bids[1] == (98.0, 7.0)


def test_restarted_ids_are_a_reset(rig: Rig) -> None:
    rig.synced()
    rig.feed(1, 2, E=1_700_000_005_001)
    assert rig.causes() == [{"reset"}]
    assert (rig.book.status, rig.book.counters["resets"]) == (Status.BUFFERING, 1)


def test_a_malformed_frame_of_a_market_costs_its_trust(rig: Rig) -> None:
    rig.synced()
    rig.raw(wrapped(payload(12, 12, [("98", "x")]), STREAM))
    (event,) = rig.router.take_events()
    assert (event.causes, event.status) == ({"malformed"}, Status.BUFFERING)
    assert event.reason.startswith("malformed frame: ")
    assert rig.book.counters["malformed"] == 1
    rig.feed(13, 13)
    assert rig.install(12) == SnapshotOutcome.SYNCED


def test_another_symbol_on_the_stream_and_a_missing_pu_are_malformed(engine: Engine) -> None:
    rig = Rig(engine, "chained")
    rig.install()
    rig.router.take_events()
    rig.feed(11, 11, s="ETHUSDT", pu=10)
    assert "ETHUSDT" in rig.router.take_events()[0].reason
    rig.install()
    rig.feed(11, 11)
    assert "pu is missing" in rig.router.take_events()[0].reason


def test_resync_keeps_what_is_there_and_restart_forgets_kept_diffs(rig: Rig) -> None:
    rig.synced()
    rig.router.resync(1, "asked to", 50)
    assert (rig.book.status, rig.book.reason, rig.book.since_ns) == (Status.BUFFERING, "asked to", 50)
    rig.feed(12, 12)
    assert rig.install(11) == SnapshotOutcome.SYNCED
    assert rig.book.last_update_id == 12
    rig.router.restart(1, "a new connection", 60)
    rig.router.take_events()
    rig.feed(30, 30)
    assert rig.causes() == [{"first_data"}]
    assert rig.install(29) == SnapshotOutcome.SYNCED


def test_a_full_buffer_is_dropped_and_reported(engine: Engine) -> None:
    frame = wrapped(payload(11, 11), STREAM)
    rig = Rig(engine, buffer_bytes=2 * len(frame))
    for number in (11, 12, 13):
        rig.feed(number, number)
    assert rig.causes() == [{"first_data", "buffer_dropped"}]
    assert rig.install(10) == SnapshotOutcome.TOO_OLD
    assert rig.install(12) == SnapshotOutcome.SYNCED


def test_a_crossed_book_tells_and_tells_when_it_is_over(rig: Rig) -> None:
    rig.synced()
    rig.feed(12, 12, [], [("99", "1")])
    (event,) = rig.router.take_events()
    assert (event.causes, event.status) == ({"crossed"}, Status.CROSSED)
    assert event.reason == "best bid 99 is at or above best ask 99"
    assert rig.book.since_ns == rig.now_ns
    rig.feed(13, 13, [], [("99", "0")])
    (event,) = rig.router.take_events()
    assert (event.causes, event.status, event.reason) == ({"uncrossed"}, Status.SYNCED, "")
    assert rig.book.since_ns == rig.now_ns


def test_a_malformed_snapshot_is_an_error_and_changes_nothing(rig: Rig) -> None:
    rig.feed(11, 11)
    rig.router.take_events()
    with pytest.raises(MalformedSnapshot):
        rig.router.install_snapshot(1, b"{}", limit=None, live=True, now_ns=5)
    assert (rig.book.status, rig.router.take_events()) == (Status.BUFFERING, [])


def test_a_book_is_reported_once_it_has_too_few_complete_levels(rig: Rig) -> None:
    rig.feed(11, 11)
    rig.install(limit=3, bids=[("99", "1"), ("98", "1"), ("97", "1")], asks=[("101", "1"), ("102", "1")])
    assert rig.router.shallow() == [(1, 3, 0)], "no number is enough before one is set"
    rig.router.set_depth_target(1, 3, requested=0)
    assert rig.router.shallow() == []
    rig.feed(12, 12, [("99", "0")])
    assert rig.router.shallow() == rig.router.shallow() == [(1, 2, 0)]
    rig.feed(13, 13, [("99", "2")])
    assert rig.router.shallow() == []
    rig.router.resync(1, "asked to", 50)
    assert rig.router.shallow() == [], "only live books are told of"


def test_a_silent_book_that_is_read_deeper_is_reported_soon_and_one_with_diffs_at_once() -> None:
    rig = Rig(load("native")).synced()
    rig.router.set_depth_target(1, 0, requested=2)
    for _ in range(8):
        assert rig.router.shallow() == []
    rig.book.freeze(2)
    assert [rig.router.shallow() for _ in range(8)] == [[]] * 8
    rig.book.freeze(3)
    assert [(1, 1, 3)] in [rig.router.shallow() for _ in range(8)]
    rig.router.set_depth_target(1, 0, requested=3)
    rig.router.shallow()
    rig.book.freeze(4)
    rig.feed(12, 12)
    assert rig.router.shallow() == [(1, 1, 4)]


def test_of_two_streams_in_one_frame_the_last_counts(rig: Rig) -> None:
    other = "ethusdt@depth@100ms"
    rig.router.add_market(2, "binance.com", "ETHUSDT", "contiguous")
    rig.router.route(7, other, 2)
    frame = wrapped(payload(11, 11, s="ETHUSDT"), STREAM)
    rig.raw(frame[:-1] + f',"stream":"{other}"}}'.encode())
    (event,) = rig.router.take_events()
    assert (event.market, event.causes) == (2, {"first_data"})


def test_what_a_snapshot_makes_old_is_dropped_behind_a_gap_too(rig: Rig) -> None:
    for first, last in [(97, 97), (101, 101), (1, 2)]:
        rig.feed(first, last)
    assert rig.install(96, live=False) is SnapshotOutcome.GAP
    counters = rig.book.counters
    assert (counters["applied"], counters["gaps"], counters["old"]) == (1, 1, 1)


# --- conditions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("condition", ["stale", "halted", "disconnected"])
def test_a_condition_lies_over_the_state_and_can_be_taken_away(rig: Rig, condition: str) -> None:
    rig.synced()
    rig.router.set_condition(1, condition, "because", 70)
    book = rig.book
    assert (book.status, book.reason, book.since_ns) == (Status(condition), "because", 70)
    with pytest.raises(BookNotSynced) as raised:
        book.best  # noqa: B018
    assert raised.value.status == condition
    rig.router.set_condition(1, condition, "because", 80)
    assert book.since_ns == 70
    rig.router.set_condition(1, condition, "another reason", 90)
    assert book.since_ns == 70, "the status has not changed"
    rig.router.set_condition(1, None, "", 100)
    assert (book.status, book.since_ns) == (Status.SYNCED, 100)
    assert rig.router.take_events() == []


def test_the_worse_of_state_and_condition_is_the_status(rig: Rig) -> None:
    rig.router.set_condition(1, "stale", "quiet", 5)
    assert rig.book.status is Status.STALE
    rig.router.set_condition(1, "closed", "gone", 6)
    rig.router.set_condition(1, None, "", 7)
    assert (rig.book.status, rig.book.reason) == (Status.CLOSED, "gone")
    with pytest.raises(BookClosed):
        rig.book.best  # noqa: B018


def test_a_word_that_is_no_condition_is_refused(rig: Rig) -> None:
    with pytest.raises(ValueError, match="synchronised"):
        rig.router.set_condition(1, "synchronised", "", 0)


def test_stale_books_are_served_to_those_who_want_them(rig: Rig) -> None:
    stale = rig.router.reader(1, serve_stale=True)
    with pytest.raises(BookNotSynced):
        stale.best  # noqa: B018
    rig.synced()
    rig.feed(20, 20)
    assert (stale.status, stale.best.update_id) == (Status.BUFFERING, 11)
    assert stale.freeze(1).status is Status.BUFFERING
    rig.router.set_condition(1, "disconnected", "cut", 5)
    assert (stale.status, stale.bids[0].price) == (Status.DISCONNECTED, 99.0)


def test_crossed_books_are_never_served(rig: Rig) -> None:
    rig.synced()
    stale = rig.router.reader(1, serve_stale=True)
    rig.feed(12, 12, [("200", "1")])
    with pytest.raises(BookNotSynced):
        stale.best  # noqa: B018
    rig.router.resync(1, "crossed for long", 9)
    with pytest.raises(BookNotSynced):
        stale.best  # noqa: B018


# --- frames and their places ------------------------------------------------------------------------


def test_frames_are_routed_by_stream_name_alone(rig: Rig) -> None:
    rig.synced()
    rig.raw(wrapped(payload(12, 12), "btcusdt@depth"))
    rig.raw(wrapped(payload(12, 12), "btcusdt@depth5"))
    rig.raw(wrapped({"u": 1}, "btcusdt@bookTicker"))
    events = rig.router.take_events()
    assert [(event.what, event.detail, event.count) for event in events] == [
        ("unknown_stream", "btcusdt@depth", 1),
        ("unknown_stream", "btcusdt@depth5", 1),
        ("unknown_stream", "btcusdt@bookTicker", 1),
    ]
    assert rig.book.last_update_id == 11


def test_partial_depth_never_reaches_a_diff_book_even_when_routed(engine: Engine) -> None:
    rig = Rig(engine, "chained")
    rig.router.route(7, "btcusdt@depth5@100ms", 1)
    rig.install()
    rig.router.take_events()
    rig.raw(wrapped(payload(11, 11, [("1", "1")], pu=10), "btcusdt@depth5@100ms"))
    assert (rig.book.last_update_id, kinds(rig.router.take_events())) == (10, ["StrayFrame"])


def test_strays_of_a_kind_are_counted_together(rig: Rig) -> None:
    for _ in range(3):
        rig.raw(wrapped(payload(12, 12), "ethusdt@depth"))
        rig.raw(b"rubbish \xff" + bytes([65 + rig.now_ns]))
    unknown, malformed = sorted(rig.router.take_events(), key=lambda event: event.what, reverse=True)
    assert (unknown.count, unknown.at_ns) == (3, 5)
    assert (malformed.what, malformed.count, malformed.connection) == ("malformed", 3, 7)
    assert malformed.detail.endswith("rubbish \ufffdF")


def test_many_unknown_streams_are_bounded(rig: Rig) -> None:
    for number in range(1_000):
        rig.raw(wrapped({"x": 1}, f"s{number}@depth"))
    events = rig.router.take_events()
    assert len(events) <= 257
    assert sum(event.count for event in events) == 1_000


def test_replies_are_control_messages(rig: Rig) -> None:
    reply = b'{"result":null,"id":1}'
    shutdown = encode({"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": 1}})
    assert rig.raw(reply)
    rig.raw(shutdown.decode())
    one, other = rig.router.take_events()
    assert (one.connection, one.payload, one.at_ns) == (7, reply, 1)
    assert other.payload == shutdown


def test_a_raw_diff_on_a_wrapped_connection_is_a_stray(rig: Rig) -> None:
    rig.raw(diff(11, 11))
    assert [(event.what, event.detail) for event in rig.router.take_events()] == [("unknown_stream", "")]


def test_too_many_control_messages_are_reported_as_an_overflow(engine: Engine) -> None:
    rig = Rig(engine, control_capacity=2)
    for number in range(5):
        rig.raw(encode({"id": number}))
    events = rig.router.take_events()
    assert kinds(events) == ["ControlMessage", "ControlMessage", "StrayFrame"]
    assert (events[2].what, events[2].count) == ("overflow", 3)
    rig.raw(b"{}")
    assert kinds(rig.router.take_events()) == ["ControlMessage"]


def test_frames_of_connections_that_are_not_open_are_ignored(rig: Rig) -> None:
    assert rig.feed(11, 11, connection=99) is False
    rig.router.close_connection(7)
    assert rig.feed(11, 11) is False
    assert rig.book.status is Status.EMPTY


def test_routes_belong_to_one_connection(rig: Rig) -> None:
    rig.router.open_connection(8)
    rig.feed(11, 11, connection=8)
    assert kinds(rig.router.take_events()) == ["StrayFrame"]
    rig.router.route(8, STREAM, 1)
    rig.router.unroute(7, STREAM)
    rig.feed(11, 11)
    rig.feed(11, 11, connection=8)
    assert kinds(rig.router.take_events()) == ["MarketChange", "StrayFrame"]


def test_a_removed_market_is_closed_for_its_readers_and_gone_for_frames(rig: Rig) -> None:
    book = rig.synced().book
    rig.router.remove_market(1, "no longer wanted", 33)
    assert (book.status, book.reason, book.since_ns) == (Status.CLOSED, "no longer wanted", 33)
    with pytest.raises(BookClosed):
        book.best  # noqa: B018
    rig.feed(12, 12)
    assert kinds(rig.router.take_events()) == ["StrayFrame"]


def test_changes_of_many_markets_are_reported_once_each_in_the_order_of_their_numbers(rig: Rig) -> None:
    for number in (3, 2):
        rig.router.add_market(number, "binance.com", f"S{number}USDT", "contiguous")
        rig.router.route(7, f"s{number}usdt@depth", number)
    for _ in range(3):
        for number in (3, 2):
            rig.raw(wrapped(payload(11, 11, s=f"S{number}USDT"), f"s{number}usdt@depth"))
        rig.feed(11, 11)
    assert [event.market for event in rig.router.take_events()] == [1, 2, 3]


def test_numbers_are_used_once_and_unknown_ones_refused(rig: Rig) -> None:
    router = rig.router
    for used in (
        lambda: router.add_market(1, "x", "y", "contiguous"),
        lambda: router.open_connection(7),
    ):
        with pytest.raises(ValueError, match="already used"):
            used()
    router.remove_market(1, "", 0)
    router.close_connection(7)
    with pytest.raises(ValueError, match="already used"):
        router.add_market(1, "x", "y", "contiguous")
    for unknown in (
        lambda: router.reader(1),
        lambda: router.remove_market(1, "", 0),
        lambda: router.resync(1, "", 0),
        lambda: router.restart(1, "", 0),
        lambda: router.set_condition(1, None, "", 0),
        lambda: router.install_snapshot(1, snapshot(), limit=None, live=True, now_ns=0),
        lambda: router.close_connection(7),
        lambda: router.route(7, STREAM, 1),
        lambda: router.unroute(7, STREAM),
    ):
        with pytest.raises(KeyError):
            unknown()


def test_events_are_values(rig: Rig) -> None:
    rig.feed(11, 11)
    (event,) = rig.router.take_events()
    same = type(event)(
        market=1,
        causes=frozenset({"first_data"}),
        status=Status.BUFFERING,
        reason="waiting for a snapshot",
        at_ns=1,
    )
    assert event.market == same.market
    assert "first_data" in repr(event)
    with pytest.raises(AttributeError):
        event.market = 5


def test_both_engines_give_another_line_the_same_patience() -> None:
    """The core asks its router for it, and has no figure of its own."""
    patience = {load(name).Router.ARBITRATION_PATIENCE_NS for name in NAMES}
    assert patience == {1_500_000_000}
