"""Names around licences, which ended with release 2.8.1, for programs that still import them."""

from __future__ import annotations

from depthcache.compat.ubldc.exceptions import LocalDepthCacheError

__all__ = ["NoValidatedLucitLicense"]


class NoValidatedLucitLicense(LocalDepthCacheError):
    """Never raised: nothing needs a licence."""
