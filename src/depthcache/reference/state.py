"""The status of a market: its machine state, and what lies on top of it.

A synced book may be crossed or in doubt. A stalled frame thread and an external condition hide the machine
state. Users see the worst of all, since this status began, whatever has changed beneath it. Transitions are
in `transitions`, the end of doubt in `doubt`.
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
    doubt: Doubt

    def __init__(self, now_ns: int) -> None:
        """The state of a market that was added at `now_ns`."""
        self.status, self.reason = Status.EMPTY, reasons.NOTHING_ARRIVED
        self.doubt = Doubt()
        self._crossed: str | None = None
        self._stalled: str | None = None
        self._condition: tuple[Status, str] | None = None
        self._upstream: tuple[Status, str] | None = None
        self._shown: Status = self.status
        self._since_ns: int = now_ns

    # --- getters -----------------------------------------------------------------------------

    @property
    def is_crossed(self) -> bool:
        """Whether the best prices touch or cross."""
        return self._crossed is not None

    def machine_state(self) -> tuple[Status, str]:
        """The machine state as users see it, without conditions."""
        if self.status is Status.SYNCED and self._crossed is not None:
            return Status.CROSSED, self._crossed
        return self.status, self.reason

    def shown(self) -> tuple[Status, str, int]:
        """The status that users see, its reason and its start."""
        return *self._seen(), self._since_ns

    def _seen(self) -> tuple[Status, str]:
        condition = self._condition
        if condition is not None and _BADNESS[condition[0]] >= _BADNESS[self.status]:
            return condition
        if self._stalled is not None:
            return Status.STALE, self._stalled
        if self._upstream is not None:
            return self._upstream
        return self.machine_state() if self.doubt.reason is None else (Status.STALE, self.doubt.reason)

    def freeze(self) -> State:
        """A constant copy."""
        frozen = copy(self)
        frozen.doubt = copy(self.doubt)
        return frozen

    # --- what happened -----------------------------------------------------------------------

    def note_shown(self, now_ns: int) -> None:
        """After every change: another status begins now, but never before the one that users saw last."""
        status, _ = self._seen()
        if status is not self._shown:
            self._shown, self._since_ns = status, max(self._since_ns, now_ns)

    def enter(self, status: Status, reason: str | None, now_ns: int) -> None:
        """Change the machine state; without a reason the old reason stays."""
        if status is not Status.SYNCED:
            self.doubt.end()
        self.status = status
        if reason is not None:
            self.reason = reason
        self.note_shown(now_ns)

    def cross(self, reason: str | None, now_ns: int) -> None:
        """The best prices cross (the reason), or no longer do (None)."""
        self._crossed = reason
        self.note_shown(now_ns)

    def set_upstream(self, hides: tuple[Status, str] | None, now_ns: int) -> None:
        """The book server hides the book, or does so no longer (None)."""
        self._upstream = hides
        self.note_shown(now_ns)

    def set_condition(self, condition: Status | None, reason: str, now_ns: int) -> None:
        """Set or clear a condition on top of the machine state; closed is final."""
        if self._condition is not None and self._condition[0] is Status.CLOSED:
            return
        self._condition = None if condition is None else (condition, reason)
        self.note_shown(now_ns)

    def set_stalled(self, reason: str | None, now_ns: int) -> bool:
        """The frame thread stalled, or is running again (None); True if it was stalled until now."""
        has_ended = reason is None and self._stalled is not None
        self._stalled = reason
        self.note_shown(now_ns)
        return has_ended
