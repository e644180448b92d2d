"""Serve an embedded exchange on real sockets: HTTP and WebSockets on loopback, with aiohttp.

Every venue is mounted under /<exchange name>. Without it, /api, /ws and /stream are the first spot venue,
/fapi, /public, /market and /private the first USD-M venue, /dapi COIN-M and /eapi options. One timer advances
the exchange to its own `next_ns`. Each connection has a bounded queue for the messages of its session.

A client that does not read is closed (1008) when its queue is full; with `paced`, for recordings, the
exchange waits for its readers instead. Faults of sockets are implemented here: resets instead of responses,
frames in pieces, compression that was not negotiated, a port that does not listen.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import struct
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from time import monotonic_ns
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias, TypeVar

import aiohttp
from aiohttp import WSMsgType, web

from depthcache import logs, venues
from depthcache.errors import InvalidArgument
from depthcache.simulator import responses
from depthcache.simulator.interface import Close, Cut, Exchange, HttpResponse, Ping, Sent, Session, Text
from depthcache.venues import Family

__all__ = ["HOST", "Deflate", "HttpServer"]

T = TypeVar("T")

Deflate: TypeAlias = Literal["never", "if_asked", "unasked"]
"""Compression of frames: never, if a client asks for it, or even though no client did."""

HOST = "127.0.0.1"
BUFFER_BYTES = 32 * 1024 * 1024
_CROWDED_BYTES = 256 * 1024
"""A paced exchange waits while a client has this many bytes in its queue."""
_STUCK_NS = 10_000_000_000
"""A paced exchange waits this long for a client that reads nothing, then closes it."""
_LOOK_S = 0.5
_CLOSE_S = 2.0
"""Timeout of the closing handshake."""
_LONGEST_MESSAGE = 1024 * 1024
_TOO_SLOW = Close(1008, "too slow: what was sent was not read")
_FAILED = Close(1011, "the embedded exchange could not serve this connection")
_LONGEST_REASON = 123
"""RFC 6455, 5.5: a control frame has 125 bytes, two of them for the code."""
_METHODS = ("GET", "HEAD")
_BACKLOG = 1_024
_SHOWN = 200
"""Most characters of a target in the log."""
_PIECES = 100
"""Number of pieces of a frame that drips."""
_TEXT_FRAME, _COMPRESSED = 0x81, 0x40
_JSON = "application/json;charset=UTF-8"


class HttpServer:
    """`async with HttpServer(exchange, port=0)` serves an exchange; `port` is then the actual port.

    Leaving the context raises an error of the exchange, if there was one.
    """

    def __init__(
        self,
        exchange: Exchange,
        *,
        port: int,
        paced: bool = False,
        buffer_bytes: int = BUFFER_BYTES,
        tls: ssl.SSLContext | None = None,
        deflate: Deflate = "never",
        on_sent: Callable[[], None] = lambda: None,
        on_failed: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_sent`: called once a paced exchange is over and its clients have been sent everything;
        `on_failed`: called when an error has ended the exchange."""
        self._on_sent, self._on_failed = on_sent, on_failed
        self.port: int = port
        self._tls = tls
        self._deflate: Deflate = deflate
        self._site: web.TCPSite | None = None
        self._exchange: Final = exchange
        self._paced, self._buffer_bytes = paced, buffer_bytes
        self._lines: set[_Outbox] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._error: Exception | None = None
        self._closing = False

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._mounts = _mounts(self._exchange.venues())
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2 * _CLOSE_S)
        await self._runner.setup()
        try:
            await self.listen(on=True)
        except (OSError, OverflowError) as error:
            await self._runner.cleanup()
            reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
            allowed = f"a port that is free on {HOST}, or 0 for any ({reason})"
            if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
                allowed = f"a free port; it is in use on {HOST}: choose another, or 0 for any free port"
            raise InvalidArgument(name="port", value=self.port, allowed=allowed) from None
        self.port = int(self._runner.addresses[0][1])
        self._tick()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        for line in tuple(self._lines):
            line.close(Close(1001, "the server goes away"))
        await self._runner.cleanup()
        if self._error is not None:
            raise self._error

    async def listen(self, *, on: bool) -> None:
        """Accept connections, or refuse them; open WebSockets stay open."""
        if on and self._site is None:
            site = web.TCPSite(self._runner, HOST, self.port, ssl_context=self._tls, backlog=_BACKLOG)
            await site.start()
            self._site = site
        elif not on and self._site is not None:
            await self._site.stop()
            self._site = None
            for each in self._runner.server.connections if self._runner.server else ():
                each.close()  # idle keep-alive connections; open WebSockets stay

    # --- advancing the exchange -----------------------------------------------------------------

    def command(self, work: Callable[[], T]) -> T:
        """Call `work` with the exchange up to date, and send the consequences at once."""
        self._advance()
        try:
            return work()
        finally:
            self._deliver()

    def _tick(self) -> None:
        """Process what is due, send it, and set the timer for the next event."""
        self._advance()
        self._deliver()

    def _advance(self) -> int:
        """Process what is due. An error ends the exchange, and is raised when the server is closed."""
        now_ns = monotonic_ns()
        try:
            if not self._closing and self._error is None and not self._is_crowded(now_ns):
                self._exchange.advance(now_ns)
        except Exception as error:  # noqa: BLE001 - raised where the server is closed
            self._fail(error)
        return now_ns

    def _deliver(self) -> None:
        """Queue the messages of all sessions, and set the timer."""
        if self._closing or self._error is not None:
            return
        for line in tuple(self._lines):
            with line.guarded("what it is sent"):
                line.put(line.session.take())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._paced and self._exchange.is_over and not any(line.waiting_bytes for line in self._lines):
            self._on_sent()
        if self._is_crowded(monotonic_ns()):
            self._timer = self._loop.call_later(_LOOK_S, self._tick)
            return
        try:
            next_ns = self._exchange.next_ns()
        except Exception as error:  # noqa: BLE001 - raised where the server is closed
            self._fail(error)
            return
        if next_ns is not None:
            self._timer = self._loop.call_later(max(0, next_ns - monotonic_ns()) / 1e9, self._tick)

    def _is_crowded(self, now_ns: int) -> bool:
        if not self._paced:
            return False
        crowded = [line for line in self._lines if line.waiting_bytes > _CROWDED_BYTES]
        for line in crowded:
            if now_ns - line.moved_ns > _STUCK_NS:
                line.close(_TOO_SLOW)
        return any(not line.is_over for line in crowded)

    def _fail(self, error: Exception) -> None:
        self._error = self._error or error
        for line in tuple(self._lines):
            line.close(Close(1011, "the embedded exchange failed"))
        self._on_failed()

    # --- what clients do --------------------------------------------------------------------------

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        target = request.raw_path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        found = _find(self._mounts, target)
        if found is None:
            return web.Response(status=404, text=f"simulated here: {', '.join(self._exchange.venues())}")
        if request.method not in _METHODS:
            return web.Response(status=405, headers={"Allow": ", ".join(_METHODS)})
        wants_socket = request.headers.get("Upgrade", "").lower() == "websocket"
        now_ns, client = self._advance(), request.remote or HOST
        if self._error is not None:
            return web.Response(status=500)
        try:
            if wants_socket:
                opened = self._exchange.accept(*found, now_ns, client=client)
            else:
                opened = self._exchange.request(*found, now_ns, client=client)
        except Exception as error:  # noqa: BLE001 - an error must not affect other requests
            logs.client_of_simulator_failed(did=f"{request.method} {target[:_SHOWN]!a}", error=error)
            opened = responses.failed()
        self._deliver()
        if isinstance(opened, HttpResponse):
            return await _responded(opened)
        if isinstance(opened, Cut):
            _reset(request.transport)
            return web.Response(status=503)  # not sent: the connection is already reset
        return await self._talk(request, opened)

    async def _talk(self, request: web.Request, session: Session) -> web.StreamResponse:
        line = _Outbox(session, self._buffer_bytes, self._on_drained, self._deflate)
        try:
            await line.socket.prepare(request)
            line.begin(request)
            self._lines.add(line)
            self._deliver()
            async for message in line.socket:
                await self._hear(line, message)
        except web.HTTPException:  # not a valid handshake
            raise
        except (aiohttp.ClientError, OSError):
            pass  # the client is gone; handled below
        finally:
            self._lines.discard(line)
            if not self._closing and self._error is None:
                with line.guarded("its end"):
                    session.on_close(monotonic_ns())
                self._tick()
            await line.end()
        # For a client that left during the handshake, this response is never read.
        return line.socket if line.socket.prepared else web.Response(status=400)

    async def _hear(self, line: _Outbox, message: aiohttp.WSMessage) -> None:
        """Handle one frame of a client. An error ends this client only."""
        now_ns = self._advance()
        if line.is_over:
            return
        with line.guarded("what it said"):
            if message.type is WSMsgType.TEXT:
                line.session.on_text(message.data, now_ns)
            elif message.type is WSMsgType.PONG:
                line.session.on_pong(bytes(message.data), now_ns)
            elif message.type is WSMsgType.PING:
                line.session.on_ping(bytes(message.data), now_ns)
                if not line.session.is_dead:
                    await line.socket.pong(message.data)
        self._deliver()

    def _on_drained(self) -> None:
        if self._paced and not self._closing:
            self._loop.call_soon(self._tick)


