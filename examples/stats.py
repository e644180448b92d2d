"""Stats for operators: books, connections and weight budgets, as values and for Prometheus."""

import asyncio

import depthcache


async def main() -> None:
    async with depthcache.connect("binance.com", ["BTCUSDT", "ETHUSDT"]) as books:
        await books.wait_synced(timeout=30)
        stats = books.stats()
        for book in stats.books:
            print(f"{book.symbol}: {book.status}, {book.in_sync:.1%} of the time, {book.losses} losses")
        for budget in stats.budgets:
            print(f"weight of {budget.pool}: {budget.used} of {budget.allowed} in this minute")
        if any(book.status is not depthcache.Status.SYNCED for book in stats.books):
            print("look at these books")  # or let Prometheus alert: books.collector(), books.prometheus()
        print(next(line for line in books.prometheus().splitlines() if line.startswith("depthcache_book")))


asyncio.run(main())
