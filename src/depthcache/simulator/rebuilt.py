"""Rebuild the book of one symbol of a recording up to the current position, as REST would show it.

It uses the public `Book`. A gap in the recording, or a missing snapshot, does not stop the playback: the book
continues with the levels that it has, which is all that is known.
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
    """A book that follows the played snapshots and diffs; `body` is the current depth response."""

    def __init__(self, venue: Venue, symbol: str) -> None:
        self._venue = venue
        self._symbol = symbol
        self._book = Book(venue.name, symbol, on_stale="serve")
        self._begins_after = 0
        self.most_levels: int | None = None
        """The largest limit that the recording can serve; None if it has had no snapshot so far."""

    @property
    def last_update_id(self) -> int | None:
        """The update id of the book; None before its first data."""
        return self._book.last_update_id

    def on_snapshot(self, snapshot: RecordedSnapshot) -> None:
        """Take a recorded snapshot; one that is older than the book has no effect."""
        if self.most_levels is None:
            self.most_levels = snapshot.limit or self._unknown_limit(snapshot.body)
        if snapshot.last_update_id > (self._book.last_update_id or -1):
            with suppress(MalformedSnapshot):
                self._book.load_snapshot(snapshot.body)
                self._begins_after = snapshot.last_update_id

    def on_diff(self, diff: Diff, frame: bytes) -> None:
        """Take a recorded diff."""
        if diff.final_update_id < self._begins_after:
            return  # older than the snapshot
        self._begins_after = 0
        try:
            outcome = self._book.apply(frame)
        except MalformedFrame:  # clients get it as received; the book skips it
            return
        if outcome in (Outcome.GAP, Outcome.WAITING):
            self._book.load_snapshot(self._as_before(diff))

    def body(self, limit: int, *, time_ms: int) -> bytes | None:
        """The depth response with `limit` levels a side; None while the book is not readable."""
        if self._book.last_update_id is None:
            return None
        try:
            return wire.depth_snapshot(self._book, limit, family=self._venue.family, event_time_ms=time_ms)
        except BookNotSynced:  # the recorded messages cross the book for a moment
            return None

    def _as_before(self, diff: Diff) -> bytes:
        """The current levels as a snapshot right before the diff."""
        before = diff.previous_final_update_id
        if before is None or self._venue.continuity == "contiguous":
            before = diff.first_update_id - 1
        update_id = max(before, 0)
        try:
            return wire.depth_snapshot(self._book, family=self._venue.family, update_id=update_id)
        except BookNotSynced:
            return snapshot_body(self._venue, self._symbol, update_id, [], [], time_ms=0)

    def _unknown_limit(self, body: bytes) -> int:
        """The smallest limit of the venue that is enough for the recorded levels."""
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
    """A depth response of a venue with the given levels, best first."""
    return wire.depth_snapshot_of(
        bids, asks, family=venue.family, update_id=update_id, symbol=symbol, event_time_ms=time_ms
    )
