"""Many books in one client: how long until all are synced, and which have the widest spread."""

import asyncio
import time

import depthcache

SYMBOLS = ["BTCUSDT", "ETHUSDT", "BNBUSDT", "NEXOUSDT"]  # hundreds work the same way


async def main() -> None:
    began = time.monotonic()
    async with depthcache.connect("binance.com", SYMBOLS, depth=20) as books:
        synced = await books.wait_synced(timeout=120, missing="skip")  # leaves out books that do not sync
        print(f"{len(synced)} books synced after {time.monotonic() - began:.1f} s")
        frozen = [book.freeze(1) for book in synced]
        spreads = {book.symbol: book.spread_bps for book in frozen if book.best.bid and book.best.ask}
        for symbol, spread in sorted(spreads.items(), key=lambda item: -item[1]):
            print(f"{symbol}: {spread:.2f} basis points")


asyncio.run(main())
