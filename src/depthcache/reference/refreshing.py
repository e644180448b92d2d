"""Refreshing a live market: a snapshot is rolled to its book's id, compared and merged.

The theory stands in `refresh`. Not here: when to refresh.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from depthcache.events import Cause, Comparison, RefreshOutcome, RefreshResult
from depthcache.model import Status
from depthcache.reference.book import BookSide, Tally
from depthcache.reference.chronology import Chronology
from depthcache.reference.messages import DepthSnapshot, DepthUpdate
from depthcache.reference.refresh import Refresh, RolledSnapshot
from depthcache.reference.sequence import Continuity, SnapshotTime, snapshot_time
from depthcache.reference.transitions import Event

__all__ = ["Refreshing"]

_TELLING_LEVELS = 5
"""So many levels of a side that agree tell that nothing has changed; all, where a snapshot has fewer."""


class Refreshing:
    """The part of a market that compares it with snapshots; the rest of the market is declared here."""

    state: Status
    continuity: Continuity
    bids: BookSide
    asks: BookSide
    last_update_id: int | None
    updated_ns: int | None
    confirmed_ns: int | None
    comparison: Comparison | None
    counters: Counter[str]
    chronology: Chronology
    _refresh: Refresh | None
    _most_bytes: int

    if TYPE_CHECKING:

        def check(self, snapshot: DepthSnapshot) -> None:
            """As the market has it."""

        def _on(self, event: Event, now_ns: int, reason: str | None = None) -> None: ...
        def _begin_anew(self, now_ns: int) -> None: ...
        def _cause(self, cause: Cause, now_ns: int) -> None: ...
        def _check_crossed(self, now_ns: int) -> None: ...
        def _note_altered(self) -> None: ...
        def _prove(self, now_ns: int) -> None: ...

    def begin_refresh(self) -> bool:
        """Keep what is applied from now on; False: the book is not live."""
        live = self.state is Status.SYNCED
        if live:
            self._refresh = Refresh()
        return live

    def end_refresh(self) -> None:
        """Forget a refresh that was begun."""
        self._refresh = None

    def refresh(
        self,
        snapshot: DepthSnapshot,
        *,
        limit: int | None,
        now_ns: int,
        made: SnapshotTime | None = None,
    ) -> RefreshResult:
        """Roll a snapshot to the live book's id, compare and merge; what became of it.

        `made` as for `install`. Raises SymbolMismatch, MalformedSnapshot; the refresh is over then.
        """
        refresh, self._refresh = self._refresh, None
        self.check(snapshot)
        if refresh is None or self.last_update_id is None:
            return RefreshResult(RefreshOutcome.NOT_LIVE)
        fresh = RolledSnapshot(snapshot, limit)
        if not all(fresh.roll(self.continuity, update) for update in refresh.kept):
            return RefreshResult(RefreshOutcome.TOO_OLD)
        if fresh.update_id < self.last_update_id:
            if not refresh.kept and self.chronology.has_fallen(
                snapshot_time(snapshot, made), self.updated_ns
            ):
                self._begin_anew(now_ns)
            return RefreshResult(RefreshOutcome.TOO_OLD)
        if fresh.update_id > self.last_update_id:
            self._refresh = Refresh(fresh=fresh)
            return RefreshResult(RefreshOutcome.WAITING)
        return RefreshResult(RefreshOutcome.MERGED, self._merge(fresh, now_ns))

    def settle_refresh(self, now_ns: int) -> RefreshResult:
        """No diff came for a snapshot that waits: merge it where it shows an equal book, or drop it.

        Ids that are shared by symbols grow without this one, so an equal book is merged; where too few levels
        of both can be compared, nothing tells that it is equal.
        """
        refresh, self._refresh = self._refresh, None
        if refresh is None or refresh.fresh is None:
            return RefreshResult(RefreshOutcome.NONE_WAITING)
        fresh = refresh.fresh
        is_same = _is_same(self.bids, fresh.bids) and _is_same(self.asks, fresh.asks)
        if self.continuity != "chained" or not is_same:
            return RefreshResult(RefreshOutcome.OTHER_BOOK)
        return RefreshResult(RefreshOutcome.MERGED, self._merge(fresh, now_ns))

    def _on_refreshing(self, update: DepthUpdate, raw: bytes, received_ns: int) -> None:
        refresh = self._refresh
        if refresh is None:
            return
        if refresh.fresh is None:
            if refresh.kept and refresh.kept_bytes + len(raw) > self._most_bytes:
                self._refresh = None
                return
            refresh.kept.append(update)
            refresh.kept_bytes += len(raw)
            return
        if not refresh.fresh.roll(self.continuity, update):
            self._refresh = None
        elif refresh.fresh.update_id == self.last_update_id:
            self._refresh = None
            self.comparison = self._merge(refresh.fresh, received_ns)
            self._cause("refreshed", received_ns)

    def _merge(self, fresh: RolledSnapshot, now_ns: int) -> Comparison:
        assert self.last_update_id is not None
        self._on(Event.REFRESHED, now_ns)
        held = (self.bids.levels, self.asks.levels)
        found = Tally(*map(sum, zip(self.bids.merge(fresh.bids), self.asks.merge(fresh.asks), strict=True)))
        if held != (self.bids.levels, self.asks.levels):
            self._note_altered()
        self.confirmed_ns = now_ns
        self._prove(now_ns)
        self.counters["refreshes"] += 1
        self.counters["corrections"] += found.wrong
        self._check_crossed(now_ns)
        return Comparison(self.last_update_id, *found)


def _is_same(own: BookSide, fresh: BookSide) -> bool:
    found = own.compare(fresh)
    return not found.wrong and found.checked >= min(len(fresh.levels), _TELLING_LEVELS)
