"""Book servers on a virtual clock, as an exchange of one more client: `exchange → servers → reader`.

Each server is a client with the reference engine, and what `crates/server/src/exchange` does with its books:
diffs as they were applied, states among them in order, snapshots with their limit, and streams that
resume from an id.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from depthcache import reference, venues
from depthcache.core.policy import Policy
from depthcache.model import Status
from depthcache.reference.book import WHOLE, BookSide, at_width
from depthcache.reference.market import Market
from depthcache.reference.messages import parse_frame
from depthcache.simulator import Pair, SimulatedExchange
from depthcache.simulator.interface import Close, Cut, HttpResponse, Sent, Text, split_target
from depthcache.venues import Venue
from depthcache.venues.servers import STATES

HEARTBEAT_NS = 5_000_000_000
BEHIND_NS = 5_000_000_000
NOTICED_NS = 15_000_000_000
"""8 s without a sign of life, 5 s for a reply to the probe, and the way of both (`Policy`)."""
KEPT = 100
"""Diffs of a book that are kept for readers that reconnect."""
URLS = ("https://a.test:1", "https://b.test:1", "https://c.test:1")

Key = tuple[str, str]


class TappedRouter(reference.Router):
    """A router whose owner looks at a market after every call that may have changed it."""

    look: Callable[[bytes], None] = staticmethod(lambda _: None)

    def feed(self, connection: int, frame: Any, received_ns: int) -> bool:
        told = super().feed(connection, frame, received_ns)
        self.look(bytes(frame))
        return told


def _looked_at(name: str) -> Callable[..., Any]:
    def call(self: TappedRouter, *given: Any, **named: Any) -> Any:
        try:
            return getattr(reference.Router, name)(self, *given, **named)
        finally:
            self.look(b"")

    return call


for _name in (
    "install_snapshot", "refresh", "settle_refresh", "resync", "restart", "set_condition", "set_stalled",
    "pause", "judge_silence", "close_connection", "unroute", "close",
):  # fmt: skip
    setattr(TappedRouter, _name, _looked_at(_name))


@dataclass
class Served:
    """A book of a server, and what its readers know."""

    venue: Venue
    market: Market
    applied: int = 0
    generation: int = 1
    said: tuple[Any, ...] = ()
    ring: list[tuple[int, int, str]] = field(default_factory=list)
    beat_ns: int = 0
    readers: list[tuple[Session, str]] = field(default_factory=list)
    beyond: list[tuple[Session, str, int, int]] = field(default_factory=list)


class Session:
    """One connection to a server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._out: list[Sent] = []
        self.is_dead = self.knows_nodes = False

    def push(self, message: Any) -> None:
        self._out.append(Text(message if isinstance(message, str) else json.dumps(message)))

    def end(self, how: Sent) -> None:
        self._server.forget(self)
        self._out.append(how)

    def on_text(self, text: str, now_ns: int) -> None:
        if self.is_dead:
            return
        asked = json.loads(text)
        names = asked.get("params", [])
        self._server.asked.append(asked["method"])
        if asked["method"] == "SUBSCRIBE":
            if asked.get("moves") and self._move_on(names, asked["id"]):
                return
            unknown = [name for name in names if self._server.find(name) is None]
            if unknown:
                words = f"this server holds no book of x for {unknown[0]}"
                named = {"streams": unknown} if self._server.names_streams else {}
                self.push({"error": {"code": 100, "msg": words, **named}, "id": asked["id"]})
                return
        self.push({"result": None, "id": asked["id"]})
        for name in names:
            self._server.forget(self, name)
            if asked["method"] == "SUBSCRIBE":
                self._server.subscribe(self, name, asked.get("resume", {}).get(name), now_ns)

    def _move_on(self, names: list[str], number: int) -> bool:
        server = self._server
        if server.nodes and not self.knows_nodes:
            self.knows_nodes = True
            self.push({"e": "nodes", "nodes": server.nodes})
        found = {name: server.elsewhere.get(name.partition("@")[0].upper()) for name in names}
        holders = {name: addresses for name, addresses in found.items() if addresses}
        if holders:
            error = {"code": 101, "msg": "elsewhere", "streams": list(holders), "holders": holders}
            self.push({"error": error, "id": number})
        return bool(holders)

    def on_pong(self, payload: bytes, now_ns: int) -> None:
        """Nothing is measured here."""

    def on_ping(self, payload: bytes, now_ns: int) -> None:
        """Transports answer it."""

    def on_close(self, now_ns: int) -> None:
        self._server.forget(self)

    def take(self) -> list[Sent]:
        out, self._out = self._out, []
        return [] if self.is_dead else out


