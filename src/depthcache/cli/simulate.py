"""`depthcache simulate`: the embedded exchange as a program, for any client in any language.

Only starts it and says where it is. Not here: the exchange (`simulator`).
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click

__all__ = ["simulate"]


@click.command(short_help="An exchange on this machine.")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="Where; by default any free port.")
@click.option("--seed", type=int, help="The same seed, the same market; by default one is drawn.")
@click.option(
    "--speed",
    type=float,
    default=1.0,
    show_default=True,
    help="Of recordings: 10 is ten times as fast, inf without pauses.",
)
@click.option("--exchange", metavar="NAME", help="Of recordings that do not tell which exchange they are of.")
@click.option("--tls", is_flag=True, help="Serve https and wss, with a certificate that it makes.")
def simulate(
    files: Sequence[Path], port: int, seed: int | None, speed: float, exchange: str | None, *, tls: bool
) -> int:
    """Run an exchange on this machine, for any client, until Ctrl-C.

    Without FILES it trades invented markets of several venues; with FILES (recordings, as `depthcache
    verify` reads them) it plays them back: the play starts with the first subscription. The first lines on
    stdout are `export` lines: a program of this package started with them in its environment uses this
    exchange without a change. Other clients find every venue under the URL that is shown, followed by the
    exchange name.

    With --tls, for clients that take nothing but https and wss, it makes a certificate. The export lines
    then also name the file of its authority, for this package, OpenSSL (Python, curl), requests and Node.
    The file is deleted at the end. Needs the package trustme: pip install depthcache[tls].

    \b
    depthcache simulate --port 9000 --seed 1
    depthcache simulate --tls --port 9443
    depthcache simulate btcusdt_20240808.gz --speed 10
    """
    from depthcache.cli.interrupt import Interrupt
    from depthcache.foreign_text import clean
    from depthcache.simulator import serve
    from depthcache.simulator.recorded import RecordedExchange

    with (
        Interrupt() as interrupt,
        serve(seed=seed, port=port, files=files, speed=speed, exchange=exchange, tls=tls) as server,
    ):
        for name, value in server.environment.items():
            click.echo(f"export {name}={shlex.quote(value)}")
        for name in server.settings.endpoints:
            symbols = ", ".join(map(clean, server.exchange.symbols(name)))
            click.echo(f"# {server.url}/{name}: {symbols}")
        sys.stdout.flush()
        click.echo("Ctrl-C ends it.", err=True)
        interrupt.wait()
        if isinstance(server.exchange, RecordedExchange):
            for line in server.exchange.problems.lines():
                click.echo(f"depthcache: {line}", err=True)
    return 0
