"""Live books of a running client.

All reads are native; this module adds waiting, following and audits.
"""

from __future__ import annotations

from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

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
    """The part of a live book that the asyncio and the blocking API share."""

    _client: Client[Any]
    _number: int

    def __new__(cls, client: Client[Any], router: Router, market: int) -> Self:
        """Created by a client: use `books["BTCUSDT"]` or `books.add("BTCUSDT")`."""
        config = client.config
        serve_stale = config.on_stale == "serve"
        self = super().__new__(cls, router, market, serve_stale=serve_stale, max_age_s=config.max_age_s)
        self._client, self._number = client, market
        return self

    @property
    def age(self) -> float | None:
        """Seconds since the last update was received, or the snapshot if no update followed it.

        None before the first snapshot. A quiet market has an old book that is still right; whether a book can
        be trusted is its `status`.
        """
        updated_ns = self.updated_ns
        return None if updated_ns is None else max(0, self._client.now_ns() - updated_ns) / 1e9

    @property
    def reconnects(self) -> int:
        """The number of times the connection for this book was lost and replaced.

        A planned handover before the exchange's 24 h limit does not count. 0 for a closed book.
        """
        uptime = self._client.uptime(self._number)
        return 0 if uptime is None else uptime.reconnects

    @property
    def reconnected_ns(self) -> int | None:
        """The time of the last reconnect, in nanoseconds of the clock `depthcache.now_ns`; None if never."""
        uptime = self._client.uptime(self._number)
        return None if uptime is None else uptime.reconnected_ns

    @property
    def reconnected_at(self) -> datetime | None:
        """`reconnected_ns` as a UTC datetime of the system's clock; None before a reconnect."""
        at_ns = self.reconnected_ns
        return None if at_ns is None else self._wall_time(at_ns)

    @property
    def lag(self) -> Lag | None:
        """The delay of the last update, from the exchange's event time to its receipt here.

        The exchange's clock is estimated; see `Lag.error`. While the book waits for its first update, the lag
        is that of the buffered diffs. Changes of the system's clock have no effect. None before the first
        diff, and in the first seconds of a client, until the exchange's time is known.
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
        """Check the arguments for following. Raises InvalidArgument, and BookClosed for a closed book."""
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
        """This book with a `max_age`; None keeps that of `connect`. Raises InvalidArgument."""
        return self if max_age is None else self.no_older_than(max_age)

    def _waits(self, on_stale: OnStale | None) -> bool:
        """Whether a read waits until the book is synced. Raises InvalidArgument."""
        default = self._client.config.on_stale
        return (default if on_stale is None else parse_on_stale(on_stale)) == "wait"

    def _audit_limit(self, levels: int | None) -> int:
        """The snapshot limit for an audit of `levels` levels. Raises InvalidArgument."""
        venue = self._client.config.settings.venue(self.exchange)
        if levels is None:
            return venue.snapshot_limit(self._client.config.depth)
        try:
            return venue.snapshot_limit(levels)
        except InvalidArgument as error:
            raise InvalidArgument(name="levels", value=levels, allowed=error.allowed) from None

    def save_flight_dump(self, path: str | PathLike[str], *, reason: str = "requested") -> None:
        """Write the flight recorder of this book to a new file at `path`.

        The file holds the newest raw frames, the snapshot they follow, and the current book; replay it with
        `depthcache verify`. `reason`: a note stored in the file. `Settings(flight_bytes=…)` limits how far
        back the frames reach. Raises FileExistsError and OSError.
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
    """The live book of one market. Any thread may read it; every read sees complete updates only.

    Each read is atomic: `best` and `freeze` return both sides at one update id. Separate reads are not:
    between `book.bids[0]` and `book.asks[0]` an update may be applied. For values that belong together, use
    `best` or one `freeze`.

    Reads of levels raise BookNotSynced while the book cannot be trusted and BookClosed after it was removed
    or its client closed; only `read` can wait until it is synced. With `on_stale="serve"` they return the
    last known book instead; check `status`. With the `max_age` of `connect`, or through `no_older_than`, they
    raise BookTooOld if the last update is too old. `status`, `reason`, `since_ns`, `age`, `complete_to`,
    `coverage`, `last_update_id` and `repr` never raise.
    """

    async def wait_synced(self, timeout: float | None = 30) -> None:  # noqa: ASYNC109
        """Wait until the book is synced; return immediately if it already is.

        `timeout`: in seconds; None waits indefinitely. Raises SyncTimeout, BookClosed if the book or its
        client is closed, UnknownSymbol if the exchange does not know the symbol, and ServerRefused if no book
        server accepts the client.
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
        """Freeze the best `levels` of each side, waiting for the book if `on_stale="wait"`.

        `levels`: per side; None for all. `on_stale`: None uses that of `connect`. `max_age`: in seconds, as
        for `freeze`; an old book raises BookTooOld, it is not waited for. `timeout`: the longest wait for
        sync, in seconds; None waits indefinitely. Raises SyncTimeout, and whatever `wait_synced` and `freeze`
        raise.
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

            mode        yields
            latest      the newest book, when any level changed
            every       every update, with the levels it changed (`update.changes`)
            interval    the newest book at most every `interval_ms`, if any level changed
            best        the newest book, when the best price or size changes
            levels      the newest book, when any of the best `levels` changes
            status      the book, when its status changes

        `levels`: levels per side in each item, None for all; fresh items of mode `every` hold all levels.
        `interval_ms`: milliseconds between two items, at least 1; only for mode `interval`. `on_stale`: while
        the book is not synced, `raise` yields one item with the new status, whose levels raise BookNotSynced;
        `serve` yields the same item with the last known levels; `wait` yields nothing until the book is
        synced again. None uses that of `connect`. `buffer`, `buffer_bytes`: how many items and bytes mode
        `every` keeps for a slow consumer.

        The first item arrives as soon as the book is synced. A slow consumer gets conflated items: `skipped`
        counts the updates left out. If mode `every` had to drop updates, the next item is `is_fresh` and
        holds the whole book. The last item has the status `closed`, then the iteration ends. Raises
        InvalidArgument, and BookClosed for a closed book.
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

    if not TYPE_CHECKING:  # type checkers report `async for` by themselves

        def __aiter__(self) -> NoReturn:
            """Raises TypeError: a book has several ways to be followed."""
            raise TypeError("follow a book with `async for update in book.updates(…)`")

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
        """Call `callback` with each item that `updates` would yield.

        `callback`: a function or coroutine function that takes one `Update`. All other arguments are those of
        `depthcache.LiveBook.updates`. Calls run on the event loop, one at a time, until you `close()` the
        returned handle or the book is closed. An exception in the callback is counted and logged; following
        continues. Raises InvalidArgument, BookClosed, and UsageError on another event loop.
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
        """Schedule a refresh of this book and return immediately.

        A snapshot as deep as the client's depth is merged into the book, which stays synced. Wrong prices are
        corrected (`counters["corrections"]`). The request waits for its turn in the client's weight budget.
        To see what was found, use `audit`. No effect on a closed book.
        """
        self._client.refresh(self._number, self._audit_limit(None))

    def refresh_every(self, seconds: float | None) -> None:
        """Set the interval, in `seconds`, of automatic refreshes; 0 disables them.

        None uses the interval of the policy, one hour by default. Raises InvalidArgument.
        """
        self._client.refresh_every(self._number, parse_refresh(seconds))

    def resync(self) -> None:
        """Discard the book and rebuild it from a new snapshot; return immediately.

        Until the snapshot arrives, reads raise BookNotSynced. You rarely need this: the client resyncs a book
        after a gap by itself, and `refresh` corrects prices without a loss of sync. No effect on a closed
        book.
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

        Every price inside the range that both prove is compared. Differences are corrected, and the complete
        range is then that of the snapshot; without differences it is the wider of the two. An audit costs the
        weight of one snapshot within the client's budget, so it may wait for its turn.

        `levels`: how deep to compare; None uses the client's depth. `seconds`: keep comparing for this long,
        with a snapshot every 20 s and with the partial depth and bookTicker streams wherever their update id
        is the book's. `timeout`: seconds per snapshot; None waits indefinitely. Raises SyncTimeout;
        BookClosed; RequestRejected if the exchange refuses the snapshot (over a period only for the first
        one; the book stays as it is); InvalidArgument for a number of levels that no snapshot of the exchange
        has.
        """
        limit = self._audit_limit(levels)
        client = self._client
        return await client.audit(self._number, self, limit, seconds=seconds, timeout_s=timeout)


publish("depthcache", LiveBook)
