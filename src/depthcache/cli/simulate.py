"""`depthcache simulate`: the embedded exchange as a program, for any client in any language.

Starts it, says where it is, and runs a program against it where one is named. Not here: the exchange
(`simulator`), the program's life (`program`), the file of variables (`env_file`).
"""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from depthcache.cli.exchange_name import EXCHANGE_NAME
from depthcache.cli.streams import tell

if TYPE_CHECKING:
    from depthcache.simulator import Faults, Server

__all__ = ["simulate"]


class _ProgramAfterDashes(click.Command):
    """Everything after the first `--` is a program with its arguments, whatever it looks like."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        program: list[str] | None = None
        if "--" in args:
            at = args.index("--")
            args, program = args[:at], args[at + 1 :]
        rest = super().parse_args(ctx, args)
        if program == [] and not ctx.resilient_parsing:
            ctx.fail("Missing program after --, such as: -- python my_program.py")
        ctx.params["program"] = program
        return rest

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- PROGRAM [ARGS]...]"]


@click.command(cls=_ProgramAfterDashes, short_help="An exchange on this machine.")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="By default any free port.")
@click.option("--seed", type=int, help="The same seed gives the same market; by default one is drawn.")
@click.option(
    "--symbols",
    "symbols",
    metavar="[EXCHANGE:]SYMBOL,…",
    multiple=True,
    help="What to trade; may be repeated. Without an exchange: on binance.com. By default a few symbols on "
    "each production exchange.",
)
@click.option(
    "--faults",
    "faults",
    metavar="NAME=VALUE,…",
    help="What goes wrong, as chances from 0 to 1, such as drop=0.01,cut=0.001; `rough` is a preset.",
)
@click.option(
    "--speed",
    type=float,
    default=1.0,
    show_default=True,
    help="Of recordings: 10 is ten times as fast, inf without pauses.",
)
@click.option(
    "--exchange",
    metavar="NAME",
    type=EXCHANGE_NAME,
    help="Of recordings that do not say which exchange they are of.",
)
@click.option("--tls", is_flag=True, help="Serve https and wss, with a certificate made for this run.")
@click.option(
    "--env-file",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Write the variables to this file while the exchange runs.",
)
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def simulate(
    files: Sequence[Path],
    port: int,
    seed: int | None,
    symbols: Sequence[str],
    faults: str | None,
    speed: float,
    exchange: str | None,
    env_file: Path | None,
    program: Sequence[str] | None,
    *,
    tls: bool,
    quiet: bool,
) -> int:
    """Run an exchange on this machine, and a program against it.

    Put a program after --. It starts once the exchange listens, with variables in its environment that point
    every client of this package at the exchange, and the exchange ends when the program has ended. The exit
    code is the program's: 128 plus the signal that killed it, 127 if it was not found, 126 if it could not be
    run. Ctrl-C and SIGTERM reach the program; the exchange stays up until then. The names of all other
    exchanges point at this one, too, which responds with 404, so that nothing reaches Binance.

    Without a program, the exchange runs until Ctrl-C and prints the variables as `export` lines. Other
    clients find each exchange under the URL shown, followed by the exchange name.

    The markets are invented, with the clock of this machine. FILES (recordings that `depthcache verify`
    reads) are played back instead, starting with the first subscription.

    --faults takes the names of depthcache.simulator.Faults; `rough` is short for
    drop=0.01,reorder=0.01,cut=0.001,lagging=0.3. The seed is that of --seed, unless seed= is given.

    --tls needs the package trustme (pip install depthcache[tls]); the variables then also name the authority
    to trust. --env-file writes the variables in a form that `docker run --env-file`, `set -a; . PATH` and
    systemd read; only you can read the file. Both files are deleted at the end.

    \b
    depthcache simulate -- python my_program.py
    depthcache simulate --symbols BTCUSDT,ETHUSDT --symbols binance.com-futures:BTCUSDT -- pytest
    depthcache simulate --faults rough --seed 7 -- python my_program.py
    depthcache simulate btcusdt_20240808.gz --speed 10 -- python my_program.py
    depthcache simulate --port 9000 --tls --env-file exchange.env
    """
    from depthcache.cli.env_file import env_file as written
    from depthcache.cli.interrupt import Interrupt
    from depthcache.cli.program import Program
    from depthcache.simulator import serve
    from depthcache.simulator.environment import closed_environment, without_proxies
    from depthcache.simulator.texts import parse_symbols

    if seed is None and not files:
        seed = secrets.randbelow(2**32)

    def start() -> Server:
        return serve(
            seed,
            port,
            symbols=parse_symbols(symbols) if symbols else None,
            faults=_parsed_faults(faults, seed),
            files=files,
            speed=speed,
            exchange=exchange,
            tls=tls,
        )

    if program:
        with Program() as running, start() as server:
            variables = closed_environment(server)
            with written(env_file, variables):
                if not quiet:
                    tell(f"depthcache: {_running(server, seed)}")
                code = running.run(program, {**os.environ, **variables, **without_proxies(os.environ)})
                if not quiet:
                    _show_problems(server)
        return code
    with Interrupt() as interrupt, start() as server, written(env_file, closed_environment(server)):
        if not quiet:
            _show_exports(server, seed)
        interrupt.wait()
        if not quiet:
            _show_problems(server)
    return 0


def _parsed_faults(text: str | None, seed: int | None) -> Faults | None:
    from depthcache.simulator.texts import parse_faults

    return None if text is None else parse_faults(text, seed=seed or 0)


def _running(server: Server, seed: int | None) -> str:
    names = ", ".join(server.settings.endpoints)
    return f"{names} at {server.url}" + ("" if seed is None else f", seed {seed}")


def _show_exports(server: Server, seed: int | None) -> None:
    from depthcache.foreign_text import clean
    from depthcache.simulator.environment import PROXIES_OFF

    for name, value in (dict(server.environment) | PROXIES_OFF).items():
        click.echo(f"export {name}={shlex.quote(value)}")
    for name in server.settings.endpoints:
        symbols = ", ".join(map(clean, server.exchange.symbols(name)))
        click.echo(f"# {server.url}/{name}: {symbols}")
    if seed is not None:
        click.echo(f"# seed {seed}")
    tell("Ctrl-C ends it.")


def _show_problems(server: Server) -> None:
    """What could not be used of a recording, or what went wrong by chance."""
    from depthcache.simulator import RecordedExchange, SimulatedExchange

    exchange = server.exchange
    if isinstance(exchange, RecordedExchange):
        for line in exchange.problems.lines():
            tell(f"depthcache: {line}")
    elif isinstance(exchange, SimulatedExchange) and exchange.faults is not None:
        counts = ", ".join(f"{name} {count:,}" for name, count in sorted(exchange.faults.counts.items()))
        tell(f"depthcache: faults: {counts or 'none'}")
