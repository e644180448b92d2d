"""What users read of a market: the twin of the native BookReader, FrozenBook and Book.

Reads of levels raise unless the book can be trusted; its status never raises. Arrays, columns and most
analytics are native only; the tests have slow twins of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from fractions import Fraction
from operator import index
from sys import maxsize
from typing import Any, Literal, cast

from depthcache.arguments import parse_real, parse_whole
from depthcache.errors import (
    BookClosed,
    BookEmpty,
    BookNotSynced,
    BookTooOld,
    InvalidArgument,
    MalformedFrame,
    SymbolMismatch,
)
from depthcache.model import Best, CompleteTo, Coverage, Level, Levels, Outcome, SnapshotOutcome, Status
from depthcache.pickling import OneProcess, bare
from depthcache.reference import reasons, wire
from depthcache.reference.book import NOTHING, WHOLE, BookSide, at_width
from depthcache.reference.buffer import Buffer
from depthcache.reference.market import BUFFER_BYTES, COUNTERS, Market
from depthcache.reference.messages import DepthUpdate, parse_frame, parse_snapshot
from depthcache.reference.names import can_be_symbol
from depthcache.reference.sequence import Continuity, SnapshotTime

__all__ = ["Book", "BookReader", "FrozenBook", "Side", "as_bytes", "refuse_unusable"]

_EPOCH = datetime.fromtimestamp(0, UTC)
_QUOTIENTS = Context(prec=34)
_SUM_DIGITS = 80
"""More digits than any sum or half of prices has."""


class BookReader(OneProcess):
    """The read methods of a market."""

    _pickle_instead = "pickle book.freeze(), a constant copy, instead"

    def __init__(
        self,
        source: Any,
        market: Any = None,
        *,
        serve_stale: bool = False,
        max_age_s: float | None = None,
    ) -> None:
        self._market: Market = source if isinstance(source, Market) else source.market(market)
        self._serve_stale = serve_stale
        self._max_age_ns = None if max_age_s is None else _parsed_age("max_age_s", max_age_s)
        self._exact = False

    # --- what never raises -------------------------------------------------------------------

    @property
    def exchange(self) -> str:
        """The name of the exchange."""
        return self._market.exchange

    @property
    def symbol(self) -> str:
        """The symbol; empty until an offline book has received one."""
        return self._market.symbol

    @property
    def status(self) -> Status:
        """The worse of the state of the market and its condition."""
        return self._market.status()[0]

    @property
    def reason(self) -> str:
        """Why the book has this status."""
        return self._market.status()[1]

    @property
    def since_ns(self) -> int:
        """The start of the current status."""
        return self._market.status()[2]

    @property
    def unconfirmed(self) -> bool:
        """Whether the book is synced from a snapshot alone."""
        return self._market.unconfirmed

    @property
    def last_update_id(self) -> int | None:
        """The update id of the book."""
        return self._market.last_update_id

    @property
    def since_at(self) -> datetime | None:
        """`since_ns` on the system's clock."""
        return self._at(self.since_ns)

    @property
    def event_time_us(self) -> int | None:
        """The exchange's time of the book."""
        return self._market.read_event_time_us()

    @property
    def event_time(self) -> datetime | None:
        """`event_time_us` as a datetime."""
        made_us = self.event_time_us
        return None if made_us is None else _datetime(made_us)

    @property
    def updated_ns(self) -> int | None:
        """When the last update was received."""
        return self._market.read_updated_ns()

    @property
    def updated_at(self) -> datetime | None:
        """`updated_ns` on the system's clock."""
        return self._at(self.updated_ns)

    @property
    def confirmed_ns(self) -> int | None:
        """When an update or a comparison last confirmed the book."""
        proofs = (self._market.updated_ns, self._market.compared_ns)
        return max((at_ns for at_ns in proofs if at_ns is not None), default=None)

    @property
    def confirmed_at(self) -> datetime | None:
        """`confirmed_ns` on the system's clock."""
        return self._at(self.confirmed_ns)

    def _at(self, at_ns: int | None) -> datetime | None:
        at_us = self._wall_us(at_ns)
        return None if at_us is None else _datetime(at_us)

    def _wall_us(self, at_ns: int | None) -> int | None:
        """Convert a time of the book to the system's clock, in microseconds since 1970."""
        timebase = self._market.timebase
        return None if timebase is None else timebase.wall_us(at_ns)

    @property
    def counters(self) -> dict[str, int]:
        """Counts since the book was created."""
        return {name: self._market.counters[name] for name in COUNTERS}

    @property
    def memory_bytes(self) -> int:
        """The size of the numbers of both sides: two of 8 bytes per level."""
        return 16 * (len(self._market.bids.levels) + len(self._market.asks.levels))

    @property
    def complete_to(self) -> CompleteTo[float | Decimal]:
        """The price up to which each side is proven complete."""
        if self._market.last_update_id is None:
            return CompleteTo(None, None)
        edges = (Decimal(0), Decimal("Infinity"))
        bids, asks = (
            edge
            if side.bound is WHOLE
            else at_width(side.bound, side.price_scale)
            if isinstance(side.bound, Decimal)
            else None
            for side, edge in zip((self._market.bids, self._market.asks), edges, strict=True)
        )
        if self._exact:
            return CompleteTo(bids, asks)
        return CompleteTo(None if bids is None else float(bids), None if asks is None else float(asks))

    @property
    def coverage(self) -> Coverage:
        """The number of levels inside the complete range, per side."""
        return Coverage(self._market.bids.coverage(), self._market.asks.coverage())

    def __repr__(self) -> str:
        what = f"{self.symbol or '?'} on {self.exchange}"
        return f"<{type(self).__name__} {what}: {self.status}, id {self.last_update_id}>"

    # --- what raises when the book cannot be trusted -----------------------------------------

    @property
    def best(self) -> Best[float | Decimal]:
        """The best bid and ask at one update id."""
        self._check()
        bids, asks = (self._levels(side, 1) for side in (self._market.bids, self._market.asks))
        return Best(bids[0] if bids else None, asks[0] if asks else None, cast("int", self.last_update_id))

    @property
    def best_bid(self) -> Level[float | Decimal]:
        """The highest bid."""
        return self._best_of("bids")

    @property
    def best_ask(self) -> Level[float | Decimal]:
        """The lowest ask."""
        return self._best_of("asks")

    def _best_of(self, side: str) -> Level[float | Decimal]:
        bid, ask, _ = self.best
        found = bid if side == "bids" else ask
        if found is None:
            raise BookEmpty(exchange=self.exchange, symbol=self.symbol, side=side)
        return found

    @property
    def mid(self) -> float | Decimal:
        """(best bid + best ask) / 2."""
        bid, ask = self._tops()
        return self._rounded((bid[0] + ask[0]) / 2)

    @property
    def microprice(self) -> float | Decimal:
        """The mid weighted by the quantity on the other side."""
        bid, ask = self._tops()
        found = self._rounded((ask[0] * bid[1] + bid[0] * ask[1]) / (bid[1] + ask[1]))
        return min(max(found, self.best_bid.price), self.best_ask.price)

    @property
    def spread(self) -> float | Decimal:
        """Best ask - best bid."""
        bid, ask = self._tops()
        return self._rounded(ask[0] - bid[0])

    @property
    def spread_bps(self) -> float | Decimal:
        """The spread in basis points of the mid."""
        bid, ask = self._tops()
        return self._rounded(20_000 * (ask[0] - bid[0]) / (bid[0] + ask[0]))

    def _tops(self) -> list[tuple[Fraction, Fraction]]:
        exact = self.exact
        return [(Fraction(top.price), Fraction(top.quantity)) for top in (exact.best_bid, exact.best_ask)]

    def _rounded(self, number: Fraction) -> float | Decimal:
        """The nearest float, or a Decimal with 34 digits (more for a plain sum)."""
        if not self._exact:
            return float(number)
        divide = Context(prec=_SUM_DIGITS).divide
        found = divide(Decimal(number.numerator), Decimal(number.denominator))
        if Fraction(found) == number:
            return found
        return _QUOTIENTS.divide(Decimal(number.numerator), Decimal(number.denominator))

    @property
    def bids(self) -> Side:
        """Bids, highest first."""
        return Side(self, self._market.bids)

    @property
    def asks(self) -> Side:
        """Asks, lowest first."""
        return Side(self, self._market.asks)

    @property
    def exact(self) -> BookReader:
        """The same book with Decimals."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__, _exact=True)
        return twin

    def no_older_than(self, seconds: float) -> BookReader:
        """The same book, whose reads raise if its last update is older."""
        max_age_ns = _parsed_age("seconds", seconds)
        if self._market.timebase is None:
            return self
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__, _max_age_ns=max_age_ns)
        return twin

    def freeze(
        self, levels: int | None = None, *, on_stale: str | None = None, max_age: float | None = None
    ) -> FrozenBook:
        """Copy the best levels into a constant book."""
        levels = _parsed(levels)
        max_age_ns = self._max_age_ns if max_age is None else _parsed_age("max_age", max_age)
        serves = self._serve_stale if on_stale is None else on_stale == "serve"
        refuse_unusable(self._market, serve_stale=serves)
        refuse_too_old(self._market, max_age_ns)
        return FrozenBook(self, levels)

    def _check(self) -> None:
        refuse_unusable(self._market, serve_stale=self._serve_stale)
        refuse_too_old(self._market, self._max_age_ns)

    def _levels(self, side: BookSide, count: int | None = None) -> list[Level[float | Decimal]]:
        if self._exact:
            return [
                Level(at_width(price, side.price_scale), at_width(quantity, side.quantity_scale))
                for price, quantity in side.sorted()[:count]
            ]
        return [Level(float(price), float(quantity)) for price, quantity in side.sorted()[:count]]


def refuse_unusable(market: Market, *, serve_stale: bool, is_frozen: bool = False) -> None:
    """Raise if the levels of the market cannot be read, by itself or in a constant copy."""
    status, reason, since_ns = market.status()
    last_known = serve_stale and market.last_update_id is not None
    if not market.state.is_crossed and (status is Status.SYNCED or last_known):
        return
    if status is Status.CLOSED:
        raise BookClosed(exchange=market.exchange, symbol=market.symbol, reason=reason)
    of_kind: Literal["live", "offline"] = "offline" if market.timebase is None else "live"
    raise BookNotSynced(
        exchange=market.exchange,
        symbol=market.symbol,
        status=status.value,
        reason=reason,
        since_ns=since_ns,
        kind="frozen" if is_frozen else of_kind,
        is_known=market.last_update_id is not None and not market.state.is_crossed,
    )


def refuse_too_old(market: Market, max_age_ns: float | None) -> None:
    """Raise if the last update is older than that; a book without a clock has no age."""
    updated_ns = market.read_updated_ns()
    now_ns = None if market.timebase is None else market.timebase.now_ns
    if max_age_ns is None or now_ns is None or updated_ns is None:
        return
    age_ns = now_ns - updated_ns
    if age_ns > max_age_ns:
        raise BookTooOld(
            exchange=market.exchange, symbol=market.symbol, age_s=age_ns / 1e9, max_age_s=max_age_ns / 1e9
        )


class Side:
    """One side of a book, best price first."""

    def __init__(self, reader: BookReader, side: BookSide) -> None:
        self._reader, self._side = reader, side

    def __len__(self) -> int:
        self._reader._check()
        return len(self._side.levels)

    def __getitem__(self, key: Any) -> Any:
        self._reader._check()
        if not isinstance(key, slice):
            return self._reader._levels(self._side)[index(key)]
        given = cast("Any", key)
        ends: tuple[Any, ...] = (given.start, given.stop, given.step)
        part = slice(*(None if end is None else index(end) for end in ends))
        complete = self._complete(part)
        return Levels(
            self._reader._levels(self._side)[part],
            complete=complete,
            update_id=cast("int", self._reader.last_update_id),
            reason=self._why(part, complete=complete),
        )

    def __iter__(self) -> Iterator[Level[float | Decimal]]:
        self._reader._check()
        return iter(self._reader._levels(self._side))

    def pairs(self, n: int | None = None) -> tuple[tuple[float | Decimal, float | Decimal], ...]:
        """The best levels as plain tuples."""
        count = _parsed(n, "n")
        self._reader._check()
        return tuple((price, quantity) for price, quantity in self._reader._levels(self._side, count))

    def _complete(self, key: slice[int | None, int | None, int | None]) -> bool:
        """Whether all requested levels are proven; beyond the held levels, the side must be whole."""
        if self._side.bound is WHOLE:
            return True
        held, covered = len(self._side.levels), self._side.coverage()
        if key.stop is None or key.stop < 0 or (key.step or 1) < 0:
            return False
        return bool(key.stop <= covered <= held)

    def _why(self, key: slice[int | None, int | None, int | None], *, complete: bool) -> str:
        """Why there are fewer levels than requested, or why not all are proven."""
        held = len(self._side.levels)
        if complete:
            is_short = key.stop is not None and held < key.stop < maxsize and (key.step or 1) == 1
            return reasons.whole_side(held) if is_short else ""
        if not isinstance(self._side.bound, Decimal):
            return reasons.NOT_PROVEN
        way, edge = "down" if self._side.sign > 0 else "up", self._side.price_text(self._side.bound)
        return reasons.proven_to(self._side.coverage(), way, edge)


class FrozenBook(BookReader):
    """A constant copy."""

    def __init__(self, reader: BookReader, levels: int | None) -> None:
        market = reader._market
        frozen = Market(market.exchange, market.symbol, market.continuity)
        frozen.__dict__.update(market.__dict__)
        frozen.bids, frozen.asks = market.bids.copy(), market.asks.copy()
        frozen.counters = market.counters.copy()
        frozen.buffer = Buffer(0)
        frozen.followers = None
        frozen.state = market.state.freeze()
        super().__init__(frozen, serve_stale=True)
        self._exact = reader._exact
        self._complete = True
        for side in (frozen.bids, frozen.asks):
            held = side.sorted()
            coverage = side.coverage()
            asked_all = levels is None
            self._complete &= side.bound is WHOLE or (not asked_all and (levels or 0) <= coverage)
            kept = held if levels is None else held[:levels]
            if len(kept) < len(held) and coverage >= len(kept):
                side.bound = kept[-1][0] if kept else NOTHING
            side.levels = dict(kept)
            side._sorted = None

    @property
    def complete(self) -> bool:
        """Whether all requested levels are proven on both sides."""
        return self._complete

    def to_dict(self, *, counters: bool = False) -> dict[str, Any]:
        """Convert to a message of the schema."""
        return wire.book(self, counters=counters)

    def to_json(self, *, counters: bool = False) -> bytes:
        """Encode `to_dict` as JSON."""
        return wire.text(self.to_dict(counters=counters))

    def __reduce__(self) -> Any:
        return bare, (type(self),), vars(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FrozenBook) or type(self) is not type(other):
            return False
        return self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash((self.exchange, self.symbol, self.last_update_id))

    def _parts(self) -> tuple[object, ...]:
        """All values for comparison."""
        market = self._market
        times = (self.event_time_us, self.updated_ns)
        facts = (self.exchange, self.symbol, market.status(), self.unconfirmed, times, self._complete)
        held = [(side.sorted(), side.bound) for side in (market.bids, market.asks)]
        ids = (self.last_update_id, self.confirmed_ns, self._exact)
        return (*facts, self.counters, self.coverage, *held, *ids)

    def no_older_than(self, seconds: float) -> FrozenBook:
        """Return this book: a constant does not age."""
        _parsed_age("seconds", seconds)
        return self

    def freeze(
        self,
        levels: int | None = None,
        *,
        on_stale: str | None = None,  # noqa: ARG002
        max_age: float | None = None,
    ) -> FrozenBook:
        """A smaller copy."""
        levels = _parsed(levels)
        if max_age is not None:
            _parsed_age("max_age", max_age)
        self._check()
        return FrozenBook(self, levels)

    def _check(self) -> None:
        """Raise if the frozen book could not be read."""


class Book(BookReader):
    """An offline book; the first diff fixes its symbol if none is given."""

    def __init__(
        self,
        exchange: str,
        symbol: str | None,
        continuity: Continuity,
        *,
        inverse: bool = False,
        buffer_bytes: int = BUFFER_BYTES,
        serve_stale: bool = False,
    ) -> None:
        market = Market(exchange, symbol or "", continuity, inverse=inverse, buffer_bytes=buffer_bytes)
        super().__init__(market, serve_stale=serve_stale)

    def load_snapshot(
        self, body: Any, *, limit: int | None = None, latest_us: int | None = None
    ) -> SnapshotOutcome:
        """Install a snapshot; newer buffered diffs are applied."""
        snapshot = parse_snapshot(as_bytes(body))
        made = None if latest_us is None else SnapshotTime(0, latest_us)
        outcome = self._market.install(snapshot, limit=limit, live=True, now_ns=0, made=made)
        self._market.symbol = self._market.symbol or snapshot.symbol or ""
        return outcome

    def apply(self, frame: Any) -> Outcome:
        """Apply one frame."""
        raw = as_bytes(frame)
        update = parse_frame(raw).update
        if update is None:
            return Outcome.IGNORED
        market = self._market
        if market.symbol and market.symbol != update.symbol:
            raise SymbolMismatch(expected=market.symbol, received=update.symbol)
        if not market.symbol and not can_be_symbol(update.symbol):
            raise MalformedFrame(what="the symbol s is invalid", position=0, excerpt=raw)
        check_chain(market.continuity, update, raw)
        market.symbol = update.symbol
        return market.on_diff(update, raw, 0)


def check_chain(continuity: Continuity, update: DepthUpdate, raw: bytes) -> None:
    """A diff of a chained venue must name its predecessor."""
    if continuity == "chained" and update.previous_final_update_id is None:
        raise MalformedFrame(
            what="pu is missing, which links the update ids of this venue", position=0, excerpt=raw
        )


def as_bytes(frame: Any) -> bytes:
    """The bytes of a frame passed as any type."""
    if isinstance(frame, str):
        return frame.encode("utf-8")
    if isinstance(frame, (bytes, bytearray, memoryview)):
        return bytes(cast("bytes | bytearray | memoryview[int]", frame))
    raise TypeError(f"a frame is bytes, bytearray, memoryview or str, not {type(frame).__name__}")


def _parsed(levels: int | None, name: str = "levels") -> int | None:
    if levels is None:
        return None
    allowed = "a whole number, 0 or more, or None for all"
    return parse_whole(levels, name=name, allowed=allowed, least=0, most=10**30)


def _parsed_age(name: str, seconds: float) -> float:
    parsed = parse_real(seconds, name=name, allowed="seconds above 0", least=5e-324)
    try:
        age_ns = float(parsed) * 1e9
    except OverflowError:  # an integer too large for a float
        raise InvalidArgument(name=name, value=seconds, allowed="seconds above 0") from None
    return math.inf if parsed == math.inf else min(int(min(age_ns, 2.0**63)), 2**63 - 1)


def _datetime(us: int) -> datetime | None:
    try:
        return _EPOCH + timedelta(microseconds=us)
    except OverflowError:
        return None  # a year beyond the range of datetime
