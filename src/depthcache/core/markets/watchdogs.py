"""When to look whether a silent book still is the exchange's book, and when kept diffs are to be doubted.

Depth streams are silent when nothing changes, so silence alone proves nothing; a small snapshot does, when
it is compared with the book (`maintenance`). Not here: what follows from it (`supervisor`), silence of whole
connections (`slot`).
"""

from __future__ import annotations

from depthcache.core.policy import Policy, to_ns

__all__ = ["LateWatch", "SilenceWatch", "TooOldWatch", "time_to_detect_ns"]

_TOO_OLD_FOR_S = 60.0
"""Twice as long as caches and nodes of the exchange were seen to lag (options, 2026-04), besides that of the
venue."""
_MARK_NS, _LEAST_PROGRESS = 2_000_000_000, 0.5
"""Event times that gain less than half of the time that goes by tell no lateness: their clock stands."""
_ANOTHER_CLOCK_S = 3_600.0
"""No exchange keeps diffs for so long: older event times are of another clock (replays)."""
_TOLD_S, _TOLD_AFTER_NS = 5.0, 10_000_000_000
"""A book is said to be late when it was this late for this long."""
_GRAIN_NS = 1_000_000_000
"""Looks are rounded up to whole seconds, so that a thousand quiet books share their wake-ups."""
_ANSWERED_S = 15.0
"""How long the comparison of a silent book may take, with its turn in the line of requests."""


def time_to_detect_ns(policy: Policy, lag_s: float) -> int:
    """The longest time in which nothing proves a book that is right: 60 s, for options 180 s.

    `lag_s`: how old snapshots of the venue may be. Without an event loop that compares, a book that nothing
    has proven for so long is stale.
    """
    return to_ns(max(policy.silence_s, policy.silence_cap_s) + _ANSWERED_S + 4 * lag_s)


class SilenceWatch:
    """When to compare one book with the exchange. Times in nanoseconds of the caller's clock."""

    __slots__ = ("_base_ns", "_cap_ns", "_first_ns", "_interval_ns", "_since_ns")

    def __init__(self, policy: Policy) -> None:
        self._first_ns = to_ns(policy.first_data_s)
        self._base_ns = to_ns(policy.silence_s)
        self._cap_ns = to_ns(policy.silence_cap_s)
        self._interval_ns = self._first_ns
        self._since_ns = 0

    def on_synced(self, now_ns: int) -> None:
        """The book starts; a diff is awaited soon, because a subscription proves nothing."""
        self._since_ns, self._interval_ns = now_ns, self._first_ns

    def on_data(self, at_ns: int) -> None:
        """A diff came at that time."""
        if at_ns > self._since_ns:
            self._since_ns, self._interval_ns = at_ns, self._base_ns

    def on_compared(self, now_ns: int) -> None:
        """A comparison found nothing wrong: the next may wait longer."""
        longer_ns = max(2 * self._interval_ns, self._base_ns)
        self._since_ns, self._interval_ns = now_ns, min(longer_ns, max(self._cap_ns, self._base_ns))

    def on_unknown(self, now_ns: int) -> None:
        """A comparison came to nothing: try again, later each time."""
        self._since_ns, self._interval_ns = now_ns, min(2 * self._interval_ns, self._base_ns)

    def on_weakened(self, now_ns: int) -> None:
        """There is a reason to look at once."""
        self._since_ns, self._interval_ns = now_ns, self._first_ns

    def on_doubted(self, now_ns: int) -> None:
        """The book is stale until proven: data does that soon, or a look."""
        if self._since_ns + self._interval_ns > now_ns + self._first_ns:
            self.on_weakened(now_ns)

    def next_look_ns(self) -> int:
        """When to look next, unless data comes."""
        due_ns = self._since_ns + self._interval_ns
        return -(-due_ns // _GRAIN_NS) * _GRAIN_NS


class TooOldWatch:
    """Snapshots that are older than the kept diffs: until when that is the delay of a cache or of a node.

    After that the kept diffs themselves are in doubt: their ids may be of before a new beginning, and no diff
    of the new ids tells, because the stream is dead as well.
    """

    tries: int

    __slots__ = ("_doubts", "_patience_ns", "_since_ns", "tries")

    def __init__(self, lag_s: float) -> None:
        """`lag_s`: how old snapshots of the venue may be."""
        self._patience_ns = to_ns(_TOO_OLD_FOR_S + 2 * lag_s)
        self._since_ns = 0
        self._doubts = self.tries = 0

    def on_fitting(self) -> None:
        """A snapshot was young enough."""
        self._doubts = self.tries = 0

    def on_too_old(self, now_ns: int) -> int:
        """Another one was not: how often the diffs have been in doubt by that, where they are now, else 0."""
        self.tries += 1
        if self.tries == 1:
            self._since_ns = now_ns
        if now_ns - self._since_ns < self._patience_ns:
            return 0
        self._since_ns = now_ns
        self._doubts += 1
        return self._doubts


class LateWatch:
    """Whether the diffs of a book arrive late, and for how long already.

    A burst after a short stall is late for a moment only, and event times that do not go on with the time
    tell nothing: late is a book whose diffs stay late while their event times advance.
    """

    __slots__ = ("_mark", "_since_ns", "_told")

    def __init__(self) -> None:
        self._mark: tuple[int, int] | None = None
        self._since_ns: int | None = None
        self._told = False

    def believes(self, late_s: float, received_ns: int) -> bool:
        """The newest diff was so late when it was received: whether its event time can be believed. True
        once for each diff that is far enough from the last."""
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

    def is_to_be_told(self, late_s: float, received_ns: int) -> bool:
        """Whether the book has been late for so long that it is worth a word: true once."""
        if late_s < _TOLD_S:
            self._since_ns, self._told = None, False
            return False
        if self._since_ns is None:
            self._since_ns = received_ns
        due = received_ns - self._since_ns >= _TOLD_AFTER_NS
        is_new, self._told = due and not self._told, self._told or due
        return is_new

    def end(self) -> None:
        """Diffs are late no longer."""
        self._mark = self._since_ns = None
        self._told = False
