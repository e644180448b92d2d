"""Which snapshot limits the exchange takes for one market: those of the venue, less what it refused.

A refused limit is replaced by the next smaller one, and asked again after an hour: one refusal is no fact
about the venue. Not here: which limit is wanted (`maintenance`), what a refusal looks like (`responses`).
"""

from __future__ import annotations

from depthcache.core.policy import to_ns
from depthcache.venues.venue import Venue

__all__ = ["SnapshotLimits"]

_FORGOTTEN_NS = to_ns(3_600.0)


class SnapshotLimits:
    """The limits of one market."""

    __slots__ = ("_refused", "_venue")

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._refused: dict[int, int] = {}

    def allowed(self, limit: int) -> int:
        """That limit, or the largest below it that was not refused; the venue's smallest where all were."""
        if limit not in self._refused:
            return limit
        limits = self._venue.depth_limits
        smaller = [each for each in limits if each < limit and each not in self._refused]
        return smaller[-1] if smaller else limits[0]

    def refuse(self, limit: int, now_ns: int) -> int | None:
        """The exchange refused that limit: what to ask instead, None where nothing smaller is left."""
        self._refused[limit] = now_ns
        instead = self.allowed(limit)
        return None if instead in self._refused else instead

    def forget(self, now_ns: int) -> bool:
        """Forget refusals that are an hour old; whether there were any."""
        old = [limit for limit, at_ns in self._refused.items() if now_ns - at_ns >= _FORGOTTEN_NS]
        for limit in old:
            del self._refused[limit]
        return bool(old)
