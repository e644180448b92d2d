"""Many markets on many connections: how a frame finds its book, and what is told of it.

Frames of live connections are wrapped and routed by their full stream name, so that a partial
depth stream of the same symbol never reaches a diff book. What needs a decision becomes an event:
one coalesced change a market (cannot overflow), control messages in a bounded ring, strays counted
by kind. Nothing in a frame can make `feed` fail.

The twin of the native Router. Not here: what one diff does (`market`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from depthcache.errors import MalformedFrame
from depthcache.model import SnapshotOutcome, Status
from depthcache.reference.market import BUFFER_BYTES, Market
from depthcache.reference.messages import Frame, parse_frame, parse_snapshot
from depthcache.reference.reader import BookReader, as_bytes, check_chain
from depthcache.reference.sequence import Continuity

__all__ = ["ControlMessage", "MarketChange", "Router", "StrayFrame"]

CONTROL_CAPACITY = 1024
_SHUTDOWN_STREAM = "!serverShutdown"
_EXCERPT_BYTES = 120
_MOST_STRAYS = 256
"""Kinds of strays told apart between two `take_events`; more are counted without their name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketChange:
    """What happened to a market since the last `take_events`."""

    market: int
    causes: frozenset[str]
    status: Status
    reason: str
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlMessage:
    """A reply, an error, `serverShutdown`."""

    connection: int
    payload: bytes
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StrayFrame:
    """Frames that no market takes, counted by kind."""

    connection: int
    what: str
    detail: str
    count: int
    at_ns: int


@dataclass(slots=True)
class _Pending:
    control: list[ControlMessage] = field(default_factory=list)
    strays: dict[tuple[int, str, str], StrayFrame] = field(default_factory=dict)

    def stray(self, connection: int, what: str, detail: str, at_ns: int) -> None:
        if what == "unknown_stream" and (connection, what, detail) not in self.strays:
            detail = detail if len(self.strays) < _MOST_STRAYS else ""
        key = (connection, what, detail if what == "unknown_stream" else "")
        count = self.strays[key].count + 1 if key in self.strays else 1
        self.strays[key] = StrayFrame(
            connection=connection, what=what, detail=detail, count=count, at_ns=at_ns
        )


