"""The exceptions of the old library with their attributes, derived from DepthCacheError.

    depthcache.DepthCacheError
    └── LocalDepthCacheError                    everything this drop-in raises about caches and clusters
        ├── DepthCacheOutOfSync                 the cache cannot be trusted right now
        ├── DepthCacheAlreadyStopped            the cache, or its manager, was stopped
        ├── DepthCacheNotFound (KeyError)       no cache of that name
        └── DepthCacheClusterNotReachableError  no cluster responds at the address

Wrong arguments raise the errors of `depthcache`, all of which are ValueErrors.
"""

from __future__ import annotations

from depthcache import DepthCacheError

__all__ = [
    "DepthCacheAlreadyStopped",
    "DepthCacheClusterNotReachableError",
    "DepthCacheNotFound",
    "DepthCacheOutOfSync",
    "LocalDepthCacheError",
]


class LocalDepthCacheError(DepthCacheError):
    """Base of the exceptions of this drop-in.

    Attributes:
        message: the text of the old library.
        reason: the cause, if known; a traceback shows it as well.
    """

    message: str
    reason: str

    def __init__(self, message: str, *, reason: str = "") -> None:
        self.message, self.reason = message, reason
        super().__init__(message)
        if reason:
            self.add_note(reason)

    def __str__(self) -> str:  # KeyError would show the repr of the text
        return self.message


class DepthCacheOutOfSync(LocalDepthCacheError):
    """The cache is not synchronized at the moment. It resyncs by itself.

    Attributes:
        market: the cache, in lower case.
    """

    def __init__(self, market: str | None = None, *, reason: str = "") -> None:
        self.market = market
        super().__init__(f"{_cache(market)} is out of sync, please try again later", reason=reason)


class DepthCacheAlreadyStopped(LocalDepthCacheError):
    """The cache, or the whole manager, was stopped.

    Attributes:
        market: the cache, in lower case.
    """

    def __init__(self, market: str | None = None, *, reason: str = "") -> None:
        self.market = market
        super().__init__(f"{_cache(market)} is already stopped!", reason=reason)


class DepthCacheNotFound(LocalDepthCacheError, KeyError):
    """There is no cache with this name.

    Attributes:
        market: the name, in lower case.
    """

    def __init__(self, market: str | None = None, *, reason: str = "") -> None:
        self.market = market
        super().__init__(f"{_cache(market)} does not exist!", reason=reason)


class DepthCacheClusterNotReachableError(LocalDepthCacheError):
    """No cluster responds at the address.

    Attributes:
        url: the URL that was tried.
    """

    def __init__(self, url: str | None = None, *, reason: str = "") -> None:
        self.url = url
        where = "" if url is None else f" ({url})"
        super().__init__(f"Connection with UBDCC{where} could not be established!", reason=reason)


def _cache(market: str | None) -> str:
    return "The depth_cache" if market is None else f"The depth_cache for market '{market}'"
