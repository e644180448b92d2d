"""Many books in one client: how long until all are synced, and which have the widest spread."""

import asyncio
import time

import depthcache

SYMBOLS = ["BTCUSDT", "ETHUSDT", "BNBUSDT", "NEXOUSDT"]  # hundreds work in the same way


async def main() -> None:
    began = time.monotonic()
    async with depthcache.connect("binance.com", SYMBOLS, depth=20) as books:
        await books.wait_synced(timeout=120)
        print(f"{len(books)} books synced after {time.monotonic() - began:.1f} s")
        spreads: dict[str, float] = {}
        for book in books:
            bid, ask, _ = book.best
            if bid and ask:
                spreads[book.symbol] = 1 - bid.price / ask.price
        for symbol, spread in sorted(spreads.items(), key=lambda item: -item[1]):
            print(f"{symbol}: {spread * 1e4:.2f} basis points")


asyncio.run(main())
