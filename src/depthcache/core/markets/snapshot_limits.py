"""Which snapshot limit to request for one market, and how many complete levels are enough for it.

The venue knows its limits and their weights. The choice follows from the depth that the user wants, from the
levels that are read, and from refusals: a refused limit is replaced by the next smaller one and tried again
after an hour, because one refusal proves nothing about the venue.

When to request is in `supervisor` and `maintenance`, refusals are recognised in `requests.responses`, and
`requests.scheduler` knows whether there is room for the full limit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from depthcache.core.context import Context, MarketSpec
from depthcache.core.notices import LimitRefused
from depthcache.core.policy import to_ns

__all__ = ["DepthTarget", "SnapshotLimits"]

_FORGOTTEN_NS = to_ns(3_600.0)


@dataclass(frozen=True, slots=True)
class DepthTarget:
    """The needs of a book whose readers take `asked` levels; cached, because they are read every second."""

    asked: int
    wanted: int
    limit: int
    """The snapshot limit that provides it."""
    thin: int
    """With fewer complete levels the book is thin …"""
    enough: int
    """… and with fewer than this it is deepened."""


class SnapshotLimits:
    """The limits of one market; call `on_synced` each time the book is live."""

    __slots__ = ("_context", "_refused", "_served", "_spec", "held", "target")

    def __init__(self, context: Context, spec: MarketSpec) -> None:
        self._context, self._spec = context, spec
        self._refused: dict[int, int] = {}
        self._served: int | None = None
        """Complete levels of a book server that holds fewer than are wanted."""
        self.held: int = 0
        """The limit of the last snapshot that was installed or merged."""
        self.target: DepthTarget = self._target(0)

    # --- which limit to ask ----------------------------------------------------------------

    @property
    def full(self) -> int:
        """For the depth that the user wants."""
        return self.allowed(self._spec.venue.snapshot_limit(self._spec.depth))

    @property
    def cheapest(self) -> int:
        """For checking whether a book still changes."""
        return self.allowed(self._spec.venue.cheapest_limit)

    @property
    def first(self) -> int:
        """For a first snapshot while many wait; `full` if the budget has room."""
        return min(self.cheapest, self.full)

    @property
    def of_copy(self) -> int:
        """For the book of another node, which costs nothing: all that it has."""
        return self._spec.venue.depth_limits[-1]

    @property
    def wanted(self) -> int:
        """For what the user wants and reads."""
        return self.target.limit

    def at_least(self, levels: int) -> int:
        """For a book with few levels left that needs this many soon."""
        limits = self._spec.venue.depth_limits
        return self.allowed(next((limit for limit in limits if limit >= levels), self.full))

    def for_audit(self, limit: int | None) -> int:
        """For an audit of that many levels; None for `full`.

        Raises InvalidArgument for a limit that the venue refuses.
        """
        return self.full if limit is None else self.allowed(self._spec.venue.served_limit(limit))

    def allowed(self, limit: int) -> int:
        """That limit, or the largest smaller one that was not refused; the smallest if all were."""
        if limit not in self._refused:
            return limit
        limits = self._spec.venue.depth_limits
        smaller = [each for each in limits if each < limit and each not in self._refused]
        return smaller[-1] if smaller else limits[0]

    @property
    def weight(self) -> int:
        """The weight of a snapshot with the full limit."""
        return self._spec.venue.snapshot_weight(self.full)

    # --- what happened ---------------------------------------------------------------------

    def on_synced(self, now_ns: int) -> None:
        """The book is live: set its depth target in the router."""
        self._forget(now_ns)
        self._aim(self.target.asked)

    def on_compared(self, now_ns: int) -> None:
        """A snapshot was compared with the book: reconsider refused limits."""
        if self._forget(now_ns):
            self._aim(self.target.asked)

    def on_read(self, asked: int) -> None:
        """Readers take this many levels."""
        if asked != self.target.asked:
            self._aim(asked)

    def on_answered(self, served: int | None) -> None:
        """A snapshot arrived. `served`: its limit if a book server holds fewer complete levels; else None."""
        if served != self._served:
            self._served = served
            self._aim(self.target.asked)

    def on_refused(self, limit: int, reason: str, now_ns: int) -> int | None:
        """The exchange refused that limit; return the one to use instead, None if there is no smaller one."""
        self._refused[limit] = now_ns
        instead = self.allowed(limit)
        if instead in self._refused:
            return None
        self._aim(self.target.asked)
        venue, told = self._spec.venue.name, self._context.limits_told
        if (venue, limit) not in told:
            told.add((venue, limit))
            self._context.notices.append(LimitRefused(venue, self._spec.symbol, limit, instead, reason))
        return instead

    def on_depth(self, depth: int) -> None:
        """The user wants another depth."""
        self._spec = replace(self._spec, depth=depth)
        self._aim(self.target.asked)

    # --- inside ----------------------------------------------------------------------------

    def _forget(self, now_ns: int) -> bool:
        """Forget refusals that are an hour old; return whether there were any."""
        old = [limit for limit, at_ns in self._refused.items() if now_ns - at_ns >= _FORGOTTEN_NS]
        for limit in old:
            del self._refused[limit]
        return bool(old)

    def _aim(self, asked: int) -> None:
        self.target = target = self._target(asked)
        self._context.router.set_depth_target(self._spec.market, target.enough, requested=target.asked)

    def _target(self, asked: int) -> DepthTarget:
        venue = self._spec.venue
        wanted = min(max(self._spec.depth, asked), venue.depth_limits[-1])
        limit = self.allowed(venue.snapshot_limit(wanted))
        wanted = min(wanted, limit, self._served or limit)
        thin = min(self._context.policy.thin_levels, max(1, wanted // 2))
        enough = wanted if limit > wanted else wanted * 4 // 5
        return DepthTarget(asked, wanted, limit, thin, max(thin, enough))
