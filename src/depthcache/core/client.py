"""The core: policy without I/O. It opens no socket, reads no clock, takes no lock and writes no log.

Time and randomness are arguments, effects are return values. The runner carries out the commands and reports
what happened. Decisions are made elsewhere: `markets.supervisor` (one market), `requests.scheduler`
(requests), `connections.streams`, `connections.connection` and `connections.subscriptions` (connections),
`markets.watchdogs` (silence), `requests.responses` and `connections.control_messages` (messages of the
exchange).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from itertools import count
from typing import Literal, assert_never

from depthcache.core import reasons
from depthcache.core.commands import Command
from depthcache.core.connections.connection import ConnectionSlot
from depthcache.core.connections.streams import Streams
from depthcache.core.context import ConnectionHandler, Context, HandshakeRefusal, MarketSpec, from_exchange
from depthcache.core.markets.cross_check import CrossCheck, Source
from depthcache.core.markets.depth_scheduler import DepthScheduler
from depthcache.core.markets.supervisor import Supervisor
from depthcache.core.markets.uptime import Uptime
from depthcache.core.markets.watchdogs import time_to_detect_ns
from depthcache.core.notices import Ending, Notice, TroubleFound
from depthcache.core.policy import Policy, to_ns
from depthcache.core.requests.budget import Budget, Budgets
from depthcache.core.requests.exchange_clock import Clock, Estimate
from depthcache.core.requests.exchange_info import ExchangeInfoPoller
from depthcache.core.requests.held_symbols import HeldSymbols
from depthcache.core.requests.responses import classify_response
from depthcache.core.requests.scheduler import PendingRequest, RequestScheduler
from depthcache.core.servers import NodeUrl, Servers
from depthcache.core.timers import Timer
from depthcache.engine import Router
from depthcache.errors import InvalidArgument, UnknownSymbol
from depthcache.events import (
    ControlMessage,
    CoreEvent,
    MarketChange,
    StrayFrame,
    StreamFrame,
)
from depthcache.venues.venue import Venue

__all__ = ["ClientCore"]

_CONNECTION_TIMERS = frozenset(
    {
        Timer.CONNECT,
        Timer.OPENING,
        Timer.MESSAGE,
        Timer.REPLY,
        Timer.LIFE,
        Timer.RENEW,
        Timer.OVERLAP,
        Timer.IDLE,
    }
)
_KINDS = {
    Timer.BUDGET: "budget",
    Timer.PROOF: "proof",
    Timer.DEPTHS: "all",
    Timer.CLOCK: "clock",
    Timer.LISTING: "listing",
    Timer.HALTED: "listing",
    Timer.RESPONSE: "request",
}
"""Owners of deadlines other than slots and markets."""
_COPIES = "copies"
"""The queue of requests to other book servers, which cost no weight."""
_FREE = 1_000_000_000
_TROUBLES: tuple[Literal["gap", "reset", "crossed", "malformed"], ...] = (
    "gap",
    "reset",
    "crossed",
    "malformed",
)


class ClientCore:
    """All markets of one client.

    Usage: `add` markets; then report what happens with the `on_…` methods, in any order and at any time
    (unknown or outdated numbers are ignored). After each call carry out `take_commands`, deliver
    `take_notices`, and wake up at `next_wake_ns`. No `on_…` method raises because of what the exchange sends.
    Times are nanoseconds of the caller's monotonic clock.
    """

    def __init__(
        self,
        router: Router,
        *,
        random: Callable[[], float],
        policy: Policy = Policy(),  # noqa: B008
        budgets: Budgets | None = None,
        own_snapshots: bool = False,
        has_token: bool = True,
        node_url: NodeUrl | None = None,
        copy_from: Callable[[str, str], str | None] = from_exchange,
    ) -> None:
        """`router`: the engine.

        `random`: numbers for jitter. `budgets`: those shared with other clients of the same address; None
        creates its own. `own_snapshots`: snapshots come from the user's own source, which may have cached
        them for any time. `has_token`: requests to book servers carry a token. `node_url`: the
        URL of a node that a book server names; None to use only the servers of the venue. `copy_from`:
        whenever a book of an exchange and symbol needs a first snapshot, the base URL of a book server to
        copy it from; None for the exchange.
        """
        self._budgets = budgets or Budgets()
        servers = Servers(has_token=has_token, node_url=node_url)
        self._context = Context(
            router,
            policy,
            random,
            self._budgets,
            servers=servers,
            own_snapshots=own_snapshots,
            copy_from=copy_from,
        )
        self._copies = RequestScheduler(self._context, _COPIES, Budget(_FREE, _FREE, nullcontext()))
        self._markets: dict[int, Supervisor] = {}
        self._schedulers: dict[str, RequestScheduler] = {}
        # By name, because settings create a new Venue at each call.
        self._streams: dict[str, Streams] = {}
        self._listings: dict[str, ExchangeInfoPoller] = {}
        self._held_symbols: dict[str, HeldSymbols] = {}
        self._clocks: dict[str, Clock] = {}
        self._tops: dict[tuple[str, str], Supervisor] = {}
        self._cross_checks: dict[int, CrossCheck] = {}
        self._depth_scheduler = DepthScheduler(self._context, self._markets, self._schedulers)
        self._market_numbers = count(1)
        self._closed = False
        self._resumed_ns = 0
        """The end of the last pause of the machine or process."""

    # --- getters ---------------------------------------------------------------------------

    @property
    def policy(self) -> Policy:
        """The policy of this client."""
        return self._context.policy

    def uptime(self, market: int) -> Uptime | None:
        """The time in sync, losses and reconnects of a market; None if there is no such market."""
        supervisor = self._markets.get(market)
        return None if supervisor is None else supervisor.uptime

    def slots(self) -> list[ConnectionSlot]:
        """All groups of streams with their connections."""
        return [slot for streams in self._streams.values() for slot in streams.slots()]

    def schedulers(self) -> list[RequestScheduler]:
        """All weight budgets with their queues."""
        return list(self._schedulers.values())

    def access_refused(self, market: int) -> str:
        """Why no book server of a market accepts this client; empty if one may."""
        supervisor = self._markets.get(market)
        return "" if supervisor is None else self._context.servers.refused()

    def clock(self, market: int) -> Estimate | None:
        """The estimate of the clock of a market's exchange."""
        supervisor = self._markets.get(market)
        clock = None if supervisor is None else self._clocks.get(supervisor.venue.name)
        return None if clock is None else clock.estimate

    def clocks(self) -> dict[str, Estimate]:
        """The estimates of the clocks of all exchanges, those without one left out."""
        found = {name: clock.estimate for name, clock in self._clocks.items()}
        return {name: each for name, each in found.items() if each is not None}

    # --- commands of the application -------------------------------------------------------

    def add(self, venue: Venue, symbol: str, *, depth: int, speed_ms: int | None = None, now_ns: int) -> int:
        """Start keeping the book of a symbol (as spelled by `venues.parse_symbol`); return its number.

        Raises InvalidArgument for a depth or speed that the venue does not have, for a symbol that exists
        already, and if one snapshot costs more than the whole budget.
        """
        if self._closed:
            raise InvalidArgument(name="symbol", value=symbol, allowed="no new symbols: the client is closed")
        if venue.servers:
            venue = self._context.servers.begin(venue)
        weight = venue.snapshot_weight(venue.snapshot_limit(depth))
        depth = int(depth)
        stream = venue.stream(symbol, speed_ms)
        scheduler = self._scheduler(venue)
        streams = self._streams.get(venue.name)
        if streams is not None and stream in streams:
            raise InvalidArgument(
                name="symbol", value=symbol, allowed=f"a symbol that is not yet added on {venue.name}"
            )
        most = scheduler.budget.most(self.policy.limit_share)
        if weight > most:
            raise InvalidArgument(
                name="depth",
                value=depth,
                allowed=f"a depth that costs at most {most} weight at this share",
            )
        if streams is None:
            streams = self._streams[venue.name] = Streams(self._context, venue)
            self._listings[venue.name] = ExchangeInfoPoller(self._context, venue, scheduler)
            self._held_symbols[venue.name] = HeldSymbols(self._context, venue, scheduler)
            self._clocks[venue.name] = Clock(
                self._context,
                venue,
                scheduler,
                on_estimate=lambda known: self._on_clock_known(venue.name, known),
            )
        market = next(self._market_numbers)
        self._context.router.add_market(
            market,
            venue.name,
            symbol,
            venue.continuity,
            inverse=venue.family == "inverse",
            now_ns=now_ns,
        )
        if venue.servers:
            self._context.router.relay(market, now_ns)
        within_ns = time_to_detect_ns(self._context.policy, venue.snapshot_lag_s)
        self._context.router.set_time_to_detect(market, within_ns)
        supervisor = Supervisor(
            self._context,
            MarketSpec(market, venue, symbol, stream, depth),
            scheduler=scheduler,
            copies=self._copies,
            streams=streams,
            listing=self._listings[venue.name],
            held_symbols=self._held_symbols[venue.name],
        )
        self._markets[market] = supervisor
        streams.add(stream, supervisor, now_ns)
        if supervisor.bootstrap is not None:
            self._tops[venue.name, supervisor.bootstrap.stream] = supervisor
            supervisor.start_bootstrap(now_ns)
        self._listings[venue.name].watch(supervisor, now_ns)
        clock = self._clocks[venue.name]
        clock.begin(now_ns)
        if (known := clock.estimate) is not None:
            supervisor.clock.on_clock(known)
        self._depth_scheduler.begin(now_ns)
        self._collect_notices(now_ns)
        return market

    def remove(self, market: int, now_ns: int) -> None:
        """Stop keeping a book. Raises UnknownSymbol for an unknown number."""
        supervisor = self._markets.pop(market, None)
        if supervisor is None:
            raise UnknownSymbol(symbol=str(market), exchange=None, reason=reasons.NO_SUCH_MARKET)
        supervisor.streams.remove(supervisor.stream, now_ns)
        name = supervisor.venue.name
        self._listings[name].forget(supervisor)
        if supervisor.bootstrap is not None:
            self._tops.pop((supervisor.venue.name, supervisor.bootstrap.stream), None)
        if cross_check := self._cross_checks.pop(market, None):
            cross_check.stop(now_ns)
        if all(each.venue.name != name for each in self._markets.values()):
            self._clocks[name].end()
        if not self._markets:
            self._depth_scheduler.end()
        self._let_go(supervisor, Ending.REMOVED, reasons.REMOVED, now_ns)
        self._room(supervisor.scheduler, now_ns)

    def audit(self, market: int, audit: int, limit: int | None, now_ns: int) -> None:
        """Compare a book with a snapshot of that limit at one update id.

        Ends in one AuditDone with the number `audit`. `limit`: None uses that of the requested depth. Raises
        UnknownSymbol for an unknown market.
        """
        self._supervisor(market).maintenance.audit(audit, limit, now_ns)
        self._collect_notices(now_ns)

    def refresh_every(self, market: int, seconds: float | None) -> None:
        """Set how often a book is refreshed: None for the policy's interval, 0 for never.

        Raises UnknownSymbol.
        """
        self._supervisor(market).maintenance.refresh_every(seconds)

    def resync(self, market: int, reason: str, now_ns: int) -> None:
        """Discard a book and rebuild it from a new snapshot. Raises UnknownSymbol."""
        self._supervisor(market).resync(reason, now_ns)
        self._collect_notices(now_ns)

    def set_depth(self, market: int, depth: int) -> None:
        """Keep this many complete levels a side from now on. Raises UnknownSymbol."""
        self._supervisor(market).set_depth(depth)

    def ask_again(self, market: int, now_ns: int) -> None:
        """`copy_from` has another answer for a book without a snapshot. Raises UnknownSymbol."""
        self._supervisor(market).ask_again(now_ns)
        self._collect_notices(now_ns)

    def set_budget_share(self, share: float, now_ns: int) -> None:
        """Use only this part, above 0 and at most 1, of this client's request weight and connects."""
        self._context.budget_share = share
        for scheduler in self._schedulers.values():
            self._room(scheduler, now_ns)

    def start_cross_check(self, market: int, now_ns: int) -> None:
        """Start comparing a book with partial depth and bookTicker. Raises UnknownSymbol."""
        supervisor = self._supervisor(market)
        if market not in self._cross_checks:
            book = self._context.router.reader(market)
            cross_check = CrossCheck(self._context, market, supervisor.symbol, book, supervisor.streams)
            self._cross_checks[market] = cross_check
            cross_check.start(now_ns)

    def end_cross_check(self, market: int, now_ns: int) -> dict[str, Source]:
        """Stop comparing; return the result of each stream, empty if none was started."""
        cross_check = self._cross_checks.pop(market, None)
        if cross_check is None:
            return {}
        cross_check.stop(now_ns)
        return cross_check.sources

    def close(self, now_ns: int, reason: str = reasons.CLIENT_CLOSED) -> None:
        """Close all books and connections for good."""
        if self._closed:
            return
        self._closed = True
        for streams in self._streams.values():
            streams.shut()
        self._streams.clear()
        for supervisor in self._markets.values():
            with self._context.guard(supervisor.owner, "end", now_ns):
                self._let_go(supervisor, Ending.SHUTDOWN, reason, now_ns)
        self._markets.clear()

    # --- what happened ---------------------------------------------------------------------

    def on_open(self, connection: int, now_ns: int) -> None:
        """A connection is open."""
        if slot := self._context.slots_by_connection.get(connection):
            with self._context.guard(slot.owner, "on_open", now_ns):
                slot.on_open(now_ns)
            self._collect_notices(now_ns)

    def on_closed(
        self,
        connection: int,
        code: int | None,
        reason: str,
        now_ns: int,
        *,
        status: int | None = None,
        retry_after: str | None = None,
        date: str | None = None,
    ) -> None:
        """A connection was lost, or could not be made.

        `code`: the WebSocket close code, if any. `status`, `retry_after`, `date`: HTTP status and headers of
        a refused handshake.
        """
        if slot := self._context.slots_by_connection.get(connection):
            refusal = HandshakeRefusal(status, retry_after, date)
            with self._context.guard(slot.owner, "on_closed", now_ns):
                slot.on_closed(code, reason, now_ns, refusal=refusal)
        else:  # it was given up meanwhile
            for market, supervisor in self._markets.items():
                with self._context.guard(f"market {market}", "show_again", now_ns):
                    supervisor.show_again(now_ns)
        self._collect_notices(now_ns)

    def on_alive(self, connection: int, now_ns: int) -> None:
        """A connection has answered a ping from this side."""
        if slot := self._context.slots_by_connection.get(connection):
            self._on_alive(slot, now_ns)

    def on_response(
        self, request: int, status: int, headers: Mapping[str, str], body: bytes, now_ns: int
    ) -> None:
        """An HTTP response with any status arrived. Header names are in lower case."""
        scheduler = self._scheduler_of(request)
        if scheduler is None:
            return
        with self._context.guard(scheduler.requester_of(request), "on_response", now_ns):
            response = classify_response(
                status,
                headers,
                body,
                exchange_s=scheduler.budget.exchange_s(now_ns),
                is_served=scheduler.is_served(request),
                has_token=self._context.servers.has_token,
            )
            pending = scheduler.on_response(request, response, headers, now_ns)
            if pending is not None and (reason := self._is_of_before(pending, now_ns)):
                pending.requester.on_failure(pending, reason, now_ns)
            elif pending is not None:
                pending.requester.on_response(pending, response, body, now_ns)
        self._room(scheduler, now_ns)

    def on_failure(self, request: int, reason: str, now_ns: int) -> None:
        """There was no HTTP response: refused, reset or timed out."""
        scheduler = self._scheduler_of(request)
        if scheduler is None:
            return
        with self._context.guard(scheduler.requester_of(request), "on_failure", now_ns):
            pending = scheduler.on_failure(request, now_ns)
            if pending is not None:
                pending.requester.on_failure(pending, reason, now_ns)
        self._room(scheduler, now_ns)

    def on_events(self, events: Sequence[CoreEvent], now_ns: int) -> None:
        """Handle the events of `router.take_events()`, except `FollowerReady`."""
        if self._closed:
            return
        for event in events:
            match event:
                case MarketChange():
                    self._on_change(event, now_ns)
                case ControlMessage():
                    self._on_control(event, now_ns)
                case StreamFrame():
                    self._on_stream(event, now_ns)
                case StrayFrame():
                    self._on_stray(event, now_ns)
                case _:
                    assert_never(event)
        self._collect_notices(now_ns)

    def on_resumed(self, now_ns: int) -> None:
        """The machine or process was paused until now: earlier requests say nothing about the present."""
        self._resumed_ns = now_ns
        for supervisor in self._markets.values():
            supervisor.maintenance.on_weakened(now_ns)  # check silent books soon
        for clock in self._clocks.values():
            clock.on_resumed(now_ns)

    def on_wake(self, now_ns: int) -> None:
        """The time of `next_wake_ns` has come; may be called at any time."""
        while due := self._context.deadlines.take_due(now_ns):
            timer, owner = due
            with self._context.guard(_owner_of(timer, owner), f"on_timer ({timer.value})", now_ns):
                self._on_timer(timer, owner, now_ns)
        self._collect_notices(now_ns)

    # --- what to do now --------------------------------------------------------------------

    def take_commands(self) -> list[Command]:
        """What the runner has to do, in order; each returned once."""
        commands = self._context.commands[:]
        self._context.commands.clear()
        return commands

    def take_notices(self) -> list[Notice]:
        """What users are to be told, in order; each returned once."""
        notices = self._context.notices[:]
        self._context.notices.clear()
        return notices

    def next_wake_ns(self) -> int | None:
        """The latest time for the next `on_wake`; None if nothing is pending."""
        return None if self._closed else self._context.deadlines.next_ns()

    # --- inside ----------------------------------------------------------------------------

    def _is_of_before(self, pending: PendingRequest, now_ns: int) -> str:
        """Why a response that is read only now proves nothing about the present; empty if it does."""
        sent_ns = now_ns if pending.sent_ns is None else pending.sent_ns
        if sent_ns < self._resumed_ns:
            return reasons.ASKED_BEFORE_PAUSE
        if now_ns - sent_ns > to_ns(2 * self.policy.snapshot_timeout_s):
            return reasons.response_read_late((now_ns - sent_ns) / 1e9)
        return ""

    def _supervisor(self, market: int) -> Supervisor:
        supervisor = self._markets.get(market)
        if supervisor is None:
            raise UnknownSymbol(symbol=str(market), exchange=None, reason=reasons.NO_SUCH_MARKET)
        return supervisor

    def _on_change(self, change: MarketChange, now_ns: int) -> None:
        supervisor = self._markets.get(change.market)
        if supervisor is None:
            return
        with self._context.guard(supervisor.owner, "on_change", now_ns):
            supervisor.on_change(change, now_ns)
        for cause in _TROUBLES:
            if cause in change.causes:
                self._context.notices.append(TroubleFound(change.market, cause, change.reason))
        if "first_data" in change.causes:
            with self._context.guard(supervisor.owner, "on_data", now_ns):
                supervisor.streams.on_data(supervisor.stream, now_ns)

    def _on_control(self, message: ControlMessage, now_ns: int) -> None:
        if slot := self._context.slots_by_connection.get(message.connection):
            with self._context.guard(slot.owner, "on_control", now_ns):
                slot.on_control(message.payload, now_ns)

    def _on_stream(self, came: StreamFrame, now_ns: int) -> None:
        slot = self._context.slots_by_connection.get(came.connection)
        if slot is None:
            return
        self._on_alive(slot, now_ns)
        if supervisor := self._tops.get((slot.venue.name, came.stream)):
            with self._context.guard(supervisor.owner, "on_top", now_ns):
                supervisor.on_top(came.frame, now_ns)
        for market, cross_check in self._cross_checks.items():
            if came.stream in cross_check.sources and self._markets[market].venue.name == slot.venue.name:
                with self._context.guard(f"proof {market}", "on_frame", now_ns):
                    cross_check.on_frame(came.stream, came.frame, came.skipped, now_ns)

    def _on_stray(self, stray: StrayFrame, now_ns: int) -> None:
        slot = self._context.slots_by_connection.get(stray.connection)
        if slot is None:
            return
        if stray.what == "overflow":
            with self._context.guard(slot.owner, "reconnect", now_ns):
                slot.reconnect(reasons.TOO_MANY_CONTROL_MESSAGES, now_ns)

    def _on_alive(self, slot: ConnectionHandler, now_ns: int) -> None:
        with self._context.guard(slot.owner, "on_alive", now_ns):
            slot.on_alive(now_ns)

    def _on_timer(self, timer: Timer, owner: int | str, now_ns: int) -> None:
        if timer is Timer.RECOVER:
            self._recover(str(owner), now_ns)
        elif timer is Timer.BUDGET:
            (self._copies if owner == _COPIES else self._schedulers[str(owner)]).on_room(now_ns)
        elif timer is Timer.PROOF:
            if cross_check := self._cross_checks.get(int(owner)):
                cross_check.on_timer(now_ns)
        elif timer is Timer.DEPTHS:
            self._depth_scheduler.on_timer(now_ns)
        elif timer is Timer.CLOCK:
            self._clocks[str(owner)].on_timer(now_ns)
        elif timer in (Timer.LISTING, Timer.HALTED):
            self._listings[str(owner)].on_timer(timer, now_ns)
        elif timer is Timer.RESPONSE:
            self.on_failure(int(owner), reasons.RESPONSE_NEVER_REPORTED, now_ns)
        elif timer in _CONNECTION_TIMERS:
            any(streams.on_timer(timer, int(owner), now_ns) for streams in self._streams.values())
        elif supervisor := self._markets.get(int(owner)):
            supervisor.on_timer(timer, now_ns)

    def _recover(self, owner: str, now_ns: int) -> None:
        """Restart the part that raised, unless it is gone or waits for nothing."""
        kind, _, name = owner.partition(" ")
        if kind == "market" and (supervisor := self._markets.get(int(name))):
            supervisor.recover(now_ns)
        elif kind == "slot":
            for streams in self._streams.values():
                streams.recover(int(name), now_ns)
        elif kind == "listing" and (listing := self._listings.get(name)):
            listing.recover(now_ns)
        elif kind == "budget" and (scheduler := self._schedulers.get(name)):
            scheduler.on_room(now_ns)

    def _on_clock_known(self, venue: str, known: Estimate) -> None:
        for supervisor in self._markets.values():
            if supervisor.venue.name == venue:
                with self._context.guard(supervisor.owner, "on_clock", known.at_ns):
                    supervisor.clock.on_clock(known)

    def _let_go(self, supervisor: Supervisor, ending: Ending, reason: str, now_ns: int) -> None:
        """Notify users, then remove the market: its readers are `closed` from now on."""
        supervisor.end(ending, reason, now_ns)
        self._collect_notices(now_ns)
        self._context.router.remove_market(supervisor.market, reason, now_ns)

    def _room(self, scheduler: RequestScheduler, now_ns: int) -> None:
        with self._context.guard(scheduler.owner, "on_room", now_ns):
            scheduler.on_room(now_ns)
        self._collect_notices(now_ns)

    def _collect_notices(self, now_ns: int) -> None:
        touched, self._context.touched = self._context.touched, {}
        for supervisor in touched.values():
            with self._context.guard(supervisor.owner, "take_notice", now_ns):
                notice = supervisor.take_notice(now_ns)
                if notice is not None:
                    self._context.notices.append(notice)

    def _scheduler(self, venue: Venue) -> RequestScheduler:
        key = f"{venue.weight_pool} {venue.weight_place}"
        scheduler = self._schedulers.get(key)
        if scheduler is None:
            budget = self._budgets.of(venue)
            scheduler = self._schedulers[key] = RequestScheduler(self._context, key, budget)
        return scheduler

    def _scheduler_of(self, request: int) -> RequestScheduler | None:
        if self._closed:
            return None
        if self._copies.holds(request):
            return self._copies
        return next((each for each in self._schedulers.values() if each.holds(request)), None)


def _owner_of(timer: Timer, owner: int | str) -> str:
    """The part to restart if the handler of a deadline raises."""
    if timer is Timer.RECOVER:
        return str(owner)
    kind = _KINDS.get(timer, "slot" if timer in _CONNECTION_TIMERS else "market")
    return f"{kind} {owner}"