class Server:
    """One book server: a client of the exchange, and its readers."""

    def __init__(
        self, name: str, exchange: SimulatedExchange, policy: Policy, *, seed: int, latency_ns: int
    ) -> None:
        self.name = name
        self.router = TappedRouter()
        self.pair = Pair(exchange, policy=policy, seed=seed, latency_ns=latency_ns, router=self.router)
        self.books: dict[Key, Served] = {}
        self.sessions: list[Session] = []
        self.refuses = self.is_down = False
        self.asked: list[str] = []
        """The methods of all messages of readers."""
        self.names_streams = True
        """Whether a refused subscription names the streams that are not held."""
        self.nodes: list[str] = []
        """Where the nodes of its cluster are; none for a server by itself."""
        self.elsewhere: dict[str, list[str]] = {}
        """By symbol, where the holders of a book are that clients should read there."""
        self.handshake_status: int | None = None
        """With which HTTP status handshakes are refused."""
        self.router.look = self._look

    def add(self, venue: Venue, symbol: str) -> None:
        self.pair.add(venue, symbol, depth=5)
        key = (venue.name, symbol)
        market = self.router.market(self.pair._numbers[key])
        self.books[key] = Served(venue, market, applied=market.counters["applied"])

    def let_go(self) -> Callable[[], None]:
        """Hold no book from now on; the result is the call that begins them again."""
        books, self.books = self.books, {}
        for session in self.sessions:
            session.end(Close(1012, "the book ended"))
        self.sessions.clear()

        def again() -> None:
            for key, book in books.items():
                self.books[key] = Served(book.venue, book.market, applied=book.market.counters["applied"])

        return again

    def find(self, stream: str) -> Served | None:
        symbol = stream.partition("@")[0].upper()
        return next((each for each in self.books.values() if each.market.symbol.upper() == symbol), None)

    # --- streams ------------------------------------------------------------------------------

    def subscribe(self, session: Session, stream: str, known: int | None, now_ns: int) -> None:
        book = self.find(stream)
        assert book is not None
        reached, is_synced = book.market.last_update_id, book.market.status()[0] is Status.SYNCED
        later = [each for each in book.ring if known is not None and each[1] > known]
        if known is not None and later and later[0][0] <= known:
            missed = later
        elif known is not None and (reached is None or known >= reached):
            missed = []
        else:
            missed = book.ring[-1:] if is_synced else []
        for _, _, data in missed:
            session.push(f'{{"stream":"{stream}","data":{data}}}')
        book.readers.append((session, stream))
        if known is not None and is_synced and known > (reached or 0):
            book.beyond.append((session, stream, known, now_ns + BEHIND_NS))
        else:
            session.push(self._state(book, stream))

    def forget(self, session: Session, stream: str | None = None) -> None:
        for book in self.books.values():
            book.readers = [
                each for each in book.readers if each[0] is not session or each[1] != (stream or each[1])
            ]
            book.beyond = [each for each in book.beyond if each[0] is not session]

    def _look(self, frame: bytes) -> None:
        """A call has returned: what it did to each book is sent on, diffs first."""
        for book in self.books.values():
            counters = book.market.counters
            anew = counters["resets"] + counters["corrections"] + 1
            is_anew, book.generation = anew != book.generation, anew
            if is_anew:
                book.ring.clear()
            if frame and counters["applied"] == book.applied + 1 and not is_anew:
                self._send_diff(book, frame)
            elif counters["applied"] != book.applied:
                book.ring.clear()
            book.applied = counters["applied"]
            said = (*book.market.status()[:2], book.generation)
            if said != book.said:
                book.said = said
                self._say(book, book.readers)

    def _send_diff(self, book: Served, frame: bytes) -> None:
        update = parse_frame(frame).update
        assert update is not None
        follows = update.first_update_id - 1
        if book.market.continuity == "chained":
            assert update.previous_final_update_id is not None
            follows = update.previous_final_update_id
        text = frame.decode()
        data = text[text.index('"data":') + len('"data":') : text.rindex("}")]
        if book.ring and follows > book.ring[-1][1]:
            book.ring.clear()
        book.ring = [*book.ring[-KEPT:], (follows, update.final_update_id, data)]
        book.beat_ns = self.pair.now_ns
        for session, stream in book.readers:
            session.push(f'{{"stream":"{stream}","data":{data}}}')

    def _state(self, book: Served, stream: str) -> Any:
        status, reason, _ = book.market.status()
        data = {"e": "bookState", "s": book.market.symbol, "status": str(status), "reason": reason}
        data |= {"u": book.market.last_update_id, "generation": book.generation, "server": self.name}
        return {"stream": stream, "data": data}

    def _say(self, book: Served, readers: Iterable[tuple[Session, str]]) -> None:
        book.beat_ns = self.pair.now_ns
        for session, stream in readers:
            session.push(self._state(book, stream))

    def beat(self, now_ns: int) -> None:
        for book in self.books.values():
            if now_ns - book.beat_ns >= HEARTBEAT_NS:
                self._say(book, book.readers)
            reached = book.market.last_update_id or 0
            over = [each for each in book.beyond if reached >= each[2] or now_ns >= each[3]]
            book.beyond = [each for each in book.beyond if each not in over]
            self._say(book, [each[:2] for each in over])

    # --- requests -----------------------------------------------------------------------------

    def request(self, target: str, now_ns: int) -> HttpResponse:
        path, query = split_target(target)
        if self.refuses or self.is_down:
            return HttpResponse(503, b'{"code":-1001,"msg":"later"}', {"Retry-After": "1"})
        if path.endswith("/time"):
            at_ms = self.pair.exchange.epoch_ms + now_ns // 1_000_000
            return HttpResponse(200, json.dumps({"serverTime": at_ms}).encode())
        if path.endswith("/exchangeInfo"):
            rows = [{"symbol": symbol, "status": "TRADING"} for _, symbol in self.books]
            return HttpResponse(200, json.dumps({"symbols": rows}).encode())
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        book = self.find(f"{asked['symbol'].lower()}@")
        if book is None:
            return HttpResponse(400, b'{"code":-1121,"msg":"Invalid symbol."}')
        return self._snapshot(book, int(asked["limit"]))

    def _snapshot(self, book: Served, limit: int) -> HttpResponse:
        market = book.market
        if market.status()[0] is not Status.SYNCED:
            return HttpResponse(503, b'{"code":-1001,"msg":"not synced here"}', {"Retry-After": "1"})
        told = limit
        for side in (market.bids, market.asks):
            if side.bound is not WHOLE and side.coverage() < limit:
                told = min(told, side.coverage())
        if not told:
            return HttpResponse(503, b'{"code":-1001,"msg":"No level is proven"}', {"Retry-After": "1"})
        body: dict[str, Any] = {"lastUpdateId": market.last_update_id}
        if market.event_time_us is not None and book.venue.family != "spot":
            body["E"] = market.event_time_us // 1_000
        body |= {"bids": _levels(market.bids, limit), "asks": _levels(market.asks, limit)}
        return HttpResponse(200, json.dumps(body).encode(), {"X-Depthcache-Limit": str(told)})


