"""Other people's clients sync against the embedded exchange: they judge that it is one.

python-binance and ccxt run unchanged but for the addresses; when their books have moved with the
stream for a while, their best levels must equal the exchange's truth at the update id they hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from depthcache import simulator

pytestmark = [pytest.mark.rivals, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

UPDATES = 20
DEADLINE_S = 60
LEVELS = 5


@pytest.fixture(scope="module")
def server() -> Iterator[simulator.Server]:
    with simulator.serve(seed=11) as serving:
        yield serving


def truth(
    server: simulator.Server, exchange: str, symbol: str, update_id: int
) -> tuple[list[Any], list[Any]]:
    """The best levels of both sides as (price, quantity) Decimals."""
    bids, asks = server.truth(exchange, symbol).book_at(update_id)
    return levels(sorted(bids, reverse=True)[:LEVELS]), levels(sorted(asks)[:LEVELS])


def levels(pairs: Any) -> list[tuple[Decimal, Decimal]]:
    """Exact pairs of whatever a client holds."""
    return [
        (Decimal(str(price)).normalize(), Decimal(str(quantity)).normalize()) for price, quantity in pairs
    ]


async def test_python_binance_keeps_a_right_spot_book(server: simulator.Server) -> None:
    from binance import AsyncClient, BinanceSocketManager
    from binance.ws.depthcache import DepthCacheManager

    endpoints = server.settings.endpoints["binance.com"]
    client = AsyncClient()
    client.API_URL = endpoints.rest + "/api"
    sockets = BinanceSocketManager(client)
    sockets.STREAM_URL = endpoints.websocket + "/"
    try:
        async with asyncio.timeout(DEADLINE_S):
            manager = DepthCacheManager(
                client, "BTCUSDT", bm=sockets, limit=1000, conv_type=str, ws_interval=100
            )
            async with manager:
                for _ in range(UPDATES):
                    cache = await manager.recv()
                bids = levels(
                    sorted(cache.get_bids(), key=lambda level: Decimal(level[0]), reverse=True)[:LEVELS]
                )
                asks = levels(sorted(cache.get_asks(), key=lambda level: Decimal(level[0]))[:LEVELS])
                assert (bids, asks) == truth(server, "binance.com", "BTCUSDT", manager._last_update_id)
    finally:
        await client.close_connection()


@pytest.mark.parametrize(
    ("exchange", "kind", "symbol"),
    [("binance.com", "spot", "BTC/USDT"), ("binance.com-futures", "linear", "BTC/USDT:USDT")],
)
async def test_ccxt_keeps_a_right_book(
    server: simulator.Server, exchange: str, kind: str, symbol: str
) -> None:
    import ccxt.pro

    endpoints = server.settings.endpoints[exchange]
    client = ccxt.pro.binance({"options": {"fetchMarkets": {"types": [kind]}, "fetchCurrencies": False}})
    addresses = client.urls["api"]
    addresses["public"] = endpoints.rest + "/api/v3"
    addresses["fapiPublic"] = endpoints.rest + "/fapi/v1"
    addresses["ws"] |= {kind: endpoints.websocket + "/ws"}
    try:
        async with asyncio.timeout(DEADLINE_S):
            held = 0
            for _ in range(UPDATES):
                book = await client.watch_order_book(symbol, 1000)
                assert book["nonce"] >= held
                held = book["nonce"]
        found = levels(book["bids"][:LEVELS]), levels(book["asks"][:LEVELS])
        assert found == truth(server, exchange, "BTCUSDT", held)
    finally:
        await client.close()
