"""Find the proxy for a URL in the environment: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.

The standard library reads the variables, and the system's settings on macOS and Windows. A WebSocket uses the
proxy of its handshake: wss that of https, ws that of http.
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
"""With `https`, the connection to the proxy itself is encrypted."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
"""RFC 3986, 3.1."""
_HANDSHAKE = {"wss": "https", "ws": "http"}
_KINDS: Mapping[str, tuple[ProxyKind, int]] = {
    "http": ("http", 80),
    "https": ("https", 443),
    "socks5": ("socks5", 1080),
    "socks5h": ("socks5", 1080),
}
"""Scheme to kind and default port. A SOCKS proxy always looks up host names itself, like `socks5h`."""

_MOST_SOCKS_BYTES = 255
"""Most bytes of a user name, and of a password (RFC 1929, 2)."""

_ESCAPES: Mapping[str, str] = {"#": "%23", "/": "%2F", "?": "%3F"}
"""Characters that must be percent-encoded in a user name or password, because they end the host of a URL."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy. Neither `str` nor `repr` shows its credentials."""

    kind: ProxyKind
    host: str
    port: int
    credentials: tuple[str, str] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.kind}://{host}:{self.port}"

    @property
    def authorization(self) -> Mapping[str, str] | None:
        """The header that authenticates at an HTTP proxy; None without credentials."""
        if self.credentials is None or self.kind == "socks5":
            return None
        text = b64encode(":".join(self.credentials).encode()).decode("ascii")
        return {"Proxy-Authorization": f"Basic {text}"}


@dataclass(frozen=True, slots=True)
class Route:
    """The route to a URL.

    Attributes:
        proxy: the proxy; None for a direct connection.
        encrypted: whether the URL is https or wss, which an HTTP proxy tunnels; otherwise it reads and
            forwards the request.
    """

    proxy: Proxy | None = None
    encrypted: bool = False


DIRECT = Route()


def proxy_for(url: str) -> Route:
    """The route to a URL that the environment configures.

    Raises ConnectionFailed for a proxy of an unsupported kind or a malformed one, because bypassing a proxy
    would be worse than not connecting. The error names the variable, but never a user name or password.
    Raises ValueError for a malformed URL.
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
        reason = f"the proxy in {_variable(kind)} cannot be used: {error}"
        raise ConnectionFailed(url=url, reason=reason) from None


class _UnusableProxy(Exception):
    """What is wrong with a proxy, without its user name and password."""


def _proxy(text: str) -> Proxy:
    """Parse a proxy variable. Credentials are cut off first, so that no parser error contains them."""
    scheme, sign, rest = text.strip().partition("://")
    if not sign or not _SCHEME.fullmatch(scheme):  # the text before "://" may be part of a password
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
        raise _UnusableProxy(f"{clean(shown)!r}; only {_listed()} proxies are supported")
    kind, usual_port = _KINDS[scheme.lower()]
    credentials = _credentials(userinfo) if has_user else None
    if kind == "socks5" and any(len(each.encode()) > _MOST_SOCKS_BYTES for each in credentials or ()):
        raise _UnusableProxy(f"SOCKS allows at most {_MOST_SOCKS_BYTES} bytes each for user and password")
    return Proxy(kind, host, port or usual_port, credentials)


def _host_and_port(place: str) -> tuple[str | None, int | None]:
    """Host and port; None for malformed text, which may be a secret."""
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
        raise _UnusableProxy("its user or password is not UTF-8") from None


def _variable(kind: str) -> str:
    """The variable that configures the proxy, as it is spelled in the environment."""
    lower = f"{kind}_proxy"
    if lower in os.environ:
        return lower
    return next((name for name in os.environ if name.lower() == lower), "the system's settings")


def _all_escapes() -> str:
    return ", ".join(f"{sign!r} as {escape}" for sign, escape in _ESCAPES.items())


def _listed() -> str:
    first, *others = (f"{scheme}://" for scheme in _KINDS)
    return f"{', '.join([first, *others[:-1]])} and {others[-1]}"
