"""The supervisor of one market: how to get its book synced, and when to give up.

The book itself (native or reference) decides from ids whether it is right. The supervisor acts on its status
alone, never on the order of causes:

- live (the subscription was acknowledged, or data came) and empty or buffering: a snapshot is needed. It is
  requested only now, so that it is provably newer than the subscription. If the venue's stream of the best
  levels matches its diffs and the user wants it, that stream may deliver one first, at no weight.
- The first loss of sync (gap, reset, malformed diff, crossed for too long) is repaired at once, repeated ones
  after growing pauses; a snapshot that is too old, or a failed request, has its own pauses.
- synced: maintained without losing sync (`maintenance`). A book that the exchange has left behind is stale
  until data flows again or a later comparison clears it. So is a silent book that was not confirmed in time
  because comparing it fails.
- A refused snapshot is one response, weighed against diffs and the list of symbols (`refusals`): only if they
  agree is this market closed or halted; otherwise the request is repeated.
- not live: nothing to do. The connection comes back by itself (`connections.connection`).

Budgets are in `requests.scheduler`, connections in `connections.streams` and `connections.connection`.
"""

from __future__ import annotations

from depthcache.core import reasons
from depthcache.core.connections.control_messages import ErrorReply
from depthcache.core.connections.streams import Streams
from depthcache.core.context import Context, MarketSpec
from depthcache.core.markets.bootstrap import Bootstrap
from depthcache.core.markets.maintenance import Maintenance
from depthcache.core.markets.pauses import Pauses
from depthcache.core.markets.refusals import Refusals
from depthcache.core.markets.snapshot_clock import SnapshotClock
from depthcache.core.markets.snapshot_limits import SnapshotLimits
from depthcache.core.markets.uptime import Uptime
from depthcache.core.markets.watchdogs import Bridging, Lateness, TooOldWatch
from depthcache.core.notices import CopyFailed, Ending, StatusChanged
from depthcache.core.policy import to_ns
from depthcache.core.requests.exchange_info import ExchangeInfoPoller, Trading
from depthcache.core.requests.held_symbols import HeldSymbols
from depthcache.core.requests.responses import ClassifiedResponse, ResponseAction
from depthcache.core.requests.scheduler import PendingRequest, Purpose, Requester, RequestScheduler
from depthcache.core.servers import NOT_HELD, is_end_of_symbol
from depthcache.core.timers import Timer
from depthcache.engine import Condition
from depthcache.errors import MalformedSnapshot, SymbolMismatch
from depthcache.events import MarketChange
from depthcache.model import SnapshotOutcome, Status
from depthcache.venues.venue import Venue

__all__ = ["Supervisor"]

_TIMERS = (
    Timer.SNAPSHOT,
    Timer.CROSSED,
    Timer.BRIDGING,
    Timer.SILENCE,
    Timer.OVERDUE,
    Timer.BOOTSTRAP,
    Timer.STATE,
)
_WITHOUT_SNAPSHOT = (Status.EMPTY, Status.BUFFERING)
_COPY_TIMEOUT_S = 2.0
_COPY_LAG_NS = to_ns(1.0)
"""The book of another node may be this much behind the exchange."""
_MOST_OLD_COPIES = 5
_OLD_COPY_NS = to_ns(0.2)
_OF_THE_BOOK = (*_WITHOUT_SNAPSHOT, Status.BRIDGING, Status.SYNCED, Status.CROSSED)


_ONE_ROUND_NS = to_ns(10.0)
"""Refusals of several book servers within this time are one answer: none of them holds the symbol."""


