"""`depthcache doctor`: can books be kept from this host? All of it through `depthcache.doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from depthcache.cli.exchange_name import exchange_option

if TYPE_CHECKING:
    from depthcache.doctor import Finding

__all__ = ["doctor"]

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red", "info": "cyan"}


@click.command(short_help="Can books be kept from this host?")
@exchange_option()
@click.option("--symbol", metavar="SYMBOL", help="Which symbol to follow; by default a busy one.")
@click.option(
    "--seconds", type=click.FloatRange(0.5, 120), default=5.0, show_default=True, help="How long to listen."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
def doctor(exchange: str, symbol: str | None, seconds: float, as_json: bool) -> int:
    """What to run first on a new host: can books be kept from here?

    Looks at DNS, TLS, clock, REST, weight, region, streams and a whole book, and says for each what was
    measured and what to do. Points marked info are facts about the exchange that cannot be known in advance.
    The exit code is 1 when a check failed.

    \b
    depthcache doctor
    depthcache doctor --exchange binance.com-futures --symbol ETHUSDT
    """
    import asyncio

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
        click.echo(
            f"{exchange}: {'books can be kept from here' if report.is_good else 'see what failed above'}"
        )
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
