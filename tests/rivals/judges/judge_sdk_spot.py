"""Binance's SDK for spot."""

# /// script
# requires-python = ">=3.10"
# dependencies = ["binance-sdk-spot==13.3.0"]
#
# [tool.judge]
# client = "binance-sdk-spot"
# books = { "binance.com" = ["BTCUSDT", "ETHUSDT", "BNBUSDT"] }
# tls = true
# ///

from __future__ import annotations

import asyncio
import os
import ssl
from functools import partial

from binance_common.configuration import ConfigurationRestAPI, ConfigurationWebSocketStreams
from binance_sdk_spot.spot import Spot
from binance_sdk_spot.websocket_streams.models import DiffBookDepthUpdateSpeedEnum
from report import task
from sdk import judge

EXCHANGE = "binance.com"


async def main() -> None:
    work = task()
    trust = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    client = Spot(
        config_rest_api=ConfigurationRestAPI(base_path=work.rest[EXCHANGE], timeout=10_000),
        config_ws_streams=ConfigurationWebSocketStreams(
            stream_url=work.websocket[EXCHANGE], https_agent=trust
        ),
    )
    streams = await client.websocket_streams.create_connection()
    subscribe = partial(streams.diff_book_depth, update_speed=DiffBookDepthUpdateSpeedEnum.UPDATE_SPEED_100ms)
    await judge(streams, work, EXCHANGE, subscribe, client.rest_api.depth)


asyncio.run(main())
