"""The live books of a running client.

All reading is native; this file adds only what needs Python: waiting, following and audits.
"""

from __future__ import annotations

from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from depthcache import _native
from depthcache.arguments import parse_on_stale
from depthcache.client.callbacks import Callback, CallbackHandle, call_back
from depthcache.client.config import parse_refresh
from depthcache.client.follow import BUFFER, BUFFER_BYTES, LEVELS, AnyMode, Updates, parse_follow_spec
from depthcache.errors import BookClosed, InvalidArgument
from depthcache.model import Audit, Lag, OnStale, Status
from depthcache.naming import publish

if TYPE_CHECKING:
    from depthcache._native import FrozenBook, Router
    from depthcache.client.client import Client
    from depthcache.io.followers import FollowSpec

__all__ = ["LiveBook", "LiveReader"]


class LiveReader(_native.BookReader):
    """What the live books of both APIs share."""

    _client: Client[Any]
    _number: int

    def __new__(cls, client: Client[Any], router: Router, market: int) -> Self:
        """Books come from a client: `books["BTCUSDT"]`, `books.add("BTCUSDT")`."""
        config = client.config
        serve_stale = config.on_stale == "serve"
        self = super().__new__(cls, router, market, serve_stale=serve_stale, max_age_s=config.max_age_s)
        self._client, self._number = client, market
        return self

    @property
    def age(self) -> float | None:
        """Seconds since the last applied update was received, or the snapshot before one; None before that.

        A quiet market has an old book that is right; `status` says whether it can be trusted.
        """
        updated_ns = self.updated_ns
        return None if updated_ns is None else max(0, self._client.now_ns() - updated_ns) / 1e9

    @property
    def reconnects(self) -> int:
        """How often the connection that carries this book was lost and another took its place.

        A planned successor, before the exchange's 24 h cut, is none; a closed book has none any more.
        """
        uptime = self._client.uptime(self._number)
        return 0 if uptime is None else uptime.reconnects

    @property
    def reconnected_ns(self) -> int | None:
        """When that was last, on the clock `depthcache.now_ns`; None for never."""
        uptime = self._client.uptime(self._number)
        return None if uptime is None else uptime.reconnected_ns

    @property
    def reconnected_at(self) -> datetime | None:
        """`reconnected_ns` as a datetime of the system's clock, in UTC."""
        at_ns = self.reconnected_ns
        return None if at_ns is None else self._wall_time(at_ns)

    @property
    def lag(self) -> Lag | None:
        """How late the last update was, by the exchange's event time and an estimate of its clock.

        Before the first update of a book that waits for one, it is how late the diffs are that come
        meanwhile. Steps of the system's clock change nothing. None before the first diff, and for the first
        seconds of a client, until the exchange has told its time.
        """
        heard = self._client.last_diff(self._number) or self._client.heard(self._number)
        if heard is None or heard.event_time_us is None:
            return None
        return self._client.lag(self._number, heard.event_time_us, heard.received_ns)

    def _follow_spec(
        self,
        mode: AnyMode,
        levels: int | None,
        *,
        interval_ms: float | None,
        on_stale: OnStale | None,
        buffer: int,
        buffer_bytes: int,
    ) -> FollowSpec:
        """Raises InvalidArgument, and BookClosed for a book that brings nothing any more."""
        spec = parse_follow_spec(
            mode,
            levels,
            interval_ms=interval_ms,
            on_stale=on_stale,
            default=self._client.config.on_stale,
            buffer=buffer,
            buffer_bytes=buffer_bytes,
        )
        if self.status is Status.CLOSED:
            raise BookClosed(exchange=self.exchange, symbol=self.symbol, reason=self.reason)
        return spec

    def _aged(self, max_age: float | None) -> _native.BookReader:
        """This book, read at such an age at most; None for that of `connect`. Raises InvalidArgument."""
        return self if max_age is None else self.no_older_than(max_age)

    def _waits(self, on_stale: OnStale | None) -> bool:
        """Whether a read waits for the book. Raises InvalidArgument."""
        default = self._client.config.on_stale
        return (default if on_stale is None else parse_on_stale(on_stale)) == "wait"

    def _audit_limit(self, levels: int | None) -> int:
        """The limit of the snapshot that an audit of so many levels asks for. Raises InvalidArgument."""
        venue = self._client.config.settings.venue(self.exchange)
        if levels is None:
            return venue.snapshot_limit(self._client.config.depth)
        try:
            return venue.snapshot_limit(levels)
        except InvalidArgument as error:
            raise InvalidArgument(name="levels", value=levels, allowed=error.allowed) from None

    def save_flight_dump(self, path: str | PathLike[str], *, reason: str = "asked for") -> None:
        """Write the newest raw frames of this book, its snapshot and the book itself to a new file at `path`.

        `reason`: why, to be read in the file. `depthcache verify` replays it. How far back it reaches is
        `Settings(flight_bytes=…)`. Raises FileExistsError and OSError.
        """
        self._client.save_flight_dump(self._number, Path(path), reason)

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
    removed or its client is closed (only `read` waits until it is synced); `status`, `reason`, `since_ns`,
    `age`, `complete_to`, `coverage`, `last_update_id` and `repr` never raise. With `on_stale="serve"` the
    last known book is read instead, and `status` tells that it is not the present. With `max_age` of
    `connect`, or through `no_older_than`, they raise BookTooOld while the last update is too long ago.
    """

    async def wait_synced(self, timeout: float | None = 30) -> None:  # noqa: ASYNC109
        """Wait until the book is synced; at once where it is.

        `timeout`: seconds, None for no end. Raises SyncTimeout, BookClosed when the book or its client
        is closed, UnknownSymbol when the exchange does not know the symbol.
        """
        await self._client.wait_synced(self._number, self, timeout_s=timeout)

    async def read(
        self,
        levels: int | None = None,
        *,
        on_stale: OnStale | None = None,
        max_age: float | None = None,
        timeout: float | None = 30,  # noqa: ASYNC109
    ) -> FrozenBook:
        """As `freeze` of `levels` a side; with `on_stale="wait"` it waits until the book is synced.

        `on_stale`: None takes that of `connect`. `max_age`: as for `freeze`; it does not wait for a younger
        book, but raises BookTooOld. `timeout`: seconds to wait, None for no end. Raises SyncTimeout, and
        what `wait_synced` and `freeze` raise.
        """
        book = self._aged(max_age)
        if not self._waits(on_stale):
            return book.freeze(levels, on_stale=on_stale)
        return await self._client.read_synced(self._number, book, levels, timeout_s=timeout)

    def updates(
        self,
        mode: AnyMode = "latest",
        levels: int | None = LEVELS,
        *,
        interval_ms: float | None = None,
        on_stale: OnStale | None = None,
        buffer: int = BUFFER,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> Updates:
        """Follow this book: `async for update in book.updates("best"):`. Each item is an `Update`.

            mode        an item comes …
            latest      with the newest book, when any level changed
            every       for every update, with the levels it changed (`update.changes`)
            interval    with the newest book at most every `interval_ms`, if any level changed
            best        with the newest book, when the best price or size changes
            levels      the same for any of the best `levels`
            status      when the status changes

        `levels`: a side in each item, None for all; fresh items of `every` hold all.
        `interval_ms`: milliseconds between two items of the mode `interval`, 1 or more; only there.
        `on_stale`: while the book is not synced, `raise` gives one item whose status says so and whose
        levels raise BookNotSynced, `serve` the same with the last known levels, `wait` none until it is
        synced again; None takes that of `connect`. `buffer`, `buffer_bytes`: how many items and bytes the
        mode `every` keeps for a slow consumer.

        The first item comes as soon as the book is synced. A slow consumer loses states in between, which
        the next item counts in `skipped`; where `every` lost updates, the next item is `is_fresh`: a whole
        book to go on from. The last item says closed, then the iteration ends. Raises InvalidArgument, and
        BookClosed.
        """
        spec = self._follow_spec(
            mode,
            levels,
            interval_ms=interval_ms,
            on_stale=on_stale,
            buffer=buffer,
            buffer_bytes=buffer_bytes,
        )
        return Updates(self._client, spec, market=self._number)

    def on_update(
        self,
        callback: Callback,
        mode: AnyMode = "latest",
        *,
        levels: int | None = LEVELS,
        interval_ms: float | None = None,
        on_stale: OnStale | None = None,
        buffer: int = BUFFER,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> CallbackHandle:
        """Call `callback`, a function or a coroutine function, with each item that `updates` would give.

        All other arguments are those of `depthcache.LiveBook.updates`. It is called on the event loop, one
        call after the other, until `close()` of what this returns, or the end of the book. An error in it is
        counted and logged, and changes nothing. Raises InvalidArgument, BookClosed, and UsageError on another
        event loop.
        """
        spec = self._follow_spec(
            mode,
            levels,
            interval_ms=interval_ms,
            on_stale=on_stale,
            buffer=buffer,
            buffer_bytes=buffer_bytes,
        )
        return call_back(self._client, spec, callback, market=self._number)

    def refresh(self) -> None:
        """Have a snapshot merged into this book, as deep as the client's depth; returns at once.

        The book never leaves sync for it; wrong prices are right afterwards (`counters["corrections"]`). It
        waits for its turn within the client's share of the weight. `audit` is the same and tells what it
        found. Nothing for a closed book.
        """
        self._client.refresh(self._number, self._audit_limit(None))

    def refresh_every(self, seconds: float | None) -> None:
        """Have that done by itself every so many `seconds`; None: as the policy says (an hour), 0: never.

        Raises InvalidArgument.
        """
        self._client.refresh_every(self._number, parse_refresh(seconds))

    def resync(self) -> None:
        """Discard the book and rebuild it from a new snapshot; returns at once.

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
        RequestRejected when the exchange refuses the snapshot (the book itself goes on; of many snapshots,
        only the first), InvalidArgument for levels that no snapshot of the exchange has.
        """
        limit = self._audit_limit(levels)
        client = self._client
        return await client.audit(self._number, self, limit, seconds=seconds, timeout_s=timeout)


publish("depthcache", LiveBook)
