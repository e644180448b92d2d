"""Tunable limits and timeouts of a client. Facts about the exchanges are in `venues`."""

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
    """Limits and timeouts of a client. Names that end in `_s` are in seconds; a share is a number up to 1.

    The defaults fit most programs. Raises InvalidArgument for a value out of range.
    """

    limit_share: float = 0.5
    """Share of the exchange's limits (request weight, connects, messages) that the client may use. The rest
    is left to other programs behind the same address, and to pongs."""
    limit_ceiling: float = 0.9
    """Share of the weight limit at which requests pause, by the exchange's own count, which includes other
    programs behind the same address."""
    silence_check_share: float = 0.2
    """Share of the client's weight (`limit_share`) for comparing silent books with the exchange."""
    reserve: float = 0.1
    """Share of the client's weight that deepening leaves free for books that need a snapshot; may be 0."""
    requests_in_flight: int = 24
    """Most concurrent requests per weight budget."""
    streams_per_connection: int = 200
    """Most depth streams per connection. Binance allows 1,024, but busy streams then lag."""
    bootstrap_from_depth20: bool = False
    """Whether to sync books from the partial depth stream of the best 20 levels, which costs no weight, and
    to deepen them by a snapshot later. Only where its update ids fit those of the diff stream (spot)."""
    redundant: bool = False
    """Whether to receive every stream over two connections. The first copy of an update wins."""
    thin_levels: int = 50
    """A book with fewer complete levels a side, or fewer than half of its depth target if that is less, is
    deepened at once. One busy second removed 135 levels (spot BTCUSDT, 2026-08-24)."""
    refresh_s: float = 3600.0
    """Interval at which a live book is compared with a new snapshot and corrected by it; 0 for never."""

    snapshot_timeout_s: float = 20.0
    """Timeout of a REST request."""
    retry_base_s: float = 0.5
    retry_cap_s: float = 30.0
    """Back-off after a failed request: the first pause and the longest one."""
    too_old_base_s: float = 0.5
    too_old_cap_s: float = 2.0
    too_old_patience: int = 20
    """Back-off after a snapshot that is older than the buffered updates: the first pause, the longest one,
    and the number of tries after which it grows to `retry_cap_s`. Caches of the exchange lag by up to 30 s
    (options, 2026-04)."""
    relapse_base_s: float = 1.0
    relapse_cap_s: float = 30.0
    """Back-off before the snapshot after a repeated sequence gap. After the first gap, it is requested at
    once."""
    stable_s: float = 60.0
    """Back-off starts again from its first pause after a book was synced, or a connection open, for this
    long."""
    crossed_s: float = 1.0
    """A book that stays crossed this long gets a new snapshot."""
    bridging_s: float = 10.0
    """A book whose snapshot is not confirmed by an update within this time, although one was due, gets a new
    snapshot."""

    first_data_s: float = 5.0
    """A book without any update this long after it synced is compared with the exchange."""
    silence_s: float = 30.0
    """A book whose last update is older than this is compared with the exchange."""
    silence_cap_s: float = 45.0
    """While comparisons find nothing wrong, the interval to the next one doubles up to this."""
    doubt_cap_s: float = 600.0
    """Longest wait for data after subscribing again to a stream that brought none. The wait doubles from
    `first_data_s`; the first update ends it."""
    late_s: float = 30.0
    """A book whose updates arrive later than this, by the exchange's event time, is stale until they catch
    up. Below it, a late book stays synced, and `book.lag` tells how late it is."""
    overdue_s: float = 2.0
    """How long an update may be overdue that is known to exist; the slowest streams send once a second."""
    listing_s: float = 600.0
    """Interval of the request for the list of traded symbols; a silent book triggers it at once."""
    clock_s: float = 300.0
    """Interval of the comparison between the exchange's clock and the local monotonic one."""

    connect_timeout_s: float = 20.0
    """Timeout for opening a connection."""
    connect_base_s: float = 0.5
    connect_cap_s: float = 30.0
    """Back-off before reconnecting: the first pause and the longest one. The client never gives up."""
    reply_timeout_s: float = 10.0
    """A connection that does not reply to a control message within this time is replaced."""
    quiet_connection_s: float = 8.0
    """A connection without a sign of life for this long is probed with a request. Both transports ping after
    5 s already, and a pong is a sign of life, so this matters only where nothing pings: in a `Pair`."""
    liveness_timeout_s: float = 5.0
    """A connection that does not reply to the probe within this time is replaced."""
    renew_at: float = 0.95
    """Share of the exchange's connection lifetime after which a connection is handed over to a new one."""
    overlap_s: float = 3.0
    """Before a connection reaches the end of its lifetime, a new one takes over its streams, once it
    brings their data. A quiet stream has none: its new subscription must be this old instead."""
    overlap_cap_s: float = 30.0
    """A handover that takes longer than this is abandoned and tried again later."""

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
    """The pause before attempt number `attempt` (0 is the first) in nanoseconds.

    It doubles with each attempt up to `cap_s`; half of it is jitter, scaled by `random` in [0, 1).
    """
    return to_ns(min(cap_s, base_s * 2.0 ** min(attempt, 30)) * (0.5 + random / 2))


publish("depthcache", Policy)
