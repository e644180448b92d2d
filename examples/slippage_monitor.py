"""What would a market order cost now? Slippage of three sizes, both sides, as the book moves."""

import asyncio

import depthcache

SIZES = (1_000, 10_000, 100_000)  # in the quote asset


async def main() -> None:
    async with depthcache.connect("binance.com", ["BTCUSDT"], depth=500) as books:
        looks = 0
        async for update in books["BTCUSDT"].updates("interval", None, interval_ms=200):
            if update.status is not depthcache.Status.SYNCED:
                print("wait:", update.reason)
                continue
            for side in ("buy", "sell"):
                for size in SIZES:
                    order = update.fill(side, quote=size)
                    sure = "" if order.complete else " (beyond what is proven)"
                    print(f"{side} {size:,}: {order.slippage_bps:.2f} bp, average {order.average:.2f}{sure}")
            looks += 1
            if looks == 3:
                break


asyncio.run(main())
