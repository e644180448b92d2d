"""Check base URLs, and replace the endpoints of a venue: a gateway, a mirror, the embedded exchange."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

from depthcache.errors import InvalidArgument
from depthcache.venues.venue import Endpoints, Venue

__all__ = ["parse_endpoints", "with_endpoints"]


def with_endpoints(venue: Venue, endpoints: Endpoints) -> Venue:
    """The same venue with other endpoints; limits, weights and rules stay. Raises InvalidArgument."""
    parsed = parse_endpoints(endpoints)
    here, usual = _address(parsed.rest), _address(venue.endpoints.rest)
    return replace(venue, endpoints=parsed, weight_place=venue.weight_place if here == usual else here)


def parse_endpoints(endpoints: Endpoints) -> Endpoints:
    """The endpoints with both base URLs checked and without trailing slashes. Raises InvalidArgument."""
    return Endpoints(
        rest=_base_url("REST URL", endpoints.rest, ("https", "http")),
        websocket=_base_url("WebSocket URL", endpoints.websocket, ("wss", "ws")),
    )


def _address(url: str) -> str:
    """Host and port in a normal form: requests to the same address share one budget."""
    parts = urlsplit(url)
    usual_port = 443 if parts.scheme == "https" else 80
    return f"{parts.hostname}" + ("" if parts.port in (None, usual_port) else f":{parts.port}")


def _base_url(name: str, text: str, schemes: tuple[str, str]) -> str:
    allowed = f"{schemes[0]}://host[:port][/path] or {schemes[1]}://…, without user, query and fragment"
    refused = InvalidArgument(name=name, value=_without_secret(text), allowed=allowed)
    if not isinstance(text, str) or not text.isprintable() or any(map(str.isspace, text)):
        raise refused
    try:
        parts = urlsplit(text)
        port = parts.port  # raises ValueError beyond 65535
    except ValueError:
        raise refused from None
    has_more = "?" in text or "#" in text or "@" in parts.netloc
    if has_more or parts.scheme not in schemes or not parts.hostname or port == 0:
        raise refused
    return text.rstrip("/")


def _without_secret(text: object) -> object:
    """The given value as an error may show it, without a password."""
    if isinstance(text, str) and "@" in text:
        return text.split("://")[0] + "://…@" + text.rsplit("@", 1)[1]
    return text
