"""What to look at first on a new host: can an exchange be reached from here, and does it keep its word?

    report = asyncio.run(depthcache.doctor.examine("binance.com"))

Every check ends in a finding with a severity and, where something is wrong, what to do about it. Nothing is
changed anywhere; a few hundred of request weight are used at most. Not here: how the findings are shown
(`cli`).
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
from depthcache.io.network.sessions import Sessions
from depthcache.naming import publish
from depthcache.settings import Settings

__all__ = ["Finding", "Report", "Severity", "examine", "findings"]


async def findings(
    exchange: str, symbol: str | None = None, *, seconds: float = 5.0, settings: Settings | None = None
) -> AsyncIterator[Finding]:
    """The findings one after the other, as they are made. Raises UnknownExchange and InvalidArgument.

    `symbol`: which one to follow; a busy one of the exchange when None. `seconds`: how long streams are
    listened to. `settings`: hosts, proxies, authorities; None takes `Settings.from_environment()`.
    """
    seconds = parse_real(seconds, name="seconds", allowed="seconds, 0 or more", least=0)
    chosen = Settings.from_environment() if settings is None else settings
    venue = chosen.venue(exchange)
    sessions = Sessions(chosen.ca_file)
    host = Host(venue, sessions, use_proxies=chosen.proxies, ca_file=chosen.ca_file)
    try:
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
    """All findings of an exchange; arguments and errors are those of `depthcache.doctor.findings`."""
    found = [each async for each in findings(exchange, symbol, seconds=seconds, settings=settings)]
    return Report(exchange=exchange, findings=tuple(found))


async def _all_of(findings: AsyncIterator[Finding], host: Host) -> AsyncIterator[Finding]:
    """Findings of one part; one that raises is a finding, too, and the parts that need it are left out."""
    try:
        async for finding in findings:
            yield finding
    except UsageError:
        raise  # the caller's
    except Exception as error:  # noqa: BLE001 - whatever a peer sends, the doctor says what is wrong
        host.can_go_on = False
        advice = "the exchange, or something in between, sends unexpected data; please report this"
        yield Finding("doctor", Severity.FAIL, describe_error(error), advice)


publish(
    "depthcache.doctor",
    Finding,
    Report,
    Severity,
)


def __dir__() -> list[str]:
    return list(__all__)
