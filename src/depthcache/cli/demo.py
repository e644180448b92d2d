"""`depthcache demo`: five live books of two exchanges from the embedded exchange, judged by its truth.

Not here: the exchange (`simulator`), showing (`live`), judging (`truth`).
"""

from __future__ import annotations

import click

from depthcache.cli.streams import tell

__all__ = ["demo"]

_BOOKS = {
    "binance.com": ["BTCUSDT", "ETHUSDT", "NEXOUSDT"],
    "binance.com-futures": ["BTCUSDT", "ETHUSDT"],
}
_SYNC_S = 30.0


@click.command(short_help="The same without Binance.")
@click.option("--seconds", type=click.FloatRange(0), help="End after this long; by default at Ctrl-C.")
@click.option("--seed", type=int, help="The same seed makes the same market; by default a random one.")
@click.option(
    "--levels", type=click.IntRange(1), default=20, show_default=True, help="Levels to show per side."
)
@click.option("--plain", is_flag=True, help="Lines instead of the app, also on a terminal.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines (NDJSON) instead of text.")
def demo(seconds: float | None, seed: int | None, levels: int, *, plain: bool, as_json: bool) -> int:
    """Show five live books of two simulated exchanges inside this program, until q or Ctrl-C.

    A browser shows the same books at the address of the page. Nothing leaves this machine: the exchange runs
    on loopback, with real WebSocket and HTTP. Every book
    is compared throughout, level by level inside its complete range, with the true book of the exchange
    at the same update id. The last line is the result.

    \b
    depthcache demo
    depthcache demo --seconds 10 --seed 1

    Exit code 0: every comparison was equal. 1: a level differed.
    """
    import asyncio

    import depthcache
    import depthcache.server
    from depthcache.cli.interrupt import Interrupt
    from depthcache.cli.live import View, show
    from depthcache.cli.page import passing_config
    from depthcache.cli.truth import TruthChecker

    async def run(server: depthcache.simulator.Server) -> TruthChecker:
        async with (
            depthcache.connect(_BOOKS, depth=max(100, levels), settings=server.settings) as books,
            depthcache.server.serve(books, passing_config()) as pages,
        ):
            judge = TruthChecker(server, books)
            page = f"page {pages.page_url}"
            if not as_json:
                click.echo(page)  # the terminal app shows it, too, and gives this line back at its end
            view = View(
                levels=levels,
                seconds=seconds,
                plain=plain,
                as_json=as_json,
                banner=lambda: ("simulated market, embedded exchange", judge.progress(), page),
                on_look=judge.look,
                dumps_to=server.settings.flight_dumps_to,
            )
            await show(books, interrupt, view)
            if not judge.all_compared and not interrupt.has_happened:
                await books.wait_synced(timeout=_SYNC_S)  # a run too short to sync tells nothing
            judge.compare()
            return judge

    with Interrupt() as interrupt, depthcache.simulator.serve(seed=seed, symbols=_BOOKS) as server:
        judge = asyncio.run(run(server))
    (tell if as_json else click.echo)(judge.summary())
    return 1 if judge.differences else 0
