"""How patient and how greedy the client is: every number of the core that a user may choose.

Facts about venues live in their own files; these are choices, each with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from depthcache.arguments import parse_real, parse_whole
from depthcache.errors import InvalidArgument
from depthcache.naming import publish

__all__ = ["Policy", "backoff_ns", "to_ns"]

_FRACTIONS = frozenset({"limit_share", "limit_ceiling", "silence_check_share", "reserve", "renew_at"})
_MAY_BE_ZERO = frozenset({"reserve", "refresh_s"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Choices with defaults that fit most programs. Names end in `_s` where they are seconds.

    Raises InvalidArgument for numbers that cannot work.
    """

    limit_share: float = 0.5
    """Part of the venue's limits (request weight, connects, messages) this client may use; the
    rest is left to other programs behind the same address, and to pongs."""
    limit_ceiling: float = 0.9
    """Part of the weight limit at which requests stop when the exchange's own count, which
    includes other programs, reaches it."""
    silence_check_share: float = 0.2
    """Part of `limit_share` that comparing silent books with the exchange may use."""
    reserve: float = 0.1
    """Part of `limit_share` that deepening books leaves to books in need."""
    requests_in_flight: int = 24
    """Most requests on their way at once, per weight budget."""
    streams_per_connection: int = 200
    """Most diff streams one connection carries; venues allow 1,024, but busy ones then lag."""
    bootstrap_from_depth20: bool = False
    """Whether books begin, and come back, with the best 20 levels of the exchange's partial depth stream,
    which costs no weight, where that is proven to fit (spot)."""
    redundant: bool = False
    """Whether every stream comes over two connections, of which the first arrival wins."""
    thin_levels: int = 50
    """A book with fewer complete levels a side (or half of what is wanted, where that is less) gets more
    at once; a bad second took 135 levels away (spot BTCUSDT, 2026-08-24)."""
    refresh_s: float = 3600.0
    """How often a live book is compared with a new snapshot and refreshed by it; 0 for never."""

    snapshot_timeout_s: float = 20.0
    """How long the response to a request may take."""
    retry_base_s: float = 0.5
    retry_cap_s: float = 30.0
    """Pause after a failed request, doubled each time up to the cap."""
    too_old_base_s: float = 0.5
    too_old_cap_s: float = 2.0
    too_old_patience: int = 20
    """Pause after a snapshot older than the kept diffs, up to its cap; after this many in a row
    up to `retry_cap_s`. Caches of the exchange lag up to 30 s (options, 2026-04)."""
    relapse_base_s: float = 1.0
    relapse_cap_s: float = 30.0
    """Pause before the snapshot after a repeated gap; the first gap is healed at once."""
    stable_s: float = 60.0
    """A book that was synced, or a connection that was open, this long starts over with pauses."""
    crossed_s: float = 1.0
    """A book that stays crossed this long gets a new snapshot."""
    bridging_s: float = 10.0
    """A book whose snapshot no diff confirmed this long, and should have, gets a new one."""

    first_data_s: float = 5.0
    """A book without any diff this long after it was synced is compared with the exchange."""
    silence_s: float = 30.0
    """A book that had diffs and has none for this long is compared with the exchange."""
    silence_cap_s: float = 45.0
    """While comparisons find nothing wrong, the time to the next doubles up to this."""
    doubt_cap_s: float = 600.0
    """A stream that brings nothing however often it is subscribed is tried again each time later, up to
    this; data ends all doubt at once."""
    late_s: float = 30.0
    """A book whose diffs arrive later than this is stale until they catch up: its data is then as old as
    that of a silent book which is due to be compared (`silence_s`), and older than its age tells. Up to this
    a late book stays synced; `book.lag` tells how late it is."""
    overdue_s: float = 2.0
    """How long a diff that must exist may take; the slowest streams send once a second."""
    listing_s: float = 600.0
    """How often the exchange is asked which symbols trade; at once when a book is silent."""
    clock_s: float = 300.0
    """How often the exchange's clock is compared with the monotonic one."""

    connect_timeout_s: float = 20.0
    """How long a connection may take to open."""
    connect_base_s: float = 0.5
    connect_cap_s: float = 30.0
    """Pause before connecting again, doubled each time up to the cap; tries are not limited."""
    reply_timeout_s: float = 10.0
    """A connection that does not answer a control message this long is replaced."""
    quiet_connection_s: float = 8.0
    """A connection on which nothing at all arrived this long is asked for a sign of life."""
    liveness_timeout_s: float = 5.0
    """A connection that gives no sign of life within this time is replaced."""
    renew_at: float = 0.95
    """Part of the venue's connection lifetime after which a connection is replaced."""
    overlap_s: float = 3.0
    """How long a new connection is live beside the old one before it takes over books that are quiet."""
    overlap_cap_s: float = 30.0
    """A new connection that has not taken over after this is given up, and another is tried later."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, bool):
                if not isinstance(value, bool):
                    raise InvalidArgument(name=field.name, value=value, allowed="True or False")
                continue
            most = 1.0 if field.name in _FRACTIONS else 1e9
            may_be_zero = field.name in _MAY_BE_ZERO
            allowed = f"{'0 or more' if may_be_zero else 'above 0'}, at most {most:g}"
            if isinstance(field.default, int):
                parsed: float = parse_whole(
                    value, name=field.name, allowed=f"a whole number, {allowed}", least=1, most=int(most)
                )
            else:
                parsed = parse_real(value, name=field.name, allowed=allowed, least=0, most=most)
                if parsed == 0 and not may_be_zero:
                    raise InvalidArgument(name=field.name, value=value, allowed=allowed)
            object.__setattr__(self, field.name, parsed)


def to_ns(seconds: float) -> int:
    """Seconds as whole nanoseconds."""
    return round(seconds * 1e9)


def backoff_ns(attempt: int, base_s: float, cap_s: float, random: float) -> int:
    """Pause before attempt number `attempt` (0 is the first): doubling, capped, half of it jitter.

    `random` is a number in [0, 1).
    """
    return to_ns(min(cap_s, base_s * 2.0 ** min(attempt, 30)) * (0.5 + random / 2))


publish("depthcache", Policy)
