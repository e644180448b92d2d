"""An alert when a book has been out of sync for ten seconds, and when it is back; shown in virtual time."""

import asyncio
from collections.abc import Callable

import depthcache
from depthcache.simulator import Pair, SimulatedExchange


async def alert(books: depthcache.Books, grace_s: float, say: Callable[[str], None]) -> None:
    """Short losses heal by themselves and are not worth a message."""
    loop = asyncio.get_running_loop()
    timers: dict[str, asyncio.TimerHandle] = {}
    async for update in books.updates("status"):
        timer = timers.pop(update.symbol, None)
        if update.status is depthcache.Status.SYNCED:
            if timer and timer.when() <= loop.time():
                say(f"{update.symbol} is back")
            elif timer:
                timer.cancel()
        else:
            message = f"{update.symbol} has no prices: {update.reason}"
            timers[update.symbol] = timer or loop.call_later(grace_s, say, message)


async def main() -> None:
    async with pair.connect("binance.com", ["BTCUSDT", "ETHUSDT"]) as books:  # yours: depthcache.connect
        await books.wait_synced()
        task = asyncio.create_task(alert(books, 10, print))
        pair.cut()  # a second: no message
        await asyncio.sleep(60)
        pair.refuse_connects(30)
        pair.cut()
        await asyncio.sleep(120)
        task.cancel()


pair = Pair(SimulatedExchange({"binance.com": ["BTCUSDT", "ETHUSDT"]}, seed=1), seed=1)
pair.run(main())
