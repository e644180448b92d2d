"""One symbol of one venue, from nothing to a synced book and back: the state machine.

Theory of operation. Diffs alone are not a book and a snapshot alone is out of date, so the two are
joined by update id:

    EMPTY      nothing has arrived. The first diff is kept: BUFFERING.
    BUFFERING  diffs are kept as raw bytes, bounded, while a snapshot is on its way. A snapshot that
               is older than the first kept diff allows is not installed and the diffs stay
               (TOO_OLD). Any other one is installed; kept diffs at or before it are dropped, the
               rest must follow one another. All applied: SYNCED. A hole among them: BUFFERING
               again, with the diff behind the hole and all later ones (GAP). Where ids begin anew,
               what was kept before is dropped: no snapshot will ever lead to it.
    BRIDGING   installed, nothing newer was kept, and nobody vouches that the stream was live
               before the snapshot was asked for: the next diff decides.
    SYNCED     the same, but the stream was live: nothing newer than the snapshot exists, or it
               will arrive. `unconfirmed` until the first diff; if that does not bridge, it is a gap.

From BRIDGING and SYNCED: a diff that continues is applied, both sides at once; one at or before
the held id changes nothing; a gap, a malformed frame or ids that began anew lead to BUFFERING, and
the frame of the gap is the first kept one. The old levels stay until the next install, readable
only as stale. A book whose best prices touch or cross after a whole event is `crossed`: it is kept
up but not served (a published event never crosses the exchange's own book, measured 2026-09-04).

`transitions` is the table of all that. Over it lies at most one condition from outside (stale,
halted, disconnected, closed); users see the worse of both. A synced book in `doubt` is stale until proven.
Time comes in as an argument. Not here: when to fetch which snapshot.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from depthcache.model import Outcome, SnapshotOutcome, Status
from depthcache.reference.book import WHOLE, BookSide, Tally
from depthcache.reference.doubt import Doubt
from depthcache.reference.lines import Lines
from depthcache.reference.messages import DepthSnapshot, DepthUpdate, parse_frame
from depthcache.reference.refresh import Fresh, Refresh
from depthcache.reference.sequence import Continuity, Verdict, judge, looks_reset
from depthcache.reference.transitions import Event, follow

if TYPE_CHECKING:
    from depthcache.reference.follow import Following

__all__ = ["BUFFER_BYTES", "COUNTERS", "Market", "worse"]

BUFFER_BYTES = 16 * 1024 * 1024
"""Most bytes of kept diffs: hours of a quiet symbol, minutes of the busiest."""

COUNTERS = (
    "applied",
    "stale",
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

_BADNESS = {status: rank for rank, status in enumerate(Status)}


def worse(one: Status, other: Status) -> Status:
    """The one that users are told."""
    return one if _BADNESS[one] >= _BADNESS[other] else other


class Market:
    """One symbol. Order of calls: `on_diff` for every frame, `install` for a snapshot."""

    exchange: str
    symbol: str
    bids: BookSide
    asks: BookSide
    state: Status
    reason: str
    since_ns: int

    def __init__(
        self, exchange: str, symbol: str, continuity: Continuity, *, buffer_bytes: int = BUFFER_BYTES
    ) -> None:
        self.exchange, self.symbol = exchange, symbol
        self.continuity: Continuity = continuity
        self.bids, self.asks = BookSide(1), BookSide(-1)
        self.state, self.reason, self.since_ns = Status.EMPTY, "nothing has arrived yet", 0
        self.confirmed: bool = False
        self.crossed: tuple[str, int] | None = None
        self.condition: tuple[Status, str, int] | None = None
        self.stalled: tuple[Status, str, int] | None = None
        self.doubt: Doubt = Doubt()
        self.last_update_id: int | None = None
        self.event_time_us: int | None = None
        self.updated_ns: int | None = None
        self.counters: Counter[str] = Counter(dict.fromkeys(COUNTERS, 0))
        self.causes: set[str] = set()
        self.caused_ns: int = 0
        self._kept: list[tuple[bytes, int]] = []
        self._kept_bytes, self._most_bytes = 0, buffer_bytes
        self._newest_kept: tuple[int, int] | None = None
        self._base_time_us: int | None = None
        self._data_seen = False
        self.lines: Lines = Lines()
        self.compared: tuple[int, int, int, int, int] | None = None
        self.asked = 0
        self.enough: tuple[float, int] = (math.inf, 0)
        """So many complete levels a side are enough while readers ask for at most so many."""
        self._refresh: Refresh | None = None
        self.following: Following | None = None
        self.confirmed_ns: int | None = None

    # --- getters -----------------------------------------------------------------------------

    def status(self) -> tuple[Status, str, int]:
        """What users see: status, reason, since when."""
        if self.condition is not None and worse(self.condition[0], self.state) is self.condition[0]:
            return self.condition
        if self.stalled is not None:
            return self.stalled
        return self.native() if self.doubt.said is None else (Status.STALE, *self.doubt.said)

    def native(self) -> tuple[Status, str, int]:
        """The state of the machine, why, and since when, conditions aside."""
        if self.state is Status.SYNCED and self.crossed is not None:
            return Status.CROSSED, *self.crossed
        return self.state, self.reason, self.since_ns

    @property
    def unconfirmed(self) -> bool:
        """Synced from a snapshot alone."""
        return self.state is Status.SYNCED and not self.confirmed

    # --- what happened -----------------------------------------------------------------------

    def covered(self) -> int | None:
        """The fewest levels that a side has inside its complete range; None where both are whole."""
        sides = [side.coverage() for side in (self.bids, self.asks) if side.bound is not WHOLE]
        return min(sides, default=None)

    def is_shallow(self) -> bool:
        """Whether there are fewer complete levels than are enough, or readers ask for more than was known."""
        covered, (levels, asked) = self.covered(), self.enough
        return (covered is not None and covered < levels) or self.asked > asked

    def on_diff(self, update: DepthUpdate, raw: bytes, received_ns: int, *, connection: int = 0) -> Outcome:
        """A diff of this symbol arrived; `raw` is its frame."""
        if not self._data_seen:
            self._data_seen = True
            self._cause("first_data", received_ns)
        if self.state in (Status.EMPTY, Status.BUFFERING):
            self.lines.on_kept(connection, received_ns)
            if self._is_of_before(update):
                self._on(Event.ANEW, received_ns)
                self._forget_kept()
                self.counters["resets"] += 1
                self._cause("reset", received_ns)
            reason = "waiting for a snapshot" if self.state is Status.EMPTY else None
            self._on(Event.KEPT, received_ns, reason)
            self._keep(update, raw, received_ns)
            return Outcome.WAITING if self.last_update_id is None else Outcome.GAP
        assert self.last_update_id is not None
        verdict = judge(self.continuity, self.last_update_id, update, confirmed=self.confirmed)
        if verdict is Verdict.NEXT:
            self._change(update, received_ns)
            self._settle(received_ns)
            if self.doubt.is_over(update.event_time_us, received_ns):
                self._prove(received_ns)
            if len(self.lines) > 1:
                self.lines.on_joined(connection, received_ns)
            self._on_refreshing(update, raw, received_ns)
            return Outcome.APPLIED
        many = len(self.lines) > 1
        if verdict is Verdict.GAP and many and self.lines.on_ahead(connection, received_ns, self.updated_ns):
            self._on(Event.AHEAD, received_ns)
            return Outcome.STALE
        if verdict is Verdict.STALE:
            self.counters["stale"] += 1
            if not looks_reset(update, self._base_time_us):
                self._on(Event.STALE, received_ns)
                self._note_time(update)
                if many:
                    self.lines.on_joined(connection, received_ns)
                return Outcome.STALE
            self.counters["resets"] += 1
            self._lose(Event.RESET, "the exchange's update ids began anew", received_ns)
        else:
            self.counters["gaps"] += 1
            self._lose(Event.GAP, self._gap_reason(update), received_ns)
        self._keep(update, raw, received_ns)
        return Outcome.GAP

    def on_malformed(self, what: str, received_ns: int) -> None:
        """A frame of this symbol could not be read: an update is missing."""
        self.counters["malformed"] += 1
        self._cause("malformed", received_ns)
        is_lost = self.state in (Status.BRIDGING, Status.SYNCED)
        self._on(Event.MALFORMED, received_ns, f"a malformed frame: {what}" if is_lost else None)

    # --- commands ----------------------------------------------------------------------------

    def install(
        self, snapshot: DepthSnapshot, *, limit: int | None, live: bool, now_ns: int
    ) -> SnapshotOutcome:
        """Take a snapshot that was asked with `limit`.

        `live`: the subscription was acknowledged, or data had arrived, before it was asked for.
        """
        held = snapshot.last_update_id
        if len(self.lines) > 1:
            self._kept.sort(key=_last_id)
        waiting = [
            (update, raw, received_ns)
            for raw, received_ns in self._kept
            if (update := parse_frame(raw).update) is not None
        ]
        fresh = [
            kept
            for kept in waiting
            if judge(self.continuity, held, kept[0], confirmed=False) is not Verdict.STALE
        ]
        if fresh and judge(self.continuity, held, fresh[0][0], confirmed=False) is Verdict.GAP:
            self._on(Event.TOO_OLD, now_ns)
            return SnapshotOutcome.TOO_OLD
        self.counters["snapshots"] += 1
        self._refresh = None
        self.lines.on_installed()
        self._note_altered()
        self.counters["stale"] += len(waiting) - len(fresh)
        self._forget_kept()
        self.bids.install(snapshot.bids, limit)
        self.asks.install(snapshot.asks, limit)
        self.last_update_id, self.event_time_us, self.updated_ns = held, None, None
        self.confirmed, self._base_time_us = False, None
        self._check_crossed(now_ns)
        for number, (update, _, received_ns) in enumerate(fresh):
            verdict = judge(self.continuity, self.last_update_id, update, confirmed=self.confirmed)
            if verdict is Verdict.GAP:
                self.counters["gaps"] += 1
                self._lose(Event.HOLE, self._gap_reason(update), now_ns)
                for later, raw, kept_ns in fresh[number:]:
                    self._keep(later, raw, kept_ns)
                return SnapshotOutcome.GAP
            if verdict is Verdict.STALE:
                self.counters["stale"] += 1
            else:
                self._change(update, received_ns)
                self.confirmed = True
                self._check_crossed(received_ns)
        if self.confirmed or live:
            self._sync(Event.INSTALLED, now_ns)
            return SnapshotOutcome.SYNCED
        self._on(Event.UNPROVEN, now_ns, "waiting for the diff that confirms the snapshot")
        return SnapshotOutcome.BRIDGING

    def resync(self, reason: str, now_ns: int) -> None:
        """A new snapshot is needed; kept diffs and old levels stay."""
        self._on(Event.RESYNC, now_ns, reason)

    def restart(self, reason: str, now_ns: int) -> None:
        """The diffs will come from a new connection: kept ones are of no use."""
        self._forget_kept()
        self._data_seen = False
        self._on(Event.RESTART, now_ns, reason)

    # --- refreshing --------------------------------------------------------------------------

    def begin_refresh(self) -> bool:
        """Keep what is applied from now on; False: the book is not live."""
        live = self.state is Status.SYNCED
        if live:
            self._refresh = Refresh()
        return live

    def end_refresh(self) -> None:
        """Forget a refresh that was begun."""
        self._refresh = None

    def refresh(self, snapshot: DepthSnapshot, *, limit: int | None, now_ns: int) -> str:
        """Roll a snapshot to the live book's id, compare and merge; what became of it."""
        refresh, self._refresh = self._refresh, None
        if refresh is None or self.last_update_id is None:
            return "not_live"
        fresh = Fresh(snapshot, limit)
        if not all(fresh.roll(self.continuity, update) for update in refresh.kept):
            return "too_old"
        if fresh.update_id < self.last_update_id:
            return "too_old"
        if fresh.update_id > self.last_update_id:
            self._refresh = Refresh(fresh=fresh)
            return "waiting"
        self._merge(fresh, now_ns)
        return "merged"

    def settle_refresh(self, now_ns: int) -> bool:
        """No diff came for a snapshot that waits: False where it shows another book, and is dropped."""
        refresh, self._refresh = self._refresh, None
        if refresh is None or refresh.fresh is None:
            return True
        fresh = refresh.fresh
        wrong = self.bids.compare(fresh.bids).wrong + self.asks.compare(fresh.asks).wrong
        same = self.continuity == "chained" and not wrong
        if same:
            self._merge(fresh, now_ns)
        return same

    # --- connections -------------------------------------------------------------------------

    def add_line(self, connection: int) -> None:
        """One more connection brings diffs."""
        self.lines.add(connection, self.updated_ns)

    def remove_line(self, connection: int) -> None:
        """A connection brings no diffs any more; where others had run ahead of it, that is a gap."""
        heard_ns = self.lines.remove(connection)
        if heard_ns is not None and self.state is Status.SYNCED:
            self.counters["gaps"] += 1
            self._lose(Event.LINE_LOST, "a gap: the connection that could have filled it is gone", heard_ns)

    def set_condition(self, condition: Status | None, reason: str, now_ns: int) -> None:
        """Lay a condition over the state, or take it away; closed is final."""
        if self.condition is not None and self.condition[0] is Status.CLOSED:
            return
        if condition is None:
            self.condition = None
        elif self.condition is None or self.condition[:2] != (condition, reason):
            self.condition = (condition, reason, now_ns)

    # --- doubt -------------------------------------------------------------------------------

    def judge_silence(self, now_ns: int) -> None:
        """Nobody judged silence for a while: was the book proven in time?"""
        proven_ns = max((at for at in (self.confirmed_ns, self.updated_ns) if at is not None), default=now_ns)
        if self.state is Status.SYNCED and self.doubt.judge(proven_ns, now_ns):
            self._on_doubted(now_ns)

    def on_pause(self, reason: str, since_ns: int, now_ns: int) -> None:
        """The machine or the process paused: stale until proven."""
        if self.state is Status.SYNCED:
            self.doubt.on_pause(reason, since_ns, now_ns)
            self._on_doubted(now_ns)

    def set_stalled(self, reason: str | None, now_ns: int) -> None:
        """Whoever brings the frames stands still, or does so no longer (None)."""
        if reason is None and self.stalled is not None:
            self._cause("proven", now_ns)
        self.stalled = None if reason is None else (Status.STALE, reason, now_ns)

    # --- inside ------------------------------------------------------------------------------

    def _change(self, update: DepthUpdate, received_ns: int) -> None:
        """Both sides of one update."""
        if self.following is not None:
            self.following.before(self, update)
        self.counters["levels_changed"] += self.bids.apply(update.bids) + self.asks.apply(update.asks)
        self.counters["applied"] += 1
        self.last_update_id, self.updated_ns = update.final_update_id, received_ns
        self.event_time_us = update.event_time_us or None
        self._base_time_us = update.event_time_us or self._base_time_us

    def _settle(self, received_ns: int) -> None:
        """After an update of a live book: it confirms the snapshot, and may cross the book."""
        if self.confirmed:
            self._on(Event.NEXT, received_ns)
        else:
            self.confirmed = True
            if self.state is Status.BRIDGING:
                self._sync(Event.NEXT, received_ns)
            else:
                self._on(Event.NEXT, received_ns, "")
                self._cause("confirmed", received_ns)
        self._check_crossed(received_ns)

    def _sync(self, event: Event, now_ns: int) -> None:
        self.confirmed_ns = now_ns
        self._prove(now_ns)
        self._on(event, now_ns, "" if self.confirmed else "from a snapshot, not confirmed by a diff yet")
        self._cause("synced", now_ns)
        if self.confirmed:
            self._cause("confirmed", now_ns)

    def _lose(self, event: Event, reason: str, now_ns: int) -> None:
        self._cause("reset" if event is Event.RESET else "gap", now_ns)
        self._on(event, now_ns, reason)

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
            self._merge(refresh.fresh, received_ns)

    def _merge(self, fresh: Fresh, now_ns: int) -> None:
        assert self.last_update_id is not None
        self._on(Event.REFRESHED, now_ns)
        held = (self.bids.levels, self.asks.levels)
        found = Tally(*map(sum, zip(self.bids.merge(fresh.bids), self.asks.merge(fresh.asks), strict=True)))
        if held != (self.bids.levels, self.asks.levels):
            self._note_altered()
        self.compared = (self.last_update_id, found.checked, found.differing, found.missing, found.extra)
        self.confirmed_ns = now_ns
        self._prove(now_ns)
        self.counters["refreshes"] += 1
        self.counters["corrections"] += found.wrong
        self._cause("refreshed", now_ns)
        self._check_crossed(now_ns)

    def _note_altered(self) -> None:
        if self.following is not None:
            self.following.altered = True

    def _on(self, event: Event, now_ns: int, reason: str | None = None) -> None:
        """The state that follows by the table; without a reason the old one stays."""
        state = follow(self.state, event)
        if state is not Status.SYNCED:
            self._refresh = None
            self.doubt.end()
        if state is not self.state:
            self.state, self.since_ns = state, now_ns
        if reason is not None:
            self.reason = reason

    def _check_crossed(self, now_ns: int) -> None:
        bid, ask = self.bids.best(), self.asks.best()
        crossed = bid is not None and ask is not None and bid >= ask
        if crossed == (self.crossed is not None):
            return
        if bid is not None and ask is not None and bid >= ask:
            best = f"best bid {self.bids.price_text(bid)} at or above best ask {self.asks.price_text(ask)}"
            self.crossed = (best, now_ns)
            self.counters["crossed"] += 1
        else:
            self.crossed, self.since_ns = None, now_ns
        self._cause("crossed" if crossed else "uncrossed", now_ns)

    def _gap_reason(self, update: DepthUpdate) -> str:
        follows = (
            update.previous_final_update_id if self.continuity == "chained" else update.first_update_id - 1
        )
        return f"a gap: the book holds {self.last_update_id}, the next diff follows {follows}"

    def _note_time(self, update: DepthUpdate) -> None:
        if self._base_time_us is None and update.event_time_us:
            self._base_time_us = update.event_time_us

    def _is_of_before(self, update: DepthUpdate) -> bool:
        """Ids have begun anew since the newest diff was kept: no snapshot will ever lead to it."""
        if self._newest_kept is None:
            return False
        final_update_id, event_time_us = self._newest_kept
        return update.final_update_id < final_update_id and looks_reset(update, event_time_us)

    def _keep(self, update: DepthUpdate, raw: bytes, now_ns: int) -> None:
        if self._kept_bytes + len(raw) > self._most_bytes and self._kept:
            self._on(Event.DROPPED, now_ns)
            self._forget_kept()
            self.counters["dropped_buffers"] += 1
            self._cause("buffer_dropped", now_ns)
        self._kept.append((raw, now_ns))
        self._kept_bytes += len(raw)
        newest = (update.final_update_id, update.event_time_us)
        if newest[1] and (self._newest_kept is None or newest[0] > self._newest_kept[0]):
            self._newest_kept = newest

    def _forget_kept(self) -> None:
        self._kept.clear()
        self._kept_bytes, self._newest_kept = 0, None

    def _on_doubted(self, now_ns: int) -> None:
        self._refresh = None  # its snapshot was asked before
        self._cause("doubted", now_ns)

    def _prove(self, now_ns: int) -> None:
        if self.doubt.end():
            self._cause("proven", now_ns)

    def _cause(self, cause: str, now_ns: int) -> None:
        self.causes.add(cause)
        self.caused_ns = now_ns


def _last_id(kept: tuple[bytes, int]) -> int:
    update = parse_frame(kept[0]).update
    return 0 if update is None else update.final_update_id
