"""Books of several exchanges in one client; each book names its exchange."""

import asyncio

import depthcache

WANTED = {
    "binance.com": ["BTCUSDT", "ETHUSDT"],
    "binance.com-futures": ["BTCUSDT"],
    "binance.com-coin_futures": ["BTCUSD_PERP"],
}


async def main() -> None:
    async with depthcache.connect(WANTED) as books:
        await books.wait_synced(timeout=60)
        for book in books:
            print(f"{book.exchange} {book.symbol}: {book.best.bid} {book.best.ask}")
        # A symbol that several exchanges have needs the name of its exchange.
        print(books["binance.com-futures", "BTCUSDT"])


asyncio.run(main())
