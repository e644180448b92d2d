"""Wait for books: for one, for the first of many, for all, and for no longer than you have time."""

import asyncio

import depthcache


async def main() -> None:
    async with depthcache.connect("binance.com", ["BTCUSDT", "ETHUSDT", "BNBUSDT"]) as books:
        first = await books.wait_any_synced(60, books=["BTCUSDT", "ETHUSDT"])
        print("first:", ", ".join(book.symbol for book in first))

        await books.wait_synced(timeout=60)
        print("all:", ", ".join(book.symbol for book in books))

        late = books.add("NEXOUSDT")
        try:
            await late.wait_synced(timeout=0)
        except depthcache.SyncTimeout as error:
            print(f"not yet: {error.symbol} is {error.status} ({error.reason})")
        await late.wait_synced()
        print("then:", late.symbol)

        books.add("NOSUCHUSDT")
        synced = await books.wait_synced(60, missing="skip")  # unknown, closed and late books are left out
        print("synced:", ", ".join(book.symbol for book in synced))


asyncio.run(main())
