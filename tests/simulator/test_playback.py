"""A recording keeps its recorded intervals; time spent waiting or skipped is not made up for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from depthcache.errors import InvalidArgument
from depthcache.recording.records import Diff, Frame, Record, SourcePosition
from depthcache.simulator.playback import Playback

S = 1_000_000_000


def frame(number: int, time_ns: int | None, *, event_time: int | None = None) -> Frame:
    diff = Diff("ABCUSDT", number, number, None, event_time, "spot")
    return Frame(time_ns, SourcePosition(Path("file"), number), b"", None, diff, "spot")


def playback(records: Sequence[Record], *, speed: float = 1.0, ahead: int = 100) -> Playback:
    return Playback(iter(records), speed=speed, ahead=ahead)


def due_times(play: Playback) -> list[int]:
    times = []
    while (due := play.next_ns()) is not None:
        times.append(due)
        play.take()
    return times


@pytest.mark.parametrize(("speed", "times"), [(1.0, [5, 6, 8]), (2.0, [5, 5.5, 6.5]), (math.inf, [5, 5, 5])])
def test_records_keep_their_distances_divided_by_the_speed(speed: float, times: list[float]) -> None:
    play = playback([frame(1, 100 * S), frame(2, 101 * S), frame(3, 103 * S)], speed=speed)
    assert play.next_ns() is None
    play.start(5 * S)
    assert due_times(play) == [int(time * S) for time in times]
    assert play.is_over


def test_without_receive_times_the_event_times_of_the_exchange_are_taken() -> None:
    milliseconds = [
        frame(1, None, event_time=1_700_000_000_000),
        frame(2, None, event_time=1_700_000_000_250),
    ]
    microseconds = [
        frame(n, None, event_time=time * 1000) for n, time in ((1, 1_700_000_000_000), (2, 1_700_000_000_250))
    ]
    for records in (milliseconds, microseconds):
        play = playback(records)
        play.start(0)
        assert due_times(play) == [0, S // 4]


def test_a_record_without_any_time_is_due_with_the_one_before_it() -> None:
    play = playback([frame(1, None), frame(2, 100 * S), frame(3, None), frame(4, 101 * S)])
    play.start(0)
    assert due_times(play) == [0, 0, 0, S]


def test_a_hole_in_the_recording_is_not_waited_for_longer_than_a_minute() -> None:
    play = playback([frame(1, 100 * S), frame(2, 90_000 * S), frame(3, 90_001 * S)])
    play.start(0)
    assert due_times(play) == [0, 60 * S, 61 * S]


def test_a_clock_that_goes_backwards_does_not_stop_the_recording() -> None:
    play = playback([frame(1, 100 * S), frame(2, 90 * S), frame(3, 91 * S)])
    play.start(0)
    assert due_times(play) == [0, 0, S]


def test_after_resume_the_next_record_is_due_and_the_others_follow_at_their_distance() -> None:
    play = playback([frame(n, n * S) for n in range(1, 5)])
    play.start(0)
    play.take()
    play.resume(50 * S)
    assert due_times(play) == [50 * S, 51 * S, 52 * S]


def test_is_due_at_its_time_and_not_before() -> None:
    play = playback([frame(1, S), frame(2, 2 * S)])
    assert not play.is_due(10 * S)
    play.start(0)
    play.take()
    assert not play.is_due(S - 1)
    assert play.is_due(S)


def test_only_what_is_wanted_ahead_is_read() -> None:
    read: list[int] = []

    def records() -> Sequence[Record]:
        def one(number: int) -> Record:
            read.append(number)
            return frame(number, number * S)

        return (one(number) for number in range(1, 1000))  # type: ignore[return-value]

    play = playback(records(), ahead=10)
    assert read == list(range(1, 11))
    assert play.find(lambda record: record.position.line == 7) == frame(7, 7 * S)
    assert play.find(lambda record: record.position.line == 11) is None
    play.take()
    assert read == list(range(1, 12))


@pytest.mark.parametrize("speed", [0.0, -1.0, math.nan])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(InvalidArgument, match="speed"):
        playback([], speed=speed)


def test_an_empty_recording_is_over_at_once() -> None:
    play = playback([])
    play.start(0)
    assert play.is_over
    assert play.next_ns() is None
