"""What one market waits for, and for how long: a diff that must come, a snapshot that is new enough.

Depth streams are silent if nothing changes, so silence alone proves nothing; comparing the book with a small
snapshot does (`maintenance`). Each watchdog tells when to look and what the result means. Consequences are in
`supervisor` and `maintenance`, silence of whole connections is in `connections.connection`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from depthcache.core import reasons
from depthcache.core.context import Context
from depthcache.core.markets.snapshot_clock import SnapshotClock
from depthcache.core.notices import TroubleFound
from depthcache.core.policy import Policy, to_ns
from depthcache.core.timers import Timer
from depthcache.engine import Reader
from depthcache.events import HeardDiff
from depthcache.exchange_figures import NODE_LAG_S

__all__ = [
    "Bridging",
    "LateWatch",
    "Lateness",
    "OverdueWatch",
    "Progress",
    "SilenceWatch",
    "TooOldWatch",
    "time_to_detect_ns",
]

_TOO_OLD_FOR_S = 2 * NODE_LAG_S
"""In addition to the lag of the venue's caches."""
_MARK_NS, _LEAST_PROGRESS = 2_000_000_000, 0.5
"""Event times that advance by less than half of the elapsed time are not used: their clock is stuck."""
_ANOTHER_CLOCK_S = 3_600.0
"""No exchange keeps diffs for this long: older event times come from another clock (replays)."""
_TOLD_S, _TOLD_AFTER_NS = 5.0, 10_000_000_000
"""A book is reported as late after being this late for this long."""
_GRAIN_NS = 1_000_000_000
"""Looks are rounded up to whole seconds, so that a thousand quiet books share wake-ups."""
_MOST_BRIDGING_WAITS = 6
"""How often to extend the wait for the diff that confirms a snapshot if times are unknown."""
_LONGEST_WAIT = 5
"""How many times the patience for one diff may pass between two of them while a snapshot is ahead."""
_MOST_WAITS = 30
"""How often to extend that wait if times are unknown."""
_PASSED_US = 5_000_000
"""Diffs this much later than a snapshot contain everything that it shows."""
_COMPARE_TIMEOUT_S = 15.0
"""The timeout for comparing a silent book, including its time in the queue."""


def time_to_detect_ns(policy: Policy, lag_s: float) -> int:
    """The longest time without confirmation of a book that is right: 60 s, for options 180 s.

    `lag_s`: how old snapshots of the venue may be. Without an event loop to compare it, a book that was not
    confirmed for this long is stale.
    """
    return to_ns(max(policy.silence_s, policy.silence_cap_s) + _COMPARE_TIMEOUT_S + 4 * lag_s)


