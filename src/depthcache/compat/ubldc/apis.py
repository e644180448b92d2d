"""The apis of the two libraries below the old one, as far as its users call them: `ubra` and `ubwa`.

`ubra` asks the exchange's REST interface for market data (`rest_api`), `ubwa` tells the state of streams
(`stream_api`). Making one does no I/O. Not here: anything an order book needs.
"""

from __future__ import annotations

from depthcache.compat.ubldc.managed import Managed
from depthcache.compat.ubldc.rest_api import BinanceRestApiManager
from depthcache.compat.ubldc.stream_api import StreamApi

__all__ = ["make_ubra", "make_ubwa"]


def make_ubra(
    manager: Managed, *, api_key: str | None = None, api_secret: str | None = None
) -> BinanceRestApiManager:
    """The API of UNICORN Binance REST API for a manager, with its exchange and settings."""
    return BinanceRestApiManager(
        api_key, api_secret, exchange=manager.exchange, settings=manager.settings, warn_on_update=False
    )


def make_ubwa(manager: Managed) -> StreamApi:
    """The API of UNICORN Binance WebSocket API for a manager."""
    return StreamApi(manager)
