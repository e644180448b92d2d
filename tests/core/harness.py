"""The test bench of the core: a virtual clock, a scripted exchange, and the core between them.

Nothing sleeps, and nothing is random unless a test asks for it. The exchange enforces its limits: it counts
weight per clock minute, messages per second, connects per five minutes and subscriptions per connection, and
remembers every breach; `Bench.assert_law_kept` fails a test that caused one. Its faults are methods. The full
protocol of Binance is in `simulator`.
"""

from __future__ import annotations

import heapq
import json
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit

from depthcache import venues
from depthcache._native import Router
from depthcache.core.client import ClientCore
from depthcache.core.commands import CloseConnection, Command, Fetch, OpenConnection, Send
from depthcache.core.notices import Notice, StatusChanged
from depthcache.core.policy import Policy
from depthcache.core.requests.budget import Budgets
from depthcache.model import Status
from depthcache.venues import Venue

SPOT = venues.venue("binance.com")
FUTURES = venues.venue("binance.com-futures")
COIN = venues.venue("binance.com-coin_futures")

SECOND = 1_000_000_000
MINUTE = 60 * SECOND


@dataclass
class Market:
    """The true book of a symbol: an id and a few levels whose quantities are the ids of their last change."""

    symbol: str
    chained: bool
    update_id: int = 100
    sent_id: int = 100
    mute: bool = False
    drop: int = 0
    bids: dict[str, str] = field(default_factory=lambda: {f"{99 - i}.00": f"{i + 1}.5" for i in range(3)})
    asks: dict[str, str] = field(default_factory=lambda: {f"{101 + i}.00": f"{i + 1}.5" for i in range(3)})
    history: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=400))

    def change(self, *, bid: tuple[str, str] | None = None) -> dict[str, Any]:
        """Change the book once; return the payload of the diff."""
        first = self.update_id + (7 if self.chained else 1)
        self.update_id = first + (3 if self.chained else 0)
        level = bid or ("99.00", f"{self.update_id}.5")
        if float(level[1]):
            self.bids[level[0]] = level[1]
        else:
            self.bids.pop(level[0], None)
        diff = {"e": "depthUpdate", "E": 1_770_000_000_000 + self.update_id, "s": self.symbol}
        diff |= {"U": first, "u": self.update_id, "b": [list(level)], "a": []}
        if self.chained:
            diff |= {"pu": self.sent_id, "T": diff["E"]}
        self.sent_id = self.update_id
        return diff

    def body(self) -> bytes:
        bids = sorted(self.bids.items(), key=lambda level: -float(level[0]))
        asks = sorted(self.asks.items(), key=lambda level: float(level[0]))
        return json.dumps({"lastUpdateId": self.update_id, "bids": bids, "asks": asks}).encode()


@dataclass
class Socket:
    """One connection of the exchange."""

    number: int
    venue: Venue
    opened_ns: int
    streams: set[str] = field(default_factory=set)
    messages: list[int] = field(default_factory=list)
    received: list[dict[str, Any]] = field(default_factory=list)
    dead: bool = False  # half-open: nothing gets through