class Router:
    """Markets by number, connections by number, streams by name."""

    def __init__(self, *, control_capacity: int = CONTROL_CAPACITY, buffer_bytes: int = BUFFER_BYTES) -> None:
        self._capacity, self._buffer_bytes = control_capacity, buffer_bytes
        self._markets: dict[int, Market] = {}
        self._connections: dict[int, dict[str, int]] = {}
        self._used_markets: set[int] = set()
        self._used_connections: set[int] = set()
        self._pending = _Pending()

    # --- markets -----------------------------------------------------------------------------

    def add_market(self, market: int, exchange: str, symbol: str, continuity: Continuity) -> None:
        """A new market under a number never used before."""
        if market in self._used_markets:
            raise ValueError(f"the market number {market} was used before")
        self._used_markets.add(market)
        self._markets[market] = Market(exchange, symbol, continuity, buffer_bytes=self._buffer_bytes)

    def remove_market(self, market: int, reason: str, now_ns: int) -> None:
        """Forget it; its readers say closed."""
        gone = self._markets.pop(market)
        gone.set_condition(Status.CLOSED, reason, now_ns)
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
        self, market: int, body: Any, *, limit: int | None, live: bool, now_ns: int
    ) -> SnapshotOutcome:
        """Install a snapshot. Raises MalformedSnapshot; nothing is changed then."""
        snapshot = parse_snapshot(as_bytes(body))
        return self._markets[market].install(snapshot, limit=limit, live=live, now_ns=now_ns)

    def resync(self, market: int, reason: str, now_ns: int) -> None:
        """Back to buffering, kept diffs stay."""
        self._markets[market].resync(reason, now_ns)

    def restart(self, market: int, reason: str, now_ns: int) -> None:
        """Back to buffering, nothing kept."""
        self._markets[market].restart(reason, now_ns)

    def set_condition(self, market: int, condition: str | None, reason: str, now_ns: int) -> None:
        """Lay a condition over a market or take it away."""
        self._markets[market].set_condition(None if condition is None else Status(condition), reason, now_ns)

    # --- connections -------------------------------------------------------------------------

    def open_connection(self, connection: int) -> None:
        """Frames of this number are expected from now on."""
        if connection in self._used_connections:
            raise ValueError(f"the connection number {connection} was used before")
        self._used_connections.add(connection)
        self._connections[connection] = {}

    def close_connection(self, connection: int) -> None:
        """Frames of this number are ignored from now on."""
        del self._connections[connection]

    def route(self, connection: int, stream: str, market: int) -> None:
        """Frames of this stream go to this market."""
        if market not in self._markets:
            raise KeyError(f"no market {market}")
        self._connections[connection][stream] = market

    def unroute(self, connection: int, stream: str) -> None:
        """Frames of this stream are strays again."""
        self._connections[connection].pop(stream, None)

    # --- frames ------------------------------------------------------------------------------

    def feed(self, connection: int, frame: Any, received_ns: int) -> bool:
        """Take one frame to its book; True when there are events."""
        raw = as_bytes(frame)
        routes = self._connections.get(connection)
        if routes is None:
            return self._has_events()
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
        elif parsed.stream is None or parsed.stream == _SHUTDOWN_STREAM:
            self._on_control(connection, parsed, raw, at_ns)
        else:
            self._pending.stray(connection, "unknown_stream", parsed.stream, at_ns)

    def _on_diff(self, connection: int, number: int, parsed: Frame, raw: bytes, at_ns: int) -> None:
        market, update = self._markets[number], parsed.update
        assert update is not None
        try:
            check_chain(market.continuity, update, raw)
            if update.symbol != market.symbol:
                raise MalformedFrame(
                    what=f"symbol {update.symbol!r} on the stream {parsed.stream!r}", position=0, excerpt=raw
                )
        except MalformedFrame as error:
            self._on_malformed(connection, number, error, at_ns)
        else:
            market.on_diff(update, raw, at_ns)

    def _on_malformed(self, connection: int, number: int | None, error: MalformedFrame, at_ns: int) -> None:
        if number is None:
            start = error.excerpt[:_EXCERPT_BYTES].decode("utf-8", "replace")
            self._pending.stray(connection, "malformed", f"{error.what}: {start}", at_ns)
        else:
            self._markets[number].on_malformed(error.what, at_ns)

    def _on_control(self, connection: int, parsed: Frame, raw: bytes, at_ns: int) -> None:
        if parsed.update is not None:
            self._pending.stray(connection, "unknown_stream", "", at_ns)  # a raw diff on a wrapped socket
        elif len(self._pending.control) >= self._capacity:
            self._pending.stray(connection, "overflow", "", at_ns)
        else:
            self._pending.control.append(ControlMessage(connection=connection, payload=raw, at_ns=at_ns))

    # --- events ------------------------------------------------------------------------------

    def take_events(self) -> list[Any]:
        """Everything that happened since the last call."""
        pending, self._pending = self._pending, _Pending()
        return [*self._changes(), *pending.control, *pending.strays.values()]

    def _changes(self) -> Iterable[MarketChange]:
        for number, market in sorted(self._markets.items()):
            if market.causes:
                causes, market.causes = frozenset(market.causes), set()
                status, reason, _ = market.native()
                yield MarketChange(
                    market=number,
                    causes=causes,
                    status=status,
                    reason=reason,
                    at_ns=market.caused_ns,
                )

    def _has_events(self) -> bool:
        markets = any(market.causes for market in self._markets.values())
        return markets or bool(self._pending.control) or bool(self._pending.strays)
