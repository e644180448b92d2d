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
from binance.exceptions import BinanceAPIException
from binance.ws.depthcache import DepthCacheManager
from report import DEPTH, RETRY_S, Task, task, tell

EXCHANGE = "binance.com"


def best_first(side: Any, *, falling: bool) -> list[Any]:
    return sorted(side, key=lambda level: Decimal(level[0]), reverse=falling)


class Shown:
    """The client, which notes where each snapshot ends.

    After a gap the depth cache takes a snapshot and then applies the diff that showed the gap, though that is
    older (1.0.37): its book is a mixture until it has passed the snapshot.
    """

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self.update_id = 0

    async def get_order_book(self, **query: Any) -> Any:
        found = await self._client.get_order_book(**query)
        self.update_id = found["lastUpdateId"]
        return found


async def one_book(work: Task, client: AsyncClient, sockets: BinanceSocketManager, symbol: str) -> None:
    shown, updates = Shown(client), 0
    while not work.is_done(updates):
        manager = DepthCacheManager(
            shown, symbol, bm=sockets, limit=DEPTH, conv_type=str, ws_interval=100, refresh_interval=0
        )
        try:
            async with manager:
                while not work.is_done(updates):
                    cache = await manager.recv()
                    held = manager._last_update_id
                    if held < shown.update_id:
                        continue
                    updates += 1
                    if work.is_time(updates):
                        bids = best_first(cache.get_bids(), falling=True)
                        asks = best_first(cache.get_asks(), falling=False)
                        tell(EXCHANGE, symbol, update_id=held, updates=updates, bids=bids, asks=asks)
        except BinanceAPIException:  # status 503: there is no book at the moment
            await asyncio.sleep(RETRY_S)


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
