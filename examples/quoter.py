"""A quoter driven by callbacks: quotes around the mid, pulled at once when the book loses sync."""

import asyncio

import depthcache

HALF_SPREAD_BPS = 5


class Quoter:
    """Send your orders where this one prints."""

    def __init__(self) -> None:
        self.quotes = 0
        self.done = asyncio.Event()

    def on_update(self, update: depthcache.Update) -> None:
        """Called on the event loop, one call at a time."""
        if update.status is not depthcache.Status.SYNCED:
            print(f"pull quotes: {update.status}, {update.reason}")
        elif update.unconfirmed:
            return  # no update has confirmed the snapshot yet, usually for 0.1 s
        elif update.best.bid and update.best.ask:
            edge = update.mid * HALF_SPREAD_BPS / 10_000
            print(f"quote {update.mid - edge:.2f} / {update.mid + edge:.2f}")
            self.quotes += 1
            if self.quotes == 5:
                self.done.set()


async def main() -> None:
    quoter = Quoter()
    async with depthcache.connect("binance.com", ["BTCUSDT"]) as books:
        books["BTCUSDT"].on_update(quoter.on_update, "best", levels=1)
        await quoter.done.wait()
    # The end of the block closed the book, and its last item pulled the quotes.


asyncio.run(main())
