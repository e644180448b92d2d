"""Refreshing a live book: a snapshot is rolled to the book's update id, compared and merged.

From the start of a refresh, diffs applied to the live book are also kept. The snapshot becomes a second book,
which the kept diffs bring to the update id of the live one; a snapshot that is ahead waits for the live book.
At the same update id the two are compared and merged (`book`). The live book stays synced.
"""

from __future__ import annotations

from depthcache.reference.book import BookSide
from depthcache.reference.messages import DepthSnapshot, DepthUpdate
from depthcache.reference.sequence import Continuity, SequenceCheck, check_sequence

__all__ = ["Refresh", "RolledSnapshot"]

_TELLING_LEVELS = 5
"""How many levels per side must agree to show that nothing has changed; all levels of a smaller snapshot."""


class RolledSnapshot:
    """The book of a snapshot on its way to the update id of the live book."""

    bids: BookSide
    asks: BookSide

    def __init__(self, snapshot: DepthSnapshot, limit: int | None) -> None:
        self.bids, self.asks = BookSide(1), BookSide(-1)
        self.bids.install(snapshot.bids, limit)
        self.asks.install(snapshot.asks, limit)
        self.update_id: int = snapshot.last_update_id
        self._has_diff = False

    def roll(self, continuity: Continuity, update: DepthUpdate) -> bool:
        """Apply one diff; False if updates are missing before it."""
        check = check_sequence(continuity, self.update_id, update, has_diff=self._has_diff)
        if check is SequenceCheck.NEXT:
            self.bids.apply(update.bids)
            self.asks.apply(update.asks)
            self.update_id, self._has_diff = update.final_update_id, True
        return check is not SequenceCheck.GAP

    def agrees_with(self, bids: BookSide, asks: BookSide) -> bool:
        """Whether the other book agrees, as far as enough levels of both can be compared."""
        return _is_same(bids, self.bids) and _is_same(asks, self.asks)


class Refresh:
    """A refresh in progress."""

    rolled: RolledSnapshot | None
    """The book of the snapshot, once it arrived and while it is ahead."""

    def __init__(self, continuity: Continuity, *, most_bytes: int) -> None:
        self.rolled = None
        self._continuity: Continuity = continuity
        self._applied: list[DepthUpdate] = []
        self._bytes, self._most_bytes = 0, most_bytes

    @property
    def is_untouched(self) -> bool:
        """Whether no diff was applied to the live book since it began."""
        return not self._applied

    def on_applied(self, update: DepthUpdate, raw: bytes) -> bool:
        """A diff was applied to the live book; False if the refresh cannot continue."""
        if self.rolled is not None:
            return self.rolled.roll(self._continuity, update)
        if self._applied and self._bytes + len(raw) > self._most_bytes:
            return False
        self._applied.append(update)
        self._bytes += len(raw)
        return True

    def catch_up(self, rolled: RolledSnapshot) -> bool:
        """Roll the book of a snapshot by the kept diffs; False if updates are missing."""
        return all(rolled.roll(self._continuity, update) for update in self._applied)


def _is_same(own: BookSide, rolled: BookSide) -> bool:
    found = own.compare(rolled)
    return not found.wrong and found.checked >= min(len(rolled.levels), _TELLING_LEVELS)
