"""python-binance: its DepthCacheManager for spot and its FuturesDepthCacheManager for USD-M."""

# /// script
# requires-python = ">=3.10"
# dependencies = ["python-binance==1.0.37"]
#
# [tool.judge]
# client = "python-binance"
# books = { "binance.com" = ["BTCUSDT", "ETHUSDT"] }
# smoke = true
# ///

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from binance import AsyncClient, BinanceSocketManager
from binance.ws.depthcache import DepthCacheManager
from report import DEPTH, Task, task, tell

EXCHANGE = "binance.com"


def best_first(side: Any, *, falling: bool) -> list[Any]:
    return sorted(side, key=lambda level: Decimal(level[0]), reverse=falling)


async def one_book(work: Task, client: AsyncClient, sockets: BinanceSocketManager, symbol: str) -> None:
    manager = DepthCacheManager(
        client, symbol, bm=sockets, limit=DEPTH, conv_type=str, ws_interval=100, refresh_interval=0
    )
    updates = 0
    async with manager:
        while not work.is_done(updates):
            cache = await manager.recv()
            updates += 1
            if work.is_time(updates):
                bids = best_first(cache.get_bids(), falling=True)
                asks = best_first(cache.get_asks(), falling=False)
                held = manager._last_update_id
                tell(EXCHANGE, symbol, update_id=held, updates=updates, bids=bids, asks=asks)


async def main() -> None:
    work = task()
    client = AsyncClient()
    client.API_URL = work.rest[EXCHANGE] + "/api"
    sockets = BinanceSocketManager(client)
    sockets.STREAM_URL = work.websocket[EXCHANGE] + "/"
    try:
        await asyncio.gather(*(one_book(work, client, sockets, symbol) for _, symbol in work.books))
    finally:
        await client.close_connection()


asyncio.run(main())
