"""The status of a market: its machine state, and what lies on top of it.

A synced book may be crossed or in doubt. A stalled frame thread and an external condition hide the machine
state. Users see the worst of all. Transitions are in `transitions`, the end of doubt in `doubt`.
"""

from __future__ import annotations

from copy import copy

from depthcache.model import Status
from depthcache.reference import reasons
from depthcache.reference.doubt import Doubt

__all__ = ["State"]

_BADNESS = {status: rank for rank, status in enumerate(Status)}


class State:
    """The state of one market; users see a status, its reason and its start."""

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
        """The machine state as users see it, without conditions."""
        if self.status is Status.SYNCED and self._crossed is not None:
            return Status.CROSSED, *self._crossed
        return self.status, self.reason, self.since_ns

    def shown(self) -> tuple[Status, str, int]:
        """The status that users see."""
        condition = self._condition
        if condition is not None and _BADNESS[condition[0]] >= _BADNESS[self.status]:
            return condition
        if self._stalled is not None:
            return self._stalled
        return self.machine_state() if self.doubt.reason is None else (Status.STALE, *self.doubt.reason)

    def freeze(self) -> State:
        """A constant copy."""
        frozen = copy(self)
        frozen.doubt = copy(self.doubt)
        return frozen

    # --- what happened -----------------------------------------------------------------------

    def enter(self, status: Status, reason: str | None, now_ns: int) -> None:
        """Change the machine state; without a reason the old reason stays."""
        if status is not Status.SYNCED:
            self.doubt.end()
        if status is not self.status:
            self.status, self.since_ns = status, now_ns
        if reason is not None:
            self.reason = reason

    def cross(self, reason: str | None, now_ns: int) -> None:
        """The best prices cross (the reason), or no longer do (None)."""
        self._crossed = None if reason is None else (reason, now_ns)
        if reason is None:
            self.since_ns = now_ns

    def set_condition(self, condition: Status | None, reason: str, now_ns: int) -> None:
        """Set or clear a condition on top of the machine state; closed is final."""
        if self._condition is not None and self._condition[0] is Status.CLOSED:
            return
        if condition is None:
            self._condition = None
        elif self._condition is None or self._condition[:2] != (condition, reason):
            self._condition = (condition, reason, now_ns)

    def set_stalled(self, reason: str | None, now_ns: int) -> bool:
        """The frame thread stalled, or is running again (None); True if it was stalled until now."""
        has_ended = reason is None and self._stalled is not None
        self._stalled = None if reason is None else (Status.STALE, reason, now_ns)
        return has_ended
