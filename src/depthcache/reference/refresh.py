"""A second book beside a live one: a snapshot that is rolled to the live book's id and compared.

Theory of operation. From the moment a refresh begins, the diffs applied to the live book are kept, too.
The snapshot that was asked for then becomes a book of its own; the kept diffs bring it to the id of the
live one. A snapshot that is ahead waits for the live book. At one and the same id both are compared and
merged (`book`), and the live book never leaves sync.

Not here: when to refresh.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from depthcache.reference.book import BookSide
from depthcache.reference.messages import DepthSnapshot, DepthUpdate
from depthcache.reference.sequence import Continuity, SequenceCheck, check_sequence

__all__ = ["RolledSnapshot", "Refresh"]


class RolledSnapshot:
    """The book of a snapshot on its way to the live book's id."""

    bids: BookSide
    asks: BookSide

    def __init__(self, snapshot: DepthSnapshot, limit: int | None) -> None:
        self.bids, self.asks = BookSide(1), BookSide(-1)
        self.bids.install(snapshot.bids, limit)
        self.asks.install(snapshot.asks, limit)
        self.update_id: int = snapshot.last_update_id
        self._confirmed = False

    def roll(self, continuity: Continuity, update: DepthUpdate) -> bool:
        """Go on by one diff; False where updates are missing before it."""
        verdict = check_sequence(continuity, self.update_id, update, confirmed=self._confirmed)
        if verdict is SequenceCheck.NEXT:
            self.bids.apply(update.bids)
            self.asks.apply(update.asks)
            self.update_id, self._confirmed = update.final_update_id, True
        return verdict is not SequenceCheck.GAP


@dataclass(slots=True)
class Refresh:
    """A refresh on its way."""

    kept: list[DepthUpdate] = field(default_factory=list)
    """What was applied to the live book since it began, while no snapshot is there."""
    kept_bytes: int = 0
    fresh: RolledSnapshot | None = None
    """The snapshot's book, once it is there and still ahead."""