class Supervisor(Requester):
    """One market. Usage: report events of its slot, then changes, responses and timers."""

    takes_diffs = True

    def __init__(
        self,
        context: Context,
        spec: MarketSpec,
        *,
        scheduler: RequestScheduler,
        copies: RequestScheduler,
        streams: Streams,
        listing: ExchangeInfoPoller,
        held_symbols: HeldSymbols,
    ) -> None:
        """`scheduler`: for requests to the exchange. `copies`: for those to other book servers."""
        market, venue = spec.market, spec.venue
        self.market: int = market
        self.owner: str = f"market {market}"
        self.venue: Venue = venue
        self.symbol: str = spec.symbol
        self.stream: str = spec.stream
        self.scheduler = scheduler
        self._copies = copies
        self.streams = streams
        self.ending: Ending | None = None
        self.uptime: Uptime = Uptime()
        self._context, self._listing, self._held_symbols = context, listing, held_symbols
        self._book = context.router.reader(market, serve_stale=True)
        self._diffs = _DiffStream(context, market)
        self.limits: SnapshotLimits = SnapshotLimits(context, spec)
        self.clock: SnapshotClock = SnapshotClock(context, spec)
        self.late: Lateness = Lateness(context, market, self.clock, on_change=self._show)
        self.maintenance: Maintenance = Maintenance(
            context, spec, limits=self.limits, scheduler=scheduler, book=self._book, made=self.clock,
            server=self.server, on_dead=self._on_dead, on_confirmed=self._on_confirmed,
            on_refused=self._on_refusal,
        )  # fmt: skip
        top = venue.top(spec.symbol) if context.policy.bootstrap_from_depth20 else None
        self.bootstrap: Bootstrap | None = None if top is None else Bootstrap(context, market, top, streams)
        self._copies_instead = False
        """Whether that stream was not begun because the book was to be copied."""
        self._pauses = Pauses(context)
        self._refusals = Refusals(self._pauses)
        self._bridging = Bridging(context, market, self._book)
        self._too_old = TooOldWatch(venue.snapshot_lag_s)
        self._pending: PendingRequest | None = None
        self._is_copy = False
        """Whether the last snapshot that was installed is a copy."""
        self._old_copies = 0
        """How often in a row a copy was older than the buffered diffs."""
        self._ended_because = ""
        self._machine_state = Status.EMPTY
        """The state of the market machine, without conditions."""
        self._noticed: Status | None = Status.EMPTY
        """The last status reported to users."""
        self._synced_ns: int | None = None
        """When the book became live; None if it is not."""
        self._was_synced = False
        self._not_held: dict[int, int] = {}
        """The book servers that do not hold the symbol, with the time of each refusal."""
        self._held_by_none = ""
        """Why the book ends once similar symbols are known; empty if it does not."""
        scheduler.need(market, self.limits.weight)

    # --- getters ---------------------------------------------------------------------------

    def server(self) -> int | None:
        """The number of the book server that has this book."""
        return self.streams.server(self.stream)

    @property
    def is_halted(self) -> bool:
        """Whether the exchange lists the symbol as not trading, or refuses its snapshots for that reason."""
        return bool(self._refusals.halted)

    @property
    def is_doubted(self) -> bool:
        """Whether responses of the exchange contradict the symbol."""
        return self._refusals.is_doubted

    @property
    def resume_id(self) -> int | None:
        """The update id from which the book can continue; None if it must be rebuilt, as at an exchange."""
        return self._book.last_update_id if self._resumes else None

    @property
    def _resumes(self) -> bool:
        return bool(self.venue.servers) and self._machine_state is Status.SYNCED

    @property
    def heard_ns(self) -> int | None:
        """When the last diff arrived, on any connection."""
        return self._diffs.heard_ns

    # --- commands --------------------------------------------------------------------------

    def recover(self, now_ns: int) -> None:
        """Restart after an exception: schedule what the state of the book requires."""
        if self.ending:
            self._set_condition("closed", self._ended_because, now_ns)
            self.streams.remove(self.stream, now_ns)
            self._listing.forget(self)
            return
        self._give_up_request()
        self.maintenance.end()
        self.streams.retell(self.stream, now_ns)
        self._show(now_ns)
        if (
            status := self._book.status
        ) not in _OF_THE_BOOK:  # a condition hides the state of the book: start over
            self._context.router.resync(self.market, reasons.INTERNAL_ERROR_WITH_BOOK, now_ns)
            status = Status.BUFFERING
        self._machine_state, self._synced_ns = Status.EMPTY, None
        self._become(Status(status), now_ns)
        if self.is_doubted:
            self._listing.look(now_ns, whole=True)
        self._context.deadlines.set(Timer.SNAPSHOT, self.market, now_ns)

    def end(self, ending: Ending, reason: str, now_ns: int) -> None:
        """Close the book for good; it stays known, with the reason."""
        self.ending, self._ended_because = ending, reason
        self._diffs.live = False
        self._give_up_request()
        self.maintenance.close(reason)
        self.scheduler.need(self.market, 0)
        if self.bootstrap is not None:
            self.bootstrap.stop(now_ns)
        self._context.deadlines.clear(self.market, *_TIMERS)
        self._set_condition("closed", reason, now_ns)

    def resync(self, reason: str, now_ns: int) -> None:
        """Rebuild the book, unless that is already under way; at once, since a request is no relapse."""
        if self._diffs.live and self._machine_state not in _WITHOUT_SNAPSHOT:
            self._pauses.on_wish()
            self._resync(reason, now_ns)

    def set_depth(self, depth: int) -> None:
        """Keep this many complete levels a side from now on."""
        self.limits.on_depth(depth)

    def ask_again(self, now_ns: int) -> None:
        """There is another source of a first snapshot: ask it now."""
        if self.ending:
            return
        self._give_up_request()
        self._pauses.end(now_ns)
        self._old_copies = 0
        self._decide(now_ns)

    def look_for_proof(self, now_ns: int) -> None:
        """Mark a silent book that cannot be compared as stale, until data or a comparison confirms it."""
        if self.maintenance.look_for_proof(now_ns):
            self._show(now_ns)

    def show_again(self, now_ns: int) -> None:
        """A connection was lost that the book does without: the router may have shown it as disconnected."""
        if not self.ending:
            self._show(now_ns)

    def take_notice(self, now_ns: int) -> StatusChanged | None:
        """The status that users have not been told yet; None if there is none."""
        status = self._book.status
        if status == self._noticed:
            return None
        self._noticed = status
        self.uptime.on_status(status, self._book.confirmed_ns, now_ns)
        return StatusChanged(self.market, status, self._book.reason, now_ns, self.ending, self._refusals.near)

    # --- what its slot reports -------------------------------------------------------------

    def on_connected(self, now_ns: int) -> None:
        """Diffs come from a new connection from now on."""
        if self._diffs.attached:
            self.uptime.on_reconnect(now_ns)
            if not self._resumes:
                self._start_over(reasons.CONNECTION_NEW, now_ns)
        self._diffs.attached = True

    def on_live(self, now_ns: int) -> None:
        """The subscription was acknowledged, or data arrived."""
        if self._diffs.live or self.ending:
            return
        self._diffs.on_live(now_ns)
        self._not_held.clear()
        self._held_by_none = ""
        self._await_state(now_ns)
        self._show(now_ns)
        self._decide(now_ns)

    def on_disconnected(self, reason: str, now_ns: int) -> None:
        """The connection was lost, or could not be made."""
        if self.ending:
            return
        self._diffs.on_disconnected(reason)
        self._give_up_request()
        self.maintenance.end()
        self._context.deadlines.clear(self.market, *_TIMERS)
        self._show(now_ns)

    def on_weakened(self, now_ns: int, *, is_silent: bool) -> None:
        """One of several connections was lost. `is_silent`: the others have delivered nothing yet."""
        if is_silent:
            self.maintenance.on_weakened(now_ns)
        self.show_again(now_ns)

    def on_doubted(self) -> None:
        """The connection delivered no data at all; only data clears this market of doubt."""
        self._diffs.strikes += 1

    def on_refused(self, error: ErrorReply, now_ns: int) -> None:
        """The exchange refused the stream: the symbol may not exist."""
        if self.ending:
            return
        if self.venue.servers:
            self._on_refused_by_server(error, now_ns)
            return
        self._set_reason(reasons.stream_refused(error.code, error.text), now_ns)
        if self._pending is None:
            self._ask(Purpose.CHECK, self.limits.cheapest, now_ns)

    def _on_refused_by_server(self, error: ErrorReply, now_ns: int) -> None:
        """A book server does not hold the symbol, or does not speak this protocol; another one may."""
        is_missing = error.code == NOT_HELD
        refused = reasons.other_protocol(reasons.stream_refused(error.code, error.text))
        reason = self._of_server(error.text if is_missing else refused)
        if is_missing:
            recent = (
                (each, at_ns) for each, at_ns in self._not_held.items() if now_ns - at_ns < _ONE_ROUND_NS
            )
            self._not_held = {**dict(recent), self.server() or 0: now_ns}
        servers = self._context.servers
        asked = [each for each in servers.numbers() if servers.is_proven(each)]
        if is_missing and not self._was_synced and self._not_held.keys() >= set(asked):
            self._end_as_unknown(reason, now_ns)
        self.on_disconnected(reason, now_ns)

    def _end_as_unknown(self, reason: str, now_ns: int) -> None:
        """No book server holds the symbol: end the book as soon as the last one has named similar symbols."""
        is_asked = bool(self._held_by_none)
        others = [self.venue.server_name(each) for each in sorted(self._not_held) if each != self.server()]
        self._held_by_none = reasons.held_by_none(reason, others)
        if not is_asked:
            self._held_symbols.ask(self, self.server(), now_ns)

    def on_near(self, near: tuple[str, ...], now_ns: int) -> None:
        """The server has named symbols similar to this one, or does not answer."""
        if self._held_by_none and not self.ending:
            self._refusals.near = near
            self._close(Ending.UNKNOWN_SYMBOL, self._held_by_none, now_ns)

    def _of_server(self, reason: str) -> str:
        return reasons.of_server(self.venue.server_name(self.server() or 0), reason)

    # --- what happened to the book ---------------------------------------------------------

    def on_change(self, change: MarketChange, now_ns: int) -> None:
        """The book has changed its state."""
        if self.ending:
            return
        self._context.touched[self.market] = self
        if not change.causes.isdisjoint(("first_data", "confirmed")):
            self._on_data(now_ns)
        self._become(Status(change.status), now_ns)
        if "upstream" in change.causes:
            self._on_upstream(now_ns)
            if self.ending:
                return
        if "doubted" in change.causes:
            self.maintenance.on_doubted(now_ns)
        if "proven" in change.causes:  # the doubt may have come and gone without a report
            self._noticed = None
        if change.comparison is not None and self._synced_ns is not None:
            self.maintenance.on_refreshed(change.comparison, now_ns)
        self._decide(now_ns)

    def on_top(self, frame: bytes, now_ns: int) -> None:
        """The stream of the best levels delivered a frame."""
        if self.bootstrap is None or self.ending or not self._diffs.live:
            return
        body = self.bootstrap.body(frame)
        if (
            self._machine_state is Status.SYNCED and self._book.status is not Status.STALE
        ):  # it may be outdated
            self.maintenance.heal(body, self.venue.top_levels, now_ns)
        if self._machine_state not in _WITHOUT_SNAPSHOT or self._is_copying:
            return
        try:
            outcome = self.clock.install(
                body, limit=self.venue.top_levels, live=True, sent_ns=None, now_ns=now_ns
            )
        except (MalformedSnapshot, SymbolMismatch):
            return
        self._refusals.on_snapshot()
        self._show(now_ns)
        if outcome is not SnapshotOutcome.TOO_OLD:
            self._is_copy = False
            self._give_up_request()
            self._installed(outcome, self.venue.top_levels, now_ns)

    def on_response(
        self, pending: PendingRequest, response: ClassifiedResponse, body: bytes, now_ns: int
    ) -> None:
        """A response to a snapshot request arrived."""
        if pending is not self._pending or self.ending:
            return
        self._pending = None
        if pending.copied_from:
            self._on_copy(pending, response, body, now_ns)
            self._decide(now_ns)
            return
        match response.action:
            case ResponseAction.UNKNOWN | ResponseAction.IDLE:
                self.maintenance.reject(pending, response)
                self._on_refusal(response, now_ns)
            case ResponseAction.LIMIT if (
                instead := self.maintenance.refuse_limit(pending, response, now_ns)
            ) is not None:
                if pending.purpose is Purpose.CHECK:
                    self._ask(Purpose.CHECK, instead, now_ns)
            case ResponseAction.LIMIT | ResponseAction.REFUSED:
                self.maintenance.reject(pending, response)
                self._failed(pending, response.reason, now_ns)
            case ResponseAction.INSTALL if pending.purpose is Purpose.CHECK:
                self._refusals.on_snapshot()
            case ResponseAction.INSTALL:
                self._install(pending, body, now_ns)
            case ResponseAction.STOP:
                stopped_s = self.scheduler.budget.stopped_s(now_ns)
                self._set_reason(reasons.requests_stopped(response.reason, stopped_s), now_ns)
            case ResponseAction.RETRY:
                self._failed(pending, response.reason, now_ns)
        self._decide(now_ns)

    def on_failure(self, pending: PendingRequest, reason: str, now_ns: int) -> None:
        """A snapshot request got no response."""
        if pending is self._pending and not self.ending:
            self._pending = None
            if pending.copied_from:
                self._on_copy_failed(pending, reason, now_ns)
            else:
                self._failed(pending, reason, now_ns)
            self._decide(now_ns)

    def on_timer(self, timer: Timer, now_ns: int) -> None:
        """A deadline of this market is due."""
        match timer:
            case Timer.SNAPSHOT | Timer.BOOTSTRAP:
                self._decide(now_ns)
            case Timer.STATE:
                self._on_no_state(now_ns)
            case Timer.CROSSED if self._machine_state is Status.CROSSED and not self.is_halted:
                self._resync(reasons.crossed_for(self._context.policy.crossed_s), now_ns)
            case Timer.BRIDGING if self._machine_state is Status.BRIDGING and self._is_copy:
                self._pauses.on_wish()
                self._resync(reasons.NOT_CONFIRMED, now_ns)
            case Timer.BRIDGING if self._machine_state is Status.BRIDGING and not self._bridging.goes_on(
                now_ns
            ):
                self._resync(reasons.NOT_CONFIRMED, now_ns)
            case Timer.SILENCE | Timer.OVERDUE if self._diffs.live:
                self.maintenance.on_timer(timer, now_ns)
            case _:
                pass

    def on_listed(
        self, trading: Trading, status: str, near: tuple[str, ...], *, asked_ns: int, now_ns: int
    ) -> None:
        """The list of symbols, requested at `asked_ns`, arrived."""
        if self.ending or trading is Trading.UNTOLD:
            return
        end, words = self._refusals.on_list(
            trading,
            status,
            near,
            was_synced=self._was_synced,
            heard_ns=self.heard_ns,
            asked_ns=asked_ns,
            now_ns=now_ns,
        )
        if end is not None:
            self._close(*end, now_ns)
            return
        self._set_reason(words, now_ns)
        self._show(now_ns)
        self._decide(now_ns)

    # --- decisions -------------------------------------------------------------------------

    def _decide(self, now_ns: int) -> None:
        """Request a snapshot if one is needed and allowed; the only place that does."""
        if not self._diffs.live or self._machine_state not in _WITHOUT_SNAPSHOT or not self._is_served():
            return
        if self._pending is not None:
            if self._pending.purpose is not Purpose.CHECK:
                return
            self._give_up_request()
        copied_from = self._copied_from()
        if copied_from is None and self._copies_instead:
            self.start_bootstrap(now_ns)
        if copied_from is None and self.bootstrap is not None and self.bootstrap.may_come(now_ns):
            return
        due_ns = max(self._pauses.not_before_ns, self._diffs.awaited_until_ns)
        if due_ns > now_ns:
            self._context.deadlines.set(Timer.SNAPSHOT, self.market, due_ns)
            return
        self._context.deadlines.clear(self.market, Timer.SNAPSHOT)
        purpose = Purpose.RESYNC if self._was_synced else Purpose.FIRST
        if copied_from is not None:
            self._ask_copy(copied_from, purpose, now_ns)
            return
        self._ask(purpose, self.limits.first, now_ns, deep_limit=self.limits.full)

    def _copied_from(self) -> str | None:
        """Where to copy the book from; None for a snapshot of the exchange."""
        return None if self.venue.servers else self._context.copy_from(self.venue.name, self.symbol)

    def _is_served(self) -> bool:
        """Whether a snapshot can be had: of a book server only while its own book is synced."""
        return not self.venue.servers or self._upstream()[0] is Status.SYNCED

    def _upstream(self) -> tuple[Status, str] | tuple[None, str]:
        """What the book server says of its own book; None before it has said anything."""
        status, reason = self._context.router.upstream(self.market) or (None, "")
        return (None, "") if status is None else (Status(status), reason)

    def _await_state(self, now_ns: int) -> None:
        """A book server says what its book is at once; what only looks like one does not."""
        if self.venue.servers and self._upstream()[0] is None:
            at_ns = now_ns + to_ns(self._context.policy.reply_timeout_s)
            self._context.deadlines.set(Timer.STATE, self.market, at_ns)

    def _on_no_state(self, now_ns: int) -> None:
        if self._diffs.live and self._upstream()[0] is None:
            self._diffs.down = self._of_server(reasons.NO_STATE)
            self._show(now_ns)

    def _on_upstream(self, now_ns: int) -> None:
        """The book server says what its own book is."""
        status, reason = self._upstream()
        self._context.deadlines.clear(self.market, Timer.STATE)
        if self._diffs.live and self._diffs.down:
            self._diffs.down = ""
            self._show(now_ns)
        if status is Status.CLOSED and is_end_of_symbol(reason):
            ending = Ending.DELISTED if self._was_synced else Ending.UNKNOWN_SYMBOL
            self._close(ending, reason, now_ns)
        elif status is not Status.SYNCED or self._machine_state in _WITHOUT_SNAPSHOT:
            self._give_up_request()  # its response may be older than what the server has said
            self.maintenance.end()
            self.look_for_proof(now_ns)
        elif self._synced_ns is not None and not self.maintenance.is_live:  # after a lost connection
            self.maintenance.begin(now_ns)
            self.look_for_proof(now_ns)

    def _become(self, status: Status, now_ns: int) -> None:
        """React to a change of the book's own state."""
        before, self._machine_state = self._machine_state, status
        deadlines, policy = self._context.deadlines, self._context.policy
        if status is not Status.CROSSED:
            deadlines.clear(self.market, Timer.CROSSED)
        if status is not Status.BRIDGING:
            deadlines.clear(self.market, Timer.BRIDGING)
        if status is Status.CROSSED and before is not Status.CROSSED:
            deadlines.set(Timer.CROSSED, self.market, now_ns + to_ns(policy.crossed_s))
        if status is Status.BRIDGING and before is not Status.BRIDGING:
            if self._is_copy:
                at_ns = max(now_ns, self._diffs.live_ns) + _COPY_LAG_NS
                deadlines.set(Timer.BRIDGING, self.market, at_ns)
            else:
                self._bridging.begin(now_ns)
        if status in _WITHOUT_SNAPSHOT and before not in _WITHOUT_SNAPSHOT:
            self._relapse(now_ns)
        if status in (Status.SYNCED, Status.CROSSED) and self._synced_ns is None:
            self._synced_ns, self._was_synced = now_ns, True
            self.scheduler.need(self.market, 0)
            self.maintenance.begin(now_ns)
            self.look_for_proof(now_ns)
            self._leave_bootstrap(now_ns)

    def start_bootstrap(self, now_ns: int) -> None:
        """Wait for the stream of the best levels, unless the book is to be copied."""
        if self.bootstrap is None:
            return
        self._copies_instead = self._copied_from() is not None
        if not self._copies_instead:
            self.bootstrap.start(now_ns)

    def _leave_bootstrap(self, now_ns: int) -> None:
        """Keep the stream of the best levels until a snapshot has delivered more levels."""
        if self.bootstrap is not None and self.limits.held > self.venue.top_levels:
            self.bootstrap.stop(now_ns)

    def _relapse(self, now_ns: int) -> None:
        """The book lost sync: repair it at once, or after a pause if that happens repeatedly."""
        self.maintenance.end()
        self.look_for_proof(now_ns)
        self.scheduler.need(self.market, self.limits.weight)
        if self._pauses.on_relapse(self._synced_ns, now_ns):
            self.start_bootstrap(now_ns)
        self._synced_ns = None

    def _resync(self, reason: str, now_ns: int) -> None:
        self._context.router.resync(self.market, reason, now_ns)
        self._context.touched[self.market] = self
        self._become(Status.BUFFERING, now_ns)
        self._decide(now_ns)

    def _start_over(self, reason: str, now_ns: int) -> None:
        """Drop the buffer: diffs will come from another subscription."""
        self._context.router.restart(self.market, reason, now_ns)
        self._context.touched[self.market] = self
        self._give_up_request()
        self.maintenance.end()
        self.look_for_proof(now_ns)
        self._context.deadlines.clear(self.market, *_TIMERS)
        self.scheduler.need(self.market, self.limits.weight)
        self.start_bootstrap(now_ns)
        self._machine_state = Status.BUFFERING
        self._diffs.start_over()
        self._synced_ns = None
        self._pauses.clear()

    # --- snapshots -------------------------------------------------------------------------

    def _ask(self, purpose: Purpose, limit: int, now_ns: int, *, deep_limit: int | None = None) -> None:
        self._pending = PendingRequest(
            self, self.venue, purpose, now_ns, symbol=self.symbol, limit=limit, deep_limit=deep_limit
        )
        self.scheduler.ask(self._pending, now_ns)

    def _install(self, pending: PendingRequest, body: bytes, now_ns: int) -> None:
        live = self.clock.is_newer(pending.sent_ns, self._diffs.live_ns)
        try:
            outcome = self.clock.install(
                body, limit=pending.answered_limit, live=live, sent_ns=pending.sent_ns, now_ns=now_ns
            )
        except (MalformedSnapshot, SymbolMismatch) as error:
            self._failed(pending, reasons.snapshot_not_taken(error), now_ns)
            return
        self._is_copy = False
        self._refusals.on_snapshot()
        self.limits.on_answered(pending.told_limit)
        self._show(now_ns)
        if outcome is SnapshotOutcome.TOO_OLD:
            self._wait_for_younger(now_ns)
        else:
            self._installed(outcome, pending.limit, now_ns)

    @property
    def _is_copying(self) -> bool:
        return self._pending is not None and bool(self._pending.copied_from)

    def _ask_copy(self, copied_from: str, purpose: Purpose, now_ns: int) -> None:
        limit = self.limits.of_copy
        own_url = self.venue.snapshot_url(self.symbol, limit)
        url = copied_from + own_url.removeprefix(self.venue.endpoints.rest)
        self._pending = PendingRequest(
            self,
            self.venue,
            purpose,
            now_ns,
            symbol=self.symbol,
            limit=limit,
            url=url,
            copied_from=copied_from,
            timeout_s=_COPY_TIMEOUT_S,
        )
        self._copies.ask(self._pending, now_ns)

    def _on_copy(
        self, pending: PendingRequest, response: ClassifiedResponse, body: bytes, now_ns: int
    ) -> None:
        """A book server gave its book, or refused.

        Its book lags behind the exchange by the delay of its own stream, so a copy is newer than this
        client's subscription only if it was requested a while later. Until then a diff must confirm it.
        """
        if response.action is not ResponseAction.INSTALL:
            self._on_copy_failed(pending, response.reason, now_ns)
            return
        is_live = (pending.sent_ns or 0) >= self._diffs.live_ns + _COPY_LAG_NS
        try:
            outcome = self.clock.install(
                body, limit=pending.answered_limit, live=is_live, sent_ns=None, now_ns=now_ns
            )
        except (MalformedSnapshot, SymbolMismatch) as error:
            self._on_copy_failed(pending, reasons.snapshot_not_taken(error), now_ns)
            return
        if outcome is SnapshotOutcome.TOO_OLD:
            self._on_old_copy(pending, now_ns)
            return
        self._old_copies = 0
        self._is_copy = True
        self._refusals.on_snapshot()
        self._show(now_ns)
        self._installed(outcome, pending.answered_limit, now_ns)

    def _on_old_copy(self, pending: PendingRequest, now_ns: int) -> None:
        """The stream of the other node may be slower: its book soon has the diffs that are missing."""
        self._old_copies += 1
        if self._old_copies >= _MOST_OLD_COPIES:
            self._old_copies = 0
            self._on_copy_failed(pending, reasons.COPY_TOO_OLD, now_ns)
        else:
            self._pauses.not_before_ns = now_ns + _OLD_COPY_NS

    def _on_copy_failed(self, pending: PendingRequest, reason: str, now_ns: int) -> None:
        self._context.notices.append(CopyFailed(self.market, pending.copied_from, reason))
        self._pauses.on_failed(now_ns)
        self._set_reason(reasons.copy_failed(reason), now_ns)

    def _installed(self, outcome: SnapshotOutcome, limit: int, now_ns: int) -> None:
        self.limits.held = limit
        self._too_old.on_fitting()
        after = Status.BUFFERING if outcome is SnapshotOutcome.GAP else Status(outcome.value)
        if outcome is SnapshotOutcome.GAP:
            self._relapse(now_ns)
        elif after is Status.SYNCED and self._book.status == Status.CROSSED:
            after = Status.CROSSED
        self._become(after, now_ns)

    def _wait_for_younger(self, now_ns: int) -> None:
        """The buffered diffs start after the snapshot: keep them, a later snapshot will fit."""
        self._pauses.on_too_old(self._too_old.tries, now_ns)
        reason = reasons.SNAPSHOT_TOO_OLD
        self._set_reason(reason, now_ns)
        if doubts := self._too_old.on_too_old(now_ns):
            since_ns = now_ns - to_ns(self._context.policy.silence_s)
            self.streams.on_silent_stream(
                self.stream, attempt=doubts, silent_since_ns=since_ns, reason=reason, now_ns=now_ns
            )

    def _failed(self, pending: PendingRequest, reason: str, now_ns: int) -> None:
        if pending.purpose is Purpose.CHECK:
            return
        self._pauses.on_failed(now_ns)
        self._set_reason(reasons.snapshot_failed(reason), now_ns)

    def _on_refusal(self, response: ClassifiedResponse, now_ns: int) -> None:
        """A snapshot was refused because of the symbol: one response, to be weighed against others."""
        if self.ending:
            return
        if self.venue.servers:
            self._pauses.on_failed(now_ns)
            self._set_reason(reasons.snapshot_failed(response.reason), now_ns)
            return
        is_live, is_unknown = self._synced_ns is not None, response.action is ResponseAction.UNKNOWN
        words = self._refusals.on_refused(response, is_live=is_live, heard_ns=self.heard_ns, now_ns=now_ns)
        self._show(now_ns)
        self._set_reason(words, now_ns)
        if not (is_unknown and words):  # otherwise the list is already requested
            self._listing.look(now_ns, whole=is_unknown)

    def _give_up_request(self) -> None:
        if self._pending is not None:
            self.scheduler.withdraw(self._pending)
            self._pending = None

    # --- silence ---------------------------------------------------------------------------

    def _on_dead(self, silent_since_ns: int, now_ns: int) -> None:
        """The exchange's book changed, but no diff came."""
        strikes, reason = self._diffs.strikes + 1, reasons.MOVED_ON
        self._start_over(reason, now_ns)
        self._diffs.doubt = reason
        self._show(now_ns)
        self._listing.look(now_ns)
        self.streams.on_silent_stream(
            self.stream, attempt=strikes, silent_since_ns=silent_since_ns, reason=reason, now_ns=now_ns
        )
        self._diffs.strikes = strikes

    def _on_confirmed(self, now_ns: int) -> None:
        """A comparison has confirmed the book."""
        self.late.on_proven(now_ns)
        self.look_for_proof(now_ns)
        self._leave_bootstrap(now_ns)
        self._clear_of_doubt(now_ns)
        if self._diffs.applied_ns < now_ns - to_ns(self._context.policy.silence_s):
            self._listing.look(now_ns)  # silent and right: it may not be trading

    def _on_data(self, now_ns: int) -> None:
        """Data came: all doubt is over."""
        self._diffs.on_data(now_ns)
        if self._refusals.on_diff(now_ns):
            self._show(now_ns)
        if self._diffs.live:
            self._clear_of_doubt(now_ns)

    def _clear_of_doubt(self, now_ns: int) -> None:
        if self._diffs.strikes:
            self._diffs.strikes, self._diffs.doubt = 0, ""
            self._show(now_ns)

    # --- what users see --------------------------------------------------------------------

    def _show(self, now_ns: int) -> None:
        """Set the worst known condition, or none."""
        if self._diffs.down:
            self._set_condition("disconnected", self._diffs.down, now_ns)
        elif self.is_halted:
            self._set_condition("halted", self._refusals.halted, now_ns)
            self._listing.on_halted(now_ns)
        elif reason := self._diffs.doubt or self.maintenance.unproven or self.late.reason:
            self._set_condition("stale", reason, now_ns)
        else:
            self._set_condition(None, "", now_ns)

    def _set_condition(self, condition: Condition | None, reason: str, now_ns: int) -> None:
        self._context.router.set_condition(self.market, condition, reason, now_ns)
        self._context.touched[self.market] = self

    def _set_reason(self, reason: str, now_ns: int) -> None:
        """Set the reason of a book that waits for a snapshot, by `resync`."""
        if self._machine_state in _WITHOUT_SNAPSHOT and reason:
            self._context.router.resync(self.market, reason, now_ns)
            self._machine_state = Status.BUFFERING
            self._context.touched[self.market] = self

    def _close(self, ending: Ending, reason: str, now_ns: int) -> None:
        self.end(ending, reason, now_ns)
        self.streams.remove(self.stream, now_ns)
        self._listing.forget(self)


