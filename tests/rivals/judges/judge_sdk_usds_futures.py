"""Binance's SDK for USD-M futures."""

# /// script
# requires-python = ">=3.10"
# dependencies = ["binance-sdk-derivatives-trading-usds-futures==18.1.0"]
#
# [tool.judge]
# client = "binance-sdk-derivatives-trading-usds-futures"
# books = { "binance.com-futures" = ["BTCUSDT", "ETHUSDT"] }
# smoke = true
# ///

from __future__ import annotations

import asyncio

from binance_common.configuration import ConfigurationRestAPI, ConfigurationWebSocketStreams
from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import (
    DerivativesTradingUsdsFutures,
)
from report import task
from sdk import judge

EXCHANGE = "binance.com-futures"


async def main() -> None:
    work = task()
    client = DerivativesTradingUsdsFutures(
        config_rest_api=ConfigurationRestAPI(base_path=work.rest[EXCHANGE], timeout=10_000),
        config_ws_streams=ConfigurationWebSocketStreams(stream_url=work.websocket[EXCHANGE]),
    )
    streams = await client.websocket_streams.create_connection()
    await judge(streams, work, EXCHANGE, streams.diff_book_depth_streams, client.rest_api.order_book)


asyncio.run(main())
