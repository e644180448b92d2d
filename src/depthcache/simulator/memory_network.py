"""A network without sockets: the other end is an embedded exchange, the clock is virtual.

The very runner and core that users run talk to it. Frames and answers take `latency_ns` each way;
nothing is lost here (that is the exchange's `faults`). Not here: the client (`pair`).
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
    """Order of calls: `attach` once; then `step` until the time is what it should be."""

    def __init__(
        self,
        exchange: Exchange,
        *,
        latency_ns: int = 20_000_000,
        now_ns: int = 0,
        wall_ns: int = 0,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        """`latency_ns`: how long anything takes from one end to the other. `wall_ns`: what the system's clock
        shows at time 0, in nanoseconds since 1970. `on_end`: called by `aclose`."""
        self._exchange: Final = exchange
        self._latency_ns = latency_ns
        self._now_ns, self._wall_ns = now_ns, wall_ns
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        self._sessions: dict[int, Session] = {}
        self._open: set[int] = set()
        self._busy_until_ns: dict[int, int] = {}
        """Until when a frame that comes byte by byte keeps a connection from bringing others."""
        self._waiting: set[int] = set()
        self._wake_ns: int | None = None
        self._held: list[Callable[[], None]] | None = None
        """What the loop is told when it goes on; None while it does."""
        self._judge_ns = 0
        self._places = _places(exchange)
        self._on_end = on_end

    # --- the clock ------------------------------------------------------------------------------

    def next_ns(self) -> int | None:
        """When the next thing happens; None when nothing is scheduled."""
        wake_ns = self._wake_ns if self._held is None else self._judge_ns
        times = [self._exchange.next_ns(), wake_ns, self._due[0][0] if self._due else None]
        return min((time for time in times if time is not None), default=None)

    @property
    def is_idle(self) -> bool:
        """Whether its client waits for nothing: no connection, no request, no wake-up."""
        return not (self._open or self._waiting or self._due or self._held) and self._wake_ns is None

    def step(self, now_ns: int) -> None:
        """Let everything of that moment happen; moments must not be left out (`next_ns`)."""
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
        """The event loop stands still: frames reach their books, as with the native transport, whose thread
        judges silence; all else waits."""
        if self._held is None:
            self._held, self._judge_ns = [], self._now_ns

    def release(self) -> None:
        """It goes on, with what has waited."""
        held, self._held = self._held or [], None
        for tell in held:
            tell()
        self._callbacks.on_events()

    def lose_connections(self) -> None:
        """Nothing comes over the open connections any more, and neither end says so."""
        self._sessions.clear()

    def doze(self, now_ns: int) -> None:
        """The machine sleeps until then: what is sent to it meanwhile waits in its sockets."""
        self._now_ns = max(self._now_ns, now_ns)
        self._exchange.advance(self._now_ns)
        self.collect()

    def awake(self, began_ns: int) -> None:
        """The machine wakes up, having slept since then."""
        self._tell_time()
        seconds = (self._now_ns - began_ns) / _S_NS
        self._router.pause(f"the machine slept for {seconds:g} s", began_ns, self._now_ns)

    # --- what the runner asks for -----------------------------------------------------------------

    def attach(self, router: FrameSink, callbacks: Callbacks) -> None:
        """Called once before anything else."""
        self._router: Any = router
        self._feed, self._callbacks = router.feed, callbacks
        self._tell_time()

    def now_ns(self) -> int:
        """The virtual clock."""
        return self._now_ns

    def _tell_time(self) -> None:
        self._router.set_virtual_time(self._now_ns, self._wall_ns + self._now_ns)

    def open(self, connection: int, url: str) -> None:
        """Connect."""
        venue, target = self._find(url)
        self._open.add(connection)
        self._later(self._latency_ns, lambda: self._on_handshake(connection, venue, target))

    def send(self, connection: int, text: str) -> None:
        """Send one text frame."""
        self._to_exchange(connection, lambda session: session.on_text(text, self._now_ns))

    def close(self, connection: int) -> None:
        """Close; told to both ends."""
        if connection in self._open:
            self._to_exchange(connection, lambda session: session.on_close(self._now_ns))
            self._later(2 * self._latency_ns, lambda: self._on_closed(connection, Closed(1000, "closed")))

    def fetch(self, request: int, url: str, *, timeout_s: float) -> None:
        """GET."""
        venue, target = self._find(url)
        self._waiting.add(request)
        timeout = Failure(f"no response within {timeout_s:g} s")
        self._later(round(timeout_s * _S_NS), lambda: self._on_response(request, timeout))
        self._later(self._latency_ns, lambda: self._on_request(request, venue, target))

    def wake_at(self, at_ns: int | None) -> None:
        """Replace the one pending wake-up."""
        self._wake_ns = at_ns

    async def aclose(self) -> None:
        """End every connection at once; nothing is reported any more."""
        self.end_without_loop()

    def abandon_sessions(self) -> None:
        """There are none."""

    def end_without_loop(self) -> None:
        """The same: no loop is needed."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            session.on_close(self._now_ns)
        self._open.clear()
        self._waiting.clear()
        self._due.clear()
        self._wake_ns = None
        self._on_end()

    # --- what happens in between --------------------------------------------------------------------

    def _tell(self, call: Callable[[], None]) -> None:
        """Tell the runner, as soon as its loop goes on."""
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
            words = f"the handshake was answered with HTTP {opened.status}"
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
                return lambda: self._on_closed(connection, Closed(None, "the connection broke"))

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
