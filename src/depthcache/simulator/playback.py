"""Schedule the records of a recording: which one is next, and when it is due.

Sans-I/O: time is an argument. Records keep their recorded intervals, divided by `speed`. Lines without a
receive time use the exchange's event time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator

from depthcache.arguments import is_real
from depthcache.errors import InvalidArgument
from depthcache.recording.records import Diff, Frame, Record

__all__ = ["Playback", "check_speed", "lag_ns"]

_MICROSECONDS_FROM = 10**14
"""Event times from this value on are microseconds, those below milliseconds (spot `timeUnit`, 2024-12-17)."""

_LONGEST_SILENCE_NS = 60_000_000_000
"""Longer pauses of a recording, such as between files or after clock changes, are shortened to this. The
longest recorded silence of a thin symbol is 43.5 s (spot NEXOUSDT, 2024-07)."""


class Playback:
    """The records of one recording, each at its time.

    Call `start` once, then `take` while `is_due`; `next_ns` is the time of the next record. `resume` makes
    the next record due now, after waiting or skipping, so that neither is made up for later.
    """

    def __init__(self, records: Iterator[Record], *, speed: float, ahead: int) -> None:
        """`speed`: 1.0 as recorded, 10.0 ten times as fast, infinity without pauses.

        `ahead`: number of records to read in advance, at once and later; `find` searches them.
        """
        check_speed(speed)
        self._speed = speed
        self._records = records
        self._ahead_wanted = ahead
        self._ahead: deque[tuple[int, Record]] = deque()
        self._last_time_ns: int | None = None
        self._played_ns = 0
        self._base: tuple[int, int] | None = None
        self._taken: tuple[int, int] | None = None
        """The position of the last record that was taken, and its recorded time."""
        self._fill()

    @property
    def is_started(self) -> bool:
        """Whether `start` has been called."""
        return self._base is not None

    @property
    def is_unpaced(self) -> bool:
        """Whether records follow each other without pauses."""
        return math.isinf(self._speed)

    @property
    def is_over(self) -> bool:
        """Whether every record has been taken."""
        return not self._ahead

    def start(self, now_ns: int) -> None:
        """Start: the first record is due now."""
        self.resume(now_ns)

    def resume(self, now_ns: int) -> None:
        """Make the next record due now; the others follow at their intervals."""
        self._base = (now_ns, self._ahead[0][0] if self._ahead else 0)

    def next_ns(self) -> int | None:
        """Time of the next record; None before the start and after the end."""
        if self._base is None or not self._ahead:
            return None
        started_ns, recorded_ns = self._base
        return started_ns + math.floor((self._ahead[0][0] - recorded_ns) / self._speed)

    def clock_ns(self, now_ns: int) -> int | None:
        """The recorded time, which goes on at `speed` between records; None before the first time is known.

        It waits before the start and for records that are held. At infinite speed it is that of the last
        record.
        """
        coming = next(
            ((at, time) for at, record in self._ahead if (time := _time_ns(record)) is not None), None
        )
        if self._taken is None or self._base is None:
            return None if coming is None else coming[1]
        at_ns, time_ns = self._taken
        if self.is_unpaced:
            return time_ns
        started_ns, recorded_ns = self._base
        passed_ns = max(0, recorded_ns + math.floor((now_ns - started_ns) * self._speed) - at_ns)
        return time_ns + (passed_ns if coming is None else min(passed_ns, max(0, coming[0] - at_ns)))

    def is_due(self, now_ns: int) -> bool:
        """Whether the next record is due."""
        due_ns = self.next_ns()
        return due_ns is not None and due_ns <= now_ns

    def take(self) -> Record:
        """Take the next record, due or not. Only while not `is_over`."""
        at_ns, record = self._ahead.popleft()
        time_ns = _time_ns(record)
        if time_ns is not None:
            self._taken = (at_ns, time_ns)
        self._fill()
        return record

    def find(self, wanted: Callable[[Record], bool]) -> Record | None:
        """The first record ahead for which `wanted` is true, without taking it."""
        return next((record for _, record in self._ahead if wanted(record)), None)

    def ahead(self) -> Iterator[Record]:
        """The records that have been read in advance."""
        return (record for _, record in self._ahead)

    def _fill(self) -> None:
        while len(self._ahead) < self._ahead_wanted:
            record = next(self._records, None)
            if record is None:
                return
            time_ns = _time_ns(record)
            if time_ns is not None:
                distance_ns = time_ns - (self._last_time_ns or time_ns)
                self._played_ns += min(max(distance_ns, 0), _LONGEST_SILENCE_NS)
                self._last_time_ns = time_ns
            self._ahead.append((self._played_ns, record))


def check_speed(speed: float) -> None:
    """Raise InvalidArgument for a speed that is not above 0."""
    if not is_real(speed) or not speed > 0:
        raise InvalidArgument(name="speed", value=speed, allowed="a number above 0; 1 is as recorded")


def lag_ns(record: Record) -> int | None:
    """From the event time of a diff to its recorded receipt; None if either is unknown."""
    event_ns = _event_ns(record)
    return None if record.time_ns is None or event_ns is None else record.time_ns - event_ns


def _time_ns(record: Record) -> int | None:
    return _event_ns(record) if record.time_ns is None else record.time_ns


def _event_ns(record: Record) -> int | None:
    if isinstance(record, Frame) and isinstance(record.about, Diff) and record.about.event_time is not None:
        time = record.about.event_time
        return time * (1_000 if time >= _MICROSECONDS_FROM else 1_000_000)
    return None
