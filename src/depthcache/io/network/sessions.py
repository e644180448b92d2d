"""aiohttp's sessions: one for the direct way and HTTP proxies, one more for each SOCKS proxy.

The two kinds differ in how a connection is made, which is a session's, while an HTTP proxy is a
matter of each request. Not here: which way a URL takes (`proxies`).
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from os import PathLike
from typing import Any, TypedDict

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, TCPConnector

from depthcache.errors import ConnectionFailed
from depthcache.foreign_text import clean
from depthcache.io.network.proxies import Proxy, Route

__all__ = ["RouteArguments", "Sessions", "noting_addresses", "route_arguments"]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


_tried: ContextVar[list[str] | None] = ContextVar("_tried", default=None)


class Tried(list[str]):
    """The addresses to which connections were tried, in their order."""

    def told(self, reason: str) -> str:
        """Why there is no connection, with its addresses if there are several: aiohttp names the last."""
        several = dict.fromkeys(self)
        return f"{reason}; tried {', '.join(several)}" if len(several) > 1 else reason


@contextmanager
def noting_addresses() -> Generator[Tried]:
    """What is connected to from within."""
    tried = Tried()
    before = _tried.set(tried)
    try:
        yield tried
    finally:
        _tried.reset(before)


def _noted_socket(found: Any) -> socket.socket:
    """`found` as `socket.getaddrinfo` gives it; the type of aiohttp for it is not known in full."""
    tried = _tried.get()
    if tried is not None:
        tried.append(str(found[4][0]))
    return socket.socket(found[0], found[1], found[2])


class RouteArguments(TypedDict):
    """The arguments of a request that tell aiohttp its way."""

    proxy: str | None
    proxy_headers: dict[str, str] | None
    headers: dict[str, str] | None


class Sessions:
    """Made on first use, closed together.

    `ca_file`: PEM file of the authorities to trust; None for the system's.
    """

    def __init__(self, ca_file: str | PathLike[str] | None) -> None:
        self._held: dict[Proxy | None, aiohttp.ClientSession] = {}
        self._tls = ssl.create_default_context(cafile=ca_file)

    def of(self, route: Route) -> aiohttp.ClientSession:
        """The session that takes this way."""
        proxy = route.proxy if route.proxy is not None and route.proxy.kind == "socks5" else None
        session = self._held.get(proxy)
        if session is None:
            session = self._held[proxy] = aiohttp.ClientSession(
                connector=self._connector(proxy),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                middlewares=(_refuse_redirects, _tell_socks_errors)[: 1 if proxy is None else 2],
                headers={"User-Agent": "depthcache"},
            )
        return session

    def _connector(self, proxy: Proxy | None) -> TCPConnector:
        if proxy is None:
            # All addresses of both families are tried, staggered as RFC 8305 says (aiohttp's default).
            return TCPConnector(ssl=self._tls, limit=0, socket_factory=_noted_socket)
        from depthcache.io.network.socks import socks_connector  # most programs never need it

        return socks_connector(proxy, self._tls)

    async def aclose(self) -> None:
        """Close them all."""
        held, self._held = self._held, {}
        for session in held.values():
            await session.close()

    def abandon(self) -> None:
        """The event loop is gone, on which they could be closed: let go of their sockets."""
        held, self._held = self._held, {}
        for session in held.values():
            connector = session.connector
            session.detach()
            with suppress(Exception):  # the public way needs a loop
                connector._close(abort_ssl=True)  # type: ignore[union-attr]  # noqa: SLF001

    def __del__(self) -> None:
        """Of a client that was forgotten with its loop: aiohttp would complain of each session on stderr."""
        self.abandon()


def route_arguments(route: Route) -> RouteArguments:
    """How a request of the session `Sessions.of(route)` is told its way."""
    if route.proxy is None or route.proxy.kind == "socks5":
        return RouteArguments(proxy=None, proxy_headers=None, headers=None)
    # The header of a tunnel is never seen by the other end; in the clear, the proxy reads the request.
    authorization = dict(route.proxy.authorization or {}) or None
    return RouteArguments(
        proxy=str(route.proxy),
        proxy_headers=authorization if route.encrypted else None,
        headers=None if route.encrypted else authorization,
    )


async def _refuse_redirects(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Middleware: a redirect would leave the hosts that the user chose, also for a WebSocket."""
    response = await handler(request)
    if response.status in _REDIRECTS:
        target = clean(response.headers.get("Location", "an unnamed place"))
        response.close()
        raise ConnectionFailed(
            url=str(request.url), reason=f"redirected to {target}; redirects are not followed"
        )
    return response


async def _tell_socks_errors(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Middleware: what a SOCKS proxy answers is no error of aiohttp's."""
    from aiohttp_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError

    try:
        return await handler(request)
    except (ProxyConnectionError, ProxyError, ProxyTimeoutError) as error:
        raise ConnectionFailed(url=str(request.url), reason=f"through the proxy: {clean(error)}") from error
