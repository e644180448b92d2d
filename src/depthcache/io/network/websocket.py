"""One WebSocket of the aiohttp network, from the handshake to the reason why it ended.

Each frame goes from the socket to `feed` with its receive time, without a task or queue in between. TCP is
the buffer: while the event loop is blocked, frames wait in the kernel and at the exchange, and none is lost.

Data for a book and pongs for our own pings are signs of life. Pings of the exchange, useless messages and
unsolicited pongs are not: a peer may still send them when its streams are dead. Only the newest unanswered
ping of the exchange gets a pong, so a peer that does not read costs no memory.
"""

from __future__ import annotations

import asyncio
import secrets
from asyncio.trsock import TransportSocket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from socket import SHUT_RDWR

import aiohttp
from aiohttp import WSMsgType

from depthcache._native import now_ns
from depthcache.io.network.http import describe_error
from depthcache.io.network.interface import Closed
from depthcache.io.network.proxies import DIRECT, proxy_for
from depthcache.io.network.sessions import Sessions, noting_addresses, route_arguments

__all__ = ["WebSocket", "WebSocketHandler", "patience_s"]

_MOST_BYTES = 16 * 1024 * 1024
"""Largest message in bytes. Real ones reach about 40 kB (932 changes in one second, measured 2026-09-03)."""
_MOST_UNSENT = 2 * _MOST_BYTES
"""Most characters of output that may wait for a peer that does not read; all subscriptions of a connection
take about 40,000."""
_AT_ONCE = 500
"""Messages that are read before other tasks of the event loop get a turn."""
_CLOSING_S = 1.0
"""Timeout for the peer's part of the closing handshake."""
_AWAKE_S = 2.0
"""Timeout for the pong to a ping after a pause."""
_MOST_PONG_S = 5.0
"""As `patience_of` in `crates/transport/src/connection/liveness.rs`."""
_ABNORMAL = 1006
"""RFC 6455, 7.4.1: means that no close frame arrived; never sent."""

_BROKEN, _CODES_END = 1002, 5000
"""RFC 6455, 7.4: the code for a protocol error, and the upper limit of all codes."""

_Socket = aiohttp.ClientWebSocketResponse[bool]


@dataclass(frozen=True, slots=True)
class WebSocketHandler:
    """The callbacks and timeouts of a WebSocket.

    Attributes:
        feed, on_events: receive the frames; `on_events` is called after `feed` has returned True.
        heard_ns: returns the time of the last data of a connection; 0 for never.
        on_open, on_alive: called when the connection is open, and when the exchange answers a ping.
        quiet_s, pong_s: after `quiet_s` without a sign of life, a ping is sent; without a pong within
            `pong_s`, the connection counts as broken. A far peer has more time (`patience_s`).
        connect_s: timeout for opening the connection.
    """

    feed: Callable[[int, bytes, int], bool]
    heard_ns: Callable[[int], int]
    on_events: Callable[[], None]
    on_open: Callable[[int], None]
    on_alive: Callable[[int], None]
    quiet_s: float
    pong_s: float
    connect_s: float


def patience_s(given_s: float, took_s: float) -> float:
    """How long a pong is waited for: at least as given, and longer if the peer is so far away that opening
    the connection took long."""
    return max(given_s, min(2 * took_s, _MOST_PONG_S))


