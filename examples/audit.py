"""Compare a live book with a snapshot of the exchange at the same update id."""

import asyncio

import depthcache


async def main() -> None:
    async with depthcache.connect("binance.com", ["BTCUSDT"], depth=500) as books:
        book = books["BTCUSDT"]
        await book.wait_synced(timeout=30)
        found = await book.audit(1000)
        print(f"{found.checked:,} prices compared at update id {found.update_id}")
        print("right" if found.is_clean else f"WRONG: {found}")


asyncio.run(main())
