"""When to look whether a silent book still is the exchange's book.

Depth streams are silent when nothing changes, so silence alone proves nothing; a small snapshot does, when
it is compared with the book (`upkeep`). Not here: what follows from it (`supervisor`), silence of whole
connections (`link`).
"""

from __future__ import annotations

from depthcache.core.policy import Policy, to_ns

__all__ = ["SilenceWatch"]

_GRAIN_NS = 1_000_000_000
"""Looks are rounded up to whole seconds, so that a thousand quiet books share their wake-ups."""


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

    def next_look_ns(self) -> int:
        """When to look next, unless data comes."""
        due_ns = self._since_ns + self._interval_ns
        return -(-due_ns // _GRAIN_NS) * _GRAIN_NS
