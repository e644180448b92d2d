"""Which proxy the environment names for a URL: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.

The standard library reads the variables (and the system's settings on macOS and Windows). A
WebSocket goes where its handshake goes: wss like https, ws like http. Not here: talking to a proxy.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from depthcache.errors import ConnectionFailed
from depthcache.foreign_text import clean

__all__ = ["DIRECT", "Proxy", "ProxyKind", "Route", "proxy_for"]

ProxyKind: TypeAlias = Literal["http", "https", "socks5"]
"""`https`: the way to the proxy itself is encrypted."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
"""RFC 3986, 3.1."""
_HANDSHAKE = {"wss": "https", "ws": "http"}
_KINDS: Mapping[str, tuple[ProxyKind, int]] = {
    "http": ("http", 80),
    "https": ("https", 443),
    "socks5": ("socks5", 1080),
    "socks5h": ("socks5", 1080),
}
"""Schemes, kinds and default ports. Names are always looked up by a SOCKS proxy, as `socks5h` says."""

_MOST_SOCKS_BYTES = 255
"""RFC 1929, 2: of a user, and of a password."""

_ESCAPES: Mapping[str, str] = {"#": "%23", "/": "%2F", "?": "%3F"}
"""What ends the host of a URL, so that it cannot stand in a user or a password as it is."""


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
class Route:
    """How to reach a URL.

    Attributes:
        proxy: None for the direct way.
        encrypted: whether the other end is spoken to through a tunnel (https, wss); otherwise an
            HTTP proxy reads the request and forwards it.
    """

    proxy: Proxy | None = None
    encrypted: bool = False


DIRECT = Route()


def proxy_for(url: str) -> Route:
    """The way that the environment prescribes for a URL.

    Raises ConnectionFailed for a proxy that cannot be used, for its kind or for how it is written: going
    around a proxy that the user named would be worse than not connecting. The error names the variable, never
    a user or a password. Raises ValueError for what is no URL.
    """
    parts = urlsplit(url)
    named = getproxies()
    scheme = _HANDSHAKE.get(parts.scheme, parts.scheme)
    kind = scheme if named.get(scheme) else "all"
    text = named.get(kind)
    if not text or proxy_bypass(parts.netloc):
        return DIRECT
    try:
        return Route(_proxy(text), encrypted=scheme == "https")
    except _UnusableProxy as error:
        reason = f"{_variable(kind)} names no proxy that can be used: {error}"
        raise ConnectionFailed(url=url, reason=reason) from None


class _UnusableProxy(Exception):
    """How a proxy is written; never with its user or password."""


def _proxy(text: str) -> Proxy:
    """A proxy as it is written in a variable. Credentials are cut off first, so that no parser sees them."""
    scheme, sign, rest = text.strip().partition("://")
    if not sign or not _SCHEME.fullmatch(scheme):  # what stands before "://" may be a part of a password
        scheme, rest = "http", text.strip()
    userinfo, has_user, place = rest.rpartition("@")
    if unescaped := [sign for sign in _ESCAPES if sign in userinfo]:
        told = ", ".join(f"{_ESCAPES[sign]} for {sign!r}" for sign in unescaped)
        raise _UnusableProxy(f"its user or password must be percent-encoded: write {told}")
    host, port = _host_and_port(place)
    if host is None:
        raise _UnusableProxy(
            f"it must look like http://user:password@host:port, with {_all_escapes()} escaped"
        )
    if scheme.lower() not in _KINDS or not host:
        shown = f"{scheme}://{host}" + (f":{port}" if port else "")
        raise _UnusableProxy(f"{clean(shown)!r}; only {_listed()} proxies work")
    kind, usual_port = _KINDS[scheme.lower()]
    credentials = _credentials(userinfo) if has_user else None
    if kind == "socks5" and any(len(each.encode()) > _MOST_SOCKS_BYTES for each in credentials or ()):
        raise _UnusableProxy(f"SOCKS takes at most {_MOST_SOCKS_BYTES} bytes of user and of password")
    return Proxy(kind, host, port or usual_port, credentials)


def _host_and_port(place: str) -> tuple[str | None, int | None]:
    """The host and the port that are named; None for what is no host and port: it may be a secret."""
    try:
        parts = urlsplit(f"//{place}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None, None
    return (host, port) if host.isprintable() and port != 0 else (None, None)


def _credentials(userinfo: str) -> tuple[str, str]:
    user, _, password = userinfo.partition(":")
    try:
        userinfo.encode()
        return unquote(user, errors="strict"), unquote(password, errors="strict")
    except UnicodeError:
        raise _UnusableProxy("its user or password is no UTF-8, which is all that can be sent") from None


def _variable(kind: str) -> str:
    """The variable that names the proxy, as it is spelled in the environment."""
    lower = f"{kind}_proxy"
    if lower in os.environ:
        return lower
    return next((name for name in os.environ if name.lower() == lower), "the system's settings")


def _all_escapes() -> str:
    return ", ".join(f"{sign!r} as {escape}" for sign, escape in _ESCAPES.items())


def _listed() -> str:
    first, *others = (f"{scheme}://" for scheme in _KINDS)
    return f"{', '.join([first, *others[:-1]])} and {others[-1]}"
