"""Open questions about the protocol that only the running exchange can answer (as of 2026-11-22).

Each finding is a fact for the maintainers of the files in `venues`, never a fault.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from depthcache.core.requests.responses import used_weight
from depthcache.doctor.finding import Finding, Severity
from depthcache.doctor.reach import Host
from depthcache.doctor.wire import listen
from depthcache.foreign_text import clean
from depthcache.io.network.interface import Response

__all__ = ["ask_open_points"]

_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


async def ask_open_points(host: Host, *, seconds: float) -> AsyncIterator[Finding]:
    """Yield one INFO finding for each question that applies to this exchange."""
    venue = host.venue
    name = venue.stream(host.symbol)
    lowered = host.symbol.translate(_LOWER)
    if venue.family != "spot":
        for route in dict.fromkeys(("/stream", "/public/stream", "/market/stream")):
            if route != venue.stream_route:
                question = f"does {route} deliver depth?"
                yield await _delivers(host, question, route, name, seconds)
        for suffix, question in (
            ("@depth@250ms", "does an explicit @250ms deliver updates?"),
            ("@depth@0ms", "is @0ms still served?"),
        ):
            yield await _delivers(host, question, venue.stream_route, lowered + suffix, seconds)
    async for finding in _ask_rest(host):
        yield finding


async def _delivers(host: Host, question: str, route: str, name: str, seconds: float) -> Finding:
    heard = await listen(host, host.venue.endpoints.websocket + route, [name], seconds=seconds)
    if heard.diffs:
        levels = sum(len(diff.get("b", ())) + len(diff.get("a", ())) for diff in heard.diffs)
        found = f"yes: {len(heard.diffs)} updates with {levels} levels in {seconds:g} s"
    elif heard.error:
        found = f"no: {heard.error}"
    else:
        found = f"no: {'acknowledged, but ' if heard.acknowledged else ''}nothing arrived in {seconds:g} s"
    return Finding(question, Severity.INFO, found)


async def _ask_rest(host: Host) -> AsyncIterator[Finding]:
    venue = host.venue
    base = venue.endpoints.rest + venue.depth_path
    before = await _used(host)
    response, _ = await host.get(f"{base}?symbol={host.symbol}")
    after = used_weight(response.headers) if isinstance(response, Response) else None
    if before is not None and after is not None:
        spent = after - before
        question = "how much weight does a snapshot without a limit cost?"
        yield Finding(question, Severity.INFO, f"{spent} weight")
    response, _ = await host.get(f"{base}?symbol=NOSUCHSYMBOL&limit={venue.cheapest_limit}")
    if isinstance(response, Response):
        question = "how does the exchange refuse an unknown symbol?"
        found = f"HTTP {response.status}: {clean(response.body, most=80)}"
        yield Finding(question, Severity.INFO, found)


async def _used(host: Host) -> int | None:
    response, _ = await host.get(host.venue.time_url())
    return used_weight(response.headers) if isinstance(response, Response) else None
