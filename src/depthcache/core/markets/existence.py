"""Whether the exchange still has a symbol: what speaks against it, weighed against the diffs that come.

One answer proves little: nodes of the exchange lag, and one that does not know a fresh listing yet refuses
its snapshot (-1121) or leaves it out of exchangeInfo. So a symbol ends only when a list that was asked after
the refusal agrees, and a book that has lived needs the same word several times; while its diffs chain it
needs it for a minute. Not here: what is asked when (`listing`), what an end does (`supervisor`).
"""

from __future__ import annotations

from depthcache.core.policy import to_ns

__all__ = ["Existence"]

_SILENT_NS = to_ns(10.0)
"""A book without a diff for so long does not count as one whose diffs chain."""
_APART_NS = to_ns(9.5)
"""Two lists this far apart are two responses: the list is asked every 10 s while there is doubt."""
_MOST_LISTS = 6
"""A list that never has a symbol whose book lives is no reason to ask for it every 10 s for ever."""
_NODES_LAG_NS = to_ns(55.0)
"""Twice as long as caches and nodes of the exchange were seen to lag (30 s, options, 2026-04), less the time
of one list."""


class Existence:
    """The evidence against one symbol. Times in nanoseconds of the caller's clock."""

    __slots__ = ("_first_ns", "_heard_ns", "_last_ns", "_refused_ns", "_silent_times", "_times")

    def __init__(self) -> None:
        self._refused_ns: int | None = None
        self._times = self._silent_times = 0
        self._first_ns = self._last_ns = self._heard_ns = 0

    @property
    def is_doubted(self) -> bool:
        """Whether anything speaks against the symbol."""
        return self._refused_ns is not None or 0 < self._times <= _MOST_LISTS

    def on_refused(self, now_ns: int) -> bool:
        """A snapshot was refused because of the symbol; True when nothing was known against it before."""
        is_first = self._refused_ns is None
        if is_first:
            self._refused_ns = now_ns
        return is_first

    def on_snapshot(self) -> None:
        """A snapshot came."""
        self._refused_ns = None

    def on_listed(self) -> None:
        """The list has it, and does not say that it ended."""
        self._refused_ns, self._times, self._silent_times = None, 0, 0

    def on_missing(self, *, asked_ns: int, heard_ns: int | None, now_ns: int) -> None:
        """A whole list, asked at `asked_ns`, does not have it, or says that it ended; the last diff came at
        `heard_ns`."""
        if self._refused_ns is not None and asked_ns < self._refused_ns:
            return
        if not self._times:
            self._first_ns = now_ns
        elif now_ns - self._last_ns < _APART_NS:
            return
        if (heard_ns or 0) > self._heard_ns:
            self._heard_ns, self._silent_times = heard_ns or 0, 0
        self._times += 1
        self._silent_times += 1
        self._last_ns = now_ns

    def is_over(self, *, has_lived: bool, heard_ns: int | None, is_told: bool, now_ns: int) -> bool:
        """Whether the symbol is to be given up.

        `has_lived`: the book was synced once, or a diff came. `heard_ns`: when the last one did. `is_told`:
        the list has the symbol and says that it ended; otherwise the list does not have it.
        """
        if not self._times:
            return False
        is_refused = self._refused_ns is not None
        if not has_lived:
            return is_told or is_refused
        if is_told:
            return self._times > 1
        for_long = self._times > 2 and now_ns - self._first_ns >= _NODES_LAG_NS
        is_silent = self._silent_times > 2 and not self.is_flowing(heard_ns, now_ns)
        return (is_refused and (for_long or is_silent)) or (for_long and is_silent)

    @staticmethod
    def is_flowing(heard_ns: int | None, now_ns: int) -> bool:
        """Whether diffs come, the last at `heard_ns`."""
        return heard_ns is not None and now_ns - heard_ns < _SILENT_NS
