"""The flight recorder of a market and the tap of a router: native only, bounded, in the order of events."""

from __future__ import annotations

import json

import pytest

from depthcache._native import Router
from tests.engine import payload, snapshot, wrapped

STREAM = "btcusdt@depth@100ms"


class Rig:
    """One market on one connection."""

    def __init__(self, flight_bytes: int) -> None:
        self.router = Router(flight_bytes=flight_bytes)
        self.router.add_market(1, "binance.com", "BTCUSDT", "contiguous")
        self.router.open_connection(7)
        self.router.route(7, STREAM, 1)
        self.now_ns = 0

    def feed(self, number: int) -> bytes:
        frame = wrapped(payload(number, number), STREAM)
        self.now_ns += 1
        self.router.feed(7, frame, self.now_ns)
        return frame

    def install(self, last: int) -> bytes:
        body = snapshot(last)
        self.now_ns += 1
        self.router.install_snapshot(1, body, limit=100, live=True, now_ns=self.now_ns)
        return body


def test_it_holds_the_frames_the_snapshot_in_its_place_and_the_book() -> None:
    rig = Rig(100_000)
    first, body, second = rig.feed(10), rig.install(10), rig.feed(11)
    log = rig.router.flight_log(1)
    assert log.frames == [(1, first), (3, second)]
    assert log.snapshot == (1, 2, 100, body)
    assert log.book.last_update_id == 11


@pytest.mark.parametrize("kept", [1, 2, 5])
def test_the_oldest_make_room_and_the_snapshot_goes_with_the_first_frame_after_it(kept: int) -> None:
    size = len(wrapped(payload(10, 10), STREAM)) + 16  # its length and its time
    rig = Rig(kept * size + size // 2)
    rig.feed(10)
    rig.install(10)
    fed = []
    for number in range(11, 11 + kept):
        assert rig.router.flight_log(1).snapshot is not None
        fed.append(rig.feed(number))
    assert [each.frame for each in rig.router.flight_log(1).frames] == fed
    assert rig.router.flight_log(1).snapshot is not None
    fed.append(rig.feed(99))
    log = rig.router.flight_log(1)
    assert [each.frame for each in log.frames] == fed[1:]
    assert log.snapshot is None


def test_a_frame_larger_than_everything_leaves_nothing_that_would_mislead() -> None:
    rig = Rig(300)
    rig.feed(10)
    rig.install(10)
    levels = [[f"{price}.0", "1"] for price in range(100, 200)]
    rig.router.feed(7, wrapped(payload(11, 11, levels), STREAM), 9)
    log = rig.router.flight_log(1)
    assert (log.frames, log.snapshot, log.book.last_update_id) == ([], None, 11)


def test_without_room_it_holds_the_book_alone() -> None:
    rig = Rig(0)
    rig.feed(10)
    rig.install(10)
    log = rig.router.flight_log(1)
    assert (log.frames, log.snapshot, log.book.last_update_id) == ([], None, 10)


def test_malformed_frames_are_what_it_is_for() -> None:
    rig = Rig(10_000)
    rubbish = b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","U":1'
    rig.router.feed(7, rubbish, 5)
    assert rig.router.flight_log(1).frames == [(5, rubbish)]


# --- the tap --------------------------------------------------------------------------------


def test_the_tap_gives_frames_and_lines_in_their_order_once() -> None:
    rig = Rig(0)
    rig.feed(9)
    rig.router.start_tap(10_000, 1_000)
    first = rig.feed(10)
    rig.router.tap_line(b'{"event":"here"}')
    second = rig.feed(11)
    lines, lost = rig.router.take_tapped()
    assert lost == 0
    assert [json.loads(line) for line in lines.splitlines()] == [
        {"time": 1_002, "connection": 7, "frame": json.loads(first)},
        {"event": "here"},
        {"time": 1_003, "connection": 7, "frame": json.loads(second)},
    ]
    assert rig.router.take_tapped() == (b"", 0)


@pytest.mark.parametrize(
    "frame",
    [
        b'{"stream":"x"},"event":"lost","frames":0,"y":{}',
        b'{},"snapshot":{"lastUpdateId":1,"bids":[],"asks":[]},"symbol":"BTCUSDT","z":{}',
        b'{"s":"}',
        b'{"s":1}}',
        b'{"s":NaN}',
        b'{"s":' + b"[" * 1_000 + b"]" * 1_000 + b"}",
        b'{"s":"\xff"}',
        b'{"s":\n1}',
        b"{",
        b"",
    ],
)
def test_a_frame_that_is_no_object_says_nothing_beside_itself(frame: bytes) -> None:
    rig = Rig(0)
    rig.router.start_tap(10_000, 0)
    rig.router.feed(7, frame, 5)
    (line,) = rig.router.take_tapped().lines.splitlines()
    assert json.loads(line) == {"time": 5, "connection": 7, "hex": frame.hex()}


def test_what_is_lost_is_one_piece_and_counted_and_the_book_has_it_all() -> None:
    rig = Rig(0)
    rig.feed(10)
    rig.install(10)
    rig.router.start_tap(500, 0)
    for number in range(11, 31):
        rig.feed(number)
    lines, lost = rig.router.take_tapped()
    kept = [json.loads(line)["frame"]["data"]["u"] for line in lines.splitlines()]
    assert kept == list(range(11, 11 + len(kept)))
    assert len(kept) + lost == 20
    assert lost > 0
    assert rig.router.reader(1).last_update_id == 30
    rig.feed(31)
    lines, lost = rig.router.take_tapped()
    assert (lines.count(b"\n"), lost) == (1, 0)


def test_a_stopped_tap_keeps_nothing() -> None:
    rig = Rig(0)
    rig.router.start_tap(10_000, 0)
    rig.feed(10)
    rig.router.stop_tap()
    rig.feed(11)
    rig.router.tap_line(b"{}")
    assert rig.router.take_tapped() == (b"", 0)


def test_a_frame_of_an_unknown_connection_is_not_heard() -> None:
    rig = Rig(0)
    rig.router.start_tap(10_000, 0)
    rig.router.feed(8, b"{}", 1)
    assert rig.router.take_tapped() == (b"", 0)
