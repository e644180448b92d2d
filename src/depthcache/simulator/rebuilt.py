"""The book of one symbol of a recording, rebuilt up to the present of the play, as REST would show it.

The public `Book` does the work. A hole in the recording, or no snapshot in it, does not stop the play:
the book goes on from what it holds, for that is all the recording tells of its exchange. Not here:
when what is played (`recorded`).
"""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import msgspec

from depthcache import wire
from depthcache.errors import BookNotSynced, MalformedFrame, MalformedSnapshot
from depthcache.model import Level, Outcome
from depthcache.offline import Book
from depthcache.recording.records import Diff, RecordedSnapshot
from depthcache.venues import Venue

__all__ = ["RebuiltBook", "snapshot_body"]


class _Sides(msgspec.Struct):
    bids: list[msgspec.Raw]
    asks: list[msgspec.Raw]


class RebuiltBook:
    """Give it the snapshots and diffs as they are played; `body` is the answer at that moment."""

    def __init__(self, venue: Venue, symbol: str) -> None:
        self._venue = venue
        self._symbol = symbol
        self._book = Book(venue.name, symbol, on_stale="serve")
        self._begins_after = 0
        self.most_levels: int | None = None
        """The largest limit that the recording can answer; None: it has no snapshot so far."""

    @property
    def last_update_id(self) -> int | None:
        """Where the book is; None before it began."""
        return self._book.last_update_id

    def on_snapshot(self, snapshot: RecordedSnapshot) -> None:
        """A recorded snapshot; one that is older than the book changes nothing."""
        if self.most_levels is None:
            self.most_levels = snapshot.limit or self._unknown_limit(snapshot.body)
        if snapshot.last_update_id > (self._book.last_update_id or -1):
            with suppress(MalformedSnapshot):
                self._book.load_snapshot(snapshot.body)
                self._begins_after = snapshot.last_update_id

    def on_diff(self, diff: Diff, frame: bytes) -> None:
        """A recorded diff."""
        if diff.final_update_id < self._begins_after:
            return  # older than the snapshot that is known already
        self._begins_after = 0
        try:
            outcome = self._book.apply(frame)
        except MalformedFrame:  # clients get it as it was received; the book cannot follow it
            return
        if outcome in (Outcome.GAP, Outcome.WAITING):
            self._book.load_snapshot(self._as_before(diff))

    def body(self, limit: int, *, time_ms: int) -> bytes | None:
        """The depth response of `limit` levels a side; None while the book cannot be shown."""
        if self._book.last_update_id is None:
            return None
        try:
            return wire.depth_snapshot(self._book, limit, family=self._venue.family, event_time_ms=time_ms)
        except BookNotSynced:  # the exchange's own messages cross the book for a moment
            return None

    def _as_before(self, diff: Diff) -> bytes:
        """What is held, said to be the book right before that diff."""
        before = diff.previous_final_update_id
        if before is None or self._venue.continuity == "contiguous":
            before = diff.first_update_id - 1
        update_id = max(before, 0)
        try:
            return wire.depth_snapshot(self._book, family=self._venue.family, update_id=update_id)
        except BookNotSynced:
            return snapshot_body(self._venue, self._symbol, update_id, [], [], time_ms=0)

    def _unknown_limit(self, body: bytes) -> int:
        """The smallest limit of the venue that the recorded levels fit in."""
        sides = msgspec.json.decode(body, type=_Sides)
        held = max(len(sides.bids), len(sides.asks))
        limits = self._venue.depth_limits
        return next((limit for limit in limits if limit >= max(held, min(1_000, limits[-1]))), limits[-1])


def snapshot_body(
    venue: Venue,
    symbol: str,
    update_id: int,
    bids: list[Level[Decimal]],
    asks: list[Level[Decimal]],
    *,
    time_ms: int,
) -> bytes:
    """A depth response of that venue: of levels that are no book's, best first."""
    return wire.depth_snapshot_of(
        bids, asks, family=venue.family, update_id=update_id, symbol=symbol, event_time_ms=time_ms
    )
