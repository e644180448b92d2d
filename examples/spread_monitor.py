"""Watch the spread of several books at once, and report each new widest one."""

import asyncio

import depthcache

SYMBOLS = ["BTCUSDT", "ETHUSDT", "BNBUSDT"]


async def main() -> None:
    widest = dict.fromkeys(SYMBOLS, -1.0)
    items = 0
    async with depthcache.connect("binance.com", SYMBOLS) as books:
        async for update in books.updates("best", 1):  # one stream over all books
            if update.status is not depthcache.Status.SYNCED:
                print(f"{update.symbol}: no spread, {update.status}: {update.reason}")
                continue
            if update.best.bid and update.best.ask and update.spread_bps > widest[update.symbol]:
                widest[update.symbol] = update.spread_bps
                print(f"{update.symbol}: {update.spread_bps:.2f} bp")
            items += 1
            if items >= 20 and min(widest.values()) >= 0:  # your loop: no end
                break


asyncio.run(main())
