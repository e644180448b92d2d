"""Wait for books: for one, for the first of many, for all, and for no longer than you have time."""

import asyncio

import depthcache


async def main() -> None:
    async with depthcache.connect("binance.com", ["BTCUSDT", "ETHUSDT", "BNBUSDT"]) as books:
        waiting = {asyncio.create_task(book.wait_synced(timeout=60)): book for book in books}
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        print("first:", ", ".join(waiting[task].symbol for task in done))

        await books.wait_synced(timeout=60)
        print("all:", ", ".join(book.symbol for book in books))

        await asyncio.gather(*waiting)
        late = books.add("NEXOUSDT")
        try:
            await late.wait_synced(timeout=0)
        except depthcache.SyncTimeout as error:
            print(f"not yet: {error.symbol} is {error.status} ({error.reason})")
        await late.wait_synced()
        print("then:", late.symbol)


asyncio.run(main())
