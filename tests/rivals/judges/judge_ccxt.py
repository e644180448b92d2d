"""ccxt.pro: watch_order_book on spot, USD-M and COIN-M."""

# /// script
# requires-python = ">=3.10"
# dependencies = ["ccxt==4.5.90"]
#
# [tool.judge]
# client = "ccxt"
# smoke = true
#
# [tool.judge.books]
# "binance.com" = ["BTCUSDT"]
# "binance.com-futures" = ["BTCUSDT"]
# "binance.com-coin_futures" = ["BTCUSD_PERP"]
# ///

from __future__ import annotations

import asyncio
import os

import ccxt.pro
from report import DEPTH, RETRY_S, Task, task, tell

KINDS = {
    "binance.com": ("spot", "public", "/api/v3", "BTC/USDT"),
    "binance.com-futures": ("linear", "fapiPublic", "/fapi/v1", "BTC/USDT:USDT"),
    "binance.com-coin_futures": ("inverse", "dapiPublic", "/dapi/v1", "BTC/USD:BTC"),
}


async def one_book(work: Task, exchange: str, symbol: str) -> None:
    kind, group, path, name = KINDS[exchange]
    client = ccxt.pro.binance({"options": {"fetchMarkets": {"types": [kind]}, "fetchCurrencies": False}})
    client.cafile = os.environ.get("SSL_CERT_FILE", client.cafile)
    client.urls["api"][group] = work.rest[exchange] + path
    client.urls["api"]["ws"] |= {kind: work.websocket[exchange] + "/ws"}
    updates = held = 0
    try:
        while not work.is_done(updates):
            try:
                book = await client.watch_order_book(name, DEPTH)
            except ccxt.BaseError:  # updates are missing, or there is no book at the moment: begin again
                await asyncio.sleep(RETRY_S)
                continue
            assert book["nonce"] >= held
            held = book["nonce"]
            updates += 1
            if work.is_time(updates):
                sides = {side: [level[:2] for level in book[side]] for side in ("bids", "asks")}
                tell(exchange, symbol, update_id=held, updates=updates, **sides)
    finally:
        await client.close()


async def main() -> None:
    work = task()
    await asyncio.gather(*(one_book(work, *book) for book in work.books))


asyncio.run(main())
