"""Follow a book in each mode: a few items of each, and what they are for."""

import asyncio

import depthcache


async def main() -> None:
    async with depthcache.connect("binance.com", ["BTCUSDT"]) as books:
        book = books["BTCUSDT"]
        await book.wait_synced(timeout=30)
        streams = {
            "show the newest book": book.updates("latest", 5),
            "quote around the best prices": book.updates("best", 5),
            "react to the first five levels": book.updates("levels", 5),
            "draw a chart, ten times a second": book.updates("interval", 5, interval_ms=100),
            "keep an own copy, change by change": book.updates("every", 5),
        }
        for purpose, stream in streams.items():
            print(f"{purpose}:")
            count = 0
            async for update in stream:
                if update.status is not depthcache.Status.SYNCED:
                    print("  wait:", update.reason)
                    continue
                changed = len(update.changes.bids) + len(update.changes.asks) if update.changes else "-"
                print(f"  id {update.last_update_id}, skipped {update.skipped}, changed {changed}")
                count += 1
                if count == 3:
                    break


asyncio.run(main())
