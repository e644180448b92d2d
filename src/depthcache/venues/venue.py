"""The `Venue` type: all facts about one exchange name as one value, and the functions that read them.

Each venue has its own file in this folder and a line in `registry`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from typing import Literal, TypeAlias
from urllib.parse import quote, urlsplit

from depthcache.arguments import is_whole, parse_whole
from depthcache.errors import InvalidArgument
from depthcache.foreign_text import without_credentials
from depthcache.model import Continuity, Family
from depthcache.naming import publish

__all__ = ["Continuity", "Endpoints", "Environment", "Family", "RangeBasis", "Venue"]

Environment: TypeAlias = Literal["production", "testnet", "demo"]
RangeBasis: TypeAlias = Literal["documented", "unaudited"]

_LONGEST_QUERY = 6_000
"""Most characters of symbols in one URL. Binance accepts URLs of up to about 8,000 characters (reports of
users, 2020 and 2026)."""

_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Base URLs of a venue.

    Attributes:
        rest: base URL of REST requests, `https://host[:port][/path]` or http, without a trailing slash.
        websocket: base URL of the streams, `wss://host[:port][/path]` or ws, without a trailing slash.
    """

    rest: str
    websocket: str

    def __repr__(self) -> str:
        """Without the key of a book server, `/k/<key>/…`: settings are logged."""
        rest, websocket = map(without_credentials, (self.rest, self.websocket))
        return f"Endpoints(rest={rest!r}, websocket={websocket!r})"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Venue:
    """Everything this package knows about one exchange name: hosts, paths, limits, rules, family.

    The files in this folder give the source and date of every number. Venues with the same name are equal,
    even if they have other endpoints or limits.

    Attributes:
        name, aliases: the names that `connect` accepts.
        endpoints: base URLs of REST requests and streams.
        environment: `production`, `testnet` or `demo`.
        range_evidence: the evidence for `range_basis`, as text.
        depth_path, exchange_info_path, time_path, ping_path: paths of REST requests, such as
            `/api/v3/depth`.
        exchange_info_weight: request weight of exchangeInfo.
        weight_per_minute: request weight that the exchange allows each address per minute.
        streams_per_connection: most streams on one WebSocket.
        messages_per_second: most control messages per second on one WebSocket.
        names_per_message: most streams in one SUBSCRIBE message.
        connects_per_5_minutes: most WebSockets that one address may open in five minutes.
        ping_interval_s: interval of the exchange's pings in seconds.
        connection_lifetime_s: lifetime of a WebSocket in seconds, after which the exchange closes it.
    """

    name: str
    aliases: tuple[str, ...] = ()
    endpoints: Endpoints
    stream_route: str
    """Path of the combined stream, such as `/stream` or `/public/stream`."""
    family: Family
    """What is traded, which also determines the message format: spot; futures with quantities in the base
    asset (linear, USD-M) or in contracts of a fixed value in the quote asset (inverse, COIN-M); options."""
    environment: Environment = "production"
    continuity: Continuity
    """The rule by which one update id follows another."""
    range_basis: RangeBasis
    """Whether the diff stream is documented to carry every change at every depth."""
    range_evidence: str
    symbol_separators: str = ""
    """Separators that users write in symbols of this venue and that are removed."""
    depth_path: str
    exchange_info_path: str
    exchange_info_weight: int = 1
    takes_symbols: bool = False
    """Whether exchangeInfo can be requested for selected symbols."""
    listing_key: str = "symbols"
    """Key of the list of symbols in exchangeInfo, such as `optionSymbols`."""
    status_key: str = "status"
    """Key of the trading status of a listed symbol, such as `contractStatus`."""
    time_path: str
    ping_path: str
    best_path: str | None = None
    """Path of the best prices over REST (bookTicker); None if the family documents none."""
    depth_limits: tuple[int, ...]
    """The useful snapshot limits, ascending; for venues that accept any number, the largest of each weight
    tier. The last one is the largest of the venue."""
    any_depth_limit: bool
    """Whether limits between the listed ones are accepted (spot) or refused (futures)."""
    depth_weights: tuple[tuple[int, int], ...]
    """(largest limit, request weight) of each tier, ascending."""
    snapshot_lag_s: float = 0.0
    """How far snapshots lag behind the stream, in seconds, on venues that cache them."""
    weight_pool: str
    """Name of the weight budget. Venues with the same name share one budget per address."""
    weight_place: str = ""
    """Host and port of the budget if they are not those of Binance: other hosts have separate budgets."""
    weight_per_minute: int
    stream_speeds: tuple[tuple[int, str], ...]
    """(milliseconds, suffix) of each speed, such as (100, "@depth@100ms"); the first is the default."""
    top_stream: str | None = None
    """Suffix of the partial depth stream whose `lastUpdateId` is always the `u` of a diff, so that it can
    confirm a book; None if that is not known."""
    top_levels: int = 20
    """Levels a side of that stream."""
    streams_per_connection: int
    messages_per_second: int
    names_per_message: int
    connects_per_5_minutes: int
    ping_interval_s: float
    connection_lifetime_s: float
    data_mirror: str | None = None
    """Exchange name with the same market data on hosts that also serve regions which these refuse."""
    servers: Sequence[Endpoints] = ()
    """Book servers in place of the exchange, in the order in which they are tried; usually none."""
    recorded_as: str = ""
    """Its origin in recordings and reports of `verify`, which venues with the same messages share; empty for
    its name."""

    def __eq__(self, other: object) -> bool:
        return self.name == other.name if isinstance(other, Venue) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.name)

    # --- streams ---------------------------------------------------------------------------

    def stream(self, symbol: str, speed_ms: int | None = None) -> str:
        """Name of the diff depth stream of `symbol`, with ASCII letters in lower case.

        `speed_ms`: update interval in milliseconds; None takes the default. Raises InvalidArgument for a
        speed that the venue does not serve.
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

    def stream_url(self, server: int = 0) -> str:
        """URL of the combined stream. The client subscribes with SUBSCRIBE messages only.

        `server`: the number of a book server, where there are any.
        """
        return self._endpoints_of(server).websocket + self.stream_route

    def server_name(self, server: int) -> str:
        """How users know a book server: `server 10.0.0.1:42081`; empty for the exchange."""
        return f"server {urlsplit(self.servers[server].rest).netloc}" if self.servers else ""

    def _endpoints_of(self, server: int) -> Endpoints:
        return self.servers[server] if self.servers else self.endpoints

    def top(self, symbol: str) -> str | None:
        """Name of the `top_stream` of `symbol`; None if the venue has none."""
        return None if self.top_stream is None else symbol.translate(_LOWER) + self.top_stream

    # --- snapshots -------------------------------------------------------------------------

    def snapshot_limit(self, depth: int) -> int:
        """The snapshot limit to request for `depth` complete levels.

        Up to 1,000 it adds a quarter, because the price moves (spot BTCUSDT: with 100 levels the best ask
        left the window on 406 of 901 ticks in 90 s, measured 2026-08-24). Above 1,000 it adds nothing. Raises
        InvalidArgument if the venue never returns that many levels.
        """
        most = self.depth_limits[-1]
        allowed = f"1 to {most:,} levels on {self.name}"
        depth = parse_whole(depth, name="depth", allowed=allowed, least=1, most=most)
        wanted = max(depth, min(depth + depth // 4, 1_000, most))
        return next(limit for limit in self.depth_limits if limit >= wanted)

    @property
    def cheapest_limit(self) -> int:
        """The largest limit of the cheapest weight tier, to check whether a book still changes."""
        tier = self.depth_weights[0][0]
        return max(limit for limit in self.depth_limits if limit <= tier)

    def served_limit(self, limit: int) -> int:
        """The most levels a side that a snapshot with this `limit` can have.

        Spot reduces larger limits to its maximum. Raises InvalidArgument for a limit that the venue refuses.
        """
        if is_whole(limit):
            limit = index(limit)
            if limit in self.depth_limits:
                return limit
            if self.any_depth_limit and limit >= 1:
                return min(limit, self.depth_limits[-1])
        listed = "1 or more" if self.any_depth_limit else ", ".join(map(str, self.depth_limits))
        raise InvalidArgument(name="limit", value=limit, allowed=f"{listed} on {self.name}")

    def snapshot_weight(self, limit: int) -> int:
        """The request weight of a snapshot with this `limit`. Raises InvalidArgument like `served_limit`."""
        served = self.served_limit(limit)
        return next(weight for largest, weight in self.depth_weights if largest >= served)

    def snapshot_url(self, symbol: str, limit: int, server: int = 0) -> str:
        """URL of a depth snapshot of `symbol` with `limit` levels; non-ASCII letters are percent-encoded.

        `server`: as for `stream_url`.
        """
        self.served_limit(limit)
        rest = self._endpoints_of(server).rest
        return f"{rest}{self.depth_path}?symbol={quote(symbol, safe='')}&limit={limit}"

    # --- other requests --------------------------------------------------------------------

    def exchange_info_url(self, symbols: Sequence[str] = (), *, server: int = 0) -> str:
        """URL of exchangeInfo for `symbols`, or for all symbols if the venue cannot select them.

        Spot refuses the whole request (-1121) if one of the symbols is unknown. An empty list, or one that is
        too long for a URL, requests all symbols. `server`: as for `stream_url`.
        """
        url = self._endpoints_of(server).rest + self.exchange_info_path
        if not self.takes_symbols:
            return url
        listed = quote(json.dumps(list(symbols), ensure_ascii=False, separators=(",", ":")), safe="")
        some = f"symbols={listed}&" if symbols and len(listed) <= _LONGEST_QUERY else ""
        return f"{url}?{some}showPermissionSets=false"

    def time_url(self, server: int = 0) -> str:
        """URL of the exchange's time, or of the book server with the number `server`."""
        return self._endpoints_of(server).rest + self.time_path


publish("depthcache", Endpoints)
publish("depthcache.venues", Venue)
