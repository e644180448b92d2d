"""Open points of the protocol that only the exchange itself can answer.

Each answer is a fact for the maintainers of the venues' files, never a fault. (Open as of 2026-11-22.)
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
    """Those that concern this exchange."""
    venue = host.venue
    name = venue.stream(host.symbol)
    lowered = host.symbol.translate(_LOWER)
    if venue.family != "spot":
        for route in dict.fromkeys(("/stream", "/public/stream", "/market/stream")):
            if route != venue.stream_route:
                question = f"does {route} deliver depth?"
                yield await _delivers(host, question, route, name, seconds)
        for suffix, question in (
            ("@depth@250ms", "does an explicit @250ms deliver diffs?"),
            ("@depth@0ms", "is @0ms still served?"),
        ):
            yield await _delivers(host, question, venue.stream_route, lowered + suffix, seconds)
    async for finding in _ask_rest(host):
        yield finding


async def _delivers(host: Host, question: str, route: str, name: str, seconds: float) -> Finding:
    heard = await listen(host, host.venue.endpoints.websocket + route, [name], seconds=seconds)
    if heard.diffs:
        levels = sum(len(diff.get("b", ())) + len(diff.get("a", ())) for diff in heard.diffs)
        response = f"yes: {len(heard.diffs)} updates with {levels} levels in {seconds:g} s"
    elif heard.error:
        response = f"no: {heard.error}"
    else:
        response = f"no: {'acknowledged and ' if heard.acknowledged else ''}silent for {seconds:g} s"
    return Finding(question, Severity.INFO, response)


async def _ask_rest(host: Host) -> AsyncIterator[Finding]:
    venue = host.venue
    base = venue.endpoints.rest + venue.depth_path
    before = await _used(host)
    response, _ = await host.get(f"{base}?symbol={host.symbol}")
    after = used_weight(response.headers) if isinstance(response, Response) else None
    if before is not None and after is not None:
        spent = after - before
        yield Finding("what does depth without a limit cost?", Severity.INFO, f"{spent} of weight")
    response, _ = await host.get(f"{base}?symbol=NOSUCHSYMBOL&limit={venue.cheapest_limit}")
    if isinstance(response, Response):
        describe_error = clean(response.body, most=80)
        yield Finding(
            "how is an unknown symbol refused?", Severity.INFO, f"HTTP {response.status}: {describe_error}"
        )


async def _used(host: Host) -> int | None:
    response, _ = await host.get(host.venue.time_url())
    return used_weight(response.headers) if isinstance(response, Response) else None