class WebSocket:
    """One connection. Call `run` once as a task and `send` while it runs; cancel the task to close it."""

    def __init__(self, number: int, url: str, ears: WebSocketHandler) -> None:
        self._number, self._url, self._ears = number, url, ears
        self._texts: deque[str] = deque()
        self._unsent = 0
        self._too_much = asyncio.Event()
        self._pong: bytes | None = None
        self._output = asyncio.Event()
        self._asked: bytes | None = None
        self._alive_ns = 0
        self._pause, self._awake = asyncio.Event(), asyncio.Event()
        self._awake_payload: bytes | None = None
        self._wire: TransportSocket | None = None
        self._pong_s = ears.pong_s

    def send(self, text: str) -> None:
        """Queue a text frame. Has no effect once the connection is gone."""
        if self._unsent + len(text) > _MOST_UNSENT:
            self._too_much.set()
            return
        self._texts.append(text)
        self._unsent += len(text)
        self._output.set()

    def ask(self) -> None:
        """The machine or the process paused: ping the peer at once."""
        self._pause.set()

    def cut(self) -> None:
        """Cut the connection after the event loop has ended; from any thread."""
        if self._wire is not None:
            _cut(self._wire)

    async def run(self, sessions: Sessions, *, use_proxies: bool) -> Closed:
        """Connect and read until the connection ends; return why. If cancelled, send a close frame first."""
        began_ns = now_ns()
        socket = await self._connect(sessions, use_proxies=use_proxies)
        if isinstance(socket, Closed):
            return socket
        self._pong_s = patience_s(self._ears.pong_s, (now_ns() - began_ns) / 1e9)
        wire = self._wire = socket.get_extra_info("socket")
        try:
            return await self._live(socket)
        finally:
            # For a peer that does not read, asyncio keeps the socket open as long as output waits.
            if wire is not None:
                asyncio.get_running_loop().call_later(_CLOSING_S, _cut, wire)
            with suppress(TimeoutError):  # a total limit: a peer may keep sending forever
                async with asyncio.timeout(_CLOSING_S):
                    await socket.close()

    async def _connect(self, sessions: Sessions, *, use_proxies: bool) -> _Socket | Closed:
        limit_s = self._ears.connect_s
        with noting_addresses() as tried:
            try:
                route = proxy_for(self._url) if use_proxies else DIRECT
                # Compression is never offered: with it, USD-M went silent (cryptofeed 638, 2021-10).
                async with asyncio.timeout(limit_s):
                    return await sessions.of(route).ws_connect(
                        self._url,
                        autoping=False,
                        compress=0,
                        max_msg_size=_MOST_BYTES,
                        decode_text=False,
                        **route_arguments(route),
                    )
            except TimeoutError:
                return Closed(
                    None, tried.told(f"no response to the WebSocket handshake within {limit_s:g} s")
                )
            except aiohttp.ClientConnectorError as error:
                return Closed(None, tried.told(describe_error(error)))
            except aiohttp.WSServerHandshakeError as error:
                return _refused(error)
            except Exception as error:  # noqa: BLE001 - as in `rest.fetch`
                return Closed(None, describe_error(error))

    async def _live(self, socket: _Socket) -> Closed:
        """Read, write and watch; the first to end ends the connection."""
        self._alive_ns = now_ns()
        self._ears.on_open(self._number)
        work = (self._read(socket), self._write(socket), self._watch(socket), self._check(socket))
        tasks = [asyncio.create_task(each) for each in (*work, self._cap())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            # The reason that the exchange gave takes precedence.
            return next(task for task in tasks if task in done).result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, socket: _Socket) -> Closed:
        receive, feed, number = socket.receive, self._ears.feed, self._number
        while True:
            for _ in range(_AT_ONCE):
                message = await receive()
                kind = message.type
                if kind is WSMsgType.TEXT or kind is WSMsgType.BINARY:
                    if feed(number, message.data, now_ns()):
                        self._ears.on_events()
                elif kind is WSMsgType.PING:
                    self._pong = bytes(message.data)
                    self._output.set()
                elif kind is WSMsgType.PONG:
                    self._on_pong(bytes(message.data))
                else:
                    return _why_it_ended(socket, kind, message.data, message.extra)
            await asyncio.sleep(0)  # give other tasks a turn: `receive` does not while messages wait

    def _on_pong(self, payload: bytes) -> None:
        if payload == self._awake_payload:
            self._awake_payload = None
            self._awake.set()
        elif payload == self._asked:
            self._asked = None
        else:
            return
        self._alive_ns = now_ns()
        self._ears.on_alive(self._number)

    async def _write(self, socket: _Socket) -> Closed:
        limit_s = self._ears.quiet_s + self._ears.pong_s
        while True:
            await self._output.wait()
            self._output.clear()
            try:
                async with asyncio.timeout(limit_s):
                    await self._write_all(socket)
            except TimeoutError:
                return Closed(None, f"the peer does not read, so output has been waiting for {limit_s:g} s")
            except (aiohttp.ClientError, OSError) as error:
                return Closed(None, describe_error(error))

    async def _write_all(self, socket: _Socket) -> None:
        while self._pong is not None or self._texts:
            if self._pong is not None:
                payload, self._pong = self._pong, None
                await socket.pong(payload)
            if self._texts:
                text = self._texts.popleft()
                self._unsent -= len(text)
                await socket.send_str(text)

    async def _cap(self) -> Closed:
        await self._too_much.wait()
        return Closed(None, "the output buffer is full because the peer does not read")

    async def _watch(self, socket: _Socket) -> Closed:
        """Detect half-open connections, which TCP alone notices after many minutes or never."""
        ears = self._ears
        quiet_ns = round(ears.quiet_s * 1e9)
        while True:
            silent_ns = now_ns() - self._heard_ns()
            if silent_ns < quiet_ns:
                await asyncio.sleep((quiet_ns - silent_ns) / 1e9)
                continue
            asked_ns = now_ns()
            # A random payload: a peer that does not read our pings cannot guess it.
            self._asked = secrets.token_hex(8).encode()
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with asyncio.timeout(self._pong_s):
                    await socket.ping(self._asked)
            await self._patience(asked_ns)
            if self._heard_ns() < asked_ns:
                return Closed(
                    None,
                    f"half-open: silent for {ears.quiet_s:g} s, no pong within {round(self._pong_s, 3):g} s",
                )

    def _heard_ns(self) -> int:
        return max(self._alive_ns, self._ears.heard_ns(self._number))

    async def _check(self, socket: _Socket) -> Closed:
        """After a pause, require a pong at once, whatever else arrives."""
        while True:
            await self._pause.wait()
            self._pause.clear()
            self._awake.clear()
            self._awake_payload = secrets.token_hex(8).encode()
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with asyncio.timeout(_AWAKE_S):
                    await socket.ping(self._awake_payload)
                    await self._awake.wait()
            if not self._awake.is_set():
                return Closed(None, f"half-open: no pong within {_AWAKE_S:g} s after a pause")

    async def _patience(self, asked_ns: int) -> None:
        """Wait for a pong in ten steps: while the loop is blocked, at most one of them passes, and the
        messages that arrived meanwhile are read before the next."""
        step_s = self._pong_s / 10
        for _ in range(10):
            await asyncio.sleep(step_s)
            if self._heard_ns() >= asked_ns:
                return


def _cut(wire: TransportSocket) -> None:
    with suppress(OSError):  # already closed
        wire.shutdown(SHUT_RDWR)


def _refused(error: aiohttp.WSServerHandshakeError) -> Closed:
    """The exchange answered the handshake with a status other than 101. (A proxy raises another error.)"""
    told = [None if error.headers is None else error.headers.get(name) for name in ("Retry-After", "Date")]
    return Closed(None, describe_error(error), error.status, *told)


def _why_it_ended(socket: _Socket, kind: WSMsgType, data: object, reason: str | None) -> Closed:
    if kind is WSMsgType.CLOSE:
        code = data if isinstance(data, int) and data > 0 else None
        if code is not None and code >= _CODES_END:
            return Closed(_BROKEN, f"invalid WebSocket data: the close code {code}")
        return Closed(code, reason or "closed by the exchange without a reason")
    if isinstance(data, aiohttp.WebSocketError):
        return Closed(int(data.code), f"invalid WebSocket data: {data}")
    error = data if isinstance(data, BaseException) else socket.exception()
    lost = describe_error(error) if error is not None else "ended without a close frame"
    return Closed(None if socket.close_code == _ABNORMAL else socket.close_code, lost)
