"""A recording as an exchange: which client gets which frames and snapshots when, on a manual clock."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from depthcache import Book, Outcome, SnapshotOutcome
from depthcache.errors import InvalidArgument, UnknownExchange, UnreadableRecording
from depthcache.simulator.interface import HttpResponse, Ping, Session, Text
from depthcache.simulator.recorded import RecordedExchange
from tests.simulator.recordings import BEGIN_NS, S, Writer

SPOT = "binance.com"
DEPTH = "/api/v3/depth?symbol=ABCUSDT&limit=1000"


class Client:
    """A client of a recorded exchange, and the clock of both."""

    def __init__(self, exchange: RecordedExchange, target: str = "/stream") -> None:
        self.exchange = exchange
        self.now_ns = 7 * S
        session = exchange.accept(SPOT, target, self.now_ns)
        assert not isinstance(session, HttpResponse)
        self.session: Session = session
        self.frames: list[Any] = []
        self.texts: list[str] = []
        self.pings: list[bytes] = []

    def say(self, method: str, *names: str) -> None:
        message: dict[str, Any] = {"method": method, "params": names, "id": 1}
        self.session.on_text(json.dumps(message), self.now_ns)
        self.collect()

    def ask(self, target: str = DEPTH) -> HttpResponse:
        response = self.exchange.request(SPOT, target, self.now_ns)
        self.collect()
        return response

    def collect(self) -> None:
        for message in self.session.take():
            if isinstance(message, Text):
                self.texts.append(message.text)
                self.frames.append(json.loads(message.text))
            elif isinstance(message, Ping):
                self.pings.append(message.payload)

    def run(self, seconds: float) -> None:
        """Let time pass as a http_server does."""
        until_ns = self.now_ns + round(seconds * S)
        while (due_ns := self.exchange.next_ns()) is not None and due_ns <= until_ns:
            self.now_ns = max(self.now_ns, due_ns)
            self.exchange.advance(self.now_ns)
            self.collect()
        self.now_ns = until_ns

    def ids(self, symbol: str = "ABCUSDT") -> list[int]:
        """Final ids of the diffs that came."""
        payloads = [frame.get("data", frame) for frame in self.frames]
        return [data["u"] for data in payloads if data.get("s") == symbol and "U" in data]


def recording(tmp_path: Path, writer: Writer) -> Path:
    return writer.write(tmp_path / "recording")


def simple(tmp_path: Path, *, snapshot_at: int = 3, diffs: int = 8) -> tuple[Path, str]:
    """One diff a second with ids 11, 12, …; the snapshot (id 12) stands before the diff `snapshot_at`."""
    writer, body = Writer(), ""
    for number in range(diffs):
        if number == snapshot_at:
            body = writer.snapshot(number - 0.5, 12)
        writer.diff(number, 11 + number, 11 + number)
    return recording(tmp_path, writer), body


# --- the play ---------------------------------------------------------------------------------


def test_nothing_is_played_before_somebody_subscribes(tmp_path: Path) -> None:
    client = Client(RecordedExchange([simple(tmp_path)[0]]))
    client.run(3)
    assert client.frames == []
    client.say("SUBSCRIBE", "abcusdt@depth@100ms")
    assert client.frames == [{"result": None, "id": 1}]
    client.run(2.2)
    assert client.ids() == [11, 12, 13]


def test_a_stream_in_the_url_starts_the_play(tmp_path: Path) -> None:
    client = Client(RecordedExchange([simple(tmp_path)[0]]), "/stream?streams=abcusdt@depth@100ms")
    client.run(1.2)
    assert client.ids() == [11, 12]


def test_frames_keep_their_distances_divided_by_the_speed(tmp_path: Path) -> None:
    client = Client(RecordedExchange(simple(tmp_path, snapshot_at=9)[0], speed=4), "/ws/abcusdt@depth")
    client.run(1.1)
    assert client.ids() == [11, 12, 13, 14, 15]


def test_a_wrapped_frame_comes_wrapped_under_the_name_that_was_subscribed(tmp_path: Path) -> None:
    writer = Writer()
    payload = writer.diff(0, 11, 12)
    exchange = RecordedExchange([recording(tmp_path, writer)])
    client = Client(exchange, "/stream?streams=abcusdt@depth/abcusdt@depth@100ms")
    client.run(0)
    assert client.texts == [
        f'{{"stream":"abcusdt@depth","data":{payload}}}',
        f'{{"stream":"abcusdt@depth@100ms","data":{payload}}}',
    ]


def test_a_wrapped_frame_comes_raw_to_the_byte_on_a_raw_connection(tmp_path: Path) -> None:
    writer = Writer()
    payload = writer.diff(0, 11, 12)
    client = Client(RecordedExchange([recording(tmp_path, writer)]), "/ws/abcusdt@depth@100ms")
    client.run(0)
    assert client.texts == [payload]


def test_what_was_not_subscribed_does_not_come(tmp_path: Path) -> None:
    writer = Writer()
    for number in range(3):
        writer.diff(number, 11 + number, 11 + number)
        writer.diff(number, 91 + number, 91 + number, symbol="XYZUSDT")
        writer.ticker(number, 11 + number)
    client = Client(RecordedExchange([recording(tmp_path, writer)]), "/ws/abcusdt@depth")
    client.run(0)
    client.say("SUBSCRIBE", "abcusdt@bookTicker")
    client.say("UNSUBSCRIBE", "abcusdt@depth")
    client.run(5)
    assert client.ids() == [11]
    assert client.ids("XYZUSDT") == []
    assert [frame["u"] for frame in client.frames if "B" in frame] == [12, 13]


def test_upper_case_names_are_acknowledged_and_stay_silent(tmp_path: Path) -> None:
    client = Client(RecordedExchange([simple(tmp_path)[0]]))
    client.say("SUBSCRIBE", "ABCUSDT@depth")
    client.run(60)
    assert client.frames == [{"result": None, "id": 1}]


def test_at_the_end_connections_stay_open_and_are_pinged(tmp_path: Path) -> None:
    exchange = RecordedExchange([simple(tmp_path)[0]], speed=math.inf)
    client = Client(exchange, "/ws/abcusdt@depth")
    client.ask()
    client.run(65)
    assert exchange.is_over
    assert client.ids()[-1] == 18
    assert len(client.pings) == 3  # spot pings every 20 s
    assert all(len(payload) == 13 for payload in client.pings)
    assert client.session.take() == []


def test_the_second_of_two_speeds_in_a_recording_is_left_out(tmp_path: Path) -> None:
    writer = Writer()
    writer.diff(0, 11, 12)
    slow = {"e": "depthUpdate", "E": 1, "s": "ABCUSDT", "U": 11, "u": 13, "b": [], "a": []}
    writer.line(0.1, {"stream": "abcusdt@depth", "data": slow})
    writer.diff(0.2, 13, 14)
    client = Client(RecordedExchange([recording(tmp_path, writer)]), "/ws/abcusdt@depth")
    client.run(1)
    assert client.ids() == [12, 14]


# --- snapshots --------------------------------------------------------------------------------


def test_the_first_snapshot_is_the_recorded_one_to_the_byte(tmp_path: Path) -> None:
    path, body = simple(tmp_path)
    client = Client(RecordedExchange([path]), "/ws/abcusdt@depth")
    response = client.ask()
    assert (response.status, response.body) == (200, body.encode())
    assert response.headers["X-MBX-USED-WEIGHT-1M"] == "50"


def test_an_early_request_makes_playback_skip_to_the_recorded_snapshot(tmp_path: Path) -> None:
    path, body = simple(tmp_path)
    client = Client(RecordedExchange([path]), "/ws/abcusdt@depth")
    client.run(0)
    assert client.ids() == [11]
    assert client.ask().body == body.encode()
    assert client.ids() == [11, 12, 13]
    client.run(0)
    assert client.ids() == [11, 12, 13, 14]  # the next is due now, the others at their distance
    client.run(0.9)
    assert client.ids() == [11, 12, 13, 14]
    client.run(0.2)
    assert client.ids() == [11, 12, 13, 14, 15]


def test_a_request_before_the_subscription_does_not_start_playback(tmp_path: Path) -> None:
    path, body = simple(tmp_path)
    client = Client(RecordedExchange([path]))
    assert client.ask().body == body.encode()
    client.say("SUBSCRIBE", "abcusdt@depth")
    client.run(0)
    assert client.ids() == [11]


def test_the_play_waits_for_a_client_that_is_slow_to_ask(tmp_path: Path) -> None:
    path, body = simple(tmp_path, diffs=500)
    client = Client(RecordedExchange([path], speed=math.inf), "/ws/abcusdt@depth")
    client.run(1.9)
    assert client.ids() == [11, 12, 13]  # one is newer than the snapshot
    client.run(3)
    sent = len(client.ids())
    assert 50 <= sent < 100  # for clients that ask only after some
    assert client.ask().body == body.encode()
    client.run(0.2)
    assert client.ids() == list(range(11, 511))


def test_without_pauses_the_updates_after_the_snapshot_wait_for_it_to_arrive(tmp_path: Path) -> None:
    path, body = simple(tmp_path, diffs=500)
    client = Client(RecordedExchange([path], speed=math.inf), "/ws/abcusdt@depth")
    client.run(0.5)
    assert client.ask().body == body.encode()
    client.run(0.05)
    assert client.ids() == [11, 12, 13]
    client.run(0.1)
    assert client.ids() == list(range(11, 511))


def test_playback_does_not_wait_forever_for_clients_that_want_no_snapshot(tmp_path: Path) -> None:
    client = Client(RecordedExchange([simple(tmp_path, diffs=500)[0]], speed=math.inf), "/ws/abcusdt@depth")
    client.run(9.9)
    assert len(client.ids()) < 100
    client.run(0.2)
    assert client.ids() == list(range(11, 511))


def test_the_play_does_not_wait_for_a_client_that_left(tmp_path: Path) -> None:
    exchange = RecordedExchange([simple(tmp_path, diffs=500)[0]], speed=math.inf)
    client = Client(exchange, "/ws/abcusdt@depth")
    client.run(1)
    client.session.on_close(client.now_ns)
    client.run(0)
    assert exchange.is_over


@pytest.mark.parametrize("asks_after", [0, 1, 40])
@pytest.mark.parametrize("speed", [1.0, 50.0, math.inf])
def test_a_client_that_subscribes_then_requests_ends_with_the_book_of_the_recording(
    tmp_path: Path, asks_after: int, speed: float
) -> None:
    path, _ = simple(tmp_path, snapshot_at=20, diffs=300)
    client = Client(RecordedExchange([path], speed=speed), "/ws/abcusdt@depth")
    book = Book(SPOT, "ABCUSDT")
    while len(client.ids()) <= asks_after:
        client.run(0.5 / min(speed, 50.0))
    body = client.ask().body
    client.run(400)
    expected = Book(SPOT, "ABCUSDT")
    assert expected.load_snapshot(body) is SnapshotOutcome.SYNCED
    for text in client.texts:
        book.apply(text)
        assert expected.apply(text) in (Outcome.APPLIED, Outcome.OLD)
    assert book.load_snapshot(body) is SnapshotOutcome.SYNCED
    assert book.best == expected.best
    assert (book.last_update_id, book.counters["applied"]) == (310, 298)


def test_later_snapshots_are_the_book_as_it_is_now(tmp_path: Path) -> None:
    client = Client(RecordedExchange([simple(tmp_path)[0]]), "/ws/abcusdt@depth")
    client.ask()
    client.run(1)
    assert json.loads(client.ask().body) == {
        "lastUpdateId": client.ids()[-1],
        "bids": [["1.00000000", f"{client.ids()[-1]}.00000000"], ["0.90000000", "6.00000000"]],
        "asks": [["2.00000000", "7.00000000"]],
    }
    assert len(json.loads(client.ask("/api/v3/depth?symbol=ABCUSDT&limit=1").body)["bids"]) == 1


def test_a_client_that_subscribes_too_late_gets_the_rebuilt_book(tmp_path: Path) -> None:
    exchange = RecordedExchange([simple(tmp_path)[0]])
    Client(exchange, "/ws/other@depth").run(4.2)
    client = Client(exchange, "/ws/abcusdt@depth")
    assert json.loads(client.ask().body)["lastUpdateId"] == 15


def test_a_recording_without_a_snapshot_begins_with_an_empty_book(tmp_path: Path) -> None:
    writer = Writer()
    for number in range(3):
        writer.diff(number, 11 + number, 11 + number)
    client = Client(RecordedExchange([recording(tmp_path, writer)]), "/ws/abcusdt@depth")
    assert json.loads(client.ask().body) == {"lastUpdateId": 10, "bids": [], "asks": []}
    client.run(5)
    body = {"lastUpdateId": 13, "bids": [["1.00000000", "13.00000000"]], "asks": []}
    assert json.loads(client.ask().body) == body


def test_after_a_hole_in_the_recording_clients_can_sync_again(tmp_path: Path) -> None:
    writer = Writer()
    writer.snapshot(0, 10)
    for first in (11, 12, 20, 21):
        writer.diff(1, first, first)
    client = Client(RecordedExchange([recording(tmp_path, writer)]), "/ws/abcusdt@depth")
    book = Book(SPOT, "ABCUSDT")
    book.load_snapshot(client.ask().body)
    client.run(5)
    assert [book.apply(text) for text in client.texts][2] is Outcome.GAP
    assert book.load_snapshot(client.ask().body) is SnapshotOutcome.SYNCED
    assert book.last_update_id == 21


def test_more_levels_than_the_recording_knows_are_refused(tmp_path: Path) -> None:
    client = Client(RecordedExchange([simple(tmp_path)[0]]))
    response = client.ask("/api/v3/depth?symbol=ABCUSDT&limit=5000")
    assert response.status == 400
    assert "knows 1000 levels" in json.loads(response.body)["msg"]


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/api/v3/depth?symbol=NOUSDT", 400, -1121),
        ("/api/v3/depth", 400, -1102),
        ("/api/v3/depth?symbol=ABCUSDT&limit=x", 400, -1100),
        ("/api/v3/depth?symbol=ABCUSDT&limit=0", 400, -1130),
        ("/nowhere", 404, None),
    ],
)
def test_bad_questions_are_answered_as_binance_does(
    tmp_path: Path, target: str, status: int, code: int | None
) -> None:
    response = Client(RecordedExchange([simple(tmp_path)[0]])).ask(target)
    assert response.status == status
    assert code is None or json.loads(response.body)["code"] == code


@pytest.mark.parametrize("speed", [1.0, 4.0])
def test_the_clock_is_that_of_the_recorded_event_times_and_moves_on(tmp_path: Path, speed: float) -> None:
    writer, behind_ms = Writer(), 69 * 86_400_000
    for number in range(3):
        writer.diff(10 * number, 11 + number, 11 + number)
    for number, line in enumerate(writer.lines):  # the recorder's clock is 69 days ahead
        time, text = line.split(" ", 1)
        writer.lines[number] = f"{int(time) + behind_ms * 1_000_000} {text}"
    client = Client(RecordedExchange(recording(tmp_path, writer), speed=speed), "/ws/abcusdt@depth")

    def passed_ms() -> int:
        found: int = json.loads(client.ask("/api/v3/time").body)["serverTime"]
        return found - BEGIN_NS // 1_000_000

    assert passed_ms() == 0
    client.run(7 / speed)
    assert passed_ms() == 7_000
    client.run(5 / speed)
    assert passed_ms() == 12_000
    client.run(18 / speed)
    assert passed_ms() == 30_000  # after the last record as well


def test_time_ping_and_exchange_info_are_answered(tmp_path: Path) -> None:
    client = Client(RecordedExchange([simple(tmp_path)[0]]))
    assert json.loads(client.ask("/api/v3/time").body) == {"serverTime": BEGIN_NS // 1_000_000}
    assert client.ask("/api/v3/ping").body == b"{}"
    listed = json.loads(client.ask("/api/v3/exchangeInfo").body)["symbols"]
    assert listed == [{"symbol": "ABCUSDT", "status": "TRADING"}]


# --- what is served ---------------------------------------------------------------------------


def test_the_recording_tells_what_is_served_and_the_user_may_say_it(tmp_path: Path) -> None:
    path = simple(tmp_path)[0]
    assert RecordedExchange([path]).venues() == (SPOT,)
    assert RecordedExchange([path]).symbols(SPOT) == ("ABCUSDT",)
    assert RecordedExchange([path], exchange="binance.us").venues() == ("binance.us",)


def test_what_cannot_be_served_is_refused_at_once(tmp_path: Path) -> None:
    path = simple(tmp_path)[0]
    empty = tmp_path / "replies"
    empty.write_text('{"result":null,"id":1}\n', "utf-8")
    for files in ([tmp_path / "nothing"], [empty]):
        with pytest.raises(UnreadableRecording):
            RecordedExchange(files)
    with pytest.raises(InvalidArgument, match="speed"):
        RecordedExchange([path], speed=0)
    with pytest.raises(UnknownExchange):
        RecordedExchange([path], exchange="binance.con")
