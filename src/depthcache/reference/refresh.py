"""A second book beside a live one: a snapshot that is rolled to the live book's id and compared.

Theory of operation. From the moment a refresh begins, the diffs applied to the live book are kept, too.
The snapshot that was asked for then becomes a book of its own; the kept diffs bring it to the id of the
live one. A snapshot that is ahead waits for the live book. At one and the same id both are compared and
merged (`book`), and the live book never leaves sync.

Not here: when to refresh, and the merge (`market`).
"""

from __future__ import annotations

from depthcache.reference.book import BookSide
from depthcache.reference.messages import DepthSnapshot, DepthUpdate
from depthcache.reference.sequence import Continuity, SequenceCheck, check_sequence

__all__ = ["Refresh", "RolledSnapshot"]

_TELLING_LEVELS = 5
"""So many levels of a side must agree to show that nothing has changed; all, where a snapshot has fewer."""


class RolledSnapshot:
    """The book of a snapshot on its way to the live book's id."""

    bids: BookSide
    asks: BookSide

    def __init__(self, snapshot: DepthSnapshot, limit: int | None) -> None:
        self.bids, self.asks = BookSide(1), BookSide(-1)
        self.bids.install(snapshot.bids, limit)
        self.asks.install(snapshot.asks, limit)
        self.update_id: int = snapshot.last_update_id
        self._has_diff = False

    def roll(self, continuity: Continuity, update: DepthUpdate) -> bool:
        """Go on by one diff; False where updates are missing before it."""
        check = check_sequence(continuity, self.update_id, update, has_diff=self._has_diff)
        if check is SequenceCheck.NEXT:
            self.bids.apply(update.bids)
            self.asks.apply(update.asks)
            self.update_id, self._has_diff = update.final_update_id, True
        return check is not SequenceCheck.GAP

    def agrees_with(self, bids: BookSide, asks: BookSide) -> bool:
        """Whether that book agrees with it, as far as enough levels of both can be compared."""
        return _is_same(bids, self.bids) and _is_same(asks, self.asks)


class Refresh:
    """A refresh on its way."""

    rolled: RolledSnapshot | None
    """The snapshot's book, once it is there and still ahead."""

    def __init__(self, continuity: Continuity, *, most_bytes: int) -> None:
        self.rolled = None
        self._continuity: Continuity = continuity
        self._applied: list[DepthUpdate] = []
        self._bytes, self._most_bytes = 0, most_bytes

    @property
    def is_untouched(self) -> bool:
        """Whether nothing was applied to the live book since it began."""
        return not self._applied

    def on_applied(self, update: DepthUpdate, raw: bytes) -> bool:
        """A diff was applied to the live book; False where the refresh cannot go on."""
        if self.rolled is not None:
            return self.rolled.roll(self._continuity, update)
        if self._applied and self._bytes + len(raw) > self._most_bytes:
            return False
        self._applied.append(update)
        self._bytes += len(raw)
        return True

    def catch_up(self, rolled: RolledSnapshot) -> bool:
        """Roll a snapshot's book by what was applied; False where updates are missing."""
        return all(rolled.roll(self._continuity, update) for update in self._applied)


def _is_same(own: BookSide, rolled: BookSide) -> bool:
    found = own.compare(rolled)
    return not found.wrong and found.checked >= min(len(rolled.levels), _TELLING_LEVELS)
