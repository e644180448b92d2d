"""Book servers in place of an exchange: check their URLs, and derive the venue that they serve.

A book server speaks the exchange's protocol under `/<exchange>/…` (`crates/server/src/exchange.rs`). It has
one more stream: with `STATES` at the end of its name, the states of the server's book come among the diffs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from depthcache.errors import InvalidArgument
from depthcache.foreign_text import without_credentials
from depthcache.venues.venue import Endpoints, Venue

__all__ = ["STATES", "node_url", "parse_servers", "with_servers"]

STATES = "@state1"
"""The end of the name of a stream with states; the number is the version of the protocol."""

_PORT = 42081
"""The port of a book server, for names without a scheme (`ServerConfig.port`)."""
_SCHEMES = {"https": "https", "wss": "https", "http": "http", "ws": "http"}
_ALLOWED = (
    "the URL of a book server, https://host:42081[/path], http:// only on this machine; several in a list or "
    "with commas; without user, query and fragment (a token is the argument token, or DEPTHCACHE_TOKEN)"
)
_FREE = 1_000_000_000
"""The limit of request weight and of connects, which a server does not count."""
_MESSAGES_PER_SECOND = 100
"""The default of the server (`ServerConfig.messages_per_second`)."""
_LIFETIME_S = 1e9
"""A server closes no connection because of its age."""


def parse_servers(given: str | Iterable[str] | None) -> tuple[str, ...]:
    """The base URLs of servers, `http(s)://host:port[/path]`, in order; none for None or an empty text.

    Raises InvalidArgument, which shows no secret.
    """
    if given is None:
        return ()
    texts = given.split(",") if isinstance(given, str) else given
    if not isinstance(texts, Iterable) or isinstance(texts, bytes):
        raise InvalidArgument(name="server", value=given, allowed=_ALLOWED)
    found = [_base_url(text) for text in texts if not isinstance(text, str) or text.strip()]
    return tuple(dict.fromkeys(found))


def node_url(scheme: str, address: str) -> str:
    """The base URL of a node of a cluster, as another node names it: `host:port`.

    `scheme`: of the URL of that other node. Empty for what is no host with a port, and for another host
    without TLS.
    """
    try:
        (url,) = parse_servers([f"{scheme}://{address}"])
    except (InvalidArgument, ValueError):
        return ""
    is_plain = url == f"{scheme}://{address}" and urlsplit(url).port is not None
    return url if is_plain else ""


def with_servers(venue: Venue, servers: tuple[str, ...]) -> Venue:
    """The venue as these servers serve it: other hosts, another stream, no request weight."""
    endpoints = tuple(_endpoints(server, venue) for server in servers)
    return replace(
        venue,
        endpoints=endpoints[0],
        servers=endpoints,
        stream_speeds=tuple((every_ms, suffix + STATES) for every_ms, suffix in venue.stream_speeds),
        top_stream=None,
        snapshot_lag_s=0.0,
        weight_pool="book server",
        weight_place=" ".join(servers),
        weight_per_minute=_FREE,
        connects_per_5_minutes=_FREE,
        messages_per_second=_MESSAGES_PER_SECOND,
        connection_lifetime_s=_LIFETIME_S,
    )


def _endpoints(server: str, venue: Venue) -> Endpoints:
    return Endpoints(rest=f"{server}/{venue.name}", websocket=f"ws{server.removeprefix('http')}/{venue.name}")


def _base_url(text: object) -> str:
    shown = without_credentials(text.partition("#")[0].partition("?")[0]) if isinstance(text, str) else text
    refused = InvalidArgument(name="server", value=shown, allowed=_ALLOWED)
    if not isinstance(text, str):
        raise refused
    text = text.strip()
    has_scheme = "://" in text
    if not text.isprintable() or any(map(str.isspace, text)):
        raise refused
    try:
        parts = urlsplit(text if has_scheme else f"//{text}")
        port = parts.port
    except ValueError:
        raise refused from None
    if not parts.hostname or port == 0 or "?" in text or "#" in text or "@" in parts.netloc:
        raise refused
    is_here = _is_here(parts.hostname)
    scheme = _SCHEMES.get(parts.scheme) if has_scheme else ("http" if is_here else "https")
    if scheme is None:
        raise refused
    if parts.path.startswith("/k/"):
        allowed = "a URL without the key of the exchange's protocol: pass token=…, which is secret here"
        raise InvalidArgument(name="server", value=shown, allowed=allowed)
    if scheme == "http" and not is_here:
        allowed = f"https:// for another machine, so that nobody on the way reads the token: {_ALLOWED}"
        raise InvalidArgument(name="server", value=shown, allowed=allowed)
    return f"{scheme}://{_authority(parts, port if has_scheme or port else _PORT)}{parts.path.rstrip('/')}"


def _authority(parts: SplitResult, port: int | None) -> str:
    """Host and port, without the user."""
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if port is None else f"{host}:{port}"


def _is_here(host: str) -> bool:
    """Whether a host is this machine; no name is looked up."""
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost" or host.lower().endswith(".localhost")
