"""Which proxy the environment names for a URL: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.

The standard library reads the variables (and the system's settings on macOS and Windows). A
WebSocket goes where its handshake goes: wss like https, ws like http. Not here: talking to a proxy.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from depthcache.errors import ConnectionFailed

__all__ = ["DIRECT", "Way", "way_to"]

_HANDSHAKE = {"wss": "https", "ws": "http"}


@dataclass(frozen=True, slots=True)
class Way:
    """How to reach a URL. Credentials of the proxy are in its headers, in neither its URL nor `repr`.

    Attributes:
        proxy: URL of the proxy, None for the direct way.
        connect_headers: for the CONNECT of a tunnel, which the other end never sees.
        request_headers: for a request in the clear, which the proxy reads and forwards.
    """

    proxy: str | None = None
    connect_headers: Mapping[str, str] | None = field(default=None, repr=False)
    request_headers: Mapping[str, str] | None = field(default=None, repr=False)


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
    proxy = urlsplit(text if "://" in text else f"http://{text}")
    host = proxy.netloc.rpartition("@")[2]
    shown = urlunsplit((proxy.scheme, host, "", "", ""))
    if proxy.scheme not in ("http", "https") or not host:
        reason = f"the environment names the proxy {shown!r}; only http:// and https:// proxies work"
        raise ConnectionFailed(url=url, reason=reason)
    if proxy.username is None:
        return Way(shown)
    credentials = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
    headers = {"Proxy-Authorization": f"Basic {b64encode(credentials).decode('ascii')}"}
    return Way(shown, connect_headers=headers) if scheme == "https" else Way(shown, request_headers=headers)
