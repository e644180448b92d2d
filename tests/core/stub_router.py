"""A small stand-in for the router: just enough of the rules to let the core's tests speak of policy.

Not the reference: no strictness about bytes, no complete range, no limits.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from depthcache.errors import MalformedSnapshot
from depthcache.model import Level, SnapshotOutcome, Status

_WORSE = [Status.STALE, Status.HALTED, Status.DISCONNECTED, Status.CLOSED]


@dataclass
class Change:
    market: int
    causes: frozenset[str]
    status: Status
    reason: str
    at_ns: int


@dataclass
class Control:
    connection: int
    payload: bytes
    at_ns: int


@dataclass
class Stray:
    connection: int
    what: str
    detail: str
    count: int
    at_ns: int


@dataclass
class Book:
    exchange: str
    symbol: str
    chained: bool
    native: Status = Status.EMPTY
    native_reason: str = ""
    condition: Status | None = None
    condition_reason: str = ""
    last_update_id: int | None = None
    updated_ns: int | None = None
    unconfirmed: bool = False
    waits_for_first: bool = True
    kept: list[dict[str, Any]] = field(default_factory=list)
    sides: dict[str, dict[str, str]] = field(default_factory=lambda: {"b": {}, "a": {}})

    @property
    def status(self) -> Status:
        return self.condition or self.native

    @property
    def reason(self) -> str:
        return self.condition_reason if self.condition else self.native_reason

    @property
    def bids(self) -> list[Level]:
        return sorted((Level(float(p), float(q)) for p, q in self.sides["b"].items()), reverse=True)

    @property
    def asks(self) -> list[Level]:
        return sorted(Level(float(p), float(q)) for p, q in self.sides["a"].items())

    def stale(self, diff: dict[str, Any]) -> bool:
        return diff["u"] <= self.last_update_id

    def bridges(self, diff: dict[str, Any]) -> bool:
        return self._bridges(diff, self.last_update_id)

    def _bridges(self, diff: dict[str, Any], held: int) -> bool:
        return diff["pu"] <= held if self.chained else diff["U"] <= held + 1

    def apply(self, diff: dict[str, Any], at_ns: int) -> None:
        for side in "ba":
            for price, quantity in diff[side]:
                if float(quantity):
                    self.sides[side][price] = quantity
                else:
                    self.sides[side].pop(price, None)
        self.last_update_id, self.updated_ns, self.unconfirmed = diff["u"], at_ns, False

    def crossed(self) -> bool:
        return bool(self.bids and self.asks and self.bids[0].price >= self.asks[0].price)


class StubRouter:
    def __init__(self) -> None:
        self.books: dict[int, Book] = {}
        self.routes: dict[int, dict[str, int]] = {}
        self.changes: dict[int, tuple[set[str], int]] = {}
        self.others: list[Control | Stray] = []

    def add_market(self, market: int, exchange: str, symbol: str, continuity: str) -> None:
        assert market not in self.books
        self.books[market] = Book(exchange, symbol, continuity == "chained")

    def remove_market(self, market: int, reason: str, now_ns: int) -> None:
        self.set_condition(market, "closed", reason, now_ns)
        del self.books[market]

    def reader(self, market: int, *, serve_stale: bool = False) -> Book:
        return self.books[market]

    def open_connection(self, connection: int) -> None:
        assert connection not in self.routes
        self.routes[connection] = {}

    def close_connection(self, connection: int) -> None:
        self.routes.pop(connection)

    def route(self, connection: int, stream: str, market: int) -> None:
        self.routes[connection][stream] = market

    def unroute(self, connection: int, stream: str) -> None:
        self.routes[connection].pop(stream)

    def feed(self, connection: int, frame: bytes, received_ns: int) -> bool:
        if connection in self.routes:
            self._feed(connection, frame, received_ns)
        return bool(self.changes or self.others)

    def _feed(self, connection: int, frame: bytes, at_ns: int) -> None:
        try:
            value = json.loads(frame)
        except ValueError:
            self.others.append(Stray(connection, "malformed", repr(frame[:50]), 1, at_ns))
            return
        if "stream" not in value or value["data"].get("e") != "depthUpdate":
            self.others.append(Control(connection, frame, at_ns))
            return
        market = self.routes[connection].get(value["stream"])
        if market is None or market not in self.books:
            self.others.append(Stray(connection, "unknown_stream", value["stream"], 1, at_ns))
            return
        self._diff(market, self.books[market], value["data"], at_ns)

    def _diff(self, market: int, book: Book, diff: dict[str, Any], at_ns: int) -> None:
        causes = self.changes.get(market, (set(), 0))[0]
        before = len(causes)
        if book.waits_for_first:
            book.waits_for_first = False
            causes.add("first_data")
        if book.native in (Status.EMPTY, Status.BUFFERING):
            book.native = Status.BUFFERING
            book.kept.append(diff)
        elif book.stale(diff):
            pass
        elif not book.bridges(diff):
            causes.add("gap")
            book.native, book.native_reason, book.kept = Status.BUFFERING, "gap", [diff]
        else:
            if book.unconfirmed or book.native is Status.BRIDGING:
                causes.add("confirmed")
            book.apply(diff, at_ns)
            after = Status.CROSSED if book.crossed() else Status.SYNCED
            if (after is Status.CROSSED) != (book.native is Status.CROSSED):
                causes.add("crossed" if after is Status.CROSSED else "uncrossed")
            book.native = after
        if len(causes) > before:
            self.changes[market] = (causes, at_ns)

    def take_events(self) -> list[Any]:
        changes = [
            Change(
                market, frozenset(causes), self.books[market].native, self.books[market].native_reason, at_ns
            )
            for market, (causes, at_ns) in self.changes.items()
            if market in self.books
        ]
        others = self.others
        self.changes, self.others = {}, []
        return [*changes, *others]

    def install_snapshot(
        self, market: int, body: bytes, *, limit: int | None, live: bool, now_ns: int
    ) -> SnapshotOutcome:
        book = self.books[market]
        try:
            value = json.loads(body)
            last, sides = value["lastUpdateId"], {"b": dict(value["bids"]), "a": dict(value["asks"])}
        except (ValueError, LookupError, TypeError):
            raise MalformedSnapshot(what="not a snapshot", position=0, excerpt=body) from None
        kept = [diff for diff in book.kept if diff["u"] > last]
        if kept and not book._bridges(kept[0], last):
            return SnapshotOutcome.TOO_OLD
        book.last_update_id, book.sides, book.kept = last, sides, []
        book.unconfirmed = not kept
        book.native = Status.SYNCED if kept or live else Status.BRIDGING
        for place, diff in enumerate(kept):
            if not book.bridges(diff):
                book.native, book.kept = Status.BUFFERING, kept[place:]
                return SnapshotOutcome.GAP
            book.apply(diff, now_ns)
        if book.native is Status.SYNCED and book.crossed():
            book.native = Status.CROSSED
        book.native_reason = ""
        self.changes[market] = ({"synced"}, now_ns)
        return SnapshotOutcome.SYNCED if live or kept else SnapshotOutcome.BRIDGING

    def resync(self, market: int, reason: str, now_ns: int) -> None:
        book = self.books[market]
        book.native, book.native_reason = Status.BUFFERING, reason

    def restart(self, market: int, reason: str, now_ns: int) -> None:
        self.resync(market, reason, now_ns)
        self.books[market].kept = []
        self.books[market].waits_for_first = True

    def set_condition(self, market: int, condition: str | None, reason: str, now_ns: int) -> None:
        book = self.books[market]
        book.condition = Status(condition) if condition else None
        book.condition_reason = reason
