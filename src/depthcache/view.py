"""The books users hold: `LiveBook` of a running client, and `Book` without any network.

All reading is native; this file adds only what needs Python: waiting, age, and the rules of a venue.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from depthcache import _native, venues
from depthcache.model import Audit, Lag, SnapshotOutcome
from depthcache.wanted import parse_refresh

if TYPE_CHECKING:
    from depthcache._native import Frame, Router
    from depthcache.client import Client

__all__ = ["Book", "LiveBook", "LiveReader"]


class LiveReader(_native.BookReader):
    """What the live books of both faces share."""

    _client: Client[Any]
    _number: int

    def __new__(cls, client: Client[Any], router: Router, market: int) -> Self:
        """Books come from a client: `books["BTCUSDT"]`, `books.add("BTCUSDT")`."""
        self = super().__new__(cls, router, market, serve_stale=client.wanted.serve_stale)
        self._client, self._number = client, market
        return self

    @property
    def age(self) -> float | None:
        """Seconds since the last applied update was received; None before the first.

        A quiet market has an old book that is right; `status` says whether it can be trusted.
        """
        updated_ns = self.updated_ns
        return None if updated_ns is None else max(0, self._client.now_ns() - updated_ns) / 1e9

    @property
    def updated_at(self) -> float | None:
        """When the last applied update was received: seconds of `time.monotonic()`; None before one."""
        updated_ns = self.updated_ns
        return None if updated_ns is None else updated_ns / 1e9

    @property
    def confirmed_at(self) -> float | None:
        """The last proof that this is the exchange's book: an update, or a comparison with a snapshot.

        Seconds of `time.monotonic()`; None before one. A quiet book is compared every 45 s.
        """
        times = (self.updated_ns, self._client.confirmed_ns(self._number))
        known = [at_ns for at_ns in times if at_ns is not None]
        return max(known) / 1e9 if known else None

    @property
    def reconnects(self) -> int:
        """How often the connection that carries this book was lost and another took its place.

        A planned successor, before the exchange's 24 h cut, is none; a closed book has none any more.
        """
        return self._client.reconnects(self._number)[0]

    @property
    def reconnected_at(self) -> float | None:
        """When that was last: seconds of `time.monotonic()`; None for never."""
        at_ns = self._client.reconnects(self._number)[1]
        return None if at_ns is None else at_ns / 1e9

    @property
    def lag(self) -> Lag | None:
        """How late the last update was, by the exchange's event time and an estimate of its clock.

        Steps of the system's clock change nothing. None before the first update, and for the first
        seconds of a client, until the exchange was asked for its time.
        """
        event_time_us, updated_ns = self._times
        if event_time_us is None or updated_ns is None:
            return None
        return self._client.lag(self._number, event_time_us, updated_ns)

    def _audit_limit(self, levels: int | None) -> int:
        """The limit of the snapshot that an audit of so many levels asks for. Raises InvalidArgument."""
        venue = self._client.wanted.settings.venue(self.exchange)
        return venue.snapshot_limit(self._client.wanted.depth if levels is None else levels)

    def save_flight(self, path: str | PathLike[str], *, reason: str = "asked for") -> None:
        """Write the newest raw frames of this book, its snapshot and the book itself to a new file at `path`.

        `reason`: why, to be read in the file. `depthcache verify` replays it. How far back it reaches is
        `Settings(flight_bytes=…)`. Raises FileExistsError and OSError.
        """
        self._client.save_flight(self._number, Path(path), reason)

    def __repr__(self) -> str:
        age = self.age
        parts = (
            f"{self.symbol} on {self.exchange}: {self.status}",
            f" ({self.reason})" if self.reason else "",
            "" if self.last_update_id is None else f", update id {self.last_update_id}",
            "" if age is None else f", {age:.1f} s old",
        )
        return f"<{type(self).__name__} {''.join(parts)}>"


class LiveBook(LiveReader):
    """The live book of one market. Reads may come from any thread and always see whole updates.

    Each read is atomic by itself: `best` and `freeze` see both sides of one update id. Two separate
    reads are two moments: between `book.bids[0]` and `book.asks[0]` an update may be applied, so the
    pair may never have existed. For values that belong together use `best` or one `freeze`.

    Reads of levels raise BookNotSynced while the book cannot be trusted, and BookClosed once it was
    removed or its client is closed; `status`, `reason`, `since_ns`, `age`, `complete_to`, `coverage`,
    `last_update_id` and `repr` never raise. With `on_stale="serve"` the last known book is read
    instead, and `status` tells that it is not the present.
    """

    async def wait_synced(self, timeout: float | None = 30) -> None:  # noqa: ASYNC109
        """Wait until the book is synced; at once where it is.

        `timeout`: seconds, None for no end. Raises SyncTimeout, BookClosed when the book or its client
        is closed, UnknownSymbol when the exchange does not know the symbol.
        """
        await self._client.wait_synced(self._number, self, timeout_s=timeout)

    def refresh(self) -> None:
        """Have a snapshot merged into this book, as deep as the client's depth; returns at once.

        The book never leaves sync for it; wrong prices are right afterwards (`counters["corrections"]`). It
        waits for its turn within the client's share of the weight. `audit` is the same and tells what it
        found. Nothing for a closed book.
        """
        self._client.refresh(self._number, self._audit_limit(None))

    def refresh_every(self, seconds: float | None) -> None:
        """Have that done by itself every so many `seconds`: None for what the policy says (an hour), 0 for never.

        Raises InvalidArgument.
        """
        self._client.refresh_every(self._number, parse_refresh(seconds))

    def resync(self) -> None:
        """Give the book up and build it anew from a new snapshot; returns at once.

        It cannot be read until that has come. Hardly ever needed: a book that lost its place does this by
        itself, and `refresh` corrects prices without it. Nothing for a closed book.
        """
        self._client.resync(self._number)

    async def audit(
        self,
        levels: int | None = None,
        *,
        seconds: float = 0.0,
        timeout: float | None = 60,  # noqa: ASYNC109
    ) -> Audit:
        """Compare this book with a snapshot of the exchange at the same update id.

        Inside the range that both prove every price is checked. What was wrong is right afterwards; the
        complete range is then what the snapshot proves. Costs the weight of one snapshot, within the
        client's share, so it may wait for its turn.

        `levels`: how deep, the client's depth when None. `seconds`: go on for so long, with a snapshot
        every 20 s and with the partial depth and bookTicker streams besides, each where its update id is
        the book's. `timeout`: seconds for each snapshot, None for no end. Raises SyncTimeout, BookClosed,
        InvalidArgument for levels that no snapshot of the exchange has.
        """
        limit = self._audit_limit(levels)
        client = self._client
        return await client.audit_for(self._number, self, limit, seconds=seconds, timeout_s=timeout)


class Book(_native.Book):
    """A book without any network, by the rules of an exchange: you bring snapshots and frames.

        book = depthcache.Book("binance.com")
        book.load_snapshot(body, limit=1000)
        book.apply(frame)        # APPLIED, STALE, WAITING, GAP or IGNORED

    `symbol`: frames of another one raise SymbolMismatch; without it the first diff decides. Raises
    UnknownExchange or InvalidArgument.
    """

    def __new__(cls, exchange: str, symbol: str | None = None) -> Self:
        """An empty book."""
        venue = venues.venue(exchange)
        parsed = None if symbol is None else venues.parse_symbol(symbol, venue)
        return super().__new__(cls, venue.name, parsed, venue.continuity)

    def load_snapshot(self, body: Frame, *, limit: int | None = None) -> SnapshotOutcome:
        """Install the bytes of a REST depth answer that was asked with `limit`.

        The limit decides how deep the book is complete: fewer levels than it show the whole side.
        None: unknown. A limit above the exchange's maximum counts as the maximum where the exchange
        cuts it (spot). Kept diffs newer than the snapshot are applied at once; an older snapshot than
        they allow changes nothing (`TOO_OLD`). Raises InvalidArgument for a limit that the exchange
        refuses, MalformedSnapshot for other bytes; nothing is changed then.
        """
        served = None if limit is None else venues.venue(self.exchange).served_limit(limit)
        return super().load_snapshot(body, limit=served)
