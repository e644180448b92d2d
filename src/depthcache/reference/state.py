"""What a market is and why: its machine state, and what is laid over it.

A synced book may be crossed or in doubt; a stalled frame thread and a condition from outside
hide the machine state: users see the worst of all.
Not here: which state follows (`transitions`), when doubt ends (`doubt`).
"""

from __future__ import annotations

from copy import copy

from depthcache.model import Status
from depthcache.reference import reasons
from depthcache.reference.doubt import Doubt

__all__ = ["State"]

_BADNESS = {status: rank for rank, status in enumerate(Status)}


class State:
    """The state of one market. Users see a status, why, and since when."""

    status: Status
    """The machine state, without `crossed`."""
    reason: str
    since_ns: int
    doubt: Doubt

    def __init__(self) -> None:
        self.status, self.reason, self.since_ns = Status.EMPTY, reasons.NOTHING_ARRIVED, 0
        self.doubt = Doubt()
        self._crossed: tuple[str, int] | None = None
        self._stalled: tuple[Status, str, int] | None = None
        self._condition: tuple[Status, str, int] | None = None

    # --- getters -----------------------------------------------------------------------------

    @property
    def is_crossed(self) -> bool:
        """Whether the best prices touch or cross."""
        return self._crossed is not None

    def machine_state(self) -> tuple[Status, str, int]:
        """The machine state as users see it, conditions aside."""
        if self.status is Status.SYNCED and self._crossed is not None:
            return Status.CROSSED, *self._crossed
        return self.status, self.reason, self.since_ns

    def shown(self) -> tuple[Status, str, int]:
        """What users see."""
        condition = self._condition
        if condition is not None and _BADNESS[condition[0]] >= _BADNESS[self.status]:
            return condition
        if self._stalled is not None:
            return self._stalled
        return self.machine_state() if self.doubt.reason is None else (Status.STALE, *self.doubt.reason)

    def freeze(self) -> State:
        """A copy that nothing changes."""
        frozen = copy(self)
        frozen.doubt = copy(self.doubt)
        return frozen

    # --- what happened -----------------------------------------------------------------------

    def enter(self, status: Status, reason: str | None, now_ns: int) -> None:
        """Change the machine state; without a reason the old one stays."""
        if status is not Status.SYNCED:
            self.doubt.end()
        if status is not self.status:
            self.status, self.since_ns = status, now_ns
        if reason is not None:
            self.reason = reason

    def cross(self, reason: str | None, now_ns: int) -> None:
        """The best prices cross (the reason), or do so no longer (None)."""
        self._crossed = None if reason is None else (reason, now_ns)
        if reason is None:
            self.since_ns = now_ns

    def set_condition(self, condition: Status | None, reason: str, now_ns: int) -> None:
        """Lay a condition over the machine state, or take it away; closed is final."""
        if self._condition is not None and self._condition[0] is Status.CLOSED:
            return
        if condition is None:
            self._condition = None
        elif self._condition is None or self._condition[:2] != (condition, reason):
            self._condition = (condition, reason, now_ns)

    def set_stalled(self, reason: str | None, now_ns: int) -> bool:
        """The frame thread stalled, or goes on (None); True if it had stalled and goes on now."""
        has_ended = reason is None and self._stalled is not None
        self._stalled = None if reason is None else (Status.STALE, reason, now_ns)
        return has_ended
