"""The one loop body of a client: performs what the core wants, tells the core what happened.

It is synchronous and knows no event loop, no socket and no clock but the network's, so the very
same code runs on aiohttp and on a virtual clock. It decides nothing.

Each thing that happens takes the same way: tell the core, then settle. Settling takes the router's
events, the core's commands and its notices, until there are none left, and sets the one wake-up.
Whoever is called from within may call back: what that brings is settled by the loop already
running. An error in the core, the network or a listener is logged each time, a few of a kind at once, and the
client goes on: what the core waits for is answered, with a failure where there is nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from depthcache import logs
from depthcache.core.commands import (
    CloseConnection,
    Command,
    Fetch,
    OpenConnection,
    Send,
    TellAudit,
    TellFault,
    TellLimit,
    TellTrouble,
)
from depthcache.core.markets.cross_check import Source
from depthcache.core.notices import Notice
from depthcache.io.followers import Followers
from depthcache.io.network.interface import Callbacks, Closed, Failure, Network, Response
from depthcache.venues.venue import Venue

if TYPE_CHECKING:
    from depthcache._native import Event, Router
    from depthcache.core.client import ClientCore

__all__ = ["Runner"]

_OK = 200
_LOOP_ENDED = "the event loop ended before the client was closed"


class Runner(Callbacks):
    """Order of calls: `add` and `remove` at any time, `close` once; the network calls the `on_…`."""

    def __init__(
        self,
        core: ClientCore,
        router: Router,
        network: Network,
        *,
        on_notice: Callable[[Notice], None],
        on_trouble: Callable[[TellTrouble], None] = lambda _: None,
        on_audit: Callable[[TellAudit], None] = lambda _: None,
        on_loop_ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._core, self._router, self._network = core, router, network
        self._on_notice, self._on_trouble, self._on_audit = on_notice, on_trouble, on_audit
        self._on_end = on_loop_ended
        self._settling = False
        self._pauses = 0
        self._wake_at_ns: int | None = None
        self._reported: set[tuple[str, type[Exception]]] = set()
        self.followers: Followers = Followers()
        self.followers.attach(router, network.now_ns)
        network.attach(router, self)

    @property
    def unexpected(self) -> tuple[str, ...]:
        """The kinds of errors that were caught, and where: none unless something is wrong with the client."""
        return tuple(f"{kind.__name__} in {where}" for where, kind in sorted(self._reported, key=str))

    # --- what the application wants -----------------------------------------------------------

    def add(self, venue: Venue, symbol: str, *, depth: int, speed_ms: int | None) -> int:
        """Begin a market; returns its number. Raises what the core raises for wrong arguments."""
        now_ns = self._network.now_ns()
        market = self._core.add(venue, symbol, depth=depth, speed_ms=speed_ms, now_ns=now_ns)
        self._settle()
        return market

    def remove(self, market: int) -> None:
        """End a market for good."""
        self._core.remove(market, self._network.now_ns())
        self._settle()

    def audit(self, market: int, audit: int, limit: int | None) -> None:
        """Compare a book with a snapshot at one update id; ends in one `on_audit` with that number."""
        self._core.audit(market, audit, limit, self._network.now_ns())
        self._settle()

    def refresh_every(self, market: int, seconds: float | None) -> None:
        """How often a book is refreshed; None for what the policy says, 0 for never."""
        self._core.refresh_every(market, seconds)

    def resync(self, market: int, reason: str) -> None:
        """Give a book up and build it anew."""
        self._core.resync(market, reason, self._network.now_ns())
        self._settle()

    def start_cross_check(self, market: int) -> None:
        """Compare a book with partial depth and bookTicker from now on."""
        self._core.start_cross_check(market, self._network.now_ns())
        self._settle()

    def end_cross_check(self, market: int) -> dict[str, Source]:
        """Compare no longer; what each stream has shown."""
        sources = self._core.end_cross_check(market, self._network.now_ns())
        self._settle()
        return sources

    def close(self) -> None:
        """End everything for good; what the network still reports afterwards changes nothing."""
        self._guarded("close", lambda: self._core.close(self._network.now_ns()))
        self.followers.end()
        self._settle()

    # --- what happened ------------------------------------------------------------------------

    def on_open(self, connection: int) -> None:
        """A connection can be used."""
        logs.connection_open(connection=connection)
        self._tell("on_open", lambda: self._core.on_open(connection, self._network.now_ns()))

    def on_closed(self, connection: int, closed: Closed) -> None:
        """A connection ended or could not be made."""
        code, reason = closed.code, closed.reason
        logs.connection_closed(connection=connection, code=code, reason=reason)
        if closed.status is None:
            self._tell(
                "on_closed", lambda: self._core.on_closed(connection, code, reason, self._network.now_ns())
            )
            return
        self._tell(
            "on_closed",
            lambda: self._core.on_closed(
                connection,
                code,
                reason,
                self._network.now_ns(),
                status=closed.status,
                retry_after=closed.retry_after,
                date=closed.date,
            ),
        )

    def on_alive(self, connection: int) -> None:
        """A ping of this side was answered."""
        self._tell("on_alive", lambda: self._core.on_alive(connection, self._network.now_ns()))

    def on_response(self, request: int, response: Response | Failure) -> None:
        """A request ended."""
        if isinstance(response, Failure):
            reason = response.reason
            logs.request_failed(request=request, reason=reason)
            self._tell("on_failure", lambda: self._core.on_failure(request, reason, self._network.now_ns()))
            return
        status, headers, body = response.status, response.headers, response.body
        if status != _OK:
            logs.request_failed(request=request, reason=f"HTTP {status}")
        self._tell(
            "on_response",
            lambda: self._core.on_response(request, status, headers, body, self._network.now_ns()),
        )

    def on_events(self) -> None:
        """The router has something to tell."""
        self._attend()
        self._settle()

    def on_wake(self) -> None:
        """The wake-up came."""
        self._wake_at_ns = None
        self._attend()
        self._guarded("followers", lambda: self.followers.on_wake(self._network.now_ns()))
        self._tell("on_wake", lambda: self._core.on_wake(self._network.now_ns()))

    def on_loop_ended(self) -> None:
        """Nothing looks after these books any more: they are closed, and who waits for them is told."""
        logs.loop_ended()
        self._router.close(_LOOP_ENDED, self._network.now_ns())
        self.followers.end()
        self._guarded("the end of the loop", self._on_end)

    # --- inside -------------------------------------------------------------------------------

    def _attend(self) -> None:
        """Tell the router that the loop judges, and the core what the router knows of pauses."""
        pauses = self._router.attend(self._network.now_ns())
        if pauses != self._pauses:
            self._pauses = pauses
            logs.resumed()
            self._guarded("on_resumed", lambda: self._core.on_resumed(self._network.now_ns()))

    def _tell(self, where: str, call: Callable[[], None]) -> None:
        self._attend()
        self._guarded(where, call)
        self._settle()

    def _settle(self) -> None:
        if self._settling:
            return
        self._settling = True
        try:
            while self._pass_on():
                pass
        finally:
            self._settling = False
        times = (self._core.next_wake_ns(), self.followers.next_ns())
        at_ns = min((each for each in times if each is not None), default=None)
        if at_ns != self._wake_at_ns:
            self._guarded("wake_at", lambda: self._wake_at(at_ns))

    def _pass_on(self) -> bool:
        """One round: events to the core, commands to the network, notices out. False: nothing left."""
        events: list[Event] = []
        self._guarded("take_events", lambda: events.extend(self._router.take_events()))
        if events:
            others = self._to_followers(events)
            self._guarded("on_events", lambda: self._core.on_events(others, self._network.now_ns()))
        commands = self._core.take_commands()
        for command in commands:
            self._guarded("a command", lambda command=command: self._perform(command))  # type: ignore[misc]
        notices = self._core.take_notices()
        for notice in notices:
            self._guarded("a notice", lambda notice=notice: self._on_notice(notice))  # type: ignore[misc]
        return bool(events or commands or notices)

    def _to_followers(self, events: list[Event]) -> list[Event]:
        """Tell followers that they have something; what the core is to be told."""
        others: list[Event] = []
        for event in events:
            # By shape, not by class: the native router and the reference have classes of their own.
            if hasattr(event, "follower"):
                self._guarded("a follower", lambda number=event.follower: self.followers.on_ready(number))  # type: ignore[misc]
            else:
                others.append(event)
        return others

    def _perform(self, command: Command) -> None:
        match command:
            case OpenConnection(connection, url):
                self._open(connection, url)
            case CloseConnection(connection):
                self._network.close(connection)
            case Send(connection, text):
                self._network.send(connection, text)
            case Fetch(request, url, timeout_s):
                self._fetch(request, url, timeout_s)
            case TellTrouble():
                self._on_trouble(command)
            case TellAudit():
                self._on_audit(command)
            case TellLimit():
                logs.limit_refused(
                    exchange=command.exchange,
                    symbol=command.symbol,
                    limit=command.limit,
                    instead=command.instead,
                    reason=command.reason,
                )
            case TellFault(where, error):
                self._report(where, error)

    def _wake_at(self, at_ns: int | None) -> None:
        self._network.wake_at(at_ns)
        self._wake_at_ns = at_ns

    def _open(self, connection: int, url: str) -> None:
        try:
            self._network.open(connection, url)
        except Exception as error:  # noqa: BLE001 - the core waits for a response, whatever it is
            self._report("a command", error)
            closed = Closed(None, f"{type(error).__name__}: {error}")
            self._core.on_closed(connection, None, closed.reason, self._network.now_ns())

    def _fetch(self, request: int, url: str, timeout_s: float) -> None:
        try:
            self._network.fetch(request, url, timeout_s=timeout_s)
        except Exception as error:  # noqa: BLE001 - as above
            self._report("a command", error)
            failure = Failure(f"{type(error).__name__}: {error}")
            self._core.on_failure(request, failure.reason, self._network.now_ns())

    def _guarded(self, where: str, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - whatever it is, the other books must live on
            self._report(where, error)

    def _report(self, where: str, error: Exception) -> None:
        self._reported.add((where, type(error)))
        logs.unexpected(where=where, error=error)
