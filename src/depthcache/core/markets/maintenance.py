"""Looking after one live book: is it still right, is it deep enough? It never leaves sync for that.

Theory of operation. Every response is a snapshot that the book rolls to its own id, compares and merges
(the router's `refresh`), whatever it was asked for:

- silent: nothing came for long. A snapshot at the book's own id proves that it is right; one that is
  ahead, and no diff for it, that the stream is dead.
- thin: fewer complete levels than a bad second takes away. Comes before everything but lost books.
- shallow: fewer complete levels than the user wants, or than somebody reads. When nobody else waits.
- due: the interval of refreshing is over; asked: somebody wants an audit.

A refused request is evidence for others to weigh (`on_refused`); here it is asked again, each time later, and
a refused limit gives way to the next smaller one. Audits that wait for it end with the exchange's words.

Prices that were wrong are trouble: an update was lost that no id missed. They are right again, and the
complete range is what the snapshot proves. Not here: how a book becomes live (`supervisor`), who may go
first (`pacing`), which books are looked at (`depth_scheduler`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from depthcache.core.commands import RequestRefusal, TellAudit, TellLimit, TellTrouble
from depthcache.core.context import Context
from depthcache.core.markets.snapshot_limits import SnapshotLimits
from depthcache.core.markets.snapshot_times import SnapshotClock
from depthcache.core.markets.watchdogs import SilenceWatch, TooOldWatch, time_to_detect_ns
from depthcache.core.policy import to_ns
from depthcache.core.requests.responses import ClassifiedResponse, ResponseAction
from depthcache.core.requests.scheduler import PendingRequest, Purpose, Requester, RequestScheduler
from depthcache.core.timers import Timer
from depthcache.errors import MalformedSnapshot, SymbolMismatch
from depthcache.model import Status
from depthcache.venues.venue import Venue

if TYPE_CHECKING:
    from depthcache._native import BookReader

__all__ = ["Maintenance"]

_NEVER_NS = 1 << 63
_LONGEST_WAIT = 5
"""So many times the patience for one diff may be between two of them while a snapshot that is ahead is
waited for."""
_MOST_WAITS = 30
"""So often it is waited for where times are not known."""
_PASSED_US = 5_000_000
"""Diffs this much younger than a snapshot hold all that it shows."""


@dataclass(slots=True)
class _RequestedAudit:
    """An audit somebody waits for."""

    audit: int
    limit: int


@dataclass(frozen=True, slots=True)
class _Need:
    """What a book needs of which somebody reads `asked` levels: kept, because it is asked every second."""

    asked: int
    wanted: int
    limit: int
    low: int
    """With fewer complete levels it is thin …"""
    enough: int
    """… and with fewer than these it is to become deeper."""


class Maintenance(Requester):
    """One live book. Order of calls: `begin` when it is synced, `end` when it is not any more."""

    def __init__(
        self,
        context: Context,
        market: int,
        *,
        venue: Venue,
        symbol: str,
        depth: int,
        scheduler: RequestScheduler,
        book: BookReader,
        on_dead: Callable[[int, int], None],
        on_confirmed: Callable[[int], None],
        on_refused: Callable[[ClassifiedResponse, int], None],
        made: SnapshotClock,
    ) -> None:
        """`on_dead(silent since, now)`: the exchange's book moved on and no diff came. `on_confirmed(now)`:
        the book is proven right. `on_refused(answer, now)`: the symbol is not known, or does not trade.
        `made`: tells when snapshots were made."""
        self._context, self._router = context, context.router
        self._market, self._venue, self._symbol = market, venue, symbol
        self.owner: str = f"market {market}"
        self._depth = depth
        self.limits: SnapshotLimits = SnapshotLimits(venue)
        self._scheduler, self._book = scheduler, book
        self._on_dead, self._on_confirmed, self._on_refused = on_dead, on_confirmed, on_refused
        self._made = made
        self._made_us: tuple[int, int] | None = None
        """When the snapshot that is ahead was made."""
        self._too_old, self._too_old_at_ns = TooOldWatch(venue.snapshot_lag_s), 0
        self._silence = SilenceWatch(context.policy)
        self._live = False
        self._pending: PendingRequest | None = None
        self._audits: list[_RequestedAudit] = []
        self._waits = self._stale = 0
        self._limit = 0
        self._need = self._need_for(0)
        self._not_before_ns = self._refreshed_ns = 0
        self._failures = 0
        self.refresh_every(None)
        self.audited: bool = False
        """Whether a comparison of this book has found nothing wrong since it was synced."""

    # --- getters ---------------------------------------------------------------------------

    @property
    def limit(self) -> int:
        """The limit of the last snapshot that was asked and merged or installed."""
        return self._limit

    @property
    def deep_limit(self) -> int:
        """The limit of the snapshots that bring what the user wants."""
        return self.limits.allowed(self._venue.snapshot_limit(self._depth))

    @property
    def cheapest_limit(self) -> int:
        """The limit of snapshots that only tell whether a book still moves."""
        return self.limits.allowed(self._venue.cheapest_limit)

    @property
    def wanted_limit(self) -> int:
        """The limit of the snapshots that bring what the user wants and what is read."""
        return self._need.limit

    def is_due(self, now_ns: int) -> bool:
        """Whether the interval of refreshing is over."""
        return self._due_ns <= now_ns and self._live and self._not_before_ns <= now_ns

    def fails_to_compare(self, now_ns: int) -> bool:
        """Whether comparisons of the live book fail, or requests are stopped."""
        return self._live and bool(self._failures or self._scheduler.budget.stopped_until_ns > now_ns)

    def is_unproven(self, now_ns: int) -> bool:
        """Whether nothing has proven the book within its time to detect, and comparing it fails."""
        if not self.fails_to_compare(now_ns):
            return False
        proven_ns = max(self._book.updated_ns or 0, self._book.confirmed_ns or 0)
        return now_ns - proven_ns > time_to_detect_ns(self._context.policy, self._venue.snapshot_lag_s)

    # --- commands --------------------------------------------------------------------------

    def refresh_every(self, seconds: float | None) -> None:
        """How often this book is refreshed: None for what the policy says, 0 for never."""
        self._interval_ns = to_ns(self._context.policy.refresh_s if seconds is None else seconds)
        self._set_due()

    def begin(self, limit: int, now_ns: int) -> None:
        """The book is live, from a snapshot asked with `limit`."""
        self._live, self._limit, self._refreshed_ns = True, limit, now_ns
        self._set_due()
        self._not_before_ns = self._failures = 0
        self._too_old.on_fitting()
        self.audited = False
        self._forget_limits(now_ns)
        self._router.set_enough(self._market, self._need.enough, asked=self._need.asked)
        self._silence.on_synced(now_ns)
        self._set_look()
        if self._audits:
            self._ask_audit(now_ns)

    def end(self) -> None:
        """The book is not live any more; audits wait for it."""
        self._live = False
        self._withdraw()
        self._context.deadlines.clear(self._market, Timer.SILENCE, Timer.OVERDUE)

    def close(self, reason: str) -> None:
        """There will be no book any more."""
        self.end()
        self._end_audits(reason, None)

    def reject(self, pending: PendingRequest, response: ClassifiedResponse) -> None:
        """A snapshot of this book was refused: audits that wait for one end with the exchange's words."""
        refusal = RequestRefusal(pending.target, response.status, response.code, response.text)
        self._end_audits(f"the exchange refused the snapshot: {response.reason}", refusal)

    def refuse_limit(self, pending: PendingRequest, response: ClassifiedResponse, now_ns: int) -> int | None:
        """The exchange refused the limit of a snapshot: what to ask instead, None where nothing is left."""
        instead = self.limits.refuse(pending.limit, now_ns)
        if instead is None:
            self.reject(pending, response)
            return None
        self._on_limits()
        told = (self._venue.name, pending.limit)
        if told not in self._context.limits_told:
            self._context.limits_told.add(told)
            exchange, limit = told
            self._context.commands.append(TellLimit(exchange, self._symbol, limit, instead, response.reason))
        return instead

    def audit(self, audit: int, limit: int, now_ns: int) -> None:
        """Compare the book with a snapshot of that limit as soon as it can be; ends in TellAudit."""
        self._audits.append(_RequestedAudit(audit, self.limits.allowed(limit)))
        self._ask_audit(now_ns)

    # --- what happened ---------------------------------------------------------------------

    def heal(self, body: bytes, levels: int, now_ns: int) -> None:
        """A snapshot that cost nothing is there: take it, unless a better one is on its way."""
        if not self._live or (self._pending is not None and self._pending.sent_ns is not None):
            return
        self._router.begin_refresh(self._market)
        made_us = self._made.between_us(None, now_ns)
        try:
            self._router.refresh(self._market, body, limit=levels, now_ns=now_ns, made_us=made_us)
        except (MalformedSnapshot, SymbolMismatch):
            self._router.end_refresh(self._market)

    def on_weakened(self, now_ns: int) -> None:
        """There is a reason to doubt that everything came."""
        if self._live:
            self._silence.on_weakened(now_ns)
            self._set_look()

    def on_doubted(self, now_ns: int) -> None:
        """The book is stale until data or a comparison proves it."""
        if not self._live:
            return
        if self._pending is not None and self._pending.sent_ns is not None:
            self._pending = None  # the router has dropped what was kept for its response
            self._context.deadlines.clear(self._market, Timer.OVERDUE)
        self._silence.on_doubted(now_ns)
        self._set_look()

    def on_shallow(self, covered: int | None, asked: int, now_ns: int) -> tuple[float, Purpose, int] | None:
        """How many complete levels there are and were asked for; what is needed: urgency (least first),
        purpose and limit."""
        if not self._live or now_ns < self._not_before_ns:
            return None
        if asked != self._need.asked:
            self._need = self._need_for(asked)
            self._router.set_enough(self._market, self._need.enough, asked=asked)
        need = self._need
        if covered is not None and covered < need.enough:
            if covered < need.low:
                return covered / need.low - 1, Purpose.THIN, self._least_limit(2 * need.low)
            return covered / need.wanted, Purpose.DEEPEN, need.limit
        return None

    def _need_for(self, asked: int) -> _Need:
        wanted = min(max(self._depth, asked), self._venue.depth_limits[-1])
        limit = self.limits.allowed(self._venue.snapshot_limit(wanted))
        wanted = min(wanted, limit)
        low = min(self._context.policy.thin_levels, max(1, wanted // 2))
        enough = wanted if limit > wanted else wanted * 4 // 5
        return _Need(asked, wanted, limit, low, max(low, enough))

    def want(self, purpose: Purpose, limit: int, now_ns: int) -> None:
        """Ask for what `on_shallow` said or is due, unless a request is on its way that brings it, too."""
        if self._pending is not None:
            waiting = self._pending.sent_ns is None
            if not waiting or purpose is not Purpose.THIN or self._pending.purpose is not Purpose.DEEPEN:
                return
            self._withdraw()
        self._ask(purpose, limit, now_ns)

    def on_refreshed(self, now_ns: int) -> None:
        """The router has compared and merged a snapshot."""
        found = self._router.compared(self._market)
        if found is None:
            return
        self._context.deadlines.clear(self._market, Timer.OVERDUE)
        pending = self._pending
        if pending is not None and pending.sent_ns is None:
            pending = None  # it was another snapshot than the one that is waited for
        else:
            self._pending = None
        self._waits = self._failures = 0
        self._too_old.on_fitting()
        wrong = sum(found[2:])
        self.audited = not wrong
        if wrong:
            reason = f"{wrong} of {found[1]} prices differed from the exchange's at update id {found[0]}"
            self._context.commands.append(TellTrouble(self._market, "differs", reason))
        self._refreshed_ns = now_ns
        self._set_due()
        if pending is not None:
            self._limit = pending.limit
            done = [audit for audit in self._audits if audit.limit <= pending.limit]
            self._audits = [audit for audit in self._audits if audit.limit > pending.limit]
            self._context.commands += [TellAudit(audit.audit, found, "") for audit in done]
        self._forget_limits(now_ns)
        self._silence.on_compared(now_ns)
        self._on_confirmed(now_ns)
        self._set_look()
        if self._audits:
            self._ask_audit(now_ns)

    def on_sent(self, pending: PendingRequest, now_ns: int) -> None:
        """The request leaves now: what comes from here on is needed to roll its response."""
        if pending is self._pending:
            self._router.begin_refresh(self._market)

    def on_response(
        self, pending: PendingRequest, response: ClassifiedResponse, body: bytes, now_ns: int
    ) -> None:
        """The exchange answered."""
        if pending is not self._pending:
            return
        match response.action:
            case ResponseAction.INSTALL:
                self._take(pending, body, now_ns)
            case ResponseAction.LIMIT if (
                instead := self.refuse_limit(pending, response, now_ns)
            ) is not None:
                self._ask(pending.purpose, instead, now_ns)
            case ResponseAction.UNKNOWN | ResponseAction.IDLE:
                self.reject(pending, response)
                self._failed(now_ns)
                self._on_refused(response, now_ns)
            case ResponseAction.REFUSED:
                self.reject(pending, response)
                self._failed(now_ns)
            case _:
                self._failed(now_ns)

    def on_failure(self, pending: PendingRequest, reason: str, now_ns: int) -> None:
        """No response came."""
        if pending is self._pending:
            self._failed(now_ns)

    def on_timer(self, timer: Timer, now_ns: int) -> None:
        """A deadline is due: SILENCE or OVERDUE."""
        if not self._live:
            return
        if timer is Timer.SILENCE:
            self._look(now_ns)
        elif timer is Timer.OVERDUE:
            self._on_overdue(now_ns)

    # --- inside ----------------------------------------------------------------------------

    def _ask(self, purpose: Purpose, limit: int, now_ns: int) -> None:
        self._pending = PendingRequest(self, self._venue, purpose, now_ns, symbol=self._symbol, limit=limit)
        self._scheduler.ask(self._pending, now_ns)

    def _ask_audit(self, now_ns: int) -> None:
        if not self._live or (self._pending is not None and self._pending.sent_ns is not None):
            return
        self._withdraw()
        self._ask(Purpose.AUDIT, max(audit.limit for audit in self._audits), now_ns)

    def _withdraw(self) -> None:
        if self._pending is not None:
            self._scheduler.withdraw(self._pending)
            self._pending = None

    def _take(self, pending: PendingRequest, body: bytes, now_ns: int) -> None:
        self._made_us = self._made.between_us(pending.sent_ns, now_ns)
        try:
            outcome = self._router.refresh(
                self._market, body, limit=pending.limit, now_ns=now_ns, made_us=self._made_us
            )
        except (MalformedSnapshot, SymbolMismatch):
            self._router.end_refresh(self._market)
            self._failed(now_ns)
            return
        if outcome == "waiting":
            self._waits = 0
            self._too_old.on_fitting()
            self._wait(now_ns)
        elif outcome == "too_old":
            self._on_too_old(pending, now_ns)
        elif outcome != "merged":  # merged is told as a cause, with all others
            self._failed(now_ns)

    def _on_too_old(self, pending: PendingRequest, now_ns: int) -> None:
        """A node behind shows an older book; where no diff comes either, the book's own ids are in doubt."""
        last_ns = self._book.updated_ns or 0
        if last_ns != self._too_old_at_ns:
            self._too_old.on_fitting()
            self._too_old_at_ns = last_ns
        is_silent = last_ns < (pending.sent_ns or pending.asked_ns) - to_ns(self._context.policy.first_data_s)
        if self._too_old.on_too_old(now_ns):
            self._pending = None
            self._on_dead(pending.sent_ns or pending.asked_ns, now_ns)
            return
        self._failed(now_ns)
        if is_silent and self._live:
            self._silence.on_weakened(now_ns)  # soon it is clear whether it is the node or the ids
            self._set_look()

    def _wait(self, now_ns: int) -> None:
        self._stale = self._book.counters["stale"]
        overdue_ns = now_ns + to_ns(self._context.policy.overdue_s) + self._made.late_ns
        self._context.deadlines.set(Timer.OVERDUE, self._market, overdue_ns)

    def _on_overdue(self, now_ns: int) -> None:
        """The snapshot is ahead, and the diff that reaches it has not come."""
        pending = self._pending
        if pending is None:
            return
        heard_ns, event_us = self._router.heard(self._market) or (0, None)
        patience_ns = to_ns(self._context.policy.overdue_s) + self._made.late_ns
        flows = heard_ns >= max(pending.sent_ns or 0, now_ns - _LONGEST_WAIT * patience_ns)
        if flows or self._book.counters["stale"] > self._stale:
            if self._is_passed(event_us):
                self._router.end_refresh(self._market)  # diffs of its time are in the book: its id is absurd
                self._failed(now_ns)
            else:
                self._waits += 1  # data flows, only later than responses do
                self._wait(now_ns)
        elif not self._router.settle_refresh(self._market, now_ns):
            self._pending = None
            self._on_dead(pending.sent_ns or pending.asked_ns, now_ns)
        elif self._waits <= _LONGEST_WAIT:
            self._waits = _LONGEST_WAIT + 1  # merged, which is told as a cause, or dropped
            self._wait(now_ns)
        else:
            self._failed(now_ns)

    def _is_passed(self, event_us: int | None) -> bool:
        """Whether diffs have come that were made clearly after the snapshot which is waited for."""
        if event_us is None or self._made_us is None:
            return self._waits >= _MOST_WAITS
        return event_us > self._made_us[1] + _PASSED_US

    def _failed(self, now_ns: int) -> None:
        """Try again later, each time later."""
        self._pending = None
        policy = self._context.policy
        pause_ns = self._context.backoff_ns(self._failures, policy.retry_base_s, policy.retry_cap_s)
        self._not_before_ns = now_ns + pause_ns
        self._failures += 1
        if self._live:
            self._silence.on_unknown(now_ns)
            self._set_look()
            if self._audits:
                self._context.deadlines.set(Timer.SILENCE, self._market, self._not_before_ns)

    def _look(self, now_ns: int) -> None:
        """Nothing may have come for long: compare with the exchange, unless something did come."""
        if self._audits and self._pending is None:
            self._ask_audit(now_ns)
            return
        if self._book.status is not Status.STALE:  # what came while it is proves nothing
            heard_ns, _ = self._router.heard(self._market) or (0, None)
            self._silence.on_data(heard_ns)
        due_ns = self._silence.next_look_ns()
        if due_ns > now_ns:
            self._context.deadlines.set(Timer.SILENCE, self._market, due_ns)
        elif self._pending is None:
            self._ask(Purpose.CHECK, self.cheapest_limit, now_ns)
        elif self._pending.sent_ns is None and self._pending.purpose is Purpose.DEEPEN:
            self._withdraw()
            self._ask(Purpose.CHECK, self.cheapest_limit, now_ns)

    def _end_audits(self, reason: str, refusal: RequestRefusal | None) -> None:
        self._context.commands += [TellAudit(audit.audit, None, reason, refusal) for audit in self._audits]
        self._audits.clear()

    def _forget_limits(self, now_ns: int) -> None:
        if self.limits.forget(now_ns):
            self._on_limits()

    def _on_limits(self) -> None:
        """Other limits may be asked than before: what is needed is measured by them."""
        self._need = self._need_for(self._need.asked)
        self._router.set_enough(self._market, self._need.enough, asked=self._need.asked)
        for audit in self._audits:
            audit.limit = self.limits.allowed(audit.limit)

    def _set_due(self) -> None:
        self._due_ns = self._refreshed_ns + self._interval_ns if self._interval_ns else _NEVER_NS

    def _set_look(self) -> None:
        self._context.deadlines.set(Timer.SILENCE, self._market, self._silence.next_look_ns())

    def _least_limit(self, levels: int) -> int:
        least = next((limit for limit in self._venue.depth_limits if limit >= levels), self.deep_limit)
        return self.limits.allowed(least)
