"""A market whose diffs come from a book server: what the server says of its own book, on both engines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from depthcache import BookNotSynced, Status
from tests.engine import Engine, payload, snapshot, wrapped

STREAM = "btcusdt@depth@100ms@state1"
WAITING = "waiting for the state of the server's book"
HERE = "server 10.0.0.1:42081"


class RelayRig:
    """A relayed market on connection 7, whose book is at 12."""

    def __init__(self, engine: Engine, continuity: str = "contiguous") -> None:
        self.router = engine.Router()
        self.router.add_market(1, "binance.com", "BTCUSDT", continuity)
        self.router.relay(1, 0)
        self.now_ns = 0
        self.connect(7)

    def connect(self, connection: int, server: str = HERE) -> None:
        self.router.open_connection(connection, server=server)
        self.router.route(connection, STREAM, 1)

    def feed(self, first: int, last: int, connection: int = 7) -> None:
        self.now_ns += 1
        self.router.feed(connection, wrapped(payload(first, last, [("98", "2")]), STREAM), self.now_ns)

    def say(self, status: str = "synced", u: int | None = 12, connection: int = 7, **more: Any) -> None:
        """What the server says of its book."""
        state = {"e": "bookState", "s": "BTCUSDT", "status": status, "reason": "", "u": u}
        data = state | {"generation": 1, "server": "a"} | more
        self.now_ns += 1
        frame = json.dumps({"stream": STREAM, "data": data}, ensure_ascii=False)
        self.router.feed(connection, frame.encode(), self.now_ns)

    def install(self, last: int = 10) -> None:
        self.now_ns += 1
        self.router.install_snapshot(1, snapshot(last), limit=None, live=True, now_ns=self.now_ns)

    def lose(self, connection: int = 7) -> None:
        self.router.close_connection(connection)

    @property
    def book(self) -> Any:
        return self.router.reader(1)

    @property
    def shown(self) -> str:
        return f"{self.book.status}: {self.book.reason}"

    def causes(self) -> set[str]:
        return {cause for event in self.router.take_events() for cause in event.causes}


@pytest.fixture
def rig(engine: Engine) -> RelayRig:
    rig = RelayRig(engine)
    rig.say(u=10)
    rig.feed(11, 12)
    rig.install()
    rig.causes()
    assert rig.book.status is Status.SYNCED
    return rig


def test_a_book_is_not_synced_before_the_server_says_so(engine: Engine) -> None:
    rig = RelayRig(engine)
    assert rig.shown == f"stale: {WAITING}"
    assert rig.router.upstream(1) is None
    rig.feed(11, 12)
    rig.install()
    assert rig.shown == f"stale: {WAITING}"
    with pytest.raises(BookNotSynced):
        rig.book.freeze()
    rig.say()
    assert rig.shown == "synced: "
    assert rig.router.upstream(1) == ("synced", f"{HERE}: synced")


def test_the_server_s_reason_is_the_book_s(rig: RelayRig) -> None:
    rig.say("buffering", reason="updates are missing")
    assert rig.shown == f"stale: {HERE}: buffering: updates are missing"
    assert rig.causes() == {"upstream"}
    rig.feed(13, 13)
    assert rig.shown == f"stale: {HERE}: buffering: updates are missing"
    rig.say(u=13)
    assert (rig.shown, rig.causes()) == ("synced: ", {"upstream"})


@pytest.mark.parametrize(
    ("status", "shown"),
    [("halted", "halted"), ("disconnected", "stale"), ("closed", "stale"), ("no such word", "stale")],
)
def test_a_server_s_status_shows_as_one_of_ours(rig: RelayRig, status: str, shown: str) -> None:
    rig.say(status, reason="a reason")
    assert rig.shown == f"{shown}: {HERE}: {status}: a reason"


def test_a_heartbeat_is_no_event(rig: RelayRig) -> None:
    rig.say()
    rig.say()
    assert (rig.shown, rig.causes()) == ("synced: ", set())


def test_a_state_beyond_the_book_shows_what_no_diff_did(rig: RelayRig) -> None:
    rig.say("buffering")
    rig.say(u=20)
    assert rig.shown == f"buffering: {HERE}: updates are missing: the book is at 12, the server's at 20"
    assert rig.book.counters["gaps"] == 1
    assert rig.causes() == {"upstream", "gap"}
    rig.install(20)
    assert rig.book.status is Status.SYNCED


def test_levels_that_no_diff_leads_to_need_a_snapshot(rig: RelayRig) -> None:
    rig.say(generation=2)
    assert rig.shown == f"buffering: {HERE}: its book was rebuilt"


def test_after_a_lost_connection_the_book_continues_from_its_id(rig: RelayRig) -> None:
    rig.lose()
    assert rig.book.status is Status.STALE
    rig.connect(8)
    rig.feed(13, 14, connection=8)
    assert rig.shown == f"stale: {WAITING}"
    rig.say(u=14, connection=8)
    assert (rig.shown, rig.book.last_update_id) == ("synced: ", 14)
    assert rig.book.counters["snapshots"] == 1


def test_another_server_continues_where_diffs_overlap(rig: RelayRig) -> None:
    rig.lose()
    rig.connect(8, "server 10.0.0.2:42081")
    rig.feed(11, 13, connection=8)
    rig.say(u=13, connection=8, server="b", generation=9)
    assert (rig.shown, rig.book.last_update_id) == ("synced: ", 13)


def test_a_hole_of_one_update_after_a_lost_connection_is_a_gap(rig: RelayRig) -> None:
    rig.lose()
    rig.connect(8)
    rig.feed(14, 15, connection=8)
    rig.say(u=15, connection=8)
    assert rig.shown == "buffering: sequence gap: the book is at 12, but the next update follows 13"


def test_a_server_that_is_behind_does_not_continue_the_book(rig: RelayRig) -> None:
    rig.lose()
    rig.connect(8, "server 10.0.0.2:42081")
    rig.feed(9, 11, connection=8)
    rig.say(u=11, connection=8, server="b")
    assert rig.shown == "buffering: server 10.0.0.2:42081: the server's book is at 11, below 12 of this one"


def test_a_book_that_the_same_server_rebuilt_meanwhile_is_not_continued(rig: RelayRig) -> None:
    rig.lose()
    rig.connect(8)
    rig.say(u=12, connection=8, generation=2)
    assert rig.shown == f"buffering: {HERE}: its book was rebuilt"


@pytest.mark.parametrize(("previous", "status"), [(11, Status.SYNCED), (13, Status.BUFFERING)])
def test_chained_ids_continue_where_diffs_overlap(engine: Engine, previous: int, status: Status) -> None:
    rig = RelayRig(engine, "chained")
    rig.say(u=10)
    rig.router.feed(7, wrapped(payload(11, 12, pu=10), STREAM), 1)
    rig.install()
    rig.lose()
    rig.connect(8)
    rig.router.feed(8, wrapped(payload(12, 14, pu=previous), STREAM), 2)
    rig.say(u=14, connection=8)
    assert rig.book.status is status


def test_of_two_servers_one_with_a_synced_book_is_enough(rig: RelayRig) -> None:
    rig.connect(8, "server 10.0.0.2:42081")
    rig.say(u=11, connection=8, server="b")
    rig.say("stale", reason="no update for 65 s")
    assert rig.shown == "synced: ", "the other one says that its book is"
    rig.say("buffering", connection=8, server="b")
    assert rig.book.status is Status.STALE
    rig.say(u=12)
    assert rig.shown == "synced: "
    rig.lose()
    assert rig.shown == "stale: server 10.0.0.2:42081: buffering"


def test_a_word_that_is_unknown_hides_no_better_status(rig: RelayRig) -> None:
    rig.connect(8, "server 10.0.0.2:42081")
    rig.say("buffering", connection=8, server="b")
    rig.say("no such word")
    assert rig.shown == "stale: server 10.0.0.2:42081: buffering"
    assert rig.router.upstream(1) == ("buffering", "server 10.0.0.2:42081: buffering")


def test_words_of_a_server_are_printable_and_short(rig: RelayRig) -> None:
    rig.say("stale", reason="a\u202e\x1b[31m" + "x" * 1_000)
    assert rig.book.reason.startswith(f"{HERE}: stale: a\\u{{202e}}\\u{{1b}}[31mxxx")
    assert len(rig.book.reason) < 400


@pytest.mark.parametrize(
    "data",
    ['{"e":"bookTicker","status":"synced"}', '{"e":"bookState","u":1}', '{"e":"bookState","status":1}'],
)
def test_what_is_no_state_is_a_stray_frame(rig: RelayRig, data: str) -> None:
    rig.router.feed(7, f'{{"stream":"{STREAM}","data":{data}}}'.encode(), 99)
    (event,) = rig.router.take_events()
    assert (type(event).__name__, rig.book.status) == ("StrayFrame", Status.SYNCED)


def test_a_market_of_the_exchange_takes_no_states(engine: Engine) -> None:
    router = engine.Router()
    router.add_market(1, "binance.com", "BTCUSDT", "contiguous")
    router.open_connection(7)
    router.route(7, STREAM, 1)
    router.feed(7, wrapped(payload(11, 12), STREAM), 1)
    router.install_snapshot(1, snapshot(10), limit=None, live=True, now_ns=2)
    router.take_events()
    state = {"e": "bookState", "status": "stale", "u": 1}
    router.feed(7, json.dumps({"stream": STREAM, "data": state}).encode(), 3)
    assert (router.reader(1).status, router.upstream(1)) == (Status.SYNCED, None)
    (event,) = router.take_events()
    assert event.what == "unknown_stream"


def test_a_rebuilt_book_is_noticed_on_several_connections_to_its_server(rig: RelayRig) -> None:
    rig.connect(8)
    rig.say(connection=8)
    rig.say(generation=2)
    assert rig.shown == f"buffering: {HERE}: its book was rebuilt"
    rig.install(12)
    rig.say(u=12, connection=8)
    rig.say(u=12, connection=8, generation=2)
    rig.feed(13, 13)
    assert rig.shown == "synced: ", "what the slower connection says is old"
    assert rig.book.counters["gaps"] == 1


def test_a_rebuilt_book_is_noticed_while_another_server_leads(rig: RelayRig) -> None:
    rig.connect(8, "server 10.0.0.2:42081")
    rig.say(connection=8, server="b", generation=9)
    rig.say(generation=2)
    assert rig.shown == f"buffering: {HERE}: its book was rebuilt"