def _levels(side: BookSide, limit: int) -> list[list[str]]:
    proven = [(price, quantity) for price, quantity in side.sorted() if side.proves(price)]
    return [
        [format(at_width(price, side.price_scale), "f"), format(at_width(quantity, side.quantity_scale), "f")]
        for price, quantity in proven[:limit]
    ]


def address(number: int) -> str:
    """Where that server is, as nodes say it."""
    return URLS[number].removeprefix("https://")


class Servers:
    """All servers of a reader, in the shape of an exchange (`simulator.interface.Exchange`)."""

    is_over = False

    def __init__(self, exchange: SimulatedExchange, servers: list[Server]) -> None:
        self.exchange, self.servers = exchange, servers
        self.now_ns, self.epoch_ms = exchange.now_ns, exchange.epoch_ms
        self.half_open_until_ns = 0
        """A reader may not have noticed yet that its connection is dead."""
        self.accepted = 0
        """Connections, of all servers together."""

    def venues(self) -> tuple[str, ...]:
        return ()

    def symbols(self, venue: str) -> tuple[str, ...]:
        return ()

    def truth(self, exchange: str, symbol: str) -> Any:
        return self.exchange.truth(exchange, symbol)

    def next_ns(self) -> int | None:
        times = [at for each in self.servers if (at := each.pair._timeline.next_ns()) is not None]
        return min([*times, self.now_ns + HEARTBEAT_NS // 5])

    def advance(self, now_ns: int) -> None:
        while True:
            times = [at for each in self.servers if (at := each.pair._timeline.next_ns()) is not None]
            at_ns = min([*times, now_ns])
            if at_ns >= now_ns:
                break
            self._step(at_ns)
        self._step(now_ns)
        self.now_ns = max(self.now_ns, now_ns)
        for server in self.servers:
            server.beat(now_ns)

    def _step(self, at_ns: int) -> None:
        for server in self.servers:
            server.pair._timeline.step(at_ns)

    def request(self, venue: str, target: str, now_ns: int, *, client: str = "client") -> HttpResponse:
        return self.servers[int(venue)].request(target, now_ns)

    def accept(
        self, venue: str, target: str, now_ns: int, *, client: str = "client"
    ) -> Session | HttpResponse | Cut:
        server = self.servers[int(venue)]
        if server.is_down:
            return Cut()
        if server.handshake_status is not None:
            return HttpResponse(server.handshake_status, b"{}")
        self.accepted += 1
        session = Session(server)
        server.sessions.append(session)
        return session

    # --- faults -------------------------------------------------------------------------------

    def end_sessions(self, how: Sent | None, server: Server) -> None:
        """End all connections to a server; None makes them half-open."""
        for session in server.sessions:
            if how is None:
                self.half_open_until_ns = self.now_ns + NOTICED_NS
                session.is_dead = True
                server.forget(session)
            elif not session.is_dead:
                session.end(how)
        server.sessions.clear()


def reader_of(servers: Servers, *, policy: Policy, seed: int, latency_ns: int, router: Any) -> Pair:
    """A client of the servers, on the same clock."""
    pair = Pair(servers, policy=policy, seed=seed, latency_ns=latency_ns, router=router)  # type: ignore[arg-type]

    def find(url: str) -> tuple[str, str]:
        place = url.replace("wss://", "https://")
        number = next(number for number, base in enumerate(URLS) if place.startswith(base))
        path = place.removeprefix(URLS[number])
        return str(number), path[path.index("/", 1) :]

    pair._network._find = find  # type: ignore[method-assign]
    return pair


def remote(venue: Venue, count: int) -> Venue:
    """The venue as the first `count` servers serve it."""
    made = venues.with_servers(venue, URLS[:count])
    assert all(suffix.endswith(STATES) for _, suffix in made.stream_speeds)
    return made


__all__ = [
    "URLS",
    "Close",
    "Cut",
    "Server",
    "Servers",
    "Session",
    "TappedRouter",
    "address",
    "reader_of",
    "remote",
]
