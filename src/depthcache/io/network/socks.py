"""SOCKS proxies for aiohttp, by any of their addresses.

aiohttp-socks 0.12 knows one address of a proxy, the first; where that is dead, as one family of `localhost`
often is, no request would ever succeed. Not here: which proxy a URL takes (`proxies`).
"""

from __future__ import annotations

import asyncio
import ssl
from socket import SOCK_STREAM, socket
from typing import Any

import aiohappyeyeballs
from aiohttp import TCPConnector
from aiohttp_socks import ProxyConnectionError, ProxyConnector, ProxyType

from depthcache.io.network.proxies import Proxy

__all__ = ["socks_connector"]

_staggered: Any = aiohappyeyeballs
"""Its types are not known in full."""
_STAGGER_S = 0.25
"""RFC 8305, section 8: the recommended Connection Attempt Delay."""


def socks_connector(proxy: Proxy, tls: ssl.SSLContext) -> TCPConnector:
    """What connects through a SOCKS 5 proxy, which looks up names itself."""
    user, password = map(_Credential.of, proxy.credentials) if proxy.credentials else (None, None)
    connector: TCPConnector = _Connector(
        proxy.host, proxy.port, ProxyType.SOCKS5, user, password, rdns=True, ssl=tls, limit=0
    )
    return connector


class _Credential(str):
    """Sent as UTF-8, as the native transport does it; python-socks 3.2 knows ASCII alone."""

    __slots__ = ()

    @classmethod
    def of(cls, text: str) -> _Credential:
        return cls(text.encode().decode("latin-1"))  # a character for each byte, which are counted

    def encode(self, encoding: str = "", errors: str = "") -> bytes:  # noqa: ARG002
        return super().encode("latin-1")


class _Connector(ProxyConnector):
    """Looks which address of the proxy answers before it is spoken to."""

    async def _connect_via_proxy(self, *args: Any, **options: Any) -> Any:
        name = self._proxy_host
        try:
            self._proxy_host = await _answering(name, self._proxy_port)
            return await super()._connect_via_proxy(*args, **options)
        finally:
            self._proxy_host = name


async def _answering(host: str, port: int) -> str:
    """The host itself where it has one address; else the first of its addresses that takes a connection."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=SOCK_STREAM)
        if len(found) == 1:
            return host
        taken: socket = await _staggered.start_connection(found, happy_eyeballs_delay=_STAGGER_S)
    except OSError as error:
        raise ProxyConnectionError(f"no connection to {host}:{port}: {error}") from error
    with taken:
        return str(taken.getpeername()[0])
