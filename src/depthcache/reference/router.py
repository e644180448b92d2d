"""Markets and connections: how a frame finds its book, and which events result.

Frames of live connections are wrapped and routed by their full stream name, so that a partial depth stream of
the same symbol never reaches a diff book. Whatever needs a decision becomes an event: one coalesced change
per market (it cannot overflow), control messages in a bounded ring, stray frames counted by kind. No frame
can make `feed` raise.

The twin of the native Router. The effect of one diff is in `market`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from depthcache import engine
from depthcache.errors import MalformedFrame
from depthcache.events import (
    ControlMessage,
    Event,
    FeedInfo,
    FollowerReady,
    HeardDiff,
    LateMarket,
    MarketChange,
    RefreshResult,
    ShallowMarket,
    StrayFrame,
    StrayKind,
    StreamFrame,
    Traffic,
)
from depthcache.model import SnapshotOutcome, Status
from depthcache.reference.arbitration import PATIENCE_NS
from depthcache.reference.follow import Follower, FollowSpec
from depthcache.reference.market import BUFFER_BYTES, Market
from depthcache.reference.messages import Frame, parse_frame, parse_snapshot
from depthcache.reference.names import shown
from depthcache.reference.reader import BookReader, as_bytes, check_chain
from depthcache.reference.relay import parse_book_state
from depthcache.reference.sequence import Continuity, SnapshotTime
from depthcache.reference.timebase import Timebase

__all__ = ["Router"]

CONTROL_CAPACITY = 1024
_SHUTDOWN_STREAM = "!serverShutdown"
_EXCERPT_BYTES = 120
_ABSENT_NS = 3_000_000_000
"""The event loop counts as absent this long after it last attended; it does so every second."""
_MOST_STRAYS = 256
_MOST_OF_NAME = 120
"""How many characters of a foreign name are kept; real streams have about 40."""
_MOST_CONTROL_BYTES = 32 << 20
"""The size limit of control messages between two `take_events`, besides their number."""
"""Kinds of strays counted separately between two `take_events`; more are counted without their name."""


@dataclass(slots=True)
class _Pending:
    control: list[ControlMessage] = field(default_factory=list)
    streams: dict[tuple[int, str], StreamFrame] = field(default_factory=dict)
    strays: dict[tuple[int, StrayKind, str], StrayFrame] = field(default_factory=dict)
    ready: dict[int, FollowerReady] = field(default_factory=dict)

    def stream(self, connection: int, stream: str, frame: bytes, at_ns: int) -> None:
        held = self.streams.get((connection, stream))
        skipped = 0 if held is None else held.skipped + 1
        self.streams[connection, stream] = StreamFrame(
            connection=connection, stream=stream, frame=frame, skipped=skipped, at_ns=at_ns
        )

    def stray(self, connection: int, what: StrayKind, detail: str, at_ns: int) -> None:
        if what == "unknown_stream":
            detail = detail[:_MOST_OF_NAME]
        if what == "unknown_stream" and (connection, what, detail) not in self.strays:
            detail = detail if len(self.strays) < _MOST_STRAYS else ""
        key = (connection, what, detail if what == "unknown_stream" else "")
        count = self.strays[key].count + 1 if key in self.strays else 1
        self.strays[key] = StrayFrame(
            connection=connection, what=what, detail=detail, count=count, at_ns=at_ns
        )


class Router(engine.Router):
    """Markets by number, connections by number, streams by name."""

    ARBITRATION_PATIENCE_NS: Final[int] = PATIENCE_NS

    def __init__(self, *, control_capacity: int = CONTROL_CAPACITY, buffer_bytes: int = BUFFER_BYTES) -> None:
        self._capacity, self._buffer_bytes = control_capacity, buffer_bytes
        self._markets: dict[int, Market] = {}
        self._connections: dict[int, dict[str, int]] = {}
        self._servers: dict[int, str] = {}
        self._listened: set[tuple[int, str]] = set()
        self._traffic: dict[int, Traffic] = {}
        self._used_markets: set[int] = set()
        self._used_connections: set[int] = set()
        self._pending = _Pending()
        self._followers = self._pauses = 0
        self._attended_ns: float = -math.inf
        self._timebase = Timebase()

    # --- markets -----------------------------------------------------------------------------

    def add_market(
        self,
        market: int,
        exchange: str,
        symbol: str,
        continuity: Continuity,
        *,
        inverse: bool = False,
        now_ns: int = 0,
    ) -> None:
        """Add a market under a number never used before; it is empty since `now_ns`."""
        if market in self._used_markets:
            raise ValueError(f"market number {market} was already used")
        self._used_markets.add(market)
        made = Market(
            exchange, symbol, continuity, inverse=inverse, buffer_bytes=self._buffer_bytes, now_ns=now_ns
        )
        made.timebase = self._timebase
        self._markets[market] = made

    def relay(self, market: int, now_ns: int) -> None:
        """Take the diffs of a market from book servers."""
        self._markets[market].begin_relay(now_ns)
        _notify_followers(self._markets[market])

    def upstream(self, market: int) -> tuple[str, str] | None:
        """The status and reason of the servers' book."""
        relay = self._markets[market].relay
        return None if relay is None else relay.upstream()

    def remove_market(self, market: int, reason: str, now_ns: int) -> None:
        """Remove a market; its readers are closed."""
        gone = self._markets.pop(market)
        gone.set_condition(Status.CLOSED, reason, now_ns)
        _notify_followers(gone)
        for routes in self._connections.values():
            for stream in [stream for stream, target in routes.items() if target == market]:
                del routes[stream]

    def market(self, market: int) -> Market:
        """The market itself, for readers."""
        return self._markets[market]

    def reader(self, market: int, *, serve_stale: bool = False) -> BookReader:
        """A reader of a market."""
        return BookReader(self._markets[market], serve_stale=serve_stale)

    def install_snapshot(
        self,
        market: int,
        body: Any,
        *,
        limit: int | None,
        live: bool,
        now_ns: int,
        made_us: tuple[int, int] | None = None,
    ) -> SnapshotOutcome:
        """Install a snapshot. Raises MalformedSnapshot, SymbolMismatch; the book is then unchanged."""
        snapshot = parse_snapshot(as_bytes(body))
        made = None if made_us is None else SnapshotTime(*made_us)
        outcome = self._markets[market].install(snapshot, limit=limit, live=live, now_ns=now_ns, made=made)
        _notify_followers(self._markets[market])
        return outcome

    def begin_refresh(self, market: int) -> bool:
        """Start keeping applied diffs; False if the book is not live."""
        return self._markets[market].begin_refresh()

    def end_refresh(self, market: int) -> None:
        """Cancel a refresh."""
        self._markets[market].end_refresh()

    def refresh(
        self,
        market: int,
        body: Any,
        *,
        limit: int | None,
        now_ns: int,
        made_us: tuple[int, int] | None = None,
    ) -> RefreshResult:
        """Compare a snapshot with a live book and merge it. Raises MalformedSnapshot, SymbolMismatch."""
        snapshot = parse_snapshot(as_bytes(body))
        made = None if made_us is None else SnapshotTime(*made_us)
        result = self._markets[market].refresh(snapshot, limit=limit, now_ns=now_ns, made=made)
        _notify_followers(self._markets[market])
        return result

    def settle_refresh(self, market: int, now_ns: int) -> RefreshResult:
        """Settle a waiting snapshot for which no diff came."""
        result = self._markets[market].settle_refresh(now_ns)
        _notify_followers(self._markets[market])
        return result

    def set_depth_target(self, market: int, levels: int, *, requested: int) -> None:
        """Set how many complete levels are enough while readers request at most `requested`."""
        target = self._markets[market].depth_target
        target.enough, target.considered = levels, requested

    def shallow(self) -> list[ShallowMarket]:
        """The live books that are not deep enough."""
        return [
            ShallowMarket(number, market.min_coverage(), market.depth_target.requested)
            for number, market in sorted(self._markets.items())
            if market.status()[0] is Status.SYNCED and market.is_shallow()
        ]

    def set_clock_offset(self, market: int, offset_ns: int | None) -> None:
        """Set the offset to the exchange's clock. Only the native router counts delays."""
        self._markets[market].timeline.clock_offset_ns = offset_ns

    def heard(self, market: int) -> HeardDiff | None:
        """The newest diff that was applied, buffered or skipped as backlog; None before one."""
        return self._markets[market].heard()

    def last_diff(self, market: int) -> HeardDiff | None:
        """The last diff applied since the snapshot; None before one."""
        return self._markets[market].last_diff()

    def set_virtual_time(self, now_ns: int, wall_ns: int) -> None:
        """Set the virtual clock."""
        self._timebase.set_virtual(now_ns, wall_ns)

    def late(self, most_us: int) -> list[LateMarket]:
        """The markets whose newest diff was later than that on receipt."""
        found: list[LateMarket] = []
        for number, market in sorted(self._markets.items()):
            heard, late_us = market.heard(), market.late_us()
            if heard is not None and late_us is not None and late_us > most_us:
                found.append(LateMarket(number, late_us, heard.received_ns))
        return found

    def date_snapshot(self, market: int, made_us: tuple[int, int]) -> None:
        """Supply the time range in which the held snapshot was made, if no diff followed it."""
        self._markets[market].date_snapshot(SnapshotTime(*made_us))

    def resync(self, market: int, reason: str, now_ns: int) -> None:
        """Return to buffering, keeping buffered diffs."""
        self._markets[market].resync(reason, now_ns)
        _notify_followers(self._markets[market])

    def restart(self, market: int, reason: str, now_ns: int) -> None:
        """Return to buffering with an empty buffer."""
        self._markets[market].restart(reason, now_ns)
        _notify_followers(self._markets[market])

    def set_condition(self, market: int, condition: str | None, reason: str, now_ns: int) -> None:
        """Set or clear a condition on top of a market."""
        self._markets[market].set_condition(None if condition is None else Status(condition), reason, now_ns)
        _notify_followers(self._markets[market])

    def set_stalled(self, reason: str | None, now_ns: int) -> None:
        """The source of frames stalled, or is running again (None)."""
        for market in self._markets.values():
            market.set_stalled(reason, now_ns)
            _notify_followers(market)

    # --- watching without an event loop ------------------------------------------------------

    def set_time_to_detect(self, market: int, within_ns: int | None) -> None:
        """Set the time after which an unconfirmed book becomes stale while the event loop is absent."""
        self._markets[market].state.doubt.detect_ns = within_ns

    def attend(self, now_ns: int) -> int:
        """The event loop is attending to its books. Returns the number of pauses."""
        self._attended_ns = max(now_ns, self._attended_ns)
        return self._pauses

    def judge_silence(self, now_ns: int) -> None:
        """Doubt books that were not confirmed in time, unless the event loop attends."""
        if now_ns - self._attended_ns > _ABSENT_NS:
            for market in self._markets.values():
                market.judge_silence(now_ns)
                _notify_followers(market)

    def pause(self, reason: str, since_ns: int, now_ns: int) -> None:
        """The machine or process was paused: every book is stale until confirmed."""
        self._pauses += 1
        for market in self._markets.values():
            market.on_pause(reason, since_ns, now_ns)
            _notify_followers(market)

    def close(self, reason: str, now_ns: int) -> None:
        """Close all books for good: the event loop has ended."""
        for market in self._markets.values():
            market.set_condition(Status.CLOSED, reason, now_ns)
            _notify_followers(market)

    # --- followers ---------------------------------------------------------------------------

    def follow(
        self,
        mode: str,
        *,
        levels: int | None = None,
        interval_ns: int = 0,
        start_ns: int = 0,
        on_stale: str = "raise",
        most_items: int,
        most_bytes: int,
        announces: bool = True,
    ) -> Follower:
        """Create a follower without markets."""
        self._followers += 1
        spec = FollowSpec(
            mode=mode, levels=levels, interval_ns=interval_ns, start_ns=start_ns, on_stale=on_stale,
            most_items=most_items, most_bytes=most_bytes,
        )  # fmt: skip
        return Follower(self._followers, spec, self._on_ready if announces else lambda _: None)

    def _on_ready(self, follower: int) -> None:
        self._pending.ready[follower] = FollowerReady(follower=follower)

    # --- connections -------------------------------------------------------------------------

    def open_connection(self, connection: int, *, server: str = "") -> None:
        """Expect frames of this number."""
        if connection in self._used_connections:
            raise ValueError(f"connection number {connection} was already used")
        self._used_connections.add(connection)
        self._connections[connection] = {}
        self._servers[connection] = server
        self._traffic[connection] = Traffic(0, 0, None, None)

    def close_connection(self, connection: int) -> None:
        """Ignore frames of this number."""
        for number in set(self._connections.pop(connection).values()):
            self._markets[number].remove_feed(connection)
            _notify_followers(self._markets[number])
        self._listened = {each for each in self._listened if each[0] != connection}

    def route(self, connection: int, stream: str, market: int) -> None:
        """Route a stream to a market."""
        if market not in self._markets:
            raise KeyError(f"unknown market {market}")
        self._connections[connection][stream] = market
        self._markets[market].add_feed(connection)

    def listen(self, connection: int, stream: str) -> None:
        """Report the newest frame of a stream that belongs to no market."""
        self._listened.add((connection, stream))

    def feeds(self, market: int) -> list[FeedInfo]:
        """The connections of a market."""
        return [FeedInfo(feed.connection, feed.joined, feed.heard_ns) for feed in self._markets[market].feeds]

    def traffic(self, connection: int) -> Traffic:
        """The traffic of a connection."""
        return self._traffic[connection]

    def unroute(self, connection: int, stream: str) -> None:
        """Treat frames of this stream as stray again."""
        self._listened.discard((connection, stream))
        number = self._connections[connection].pop(stream, None)
        if number is not None:
            self._markets[number].remove_feed(connection)
            _notify_followers(self._markets[number])

    # --- frames ------------------------------------------------------------------------------

    def feed(self, connection: int, frame: Any, received_ns: int) -> bool:
        """Pass one frame to its book; True if there are events."""
        raw = as_bytes(frame)
        routes = self._connections.get(connection)
        if routes is None:
            return self._has_events()
        came = self._traffic[connection]
        self._traffic[connection] = came._replace(
            frames=came.frames + 1, received_bytes=came.received_bytes + len(raw)
        )
        try:
            parsed = parse_frame(raw)
        except MalformedFrame as error:
            self._on_malformed(connection, routes.get(error.stream or ""), error, received_ns)
        else:
            self._dispatch(connection, routes, parsed, raw, received_ns)
        return self._has_events()

    def _dispatch(
        self, connection: int, routes: dict[str, int], parsed: Frame, raw: bytes, at_ns: int
    ) -> None:
        number = routes.get(parsed.stream) if parsed.stream is not None else None
        if number is not None and parsed.update is not None:
            self._on_diff(connection, number, parsed, raw, at_ns)
        elif number is not None and self._on_state(connection, number, raw, at_ns):
            self._traffic[connection] = self._traffic[connection]._replace(last_data_ns=at_ns)
        elif parsed.stream is None or parsed.stream == _SHUTDOWN_STREAM:
            self._on_control(connection, parsed, raw, at_ns)
        elif parsed.update is None and (connection, parsed.stream) in self._listened:
            self._pending.stream(connection, parsed.stream, raw, at_ns)
            self._traffic[connection] = self._traffic[connection]._replace(last_data_ns=at_ns)
        else:
            self._pending.stray(connection, "unknown_stream", parsed.stream, at_ns)

    def _on_state(self, connection: int, number: int, raw: bytes, at_ns: int) -> bool:
        """A frame of a market that is no diff: whether it is the state of a server's book."""
        market = self._markets[number]
        said = None if market.relay is None else parse_book_state(raw)
        if said is None:
            return False
        market.on_book_state(connection, self._servers[connection], said, at_ns)
        _notify_followers(market)
        return True

    def _on_diff(self, connection: int, number: int, parsed: Frame, raw: bytes, at_ns: int) -> None:
        market, update = self._markets[number], parsed.update
        assert update is not None
        self._traffic[connection] = self._traffic[connection]._replace(last_data_ns=at_ns, last_diff_ns=at_ns)
        try:
            check_chain(market.continuity, update, raw)
            if update.symbol != market.symbol:
                raise MalformedFrame(
                    what=f"symbol {shown(update.symbol)} on the stream {shown(parsed.stream or '')}",
                    position=0,
                    excerpt=raw,
                )
        except MalformedFrame as error:
            self._on_malformed(connection, number, error, at_ns)
        else:
            market.on_diff(update, raw, at_ns, connection=connection)
            _notify_followers(market)

    def _on_malformed(self, connection: int, number: int | None, error: MalformedFrame, at_ns: int) -> None:
        if number is None:
            start = error.excerpt[:_EXCERPT_BYTES].decode("utf-8", "replace")
            self._pending.stray(connection, "malformed", f"{error.what}: {start}", at_ns)
        else:
            self._markets[number].on_malformed(error.what, at_ns)
            _notify_followers(self._markets[number])

    def _on_control(self, connection: int, parsed: Frame, raw: bytes, at_ns: int) -> None:
        if parsed.update is not None:
            self._pending.stray(connection, "unknown_stream", "", at_ns)  # a raw diff on a wrapped socket
        elif self._is_control_full(len(raw)):
            self._pending.stray(connection, "overflow", "", at_ns)
        else:
            self._pending.control.append(ControlMessage(connection=connection, payload=raw, at_ns=at_ns))

    def _is_control_full(self, more_bytes: int) -> bool:
        control = self._pending.control
        held_bytes = sum(len(message.payload) for message in control)
        return len(control) >= self._capacity or held_bytes + more_bytes > _MOST_CONTROL_BYTES

    # --- events ------------------------------------------------------------------------------

    def take_events(self) -> list[Event]:
        """Return the events since the last call."""
        pending, self._pending = self._pending, _Pending()
        return [
            *self._changes(),
            *pending.control,
            *pending.streams.values(),
            *pending.strays.values(),
            *pending.ready.values(),
        ]

    def _changes(self) -> Iterable[MarketChange]:
        for number, market in sorted(self._markets.items()):
            if market.causes:
                causes, market.causes = frozenset(market.causes), set()
                comparison, market.comparison = market.comparison, None
                status, reason = market.machine_state()
                yield MarketChange(
                    market=number,
                    causes=causes,
                    status=status,
                    reason=reason,
                    at_ns=market.caused_ns,
                    comparison=comparison,
                )

    def _has_events(self) -> bool:
        markets = any(market.causes for market in self._markets.values())
        pending = self._pending
        return markets or any((pending.control, pending.streams, pending.strays, pending.ready))


def _notify_followers(market: Market) -> None:
    """Notify the followers of a market of its changes."""
    if market.followers is not None:
        market.followers.notify(market)
