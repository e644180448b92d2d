"""Maintenance of one live book, which stays synced meanwhile: is it still right, is it deep enough?

Every response is a snapshot that the book rolls to its own update id, compares and merges (the router's
`refresh`), whatever its purpose:

- silent: no diff for a long time. A snapshot at the book's own id proves that the book is right; one that is
  ahead, without a diff for it, proves that the stream is dead.
- thin: fewer complete levels than a bad second takes away. Has priority over everything but lost books.
- shallow: fewer complete levels than the user wants or reads. Only if no other request waits.
- due: the refresh interval has passed; asked: an audit was requested.

A refused request is evidence that others weigh (`on_refused`); here it is repeated with growing pauses, and a
refused limit is replaced by the next smaller one. Audits that wait for it end with the exchange's message.

Wrong prices are trouble: an update was lost without a gap in the ids. They are corrected, and the complete
range is then that of the snapshot. How a book becomes live is in `supervisor`, the order of requests in
`requests.scheduler`, the choice of books in `depth_scheduler`, the number of levels in `snapshot_limits`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from depthcache.core import reasons
from depthcache.core.context import NEVER_NS, Context, MarketSpec, Retry
from depthcache.core.markets.snapshot_clock import SnapshotClock
from depthcache.core.markets.snapshot_limits import SnapshotLimits
from depthcache.core.markets.watchdogs import (
    OverdueWatch,
    Progress,
    SilenceWatch,
    TooOldWatch,
    time_to_detect_ns,
)
from depthcache.core.notices import AuditDone, RequestRefusal, TroubleFound
from depthcache.core.policy import to_ns
from depthcache.core.requests.responses import ClassifiedResponse, ResponseAction
from depthcache.core.requests.scheduler import PendingRequest, Purpose, Requester, RequestScheduler
from depthcache.core.timers import Timer
from depthcache.engine import Reader
from depthcache.errors import MalformedSnapshot, SymbolMismatch
from depthcache.events import Comparison, RefreshOutcome
from depthcache.model import Status

__all__ = ["Maintenance"]


class Maintenance(Requester):
    """The maintenance of one live book. Usage: `begin` when it is synced, `end` when it no longer is."""

    def __init__(
        self,
        context: Context,
        spec: MarketSpec,
        *,
        limits: SnapshotLimits,
        scheduler: RequestScheduler,
        book: Reader,
        made: SnapshotClock,
        server: Callable[[], int | None],
        on_dead: Callable[[int, int], None],
        on_confirmed: Callable[[int], None],
        on_refused: Callable[[ClassifiedResponse, int], None],
    ) -> None:
        """`made`: knows when snapshots were made. `server`: the book server to ask, as of `Requester`.

        `on_dead(silent since, now)`: the exchange's book changed, but no diff came. `on_confirmed(now)`: the
        book was confirmed. `on_refused(response, now)`: the symbol is unknown, or not trading.
        """
        self.owner: str = f"market {spec.market}"
        self.unproven: str = ""
        """Why the book is unconfirmed; empty if it is confirmed in time, or not live."""
        self.audited: bool = False
        """Whether a comparison since the last sync found no differences."""
        self._context, self._spec = context, spec
        self._limits, self._scheduler, self._book, self._made = limits, scheduler, book, made
        self._server = server
        self._on_dead, self._on_confirmed, self._on_refused = on_dead, on_confirmed, on_refused
        self._live = False
        self._pending: PendingRequest | None = None
        self._retry = Retry(context)
        self._audits = _Audits(context, limits)
        self._interval = _RefreshInterval(context.policy.refresh_s)
        self._silence = SilenceWatch(context.policy)
        self._overdue = OverdueWatch(context, spec.market, book, made)
        self._too_old = TooOldWatch(spec.venue.snapshot_lag_s)

    # --- getters ---------------------------------------------------------------------------

    def server(self) -> int | None:
        """The number of the book server that is to be asked."""
        return self._server()

    @property
    def is_live(self) -> bool:
        """Whether the book is maintained now."""
        return self._live

    def is_due(self, now_ns: int) -> bool:
        """Whether the refresh interval has passed."""
        return self._interval.due_ns <= now_ns and self._live and self._retry.not_before_ns <= now_ns

    def may_be_unproven(self, now_ns: int) -> bool:
        """Whether `look_for_proof` could find anything."""
        return bool(self.unproven) or self._fails_to_compare(now_ns)

    @property
    def next_refresh_ns(self) -> int:
        """When a live book is due to be refreshed."""
        return self._interval.due_ns if self._live else NEVER_NS

    # --- commands --------------------------------------------------------------------------

    def refresh_every(self, seconds: float | None) -> None:
        """Set how often this book is refreshed: None for the policy's interval, 0 for never."""
        self._interval.set(self._context.policy.refresh_s if seconds is None else seconds)
        self._tell_next_refresh()

    def begin(self, now_ns: int) -> None:
        """The book is live."""
        self._live = True
        self._interval.begin(now_ns)
        self._tell_next_refresh()
        self._retry.clear()
        self._tell_not_compared()
        self._too_old.on_fitting()
        self.audited = False
        self._limits.on_synced(now_ns)
        self._silence.on_synced(now_ns)
        self._set_look()
        self._ask_audit(now_ns)

    def end(self) -> None:
        """The book is no longer live; audits wait for it."""
        self._live = False
        self._tell_not_compared()
        self._withdraw()
        self._context.deadlines.clear(self._spec.market, Timer.SILENCE)
        self._overdue.end()

    def close(self, reason: str) -> None:
        """The book is closed for good."""
        self.end()
        self._context.not_compared.discard(self._spec.market)
        self._audits.end_all(reason, None)

    def audit(self, audit: int, limit: int | None, now_ns: int) -> None:
        """Compare the book with a snapshot of that limit (None: of the requested depth) as soon as possible.

        Ends in AuditDone. Raises InvalidArgument for a limit that the venue refuses.
        """
        self._audits.add(audit, self._limits.for_audit(limit))
        self._ask_audit(now_ns)

    def reject(self, pending: PendingRequest, response: ClassifiedResponse) -> None:
        """A snapshot of this book was refused: audits that wait for one end with the exchange's message."""
        refusal = RequestRefusal(pending.target, response.status, response.code, response.text)
        self._audits.end_all(reasons.refused_for_audit(response.reason), refusal)

    def refuse_limit(self, pending: PendingRequest, response: ClassifiedResponse, now_ns: int) -> int | None:
        """The exchange refused the limit of a snapshot; return the limit to use instead.

        None if there is none.
        """
        instead = self._limits.on_refused(pending.limit, response.reason, now_ns)
        if instead is None:
            self.reject(pending, response)
        else:
            self._audits.on_limits()
        return instead

    def want(self, purpose: Purpose, limit: int, now_ns: int) -> None:
        """Request what `on_shallow` reported or what is due, unless a pending request covers it."""
        if self._pending is not None:
            waiting = self._pending.sent_ns is None
            if not waiting or purpose is not Purpose.THIN or self._pending.purpose is not Purpose.DEEPEN:
                return
            self._withdraw()
        self._ask(purpose, limit, now_ns)

    def look_for_proof(self, now_ns: int) -> bool:
        """Check whether the book was not confirmed in time because comparing it fails.

        Returns whether that is new.
        """
        is_unproven = self._is_unproven(now_ns)
        is_news = is_unproven is not bool(self.unproven)
        self.unproven = reasons.NOT_COMPARABLE if is_unproven else ""
        self._tell_not_compared()
        return is_news

    # --- what happened to the book ---------------------------------------------------------

    def heal(self, body: bytes, levels: int, now_ns: int) -> None:
        """Use a free snapshot, unless a better one is on its way."""
        if not self._live or (self._pending is not None and self._pending.sent_ns is not None):
            return
        router, market = self._context.router, self._spec.market
        router.begin_refresh(market)
        made_us = self._made.between_us(None, now_ns)
        try:
            result = router.refresh(market, body, limit=levels, now_ns=now_ns, made_us=made_us)
        except (MalformedSnapshot, SymbolMismatch):
            router.end_refresh(market)
            return
        if result.comparison is not None:
            self.on_refreshed(result.comparison, now_ns)

    def on_weakened(self, now_ns: int) -> None:
        """Something may have been missed."""
        if self._live:
            self._silence.on_weakened(now_ns)
            self._set_look()

    def on_doubted(self, now_ns: int) -> None:
        """The book is stale until data or a comparison confirms it."""
        if not self._live:
            return
        if self._pending is not None and self._pending.sent_ns is not None:
            self._pending = None  # the router has dropped the diffs kept for its response
            self._overdue.end()
        self._silence.on_doubted(now_ns)
        self._set_look()

    def on_shallow(self, covered: int | None, asked: int, now_ns: int) -> tuple[float, Purpose, int] | None:
        """The numbers of complete and requested levels; returns urgency (lowest first), purpose and limit."""
        if not self._live or now_ns < self._retry.not_before_ns:
            return None
        self._limits.on_read(asked)
        target = self._limits.target
        if covered is None or covered >= target.enough:
            return None
        if covered < target.thin:
            return covered / target.thin - 1, Purpose.THIN, self._limits.at_least(2 * target.thin)
        return covered / target.wanted, Purpose.DEEPEN, target.limit

    def on_refreshed(self, found: Comparison, now_ns: int) -> None:
        """The router has compared and merged a snapshot."""
        self._overdue.end()
        pending = self._pending
        if pending is not None and pending.sent_ns is None:
            pending = None  # this was not the pending snapshot
        else:
            self._pending = None
        self._retry.failures = 0
        self._tell_not_compared()
        self._too_old.on_fitting()
        self.audited = not found.wrong
        if found.wrong:
            reason = reasons.prices_differed(found)
            self._context.notices.append(TroubleFound(self._spec.market, "differs", reason))
        self._interval.begin(now_ns)
        self._tell_next_refresh()
        if pending is not None:
            self._limits.held = pending.limit
            self._audits.on_compared(pending.limit, found)
        self._limits.on_compared(now_ns)
        self._silence.on_compared(now_ns)
        self._on_confirmed(now_ns)
        self._set_look()
        self._ask_audit(now_ns)

    # --- what became of a request ----------------------------------------------------------

    def on_sent(self, pending: PendingRequest, now_ns: int) -> None:
        """The request is sent now: diffs from here on are needed to roll its response."""
        if pending is self._pending:
            self._context.router.begin_refresh(self._spec.market)

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

    def _fails_to_compare(self, now_ns: int) -> bool:
        """Whether comparisons of the live book fail, or requests are stopped."""
        return self._live and bool(self._retry.failures or self._scheduler.budget.stopped_until_ns > now_ns)

    def _is_unproven(self, now_ns: int) -> bool:
        """Whether the book was not confirmed within its time to detect because comparing it fails."""
        if not self._fails_to_compare(now_ns):
            return False
        proven_ns = self._book.confirmed_ns or 0
        return now_ns - proven_ns > time_to_detect_ns(self._context.policy, self._spec.venue.snapshot_lag_s)

    def _tell_not_compared(self) -> None:
        """Have this book checked every second while `look_for_proof` may find something about it alone."""
        if self.unproven or (self._live and self._retry.failures):
            self._context.not_compared.add(self._spec.market)
        else:
            self._context.not_compared.discard(self._spec.market)

    def _tell_next_refresh(self) -> None:
        self._context.next_refresh_ns = min(self._context.next_refresh_ns, self.next_refresh_ns)

    def _ask(self, purpose: Purpose, limit: int, now_ns: int) -> None:
        spec = self._spec
        self._pending = PendingRequest(self, spec.venue, purpose, now_ns, symbol=spec.symbol, limit=limit)
        self._scheduler.ask(self._pending, now_ns)

    def _ask_audit(self, now_ns: int) -> None:
        """Make the request for waiting audits, unless one is on its way."""
        limit = self._audits.limit
        if (
            limit is None
            or not self._live
            or (self._pending is not None and self._pending.sent_ns is not None)
        ):
            return
        self._withdraw()
        self._ask(Purpose.AUDIT, limit, now_ns)

    def _withdraw(self) -> None:
        if self._pending is not None:
            self._scheduler.withdraw(self._pending)
            self._pending = None

    def _take(self, pending: PendingRequest, body: bytes, now_ns: int) -> None:
        router, market = self._context.router, self._spec.market
        made_us = self._made.between_us(pending.sent_ns, now_ns)
        try:
            result = router.refresh(
                market, body, limit=pending.answered_limit, now_ns=now_ns, made_us=made_us
            )
        except (MalformedSnapshot, SymbolMismatch):
            router.end_refresh(market)
            self._failed(now_ns)
            return
        self._limits.on_answered(pending.told_limit)
        if result.comparison is not None:
            self.on_refreshed(result.comparison, now_ns)
        elif result.outcome is RefreshOutcome.WAITING:
            self._too_old.on_fitting()
            self._overdue.begin(made_us, now_ns)
        elif result.outcome is RefreshOutcome.TOO_OLD:
            self._on_too_old(pending, now_ns)
        else:
            self._failed(now_ns)

    def _on_too_old(self, pending: PendingRequest, now_ns: int) -> None:
        """A node that lags shows an older book; if no diff comes either, the book's own ids are in doubt."""
        applied = self._context.router.last_diff(self._spec.market)
        last_ns = 0 if applied is None else applied.received_ns
        self._too_old.on_book(last_ns)
        is_silent = last_ns < (pending.sent_ns or pending.asked_ns) - to_ns(self._context.policy.first_data_s)
        if self._too_old.on_too_old(now_ns):
            self._die(pending, now_ns)
            return
        self._failed(now_ns)
        if is_silent and self._live:
            self._silence.on_weakened(now_ns)  # to find out soon whether the node lags or the ids were reset
            self._set_look()

    def _on_overdue(self, now_ns: int) -> None:
        """The snapshot is ahead, and the diff that reaches it has not come."""
        pending = self._pending
        if pending is None:
            return
        match self._overdue.look(pending.sent_ns, now_ns):
            case Progress.AWAITED:
                pass
            case Progress.PASSED:
                self._context.router.end_refresh(self._spec.market)
                self._failed(now_ns)
            case Progress.MISSING:
                self._settle(pending, now_ns)

    def _settle(self, pending: PendingRequest, now_ns: int) -> None:
        """No diff will reach the snapshot that is ahead: its content decides."""
        result = self._context.router.settle_refresh(self._spec.market, now_ns)
        if result.comparison is not None:
            self.on_refreshed(result.comparison, now_ns)
        elif result.outcome is RefreshOutcome.OTHER_BOOK:
            self._die(pending, now_ns)
        elif not self._overdue.waits_once_more(now_ns):
            self._failed(now_ns)

    def _die(self, pending: PendingRequest, now_ns: int) -> None:
        self._pending = None
        self._on_dead(pending.sent_ns or pending.asked_ns, now_ns)

    def _failed(self, now_ns: int) -> None:
        """Try again with growing pauses."""
        self._pending = None
        self._retry.on_failed(now_ns)
        self._tell_not_compared()
        if self._live:
            self._silence.on_unknown(now_ns)
            self._set_look()
            if self._audits.limit is not None:
                self._context.deadlines.set(Timer.SILENCE, self._spec.market, self._retry.not_before_ns)

    def _look(self, now_ns: int) -> None:
        """Compare a silent book with the exchange, unless a diff came meanwhile."""
        if self._audits.limit is not None and self._pending is None:
            self._ask_audit(now_ns)
            return
        market = self._spec.market
        if self._book.status is not Status.STALE:  # diffs that came while it was stale prove nothing
            heard = self._context.router.heard(market)
            self._silence.on_data(0 if heard is None else heard.received_ns)
        due_ns = self._silence.next_look_ns()
        if due_ns > now_ns:
            self._context.deadlines.set(Timer.SILENCE, market, due_ns)
        elif self._pending is None:
            self._ask(Purpose.CHECK, self._limits.cheapest, now_ns)
        elif self._pending.sent_ns is None and self._pending.purpose is Purpose.DEEPEN:
            self._withdraw()
            self._ask(Purpose.CHECK, self._limits.cheapest, now_ns)

    def _set_look(self) -> None:
        self._context.deadlines.set(Timer.SILENCE, self._spec.market, self._silence.next_look_ns())


