"""Live books without asyncio: any number of threads read them without waiting for each other."""

from concurrent.futures import ThreadPoolExecutor

from depthcache import blocking


def imbalance(book: blocking.LiveBook) -> str:
    """The share of bids in the quantity of the best ten levels."""
    book.wait_synced(timeout=30)
    frozen = book.freeze(10)  # a constant copy: both sides at one update id
    bids = sum(level.quantity for level in frozen.bids)
    asks = sum(level.quantity for level in frozen.asks)
    return f"{book.symbol}: {bids / (bids + asks):.0%} of the quantity is bid"


with (
    blocking.connect("binance.com", ["BTCUSDT", "ETHUSDT", "BNBUSDT"]) as books,
    ThreadPoolExecutor(max_workers=3) as threads,
):
    for line in threads.map(imbalance, books):
        print(line)
