"""The state machine of one market: from nothing to a synced book and back.

Diffs alone are not a book, and a snapshot alone is out of date, so the two are joined by update id:

    EMPTY      Nothing has arrived. The first diff is buffered: BUFFERING.
    BUFFERING  Diffs are buffered as raw bytes, up to a limit, until a snapshot arrives. A snapshot
               older than the first buffered diff allows is not installed, and the diffs stay
               (TOO_OLD). Otherwise it is installed; buffered diffs at or before it are dropped, and
               the rest must be contiguous. All applied: SYNCED. A gap among them: BUFFERING again,
               from the diff after the gap (GAP). After a reset of the ids, older buffered diffs are
               dropped, because no snapshot will ever lead to them. A reset shows in a lower id with
               a later event time (BUFFER_RESET), or in a snapshot with a lower id that was made
               clearly after the event time of a buffered diff.
    BRIDGING   A snapshot is installed, nothing newer was buffered, and nothing shows that the
               stream was live before the snapshot was requested: the next diff decides.
    SYNCED     The same, but the stream was live: nothing newer than the snapshot exists, or it will
               arrive. `unconfirmed` until the first diff; if that does not bridge, there is a gap.

In BRIDGING and SYNCED, a diff that continues the book is applied to both sides at once, and one at or
before the held id changes nothing. A gap, a malformed frame or a reset of the ids leads to BUFFERING;
the diff after the gap is the first buffered one. The old levels stay until the next install, and can be
read only as stale.

The ids were reset if a diff at or before the held id was made clearly after the book reached that id
(`sequence`: the order in time). Which id the book reached at which time is its *base*: id and time of the
snapshot, then id and event time of each applied diff. An old diff without a base or event time puts the
order *in doubt* until a diff is applied, and is buffered. The next snapshot decides: an id lower than the
held one means a reset if the snapshot is clearly later than the base, or if the order is in doubt. Any
other snapshot with a lower id is an older one and changes nothing (TOO_OLD).

A book whose best prices touch or cross after a complete event is `crossed`: it is updated but not served (a
published event never crosses the exchange's own book, measured 2026-09-04).

`transitions` is the table of these rules. On top lies at most one external condition (stale, halted,
disconnected, closed); users see the worse of the two. A synced book in `doubt` is stale until confirmed.
Time is passed in as an argument. When to fetch which snapshot is decided in `core`.
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
from depthcache.reference.relay import BookState, Relay, StateChange
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
"""The size limit of buffered diffs: hours of a quiet symbol, minutes of the busiest."""

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
    """The depth that a book needs; before a target is set, no depth is enough."""

    requested: int = 0
    """The most levels per side that a reader requested."""
    enough: float = math.inf
    """The number of complete levels per side that is enough …"""
    considered: int = 0
    """… as long as readers request at most this many."""

    def is_missed(self, covered: int | None) -> bool:
        """Whether there are too few complete levels, or readers request more than was considered."""
        return (covered is not None and covered < self.enough) or self.requested > self.considered


class MarketObserver(Protocol):
    """An observer of a market: its followers."""

    altered: bool
    """Something other than an update changed levels."""

    def note_changes(self, market: Market, update: DepthUpdate) -> None:
        """An update is about to be applied."""

    def notify(self, market: Market) -> None:
        """Notify the followers of what happened since the last call."""


class Market:
    """One symbol. Usage: `on_diff` for every frame, `install` for a snapshot."""

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
        now_ns: int = 0,
    ) -> None:
        self.exchange, self.symbol = exchange, symbol
        self.continuity: Continuity = continuity
        self.inverse: bool = inverse
        """Quantities count contracts of a fixed value in the quote asset."""
        self.bids, self.asks = BookSide(1), BookSide(-1)
        self.state: State = State(now_ns)
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
        self.relay: Relay | None = None
        """What the book servers say from which its diffs come; None where they come from the exchange."""
        self.comparison: Comparison | None = None
        """The result of a waiting snapshot that was merged; kept until it is taken."""
        self.depth_target: DepthTarget = DepthTarget()
        self._refresh: Refresh | None = None
        self.followers: MarketObserver | None = None
        self.compared_ns: int | None = None
        self.installed_ns: int | None = None
        """When the installed snapshot was received."""
        self.snapshot_us: int | None = None
        """When that snapshot was made, on the exchange's clock; None if unknown."""
        self.timebase: Timebase | None = None
        """The clocks of its router; None for an offline book."""

    # --- getters -----------------------------------------------------------------------------

    def status(self) -> tuple[Status, str, int]:
        """The status that users see, its reason, and its start."""
        return self.state.shown()

    def machine_state(self) -> tuple[Status, str]:
        """The machine state and its reason, without conditions."""
        return self.state.machine_state()

    def last_diff(self) -> HeardDiff | None:
        """The last diff applied since the snapshot; None before one."""
        return None if self.updated_ns is None else HeardDiff(self.updated_ns, self.event_time_us)

    def read_updated_ns(self) -> int | None:
        """When the last applied diff was received, or the snapshot if none followed it."""
        return self.installed_ns if self.updated_ns is None else self.updated_ns

    def read_event_time_us(self) -> int | None:
        """The exchange's time of the book; if unknown, the system's time of its receipt."""
        made_us = self.snapshot_us if self.updated_ns is None else self.event_time_us
        if made_us is not None or self.timebase is None:
            return made_us
        return self.timebase.wall_us(self.read_updated_ns())

    @property
    def unconfirmed(self) -> bool:
        """Whether the book is synced from a snapshot alone."""
        return self.state.status is Status.SYNCED and not self.has_diff

    # --- what happened -----------------------------------------------------------------------

    def min_coverage(self) -> int | None:
        """The lower number of levels inside the complete range of a side; None if both sides are whole."""
        sides = [side.coverage() for side in (self.bids, self.asks) if side.bound is not WHOLE]
        return min(sides, default=None)

    def is_shallow(self) -> bool:
        """Whether there are fewer complete levels than needed, or readers request more than was known."""
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
        """A frame of this symbol could not be read, so an update is missing."""
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
        """Install a snapshot requested with `limit`. Raises SymbolMismatch, MalformedSnapshot.

        `live`: whether the subscription was acknowledged, or data had arrived, before the request. `made`:
        when it was made; None for the time in its body.
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
        if not in_doubt:  # those in doubt were counted on arrival
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
        """Require a new snapshot; buffered diffs and old levels stay."""
        self._on(Event.RESYNC, now_ns, reason)

    def restart(self, reason: str, now_ns: int) -> None:
        """Start over with an empty buffer: diffs will come from a new connection."""
        self.buffer.clear()
        self._data_seen = False
        self._on(Event.RESTART, now_ns, reason)

    # --- connections -------------------------------------------------------------------------

    def add_feed(self, connection: int) -> None:
        """One more connection carries the market."""
        self.feeds.add(connection, self.updated_ns)

    def remove_feed(self, connection: int) -> None:
        """A connection no longer carries the market; this is a gap if others were ahead of it."""
        if self.relay is not None:
            self.relay.reports.pop(connection, None)
            self.state.set_upstream(self.relay.condition(), self.caused_ns)
        heard_ns = self.feeds.remove(connection)
        if heard_ns is not None and self.state.status is Status.SYNCED:
            self.counters["gaps"] += 1
            self._lose(Event.FEED_LOST, reasons.FEED_LOST, heard_ns)

    def begin_relay(self, now_ns: int) -> None:
        """Diffs come from book servers, from now on and for good."""
        self.relay = self.relay or Relay()
        self.state.set_upstream(self.relay.condition(), now_ns)

    def on_book_state(self, connection: int, name: str, said: BookState, at_ns: int) -> None:
        """The server of a connection says what its own book is; `name`: how users know the server."""
        assert self.relay is not None
        change = self.relay.on_state(connection, name, said)
        if change.is_news:
            self._cause("upstream", at_ns)
        if change.leads:
            self._check_relayed(name, said.update_id, change, at_ns)
        self.state.set_upstream(self.relay.condition(), at_ns)

    def _check_relayed(self, name: str, reached: int | None, change: StateChange, at_ns: int) -> None:
        """Require a snapshot unless the diffs of a server with a synced book continue the held book."""
        held = self.last_update_id
        if held is None or self.state.status not in (Status.BRIDGING, Status.SYNCED):
            return
        reached = held if reached is None else reached
        if change.is_rebuilt:
            gap = reasons.server_rebuilt(name)
        elif reached > held:
            gap = reasons.server_ahead(name, held, reached)
        elif reached < held and not change.was_synced:
            gap = reasons.server_below(name, reached, held)
        else:
            return
        self.counters["gaps"] += 1
        self._cause("gap", at_ns)
        self._on(Event.RESYNC, at_ns, gap)

    def set_condition(self, condition: Status | None, reason: str, now_ns: int) -> None:
        """Set or clear a condition on top of the state; closed is final."""
        self.state.set_condition(condition, reason, now_ns)

    # --- doubt -------------------------------------------------------------------------------

    def judge_silence(self, now_ns: int) -> None:
        """Check, in place of the event loop, whether the book was confirmed in time."""
        proven_ns = max((at for at in (self.compared_ns, self.updated_ns) if at is not None), default=now_ns)
        if self.state.status is Status.SYNCED and self.state.doubt.judge(proven_ns, now_ns):
            self.state.note_shown(now_ns)
            self._on_doubted(now_ns)

    def on_pause(self, reason: str, since_ns: int, now_ns: int) -> None:
        """The machine or process was paused: the book is stale until confirmed."""
        if self.state.status is Status.SYNCED:
            self.state.doubt.on_pause(reason, now_ns)
            self.state.note_shown(since_ns)
            self._on_doubted(now_ns)

    def set_stalled(self, reason: str | None, now_ns: int) -> None:
        """The frame thread stalled, or is running again (None)."""
        if self.state.set_stalled(reason, now_ns):
            self._cause("proven", now_ns)

    # --- refreshing --------------------------------------------------------------------------

    def begin_refresh(self) -> bool:
        """Start keeping applied diffs; False if the book is not live."""
        live = self.state.status is Status.SYNCED
        if live:
            self._refresh = Refresh(self.continuity, most_bytes=self.buffer.most_bytes)
        return live

    def end_refresh(self) -> None:
        """Cancel a refresh."""
        self._refresh = None

    def refresh(
        self,
        snapshot: DepthSnapshot,
        *,
        limit: int | None,
        now_ns: int,
        made: SnapshotTime | None = None,
    ) -> RefreshResult:
        """Roll a snapshot to the update id of the live book, compare and merge; return the outcome.

        `made`: as for `install`. Raises SymbolMismatch, MalformedSnapshot; the refresh is then over.
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
        """Settle a waiting snapshot for which no diff came: merge it if it equals the book, else drop it.

        Ids shared between symbols grow without this symbol, so an equal book is merged. If too few levels of
        both can be compared, equality is not proven.
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
        """Apply both sides of one update."""
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
        """Enter the next state by the table; without a reason the old reason stays."""
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
        """Raise SymbolMismatch for a snapshot of another symbol, MalformedSnapshot for an implausible id.

        An id is implausible if no exchange has it, or if it is far above those of known diffs.
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
        """The newest diff that was applied, buffered or skipped as backlog; None before one."""
        heard = self.timeline.heard(self.updated_ns, self.event_time_us)
        return None if heard is None else HeardDiff(*heard)

    def late_us(self) -> int | None:
        """The delay of that diff; None if the exchange's clock or the event time is unknown."""
        heard, offset_ns = self.heard(), self.timeline.clock_offset_ns
        if heard is None or heard.event_time_us is None or offset_ns is None:
            return None
        return (heard.received_ns + offset_ns) // 1_000 - heard.event_time_us

    def date_snapshot(self, made: SnapshotTime) -> None:
        """Supply the time range in which the held snapshot was made, if no diff followed it."""
        if not self.has_diff and self.last_update_id is not None:
            self.snapshot_us = self.snapshot_us or made.latest_us
            self.timeline.on_dated(self.last_update_id, made)

    def _on_old(self, update: DepthUpdate, raw: bytes, received_ns: int, *, is_ordered: bool) -> None:
        """An old update is backlog, or its order is unknown."""
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
        """Drop buffered diffs that precede a reset of the ids: higher ids than a clearly later snapshot."""
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
        """The ids were reset since the newest buffered diff: no snapshot will ever lead to it."""
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
        self._refresh = None  # its snapshot was requested before the doubt
        self._cause("doubted", now_ns)

    def _prove(self, now_ns: int) -> None:
        if self.state.doubt.end():
            self.state.note_shown(now_ns)
            self._cause("proven", now_ns)

    def _cause(self, cause: Cause, now_ns: int) -> None:
        self.causes.add(cause)
        self.caused_ns = now_ns
