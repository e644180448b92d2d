"""The client of a cluster of depth caches (UBDCC).

Not here: local caches (`manager`).
"""

from __future__ import annotations

__all__ = ["Cluster"]


class Cluster:
    """A cluster at an address. Raises DepthCacheClusterNotReachableError where nothing answers.

    `exchange`: taken by calls that name none.
    """

    def __init__(self, address: str, port: int | None = 80, *, exchange: str | None = None) -> None:
        raise NotImplementedError
