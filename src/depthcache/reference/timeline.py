"""What a book held when: to distinguish backlog from a reset of the ids (`sequence`: the order in time).

Not here: what follows from it (`market`).
"""

from __future__ import annotations

from depthcache.reference.messages import DepthUpdate
from depthcache.reference.sequence import RESET_AFTER_US, DatedId, SnapshotTime

__all__ = ["Timeline"]


class Timeline:
    """The order in time of one market: its book's base, whether it is in doubt, and when diffs came."""

    base: DatedId | None
    """The snapshot's id and time, then id and event time of each applied diff; None while that is unknown."""
    in_doubt: bool
    """Old diffs came that may be backlog or not."""
    clock_offset_ns: int | None
    """From the clock of the receipts to the exchange's; None while it is not known."""

    def __init__(self) -> None:
        self.base, self.in_doubt, self.clock_offset_ns = None, False, None
        self._unapplied: tuple[int, int] | None = None

    def on_installed(self, update_id: int, made: SnapshotTime | None) -> None:
        """A snapshot is the book now. Without a time of its own, what is known of older ids stays known."""
        self.in_doubt = False
        if made is not None:
            self.base = DatedId(update_id, made.latest_us)
        elif self.base is not None and self.base.update_id > update_id:
            self.base = None

    def on_dated(self, update_id: int, made: SnapshotTime) -> None:
        """The time of the snapshot that is the book, with no diff after it, is known only now."""
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
        """The ids were reset: nothing is known of the new ones."""
        self.base, self.in_doubt = None, False

    def on_unapplied(self, update: DepthUpdate, received_ns: int) -> None:
        """A diff was kept, or is backlog."""
        if update.event_time_us:
            self._unapplied = (received_ns, update.event_time_us)

    def heard(self, updated_ns: int | None, event_time_us: int | None) -> tuple[int, int | None] | None:
        """When the newest diff came, and its event time; the arguments are those of the last applied one."""
        unapplied = self._unapplied
        if unapplied is not None and (updated_ns is None or updated_ns < unapplied[0]):
            return unapplied
        return None if updated_ns is None else (updated_ns, event_time_us)

    def made_ns(self, update: DepthUpdate) -> int | None:
        """When the exchange made an update, on the clock of the receipts; None while that is not known."""
        if not update.event_time_us or self.clock_offset_ns is None:
            return None
        return update.event_time_us * 1_000 - self.clock_offset_ns

    def base_us_of(self, update: DepthUpdate, received_ns: int, *, has_diff: bool) -> int | None:
        """When the ids up to the update's were there, at the latest."""
        if self.base is None or update.final_update_id > self.base.update_id:
            return None
        latest_us = self._latest_us(received_ns)
        if not has_diff and latest_us is not None and update.event_time_us > latest_us + RESET_AFTER_US:
            return None  # it came before it was made: its clock is not that of the snapshot's time
        return self.base.latest_us

    def has_fallen(self, made: SnapshotTime | None, updated_ns: int | None) -> bool:
        """Whether a snapshot with a lower id than the held one means that the ids were reset."""
        if self.in_doubt or made is None or self.base is None:
            return self.in_doubt
        return made.is_after(self._by_receipt(self.base, updated_ns))

    def precedes_reset(self, update: DepthUpdate, received_ns: int, made: SnapshotTime) -> bool:
        """Whether a snapshot was made clearly after a diff."""
        held = DatedId(update.final_update_id, update.event_time_us)
        return bool(update.event_time_us) and made.is_after(self._by_receipt(held, received_ns))

    def _latest_us(self, received_ns: int | None) -> int | None:
        """When what was received then was made, at the latest; None while nothing is known of the clock."""
        if received_ns is None or self.clock_offset_ns is None:
            return None
        return (received_ns + self.clock_offset_ns) // 1_000

    def _by_receipt(self, held: DatedId, received_ns: int | None) -> DatedId:
        """The same by its receipt where that is known and later: it was there by then, even if the clock
        of the event times is off."""
        latest_us = self._latest_us(received_ns)
        return held if latest_us is None else DatedId(held.update_id, max(held.latest_us, latest_us))
