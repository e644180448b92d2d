"""Which proxy the environment names for a URL: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.

The standard library reads the variables (and the system's settings on macOS and Windows). A
WebSocket goes where its handshake goes: wss like https, ws like http. Not here: talking to a proxy.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from depthcache.errors import ConnectionFailed

__all__ = ["DIRECT", "Proxy", "ProxyKind", "Way", "way_to"]

ProxyKind: TypeAlias = Literal["http", "https", "socks5"]
"""`https`: the way to the proxy itself is encrypted."""

_HANDSHAKE = {"wss": "https", "ws": "http"}
_KINDS: Mapping[str, tuple[ProxyKind, int]] = {
    "http": ("http", 80),
    "https": ("https", 443),
    "socks5": ("socks5", 1080),
    "socks5h": ("socks5", 1080),
}
"""Schemes, kinds and default ports. Names are always looked up by a SOCKS proxy, as `socks5h` says."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy. Its credentials are never part of `str` or `repr`."""

    kind: ProxyKind
    host: str
    port: int
    credentials: tuple[str, str] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.kind}://{host}:{self.port}"

    @property
    def authorization(self) -> Mapping[str, str] | None:
        """The header with which an HTTP proxy is told who asks."""
        if self.credentials is None or self.kind == "socks5":
            return None
        text = b64encode(":".join(self.credentials).encode()).decode("ascii")
        return {"Proxy-Authorization": f"Basic {text}"}


@dataclass(frozen=True, slots=True)
class Way:
    """How to reach a URL.

    Attributes:
        proxy: None for the direct way.
        encrypted: whether the other end is spoken to through a tunnel (https, wss); otherwise an
            HTTP proxy reads the request and forwards it.
    """

    proxy: Proxy | None = None
    encrypted: bool = False


DIRECT = Way()


def way_to(url: str) -> Way:
    """The way that the environment prescribes for a URL.

    Raises ConnectionFailed for a proxy of a kind that is not supported: going around a proxy that
    the user named would be worse than not connecting. Raises ValueError for what is no URL.
    """
    parts = urlsplit(url)
    named = getproxies()
    scheme = _HANDSHAKE.get(parts.scheme, parts.scheme)
    text = named.get(scheme) or named.get("all")
    if not text or proxy_bypass(parts.netloc):
        return DIRECT
    given = urlsplit(text if "://" in text else f"http://{text}")
    shown = f"{given.scheme}://{given.netloc.rpartition('@')[2]}"
    if given.scheme not in _KINDS or not given.hostname:
        reason = f"the environment names the proxy {shown!r}; only {_listed()} proxies work"
        raise ConnectionFailed(url=url, reason=reason)
    kind, port = _KINDS[given.scheme]
    credentials = None
    if given.username is not None:
        credentials = (unquote(given.username), unquote(given.password or ""))
    proxy = Proxy(kind, given.hostname, given.port or port, credentials)
    return Way(proxy, encrypted=scheme == "https")


def _listed() -> str:
    first, *others = (f"{scheme}://" for scheme in _KINDS)
    return f"{', '.join([first, *others[:-1]])} and {others[-1]}"
