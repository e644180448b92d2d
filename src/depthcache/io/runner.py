"""Connects the core with a network: performs the core's commands and reports what happened to it.

It is synchronous and uses no event loop, no socket and no clock except the network's, so the same code runs
on real networks and on a virtual clock. It makes no decisions.

Every input is handled in two steps: report it to the core, then settle. Settling processes the router's
events, the core's commands and its notices until none are left, and sets the one wake-up. Callbacks may call
back into the runner; the settling that is already running handles the consequences.

Errors in the core, the network or a callback are logged, and the client keeps running. Whatever the core
waits for gets a result, if necessary a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar, assert_never
from urllib.parse import parse_qs

from depthcache import logs
from depthcache.core.commands import CloseConnection, Command, Fetch, OpenConnection, Send
from depthcache.core.notices import (
    AccessRefused,
    AuditDone,
    CopyFailed,
    FaultCaught,
    LimitRefused,
    Notice,
    StatusChanged,
    TroubleFound,
)
from depthcache.core.reasons import CLIENT_CLOSED
from depthcache.core.requests.responses import describe_refusal, error_in
from depthcache.engine import Router
from depthcache.events import CoreEvent, Event, FollowerReady
from depthcache.foreign_text import clean, host_of
from depthcache.io.followers import Followers
from depthcache.io.network.interface import Callbacks, Closed, Failure, Network, Response

if TYPE_CHECKING:
    from depthcache.core.client import ClientCore

__all__ = ["BookNotice", "Runner"]

T = TypeVar("T")

BookNotice: TypeAlias = StatusChanged | TroubleFound | AuditDone | AccessRefused | CopyFailed
"""Notices about a book; the runner handles all others itself."""

_OK = 200
_LOOP_ENDED = "the event loop ended before the client was closed"


@dataclass(slots=True)
class _Connection:
    """What log lines need to know of a connection."""

    host: str
    is_open: bool = False
    is_closing: bool = False
    """Whether the client is closing it."""


class Runner(Callbacks):
    """The runner of one client. Call `call_core` at any time and `close` once; the network calls `on_…`."""

    def __init__(
        self,
        core: ClientCore,
        router: Router,
        network: Network,
        *,
        on_notice: Callable[[BookNotice], None],
        on_loop_ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._core, self._router, self._network = core, router, network
        self._on_notice, self._on_end = on_notice, on_loop_ended
        self._settling = False
        self._pauses = 0
        self._wake_at_ns: int | None = None
        self._connections: dict[int, _Connection] = {}
        self._request_urls: dict[int, str] = {}
        self._reported: set[tuple[str, type[Exception]]] = set()
        self.followers: Followers = Followers()
        self.followers.attach(router, network.now_ns)
        network.attach(router, self)

    @property
    def unexpected(self) -> tuple[str, ...]:
        """Types and places of internal errors that were caught; empty unless the client has a bug."""
        return tuple(f"{kind.__name__} in {where}" for where, kind in sorted(self._reported, key=str))

    # --- calls of the application -------------------------------------------------------------

    def call_core(self, call: Callable[[ClientCore, int], T]) -> T:
        """Return `call(core, now_ns)` and settle. Raises the errors of the core for wrong arguments."""
        result = call(self._core, self._network.now_ns())
        self._settle()
        return result

    def close(self, reason: str = CLIENT_CLOSED) -> None:
        """Close all books and connections for good. Later reports of the network have no effect."""
        self._guarded("close", lambda: self._core.close(self._network.now_ns(), reason))
        self.followers.end()
        self._settle()

    # --- what happened ------------------------------------------------------------------------

    def on_open(self, connection: int) -> None:
        """A connection is open."""
        known = self._connections.setdefault(connection, _Connection(""))
        known.is_open = True
        logs.connection_open(connection=connection, host=known.host)
        self._tell("on_open", lambda: self._core.on_open(connection, self._network.now_ns()))

    def on_closed(self, connection: int, closed: Closed) -> None:
        """A connection ended, or could not be opened."""
        known = self._connections.pop(connection, _Connection(""))
        if known.is_closing:
            logs.connection_closed(connection=connection, host=known.host)
        elif known.is_open:
            logs.connection_broke(
                connection=connection, host=known.host, code=closed.code, reason=closed.reason
            )
        else:
            logs.connection_failed(connection=connection, host=known.host, reason=closed.reason)
        self._tell(
            "on_closed",
            lambda: self._core.on_closed(
                connection,
                closed.code,
                closed.reason,
                self._network.now_ns(),
                status=closed.status,
                retry_after=closed.retry_after,
                date=closed.date,
            ),
        )

    def on_alive(self, connection: int) -> None:
        """The exchange answered a ping."""
        self._tell("on_alive", lambda: self._core.on_alive(connection, self._network.now_ns()))

    def on_response(self, request: int, response: Response | Failure) -> None:
        """A request ended."""
        url = self._request_urls.pop(request, "")
        if isinstance(response, Failure):
            reason = response.reason
            _log_failure(request, url, reason)
            self._tell("on_failure", lambda: self._core.on_failure(request, reason, self._network.now_ns()))
            return
        status, headers, body = response.status, response.headers, response.body
        if status != _OK:
            code, text = error_in(body)
            reason = describe_refusal(status, code, text)
            _log_failure(request, url, reason, http_status=status, code=code)
        self._tell(
            "on_response",
            lambda: self._core.on_response(request, status, headers, body, self._network.now_ns()),
        )

    def on_events(self) -> None:
        """The router has events to take."""
        self._attend()
        self._settle()

    def on_wake(self) -> None:
        """The time of the wake-up has come."""
        self._wake_at_ns = None
        self._attend()
        self._guarded("followers", lambda: self.followers.on_wake(self._network.now_ns()))
        self._tell("on_wake", lambda: self._core.on_wake(self._network.now_ns()))

    def on_loop_ended(self) -> None:
        """Nothing can maintain the books any more: close them and wake all waiters."""
        logs.loop_ended(reason=_LOOP_ENDED)
        self._router.close(_LOOP_ENDED, self._network.now_ns())
        self.followers.end()
        self._guarded("the end of the loop", self._on_end)

    # --- inside -------------------------------------------------------------------------------

    def _attend(self) -> None:
        """Tell the router that the loop is running, and the core about pauses that the router noticed."""
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
        """One round: events to the core, commands to the network, notices out. False if there were none."""
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
            self._guarded("a notice", lambda notice=notice: self._pass_notice(notice))  # type: ignore[misc]
        return bool(events or commands or notices)

    def _to_followers(self, events: Sequence[Event]) -> list[CoreEvent]:
        """Notify the followers, and return the events that are for the core."""
        others: list[CoreEvent] = []
        for event in events:
            match event:
                case FollowerReady(follower=number):
                    self._guarded("a follower", lambda number=number: self.followers.on_ready(number))  # type: ignore[misc]
                case _:
                    others.append(event)
        return others

    def _perform(self, command: Command) -> None:
        match command:
            case OpenConnection(connection, url):
                self._open(connection, url)
            case CloseConnection(connection):
                if known := self._connections.get(connection):
                    known.is_closing = True
                self._network.close(connection)
            case Send(connection, text):
                self._network.send(connection, text)
            case Fetch(request, url, timeout_s):
                self._fetch(request, url, timeout_s)
            case _:
                assert_never(command)

    def _pass_notice(self, notice: Notice) -> None:
        match notice:
            case StatusChanged() | TroubleFound() | AuditDone() | AccessRefused() | CopyFailed():
                self._on_notice(notice)
            case LimitRefused():
                logs.limit_refused(
                    exchange=notice.exchange,
                    symbol=notice.symbol,
                    limit=notice.limit,
                    instead=notice.instead,
                    reason=notice.reason,
                )
            case FaultCaught(where, error):
                self._report(where, error)
            case _:
                assert_never(notice)

    def _wake_at(self, at_ns: int | None) -> None:
        self._network.wake_at(at_ns)
        self._wake_at_ns = at_ns

    def _open(self, connection: int, url: str) -> None:
        self._connections[connection] = _Connection(host_of(url))
        try:
            self._network.open(connection, url)
        except Exception as error:  # noqa: BLE001 - the core waits for the outcome
            self._report("a command", error)
            self._connections.pop(connection, None)
            closed = Closed(None, f"{type(error).__name__}: {error}")
            self._core.on_closed(connection, None, closed.reason, self._network.now_ns())

    def _fetch(self, request: int, url: str, timeout_s: float) -> None:
        self._request_urls[request] = url
        try:
            self._network.fetch(request, url, timeout_s=timeout_s)
        except Exception as error:  # noqa: BLE001 - as above
            self._report("a command", error)
            self._request_urls.pop(request, None)
            failure = Failure(f"{type(error).__name__}: {error}")
            self._core.on_failure(request, failure.reason, self._network.now_ns())

    def _guarded(self, where: str, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - an error must not stop the other books
            self._report(where, error)

    def _report(self, where: str, error: Exception) -> None:
        self._reported.add((where, type(error)))
        logs.unexpected(where=where, error=error)


def _log_failure(
    request: int, url: str, reason: str, *, http_status: int | None = None, code: int | None = None
) -> None:
    """Of the URL, only the host, the end of the path and the symbol: the rest may hold secrets."""
    path, _, query = url.partition("?")
    logs.request_failed(
        request=request,
        host=host_of(url),
        reason=reason,
        resource=clean(path.rpartition("/")[2]),
        symbol=clean(parse_qs(query).get("symbol", [""])[0]),
        http_status=http_status,
        code=code,
    )
