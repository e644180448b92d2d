"""The command line: one group, one file a command. Only parses and reports; never decides.

Every command imports what it needs when it runs, so that `depthcache --help` stays fast. Results go to
stdout, everything else to stderr. Exit codes: 0 done (also after Ctrl-C in a command that runs until
then), 1 the result is negative (a book came out wrong, or none ever came), 2 it could not be done, 130
interrupted before there was a result, 141 the reader of the output went away.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import click

from depthcache.cli.audit import audit
from depthcache.cli.cluster import cluster
from depthcache.cli.demo import demo
from depthcache.cli.doctor import doctor
from depthcache.cli.exchanges import exchanges
from depthcache.cli.record import record
from depthcache.cli.serve import serve
from depthcache.cli.simulate import simulate
from depthcache.cli.streams import CRASHED, FAILED, drop, has_speaker, is_of_output, open_streams, speak, tell
from depthcache.cli.symbols import symbols
from depthcache.cli.verify import verify
from depthcache.cli.watch import watch
from depthcache.errors import DepthCacheError, SyncTimeout
from depthcache.foreign_text import escaped

__all__ = ["cli", "main"]

_INTERRUPTED = 130
_BROKEN_PIPE = 141


class _ReaderGone(Exception):
    """The reader of the output went away. Click would end the program with 1, which means "no" here."""


@contextmanager
def _one_error() -> Generator[None]:
    """A command fails with one error: of several at once (tasks of a command), the first."""
    try:
        yield
    except BrokenPipeError:
        raise _ReaderGone from None
    except BaseExceptionGroup as group:
        error = _first(group)
        raise _ReaderGone if isinstance(error, BrokenPipeError) else error from None


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error


class _Commands(click.Group):
    """The group of all commands; broken pipes get past click, and no group of exceptions leaves it."""

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        with _one_error():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        with _one_error():
            return super().invoke(ctx)


def _version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from importlib.metadata import version

    click.echo(f"depthcache {version('depthcache')}")
    context.exit()


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version."
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error. [env: DEPTHCACHE_DEBUG]")
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:
    """Live Binance order books, checked against the exchange.

    \b
    depthcache doctor                    can books be kept from this host? run it first
    depthcache watch BTCUSDT             live order books in the terminal
    depthcache serve BTCUSDT             every program reads the books of one process, over HTTP
    depthcache cluster start             several machines as one book server
    depthcache demo                      live books without Binance, from an embedded exchange
    depthcache audit BTCUSDT             is a live book right? compared at the same update ids
    depthcache record BTCUSDT --out DIR  everything that arrives, raw, to files
    depthcache verify day1.gz day2.gz    is this recording complete, does its book come out right?
    depthcache simulate -- python my.py  a program of yours against an exchange on this machine
    depthcache exchanges                 the exchange names, and what they are
    depthcache symbols binance.com usdc  the symbols of an exchange
    """
    context.obj = debug or bool(os.environ.get("DEPTHCACHE_DEBUG"))


for _command in (doctor, watch, serve, cluster, demo, audit, record, verify, simulate, exchanges, symbols):
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None, *, prog_name: str = "depthcache") -> int:
    """Run a command and return its exit code; errors become one line on stderr.

    `prog_name`: what help calls the program.
    """
    open_streams()
    speak(None)
    if "_DEPTHCACHE_COMPLETE" in os.environ:
        from depthcache.cli import completion

        completion.install()
    try:
        code = cli.main(arguments, prog_name=prog_name, standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        if has_speaker():
            _tell(error.format_message())
            return error.exit_code
        with _on_stderr():
            error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except (_ReaderGone, BrokenPipeError):
        drop(sys.stdout)
        return _BROKEN_PIPE
    except (DepthCacheError, OSError) as error:
        if isinstance(error, OSError) and is_of_output(error):
            drop(sys.stdout)
            _tell(f"cannot write the output: {error.strerror}")
            return 2
        wants_traceback = _wants_traceback(sys.argv[1:] if arguments is None else arguments)
        if wants_traceback and not has_speaker():
            raise
        _tell(escaped(f"{error}{_hint(error)}"), error if wants_traceback else None)
        if isinstance(error, SyncTimeout):
            _tell("`depthcache doctor` finds out what is in the way")
        return 2
    except Exception as error:
        if not has_speaker():
            raise
        tell(f"{type(error).__name__}: {error}", event=CRASHED, error=error)
        return 1
    return code if isinstance(code, int) else 0


def _wants_traceback(arguments: Sequence[str]) -> bool:
    """Whether `--debug` was given to us, and not to a program behind `--`."""
    ours = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--debug" in ours or "DEPTHCACHE_DEBUG" in os.environ


def _tell(line: str, error: BaseException | None = None) -> None:
    tell(f"depthcache: {line}", event=FAILED, error=error)


@contextmanager
def _on_stderr() -> Generator[None]:
    try:
        yield
    except OSError:  # nothing is left to say it on; the exit code says it
        drop(sys.stderr)


def _hint(error: Exception) -> str:
    too_many = isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)
    return "; `ulimit -n` shows and raises the limit" if too_many else ""
