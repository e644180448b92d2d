"""The spread between the futures and the spot price, from the middle of both books."""

import asyncio

import depthcache


def middle(book: depthcache.BookReader) -> float | None:
    """Half way between the best bid and ask; None while a side is empty."""
    bid, ask, _ = book.best
    return None if bid is None or ask is None else (bid.price + ask.price) / 2


async def main() -> None:
    wanted = {"binance.com": ["BTCUSDT"], "binance.com-futures": ["BTCUSDT"]}
    async with depthcache.connect(wanted) as books:
        await books.wait_synced(timeout=60)
        spot, futures = books["binance.com", "BTCUSDT"], books["binance.com-futures", "BTCUSDT"]
        for _ in range(5):
            try:
                low, high = middle(spot), middle(futures)
            except depthcache.BookNotSynced as error:
                print(error.reason)  # it heals by itself
            else:
                if low and high:
                    print(f"spot {low:.2f}, futures {high:.2f}, spread {(high / low - 1) * 1e4:+.1f} bp")
            await asyncio.sleep(0.2)


asyncio.run(main())
