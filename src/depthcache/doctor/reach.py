"""Checks of proxies, DNS, TLS, REST, region, clock, request weight and symbol."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
import time
from collections.abc import AsyncIterator
from os import PathLike
from typing import Any
from urllib.parse import urlsplit

from depthcache import venues
from depthcache.core.bodies import UnreadableBody, listed_in, time_in
from depthcache.core.requests.responses import classify_response, used_weight
from depthcache.doctor.finding import Finding, Severity
from depthcache.errors import ConnectionFailed, InvalidArgument
from depthcache.io.network import http
from depthcache.io.network.interface import Failure, Response, ServerAccess
from depthcache.io.network.proxies import DIRECT, Route, proxy_for
from depthcache.io.network.sessions import Sessions
from depthcache.venues import Venue

__all__ = ["Host", "examine_reach"]

_TIMEOUT_S = 10.0
_CLOCK_S = 1.0
_EXPIRES_DAYS = 14
_SERVER_EXPIRES_DAYS = 3
"""The certificates of the nodes of a cluster last a week and are renewed daily."""
_SLOW_S = 1.0
_USUAL = ("BTCUSDT", "BTCUSD_PERP")


class Host:
    """The exchange under examination, and what the checks so far found out about it.

    `symbol` is the one that later checks follow. `can_go_on` is False once later checks make no sense.
    """

    venue: Venue
    sessions: Sessions
    use_proxies: bool
    ca_file: str | PathLike[str] | None
    access: ServerAccess

    def __init__(
        self,
        venue: Venue,
        sessions: Sessions,
        *,
        use_proxies: bool,
        ca_file: str | PathLike[str] | None = None,
        access: ServerAccess | None = None,
    ) -> None:
        self.venue, self.sessions, self.use_proxies = venue, sessions, use_proxies
        self.ca_file, self.access = ca_file, access or ServerAccess()
        self.symbol = ""
        self.can_go_on = True

    async def get(self, url: str) -> tuple[Response | Failure, float]:
        """The response to a GET, and how long it took in seconds."""
        begun = time.monotonic()
        response = await http.fetch(self.sessions, url, timeout_s=_TIMEOUT_S, use_proxies=self.use_proxies)
        return response, time.monotonic() - begun

    def route(self, url: str) -> Route:
        """The route to a URL: direct or through a proxy. Raises ConnectionFailed for an unusable proxy."""
        return proxy_for(url) if self.use_proxies else DIRECT


async def examine_reach(host: Host, symbol: str | None) -> AsyncIterator[Finding]:
    """Check the hosts, then REST; set `host.symbol` and `host.can_go_on` for the checks after it."""
    venue = host.venue
    for url in (venue.endpoints.rest, venue.endpoints.websocket):
        async for finding in _examine_host(host, url):
            yield finding
    finding = await _examine_ping(host)
    yield finding
    if finding.severity is Severity.FAIL:
        host.can_go_on = False
        return
    yield await _examine_clock(host)
    async for finding in _examine_listing(host, symbol):
        yield finding


async def _examine_host(host: Host, url: str) -> AsyncIterator[Finding]:
    parts = urlsplit(url)
    name, port = parts.hostname or "", parts.port or (443 if parts.scheme in ("https", "wss") else 80)
    try:
        proxy = host.route(url).proxy
    except ConnectionFailed as error:
        advice = "correct the proxy variable (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY), or unset it"
        yield Finding(f"proxy for {name}", Severity.FAIL, error.reason, advice)
        return
    if proxy is not None:
        yield Finding(f"proxy for {name}", Severity.OK, f"connections go through {proxy}")
        return
    loop = asyncio.get_running_loop()
    try:
        found = await asyncio.wait_for(loop.getaddrinfo(name, port, type=socket.SOCK_STREAM), _TIMEOUT_S)
    except (OSError, TimeoutError, UnicodeError) as error:
        advice = "check the name servers of this host; if it has no DNS, set a proxy (HTTPS_PROXY)"
        yield Finding(f"DNS of {name}", Severity.FAIL, http.describe_error(error), advice)
        return
    addresses = sorted({str(entry[4][0]) for entry in found})
    yield Finding(f"DNS of {name}", Severity.OK, ", ".join(addresses[:4]))
    if parts.scheme in ("https", "wss"):
        yield await _examine_tls(host, name, port)


async def _examine_tls(host: Host, name: str, port: int) -> Finding:
    check, pinned = f"TLS of {name}", host.access.fingerprint
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            context = ssl.create_default_context(cafile=host.ca_file)
            if pinned is not None:  # its name and issuer do not matter
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            _, writer = await asyncio.open_connection(name, port, ssl=context, server_hostname=name)
    except ssl.SSLCertVerificationError as error:
        advice = (
            "a gateway or proxy on the way intercepts TLS: trust its certificate authority with ca_file "
            "(DEPTHCACHE_CA_FILE), or connect without it"
        )
        return Finding(check, Severity.FAIL, f"certificate not trusted: {error.verify_message}", advice)
    except (OSError, TimeoutError) as error:
        advice = f"check the firewall and proxy settings; outgoing TCP port {port} must be open"
        return Finding(check, Severity.FAIL, http.describe_error(error), advice)
    tls = writer.get_extra_info("ssl_object")
    certificate: Any = tls.getpeercert() or {}
    writer.close()
    if pinned is not None:
        return _examine_pinned(check, tls, pinned)
    days = (
        ssl.cert_time_to_seconds(certificate.get("notAfter", "Jan 1 00:00:00 2100 GMT")) - time.time()
    ) / 86_400
    names = dict(entry[0] for entry in certificate.get("issuer", ()))
    issuer = names.get("organizationName") or names.get("commonName", "unknown")
    is_served = bool(host.venue.servers)
    is_long = days > (_SERVER_EXPIRES_DAYS if is_served else _EXPIRES_DAYS)
    owner = "book server" if is_served else "exchange"
    advice = f"check this host's clock; if it is right, the {owner} must renew its certificate soon"
    measured = f"{tls.version()}, certificate issued by {issuer}, valid for {days:.0f} more days"
    return Finding(check, Severity.OK if is_long else Severity.WARN, measured, "" if is_long else advice)


def _examine_pinned(check: str, tls: ssl.SSLObject, pinned: bytes) -> Finding:
    """Whether a book server shows the only certificate that the settings trust."""
    found = hashlib.sha256(tls.getpeercert(binary_form=True) or b"").digest()
    if found == pinned:
        return Finding(check, Severity.OK, f"{tls.version()}, certificate with the given fingerprint")
    measured = f"the certificate has the fingerprint {found.hex(':').upper()}"
    advice = "compare it with what `depthcache serve` prints, and correct DEPTHCACHE_FINGERPRINT"
    return Finding(check, Severity.FAIL, measured, advice)


async def _examine_ping(host: Host) -> Finding:
    venue = host.venue
    response, took_s = await host.get(venue.endpoints.rest + venue.ping_path)
    if isinstance(response, Failure):
        advice = "this host cannot reach the REST host of the exchange: check the firewall and proxy settings"
        return Finding("REST", Severity.FAIL, response.reason, advice)
    if venue.servers and response.status != 200:
        has_token = host.access.token is not None
        refused = classify_response(
            response.status, response.headers, response.body, is_served=True, has_token=has_token
        )
        advice = "check DEPTHCACHE_SERVER and DEPTHCACHE_TOKEN, and the log of the server"
        return Finding("REST", Severity.FAIL, refused.reason, advice)
    blocked = response.status == 451 or (response.status == 403 and b"<html" in response.body[:200].lower())
    if blocked:
        advice = "the exchange does not serve the region of this host"
        if venue.data_mirror is not None:
            advice += f": use exchange {venue.data_mirror!r}, which serves the same market data"
        return Finding("REST", Severity.FAIL, f"HTTP {response.status}", advice)
    if response.status in (418, 429):
        retry_after = response.headers.get("retry-after")
        wait = "a few minutes" if retry_after is None else f"{retry_after} s"
        limited = "banned" if response.status == 418 else "over the rate limit"
        advice = f"this address is {limited}: wait {wait} and stop other programs that use the exchange"
        return Finding("REST", Severity.FAIL, f"HTTP {response.status}", advice)
    if response.status != 200:
        advice = "the exchange has a problem: try again later"
        return Finding("REST", Severity.FAIL, f"HTTP {response.status}", advice)
    severity = Severity.OK if took_s < _SLOW_S else Severity.WARN
    advice = "" if severity is Severity.OK else "slow responses delay the start of books and nothing else"
    return Finding("REST", severity, f"response after {took_s * 1e3:.0f} ms", advice)


async def _examine_clock(host: Host) -> Finding:
    before_s, begun = time.time(), time.monotonic()
    response, took_s = await host.get(host.venue.time_url())
    middle_s = before_s + (time.monotonic() - begun) / 2
    try:
        assert isinstance(response, Response)  # noqa: S101 - reported below
        offset_s = time_in(response.body) / 1e3 - middle_s
    except (AssertionError, UnreadableBody):
        advice = "books work, but their lag stays unknown"
        return Finding("clock", Severity.WARN, "the time of the exchange could not be read", advice)
    direction = "behind" if offset_s > 0 else "ahead of"
    measured = (
        f"this host's clock is {abs(offset_s):.3f} s {direction} the exchange's, within {took_s / 2:.3f} s"
    )
    if abs(offset_s) <= _CLOCK_S + took_s / 2:
        return Finding("clock", Severity.OK, measured)
    advice = (
        "synchronise the clock (NTP): books do not depend on it, but certificates and the times in "
        "recordings do"
    )
    return Finding("clock", Severity.WARN, measured, advice)


async def _examine_listing(host: Host, symbol: str | None) -> AsyncIterator[Finding]:
    venue = host.venue
    wanted = None if symbol is None else venues.parse_symbol(symbol, venue)
    response, _ = await host.get(venue.exchange_info_url(() if wanted is None else (wanted,)))
    used = used_weight(response.headers) if isinstance(response, Response) else None
    if used is None:
        advice = (
            "a proxy or gateway on the way removes it, so the client cannot see how much weight other "
            "programs behind this address use: let the header pass"
        )
        yield Finding("weight header", Severity.WARN, "X-MBX-USED-WEIGHT-1M is missing", advice)
    else:
        limit = venue.weight_per_minute
        busy = used > limit / 2
        advice = "other programs behind this address use most of it: books start slowly" if busy else ""
        severity = Severity.WARN if busy else Severity.OK
        measured = f"{used:,} of {limit:,} weight used in this minute"
        yield Finding("weight header", severity, measured, advice)
    rows = _rows(response, venue)
    usual = (each for each in (*_USUAL, *rows) if each in rows and _is_symbol(each, venue))
    chosen = wanted or next(usual, "")
    host.symbol = chosen
    if not chosen or chosen not in rows:
        host.can_go_on = False
        missing = f"{chosen} is not listed on {venue.name}" if chosen else f"{venue.name} lists no symbol"
        advice = "check the spelling, or choose another symbol with --symbol"
        yield Finding("symbol", Severity.FAIL, missing, advice)
        return
    status = rows[chosen]
    severity = Severity.OK if status == "TRADING" else Severity.WARN
    advice = "" if severity is Severity.OK else "its book may not change: choose another with --symbol"
    yield Finding("symbol", severity, f"{chosen} has status {status}; {len(rows):,} symbols listed", advice)


def _is_symbol(name: str, venue: Venue) -> bool:
    """Whether a listed name is a valid symbol argument."""
    try:
        return venues.parse_symbol(name, venue) == name
    except InvalidArgument:
        return False


def _rows(response: Response | Failure, venue: Venue) -> dict[str, str]:
    try:
        assert isinstance(response, Response)  # noqa: S101 - nothing is listed then
        return listed_in(response.body, venue)
    except (AssertionError, UnreadableBody):
        return {}
