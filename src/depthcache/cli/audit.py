"""`depthcache audit`: are live books right? All of it through the public API."""

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


@click.command(short_help="Is a live book right?")
@click.argument("symbols", nargs=-1, required=True, metavar="SYMBOL…")
@exchange_option()
@click.option(
    "--minutes", type=click.FloatRange(0), default=1.0, show_default=True, help="How long to go on; 0: once."
)
@click.option(
    "--depth", type=click.IntRange(1), default=1000, show_default=True, help="Levels a side to compare."
)
def audit(symbols: Sequence[str], exchange: str, minutes: float, depth: int) -> int:
    """Compare live books with the exchange, always at one and the same update id.

    Each book is compared with REST snapshots, with partial depth and with bookTicker, and a line says how
    many prices were compared and how many were wrong. The exit code is 1 when any was.

    \b
    depthcache audit BTCUSDT ETHUSDT --minutes 5
    depthcache audit BTCUSD_PERP --exchange binance.com-coin_futures
    """
    import asyncio

    import depthcache
    from depthcache.cli.interrupt import Interrupt

    wanted = depthcache.connect(exchange, list(symbols), depth=depth)

    async def run() -> int:
        async with wanted as books:
            await books.wait_synced()
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
