"""Names, TLS, REST: can the exchange be reached, what time is it there, does it serve this region?"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from os import PathLike
from typing import Any
from urllib.parse import urlsplit

from depthcache import venues
from depthcache.core.bodies import UnreadableBody, listed_in, time_in
from depthcache.core.requests.responses import used_weight
from depthcache.doctor.finding import Finding, Severity
from depthcache.errors import ConnectionFailed, InvalidArgument
from depthcache.io.network import http
from depthcache.io.network.interface import Failure, Response
from depthcache.io.network.proxies import DIRECT, Route, proxy_for
from depthcache.io.network.sessions import Sessions
from depthcache.venues import Venue

__all__ = ["Host", "examine_reach"]

_TIMEOUT_S = 10.0
_CLOCK_S = 1.0
_EXPIRES_DAYS = 14
_SLOW_S = 1.0
_USUAL = ("BTCUSDT", "BTCUSD_PERP")


class Host:
    """An exchange as it is seen from here, and what was learned of it so far."""

    venue: Venue
    sessions: Sessions
    use_proxies: bool

    def __init__(
        self,
        venue: Venue,
        sessions: Sessions,
        *,
        use_proxies: bool,
        ca_file: str | PathLike[str] | None = None,
    ) -> None:
        self.venue, self.sessions, self.use_proxies = venue, sessions, use_proxies
        self.ca_file = ca_file
        self.symbol = ""
        self.can_go_on = True

    async def get(self, url: str) -> tuple[Response | Failure, float]:
        """GET, and how long it took in seconds."""
        begun = time.monotonic()
        response = await http.fetch(self.sessions, url, timeout_s=_TIMEOUT_S, use_proxies=self.use_proxies)
        return response, time.monotonic() - begun

    def route(self, url: str) -> Route:
        """How requests go there. Raises ConnectionFailed for a proxy that cannot be used."""
        return proxy_for(url) if self.use_proxies else DIRECT


async def examine_reach(host: Host, symbol: str | None) -> AsyncIterator[Finding]:
    """Everything about REST; `host.can_go_on` says whether the rest makes sense."""
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
        advice = "write the proxy as it must be, or take the variable away"
        yield Finding(f"way to {name}", Severity.FAIL, error.reason, advice)
        return
    if proxy is not None:
        yield Finding(f"way to {name}", Severity.OK, f"through the proxy {proxy}")
        return
    loop = asyncio.get_running_loop()
    try:
        found = await asyncio.wait_for(loop.getaddrinfo(name, port, type=socket.SOCK_STREAM), _TIMEOUT_S)
    except (OSError, TimeoutError, UnicodeError) as error:
        advice = "check the name server of this host, or set a proxy (HTTPS_PROXY)"
        yield Finding(f"DNS of {name}", Severity.FAIL, http.describe_error(error), advice)
        return
    addresses = sorted({str(entry[4][0]) for entry in found})
    yield Finding(f"DNS of {name}", Severity.OK, ", ".join(addresses[:4]))
    if parts.scheme in ("https", "wss"):
        yield await _examine_tls(host, name, port)


async def _examine_tls(host: Host, name: str, port: int) -> Finding:
    check = f"TLS of {name}"
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            context = ssl.create_default_context(cafile=host.ca_file)
            _, writer = await asyncio.open_connection(name, port, ssl=context, server_hostname=name)
    except ssl.SSLCertVerificationError as error:
        advice = "something in between speaks for the exchange: name its authority with ca_file, or avoid it"
        return Finding(check, Severity.FAIL, f"certificate refused: {error.verify_message}", advice)
    except (OSError, TimeoutError) as error:
        advice = "check firewall and proxy settings; outgoing port " + str(port) + " must be open"
        return Finding(check, Severity.FAIL, http.describe_error(error), advice)
    tls = writer.get_extra_info("ssl_object")
    certificate: Any = tls.getpeercert() or {}
    writer.close()
    days = (
        ssl.cert_time_to_seconds(certificate.get("notAfter", "Jan 1 00:00:00 2100 GMT")) - time.time()
    ) / 86_400
    issuer = dict(entry[0] for entry in certificate.get("issuer", ())).get("organizationName", "unknown")
    severity = Severity.OK if days > _EXPIRES_DAYS else Severity.WARN
    advice = (
        ""
        if severity is Severity.OK
        else "the exchange's certificate expires soon, or this host's clock is off"
    )
    return Finding(check, severity, f"{tls.version()}, issued by {issuer}, {days:.0f} days left", advice)


async def _examine_ping(host: Host) -> Finding:
    venue = host.venue
    response, took_s = await host.get(venue.endpoints.rest + venue.ping_path)
    if isinstance(response, Failure):
        advice = "the exchange's REST host cannot be reached from here: check firewall and proxy"
        return Finding("REST", Severity.FAIL, response.reason, advice)
    blocked = response.status == 451 or (response.status == 403 and b"<html" in response.body[:200].lower())
    if blocked:
        advice = "this host's region is not served"
        if venue.data_mirror is not None:
            advice += f": market data is served by exchange {venue.data_mirror!r}"
        return Finding("REST", Severity.FAIL, f"HTTP {response.status}", advice)
    if response.status in (418, 429):
        wait = response.headers.get("retry-after", "some time")
        return Finding(
            "REST", Severity.FAIL, f"HTTP {response.status}", f"this address is stopped: wait {wait} s"
        )
    if response.status != 200:
        return Finding(
            "REST", Severity.FAIL, f"HTTP {response.status}", "the exchange is in trouble: try again later"
        )
    severity = Severity.OK if took_s < _SLOW_S else Severity.WARN
    advice = "" if severity is Severity.OK else "slow: books start later, everything else works"
    return Finding("REST", severity, f"answered in {took_s * 1e3:.0f} ms", advice)


async def _examine_clock(host: Host) -> Finding:
    before_s, begun = time.time(), time.monotonic()
    response, took_s = await host.get(host.venue.time_url())
    middle_s = before_s + (time.monotonic() - begun) / 2
    try:
        assert isinstance(response, Response)  # noqa: S101 - told below
        offset_s = time_in(response.body) / 1e3 - middle_s
    except (AssertionError, UnreadableBody):
        return Finding(
            "clock", Severity.WARN, "the exchange's time could not be read", "lags will not be known"
        )
    describe_error = f"this host is {-offset_s:+.3f} s ahead of the exchange, give or take {took_s / 2:.3f} s"
    if abs(offset_s) <= _CLOCK_S + took_s / 2:
        return Finding("clock", Severity.OK, describe_error)
    advice = "books do not depend on it, but certificates and recordings do: synchronise the clock (NTP)"
    return Finding("clock", Severity.WARN, describe_error, advice)


async def _examine_listing(host: Host, symbol: str | None) -> AsyncIterator[Finding]:
    venue = host.venue
    wanted = None if symbol is None else venues.parse_symbol(symbol, venue)
    response, _ = await host.get(venue.exchange_info_url(() if wanted is None else (wanted,)))
    used = used_weight(response.headers) if isinstance(response, Response) else None
    if used is None:
        advice = "something in between removes headers: other programs on this address cannot be seen"
        yield Finding("weight header", Severity.WARN, "X-MBX-USED-WEIGHT-1M is missing", advice)
    else:
        limit = venue.weight_per_minute
        busy = used > limit / 2
        advice = "other programs behind this address use much: books start slowly" if busy else ""
        severity = Severity.WARN if busy else Severity.OK
        yield Finding("weight header", severity, f"{used} of {limit} used in this minute", advice)
    rows = _rows(response, venue)
    usual = (each for each in (*_USUAL, *rows) if each in rows and _is_symbol(each, venue))
    chosen = wanted or next(usual, "")
    host.symbol = chosen
    if not chosen or chosen not in rows:
        host.can_go_on = False
        name = chosen or "any symbol"
        advice = "check the spelling, or choose another with --symbol"
        yield Finding("symbol", Severity.FAIL, f"{name} is not listed on {venue.name}", advice)
        return
    status = rows[chosen]
    severity = Severity.OK if status == "TRADING" else Severity.WARN
    advice = "" if severity is Severity.OK else "its book may not change: choose another with --symbol"
    yield Finding("symbol", severity, f"{chosen} is {status}; {len(rows):,} listed", advice)


def _is_symbol(name: str, venue: Venue) -> bool:
    """Whether a listed name can be asked for."""
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
