"""One WebSocket of the aiohttp network: from the handshake to the reason why it ended.

A frame goes straight from the socket to `feed`, stamped on receipt, without a task or a queue of
our own in between. TCP is the buffer: while the program's event loop is blocked, frames wait in the
kernel and at the exchange, and none is lost. Not here: when to connect, and what frames mean.
"""

from __future__ import annotations

import asyncio
import socket as socket_module
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import aiohttp
from aiohttp import WSMsgType

from depthcache._native import now_ns
from depthcache.errors import ConnectionFailed
from depthcache.io.network import Closed
from depthcache.io.proxies import DIRECT, way_to
from depthcache.io.rest import words
from depthcache.io.sessions import Sessions, through

__all__ = ["Ears", "WebSocket"]

_MOST_BYTES = 16 * 1024 * 1024
"""Of one message. Real ones reach some 40 kB (932 changes in one second, measured 2026-09-03)."""
_CLOSING_S = 1.0
"""How long the other side may take to answer a closing handshake."""
_AWAKE_S = 2.0
"""How long the answer to a ping after a pause may take."""
_AWAKE = b"awake"
"""What that ping carries: frames that waited in the socket answer nothing, nor do earlier pongs."""
_ABNORMAL = 1006
"""RFC 6455, 7.4.1: stands for "no close frame arrived" and is never sent."""

_Socket = aiohttp.ClientWebSocketResponse[bool]


@dataclass(frozen=True, slots=True)
class Ears:
    """Who hears what a WebSocket reports, and how long it may be silent.

    Attributes:
        feed, on_events: where frames go; `on_events` is called when `feed` returned True.
        on_open, on_alive: the connection can be used; a ping or a pong arrived.
        quiet_s, pong_s: after this long without a sign of life a ping is sent; without an answer
            to it for `pong_s` the connection counts as broken.
    """

    feed: Callable[[int, bytes, int], bool]
    on_events: Callable[[], None]
    on_open: Callable[[int], None]
    on_alive: Callable[[int], None]
    quiet_s: float
    pong_s: float


class _Cuts(Protocol):
    """The socket beneath."""

    def shutdown(self, how: int, /) -> None:
        """End both directions."""


class WebSocket:
    """Order of calls: `run` once, as a task; `send` while it runs; cancel the task to close."""

    def __init__(self, number: int, url: str, ears: Ears) -> None:
        self._number, self._url, self._ears = number, url, ears
        self._outbox: asyncio.Queue[str] = asyncio.Queue()
        self._heard_ns = 0
        self._asked, self._answered = asyncio.Event(), asyncio.Event()
        self._raw: _Cuts | None = None

    def send(self, text: str) -> None:
        """Send a text frame in its turn; without effect once the connection is gone."""
        self._outbox.put_nowait(text)

    def ask(self) -> None:
        """The machine or the process paused: ask at once whether the other side is still there."""
        self._asked.set()

    def cut(self) -> None:
        """The event loop is gone, and this may be called on any thread: the other side hears of the end."""
        if self._raw is not None:
            with suppress(OSError):
                self._raw.shutdown(socket_module.SHUT_RDWR)

    async def run(self, sessions: Sessions, *, use_proxies: bool) -> Closed:
        """Connect and read until the end, which is returned; when cancelled it says goodbye first."""
        try:
            way = way_to(self._url) if use_proxies else DIRECT
            # Compression is never offered: with it, USD-M went silent (cryptofeed 638, 2021-10).
            socket = await sessions.of(way).ws_connect(
                self._url,
                autoping=False,
                compress=0,
                max_msg_size=_MOST_BYTES,
                decode_text=False,
                **through(way),
            )
        except (aiohttp.ClientError, ConnectionFailed, OSError, ValueError, RuntimeError) as error:
            return Closed(None, words(error))
        try:
            return await self._live(socket)
        finally:
            with suppress(TimeoutError):  # in all: one that goes on sending would never be done
                async with asyncio.timeout(_CLOSING_S):
                    await socket.close()

    async def _live(self, socket: _Socket) -> Closed:
        """Read, write and watch; whichever ends first ends the connection."""
        self._heard_ns = now_ns()
        self._raw = socket.get_extra_info("socket")
        self._ears.on_open(self._number)
        work = (self._read(socket), self._write(socket), self._watch(socket), self._check(socket))
        tasks = [asyncio.create_task(each) for each in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            # The exchange's own last word, if there is one, stands first.
            return next(task for task in tasks if task in done).result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, socket: _Socket) -> Closed:
        receive, feed, number = socket.receive, self._ears.feed, self._number
        while True:
            message = await receive()
            kind = message.type
            self._heard_ns = received_ns = now_ns()
            if kind is WSMsgType.TEXT or kind is WSMsgType.BINARY:
                if feed(number, message.data, received_ns):
                    self._ears.on_events()
            elif kind is WSMsgType.PING:
                with suppress(aiohttp.ClientError, OSError):  # the next receive tells what happened
                    await socket.pong(message.data)
                self._ears.on_alive(number)
            elif kind is WSMsgType.PONG:
                if message.data == _AWAKE:
                    self._answered.set()
                self._ears.on_alive(number)
            else:
                return _why_it_ended(socket, kind, message.data, message.extra)

    async def _write(self, socket: _Socket) -> Closed:
        while True:
            text = await self._outbox.get()
            try:
                await socket.send_str(text)
            except (aiohttp.ClientError, OSError) as error:
                return Closed(None, words(error))

    async def _watch(self, socket: _Socket) -> Closed:
        """Half-open connections: TCP alone would notice them after many minutes, or never."""
        ears = self._ears
        quiet_ns = round(ears.quiet_s * 1e9)
        while True:
            silent_ns = now_ns() - self._heard_ns
            if silent_ns < quiet_ns:
                await asyncio.sleep((quiet_ns - silent_ns) / 1e9)
                continue
            asked_ns = now_ns()
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with asyncio.timeout(ears.pong_s):
                    await socket.ping()
            await self._patience(asked_ns)
            if self._heard_ns < asked_ns:
                return Closed(None, f"half-open: silent for {ears.quiet_s:g} s, no pong in {ears.pong_s:g} s")

    async def _check(self, socket: _Socket) -> Closed:
        """After a pause an answer is awaited at once, whatever else has come."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            self._answered.clear()
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with asyncio.timeout(_AWAKE_S):
                    await socket.ping(_AWAKE)
                    await self._answered.wait()
            if not self._answered.is_set():
                return Closed(None, f"half-open: no pong in {_AWAKE_S:g} s after a pause")

    async def _patience(self, asked_ns: int) -> None:
        """Wait for an answer. In ten steps: while the loop is blocked, at most one of them passes,
        and what has arrived meanwhile is read before the next."""
        step_s = self._ears.pong_s / 10
        for _ in range(10):
            await asyncio.sleep(step_s)
            if self._heard_ns >= asked_ns:
                return


def _why_it_ended(socket: _Socket, kind: WSMsgType, data: object, reason: str | None) -> Closed:
    if kind is WSMsgType.CLOSE:
        code = data if isinstance(data, int) and data > 0 else None
        return Closed(code, reason or "closed by the exchange without a reason")
    if isinstance(data, aiohttp.WebSocketError):
        return Closed(int(data.code), f"broken WebSocket data: {data}")
    error = data if isinstance(data, BaseException) else socket.exception()
    lost = words(error) if error is not None else "the connection broke without a goodbye"
    return Closed(None if socket.close_code == _ABNORMAL else socket.close_code, lost)