class SilenceWatch:
    """When to compare one book with the exchange. Times are nanoseconds of the caller's clock."""

    __slots__ = ("_base_ns", "_cap_ns", "_first_ns", "_interval_ns", "_since_ns")

    def __init__(self, policy: Policy) -> None:
        self._first_ns = to_ns(policy.first_data_s)
        self._base_ns = to_ns(policy.silence_s)
        self._cap_ns = to_ns(policy.silence_cap_s)
        self._interval_ns = self._first_ns
        self._since_ns = 0

    def on_synced(self, now_ns: int) -> None:
        """The book starts; a diff is expected soon, because a subscription proves nothing."""
        self._since_ns, self._interval_ns = now_ns, self._first_ns

    def on_data(self, at_ns: int) -> None:
        """A diff came at that time."""
        if at_ns > self._since_ns:
            self._since_ns, self._interval_ns = at_ns, self._base_ns

    def on_compared(self, now_ns: int) -> None:
        """A comparison found no differences: the next one may wait longer."""
        longer_ns = max(2 * self._interval_ns, self._base_ns)
        self._since_ns, self._interval_ns = now_ns, min(longer_ns, max(self._cap_ns, self._base_ns))

    def on_unknown(self, now_ns: int) -> None:
        """A comparison had no result: try again with growing pauses."""
        self._since_ns, self._interval_ns = now_ns, min(2 * self._interval_ns, self._base_ns)

    def on_weakened(self, now_ns: int) -> None:
        """Something may have been missed: look at once."""
        self._since_ns, self._interval_ns = now_ns, self._first_ns

    def on_doubted(self, now_ns: int) -> None:
        """The book is stale until confirmed: by data soon, or by a look."""
        if self._since_ns + self._interval_ns > now_ns + self._first_ns:
            self.on_weakened(now_ns)

    def next_look_ns(self) -> int:
        """When to look next unless data comes."""
        due_ns = self._since_ns + self._interval_ns
        return -(-due_ns // _GRAIN_NS) * _GRAIN_NS


class TooOldWatch:
    """Snapshots older than the buffered diffs: how long to blame the delay of a cache or node.

    After that the buffered diffs themselves are in doubt: their ids may precede a reset, and no diff with new
    ids shows it because the stream is dead as well.
    """

    tries: int

    __slots__ = ("_book_ns", "_doubts", "_patience_ns", "_since_ns", "tries")

    def __init__(self, lag_s: float) -> None:
        """`lag_s`: how old snapshots of the venue may be."""
        self._patience_ns = to_ns(_TOO_OLD_FOR_S + 2 * lag_s)
        self._since_ns = self._book_ns = 0
        self._doubts = self.tries = 0

    def on_book(self, applied_ns: int) -> None:
        """The time of the book's last diff; one since the last snapshot resets the count."""
        if applied_ns != self._book_ns:
            self._doubts = self.tries = 0
            self._book_ns = applied_ns

    def on_fitting(self) -> None:
        """A snapshot was new enough."""
        self._doubts = self.tries = 0

    def on_too_old(self, now_ns: int) -> int:
        """Another one was too old.

        Returns how often the diffs have been in doubt for that; 0 if they are not now.
        """
        self.tries += 1
        if self.tries == 1:
            self._since_ns = now_ns
        if now_ns - self._since_ns < self._patience_ns:
            return 0
        self._since_ns = now_ns
        self._doubts += 1
        return self._doubts


class LateWatch:
    """Whether the diffs of a book arrive late, and since when.

    A burst after a short stall is late only for a moment, and event times that do not advance mean nothing: a
    book is late if its diffs stay late while their event times advance.
    """

    __slots__ = ("_mark", "_since_ns", "_told")

    def __init__(self) -> None:
        self._mark: tuple[int, int] | None = None
        self._since_ns: int | None = None
        self._told = False

    def accepts_sample(self, late_s: float, received_ns: int) -> bool:
        """Whether the event time of the newest diff can be believed, given its delay on receipt.

        True once for each diff that is far enough from the previous one.
        """
        if late_s > _ANOTHER_CLOCK_S:
            return False
        made_ns = received_ns - to_ns(late_s)
        if self._mark is None:
            self._mark = (received_ns, made_ns)
            return False
        passed_ns = received_ns - self._mark[0]
        if passed_ns < _MARK_NS:
            return False
        gained_ns = made_ns - self._mark[1]
        self._mark = (received_ns, made_ns)
        return gained_ns >= _LEAST_PROGRESS * passed_ns

    def should_report(self, late_s: float, received_ns: int) -> bool:
        """Whether the book has been late long enough to report it; True once."""
        if late_s < _TOLD_S:
            self._since_ns, self._told = None, False
            return False
        if self._since_ns is None:
            self._since_ns = received_ns
        due = received_ns - self._since_ns >= _TOLD_AFTER_NS
        is_new, self._told = due and not self._told, self._told or due
        return is_new

    def end(self) -> None:
        """Diffs are no longer late."""
        self._mark = self._since_ns = None
        self._told = False


class Lateness:
    """The delay of one market's diffs: reported once; beyond the policy's `late_s` the book is stale.

    It is no reason for a new snapshot, which would only be further ahead of the diffs.
    """

    reason: str
    """Why the book is stale; empty if it is not."""

    def __init__(
        self, context: Context, market: int, clock: SnapshotClock, *, on_change: Callable[[int], None]
    ) -> None:
        """`on_change(now)`: called when the reason changes."""
        self._context, self._market, self._clock = context, market, clock
        self._on_change = on_change
        self._watch = LateWatch()
        self._proven_ns = 0
        self.reason = ""

    def on_proven(self, now_ns: int) -> None:
        """A comparison has confirmed the book."""
        self._proven_ns = now_ns

    def on_late(self, late_s: float, received_ns: int, now_ns: int) -> None:
        """The newest diff was late when it arrived at `received_ns`. Called every second while that is so."""
        if received_ns <= self._proven_ns:
            self.on_in_time(now_ns)  # the book was compared after that diff, so it is right
        elif self._watch.accepts_sample(late_s, received_ns):
            self._clock.late_ns = to_ns(late_s)
            if self._watch.should_report(late_s, received_ns):
                self._context.notices.append(TroubleFound(self._market, "late", reasons.late(late_s)))
            most_s = self._context.policy.late_s
            self._say(reasons.late_beyond(most_s) if late_s > most_s else "", now_ns)

    def on_in_time(self, now_ns: int) -> None:
        """Diffs are no longer late."""
        self._watch.end()
        self._clock.late_ns = 0
        self._say("", now_ns)

    def _say(self, reason: str, now_ns: int) -> None:
        if reason != self.reason:
            self.reason = reason
            self._on_change(now_ns)


class Bridging:
    """How long to wait for the diff that confirms a snapshot: longer while older diffs arrive."""

    def __init__(self, context: Context, market: int, book: Reader) -> None:
        self._context, self._market, self._book = context, market, book
        self._waits = self._old = 0

    def begin(self, now_ns: int) -> None:
        """The snapshot was installed."""
        self._waits = 0
        self._wait(now_ns)

    def goes_on(self, now_ns: int) -> bool:
        """No diff has confirmed it: whether to wait again, because the diff is on its way."""
        heard = self._context.router.heard(self._market)
        is_backlog = heard is not None and heard.received_ns > now_ns - to_ns(self._context.policy.bridging_s)
        may_be = self._book.counters["old"] > self._old and self._waits < _MOST_BRIDGING_WAITS
        if is_backlog or may_be:
            self._waits += 1
            self._wait(now_ns)
        return is_backlog or may_be

    def _wait(self, now_ns: int) -> None:
        self._old = self._book.counters["old"]
        due_ns = now_ns + to_ns(self._context.policy.bridging_s)
        self._context.deadlines.set(Timer.BRIDGING, self._market, due_ns)


class Progress(Enum):
    """The state of the diff that a snapshot waits for."""

    AWAITED = "awaited"  # diffs arrive, but later than responses: wait again
    PASSED = "passed"  #   later diffs are in the book: the id of the snapshot is implausible
    MISSING = "missing"  # no diffs arrive


class OverdueWatch:
    """A snapshot ahead of its book: how long the diff that reaches it may take."""

    def __init__(self, context: Context, market: int, book: Reader, clock: SnapshotClock) -> None:
        self._context, self._market, self._book, self._clock = context, market, book, clock
        self._made_us: tuple[int, int] | None = None
        self._waits = self._old = 0

    def begin(self, made_us: tuple[int, int] | None, now_ns: int) -> None:
        """A snapshot is ahead, made in that time range; None if unknown."""
        self._made_us, self._waits = made_us, 0
        self._wait(now_ns)

    def end(self) -> None:
        """No snapshot is ahead any more."""
        self._context.deadlines.clear(self._market, Timer.OVERDUE)

    def look(self, sent_ns: int | None, now_ns: int) -> Progress:
        """OVERDUE is due for a snapshot whose request left at `sent_ns`."""
        heard = self._context.router.heard(self._market) or HeardDiff(0, None)
        flows = heard.received_ns >= max(sent_ns or 0, now_ns - _LONGEST_WAIT * self._patience_ns)
        if not flows and self._book.counters["old"] <= self._old:
            return Progress.MISSING
        if self._is_passed(heard.event_time_us):
            return Progress.PASSED
        self._waits += 1
        self._wait(now_ns)
        return Progress.AWAITED

    def waits_once_more(self, now_ns: int) -> bool:
        """The snapshot was dropped or merged just now, as the next events report: wait for them, once."""
        if self._waits > _LONGEST_WAIT:
            return False
        self._waits = _LONGEST_WAIT + 1
        self._wait(now_ns)
        return True

    @property
    def _patience_ns(self) -> int:
        return to_ns(self._context.policy.overdue_s) + self._clock.late_ns

    def _wait(self, now_ns: int) -> None:
        self._old = self._book.counters["old"]
        self._context.deadlines.set(Timer.OVERDUE, self._market, now_ns + self._patience_ns)

    def _is_passed(self, event_us: int | None) -> bool:
        """Whether diffs have come that were made clearly after the waiting snapshot."""
        if event_us is None or self._made_us is None:
            return self._waits >= _MOST_WAITS
        return event_us > self._made_us[1] + _PASSED_US
