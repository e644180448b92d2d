"""`depthcache watch`: live order books in the terminal. All of it through the public API."""

from __future__ import annotations

from collections.abc import Sequence

import click

__all__ = ["watch"]


@click.command(short_help="Live order books in the terminal.")
@click.argument("symbols", nargs=-1, required=True, metavar="SYMBOL…")
@click.option("--exchange", metavar="NAME", default="binance.com", show_default=True)
@click.option(
    "--levels", type=click.IntRange(1), default=20, show_default=True, help="Levels a side that are shown."
)
@click.option(
    "--depth",
    type=click.IntRange(1),
    help="Levels a side that are kept complete; by default 100, or as many as are shown.",
)
@click.option("--seconds", type=click.FloatRange(0), help="End after so long; by default at Ctrl-C.")
def watch(
    symbols: Sequence[str], exchange: str, levels: int, depth: int | None, seconds: float | None
) -> int:
    """Show live order books: a ladder and a state line for each, until Ctrl-C.

    The state line says what a book is (synced, or why not), how old its last update is, its update id, how
    far it is complete, and how many updates come a second. Where stdout is no terminal, plain lines
    come once a second.

    \b
    depthcache watch BTCUSDT ETHUSDT
    depthcache watch BTCUSDT --exchange binance.com-futures --levels 10
    """
    import asyncio

    import depthcache
    from depthcache.cli.interrupt import Interrupt
    from depthcache.cli.live import show

    def was_synced(book: depthcache.LiveBook) -> bool:
        return book.last_update_id is not None

    wanted = depthcache.connect(exchange, list(symbols), depth=depth or max(100, levels), on_stale="serve")

    async def run() -> None:
        async with wanted as books:
            await show(books, interrupt, levels=levels, seconds=seconds)
            if all(book.status is depthcache.Status.CLOSED for book in books):
                await books.wait_synced(timeout=0)  # raises why
            if not any(map(was_synced, books)):
                click.echo("no book ever came: `depthcache doctor` finds out what is in the way", err=True)

    with Interrupt() as interrupt:
        asyncio.run(run())
    return 0
