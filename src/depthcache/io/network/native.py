"""The network that users get: WebSockets on a native thread, everything else as with aiohttp.

Frames go from the socket to their book without Python, so a book stays fresh while the program
computes, sorts or collects garbage. What has to be decided waits for the event loop: one wake-up
tells it, however many frames came in between. A connection through a proxy that the native side
does not know is made by aiohttp.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from typing import ClassVar, assert_never

from depthcache import logs
from depthcache._native import Router, Transport
from depthcache.errors import ConnectionFailed, UsageError
from depthcache.events import (
    ConnectionAlive,
    ConnectionClosed,
    ConnectionOpened,
    TransportEvent,
    TransportResumed,
    TransportStopped,
)
from depthcache.foreign_text import host_of
from depthcache.io.forks import forked
from depthcache.io.network.aiohttp import CLOSE_TIMEOUT_S, AiohttpNetwork
from depthcache.io.network.interface import Callbacks, Closed, FrameSink
from depthcache.io.network.proxies import DIRECT, Route, proxy_for

__all__ = ["NativeNetwork"]

_AGAIN_S = 0.1
_CLOSE_WITHOUT_LOOP_S = 1.0
_DRAIN_BYTES = 4096
"""Bytes drained per read; one per wake-up."""


class NativeNetwork(AiohttpNetwork):
    """Make it on the thread of the running event loop that carries it; `aclose` it there."""

    _loop_carries_frames = False
    _transport: Transport | None = None
    _addresses: ClassVar[Mapping[str, Sequence[IPv4Address | IPv6Address]]] = {}
    """Only for tests: the addresses of names that are not looked up."""

    def attach(self, router: FrameSink, callbacks: Callbacks) -> None:
        """Called once before anything else. `router` must be the native one."""
        if not isinstance(router, Router):
            raise UsageError("the native transport feeds the native router only; take transport='aiohttp'")
        super().attach(router, callbacks)
        self._native: set[int] = set()
        transport = Transport(
            router,
            quiet_s=self._quiet_s,
            pong_s=self._pong_s,
            connect_s=self._connect_s,
            ca_file=self._ca_file,
            _addresses=self._addresses,
        )
        try:
            self._wake_socket = socket.socket(fileno=transport.wake_socket())
        except OSError:  # too few file descriptors
            transport.stop(0)
            transport.join()
            raise
        self._transport = transport
        self._wake_socket.setblocking(False)
        self._stopped = self._loop.create_future()
        self._hearing = self._begin_to_hear()

    # --- WebSockets ---------------------------------------------------------------------------

    def open(self, connection: int, url: str) -> None:
        """Connect; ends in `on_open`, or in `on_closed` when it fails."""
        transport, route = self._running(), self._route(url)
        if transport is None or route is None:
            super().open(connection, url)
            return
        proxy = None
        if route.proxy is not None:
            proxy = (route.proxy.kind, route.proxy.host, route.proxy.port, route.proxy.credentials)
        self._native.add(connection)
        transport.open(connection, url, proxy=proxy)

    def send(self, connection: int, text: str) -> None:
        """Send one text frame; silently dropped when the connection is gone."""
        if connection in self._native and (transport := self._running()):
            transport.send(connection, text)
        else:
            super().send(connection, text)

    def close(self, connection: int) -> None:
        """Close; ends in `on_closed`, unless that was already reported."""
        if connection in self._native and (transport := self._running()):
            transport.close(connection)
        else:
            super().close(connection)

    def _running(self) -> Transport | None:
        if self._transport is not None and self._transport.is_foreign:
            raise forked()
        return self._transport

    def _route(self, url: str) -> Route | None:
        """The route of a connection; None where aiohttp has to make it, or to say why it cannot."""
        try:
            route = proxy_for(url) if self._use_proxies else DIRECT
        except (ConnectionFailed, ValueError):
            return None
        if route.proxy is not None and route.proxy.kind == "https":
            logs.not_native(host=host_of(url), proxy=str(route.proxy))
            return None
        return route

    # --- what the native side tells -------------------------------------------------------------

    def _begin_to_hear(self) -> asyncio.Task[None]:
        hearing = self._loop.create_task(self._hear())
        hearing.add_done_callback(self._on_hearing_done)
        return hearing

    def _on_hearing_done(self, hearing: asyncio.Task[None]) -> None:
        """Who cancels all tasks means its own; later, because at the end of a loop it means all."""
        if not hearing.cancelled() or self._transport is None:
            return
        if self._closed:  # the end of the transport is still to be heard
            self._hear_again()
        else:
            self._loop.call_later(_AGAIN_S, self._hear_again)

    def _hear_again(self) -> None:
        if self._transport is not None:
            self._hearing = self._begin_to_hear()
            self._take()

    async def _hear(self) -> None:
        while not self._stopped.done():
            await self._loop.sock_recv(self._wake_socket, _DRAIN_BYTES)
            try:
                self._take()
            except Exception as error:  # noqa: BLE001 - the next event must still be handled
                logs.unexpected(where="the native network", error=error)

    def _take(self) -> None:
        happened = self._transport.take_events() if self._transport is not None else []
        if not self._closed:
            # The frames that came before a connection ended stand first.
            self._callbacks.on_events()
        for event in happened:
            self._tell(event)

    def _tell(self, event: TransportEvent) -> None:
        match event:
            case TransportStopped():
                self._stopped.set_result(None)
            case TransportResumed():
                self._on_resumed()
            case ConnectionOpened() | ConnectionAlive() | ConnectionClosed() if self._closed:
                pass
            case ConnectionOpened():
                self._callbacks.on_open(event.connection)
            case ConnectionAlive():
                self._callbacks.on_alive(event.connection)
            case ConnectionClosed():
                self._native.discard(event.connection)
                closed = Closed(
                    event.code,
                    event.reason,
                    status=event.status,
                    retry_after=event.retry_after,
                    date=event.date,
                )
                self._callbacks.on_closed(event.connection, closed)
            case _:
                assert_never(event)

    def _catch_up(self, late_s: float) -> None:
        """The loop was blocked, the books were not: what is waiting is told, then time goes on."""
        logs.loop_was_blocked(late_s=late_s, books_were_late=False)
        self._take()
        self._wake_now()

    # --- the end ------------------------------------------------------------------------------

    def _on_loop_ended(self) -> None:
        """On another thread, when no loop is left: connections send a close frame natively."""
        transport, self._transport = self._transport, None
        super()._on_loop_ended()
        if transport is not None:
            transport.stop(_CLOSE_WITHOUT_LOOP_S)
            transport.join()
            self._wake_socket.close()

    async def aclose(self) -> None:
        """Send a close frame on every connection, give up every request, leave nothing behind.

        Bounded: after a few seconds connections are cut. Nothing is reported after it began.
        """
        transport = self._running()
        if transport is None:
            await super().aclose()
            return
        transport.stop(CLOSE_TIMEOUT_S)
        try:
            await super().aclose()
            # Where the loop itself ends, the listening task ends first and `_stopped` is never set.
            await asyncio.wait((self._stopped, self._hearing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._transport = None  # closing again finds nothing to close
            transport.stop(0)
            transport.join()
            self._hearing.cancel()
            with suppress(asyncio.CancelledError):
                await self._hearing
            self._wake_socket.close()
