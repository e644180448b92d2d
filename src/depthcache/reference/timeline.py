"""When a book reached which id, to distinguish backlog from a reset (`sequence`: the order in time).

What follows from it is in `market`.
"""

from __future__ import annotations

from depthcache.reference.messages import DepthUpdate
from depthcache.reference.sequence import RESET_AFTER_US, DatedId, SnapshotTime

__all__ = ["Timeline"]


class Timeline:
    """The order in time of one market: the base of its book, whether it is in doubt, and when diffs came."""

    base: DatedId | None
    """Id and time of the snapshot, then id and event time of each applied diff; None if unknown."""
    in_doubt: bool
    """Whether old diffs came that may or may not be backlog."""
    clock_offset_ns: int | None
    """The offset from the clock of receipts to the exchange's; None if unknown."""

    def __init__(self) -> None:
        self.base, self.in_doubt, self.clock_offset_ns = None, False, None
        self._unapplied: tuple[int, int] | None = None

    def on_installed(self, update_id: int, made: SnapshotTime | None) -> None:
        """A snapshot was installed. If it has no time, what is known about older ids is kept."""
        self.in_doubt = False
        if made is not None:
            self.base = DatedId(update_id, made.latest_us)
        elif self.base is not None and self.base.update_id > update_id:
            self.base = None

    def on_dated(self, update_id: int, made: SnapshotTime) -> None:
        """The time of the installed snapshot, which no diff followed, became known."""
        if self.base is None or self.base.update_id < update_id:
            self.on_installed(update_id, made)

    def on_applied(self, update: DepthUpdate) -> None:
        """A diff continued the book."""
        self.in_doubt = False
        if update.event_time_us:
            self.base = DatedId(update.final_update_id, update.event_time_us)

    def on_undecided(self) -> None:
        """An old diff came that may be backlog or the first of new ids."""
        self.in_doubt = True

    def on_reset(self) -> None:
        """The ids were reset: nothing is known about the new ones."""
        self.base, self.in_doubt = None, False

    def on_unapplied(self, update: DepthUpdate, received_ns: int) -> None:
        """A diff was buffered, or is backlog."""
        if update.event_time_us:
            self._unapplied = (received_ns, update.event_time_us)

    def heard(self, updated_ns: int | None, event_time_us: int | None) -> tuple[int, int | None] | None:
        """When the newest diff came, and its event time; the arguments are those of the last applied one."""
        unapplied = self._unapplied
        if unapplied is not None and (updated_ns is None or updated_ns < unapplied[0]):
            return unapplied
        return None if updated_ns is None else (updated_ns, event_time_us)

    def made_ns(self, update: DepthUpdate) -> int | None:
        """When the exchange made an update, on the clock of receipts; None if unknown."""
        if not update.event_time_us or self.clock_offset_ns is None:
            return None
        return update.event_time_us * 1_000 - self.clock_offset_ns

    def base_us_of(self, update: DepthUpdate, received_ns: int, *, has_diff: bool) -> int | None:
        """The latest time by which the book had reached the update's ids."""
        if self.base is None or update.final_update_id > self.base.update_id:
            return None
        latest_us = self._latest_us(received_ns)
        if not has_diff and latest_us is not None and update.event_time_us > latest_us + RESET_AFTER_US:
            return None  # received before it was made, so it uses a different clock
        return self.base.latest_us

    def has_fallen(self, made: SnapshotTime | None, updated_ns: int | None) -> bool:
        """Whether a snapshot with an id lower than the held one means a reset of the ids."""
        if self.in_doubt or made is None or self.base is None:
            return self.in_doubt
        return made.is_after(self._by_receipt(self.base, updated_ns))

    def precedes_reset(self, update: DepthUpdate, received_ns: int, made: SnapshotTime) -> bool:
        """Whether a snapshot was made clearly after a diff."""
        held = DatedId(update.final_update_id, update.event_time_us)
        return bool(update.event_time_us) and made.is_after(self._by_receipt(held, received_ns))

    def _latest_us(self, received_ns: int | None) -> int | None:
        """The latest time at which something received then was made; None if the clock is unknown."""
        if received_ns is None or self.clock_offset_ns is None:
            return None
        return (received_ns + self.clock_offset_ns) // 1_000

    def _by_receipt(self, held: DatedId, received_ns: int | None) -> DatedId:
        """The time by receipt if that is known and later, in case the clock of event times is wrong."""
        latest_us = self._latest_us(received_ns)
        return held if latest_us is None else DatedId(held.update_id, max(held.latest_us, latest_us))
