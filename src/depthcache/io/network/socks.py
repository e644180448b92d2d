"""SOCKS proxies for aiohttp, with all their addresses.

aiohttp-socks 0.12 uses only the first address of a proxy. If that one is dead, as one family of `localhost`
often is, no request would ever succeed.
"""

from __future__ import annotations

import asyncio
import ssl
from socket import SOCK_STREAM, socket
from typing import Any

import aiohappyeyeballs
from aiohttp import Fingerprint, TCPConnector
from aiohttp_socks import ProxyConnectionError, ProxyConnector, ProxyType

from depthcache.io.network.proxies import Proxy

__all__ = ["socks_connector"]

_staggered: Any = aiohappyeyeballs
"""Its types are incomplete."""
_STAGGER_S = 0.25
"""The Connection Attempt Delay that RFC 8305, section 8, recommends."""


def socks_connector(proxy: Proxy, tls: ssl.SSLContext | Fingerprint) -> TCPConnector:
    """A connector through a SOCKS 5 proxy, which looks up host names itself."""
    user, password = map(_Credential.of, proxy.credentials) if proxy.credentials else (None, None)
    connector: TCPConnector = _Connector(
        proxy.host, proxy.port, ProxyType.SOCKS5, user, password, rdns=True, ssl=tls, limit=0
    )
    return connector


class _Credential(str):
    """A user name or password, sent as UTF-8 like in the native transport; python-socks 3.2 sends ASCII."""

    __slots__ = ()

    @classmethod
    def of(cls, text: str) -> _Credential:
        return cls(text.encode().decode("latin-1"))  # one character per byte, because bytes are counted

    def encode(self, encoding: str = "", errors: str = "") -> bytes:  # noqa: ARG002
        return super().encode("latin-1")


class _Connector(ProxyConnector):
    """Connects to the first address of the proxy that responds."""

    async def _connect_via_proxy(self, *args: Any, **options: Any) -> Any:
        name = self._proxy_host
        try:
            self._proxy_host = await _answering(name, self._proxy_port)
            return await super()._connect_via_proxy(*args, **options)
        finally:
            self._proxy_host = name


async def _answering(host: str, port: int) -> str:
    """The host itself if it has one address, else the first of its addresses that accepts a connection."""
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
