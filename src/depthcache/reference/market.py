"""One symbol of one venue, from nothing to a synced book and back: the state machine.

Theory of operation. Diffs alone are not a book and a snapshot alone is out of date, so the two are
joined by update id:

    EMPTY      nothing has arrived. The first diff is kept: BUFFERING.
    BUFFERING  diffs are kept as raw bytes, bounded, while a snapshot is on its way. A snapshot that
               is older than the first kept diff allows is not installed and the diffs stay
               (TOO_OLD). Any other one is installed; kept diffs at or before it are dropped, the
               rest must follow one another. All applied: SYNCED. A hole among them: BUFFERING
               again, with the diff behind the hole and all later ones (GAP). Where ids are reset,
               what was kept before is dropped: no snapshot will ever lead to it. That is so where a
               lower id has a later event time (BUFFER_RESET), and where a snapshot was made clearly after
               the event time of a kept diff and has a lower id.
    BRIDGING   installed, nothing newer was kept, and nothing shows that the stream was live
               before the snapshot was asked for: the next diff decides.
    SYNCED     the same, but the stream was live: nothing newer than the snapshot exists, or it
               will arrive. `unconfirmed` until the first diff; if that does not bridge, it is a gap.

From BRIDGING and SYNCED: a diff that continues is applied, both sides at once; one at or before
the held id changes nothing; a gap, a malformed frame or a reset of the ids lead to BUFFERING, and
the frame of the gap is the first kept one. The old levels stay until the next install, readable
only as stale.

The ids were reset where a diff at or before the held id was made clearly after the book was there
(`sequence`: the order in time). What the book held when is its *base*: the snapshot's id and time,
then id and event time of each applied diff. An old diff without a base or without an event time
leaves the book *in doubt* until a diff is applied, and is kept. The next snapshot decides: a lower id
than the held one means that the ids were reset, where the snapshot is clearly younger than the base, or
where the book is in doubt. Any other snapshot with a lower id is an older one: it changes nothing
(TOO_OLD).

A book whose best prices touch or cross after a whole event is `crossed`: it is kept up but not served (a
published event never crosses the exchange's own book, measured 2026-09-04).

`transitions` is the table of all that. Over it lies at most one condition from outside (stale,
halted, disconnected, closed); users see the worse of both. A synced book in `doubt` is stale until proven.
Time comes in as an argument. Not here: when to fetch which snapshot.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

from depthcache.errors import MalformedSnapshot, SymbolMismatch
from depthcache.events import Cause, Comparison, HeardDiff, RefreshOutcome, RefreshResult
from depthcache.model import Outcome, SnapshotOutcome, Status
from depthcache.reference import reasons
from depthcache.reference.arbitration import Feeds
from depthcache.reference.book import WHOLE, BookSide, Tally
from depthcache.reference.buffer import Buffer
from depthcache.reference.messages import DepthSnapshot, DepthUpdate
from depthcache.reference.refresh import Refresh, RolledSnapshot
from depthcache.reference.sequence import (
    Continuity,
    SequenceCheck,
    SnapshotTime,
    check_sequence,
    is_plausible,
    looks_reset,
    snapshot_time,
)
from depthcache.reference.state import State
from depthcache.reference.timebase import Timebase
from depthcache.reference.timeline import Timeline
from depthcache.reference.transitions import Event, follow

__all__ = ["BUFFER_BYTES", "COUNTERS", "DepthTarget", "Market", "MarketObserver"]

BUFFER_BYTES = 16 * 1024 * 1024
"""Most bytes of kept diffs: hours of a quiet symbol, minutes of the busiest."""

COUNTERS = (
    "applied",
    "old",
    "gaps",
    "resets",
    "crossed",
    "malformed",
    "dropped_buffers",
    "snapshots",
    "refreshes",
    "corrections",
    "levels_changed",
)


@dataclass(slots=True)
class DepthTarget:
    """How deep a book has to be: before the first word no depth is enough."""

    requested: int = 0
    """The most levels a side that a reader asked for."""
    enough: float = math.inf
    """So many complete levels a side are enough …"""
    considered: int = 0
    """… while readers ask for at most so many."""

    def is_missed(self, covered: int | None) -> bool:
        """Whether so many complete levels are too few, or readers ask for more than was considered."""
        return (covered is not None and covered < self.enough) or self.requested > self.considered


class MarketObserver(Protocol):
    """What watches a market change: its followers."""

    altered: bool
    """Levels were changed by something else than an update."""

    def note_changes(self, market: Market, update: DepthUpdate) -> None:
        """An update is about to be applied."""

    def notify(self, market: Market) -> None:
        """Notify the followers of what happened since the last call."""


class Market:
    """One symbol. Order of calls: `on_diff` for every frame, `install` for a snapshot."""

    exchange: str
    symbol: str
    bids: BookSide
    asks: BookSide

    def __init__(
        self,
        exchange: str,
        symbol: str,
        continuity: Continuity,
        *,
        inverse: bool = False,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> None:
        self.exchange, self.symbol = exchange, symbol
        self.continuity: Continuity = continuity
        self.inverse: bool = inverse
        """Quantities count contracts of a fixed value in the quote asset."""
        self.bids, self.asks = BookSide(1), BookSide(-1)
        self.state: State = State()
        self.has_diff: bool = False
        self.last_update_id: int | None = None
        self.event_time_us: int | None = None
        self.updated_ns: int | None = None
        self.counters: Counter[str] = Counter(dict.fromkeys(COUNTERS, 0))
        self.causes: set[Cause] = set()
        self.caused_ns: int = 0
        self.buffer: Buffer = Buffer(buffer_bytes)
        self.timeline: Timeline = Timeline()
        self._data_seen = False
        self.feeds: Feeds = Feeds()
        self.comparison: Comparison | None = None
        """Of a snapshot that was merged when the book reached it; until it is taken."""
        self.depth_target: DepthTarget = DepthTarget()
        self._refresh: Refresh | None = None
        self.followers: MarketObserver | None = None
        self.compared_ns: int | None = None
        self.installed_ns: int | None = None
        """When the snapshot was received of which the book is made."""
        self.snapshot_us: int | None = None
        """When it was made, on the exchange's clock; None where that is unknown."""
        self.timebase: Timebase | None = None
        """The clocks of its router; None for a book that is fed by hand."""

    # --- getters -----------------------------------------------------------------------------

    def status(self) -> tuple[Status, str, int]:
        """What users see: status, reason, since when."""
        return self.state.shown()

    def machine_state(self) -> tuple[Status, str, int]:
        """The machine state, why, and since when, conditions aside."""
        return self.state.machine_state()

    def last_diff(self) -> HeardDiff | None:
        """The last diff that was applied since the snapshot; None before one."""
        return None if self.updated_ns is None else HeardDiff(self.updated_ns, self.event_time_us)

    def read_updated_ns(self) -> int | None:
        """When what the book is was received: the last applied diff, or the snapshot before one."""
        return self.installed_ns if self.updated_ns is None else self.updated_ns

    def read_event_time_us(self) -> int | None:
        """When the exchange made it; where that is unknown, when it was received, by the system's clock."""
        made_us = self.snapshot_us if self.updated_ns is None else self.event_time_us
        if made_us is not None or self.timebase is None:
            return made_us
        return self.timebase.wall_us(self.read_updated_ns())

    @property
    def unconfirmed(self) -> bool:
        """Synced from a snapshot alone."""
        return self.state.status is Status.SYNCED and not self.has_diff

    # --- what happened -----------------------------------------------------------------------

    def min_coverage(self) -> int | None:
        """The fewest levels that a side has inside its complete range; None where both are whole."""
        sides = [side.coverage() for side in (self.bids, self.asks) if side.bound is not WHOLE]
        return min(sides, default=None)

    def is_shallow(self) -> bool:
        """Whether there are fewer complete levels than are enough, or readers ask for more than was known."""
        return self.depth_target.is_missed(self.min_coverage())

    def on_diff(self, update: DepthUpdate, raw: bytes, received_ns: int, *, connection: int = 0) -> Outcome:
        """A diff of this symbol arrived; `raw` is its frame."""
        if not self._data_seen:
            self._data_seen = True
            self._cause("first_data", received_ns)
        if self.state.status in (Status.EMPTY, Status.BUFFERING):
            self.feeds.on_buffered(connection, received_ns)
            self.timeline.on_unapplied(update, received_ns)
            if self._precedes_reset(update):
                self._on(Event.BUFFER_RESET, received_ns)
                self.buffer.clear()
                self.counters["resets"] += 1
                self._cause("reset", received_ns)
            reason = reasons.WAITING_FOR_SNAPSHOT if self.state.status is Status.EMPTY else None
            self._on(Event.KEPT, received_ns, reason)
            self._buffer_diff(update, raw, received_ns)
            return Outcome.WAITING if self.last_update_id is None else Outcome.GAP
        assert self.last_update_id is not None
        check = check_sequence(self.continuity, self.last_update_id, update, has_diff=self.has_diff)
        if check is SequenceCheck.NEXT:
            self._apply(update, received_ns)
            self._settle(received_ns)
            made_ns = self.timeline.made_ns(update)
            if self.state.doubt.is_over(made_ns, received_ns):
                self._prove(received_ns)
            if len(self.feeds) > 1:
                self.feeds.on_joined(connection, received_ns)
            self._on_refreshing(update, raw, received_ns)
            return Outcome.APPLIED
        many = len(self.feeds) > 1
        if (
            check is SequenceCheck.GAP
            and many
            and self.feeds.on_ahead(connection, received_ns, self.updated_ns)
        ):
            self._on(Event.AHEAD, received_ns)
            return Outcome.OLD
        if check is SequenceCheck.OLD:
            self.counters["old"] += 1
            base_us = self.timeline.base_us_of(update, received_ns, has_diff=self.has_diff)
            if not looks_reset(update, base_us):
                self._on(Event.OLD, received_ns)
                self._on_old(update, raw, received_ns, is_ordered=base_us is not None)
                if many:
                    self.feeds.on_joined(connection, received_ns)
                return Outcome.OLD
            self.buffer.clear()
            self._reset_ids(received_ns)
        else:
            self.buffer.clear()
            self.counters["gaps"] += 1
            self._lose(Event.GAP, self._gap_reason(update), received_ns)
        self._buffer_diff(update, raw, received_ns)
        return Outcome.GAP

    def on_malformed(self, what: str, received_ns: int) -> None:
        """A frame of this symbol could not be read: an update is missing."""
        self.counters["malformed"] += 1
        self._cause("malformed", received_ns)
        is_lost = self.state.status in (Status.BRIDGING, Status.SYNCED)
        self._on(Event.MALFORMED, received_ns, reasons.malformed(what) if is_lost else None)

    # --- commands ----------------------------------------------------------------------------

    def install(
        self,
        snapshot: DepthSnapshot,
        *,
        limit: int | None,
        live: bool,
        now_ns: int,
        made: SnapshotTime | None = None,
    ) -> SnapshotOutcome:
        """Take a snapshot that was requested with `limit`. Raises SymbolMismatch, MalformedSnapshot.

        `live`: the subscription was acknowledged, or data had arrived, before it was asked for. `made`: when
        it was made; None for the time in its body.
        """
        self.check(snapshot)
        made = snapshot_time(snapshot, made)
        held = snapshot.last_update_id
        in_doubt = self.state.status in (Status.BRIDGING, Status.SYNCED)
        if in_doubt and self.last_update_id is not None and held < self.last_update_id:
            if not self.timeline.has_fallen(made, self.updated_ns):
                return SnapshotOutcome.TOO_OLD
            self._reset_ids(now_ns)
        self._drop_before_reset(held, made, now_ns)
        if len(self.feeds) > 1:
            self.buffer.sort()
        waiting = self.buffer.all()
        fresh = [
            kept
            for kept in waiting
            if check_sequence(self.continuity, held, kept[0], has_diff=False) is not SequenceCheck.OLD
        ]
        if fresh and check_sequence(self.continuity, held, fresh[0][0], has_diff=False) is SequenceCheck.GAP:
            self._on(Event.TOO_OLD, now_ns)
            return SnapshotOutcome.TOO_OLD
        self.counters["snapshots"] += 1
        self._refresh = None
        self.feeds.on_installed()
        self._note_altered()
        if not in_doubt:  # those in doubt were counted as they came
            self.counters["old"] += len(waiting) - len(fresh)
        self.buffer.clear()
        self.bids.install(snapshot.bids, limit)
        self.asks.install(snapshot.asks, limit)
        self.last_update_id, self.event_time_us, self.updated_ns = held, None, None
        latest_us = None if made is None else made.latest_us
        self.snapshot_us = snapshot.event_time_us or snapshot.transaction_time_us or latest_us
        self.installed_ns = now_ns
        self.has_diff = False
        self.timeline.on_installed(held, made)
        self._check_crossed(now_ns)
        for number, (update, _, received_ns) in enumerate(fresh):
            check = check_sequence(self.continuity, self.last_update_id, update, has_diff=self.has_diff)
            if check is SequenceCheck.GAP:
                self.counters["gaps"] += 1
                self._lose(Event.HOLE, self._gap_reason(update), now_ns)
                for later, raw, kept_ns in fresh[number:]:
                    self._buffer_diff(later, raw, kept_ns)
                return SnapshotOutcome.GAP
            if check is SequenceCheck.OLD:
                self.counters["old"] += not in_doubt
            else:
                self._apply(update, received_ns)
                self.has_diff = True
                self._check_crossed(received_ns)
        if self.has_diff or live:
            self._sync(Event.INSTALLED, now_ns)
            return SnapshotOutcome.SYNCED
        self._on(Event.UNPROVEN, now_ns, reasons.WAITING_FOR_BRIDGE)
        return SnapshotOutcome.BRIDGING

    def resync(self, reason: str, now_ns: int) -> None:
        """A new snapshot is needed; kept diffs and old levels stay."""
        self._on(Event.RESYNC, now_ns, reason)

    def restart(self, reason: str, now_ns: int) -> None:
        """The diffs will come from a new connection: kept ones are of no use."""
        self.buffer.clear()
        self._data_seen = False
        self._on(Event.RESTART, now_ns, reason)

    # --- connections -------------------------------------------------------------------------

    def add_feed(self, connection: int) -> None:
        """One more connection brings diffs."""
        self.feeds.add(connection, self.updated_ns)

    def remove_feed(self, connection: int) -> None:
        """A connection brings no diffs any more; where others had run ahead of it, that is a gap."""
        heard_ns = self.feeds.remove(connection)
        if heard_ns is not None and self.state.status is Status.SYNCED:
            self.counters["gaps"] += 1
            self._lose(Event.FEED_LOST, reasons.FEED_LOST, heard_ns)

    def set_condition(self, condition: Status | None, reason: str, now_ns: int) -> None:
        """Lay a condition over the state, or take it away; closed is final."""
        self.state.set_condition(condition, reason, now_ns)

    # --- doubt -------------------------------------------------------------------------------

    def judge_silence(self, now_ns: int) -> None:
        """Nothing judged silence for a while: whether the book was proven in time."""
        proven_ns = max((at for at in (self.compared_ns, self.updated_ns) if at is not None), default=now_ns)
        if self.state.status is Status.SYNCED and self.state.doubt.judge(proven_ns, now_ns):
            self._on_doubted(now_ns)

    def on_pause(self, reason: str, since_ns: int, now_ns: int) -> None:
        """The machine or the process paused: stale until proven."""
        if self.state.status is Status.SYNCED:
            self.state.doubt.on_pause(reason, since_ns, now_ns)
            self._on_doubted(now_ns)

    def set_stalled(self, reason: str | None, now_ns: int) -> None:
        """The frame thread stalled, or goes on (None)."""
        if self.state.set_stalled(reason, now_ns):
            self._cause("proven", now_ns)

    # --- refreshing --------------------------------------------------------------------------

    def begin_refresh(self) -> bool:
        """Keep what is applied from now on; False: the book is not live."""
        live = self.state.status is Status.SYNCED
        if live:
            self._refresh = Refresh(self.continuity, most_bytes=self.buffer.most_bytes)
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
        rolled = RolledSnapshot(snapshot, limit)
        if not refresh.catch_up(rolled):
            return RefreshResult(RefreshOutcome.TOO_OLD)
        if rolled.update_id < self.last_update_id:
            made = snapshot_time(snapshot, made)
            if refresh.is_untouched and self.timeline.has_fallen(made, self.updated_ns):
                self._reset_ids(now_ns)
            return RefreshResult(RefreshOutcome.TOO_OLD)
        if rolled.update_id > self.last_update_id:
            refresh.rolled, self._refresh = rolled, refresh
            return RefreshResult(RefreshOutcome.WAITING)
        return RefreshResult(RefreshOutcome.MERGED, self._merge(rolled, now_ns))

    def settle_refresh(self, now_ns: int) -> RefreshResult:
        """No diff came for a snapshot that waits: merge it where it shows an equal book, or drop it.

        Ids that are shared by symbols grow without this one, so an equal book is merged; where too few levels
        of both can be compared, equality is not proven.
        """
        refresh, self._refresh = self._refresh, None
        if refresh is None or refresh.rolled is None:
            return RefreshResult(RefreshOutcome.NONE_WAITING)
        if self.continuity != "chained" or not refresh.rolled.agrees_with(self.bids, self.asks):
            return RefreshResult(RefreshOutcome.OTHER_BOOK)
        return RefreshResult(RefreshOutcome.MERGED, self._merge(refresh.rolled, now_ns))

    def _on_refreshing(self, update: DepthUpdate, raw: bytes, received_ns: int) -> None:
        refresh = self._refresh
        if refresh is None:
            return
        if not refresh.on_applied(update, raw):
            self._refresh = None
        elif refresh.rolled is not None and refresh.rolled.update_id == self.last_update_id:
            self._refresh = None
            self.comparison = self._merge(refresh.rolled, received_ns)
            self._cause("refreshed", received_ns)

    def _merge(self, rolled: RolledSnapshot, now_ns: int) -> Comparison:
        assert self.last_update_id is not None
        self._on(Event.REFRESHED, now_ns)
        held = (self.bids.levels, self.asks.levels)
        found = Tally(*map(sum, zip(self.bids.merge(rolled.bids), self.asks.merge(rolled.asks), strict=True)))
        if held != (self.bids.levels, self.asks.levels):
            self._note_altered()
        self.compared_ns = now_ns
        self._prove(now_ns)
        self.counters["refreshes"] += 1
        self.counters["corrections"] += found.wrong
        self._check_crossed(now_ns)
        return Comparison(self.last_update_id, *found)

    # --- inside ------------------------------------------------------------------------------

    def _apply(self, update: DepthUpdate, received_ns: int) -> None:
        """Both sides of one update."""
        if self.followers is not None:
            self.followers.note_changes(self, update)
        self.counters["levels_changed"] += self.bids.apply(update.bids) + self.asks.apply(update.asks)
        self.counters["applied"] += 1
        self.last_update_id, self.updated_ns = update.final_update_id, received_ns
        self.event_time_us = update.event_time_us or None
        self.timeline.on_applied(update)

    def _settle(self, received_ns: int) -> None:
        """After an update of a live book: it confirms the snapshot, and may cross the book."""
        if self.has_diff:
            self._on(Event.NEXT, received_ns)
        else:
            self.has_diff = True
            self.buffer.clear()
            if self.state.status is Status.BRIDGING:
                self._sync(Event.NEXT, received_ns)
            else:
                self._on(Event.NEXT, received_ns, "")
                self._cause("confirmed", received_ns)
        self._check_crossed(received_ns)

    def _sync(self, event: Event, now_ns: int) -> None:
        self.compared_ns = now_ns
        self._prove(now_ns)
        self._on(event, now_ns, "" if self.has_diff else reasons.FROM_SNAPSHOT)
        self._cause("synced", now_ns)
        if self.has_diff:
            self._cause("confirmed", now_ns)

    def _lose(self, event: Event, reason: str, now_ns: int) -> None:
        self._cause("reset" if event is Event.RESET else "gap", now_ns)
        self._on(event, now_ns, reason)

    def _note_altered(self) -> None:
        if self.followers is not None:
            self.followers.altered = True

    def _on(self, event: Event, now_ns: int, reason: str | None = None) -> None:
        """The state that follows by the table; without a reason the old one stays."""
        status = follow(self.state.status, event)
        if status is not Status.SYNCED:
            self._refresh = None
        self.state.enter(status, reason, now_ns)

    def _check_crossed(self, now_ns: int) -> None:
        bid, ask = self.bids.best(), self.asks.best()
        crossed = bid is not None and ask is not None and bid >= ask
        if crossed == self.state.is_crossed:
            return
        if bid is not None and ask is not None and bid >= ask:
            best = (self.bids.price_text(bid), self.asks.price_text(ask))
            self.state.cross(reasons.crossed(*best), now_ns)
            self.counters["crossed"] += 1
        else:
            self.state.cross(None, now_ns)
        self._cause("crossed" if crossed else "uncrossed", now_ns)

    def _gap_reason(self, update: DepthUpdate) -> str:
        follows = (
            update.previous_final_update_id if self.continuity == "chained" else update.first_update_id - 1
        )
        return reasons.gap(self.last_update_id, follows)

    def check(self, snapshot: DepthSnapshot) -> None:
        """Raises SymbolMismatch for a snapshot of another symbol, MalformedSnapshot for an absurd id.

        Absurd is one that no exchange has, or that is far above those of the diffs that are kept or applied.
        """
        foreign = snapshot.foreign_to(self.symbol) if self.symbol else None
        if foreign is not None:
            raise SymbolMismatch(expected=self.symbol, received=foreign)
        known = self.last_update_id if self.has_diff else None
        if self.state.status is Status.BUFFERING:
            known = None if self.buffer.newest is None else self.buffer.newest[0]
        if not is_plausible(snapshot.last_update_id, known):
            raise MalformedSnapshot(what="lastUpdateId is implausibly large", position=0, excerpt=b"")

    # --- the order in time -------------------------------------------------------------------

    def heard(self) -> HeardDiff | None:
        """The newest diff that was applied, kept, or is backlog; None before one."""
        heard = self.timeline.heard(self.updated_ns, self.event_time_us)
        return None if heard is None else HeardDiff(*heard)

    def late_us(self) -> int | None:
        """How late that diff was; None while the exchange's clock or its event time is not known."""
        heard, offset_ns = self.heard(), self.timeline.clock_offset_ns
        if heard is None or heard.event_time_us is None or offset_ns is None:
            return None
        return (heard.received_ns + offset_ns) // 1_000 - heard.event_time_us

    def date_snapshot(self, made: SnapshotTime) -> None:
        """The snapshot that is held, and no diff after it, was made between these times: known only now."""
        if not self.has_diff and self.last_update_id is not None:
            self.snapshot_us = self.snapshot_us or made.latest_us
            self.timeline.on_dated(self.last_update_id, made)

    def _on_old(self, update: DepthUpdate, raw: bytes, received_ns: int, *, is_ordered: bool) -> None:
        """An old update is backlog, or of an order that is not known."""
        if update.event_time_us and is_ordered:
            self.timeline.on_unapplied(update, received_ns)
        elif not self.has_diff:
            self.timeline.on_undecided()
            if self.buffer.is_full(raw):
                self.buffer.clear()
            self.buffer.add(update, raw, received_ns)

    def _reset_ids(self, now_ns: int) -> None:
        self.timeline.on_reset()
        self.counters["resets"] += 1
        self._lose(Event.RESET, reasons.RESET, now_ns)

    def _drop_before_reset(self, snapshot_id: int, made: SnapshotTime | None, now_ns: int) -> None:
        """Buffered diffs with higher ids than a snapshot that was made clearly after them precede a
        reset of the ids."""
        if made is None or self.state.status is not Status.BUFFERING:
            return
        in_time = self.timeline
        if self.buffer.retain(
            lambda each: (
                each[0].final_update_id <= snapshot_id or not in_time.precedes_reset(each[0], each[2], made)
            )
        ):
            self._on(Event.BUFFER_RESET, now_ns)
            self.counters["resets"] += 1
            self._cause("reset", now_ns)

    def _precedes_reset(self, update: DepthUpdate) -> bool:
        """The ids were reset since the newest diff was buffered: no snapshot will ever lead to it."""
        newest = self.buffer.newest
        return newest is not None and update.final_update_id < newest[0] and looks_reset(update, newest[1])

    def _buffer_diff(self, update: DepthUpdate, raw: bytes, now_ns: int) -> None:
        if self.buffer.is_full(raw):
            self._on(Event.DROPPED, now_ns)
            self.buffer.clear()
            self.counters["dropped_buffers"] += 1
            self._cause("buffer_dropped", now_ns)
        self.buffer.add(update, raw, now_ns)

    def _on_doubted(self, now_ns: int) -> None:
        self._refresh = None  # its snapshot was asked before
        self._cause("doubted", now_ns)

    def _prove(self, now_ns: int) -> None:
        if self.state.doubt.end():
            self._cause("proven", now_ns)

    def _cause(self, cause: Cause, now_ns: int) -> None:
        self.causes.add(cause)
        self.caused_ns = now_ns
