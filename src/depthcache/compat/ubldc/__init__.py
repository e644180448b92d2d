"""Drop-in replacement for UNICORN Binance Local Depth Cache: change one import line, keep the program.

    from depthcache.compat.ubldc import BinanceLocalDepthCacheManager, DepthCacheOutOfSync

It has the class, methods, arguments, exceptions and rules of releases 2.8 to 2.14, on top of the books of
`depthcache`. docs/how-to/coming-from-unicorn.md lists the differences and their reasons. It was written from
the documented behaviour and contains no code of the old library.
"""

from __future__ import annotations

from depthcache.compat.ubldc.exceptions import (
    DepthCacheAlreadyStopped,
    DepthCacheClusterNotReachableError,
    DepthCacheNotFound,
    DepthCacheOutOfSync,
    LocalDepthCacheError,
)
from depthcache.compat.ubldc.manager import BinanceLocalDepthCacheManager

__all__ = [
    "BinanceLocalDepthCacheManager",
    "DepthCacheAlreadyStopped",
    "DepthCacheClusterNotReachableError",
    "DepthCacheNotFound",
    "DepthCacheOutOfSync",
    "LocalDepthCacheError",
]


def __dir__() -> list[str]:
    return list(__all__)
