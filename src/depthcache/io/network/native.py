"""The default network: WebSockets on a native thread, HTTP with aiohttp.

Frames go from the socket to their book without Python, so books stay current while the program computes or
collects garbage. Decisions wait for the event loop, which gets one wake-up for any number of frames.
Connections through a proxy that the native transport does not support use aiohttp.
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
    """Create it on the running event loop that it is to use, and call `aclose` there."""

    _loop_carries_frames = False
    _transport: Transport | None = None
    _addresses: ClassVar[Mapping[str, Sequence[IPv4Address | IPv6Address]]] = {}
    """For tests: addresses of host names, instead of DNS lookups."""

    def attach(self, router: FrameSink, callbacks: Callbacks) -> None:
        """Called once, before anything else. `router` must be the native one."""
        if not isinstance(router, Router):
            raise UsageError("the native transport needs the native engine; use transport='aiohttp'")
        super().attach(router, callbacks)
        self._native: set[int] = set()
        transport = Transport(
            router,
            quiet_s=self._quiet_s,
            pong_s=self._pong_s,
            connect_s=self._connect_s,
            ca_file=self._ca_file,
            fingerprint=self._access.fingerprint,
            certificate=self._access.certificate,
            token=self._access.token,
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
        """Open a connection. Reports `on_open`, or `on_closed` on failure."""
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
        """Send a text frame. Dropped without an error if the connection is gone."""
        if connection in self._native and (transport := self._running()):
            transport.send(connection, text)
        else:
            super().send(connection, text)

    def close(self, connection: int) -> None:
        """Close a connection. Reports `on_closed`, unless that has been reported."""
        if connection in self._native and (transport := self._running()):
            transport.close(connection)
        else:
            super().close(connection)

    def _running(self) -> Transport | None:
        if self._transport is not None and self._transport.is_foreign:
            raise forked()
        return self._transport

    def _route(self, url: str) -> Route | None:
        """The route of a connection; None if aiohttp must open it, or must report why that is impossible."""
        try:
            route = proxy_for(url) if self._use_proxies else DIRECT
        except (ConnectionFailed, ValueError):
            return None
        if route.proxy is not None and route.proxy.kind == "https":
            logs.not_native(host=host_of(url), proxy=str(route.proxy))
            return None
        return route

    # --- events of the native transport ---------------------------------------------------------

    def _begin_to_hear(self) -> asyncio.Task[None]:
        hearing = self._loop.create_task(self._hear())
        hearing.add_done_callback(self._on_hearing_done)
        return hearing

    def _on_hearing_done(self, hearing: asyncio.Task[None]) -> None:
        """Listen again if the program cancelled all tasks. Not at once: the loop may be ending."""
        if not hearing.cancelled() or self._transport is None:
            return
        if self._closed:  # the transport's last event is still to come
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
            # First the frames that arrived before a connection ended.
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
        """The loop was blocked, but the books were not: handle the waiting events, then what is due."""
        logs.loop_was_blocked(late_s=late_s, books_were_late=False)
        self._take()
        self._wake_now()

    # --- the end ------------------------------------------------------------------------------

    def _on_loop_ended(self) -> None:
        """Called on another thread. The native transport sends close frames without a loop."""
        transport, self._transport = self._transport, None
        super()._on_loop_ended()
        if transport is not None:
            transport.stop(_CLOSE_WITHOUT_LOOP_S)
            transport.join()
            self._wake_socket.close()

    async def aclose(self) -> None:
        """Close every connection with a close frame, and cancel every request.

        Takes a few seconds at most, then connections are cut. Nothing is reported once it has started.
        """
        transport = self._running()
        if transport is None:
            await super().aclose()
            return
        transport.stop(CLOSE_TIMEOUT_S)
        try:
            await super().aclose()
            # If the loop itself is ending, the listening task ends first and `_stopped` is never set.
            await asyncio.wait((self._stopped, self._hearing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._transport = None  # closing again has no effect
            transport.stop(0)
            transport.join()
            self._hearing.cancel()
            with suppress(asyncio.CancelledError):
                await self._hearing
            self._wake_socket.close()
