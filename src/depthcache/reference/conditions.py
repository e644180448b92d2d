"""What lies over the state of a market: a condition from outside, a loop that stands still, doubt.

Users see the worst of these and the state. Not here: the state (`market`), when doubt ends (`doubt`).
"""

from __future__ import annotations

from copy import copy

from depthcache.model import Status
from depthcache.reference.doubt import Doubt

__all__ = ["Conditions", "worse"]

_BADNESS = {status: rank for rank, status in enumerate(Status)}


def worse(one: Status, other: Status) -> Status:
    """The one that users are told."""
    return one if _BADNESS[one] >= _BADNESS[other] else other


class Conditions:
    """The conditions of one market. Each is a status, why, and since when."""

    doubt: Doubt

    def __init__(self) -> None:
        self.doubt = Doubt()
        self._outside: tuple[Status, str, int] | None = None
        self._stalled: tuple[Status, str, int] | None = None

    def lay(self, condition: Status | None, reason: str, now_ns: int) -> None:
        """Lay a condition over the state, or take it away; closed is final."""
        if self._outside is not None and self._outside[0] is Status.CLOSED:
            return
        if condition is None:
            self._outside = None
        elif self._outside is None or self._outside[:2] != (condition, reason):
            self._outside = (condition, reason, now_ns)

    def set_stalled(self, reason: str | None, now_ns: int) -> bool:
        """Whoever brings the frames stands still, or does so no longer (None); whether that has ended now."""
        has_ended = reason is None and self._stalled is not None
        self._stalled = None if reason is None else (Status.STALE, reason, now_ns)
        return has_ended

    def over(self, state: Status, native: tuple[Status, str, int]) -> tuple[Status, str, int]:
        """What users see of a market in that state, which without conditions would tell `native`."""
        if self._outside is not None and worse(self._outside[0], state) is self._outside[0]:
            return self._outside
        if self._stalled is not None:
            return self._stalled
        return native if self.doubt.said is None else (Status.STALE, *self.doubt.said)

    def freeze(self) -> Conditions:
        """A copy that nothing changes."""
        frozen = copy(self)
        frozen.doubt = copy(self.doubt)
        return frozen