class _DiffStream:
    """The diff stream of one market: whether it arrives, and whether it is trusted."""

    def __init__(self, context: Context, market: int) -> None:
        self._context, self._market = context, market
        self._has_data = False
        """Since the current subscription."""
        self._heard_ns: int | None = None
        self.attached: bool = False
        """Whether a connection ever carried it."""
        self.live: bool = False
        """Whether its subscription was acknowledged, or data came."""
        self.live_ns: int = 0
        self.awaited_until_ns: int = 0
        """Until when to wait for data before a snapshot is requested."""
        self.strikes: int = 0
        """How often in a row it delivered nothing although it should have."""
        self.down: str = ""
        """Why it does not arrive; empty if it does."""
        self.doubt: str = ""
        """Why it is not trusted although it arrives."""

    @property
    def heard_ns(self) -> int | None:
        """When the last diff arrived, on any connection."""
        times = [feed.heard_ns or 0 for feed in self._context.router.feeds(self._market)]
        self._heard_ns = max(*times, self.applied_ns, self._heard_ns or 0) or None
        return self._heard_ns

    @property
    def applied_ns(self) -> int:
        """When the last diff applied since the snapshot was received; 0 before one."""
        applied = self._context.router.last_diff(self._market)
        return 0 if applied is None else applied.received_ns

    def on_live(self, now_ns: int) -> None:
        """It is subscribed; after failures, only data or a waiting time makes it count as live."""
        self.live, self.live_ns, self.down = True, now_ns, ""
        if self._has_data:
            self.strikes = 0
        if not self.strikes:
            self.doubt = ""
            return
        policy = self._context.policy
        patience_s = min(policy.first_data_s * 2.0 ** min(self.strikes - 1, 30), policy.doubt_cap_s)
        self.awaited_until_ns = now_ns + to_ns(patience_s)
        self.doubt = reasons.AWAITING_DATA

    def on_data(self, now_ns: int) -> None:
        """The first diff of a subscription, or the one that confirmed the book."""
        self._has_data, self._heard_ns, self.awaited_until_ns = True, now_ns, 0

    def on_disconnected(self, reason: str) -> None:
        """No connection carries it."""
        self.live, self.down = False, reason or reasons.CONNECTION_GONE

    def start_over(self) -> None:
        """It will come from another subscription."""
        self.live = self._has_data = False
        self.awaited_until_ns = 0
