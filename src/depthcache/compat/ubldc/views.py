"""`depth_caches` and `dc_streams` as they are now: read-only, where the old ones were the state itself.

Made when they are asked for. Not here: any state.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from depthcache.compat.ubldc.exceptions import LocalDepthCacheError

if TYPE_CHECKING:
    from depthcache.compat.ubldc.books import Cache, LocalBooks

__all__ = ["view_of_caches", "view_of_streams"]


def view_of_caches(books: LocalBooks) -> Mapping[str, Mapping[str, object]]:
    """Every cache by its lower-case name, also the stopped ones."""
    return MappingProxyType({cache.market: _view(cache) for cache in books})


def view_of_streams(stream_id: str | None, books: LocalBooks) -> Mapping[str, Mapping[str, object]]:
    """The one entry, which stands for all connections of the client; none before the first cache."""
    if stream_id is None:
        return MappingProxyType({})
    markets = tuple(cache.market for cache in books if not cache.stopped)
    restarts = tuple(cache for cache in books if not cache.stopped and cache.restarted_at is not None)
    times = [at for cache in restarts if (at := cache.restarted_at) is not None]
    entry: dict[str, object] = {
        "markets": markets,
        "last_restart_time": max(times, default=None),
        "restarts": sum(cache.restarts for cache in restarts),
    }
    return MappingProxyType({stream_id: MappingProxyType(entry)})


def _view(cache: Cache) -> Mapping[str, object]:
    book = cache.book
    return MappingProxyType(
        {
            "asks": _levels(cache, "asks"),
            "bids": _levels(cache, "bids"),
            "is_synchronized": cache.is_synced,
            "last_update_id": book.last_update_id,
            "last_update_time": cache.last_update_ms,
            "refresh_interval": cache.refresh_interval,
            "stop_request": cache.stopped,
        }
    )


def _levels(cache: Cache, side: str) -> Mapping[float, float]:
    """Prices to quantities, best first; empty while the cache cannot be read."""
    try:
        return MappingProxyType({level[0]: level[1] for level in cache.read(side, None, None)})
    except LocalDepthCacheError:
        return MappingProxyType({})
