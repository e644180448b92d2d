"""What a venue is: every fact about one Binance market family that code needs, as one value.

Only data and the few pure functions that read it; nothing here knows a particular venue. A new
venue is one new file beside this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Continuity", "Endpoints", "RangeBasis", "Venue"]

Continuity: TypeAlias = Literal["contiguous", "chained"]
RangeBasis: TypeAlias = Literal["documented", "unaudited"]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a venue is reached: base URLs without a trailing slash."""

    rest: str
    websocket: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """One Binance market family.

    Every number carries its source and date in the file that makes the value.
    """

    name: str
    aliases: tuple[str, ...] = ()
    endpoints: Endpoints
    stream_route: str
    """Path of the combined-stream socket, e.g. `/stream` or `/public/stream`."""
    continuity: Continuity
    range_basis: RangeBasis
    """Whether the diff stream is documented to carry every change at every depth."""
    range_evidence: str
    depth_path: str
    exchange_info_path: str
    time_path: str
    ping_path: str
    depth_limits: tuple[int, ...]
    """The snapshot limits worth asking: for venues that take any number, the top of each
    weight tier; ascending. The last one is the largest the venue gives."""
    any_depth_limit: bool
    """Whether limits between the listed ones are accepted (spot) or refused (futures)."""
    depth_weights: tuple[tuple[int, int], ...]
    """(largest limit, weight) per tier, ascending."""
    weight_pool: str
    """Venues that share one weight budget per IP carry the same word."""
    weight_per_minute: int
    stream_speeds: tuple[tuple[int, str], ...]
    """(milliseconds, suffix) such as (100, "@depth@100ms"); the first is the default."""
    streams_per_connection: int
    messages_per_second: int
    names_per_message: int
    connects_per_5_minutes: int
    ping_interval_s: float
    connection_lifetime_s: float

    def stream(self, symbol: str, speed_ms: int | None = None) -> str:
        """Name of the diff depth stream of a symbol (ASCII letters lowered, others kept)."""
        raise NotImplementedError

    def snapshot_limit(self, depth: int) -> int:
        """The limit to ask when the user needs `depth` complete levels.

        The largest limit of the cheapest tier that holds `depth`, but at least 1,000. Raises
        InvalidArgument when the venue never gives that many.
        """
        raise NotImplementedError

    def snapshot_weight(self, limit: int) -> int:
        """What a snapshot of that limit costs."""
        raise NotImplementedError