@dataclass(slots=True)
class _Audit:
    """A pending audit."""

    audit: int
    limit: int


class _Audits:
    """The audits that wait for a comparison of one book."""

    def __init__(self, context: Context, limits: SnapshotLimits) -> None:
        self._context, self._limits = context, limits
        self._waiting: list[_Audit] = []

    @property
    def limit(self) -> int | None:
        """The snapshot limit that is enough for all of them; None if none waits."""
        return max((each.limit for each in self._waiting), default=None)

    def add(self, audit: int, limit: int) -> None:
        """Add an audit."""
        self._waiting.append(_Audit(audit, limit))

    def on_limits(self) -> None:
        """The exchange refused a limit."""
        for each in self._waiting:
            each.limit = self._limits.allowed(each.limit)

    def on_compared(self, limit: int, found: Comparison) -> None:
        """The book was compared with a snapshot of that limit: audits that need no higher limit are done."""
        done = [each for each in self._waiting if each.limit <= limit]
        self._waiting = [each for each in self._waiting if each.limit > limit]
        self._context.notices += [AuditDone(each.audit, found, "") for each in done]

    def end_all(self, reason: str, refusal: RequestRefusal | None) -> None:
        """End all of them without a result."""
        self._context.notices += [AuditDone(each.audit, None, reason, refusal) for each in self._waiting]
        self._waiting.clear()


class _RefreshInterval:
    """When a book is due to be refreshed."""

    def __init__(self, seconds: float) -> None:
        self._begun_ns = 0
        self.set(seconds)

    def set(self, seconds: float) -> None:
        """Set the interval; 0 for never."""
        self._every_ns = to_ns(seconds)
        self.due_ns: int = self._begun_ns + self._every_ns if self._every_ns else NEVER_NS

    def begin(self, now_ns: int) -> None:
        """The book was just refreshed."""
        self._begun_ns = now_ns
        self.due_ns = now_ns + self._every_ns if self._every_ns else NEVER_NS
