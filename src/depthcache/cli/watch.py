"""`depthcache watch`: live order books in the terminal. All of it through the public API."""

from __future__ import annotations

from collections.abc import Sequence

import click

from depthcache.cli.exchange_name import exchange_option
from depthcache.cli.streams import tell

__all__ = ["watch"]


@click.command(short_help="Live order books in the terminal.")
@click.argument("symbols", nargs=-1, required=True, metavar="SYMBOL…")
@exchange_option()
@click.option(
    "--levels", type=click.IntRange(1), default=20, show_default=True, help="Levels to show per side."
)
@click.option(
    "--depth",
    type=click.IntRange(1),
    help="Levels to keep complete per side; by default 100, or as many as are shown.",
)
@click.option("--seconds", type=click.FloatRange(0), help="End after this long; by default at Ctrl-C.")
@click.option("--plain", is_flag=True, help="Lines instead of the app, also on a terminal.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines (NDJSON) instead of text.")
def watch(
    symbols: Sequence[str],
    exchange: str,
    levels: int,
    depth: int | None,
    seconds: float | None,
    *,
    plain: bool,
    as_json: bool,
) -> int:
    """Show live order books until q or Ctrl-C: a ladder, the state of the book, and a list of all books.

    The state line shows the status (synced, or why not), the age of the last update, its update id, the
    updates per second, the complete range, and the time since the last gap. Press ? for the keys.

    With --plain, or where stdin or stdout is not a terminal, it prints one line per book each second, with
    the time; with --json, as JSON. The app needs the package textual: pip install "depthcache[tui]".

    \b
    depthcache watch BTCUSDT ETHUSDT
    depthcache watch BTCUSDT --exchange binance.com-futures --levels 10
    depthcache watch BTCUSDT --json

    Exit code 0: done. 1: no book ever arrived. 2: unknown symbol, or another error.
    """
    import asyncio

    import depthcache
    from depthcache.cli.interrupt import Interrupt
    from depthcache.cli.live import View, show

    settings = depthcache.Settings.from_environment()
    wanted = depthcache.connect(
        exchange, list(symbols), depth=depth or max(100, levels), on_stale="serve", settings=settings
    )
    view = View(
        levels=levels, seconds=seconds, plain=plain, as_json=as_json, dumps_to=settings.flight_dumps_to
    )

    async def run() -> int:
        async with wanted as books:
            await show(books, interrupt, view)
            if all(book.status is depthcache.Status.CLOSED for book in books):
                await books.wait_synced(timeout=0)  # raises why
            if any(book.last_update_id is not None for book in books):
                return 0
            tell("depthcache: no book ever arrived: `depthcache doctor` finds out what is in the way")
            return 1

    with Interrupt() as interrupt:
        return asyncio.run(run())
