"""Test a strategy in virtual time: five minutes of trouble in a second, the same in every run."""

import asyncio
from collections.abc import Callable

import depthcache
from depthcache.simulator import TINY, Faults, Pair, SimulatedExchange


async def quote(connect: Callable[..., depthcache.Books], seconds: float) -> tuple[int, int]:
    """The program under test: it quotes around the mid, and never while the book cannot be trusted."""
    quotes = pauses = 0
    async with connect("binance.com", ["BTCUSDT"]) as books:
        await books.wait_synced(timeout=30)
        book = books["BTCUSDT"]
        try:
            async with asyncio.timeout(seconds):
                async for update in book.updates("best", on_stale="serve"):
                    if update.status == "synced":
                        bid, ask, _ = update.best
                        assert bid is None or ask is None or bid < ask, "never a crossed quote"
                        quotes += 1
                    else:
                        pauses += 1
                        await book.read(on_stale="wait", timeout=60)
        except TimeoutError:
            return quotes, pauses
    raise RuntimeError("the books ended")


trouble = Faults(seed=7, drop=0.01, reorder=0.01, cut=0.001, lagging=0.3)
pair = Pair(SimulatedExchange({"binance.com": {"BTCUSDT": TINY}}, seed=1, faults=trouble), seed=1)
quotes, pauses = pair.run(quote(pair.connect, 300))
print(f"{quotes} quotes, {pauses} pauses in {pair.now_ns / 1e9:.0f} virtual seconds")
# On real sockets: asyncio.run(quote(partial(depthcache.connect, settings=server.settings), 300))