class _Outbox:
    """The bounded queue of one client, and the task that sends it."""

    def __init__(
        self, session: Session, buffer_bytes: int, on_drained: Callable[[], None], deflate: Deflate
    ) -> None:
        self.session: Final = session
        self.socket: Final = web.WebSocketResponse(
            autoping=False,
            compress=deflate == "if_asked",
            max_msg_size=_LONGEST_MESSAGE,
            timeout=_CLOSE_S,
        )
        self._compresses = deflate == "unasked"
        if self._compresses:
            self.socket.headers["Sec-WebSocket-Extensions"] = "permessage-deflate"
        self.waiting_bytes = 0
        self.moved_ns = monotonic_ns()
        self.is_over = False
        self._buffer_bytes = buffer_bytes
        self._on_drained = on_drained
        self._queue: deque[Sent] = deque()
        self._filled = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._sender: asyncio.Task[None] | None = None
        self._closer: asyncio.Task[None] | None = None

    def begin(self, request: web.Request) -> None:
        """Start sending: the handshake is complete."""
        self._transport = request.transport
        self._sender = asyncio.get_running_loop().create_task(self._send_all())

    def put(self, messages: Iterable[Sent]) -> None:
        """Queue messages in order. A client that leaves too much unread is closed."""
        for message in messages:
            if self.is_over:
                return
            self._queue.append(message)
            self.waiting_bytes += len(message.text) if isinstance(message, Text) else 0
        if self.waiting_bytes > self._buffer_bytes:
            self.close(_TOO_SLOW)
        elif self._queue:
            self._filled.set()

    @contextmanager
    def guarded(self, what: str) -> Generator[None]:
        """Errors inside this context end this connection and no other."""
        try:
            yield
        except (aiohttp.ClientError, ConnectionError):
            self._end_queue()  # the client is gone; the reading side handles that
        except Exception as error:  # noqa: BLE001 - logged, and ends this connection
            logs.client_of_simulator_failed(did=f"a WebSocket: {what}", error=error)
            self.close(_FAILED)

    def close(self, close: Close) -> None:
        """Send this close frame and nothing else any more."""
        if not self.is_over:
            self._end_queue()
            if self._sender is not None:
                self._sender.cancel()
            self._closer = asyncio.get_running_loop().create_task(self._close(close))

    async def end(self) -> None:
        """Stop sending, and wait until the task has ended."""
        if self._sender is not None:
            self._sender.cancel()
        if self._closer is not None:
            await asyncio.wait([self._closer])

    async def _send_all(self) -> None:
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._queue:
                with self.guarded("what it is sent"):
                    await self._send(self._queue.popleft())
                self.moved_ns = monotonic_ns()
            self._on_drained()

    async def _send(self, message: Sent) -> None:
        match message:
            case Text(text, drip_ns):
                self.waiting_bytes -= len(text)
                if self._compresses or drip_ns:
                    await self._write(text.encode(), drip_ns / 1e9)
                else:
                    await self.socket.send_str(text)
            case Ping(payload):
                await self.socket.ping(payload)
            case Close():
                self.close(message)
            case Cut():
                self._end_queue()
                _reset(self._transport)

    def _end_queue(self) -> None:
        self.is_over = True
        self._queue.clear()
        self.waiting_bytes = 0

    async def _close(self, close: Close) -> None:
        """Send a close frame, and cut a client that does not respond."""
        reason = close.reason.encode("utf-8", "replace")[:_LONGEST_REASON]
        with suppress(aiohttp.ClientError, OSError, TimeoutError, RuntimeError):
            async with asyncio.timeout(2 * _CLOSE_S):
                await self.socket.close(code=close.code, message=reason, drain=False)
        if self._transport is not None:
            asyncio.get_running_loop().call_later(_CLOSE_S, self._transport.abort)

    async def _write(self, payload: bytes, seconds: float) -> None:
        """Send a text frame, spread over `seconds`."""
        first = _TEXT_FRAME
        if self._compresses:  # RFC 7692, 7.2.1: without the empty block at the end
            deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
            payload = (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
            first |= _COMPRESSED
        frame = _frame_head(first, len(payload)) + payload
        size = max(1, len(frame) // _PIECES) if seconds else len(frame)
        pieces = [frame[begin : begin + size] for begin in range(0, len(frame), size)]
        for piece in pieces:
            if self._transport is None or self._transport.is_closing():
                return
            self._transport.write(piece)
            if seconds:
                await asyncio.sleep(seconds / len(pieces))


def _reset(transport: asyncio.Transport | None) -> None:
    """Reset the TCP connection without a close frame."""
    if transport is not None:
        raw = transport.get_extra_info("socket")
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


def _frame_head(first: int, size: int) -> bytes:
    """The header of a frame (RFC 6455, 5.2)."""
    if size < 126:
        return struct.pack(">BB", first, size)
    if size < 1 << 16:
        return struct.pack(">BBH", first, 126, size)
    return struct.pack(">BBQ", first, 127, size)


async def _responded(response: HttpResponse) -> web.Response:
    if response.delay_ns:
        await asyncio.sleep(response.delay_ns / 1e9)
    headers = dict(response.headers)
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = _JSON
    return web.Response(status=response.status, body=response.body, headers=headers)


def _mounts(served: Iterable[str]) -> dict[str, tuple[str, bool]]:
    """First segment of a path to its exchange name, and whether the segment is removed."""
    mounts: dict[str, tuple[str, bool]] = {}
    # USD-M and options share a host (SDKs, 2026-11); its routes default to USD-M.
    for name in sorted(served, key=lambda name: venues.venue(name).family == "options"):
        venue = venues.venue(name)
        mounts |= dict.fromkeys((name, *venue.aliases), (name, True))
        for segment in (venue.depth_path.split("/")[1], *_SOCKET_SEGMENTS[venue.family]):
            mounts.setdefault(segment, (name, False))
    return mounts


_ROUTES = ("public", "market", "private")
_SOCKET_SEGMENTS: Mapping[Family, tuple[str, ...]] = {
    "spot": ("ws", "stream"),
    "linear": _ROUTES,
    "inverse": (),
    "options": _ROUTES,
}
"""Family to the first segments of the paths of its streams."""


def _find(mounts: Mapping[str, tuple[str, bool]], target: str) -> tuple[str, str] | None:
    """The exchange name, and the target as the exchange sees it."""
    first, slash, rest = target.removeprefix("/").partition("/")
    name, is_prefix = mounts.get(first.partition("?")[0], ("", False))
    if not name:
        return None
    return (name, slash + rest) if is_prefix else (name, target)
