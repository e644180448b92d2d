"""The exceptions of the old library, with its attributes, under one base of ours.

    depthcache.DepthCacheError
    └── LocalDepthCacheError                    everything this drop-in raises about caches and clusters
        ├── DepthCacheOutOfSync                 the cache cannot be trusted right now
        ├── DepthCacheAlreadyStopped            the cache, or its manager, was stopped
        ├── DepthCacheNotFound (KeyError)       no cache of that name
        └── DepthCacheClusterNotReachableError  nothing usable answers at the address of the cluster

Wrong arguments raise the errors of `depthcache` (all of them are ValueErrors).
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
        message: the text, as the old library had it.
        reason: why, in words, where more is known; a traceback shows it, too.
    """

    message: str
    reason: str

    def __init__(self, message: str, *, reason: str = "") -> None:
        self.message, self.reason = message, reason
        super().__init__(message)
        if reason:
            self.add_note(reason)

    def __str__(self) -> str:  # a KeyError would show the repr of its text
        return self.message


class DepthCacheOutOfSync(LocalDepthCacheError):
    """The cache is not synchronized; it heals by itself.

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
    """There is no cache of that name.

    Attributes:
        market: the name, in lower case.
    """

    def __init__(self, market: str | None = None, *, reason: str = "") -> None:
        self.market = market
        super().__init__(f"{_cache(market)} does not exist!", reason=reason)


class DepthCacheClusterNotReachableError(LocalDepthCacheError):
    """No cluster answers at that address.

    Attributes:
        url: where it was looked for.
    """

    def __init__(self, url: str | None = None, *, reason: str = "") -> None:
        self.url = url
        where = "" if url is None else f" ({url})"
        super().__init__(f"Connection with UBDCC{where} could not be established!", reason=reason)


def _cache(market: str | None) -> str:
    return "The depth_cache" if market is None else f"The depth_cache for market '{market}'"
