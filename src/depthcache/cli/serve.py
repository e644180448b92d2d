"""`depthcache serve`: one process keeps the books, every program reads them. All through the public API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from depthcache.cli.exchange_name import exchange_option
from depthcache.cli.log_format import log_format_option
from depthcache.cli.service_manager import notify
from depthcache.cli.streams import tell

if TYPE_CHECKING:
    from depthcache import Books
    from depthcache.cli.interrupt import Interrupt
    from depthcache.errors import InvalidArgument, UsageError
    from depthcache.server import BookServer, ServerConfig

__all__ = ["serve"]

_FILE = click.Path(path_type=Path)
_SYNC_TIMEOUT_S = 30.0
_CHECKED = "the options are right; the symbols were not looked up, the port was not tried"
_NAMES_NO_OTHER = (
    "the certificate names only this machine. Other machines: --host NAME or --host ADDRESS, or check the "
    "fingerprint"
)


@click.command(short_help="Serve live books to every program over HTTP.")
@click.argument("symbols", nargs=-1, metavar="[SYMBOL]…")
@exchange_option("Of the symbols. `depthcache exchanges` lists them.")
@click.option("--config", "config_file", metavar="FILE", type=_FILE, help="TOML file with books and options.")
@click.option("--depth", type=click.IntRange(1), help="Complete levels per side.  [default: 100]")
@click.option("--listen", metavar="ADDR", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65_535), help="0 for any free port.  [default: 42081]")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="A name that clients reach it by.")
@click.option("--tls", is_flag=True, default=None, help="HTTPS, with a certificate of its own.")
@click.option("--certificate", metavar="FILE", type=_FILE, help="PEM file of a certificate; with --key.")
@click.option("--key", metavar="FILE", type=_FILE, help="PEM file of its private key.")
@click.option(
    "--exchange-symbols",
    type=click.Choice(["list", "any", "off"]),
    help="Books for clients of the exchange: those held, any symbol, or off.  [default: list]",
)
@click.option(
    "--exchange-books", metavar="N", type=click.IntRange(1), help="Most books that they begin, with any."
)
@click.option("--exchange-allow", multiple=True, metavar="CIDR", help="A network whose clients need no key.")
@click.option("--data-dir", metavar="DIR", type=_FILE, help="Where tokens and own certificates are kept.")
@click.option("--keep-books", is_flag=True, default=None, help="Begin again what requests began.")
@click.option("--access-log", metavar="FILE", help="One JSON line a request; - for standard error.")
@log_format_option
@click.option(
    "--compat-listen", metavar="ADDR:PORT", help="A listener for clients of the old cluster: HTTP, no token."
)
@click.option("--compat-listen-2-8", metavar="ADDR:PORT", help="The same for their releases up to 2.8.")
@click.option("--compat-allow", multiple=True, metavar="NETWORK", help="Whose old clients may connect.")
@click.option("--compat-manage", is_flag=True, default=None, help="Let those of this machine begin books.")
@click.option(
    "--sync-timeout",
    type=click.FloatRange(0),
    help="Seconds to wait for all books before the line that says it is ready.  [default: 30]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line when ready.")
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser of this desktop.")
@click.option("--check", is_flag=True, help="Check books and options, open nothing.")
def serve(
    symbols: Sequence[str],
    exchange: str,
    config_file: Path | None,
    depth: int | None,
    sync_timeout: float | None,
    as_json: bool,
    opens: bool,
    check: bool,
    **options: Any,
) -> int:
    """Serve live order books to every program, in any language, until SIGTERM or Ctrl-C.

    Readers cost no exchange weight and never delay a book. Options win over the environment
    (DEPTHCACHE_SERVER_PORT …), which wins over the file. Without TLS only programs of this machine can
    connect. At SIGTERM requests in flight are answered first.

    \b
    depthcache serve BTCUSDT ETHUSDT
    depthcache serve --config depthcache.toml --check
    depthcache serve BTCUSDT --listen 0.0.0.0 --tls --host books.example

    Exit code 0: it served until it was asked to end. 2: it could not be done.
    """
    import asyncio

    import depthcache
    from depthcache.cli.interrupt import Interrupt
    from depthcache.cli.log_lines import Lines, written

    books, connect, config, file_timeout_s = _wanted(symbols, exchange, config_file, options)
    timeout_s = file_timeout_s if sync_timeout is None else sync_timeout
    if depth is not None:
        connect["depth"] = depth
    if not books:
        raise click.UsageError("name symbols, or a file with books: --config FILE")
    wanted = depthcache.connect(books, **connect)
    count = sum(map(len, books.values()))
    if check:
        scheme = "https" if config.is_tls else "http"
        old = "".join(f", old clients on {host} port {port}" for host, port, _ in config.compat_listeners())
        click.echo(f"{_books(count)} on {config.listen} port {config.port} ({scheme}){old}: {_CHECKED}")
        return 0
    with Interrupt() as interrupt, written(Lines.ALL):
        running = _run(wanted, config, interrupt, sync_timeout_s=timeout_s, as_json=as_json, opens=opens)
        try:
            asyncio.run(running)
        except OSError as error:
            raise _taken(error, config) or error from None
    return 0


def _wanted(
    symbols: Sequence[str], exchange: str, config_file: Path | None, options: dict[str, Any]
) -> tuple[dict[str, list[str]], dict[str, Any], ServerConfig, float]:
    """Books by exchange, the arguments of `connect`, those of the server, and how long to wait for the books.

    Raises InvalidArgument.
    """
    import os

    from depthcache.errors import InvalidArgument
    from depthcache.server.config import ServerConfig, from_environment
    from depthcache.server.config_file import read_serve_file

    books: dict[str, list[str]] = {}
    connect: dict[str, Any] = {}
    server: dict[str, Any] = {}
    timeout_s = _SYNC_TIMEOUT_S
    if config_file is not None:
        file = read_serve_file(config_file)
        books = {name: list(listed) for name, listed in file.books.items()}
        connect, server = dict(file.connect), dict(file.server)
        timeout_s = _SYNC_TIMEOUT_S if file.sync_timeout_s is None else file.sync_timeout_s
    if symbols:
        books[exchange] = [*books.get(exchange, []), *symbols]
    given = {name: value for name, value in options.items() if value not in (None, ())}
    variables = from_environment(os.environ)
    try:
        config = ServerConfig(**{**server, **variables, **given})
    except InvalidArgument as error:
        raise _of_command(error, given, variables) from None
    return books, connect, config, timeout_s


def _of_command(
    error: InvalidArgument, options: Mapping[str, Any], variables: Mapping[str, Any]
) -> InvalidArgument:
    """The error in the words of the command: the option or variable that was given, and options that help."""
    from depthcache.errors import InvalidArgument
    from depthcache.server.config import NEEDS_BOTH, NEEDS_NETWORKS, NEEDS_TLS, PREFIX

    name = error.name
    shown = f"{PREFIX}{name.upper()}" if name in variables and name not in options else _option(name)
    value, allowed = error.value, error.allowed
    text = None
    if allowed == NEEDS_TLS:
        text = (
            f"invalid {shown} {value}: without TLS only this machine may connect (127.0.0.1, ::1); add "
            "--tls, or --certificate and --key"
        )
    elif allowed == NEEDS_NETWORKS:
        text = (
            f"invalid {shown} {value}: old clients are of this machine alone (127.0.0.1, ::1), unless "
            "--compat-allow names networks"
        )
    elif allowed == NEEDS_BOTH:
        given = "key" if name == "certificate" else "certificate"
        text = f"{_option(given)} needs {_option(name)}"
    elif name not in options and name not in variables:
        shown = name
    return InvalidArgument(name=shown, value=value, allowed=allowed, text=text)


def _option(field_name: str) -> str:
    special = {"hosts": "--host"}
    return special.get(field_name, f"--{field_name.replace('_', '-')}")


def _taken(error: OSError, config: ServerConfig) -> UsageError | None:
    """In words if a port is taken; else None."""
    import errno

    from depthcache.errors import UsageError

    if error.errno != errno.EADDRINUSE or not isinstance(error.filename, str):
        return None
    host, _, port = error.filename.rpartition(":")
    own = int(port) == config.port and host.strip("[]") == config.address
    other = "--port, or --port 0 for any free one" if own else "--compat-listen or --compat-listen-2-8"
    return UsageError(
        f"port {port} of {host} is taken, perhaps by another depthcache serve; choose another with {other}"
    )


async def _run(
    wanted: Books,
    config: ServerConfig,
    interrupt: Interrupt,
    *,
    sync_timeout_s: float,
    as_json: bool,
    opens: bool,
) -> None:
    import asyncio
    from time import monotonic

    from depthcache import server
    from depthcache.cli.page import opened

    began_s = monotonic()
    async with wanted as books, server.serve(books, config) as running:
        ready = asyncio.create_task(_until_ready(books, sync_timeout_s))
        ended = asyncio.create_task(_until_asked(interrupt))
        try:
            await asyncio.wait((ready, ended), return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                synced = ready.result()
                click.echo(
                    _ready_line(running, synced, len(books))
                    if as_json
                    else "\n".join(_ready_lines(running, books, synced, monotonic() - began_s))
                )
                notify(f"READY=1\nSTATUS={synced} of {len(books)} books synced")
            with opened(running) if opens and ready.done() else nullcontext():
                await ended
        finally:
            for task in (ready, ended):
                task.cancel()
        notify("STOPPING=1")
        tell("depthcache: ending, requests in flight are answered")


async def _until_asked(interrupt: Interrupt) -> None:
    while not await interrupt.wait_async(3_600):
        pass


async def _until_ready(books: Books, timeout_s: float) -> int:
    """How many books are synced, once all are that will be, or after so long. Raises why where none of them
    will ever be."""
    from depthcache.errors import SyncTimeout
    from depthcache.model import Status

    with suppress(SyncTimeout):
        await books.wait_synced(timeout_s, missing="skip")
    if all(book.status is Status.CLOSED for book in books):
        await books.wait_synced(timeout=0)
    return sum(book.status is Status.SYNCED for book in books)


def _ready_line(running: BookServer, synced: int, count: int) -> str:
    import json

    facts: dict[str, Any] = {
        "url": running.url,
        "page": running.page_url,
        "read_token": running.read_token,
        "admin_token_file": None if running.admin_token_file is None else str(running.admin_token_file),
        "exchange_key_file": None if running.exchange_key_file is None else str(running.exchange_key_file),
        "books": count,
        "synced": synced,
    }
    if running.compat_urls:
        facts["compat_urls"] = running.compat_urls
    if running.fingerprint is not None:
        facts |= {"certificate_file": str(running.certificate_file), "fingerprint": running.fingerprint}
    return json.dumps(facts)


def _ready_lines(running: BookServer, books: Books, synced: int, after_s: float) -> list[str]:
    count, url = len(books), running.url
    state = f"ready in {after_s:.1f} s" if synced == count else f"{synced} synced after {after_s:.1f} s"
    first = next(iter(books))
    certificate = running.certificate_file
    trust = "" if certificate is None else f"--cacert {_in_shell(certificate)} "
    header = f'"Authorization: Bearer {_shown_token(running)}"'
    rows = [
        ("page", _page(running)),
        ("read", f'curl {trust}-H {header} "{url}/v1/books/{first.exchange}/{first.symbol}?levels=5"'),
        ("docs", f"{url}/docs    {_admin(running)}"),
        *_exchange_row(running, first.exchange),
        *(("ubdcc", f"{each}    clients of the old cluster, no token") for each in running.compat_urls),
        *_tls_rows(running),
    ]
    return [
        f"depthcache serves {_books(count)}, {state}",
        *(f"  {label:<7}  {shown}" for label, shown in rows),
    ]


def _page(running: BookServer) -> str:
    """What a browser opens: with the token on a terminal alone."""
    import sys

    where = running.read_token_file
    if where is None:
        return f"{running.url}/    enter the token that was given"
    if sys.stdout.isatty():
        return f"{running.page_url}    read only"
    return f"{running.url}/    enter the token of {_short(where)}"


def _exchange_row(running: BookServer, exchange: str) -> list[tuple[str, str]]:
    """Where clients of the exchange connect; with the name of the key's file instead of the key."""
    if running.config.exchange_symbols == "off":
        return []
    rest = running.endpoints(exchange).rest
    where = running.exchange_key_file
    shown = "$DEPTHCACHE_SERVER_EXCHANGE_KEY" if where is None else f"$(cat {_in_shell(where)})"
    url = rest.replace(running.exchange_key, shown)
    return [("binance", f"{url}    for programs that speak Binance's own protocol")]


