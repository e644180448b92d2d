"""The best bid and ask of a book, printed each time they change."""

import asyncio

import depthcache


async def main() -> None:
    async with depthcache.connect("binance.com", ["BTCUSDT"]) as books:
        book = books["BTCUSDT"]
        await book.wait_synced(timeout=30)
        seen, changes = None, 0
        while changes < 5:
            best = book.best  # one read: both sides at one update id
            if best.bid and best.ask and best[:2] != seen:
                seen, changes = best[:2], changes + 1
                print(f"{best.update_id}: bid {best.bid.price:.2f}, ask {best.ask.price:.2f}")
            await asyncio.sleep(0.1)


asyncio.run(main())
