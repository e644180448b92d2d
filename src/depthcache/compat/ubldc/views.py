"""`depth_caches` and `dc_streams`: read-only views, created on access. In the old library they were the state
itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from depthcache import BookClosed, BookNotSynced
from depthcache.compat.ubldc.reads import MOST_LEVELS
from depthcache.pickling import FixedMapping

if TYPE_CHECKING:
    from depthcache.compat.ubldc.books import Cache, LocalBooks

__all__ = ["view_of_caches", "view_of_streams"]


def view_of_caches(books: LocalBooks) -> Mapping[str, Mapping[str, object]]:
    """All caches by lower-case name, including stopped ones."""
    return FixedMapping({cache.market: _view(cache) for cache in books})


def view_of_streams(stream_id: str | None, books: LocalBooks) -> Mapping[str, Mapping[str, object]]:
    """One entry for all connections of the client; none before the first cache."""
    if stream_id is None:
        return FixedMapping({})
    running = [cache for cache in books if not cache.stopped]
    markets = [cache.market for cache in running]
    times = [at for cache in running if (at := cache.restarted_at) is not None]
    is_open = any(connection.is_open for connection in books.stats().connections)
    entry: dict[str, object] = {
        "id": stream_id,
        "channel": "depth",
        "markets": markets,
        "last_restart": max(times, default=None),
        "restarts": max((cache.restarts for cache in running), default=0),
        "status": "RUNNING" if is_open else "DISCONNECTED",
        "stream_id": stream_id,
        "subscribed_markets": markets[:] if is_open else [],
    }
    return FixedMapping({stream_id: FixedMapping(entry)})


def _view(cache: Cache) -> Mapping[str, object]:
    last_ms = cache.last_update_ms
    return FixedMapping(
        {
            "market": cache.market,
            "asks": _levels(cache, "asks"),
            "bids": _levels(cache, "bids"),
            "is_synchronized": cache.is_synced,
            "last_update_id": cache.book.last_update_id,
            "last_update_time": last_ms,
            "last_refresh_time": None if last_ms is None else last_ms // 1000,
            "refresh_interval": cache.refresh_interval,
            "refresh_request": False,
            "stop_request": cache.stopped,
        }
    )


def _levels(cache: Cache, side: str) -> dict[str, float]:
    """Price, as the exchange writes it, to quantity, best first; empty while the cache is not readable."""
    exact = cache.book.exact
    try:
        levels = (exact.asks if side == "asks" else exact.bids)[:MOST_LEVELS]
    except (BookNotSynced, BookClosed):
        return {}
    return {f"{price:f}": float(quantity) for price, quantity in levels}