def _tls_rows(running: BookServer) -> list[tuple[str, str]]:
    where, config = running.certificate_file, running.config
    if where is None:
        return []
    rows = [("tls", f"{_short(where)}    SHA-256 {running.fingerprint}")]
    names_no_other = config.address in ("0.0.0.0", "::") and not config.hosts  # noqa: S104
    if config.certificate is None and names_no_other:
        rows.append(("note", _NAMES_NO_OTHER))
    return rows


def _shown_token(running: BookServer) -> str:
    """The token itself on a terminal; anything else may be a log, which must not have it."""
    import sys

    if running.read_token_file is None:
        return "$DEPTHCACHE_SERVER_READ_TOKEN"
    return running.read_token if sys.stdout.isatty() else f"$(cat {_in_shell(running.read_token_file)})"


def _admin(running: BookServer) -> str:
    path = running.admin_token_file
    return "admin token as given" if path is None else f"admin token in {_short(path)} (0600)"


def _short(path: Path) -> str:
    with suppress(RuntimeError, ValueError):  # a user without a home, such as in a container; another folder
        return f"~/{path.relative_to(Path.home())}"
    return str(path)


def _in_shell(path: Path) -> str:
    """A path for a command line, below the home as `_short` shows it."""
    from shlex import quote

    shown = _short(path)
    return f"~/{quote(shown[2:])}" if shown.startswith("~/") else quote(shown)


def _books(count: int) -> str:
    return f"{count} {'book' if count == 1 else 'books'}"
