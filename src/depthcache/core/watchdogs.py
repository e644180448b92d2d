"""Is a silent book still the exchange's book? Evidence, and when to look for it.

Depth streams are silent when nothing changes, so silence alone proves nothing. A small snapshot does:

- contiguous ids (spot) belong to one symbol: a snapshot with a larger id than the book's means that
  updates exist which did not come;
- chained ids (futures) are shared by symbols and grow without this one: there, the levels must
  differ as well.

What is found is only suspicion until a diff has had time to arrive. Not here: what follows from it
(`supervisor`), silence of whole connections (`link`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from depthcache.core.policy import Policy, to_ns
from depthcache.errors import BookError
from depthcache.venues.venue import Continuity

if TYPE_CHECKING:
    from depthcache._native import BookReader

__all__ = ["SilenceWatch", "has_moved"]

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
        self._since_ns, self._interval_ns = now_ns, min(longer_ns, self._cap_ns)

    def on_unknown(self, now_ns: int) -> None:
        """A comparison came to nothing: try again after the same time."""
        self._since_ns = now_ns

    def next_look_ns(self) -> int:
        """When to look next, unless data comes."""
        due_ns = self._since_ns + self._interval_ns
        return -(-due_ns // _GRAIN_NS) * _GRAIN_NS


def has_moved(body: bytes, book: BookReader, continuity: Continuity) -> bool | None:
    """Whether the exchange's book has changes that `book` has not; None when that cannot be told."""
    held = book.last_update_id
    try:
        snapshot = json.loads(body)
        last_update_id = snapshot["lastUpdateId"]
        if held is None or not isinstance(last_update_id, int):
            return None
        if last_update_id <= held:
            return False
        if continuity == "contiguous":
            return True
        return _differs(snapshot["bids"], book.bids) or _differs(snapshot["asks"], book.asks)
    except (BookError, ValueError, TypeError, LookupError, RecursionError):
        return None


def _differs(theirs: list[list[str]], ours: object) -> bool:
    mine = [(float(price), float(quantity)) for price, quantity in ours[: len(theirs)]]  # type: ignore[index]
    return mine != [(float(price), float(quantity)) for price, quantity, *_ in theirs]