class Exchange:
    """The scripted exchange. Every fault is a method or a switch."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.markets: dict[str, Market] = {}
        self.sockets: dict[int, Socket] = {}
        self.all_sockets: list[Socket] = []
        self.connects: list[int] = []
        self.requests: list[tuple[int, str, int]] = []
        self.breaches: list[str] = []
        self.spent: list[tuple[int, str, int]] = []
        self.foreign_weight = 0
        self.counts_weight = True
        self.acks = True
        self.pings = True
        self.refuses_connects = False
        self.answers_handshakes: Callable[[Venue], dict[str, Any] | None] = lambda _: None
        self.accepts_then_closes = False
        self.answers_lists = True
        self.unknown: set[str] = set()
        self.listed: dict[str, str] = {}
        self.refuses_all: Callable[[], tuple[int, dict[str, str], bytes] | None] = lambda: None
        self.stats: list[tuple[int, str]] = []
        self.refused_streams: set[str] = set()
        self.most_streams = 1024
        self.scripted: deque[tuple[int, dict[str, str], bytes] | str] = deque()
        self.scripted_for: dict[str, Callable[[], tuple[int, dict[str, str], bytes] | str | None]] = {}
        self.hidden: dict[str, int] = {}
        self.scripted_lists: deque[tuple[int, dict[str, str], bytes]] = deque()
        self.lag_ns = 0
        self.history_of: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
        self.ack_delay_ns = 0
        self.rest_delay_ns = 100_000_000

    # --- the market ------------------------------------------------------------------------

    def market(self, symbol: str, venue: Venue = SPOT) -> Market:
        key = f"{venue.name}:{symbol}"
        if key not in self.markets:
            self.markets[key] = Market(symbol, venue.continuity == "chained")
            self._remember(key)
        return self.markets[key]

    def tick(self, symbol: str, venue: Venue = SPOT, *, bid: tuple[str, str] | None = None) -> None:
        """Change the book once and send the diff to all subscribers, unless a fault prevents it."""
        market = self.market(symbol, venue)
        diff = market.change(bid=bid)
        self._remember(f"{venue.name}:{symbol}")
        if market.mute:
            return
        if market.drop:
            market.drop -= 1
            return
        name = next(iter({venue.stream(symbol, ms) for ms, _ in venue.stream_speeds[:1]}))
        for socket in list(self.sockets.values()):
            if name in socket.streams and socket.venue.name == venue.name:
                self.say(socket, {"stream": name, "data": diff})

    def ticks(self, symbol: str, venue: Venue = SPOT, *, every_s: float, start_s: float = 0.0) -> None:
        """Change the book repeatedly from now on."""

        def again() -> None:
            self.tick(symbol, venue)
            self.bench.after(round(every_s * SECOND), again)

        self.bench.after(round(start_s * SECOND), again)

    def _remember(self, key: str) -> None:
        if self.lag_ns:
            self.history_of[key].append((self.bench.now_ns, self.markets[key].body()))

    # --- faults ----------------------------------------------------------------------------

    def drop_next_diff(self, symbol: str, venue: Venue = SPOT) -> None:
        self.market(symbol, venue).drop += 1

    def mute(self, symbol: str, venue: Venue = SPOT) -> None:
        """Acknowledge a stream, but never send its data."""
        self.market(symbol, venue).mute = True

    def unmute(self, symbol: str, venue: Venue = SPOT) -> None:
        self.market(symbol, venue).mute = False

    def lag_snapshots(self, seconds: float) -> None:
        """Serve snapshots of a lagging node."""
        self.lag_ns = round(seconds * SECOND)
        for key in self.markets:
            self._remember(key)

    def answer_next(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Answer the next request with this response."""
        self.scripted.append((status, {k.replace("_", "-"): v for k, v in headers.items()}, body))

    def fail_next(self, reason: str = "timed out") -> None:
        """Do not answer the next request."""
        self.scripted.append(reason)

    def answer_list(self, status: int, body: bytes = b"", count: int = 1) -> None:
        """Answer the next exchangeInfo requests with this response."""
        self.scripted_lists.extend([(status, {}, body)] * count)

    def hide(self, symbol: str, count: int = 1) -> None:
        """Answer the next exchangeInfo requests from a node that does not know the symbol."""
        self.hidden[symbol] = count

    def _hides(self, symbol: str) -> bool:
        left = self.hidden.get(symbol, 0)
        self.hidden[symbol] = max(0, left - 1)
        return left > 0

    def close_all(self, code: int | None = 1006, reason: str = "") -> None:
        for number in list(self.sockets):
            self.sockets.pop(number)
            self.bench.report(lambda number=number: self.bench.core.on_closed(number, code, reason, self.now))

    def half_open(self, number: int | None = None) -> None:
        """Make a connection half-open: the peer is gone without a close."""
        for socket in self.sockets.values():
            if number in (None, socket.number):
                socket.dead = True

    def announce_shutdown(self) -> None:
        for socket in self.sockets.values():
            self.say(socket, {"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": 1}})

    # --- connections -----------------------------------------------------------------------

    @property
    def now(self) -> int:
        return self.bench.now_ns

    def open(self, number: int, url: str) -> None:
        self.connects.append(self.now)
        recent = [at for at in self.connects if at > self.now - 300 * SECOND]
        if len(recent) > 300:
            self.breaches.append(f"{len(recent)} connects in 5 minutes")
        venue = next(v for v in self.bench.venues if v.stream_url() == url)
        if (told := self.answers_handshakes(venue)) is not None:
            self.bench.after(
                50_000_000, lambda: self.bench.core.on_closed(number, None, "refused", self.now, **told)
            )
            return
        if self.refuses_connects:
            self.bench.after(50_000_000, lambda: self.bench.core.on_closed(number, None, "refused", self.now))
            return
        socket = Socket(number, venue, self.now)

        def opened() -> None:
            if number in self.bench.abandoned:
                return
            self.sockets[number] = socket
            self.all_sockets.append(socket)
            self.bench.core.on_open(number, self.now)
            self._ping(socket)
            if self.accepts_then_closes:
                self.bench.after(SECOND, lambda: self._close(number, 1001))

        self.bench.after(50_000_000, opened)

    def _close(self, number: int, code: int) -> None:
        if self.sockets.pop(number, None):
            self.bench.core.on_closed(number, code, "", self.now)

    def _ping(self, socket: Socket) -> None:
        def ping() -> None:
            if socket.number not in self.sockets:
                return
            if self.pings and not socket.dead:
                self.bench.core.on_alive(socket.number, self.now)
            self._ping(socket)

        self.bench.after(round(socket.venue.ping_interval_s * SECOND), ping)

    def closed_by_client(self, number: int) -> None:
        socket = self.sockets.pop(number, None)
        self.bench.abandoned.add(number)
        if socket is None or not socket.dead:
            self.bench.after(20_000_000, lambda: self.bench.core.on_closed(number, 1000, "", self.now))

    def hear(self, number: int, text: str) -> None:
        socket = self.sockets.get(number)
        if socket is None or socket.dead:
            return
        message = json.loads(text)
        socket.received.append(message)
        socket.messages.append(self.now)
        if len([at for at in socket.messages if at > self.now - SECOND]) > socket.venue.messages_per_second:
            self.breaches.append("too many messages in a second")
        if not 0 < message["id"] < 2**31:
            self.breaches.append(f"id {message['id']}")
        if len(message.get("params", ())) > socket.venue.names_per_message:
            self.breaches.append("too many names in a message")
        if len(text.encode()) > 8_000:
            self.breaches.append("message too long")
        if self.acks:
            self._reply(socket, message)

    def _reply(self, socket: Socket, message: dict[str, Any]) -> None:
        names = set(message.get("params", ()))
        if message["method"] == "LIST_SUBSCRIPTIONS":
            if self.answers_lists:
                self.say(socket, {"result": sorted(socket.streams), "id": message["id"]})
            return
        if message["method"] == "UNSUBSCRIBE":
            socket.streams -= names
        elif names & self.refused_streams:
            error = {"code": 2, "msg": "Invalid request: invalid stream"}
            self.say(socket, {"error": error, "id": message["id"]})
            return
        elif len(socket.streams | names) > self.most_streams:
            self.say(socket, {"error": {"code": 4, "msg": "Too many subscriptions"}, "id": message["id"]})
            self.bench.after(50_000_000, lambda: self._close(socket.number, 1008))
            return
        else:
            if socket.streams & names:
                self.breaches.append(f"subscribed twice: {sorted(socket.streams & names)}")
            socket.streams |= names
        self.bench.after(self.ack_delay_ns, lambda: self.say(socket, {"result": None, "id": message["id"]}))

    def say(self, socket: Socket, value: dict[str, Any]) -> None:
        self.say_bytes(socket, json.dumps(value).encode())

    def say_bytes(self, socket: Socket, frame: bytes) -> None:
        def arrive() -> None:
            if not socket.dead and self.bench.router.feed(socket.number, frame, self.now):
                self.bench.core.on_events(self.bench.router.take_events(), self.now)

        self.bench.after(10_000_000, arrive)

    # --- requests --------------------------------------------------------------------------

    def get(self, request: int, url: str) -> None:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        if not url.startswith(tuple(v.endpoints.rest + v.depth_path for v in self.bench.venues)):
            self._get_fact(request, url)
            return
        symbol, limit = query["symbol"][0], int(query["limit"][0])
        venue = next(v for v in self.bench.venues if url.startswith(v.endpoints.rest + v.depth_path))
        weight = venue.snapshot_weight(limit)
        self.requests.append((self.now, symbol, limit))

        def arrive() -> None:
            self.spent.append((self.now, venue.weight_pool, weight))
            used = self._used_this_minute(venue.weight_pool) + self.foreign_weight
            response = self._response(venue, symbol)
            if isinstance(response, str):
                self.bench.after(5 * SECOND, lambda: self.bench.core.on_failure(request, response, self.now))
                return
            status, headers, body = response
            counted = {"x-mbx-used-weight-1m": str(used)} if self.counts_weight else {}
            self.bench.after(
                self.rest_delay_ns // 2,
                lambda: self.bench.core.on_response(request, status, {**counted, **headers}, body, self.now),
            )

        self.bench.after(self.rest_delay_ns // 2, arrive)

    def _get_fact(self, request: int, url: str) -> None:
        """The time, or exchangeInfo, in which the requested symbols trade."""
        venue = next(v for v in self.bench.venues if url.startswith(v.endpoints.rest))
        is_time = urlsplit(url).path.endswith(venue.time_path)
        weight = 1 if is_time else venue.exchange_info_weight
        self.stats.append((self.now, url))

        def arrive() -> None:
            self.spent.append((self.now, venue.weight_pool, weight))
            if is_time:
                response: dict[str, Any] = {"serverTime": 1_770_000_000_000 + self.now // 1_000_000}
            else:
                known = {key.partition(":")[2] for key in self.markets} | self.listed.keys()
                rows = [
                    {"symbol": name, venue.status_key: self.listed.get(name, "TRADING")}
                    for name in sorted(known - self.unknown)
                    if not self._hides(name)
                ]
                response = {venue.listing_key: rows}
            usual = (200, {}, json.dumps(response).encode())
            scripted = self.scripted_lists.popleft() if self.scripted_lists and not is_time else None
            status, headers, body = self.refuses_all() or scripted or usual
            used = self._used_this_minute(venue.weight_pool) + self.foreign_weight
            headers = {**({"x-mbx-used-weight-1m": str(used)} if self.counts_weight else {}), **headers}
            delay_ns = self.rest_delay_ns // 2
            self.bench.after(
                delay_ns, lambda: self.bench.core.on_response(request, status, headers, body, self.now)
            )

        self.bench.after(self.rest_delay_ns // 2, arrive)

    def _used_this_minute(self, pool: str) -> int:
        minute_ns = self.now // MINUTE * MINUTE
        used = 0
        for at_ns, name, weight in reversed(self.spent):
            if at_ns < minute_ns:
                break
            used += weight if name == pool else 0
        return used

    def most_weight_in_any_minute(self, pool: str) -> int:
        """The most weight within any 60 seconds."""
        window: deque[tuple[int, int]] = deque()
        used = most = 0
        for at_ns, name, weight in self.spent:
            if name != pool:
                continue
            window.append((at_ns, weight))
            used += weight
            while window[0][0] <= at_ns - MINUTE:
                used -= window.popleft()[1]
            most = max(most, used)
        return most

    def _response(self, venue: Venue, symbol: str) -> tuple[int, dict[str, str], bytes] | str:
        if (refusal := self.refuses_all()) is not None:
            return refusal
        if self.scripted:
            return self.scripted.popleft()
        special = self.scripted_for.get(symbol)
        if special and (response := special()) is not None:
            return response
        if symbol in self.unknown:
            return 400, {}, b'{"code":-1121,"msg":"Invalid symbol."}'
        market = self.market(symbol, venue)
        if self.lag_ns:
            past = [b for at, b in self.history_of[f"{venue.name}:{symbol}"] if at <= self.now - self.lag_ns]
            return 200, {}, past[-1] if past else self.history_of[f"{venue.name}:{symbol}"][0][1]
        return 200, {}, market.body()


class Bench:
    """Core, router, exchange and clock. Only `run(seconds)` advances the clock."""

    def __init__(
        self,
        *,
        policy: Policy | None = None,
        random: Callable[[], float] = lambda: 0.5,
        venues: tuple[Venue, ...] = (SPOT, FUTURES, COIN),
        router: Any = None,
        budgets: Budgets | None = None,
        copy_from: Callable[[str, str], str | None] = lambda *_: None,
    ) -> None:
        self.now_ns = 1_000 * MINUTE
        self.start_ns = self.now_ns
        self.venues = venues
        self.router: Any = Router() if router is None else router
        self.core = ClientCore(
            self.router, random=random, policy=policy or Policy(), budgets=budgets, copy_from=copy_from
        )
        self.exchange = Exchange(self)
        self.notices: list[StatusChanged] = []
        self.told: list[Notice] = []
        """All notices; status changes are also in `notices`."""
        self.commands: list[Command] = []
        self.abandoned: set[int] = set()
        self.ids: dict[str, int] = {}
        self._heap: list[tuple[int, int, Callable[[], Any]]] = []
        self._order = count()

    # --- time ------------------------------------------------------------------------------

    def after(self, delay_ns: int, call: Callable[[], Any]) -> None:
        heapq.heappush(self._heap, (self.now_ns + delay_ns, next(self._order), call))

    def report(self, call: Callable[[], Any]) -> None:
        """Do something now, and settle."""
        call()
        self.settle()

    def run(self, seconds: float) -> None:
        """Advance the clock."""
        end_ns = self.now_ns + round(seconds * SECOND)
        self.settle()
        while True:
            wake_ns = self.core.next_wake_ns()
            next_ns = min(
                wake_ns if wake_ns is not None else end_ns + 1,
                self._heap[0][0] if self._heap else end_ns + 1,
            )
            if next_ns > end_ns:
                break
            self.now_ns = max(self.now_ns, next_ns)
            if self._heap and self._heap[0][0] <= self.now_ns:
                heapq.heappop(self._heap)[2]()
            else:
                self.core.on_wake(self.now_ns)
            self.settle()
        self.now_ns = end_ns

    def run_until(self, condition: Callable[[], bool], *, within_s: float, step_s: float = 0.05) -> float:
        """Advance the clock until a condition is true; return the seconds it took."""
        start_ns = self.now_ns
        while not condition():
            assert self.now_ns - start_ns < within_s * SECOND, f"not true within {within_s} s"
            self.run(step_s)
        return (self.now_ns - start_ns) / SECOND

    def settle(self) -> None:
        while True:
            if events := self.router.take_events():
                self.core.on_events(events, self.now_ns)
            commands = self.core.take_commands()
            told = self.core.take_notices()
            self.told += told
            self.notices += [each for each in told if isinstance(each, StatusChanged)]
            if not commands and not events:
                return
            for command in commands:
                self.commands.append(command)
                match command:
                    case OpenConnection(connection, url):
                        self.exchange.open(connection, url)
                    case CloseConnection(connection):
                        self.exchange.closed_by_client(connection)
                    case Send(connection, text):
                        self.exchange.hear(connection, text)
                    case Fetch(request, url, _):
                        self.get(request, url)

    def get(self, request: int, url: str) -> None:
        """A request, to the exchange."""
        self.exchange.get(request, url)

    # --- the application -------------------------------------------------------------------

    def add(self, *symbols: str, venue: Venue = SPOT, depth: int = 100) -> None:
        for symbol in symbols:
            self.exchange.market(symbol, venue)
            self.ids[symbol] = self.core.add(venue, symbol, depth=depth, now_ns=self.now_ns)
        self.settle()

    def remove(self, symbol: str) -> None:
        self.core.remove(self.ids.pop(symbol), self.now_ns)
        self.settle()

    # --- what is true ----------------------------------------------------------------------

    def book(self, symbol: str) -> Any:
        return self.router.reader(self.ids[symbol])

    def status(self, symbol: str) -> Status:
        return self.book(symbol).status

    def all_synced(self) -> bool:
        return all(self.status(symbol) is Status.SYNCED for symbol in self.ids)

    def synced(self) -> int:
        return sum(self.status(symbol) is Status.SYNCED for symbol in self.ids)

    def follows(self, symbol: str, venue: Venue = SPOT) -> bool:
        """Whether the book equals that of the exchange, in id and levels."""
        market, book = self.exchange.market(symbol, venue), self.book(symbol)
        bids = [(float(p), float(q)) for p, q in market.bids.items()]
        return book.last_update_id == market.update_id and sorted(book.bids) == sorted(bids)

    def seen(self, symbol: str) -> list[Status]:
        """The statuses that were reported to users, in order."""
        return [notice.status for notice in self.notices if notice.market == self.ids[symbol]]

    def asked(self, symbol: str) -> list[float]:
        """Times of the snapshot requests of a symbol, in seconds since the start of the bench."""
        return [(at - self.start_ns) / SECOND for at, name, _ in self.exchange.requests if name == symbol]

    def subscribe_names(self, method: str = "SUBSCRIBE") -> list[str]:
        """All stream names in all messages of a method, over all connections, in order."""
        return [
            name
            for socket in self.exchange.all_sockets
            for message in socket.received
            if message["method"] == method
            for name in message.get("params", ())
        ]

    def assert_law_kept(self, *, share: float = 0.5) -> None:
        assert self.exchange.breaches == []
        for venue in self.venues:
            most = self.exchange.most_weight_in_any_minute(venue.weight_pool)
            assert most <= venue.weight_per_minute * share
