"""`ubra` and `ubwa`: the APIs of the two libraries that the old one used, as far as its users call them.

`ubra` requests market data over REST (`rest_api`), `ubwa` reports the state of the streams (`stream_api`).
Creating one does no I/O.
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
