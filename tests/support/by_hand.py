"""An exchange moved by hand: a network whose peer is the test.

Connections open, and subscriptions are acknowledged, automatically. Snapshots are returned if `books` has
them, refused for symbols in `unknown`, and otherwise left waiting. As the interface of networks requires,
everything happens in later steps of the event loop; nothing takes time.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from depthcache import now_ns
from depthcache.io.network.interface import Callbacks, Closed, FrameSink, Response
from depthcache.settings import Settings

DEADLINE_S = 20.0
LEVELS = {"bids": [["1.10", "5.0"], ["1.00", "6.0"]], "asks": [["1.20", "7.0"], ["1.30", "8.0"]]}


class ByHand:
    """The network of a client, created on its event loop. The books start at update id 10."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings
        self.books: dict[str, dict[str, object]] = {}
        self.unknown: set[str] = set()
        self.default: dict[str, object] | None = {"lastUpdateId": 10, **LEVELS}
        self.sent: list[dict[str, object]] = []
        self.asked: list[str] = []
        self.urls: dict[int, str] = {}
        self.closed = False
        self._loop = asyncio.get_running_loop()
        self._wake: asyncio.TimerHandle | None = None

    # --- calls of the client ------------------------------------------------------------------

    def attach(self, router: FrameSink, callbacks: Callbacks) -> None:
        self._feed, self._callbacks = router.feed, callbacks

    def now_ns(self) -> int:
        return now_ns()

    def open(self, connection: int, url: str) -> None:
        self.urls[connection] = url
        self._loop.call_soon(self._callbacks.on_open, connection)

    def send(self, connection: int, text: str) -> None:
        message = json.loads(text)
        self.sent.append(message)
        self._loop.call_soon(self.frame, connection, {"result": None, "id": message["id"]})

    def close(self, connection: int) -> None:
        if self.urls.pop(connection, None):
            self._loop.call_soon(self._callbacks.on_closed, connection, Closed(1000, "closed"))

    def fetch(self, request: int, url: str, *, timeout_s: float) -> None:
        query = parse_qs(urlsplit(url).query)
        if "symbol" not in query:
            self._loop.call_soon(self._callbacks.on_response, request, Response(200, {}, self._fact(url)))
            return
        symbol = query["symbol"][0]
        self.asked.append(symbol)
        if symbol in self.unknown:
            response = Response(400, {}, b'{"code":-1121,"msg":"Invalid symbol."}')
        elif (book := self.books.get(symbol, self.default)) is not None:
            response = Response(200, {}, json.dumps(book).encode())
        else:
            return
        self._loop.call_soon(self._callbacks.on_response, request, response)

    def _fact(self, url: str) -> bytes:
        """The time, or exchangeInfo, in which every requested and known symbol trades."""
        if urlsplit(url).path.endswith("/time"):
            return json.dumps({"serverTime": 1_770_000_000_000}).encode()
        known = ({"BTCUSDT"} | set(self.asked) | set(self.books)) - set(self.unknown)
        rows = [{"symbol": name, "status": "TRADING"} for name in sorted(known)]
        return json.dumps({"symbols": rows}).encode()

    def wake_at(self, at_ns: int | None) -> None:
        if self._wake is not None:
            self._wake.cancel()
        if at_ns is not None:
            delay_s = max(0, at_ns - now_ns()) / 1e9
            self._wake = self._loop.call_later(delay_s, self._callbacks.on_wake)

    def abandon_sessions(self) -> None:
        pass

    async def aclose(self) -> None:
        self.wake_at(None)
        self.closed = True

    # --- calls of the test --------------------------------------------------------------------

    def frame(self, connection: int, value: object) -> None:
        """Send a frame on a connection."""
        if not self.closed and self._feed(connection, json.dumps(value).encode(), now_ns()):
            self._callbacks.on_events()

    def raw(self, frame: bytes) -> None:
        """Send raw bytes on every connection."""
        for connection in tuple(self.urls):
            if self._feed(connection, frame, now_ns()):
                self._callbacks.on_events()

    def diff(self, symbol: str, first: int, last: int, **sides: list[list[str]]) -> None:
        """Send a spot diff on the connection of the symbol's exchange."""
        data = {"e": "depthUpdate", "E": 1_700_000_000_000 + last, "s": symbol, "U": first, "u": last}
        data |= {"b": sides.get("bids", []), "a": sides.get("asks", [])}
        for connection in tuple(self.urls):
            self.frame(connection, {"stream": f"{symbol.lower()}@depth@100ms", "data": data})

    def cut(self, code: int | None = 1006, reason: str = "cut") -> None:
        """Close every connection."""
        for connection in tuple(self.urls):
            del self.urls[connection]
            self._callbacks.on_closed(connection, Closed(code, reason))


class FromThread:
    """The networks of clients on threads, controlled from the test's thread."""

    def __init__(self) -> None:
        self.networks: list[ByHand] = []
        self.default: dict[str, object] | None = {"lastUpdateId": 10, "bids": [["1.1", "5"]], "asks": []}
        self.on_make: Callable[[], None] = lambda: None

    def make(self, settings: Settings) -> ByHand:
        self.on_make()
        network = ByHand(settings)
        network.default = self.default
        self.networks.append(network)
        return network

    def do(self, act: Callable[[ByHand], None]) -> None:
        done = threading.Event()

        def on_loop() -> None:
            act(self.networks[-1])
            done.set()

        self.networks[-1]._loop.call_soon_threadsafe(on_loop)
        assert done.wait(DEADLINE_S)
