"""`depthcache audit`: compare live books with the exchange, with the public API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from depthcache.cli.exchange_name import exchange_option

if TYPE_CHECKING:
    from depthcache import Audit, LiveBook

__all__ = ["audit"]

_MINUTE_S = 60.0
_LOOK_S = 0.2
_INTERRUPTED = 130


@click.command(short_help="Compare live books with the exchange.")
@click.argument("symbols", nargs=-1, required=True, metavar="SYMBOL…")
@exchange_option()
@click.option(
    "--minutes",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="How long to keep comparing; 0 compares once.",
)
@click.option(
    "--depth", type=click.IntRange(1), default=1000, show_default=True, help="Levels a side to compare."
)
def audit(symbols: Sequence[str], exchange: str, minutes: float, depth: int) -> int:
    """Compare live books with the exchange, always at the same update id.

    Each book is compared with REST snapshots and with the partial depth and bookTicker streams. The output
    is one line per book: how many prices were checked and how many of them were wrong.

    \b
    depthcache audit BTCUSDT ETHUSDT --minutes 5
    depthcache audit BTCUSD_PERP --exchange binance.com-coin_futures

    Exit code 0: all books are right. 1: a price was wrong. 2: the audit could not run. 130: interrupted.
    """
    import asyncio

    import depthcache
    from depthcache.cli.interrupt import Interrupt
    from depthcache.cli.state import counted

    wanted = depthcache.connect(exchange, list(symbols), depth=depth)

    async def run() -> int:
        async with wanted as books:
            await books.wait_synced()
            if minutes:  # a minute without a word looks like a hang
                told = f"depthcache: comparing {counted(len(books), 'book')} for {minutes:g} min"
                click.echo(f"{told}; Ctrl-C ends it", err=True)
            async with asyncio.TaskGroup() as group:
                work = [group.create_task(_audited(book, minutes)) for book in books]
                while not all(task.done() for task in work):
                    if await interrupt.wait_async(_LOOK_S):
                        for task in work:
                            task.cancel()
                        return _INTERRUPTED
            return 0 if all(task.result() for task in work) else 1

    with Interrupt() as interrupt:
        return asyncio.run(run())


async def _audited(book: LiveBook, minutes: float) -> bool:
    found = await book.audit(seconds=minutes * _MINUTE_S)
    click.echo(_line(book, found))
    return found.is_clean


def _line(book: LiveBook, found: Audit) -> str:
    sources = "; ".join(
        f"{name}: {compared:,} compared, {skipped:,} not at a common id"
        for name, (compared, skipped) in found.sources.items()
    )
    verdict = "right" if found.is_clean else "WRONG"
    return (
        f"{book.symbol} on {book.exchange}: {verdict}, {found.checked:,} prices checked, "
        f"{found.differing:,} differing, {found.missing:,} missing, {found.extra:,} extra"
        + (f" ({sources})" if sources else "")
    )
