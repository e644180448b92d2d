"""Caches in a cluster (UBDCC): `UBDCC_ADDRESS=127.0.0.1 UBDCC_PORT=42081 python cluster.py`."""

import asyncio
import os

from depthcache.compat.ubldc import BinanceLocalDepthCacheManager, DepthCacheClusterNotReachableError

address, port = os.environ.get("UBDCC_ADDRESS", "127.0.0.1"), int(os.environ.get("UBDCC_PORT", "42081"))
exchange, markets = "binance.com", ["BTCUSDT", "ETHUSDT"]


async def main() -> None:
    with BinanceLocalDepthCacheManager(exchange, ubdcc_address=address, ubdcc_port=port) as ubldc:
        cluster = ubldc.cluster
        assert cluster is not None
        print(await cluster.create_depthcaches_async(exchange=exchange, markets=markets, desired_quantity=2))
        responses = await asyncio.gather(*(cluster.get_asks_async(exchange, each, 3) for each in markets))
        for market, response in zip(markets, responses, strict=True):
            print(market, response.get("asks") or f"{response.get('error_id')}: {response}")
        for market in markets:
            print(await cluster.stop_depthcache_async(exchange=exchange, market=market))


try:
    asyncio.run(main())
except DepthCacheClusterNotReachableError as error:
    raise SystemExit(str(error)) from None
