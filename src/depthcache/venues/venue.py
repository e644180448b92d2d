"""What a venue is: every fact about one exchange name that code needs, as one value.

Only data and the few pure functions that read it; nothing here knows a particular venue. A new
venue is one new file beside this one and a line in `registry`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from typing import Literal, TypeAlias
from urllib.parse import quote

from depthcache.arguments import is_whole, parse_whole
from depthcache.errors import InvalidArgument
from depthcache.model import Continuity, Family
from depthcache.naming import publish

__all__ = ["Continuity", "Endpoints", "Environment", "Family", "RangeBasis", "Venue"]

Environment: TypeAlias = Literal["production", "testnet", "demo"]
RangeBasis: TypeAlias = Literal["documented", "unaudited"]

_LONGEST_QUERY = 6_000
"""Characters of symbols that one URL carries. URLs of about 8,000 characters were the most that Binance
took (reports of its users, 2020 and 2026)."""

_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a venue is reached.

    Attributes:
        rest: base URL of the requests, `https://host[:port][/path]` or http, without a trailing slash.
        websocket: base URL of the streams, `wss://…` or `ws://…`.
    """

    rest: str
    websocket: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Venue:
    """Everything this package knows about one exchange name: hosts, paths, limits, rules, family.

    Every number carries its source and date in the file that makes the value. Two values of one name are
    the same venue: one reached elsewhere, or with smaller limits, equals the one it was made from.

    Attributes:
        name, aliases: what `connect` takes; the aliases mean the same venue.
        endpoints: base URLs of requests and streams.
        environment: `production`, `testnet` or `demo`.
        range_evidence: what `range_basis` rests on, in words.
        depth_path, exchange_info_path, time_path, ping_path: paths of the REST requests, such as
            `/api/v3/depth`.
        exchange_info_weight: request weight of exchangeInfo.
        weight_per_minute: request weight that the exchange allows one address per minute.
        streams_per_connection: streams that one WebSocket carries.
        messages_per_second: control messages that one WebSocket may send.
        names_per_message: streams that one SUBSCRIBE message may name.
        connects_per_5_minutes: WebSockets that one address may open.
        ping_interval_s: seconds between two pings of the exchange.
        connection_lifetime_s: seconds after which the exchange ends a WebSocket.
    """

    name: str
    aliases: tuple[str, ...] = ()
    endpoints: Endpoints
    stream_route: str
    """Path of the combined-stream socket, e.g. `/stream` or `/public/stream`."""
    family: Family
    """What is traded, and with it whose messages these are: spot; futures with quantities in the base asset
    (linear: USD-M) or in contracts of a fixed value in the quote asset (inverse: COIN-M); options."""
    environment: Environment = "production"
    continuity: Continuity
    """How update ids follow each other, and nothing else; what is traded is the `family`."""
    range_basis: RangeBasis
    """Whether the diff stream is documented to carry every change at every depth."""
    range_evidence: str
    symbol_separators: str = ""
    """Characters that users write inside symbols of this venue and its MBX names do not have."""
    depth_path: str
    exchange_info_path: str
    exchange_info_weight: int = 1
    takes_symbols: bool = False
    """Whether exchangeInfo can be asked for some symbols alone."""
    listing_key: str = "symbols"
    """Where exchangeInfo lists the symbols, e.g. `optionSymbols`."""
    status_key: str = "status"
    """Which key of a listed symbol tells its trading status, e.g. `contractStatus`."""
    time_path: str
    ping_path: str
    best_path: str | None = None
    """Path of the best prices over REST (bookTicker), where the family documents one."""
    depth_limits: tuple[int, ...]
    """The snapshot limits worth asking: for venues that take any number, the top of each
    weight tier; ascending. The last one is the largest the venue gives."""
    any_depth_limit: bool
    """Whether limits between the listed ones are accepted (spot) or refused (futures)."""
    depth_weights: tuple[tuple[int, int], ...]
    """(largest limit, weight) per tier, ascending."""
    snapshot_lag_s: float = 0.0
    """How far a snapshot is behind its stream when it is newly served: some venues cache it."""
    weight_pool: str
    """Venues that share one weight budget per IP carry the same word."""
    weight_place: str = ""
    """Where the pool is reached, if not at Binance itself: other hosts have budgets of their own."""
    weight_per_minute: int
    stream_speeds: tuple[tuple[int, str], ...]
    """(milliseconds, suffix) such as (100, "@depth@100ms"); the first is the default."""
    top_stream: str | None = None
    """Suffix of the partial depth stream whose `lastUpdateId` is always the `u` of some diff, so that it
    proves a book; None where that is not known to be so."""
    top_levels: int = 20
    """Levels a side on that stream."""
    streams_per_connection: int
    messages_per_second: int
    names_per_message: int
    connects_per_5_minutes: int
    ping_interval_s: float
    connection_lifetime_s: float
    data_mirror: str | None = None
    """Exchange name of hosts with the same market data that also serve places where these hosts do not."""
    recorded_as: str = ""
    """The word for it in recordings and in reports of `verify`, where venues with the same messages share
    one; empty: its name."""

    def __eq__(self, other: object) -> bool:
        return self.name == other.name if isinstance(other, Venue) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.name)

    # --- streams ---------------------------------------------------------------------------

    def stream(self, symbol: str, speed_ms: int | None = None) -> str:
        """Name of the diff depth stream of `symbol` (ASCII letters lowered, others kept), at `speed_ms`.

        Raises InvalidArgument for a speed that the venue does not serve.
        """
        speeds = dict(self.stream_speeds)
        if speed_ms is None:
            suffix = self.stream_speeds[0][1]
        elif is_whole(speed_ms) and index(speed_ms) in speeds:
            suffix = speeds[index(speed_ms)]
        else:
            listed = ", ".join(map(str, sorted(speeds)))
            raise InvalidArgument(
                name="speed_ms", value=speed_ms, allowed=f"{listed} (milliseconds, {self.name})"
            )
        return symbol.translate(_LOWER) + suffix

    def stream_url(self) -> str:
        """URL of the combined-stream socket; streams are named in SUBSCRIBE messages only."""
        return self.endpoints.websocket + self.stream_route

    def top(self, symbol: str) -> str | None:
        """Name of the stream of the best levels of `symbol`, always those of one diff's last update id;
        None where the venue has none of which that is known."""
        return None if self.top_stream is None else symbol.translate(_LOWER) + self.top_stream

    # --- snapshots -------------------------------------------------------------------------

    def snapshot_limit(self, depth: int) -> int:
        """The snapshot limit to request for `depth` complete levels.

        A quarter more than that, up to 1,000, because the price moves on (spot BTCUSDT: with 100 levels
        the best ask left the window on 406 of 901 ticks in 90 s, measured 2026-08-24); above 1,000 as
        many as are needed. Raises InvalidArgument when the venue never gives that many.
        """
        most = self.depth_limits[-1]
        allowed = f"1 to {most:,} levels on {self.name}"
        depth = parse_whole(depth, name="depth", allowed=allowed, least=1, most=most)
        wanted = max(depth, min(depth + depth // 4, 1_000, most))
        return next(limit for limit in self.depth_limits if limit >= wanted)

    @property
    def cheapest_limit(self) -> int:
        """The largest limit of the cheapest weight tier: for looking whether a book still moves."""
        tier = self.depth_weights[0][0]
        return max(limit for limit in self.depth_limits if limit <= tier)

    def served_limit(self, limit: int) -> int:
        """The most levels a side that a snapshot of `limit` can have.

        Raises InvalidArgument for a limit the venue refuses; spot cuts larger ones to its maximum.
        """
        if is_whole(limit):
            limit = index(limit)
            if limit in self.depth_limits:
                return limit
            if self.any_depth_limit and limit >= 1:
                return min(limit, self.depth_limits[-1])
        listed = "1 and more" if self.any_depth_limit else ", ".join(map(str, self.depth_limits))
        raise InvalidArgument(name="limit", value=limit, allowed=f"{listed} on {self.name}")

    def snapshot_weight(self, limit: int) -> int:
        """The request weight of a snapshot of `limit`. Raises InvalidArgument as `served_limit` does."""
        served = self.served_limit(limit)
        return next(weight for largest, weight in self.depth_weights if largest >= served)

    def snapshot_url(self, symbol: str, limit: int) -> str:
        """URL of a depth snapshot of `symbol` with `limit` levels; non-ASCII letters are escaped."""
        self.served_limit(limit)
        return f"{self.endpoints.rest}{self.depth_path}?symbol={quote(symbol, safe='')}&limit={limit}"

    # --- other questions -------------------------------------------------------------------

    def exchange_info_url(self, symbols: Sequence[str] = ()) -> str:
        """URL of the list of symbols; of these `symbols` alone where the venue can select them.

        One unknown name among them makes spot refuse the whole question (-1121). A list too long for a
        URL asks for everything, as an empty one does.
        """
        url = self.endpoints.rest + self.exchange_info_path
        if not self.takes_symbols:
            return url
        listed = quote(json.dumps(list(symbols), ensure_ascii=False, separators=(",", ":")), safe="")
        some = f"symbols={listed}&" if symbols and len(listed) <= _LONGEST_QUERY else ""
        return f"{url}?{some}showPermissionSets=false"

    def time_url(self) -> str:
        """URL of the exchange's clock."""
        return self.endpoints.rest + self.time_path


publish("depthcache", Endpoints)
publish("depthcache.venues", Venue)
