"""aiohttp sessions: one for direct connections and HTTP proxies, and one for each SOCKS proxy.

In aiohttp, an HTTP proxy is an argument of a request, but a SOCKS proxy needs its own connector and therefore
its own session. `proxies` selects the proxy of a URL.
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
from depthcache.io.network.interface import ServerAccess
from depthcache.io.network.proxies import Proxy, Route

__all__ = ["RouteArguments", "Sessions", "noting_addresses", "route_arguments"]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


_tried: ContextVar[list[str] | None] = ContextVar("_tried", default=None)


class Tried(list[str]):
    """The addresses to which a connection was tried, in order."""

    def told(self, reason: str) -> str:
        """The reason for a failure with all addresses tried, if several; aiohttp names only the last."""
        several = dict.fromkeys(self)
        return f"{reason}; tried {', '.join(several)}" if len(several) > 1 else reason


@contextmanager
def noting_addresses() -> Generator[Tried]:
    """Collect the addresses to which connections are tried inside this context."""
    tried = Tried()
    before = _tried.set(tried)
    try:
        yield tried
    finally:
        _tried.reset(before)


def _noted_socket(found: Any) -> socket.socket:
    """A socket for an entry of `socket.getaddrinfo`, whose type in aiohttp is incomplete."""
    tried = _tried.get()
    if tried is not None:
        tried.append(str(found[4][0]))
    return socket.socket(found[0], found[1], found[2])


class RouteArguments(TypedDict):
    """The arguments of an aiohttp request that select its proxy."""

    proxy: str | None
    proxy_headers: dict[str, str] | None
    headers: dict[str, str] | None


class Sessions:
    """All sessions of a client, created on first use and closed together.

    `ca_file`: PEM file of the certificate authorities to trust; None for those of the system. `access`: to
    the book server, where all requests go to one.
    """

    def __init__(self, ca_file: str | PathLike[str] | None, access: ServerAccess | None = None) -> None:
        self._held: dict[Proxy | None, aiohttp.ClientSession] = {}
        context = ssl.create_default_context(cafile=ca_file)
        if access is not None and access.certificate is not None:
            context.load_cert_chain(*access.certificate)
        self._tls: ssl.SSLContext | aiohttp.Fingerprint = context
        if access is not None and access.fingerprint is not None:
            self._tls = aiohttp.Fingerprint(access.fingerprint)
        self._headers = {"User-Agent": "depthcache"}
        if access is not None and access.token is not None:
            self._headers["Authorization"] = f"Bearer {access.token}"

    def of(self, route: Route) -> aiohttp.ClientSession:
        """The session for a route."""
        proxy = route.proxy if route.proxy is not None and route.proxy.kind == "socks5" else None
        session = self._held.get(proxy)
        if session is None:
            session = self._held[proxy] = aiohttp.ClientSession(
                connector=self._connector(proxy),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                middlewares=(_refuse_redirects, _tell_socks_errors)[: 1 if proxy is None else 2],
                headers=self._headers,
            )
        return session

    def _connector(self, proxy: Proxy | None) -> TCPConnector:
        if proxy is None:
            # aiohttp tries all addresses of both families, staggered as in RFC 8305.
            return TCPConnector(ssl=self._tls, limit=0, socket_factory=_noted_socket)
        from depthcache.io.network.socks import socks_connector  # deferred: rarely needed

        return socks_connector(proxy, self._tls)

    async def aclose(self) -> None:
        """Close all sessions."""
        held, self._held = self._held, {}
        for session in held.values():
            await session.close()

    def abandon(self) -> None:
        """Release the sockets without an event loop, when there is none left to close the sessions."""
        held, self._held = self._held, {}
        for session in held.values():
            connector = session.connector
            session.detach()
            with suppress(Exception):  # the public method needs a loop
                connector._close(abort_ssl=True)  # type: ignore[union-attr]  # noqa: SLF001

    def __del__(self) -> None:
        """A client was dropped with its loop: without this, aiohttp prints a complaint per session."""
        self.abandon()


def route_arguments(route: Route) -> RouteArguments:
    """The proxy arguments for a request of the session `Sessions.of(route)`."""
    if route.proxy is None or route.proxy.kind == "socks5":
        return RouteArguments(proxy=None, proxy_headers=None, headers=None)
    # Headers for a tunnel go to the proxy alone; without a tunnel, the proxy reads those of the request.
    authorization = dict(route.proxy.authorization or {}) or None
    return RouteArguments(
        proxy=str(route.proxy),
        proxy_headers=authorization if route.encrypted else None,
        headers=None if route.encrypted else authorization,
    )


async def _refuse_redirects(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Middleware: refuse redirects, which would leave the hosts that the user configured."""
    response = await handler(request)
    if response.status in _REDIRECTS:
        target = clean(response.headers.get("Location", "an unnamed location"))
        response.close()
        raise ConnectionFailed(
            url=str(request.url), reason=f"redirected to {target}; redirects are not followed"
        )
    return response


async def _tell_socks_errors(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Middleware: turn errors of a SOCKS proxy, which are not aiohttp errors, into ConnectionFailed."""
    from aiohttp_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError

    try:
        return await handler(request)
    except (ProxyConnectionError, ProxyError, ProxyTimeoutError) as error:
        raise ConnectionFailed(url=str(request.url), reason=f"through the proxy: {clean(error)}") from error
