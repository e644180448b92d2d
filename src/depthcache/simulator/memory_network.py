"""A network without sockets, between a real runner and an embedded exchange, on a virtual clock.

Frames and responses take `latency_ns` each way. Nothing gets lost here: the exchange's `faults` do that.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final

from depthcache import venues
from depthcache.io.network.interface import Callbacks, Closed, Failure, FrameSink, Network, Response
from depthcache.simulator.interface import Close, Cut, Exchange, HttpResponse, Ping, Session, Text

__all__ = ["MemoryNetwork"]

_S_NS = 1_000_000_000


class MemoryNetwork(Network):
    """The network of one client. Call `attach` once, then `step` for every moment."""

    def __init__(
        self,
        exchange: Exchange,
        *,
        latency_ns: int = 20_000_000,
        now_ns: int = 0,
        wall_ns: int = 0,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        """`latency_ns`: one-way latency in nanoseconds. `wall_ns`: the system's clock at time 0, in
        nanoseconds since 1970. `on_end`: called by `aclose`."""
        self._exchange: Final = exchange
        self._latency_ns = latency_ns
        self._now_ns, self._wall_ns = now_ns, wall_ns
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        self._sessions: dict[int, Session] = {}
        self._open: set[int] = set()
        self._busy_until_ns: dict[int, int] = {}
        """Time until which a frame that drips blocks its connection."""
        self._waiting: set[int] = set()
        self._wake_ns: int | None = None
        self._held: list[Callable[[], None]] | None = None
        """Calls that wait while the loop is blocked; None while it runs."""
        self._judge_ns = 0
        self._places = _places(exchange)
        self._on_end = on_end

    # --- the clock ------------------------------------------------------------------------------

    def next_ns(self) -> int | None:
        """Time of the next event; None if none is scheduled."""
        wake_ns = self._wake_ns if self._held is None else self._judge_ns
        times = [self._exchange.next_ns(), wake_ns, self._due[0][0] if self._due else None]
        return min((time for time in times if time is not None), default=None)

    @property
    def is_idle(self) -> bool:
        """Whether the client has no connection, no request and no wake-up."""
        return not (self._open or self._waiting or self._due or self._held) and self._wake_ns is None

    def step(self, now_ns: int) -> None:
        """Process all events of this moment. No moment may be skipped (`next_ns`)."""
        self._now_ns = max(self._now_ns, now_ns)
        self._tell_time()
        self._exchange.advance(self._now_ns)
        self.collect()
        while self._due and self._due[0][0] <= self._now_ns:
            heapq.heappop(self._due)[2]()
            self.collect()
        if self._held is not None and self._judge_ns <= self._now_ns:
            self._judge_ns = self._now_ns + _S_NS
            self._router.judge_silence(self._now_ns)
        if self._held is None and self._wake_ns is not None and self._wake_ns <= self._now_ns:
            self._wake_ns = None
            self._callbacks.on_wake()

    def hold(self) -> None:
        """Block the event loop. Frames still reach their books, as with the native transport; everything else
        waits."""
        if self._held is None:
            self._held, self._judge_ns = [], self._now_ns

    def release(self) -> None:
        """Unblock the event loop and process what has waited."""
        held, self._held = self._held or [], None
        for tell in held:
            tell()
        self._callbacks.on_events()

    def lose_connections(self) -> None:
        """Make the open connections half-open: nothing gets through, and neither end is notified."""
        self._sessions.clear()

    def doze(self, now_ns: int) -> None:
        """Let the machine sleep until `now_ns`; everything sent to it meanwhile waits in its sockets."""
        self._now_ns = max(self._now_ns, now_ns)
        self._exchange.advance(self._now_ns)
        self.collect()

    def awake(self, began_ns: int) -> None:
        """Wake the machine up, after it has slept since `began_ns`."""
        self._tell_time()
        seconds = (self._now_ns - began_ns) / _S_NS
        self._router.pause(f"the machine slept for {seconds:g} s", began_ns, self._now_ns)

    # --- calls of the runner ----------------------------------------------------------------------

    def attach(self, router: FrameSink, callbacks: Callbacks) -> None:
        """Called once, before anything else."""
        self._router: Any = router
        self._feed, self._callbacks = router.feed, callbacks
        self._tell_time()

    def now_ns(self) -> int:
        """The virtual clock."""
        return self._now_ns

    def _tell_time(self) -> None:
        self._router.set_virtual_time(self._now_ns, self._wall_ns + self._now_ns)

    def open(self, connection: int, url: str) -> None:
        """Open a connection."""
        venue, target = self._find(url)
        self._open.add(connection)
        self._later(self._latency_ns, lambda: self._on_handshake(connection, venue, target))

    def send(self, connection: int, text: str) -> None:
        """Send a text frame."""
        self._to_exchange(connection, lambda session: session.on_text(text, self._now_ns))

    def close(self, connection: int) -> None:
        """Close a connection, and notify both ends."""
        if connection in self._open:
            self._to_exchange(connection, lambda session: session.on_close(self._now_ns))
            self._later(2 * self._latency_ns, lambda: self._on_closed(connection, Closed(1000, "closed")))

    def fetch(self, request: int, url: str, *, timeout_s: float) -> None:
        """GET a URL."""
        venue, target = self._find(url)
        self._waiting.add(request)
        timeout = Failure(f"no response within {timeout_s:g} s")
        self._later(round(timeout_s * _S_NS), lambda: self._on_response(request, timeout))
        self._later(self._latency_ns, lambda: self._on_request(request, venue, target))

    def wake_at(self, at_ns: int | None) -> None:
        """Replace the pending wake-up; None cancels it."""
        self._wake_ns = at_ns

    async def aclose(self) -> None:
        """Close every connection at once. Nothing more is reported."""
        self.end_without_loop()

    def abandon_sessions(self) -> None:
        """Do nothing: there are no sessions."""

    def end_without_loop(self) -> None:
        """Close every connection; it needs no loop."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            session.on_close(self._now_ns)
        self._open.clear()
        self._waiting.clear()
        self._due.clear()
        self._wake_ns = None
        self._on_end()

    # --- messages in flight -------------------------------------------------------------------------

    def _tell(self, call: Callable[[], None]) -> None:
        """Call the runner, as soon as its loop is not blocked."""
        if self._held is None:
            call()
        else:
            self._held.append(call)

    def _later(self, delay_ns: int, call: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self._now_ns + delay_ns, next(self._order), call))

    def _to_exchange(self, connection: int, say: Callable[[Session], None]) -> None:
        def arrive() -> None:
            session = self._sessions.get(connection)
            if session is not None:
                say(session)

        self._later(self._latency_ns, arrive)

    def _on_handshake(self, connection: int, venue: str, target: str) -> None:
        opened = self._exchange.accept(venue, target, self._now_ns)
        if isinstance(opened, Cut):
            reset = Closed(None, "the connection was reset")
            self._later(self._latency_ns, lambda: self._on_closed(connection, reset))
            return
        if isinstance(opened, HttpResponse):
            headers = {name.lower(): value for name, value in opened.headers.items()}
            words = f"the WebSocket handshake failed with HTTP {opened.status}"
            told = {"retry_after": headers.get("retry-after"), "date": headers.get("date")}
            refused = Closed(None, words, status=opened.status, **told)
            self._later(self._latency_ns, lambda: self._on_closed(connection, refused))
            return
        self._sessions[connection] = opened
        self._later(self._latency_ns, lambda: self._on_open(connection))

    def _on_request(self, request: int, venue: str, target: str) -> None:
        response = self._exchange.request(venue, target, self._now_ns)
        headers = {name.lower(): value for name, value in response.headers.items()}
        delivered = Response(response.status, headers, response.body)
        self._later(response.delay_ns + self._latency_ns, lambda: self._on_response(request, delivered))

    def _on_open(self, connection: int) -> None:
        if connection in self._open:
            self._tell(lambda: self._callbacks.on_open(connection))

    def _on_closed(self, connection: int, closed: Closed) -> None:
        self._sessions.pop(connection, None)
        self._busy_until_ns.pop(connection, None)
        if connection in self._open:
            self._open.remove(connection)
            self._tell(lambda: self._callbacks.on_closed(connection, closed))

    def _on_response(self, request: int, response: Response | Failure) -> None:
        if request in self._waiting:
            self._waiting.remove(request)
            self._tell(lambda: self._callbacks.on_response(request, response))

    def _on_frame(self, connection: int, text: str) -> None:
        told = connection in self._open and self._feed(connection, text.encode(), self._now_ns)
        if told and self._held is None:
            self._callbacks.on_events()

    def _on_ping(self, connection: int, payload: bytes) -> None:
        if connection in self._open:
            self._to_exchange(connection, lambda session: session.on_pong(payload, self._now_ns))

    def collect(self) -> None:
        """Put what the exchange has sent on its way."""
        for connection, session in tuple(self._sessions.items()):
            for sent in session.take():
                drip_ns = sent.drip_ns if isinstance(sent, Text) else 0
                at_ns = max(self._now_ns, self._busy_until_ns.get(connection, 0)) + drip_ns
                if at_ns > self._now_ns:
                    self._busy_until_ns[connection] = at_ns
                self._later(at_ns - self._now_ns + self._latency_ns, self._arrival(connection, sent))

    def _arrival(self, connection: int, sent: Text | Ping | Close | Cut) -> Callable[[], None]:
        match sent:
            case Text(text=text):
                return lambda: self._on_frame(connection, text)
            case Ping(payload):
                return lambda: self._on_ping(connection, payload)
            case Close(code, reason):
                return lambda: self._on_closed(connection, Closed(code, reason))
            case Cut():
                return lambda: self._on_closed(connection, Closed(None, "ended without a close frame"))

    def _find(self, url: str) -> tuple[str, str]:
        """The venue of a URL, and path and query as the venue sees them."""
        for base, names in self._places.items():
            if url.startswith(base):
                target = url.removeprefix(base)
                own = (name for name in names if target.startswith(_api(name)))
                return next(own, names[0]), target
        raise ValueError(f"no venue of this exchange is at {url}")


def _places(exchange: Exchange) -> Mapping[str, list[str]]:
    """Base URLs to exchange names; those of other environments are longer or different. Some have several."""
    places: dict[str, list[str]] = {}
    for name in exchange.venues():
        ends = venues.venue(name).endpoints
        for base in (ends.rest, ends.websocket):
            places.setdefault(base, []).append(name)
    return places


def _api(name: str) -> str:
    """How the paths of a venue's REST begin: `/fapi/` and the like tell venues of one host apart."""
    return f"/{venues.venue(name).depth_path.split('/')[1]}/"
