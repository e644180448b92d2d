"""The spread between the futures and the spot price, from the mids of both books."""

import asyncio

import depthcache


async def main() -> None:
    wanted = {"binance.com": ["BTCUSDT"], "binance.com-futures": ["BTCUSDT"]}
    async with depthcache.connect(wanted) as books:
        await books.wait_synced(timeout=60)
        spot, futures = books["binance.com", "BTCUSDT"], books["binance.com-futures", "BTCUSDT"]
        for _ in range(5):
            try:
                low, high = spot.mid, futures.mid
            except depthcache.BookError as error:
                print(error)  # lost sync recovers by itself; a side may be empty briefly
            else:
                print(f"spot {low:.2f}, futures {high:.2f}, spread {(high / low - 1) * 1e4:+.1f} bp")
            await asyncio.sleep(0.2)


asyncio.run(main())
