"""Check whether this host can keep order books of an exchange.

    report = asyncio.run(depthcache.doctor.examine("binance.com"))

Checks proxies, DNS, TLS, REST, the clock, the request weight in use, the streams and one complete book. Each
check yields a finding with a severity and, if something is wrong, what to do about it. The checks change
nothing and use at most a few hundred of request weight.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from depthcache.arguments import parse_real
from depthcache.doctor.finding import Finding, Report, Severity
from depthcache.doctor.questions import ask_open_points
from depthcache.doctor.reach import Host, examine_reach
from depthcache.doctor.wire import examine_book, examine_streams
from depthcache.errors import UsageError
from depthcache.io.network.http import describe_error
from depthcache.io.network.server_access import parse_access
from depthcache.io.network.sessions import Sessions
from depthcache.naming import publish
from depthcache.settings import Settings

__all__ = ["Finding", "Report", "Severity", "examine", "findings"]

_INSTEAD = "checked instead of the exchange; without DEPTHCACHE_SERVER, the exchange is checked"


async def findings(
    exchange: str, symbol: str | None = None, *, seconds: float = 5.0, settings: Settings | None = None
) -> AsyncIterator[Finding]:
    """Run the checks and yield each finding as soon as it is known.

    `symbol`: which one to follow; None takes a busy one of the exchange. `seconds`: how long to listen to the
    streams. `settings`: hosts, proxies, trusted certificates; None takes `Settings.from_environment()`.

    Raises UnknownExchange and InvalidArgument. Anything that the exchange or the network does is a finding.
    """
    seconds = parse_real(seconds, name="seconds", allowed="seconds, 0 or more", least=0)
    chosen = Settings.from_environment() if settings is None else settings
    venue = chosen.venue(exchange)
    access = parse_access(chosen, None)
    sessions = Sessions(chosen.ca_file, access)
    host = Host(venue, sessions, use_proxies=chosen.proxies, ca_file=chosen.ca_file, access=access)
    try:
        if venue.servers:
            names = ", ".join(map(venue.server_name, range(len(venue.servers))))
            yield Finding("book server", Severity.INFO, f"{names}: {_INSTEAD}")
        async for finding in _all_of(examine_reach(host, symbol), host):
            yield finding
        if host.can_go_on:
            async for finding in _all_of(examine_streams(host, seconds=seconds), host):
                yield finding
            async for finding in _all_of(examine_book(host, chosen), host):
                yield finding
            async for finding in _all_of(ask_open_points(host, seconds=min(seconds, 3.0)), host):
                yield finding
    finally:
        await sessions.aclose()


async def examine(
    exchange: str, symbol: str | None = None, *, seconds: float = 5.0, settings: Settings | None = None
) -> Report:
    """Run all checks and return the report. Arguments and errors: as `depthcache.doctor.findings`."""
    found = [each async for each in findings(exchange, symbol, seconds=seconds, settings=settings)]
    return Report(exchange=exchange, findings=tuple(found))


async def _all_of(findings: AsyncIterator[Finding], host: Host) -> AsyncIterator[Finding]:
    """Findings of one part. An exception becomes a failed finding, and the parts after it are skipped."""
    try:
        async for finding in findings:
            yield finding
    except UsageError:
        raise  # a wrong argument of the caller
    except Exception as error:  # noqa: BLE001 - whatever a peer sends becomes a finding
        host.can_go_on = False
        advice = (
            "the exchange, or a proxy or gateway on the way, sent data that the doctor cannot read; "
            "please report this"
        )
        yield Finding("doctor", Severity.FAIL, describe_error(error), advice)


publish(
    "depthcache.doctor",
    Finding,
    Report,
    Severity,
)


def __dir__() -> list[str]:
    return list(__all__)
