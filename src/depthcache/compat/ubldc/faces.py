"""The faces of the two libraries below the old one, as far as its users call them: `ubra` and `ubwa`.

`ubra`: the exchange's lists of symbols, the used weight, snapshots. `ubwa`: the state of streams. Making
one does no I/O. Not here: anything an order book needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from depthcache.compat.ubldc.manager import BinanceLocalDepthCacheManager

__all__ = ["make_ubra", "make_ubwa"]


def make_ubra(
    manager: BinanceLocalDepthCacheManager, *, api_key: str | None = None, api_secret: str | None = None
) -> Any:
    """The face of UNICORN Binance REST API for a manager: `get_exchange_info()`,
    `futures_exchange_info()`, `get_used_weight(cached=…)`, `get_order_book(symbol=…, limit=…)`,
    `futures_order_book(symbol=…, limit=…)`, usable in `with`."""
    return None


def make_ubwa(manager: BinanceLocalDepthCacheManager) -> Any:
    """The face of UNICORN Binance WebSocket API for a manager."""
    return None
