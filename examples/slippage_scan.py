"""What does a market order cost on each of 100 symbols? One client, one table, the dearest first."""

import asyncio

import depthcache
from depthcache.rest import Rest

SIZE = 10_000  # in the quote asset
MOST = 100


async def symbols() -> list[str]:
    """Symbols that trade against USDT now, from the exchange's own list."""
    with Rest() as rest:
        response = await rest.ask_async("binance.com", "/api/v3/exchangeInfo", weight=20)
    listed = response.json()["symbols"]
    return [
        each["symbol"] for each in listed if each["status"] == "TRADING" and each["symbol"].endswith("USDT")
    ][:MOST]


async def main() -> None:
    async with depthcache.connect("binance.com", await symbols(), depth=100) as books:
        synced = await books.wait_synced(timeout=60, missing="skip")
        orders = {book.symbol: book.fill("buy", quote=SIZE) for book in synced}
    print(f"{len(orders)} of {len(books)} books")
    for symbol, order in sorted(orders.items(), key=lambda item: -(item[1].slippage_bps or 0)):
        cost = "no price" if order.slippage_bps is None else f"{order.slippage_bps:.2f} bp"
        rest = f", {order.unfilled:,.0f} unfilled" if order.unfilled else ""
        sure = "" if order.complete else " (beyond what is proven)"
        print(f"{symbol}: {cost}{rest}{sure}")


asyncio.run(main())
