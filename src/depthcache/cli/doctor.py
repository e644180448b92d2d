"""`depthcache doctor`: print the findings of `depthcache.doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from depthcache.cli.exchange_name import exchange_option

if TYPE_CHECKING:
    from depthcache.doctor import Finding

__all__ = ["doctor"]

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red", "info": "cyan"}


@click.command(short_help="Check whether this host can keep books.")
@exchange_option()
@click.option("--symbol", metavar="SYMBOL", help="Symbol to follow; by default a busy one of the exchange.")
@click.option(
    "--seconds",
    type=click.FloatRange(0.5, 120),
    default=5.0,
    show_default=True,
    help="How long to listen to the streams.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def doctor(exchange: str, symbol: str | None, seconds: float, as_json: bool) -> int:
    """Check whether this host can keep order books of an exchange.

    Run this first on a new host. It checks proxies, DNS, TLS, REST, region, the clock, request weight, the
    streams and one complete book, and prints what it measured and, if something is wrong, what to do. Lines
    marked info are facts about the exchange, never faults.

    \b
    depthcache doctor
    depthcache doctor --exchange binance.com-futures --symbol ETHUSDT

    Exit code 0: no check failed. 1: a check failed. 2: wrong arguments.
    """
    import asyncio

    from depthcache.cli.state import counted
    from depthcache.doctor import Report, findings

    async def run() -> Report:
        found: list[Finding] = []
        async for finding in findings(exchange, symbol, seconds=seconds):
            found.append(finding)
            if not as_json:
                _show(finding)
        return Report(exchange=exchange, findings=tuple(found))

    report = asyncio.run(run())
    if as_json:
        _print_json(report)
    else:
        failed = sum(finding.severity == "fail" for finding in report.findings)
        outcome = f"{counted(failed, 'check')} failed" if failed else "this host can keep books"
        click.echo(f"{exchange}: {outcome}")
    return 0 if report.is_good else 1


def _show(finding: Finding) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False)
    line = Text.assemble(
        (f"{finding.severity:<5}", _STYLES[finding.severity]), f"{finding.check}: {finding.measured}"
    )
    console.print(line)
    if finding.advice:
        console.print(Text(f"      -> {finding.advice}"))


def _print_json(report: object) -> None:
    import json
    from dataclasses import asdict

    from depthcache.foreign_text import json_line

    click.echo(json_line(json.dumps(asdict(report), ensure_ascii=False)))  # type: ignore[call-overload]
