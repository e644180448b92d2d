"""`depthcache simulate`: the embedded exchange as a program, for any client in any language.

Starts it, says where it is, and runs a program against it where one is named. Not here: the exchange
(`simulator`), the program's life (`program`), the file of variables (`env_file`).
"""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from depthcache.cli.exchange_name import EXCHANGE_NAME
from depthcache.cli.streams import tell

if TYPE_CHECKING:
    from depthcache.server import BookServer
    from depthcache.simulator import Faults, Server

__all__ = ["simulate"]

_GRACE_S = 2.0
"""How long a program may work on the last frames before SIGTERM."""


def _complete_faults(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Presets and names of faults, also behind a comma."""
    from depthcache.simulator.texts import FAULTS, PRESETS

    before, comma, begun = incomplete.rpartition(",")
    names = [*PRESETS, *(f"{name}=" for name in FAULTS)]
    return [f"{before}{comma}{name}" for name in names if name.startswith(begun)]


class _ProgramAfterDashes(click.Command):
    """Everything after the first `--` is a program with its arguments, whatever it looks like."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        program: list[str] | None = None
        if "--" in args:
            at = args.index("--")
            args, program = args[:at], args[at + 1 :]
        rest = super().parse_args(ctx, args)
        self._files_after_dashes(ctx, program)
        if program == [] and not ctx.resilient_parsing:
            ctx.fail("Missing program after --, such as: -- python my_program.py")
        ctx.params["program"] = program
        return rest

    def _files_after_dashes(self, ctx: click.Context, program: list[str] | None) -> None:
        """A program without -- would be taken for recordings."""
        files = [str(file) for file in ctx.params.get("files") or ()]
        if not files or program or ctx.resilient_parsing or not _is_program(files[0]):
            return
        command = shlex.join(["--", *files])
        ctx.fail(
            f"{files[0]} is no recording; to run a program, put it after --: {ctx.command_path} {command}"
        )

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
    shell_complete=_complete_faults,
    metavar="NAME=VALUE,…",
    help="What goes wrong, as the chance per message from 0 to 1, such as drop=0.01,cut=0.001; `rough` is a "
    "preset.",
)
@click.option(
    "--speed",
    type=float,
    help="Of recordings: 1 as recorded (the default), 10 ten times as fast, inf without pauses.",
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
@click.option(
    "--exit-at-end",
    is_flag=True,
    help="End with the recordings; a program gets SIGTERM two seconds after their last frame.",
)
@click.option(
    "--page/--no-page",
    default=None,
    help="Show the books in a browser; by default for recordings without a program.",
)
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def simulate(
    files: Sequence[Path],
    port: int,
    seed: int | None,
    symbols: Sequence[str],
    faults: str | None,
    speed: float | None,
    exchange: str | None,
    env_file: Path | None,
    program: Sequence[str] | None,
    *,
    tls: bool,
    exit_at_end: bool,
    page: bool | None,
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
    reads) are played back instead, starting with the first subscription. At their end, the exchange stays
    up and silent and stderr says so; with --exit-at-end it ends, and a program that still runs two seconds
    later gets SIGTERM.

    --faults takes the names of depthcache.simulator.Faults; `rough` is short for
    drop=0.01,reorder=0.01,cut=0.001,lagging=0.3. The seed is that of --seed, unless seed= is given.

    The page shows the books of this exchange in a browser, at the address that is printed. Recordings wait
    for it to be opened, unless a client subscribes before.

    --tls needs the package trustme (pip install "depthcache[tls]"); the variables then also name the
    authority to trust. --env-file writes the variables in a form that `docker run --env-file`,
    `set -a; . PATH` and systemd read; only you can read the file. Both files are deleted at the end.

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
    from depthcache.errors import PackageMissing
    from depthcache.simulator import serve
    from depthcache.simulator.environment import closed_environment, without_proxies
    from depthcache.simulator.texts import parse_symbols

    if exit_at_end and not files:
        raise click.UsageError("--exit-at-end applies to recordings; none was given")
    if speed is not None and not files:
        raise click.UsageError("--speed applies to recordings; none was given")
    if seed is None and not files:
        seed = secrets.randbelow(2**32)

    def start() -> Server:
        try:
            return serve(
                seed,
                port,
                symbols=parse_symbols(symbols) if symbols else None,
                faults=_parsed_faults(faults, seed),
                files=files,
                speed=1.0 if speed is None else speed,
                exchange=exchange,
                tls=tls,
            )
        except PackageMissing as error:
            raise PackageMissing(package=error.package, wanted_for="--tls") from None

    if program and page:
        raise click.UsageError("--page applies to an exchange without a program")
    if program:
        with Program() as running, start() as server:
            variables = closed_environment(server)
            with written(env_file, variables):
                if not quiet:
                    tell(f"depthcache: {_running(server, seed)}")
                if files:
                    _at_end(server, running.terminate if exit_at_end else None, _GRACE_S, quiet=quiet)
                code = running.run(program, {**os.environ, **variables, **without_proxies(os.environ)})
                if not quiet:
                    _show_problems(server)
        return code
    is_shown = bool(files) if page is None else page
    with (
        Interrupt() as interrupt,
        start() as server,
        written(env_file, closed_environment(server)),
        _page(server, is_recorded=bool(files)) if is_shown else nullcontext() as shown,
    ):
        if not quiet:
            _show_exports(server, seed, None if shown is None else shown.page_url)
        if files:
            _at_end(server, interrupt.end if exit_at_end else None, 0.0, quiet=quiet)
        interrupt.wait()
        if not quiet:
            _show_problems(server)
    return 0


def _at_end(server: Server, end: Callable[[], None] | None, grace_s: float, *, quiet: bool) -> None:
    """Say when the recording has ended, and call `end` after a grace period, or at once if it failed."""
    import threading
    import time

    def wait() -> None:
        if server.wait_ended():
            if not quiet:
                tell("depthcache: the recording has ended")
            if end is not None:
                time.sleep(grace_s)
        if end is not None:  # also for an exchange that failed, which is raised when it is closed
            end()

    threading.Thread(target=wait, name="depthcache end of recording", daemon=True).start()


def _is_program(name: str) -> bool:
    """Whether the first of FILES is a program: one on the path, or a file that can be executed."""
    import shutil

    path = Path(name)
    if path.is_file():
        with suppress(OSError), path.open("rb") as file:
            return os.access(path, os.X_OK) and file.read(4).startswith((b"\x7fELF", b"#!", b"MZ"))
        return False
    return path.suffix in (".py", ".sh", ".exe") or shutil.which(name) is not None


def _parsed_faults(text: str | None, seed: int | None) -> Faults | None:
    from depthcache.simulator.texts import parse_faults

    return None if text is None else parse_faults(text, seed=seed or 0)


def _running(server: Server, seed: int | None) -> str:
    names = ", ".join(server.settings.endpoints)
    return f"{names} at {server.url}" + ("" if seed is None else f", seed {seed}")


def _page(server: Server, *, is_recorded: bool) -> AbstractContextManager[BookServer]:
    from depthcache.cli.page import played

    symbols = {name: server.exchange.symbols(name) for name in server.settings.endpoints}
    return played(server.settings, symbols, (lambda: server.has_ended) if is_recorded else None)


def _show_exports(server: Server, seed: int | None, page_url: str | None) -> None:
    from depthcache.foreign_text import clean
    from depthcache.simulator.environment import PROXIES_OFF

    for name, value in (dict(server.environment) | PROXIES_OFF).items():
        click.echo(f"export {name}={shlex.quote(value)}")
    for name in server.settings.endpoints:
        symbols = ", ".join(map(clean, server.exchange.symbols(name)))
        click.echo(f"# {server.url}/{name}: {symbols}")
    if seed is not None:
        click.echo(f"# seed {seed}")
    if page_url is not None:
        click.echo(f"# page {page_url}")
    tell("Ctrl-C ends it.")


def _show_problems(server: Server) -> None:
    """What could not be used of a recording, or what went wrong by chance."""
    from depthcache.simulator import RecordedExchange, SimulatedExchange

    exchange = server.exchange
    if isinstance(exchange, RecordedExchange):
        for line in exchange.problems.lines():
            tell(f"depthcache: {line}")
    elif isinstance(exchange, SimulatedExchange) and exchange.faults is not None:
        tell(f"depthcache: {_struck(exchange.faults)}")


def _struck(faults: Faults) -> str:
    from dataclasses import fields

    if faults.counts:
        counts = ", ".join(f"{name} {count:,}" for name, count in sorted(faults.counts.items()))
        return f"faults that struck: {counts}"
    chances = {each.name: getattr(faults, each.name) for each in fields(faults) if each.type == "float"}
    given = ", ".join(f"{name}={chance}" for name, chance in chances.items() if chance)
    return f"no fault struck ({given or 'no chances were given'})"
