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

__all__ = ["Proxy", "proxy_for"]

_HANDSHAKE = {"wss": "https", "ws": "http"}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy and what to tell it. The credentials are in neither the URL nor `repr`."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def proxy_for(url: str) -> Proxy | None:
    """The proxy for a URL, None where there is none.

    Raises ConnectionFailed for a proxy of a kind that is not supported: going around a proxy that
    the user named would be worse than not connecting.
    """
    parts = urlsplit(url)
    named = getproxies()
    scheme = _HANDSHAKE.get(parts.scheme, parts.scheme)
    text = named.get(scheme) or named.get("all")
    if not text or proxy_bypass(parts.netloc):
        return None
    proxy = urlsplit(text if "://" in text else f"http://{text}")
    host = proxy.netloc.rpartition("@")[2]
    if proxy.scheme not in ("http", "https") or not host:
        shown = urlunsplit((proxy.scheme, host, "", "", ""))
        raise ConnectionFailed(
            url=url,
            reason=f"the environment names the proxy {shown!r}; only http:// and https:// proxies work",
        )
    headers = {}
    if proxy.username is not None:
        credentials = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
        headers["Proxy-Authorization"] = f"Basic {b64encode(credentials).decode('ascii')}"
    return Proxy(urlunsplit((proxy.scheme, host, "", "", "")), headers)
