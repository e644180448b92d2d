"""When to look whether a silent book still is the exchange's book, and when kept diffs are to be doubted.

Depth streams are silent when nothing changes, so silence alone proves nothing; a small snapshot does, when
it is compared with the book (`upkeep`). Not here: what follows from it (`supervisor`), silence of whole
connections (`link`).
"""

from __future__ import annotations

from depthcache.core.policy import Policy, to_ns

__all__ = ["SilenceWatch", "TooOldWatch", "time_to_detect_ns"]

_TOO_OLD_FOR_S = 60.0
"""Twice as long as caches and nodes of the exchange were seen to lag (options, 2026-04), besides that of the
venue."""
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
