"""The same live books for programs without an event loop: `blocking.connect`, from any thread.

    with depthcache.blocking.connect("binance.com", ["BTCUSDT"]) as books:
        book = books["BTCUSDT"]
        book.wait_synced(timeout=30)
        print(book.best)

Every name is that of the asyncio API. The client runs on a thread of its own; all methods may be
called from any thread. Not here: anything of what the client does.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from depthcache._native import FrozenBook, Router, Update
    from depthcache.io.followers import FollowSpec
    from depthcache.model import Best, Level

from depthcache.arguments import Missing
from depthcache.client.books_base import AnyBook, BooksBase
from depthcache.client.callbacks import Callback, CallbackHandle, ThreadCallbacks
from depthcache.client.client import Client
from depthcache.client.config import (
    BLOCKING_START,
    ClientConfig,
    not_started,
    parse_config,
    parse_refresh,
    parse_timeout,
    runs_once,
)
from depthcache.client.follow import BUFFER, BUFFER_BYTES, LEVELS, AnyMode, UpdateStream, make_follower
from depthcache.client.live_book import LiveReader
from depthcache.client.metrics import Collector, Stats, prometheus_text
from depthcache.core.reasons import CLIENT_CLOSED
from depthcache.errors import BookClosed, BookNotSynced, UsageError
from depthcache.io.network.select import real_network
from depthcache.io.network.user_snapshots import SnapshotSource
from depthcache.io.recording.recording_file import RecordingFile
from depthcache.io.thread import LoopEnded, LoopThread
from depthcache.model import Audit, OnStale
from depthcache.settings import Settings

__all__ = ["Books", "LiveBook", "Updates", "connect"]

T = TypeVar("T")
_A_WHILE_S = 3_600.0


@overload
def connect(
    exchange: str,
    symbols: Iterable[str],
    *,
    depth: int = 100,
    on_stale: OnStale = "raise",
    max_age: float | None = None,
    speed_ms: int | None = None,
    settings: Settings | None = None,
    snapshots: SnapshotSource | None = None,
) -> Books: ...
@overload
def connect(
    exchange: Mapping[str, Iterable[str]],
    *,
    depth: int = 100,
    on_stale: OnStale = "raise",
    max_age: float | None = None,
    speed_ms: int | None = None,
    settings: Settings | None = None,
    snapshots: SnapshotSource | None = None,
) -> Books: ...
def connect(
    exchange: str | Mapping[str, Iterable[str]],
    symbols: Iterable[str] | None = None,
    *,
    depth: int = 100,
    on_stale: OnStale = "raise",
    max_age: float | None = None,
    speed_ms: int | None = None,
    settings: Settings | None = None,
    snapshots: SnapshotSource | None = None,
) -> Books:
    """Live books for `with`, or for `start` and `close`; arguments and errors as `depthcache.connect`."""
    asked = parse_config(
        exchange,
        symbols,
        depth=depth,
        on_stale=on_stale,
        max_age=max_age,
        speed_ms=speed_ms,
        settings=settings,
        snapshots=snapshots,
    )
    return Books(asked)


class Updates(UpdateStream):
    """The items of one book, or of many, as they come: `for update in book.updates():`.

    The thread that iterates waits natively: neither the interpreter nor the client's loop is kept from
    their work, and Ctrl-C is noticed within 0.1 s. Leaving the loop in any way loses nothing and hurts
    nothing: the next `for` goes on where this one stopped. `close()` (from any thread), `with` or forgetting
    the object ends it. One thread at a time.
    """

    def __init__(self, client: Client[Any], spec: FollowSpec, *, market: int | None) -> None:
        """Made by `updates` of a book or of books: a `spec`, and the number of a `market`, None for all."""
        self._client = client
        follower = make_follower(client, spec, _nobody_waits, market=market, announces=False)
        super().__init__(client.followers, follower, is_single=market is not None)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Update:
        """The next item. Ends after the item that says closed, and with the client."""
        update = self.take(timeout=None)
        if update is None:
            raise StopIteration
        return update

    def take(self, *, timeout: float | None = 0) -> Update | None:
        """The next item; None where none comes within `timeout` seconds (None: no end), or none any more."""
        timeout_s = parse_timeout(timeout)
        client, follower = self._client, self._follower
        ends_ns = None if timeout_s is None else client.now_ns() + round(timeout_s * 1e9)
        while True:
            now_ns = client.now_ns()
            update = self.take_now(now_ns)
            if update is not None or self._closed or (ends_ns is not None and ends_ns <= now_ns):
                return update
            times = [at_ns for at_ns in (ends_ns, follower.due_ns) if at_ns is not None]
            follower.wait((min(times) - now_ns) / 1e9 if times else _A_WHILE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _nobody_waits() -> None:
    """The follower wakes its thread by itself."""


class LiveBook(LiveReader):
    """The live book of one market, as `depthcache.LiveBook`, with blocking calls.

    Two separate reads are two moments; for values that belong together use `best` or one `freeze`. With
    `on_stale="wait"` the reads `best`, `best_bid`, `best_ask`, `mid`, `microprice`, `spread`, `spread_bps`,
    `freeze` and `read` wait until the book is synced, for 30 s (`read`: `timeout`), then raise SyncTimeout;
    sides cannot wait and raise BookNotSynced. No read waits for a younger book (`max_age`).
    """

    _thread: LoopThread
    _callbacks: ThreadCallbacks

    def __new__(
        cls,
        client: Client[Any],
        router: Router,
        market: int,
        thread: LoopThread,
        *,
        callbacks: ThreadCallbacks,
    ) -> Self:
        """Books come from a client: `books["BTCUSDT"]`, `books.add("BTCUSDT")`."""
        self = super().__new__(cls, client, router, market)
        self._thread, self._callbacks = thread, callbacks
        return self

    @property
    def best(self) -> Best:
        """Both best levels of one update id."""
        try:
            return super().best
        except BookNotSynced as error:
            return self._synced_top(error).best

    @property
    def best_bid(self) -> Level:
        """The highest bid. Raises BookEmpty where there is none, and what `best` raises."""
        try:
            return super().best_bid
        except BookNotSynced as error:
            return self._synced_top(error).best_bid

    @property
    def best_ask(self) -> Level:
        """The lowest ask. Raises BookEmpty where there is none, and what `best` raises."""
        try:
            return super().best_ask
        except BookNotSynced as error:
            return self._synced_top(error).best_ask

    @property
    def mid(self) -> float:
        """(best bid + best ask) / 2, in the quote asset, as `depthcache.BookReader.mid`."""
        try:
            return super().mid
        except BookNotSynced as error:
            return self._synced_top(error).mid

    @property
    def microprice(self) -> float:
        """The mid weighted by the quantities of the other side, as `depthcache.BookReader.microprice`."""
        try:
            return super().microprice
        except BookNotSynced as error:
            return self._synced_top(error).microprice

    @property
    def spread(self) -> float:
        """Best ask - best bid, in the quote asset."""
        try:
            return super().spread
        except BookNotSynced as error:
            return self._synced_top(error).spread

    @property
    def spread_bps(self) -> float:
        """The spread in basis points of the mid: 10,000 * spread / mid."""
        try:
            return super().spread_bps
        except BookNotSynced as error:
            return self._synced_top(error).spread_bps

    def _synced_top(self, error: BookNotSynced) -> FrozenBook:
        """The best levels once the book is synced, where reads wait for that; else raises the error."""
        if not self._waits(None):
            raise error
        return self.read(1)

    def freeze(
        self, levels: int | None = None, *, on_stale: OnStale | None = None, max_age: float | None = None
    ) -> FrozenBook:
        """Both sides of one update id, best `levels` a side (all when None), as a constant.

        `on_stale`: `raise` BookNotSynced, `serve` the last known book, or `wait` for up to 30 s; None takes
        that of `connect`. `max_age`: seconds, as for `depthcache.BookReader.freeze`. Raises SyncTimeout.
        """
        return self.read(levels, on_stale=on_stale, max_age=max_age)

    def read(
        self,
        levels: int | None = None,
        *,
        on_stale: OnStale | None = None,
        max_age: float | None = None,
        timeout: float | None = 30,
    ) -> FrozenBook:
        """As `depthcache.LiveBook.read`; `timeout`: seconds to wait at most, None for no end."""
        waits = self._waits(on_stale)
        parse_timeout(timeout)
        try:
            return super().freeze(levels, on_stale=on_stale, max_age=max_age)
        except BookNotSynced:
            if not waits:
                raise
        client, book = self._client, self._aged(max_age)
        try:
            return self._thread.call(
                lambda: client.read_synced(self._number, book, levels, timeout_s=timeout)
            )
        except LoopEnded:
            raise _closed(self.exchange, self.symbol) from None

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
        """Follow this book: `for update in book.updates("best"):`, as `depthcache.LiveBook.updates`."""
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
        """Call a function with each item that `updates` would give, until `close()` of what this returns.

        `callback`: a function of one Update; all other arguments are those of `depthcache.LiveBook.updates`.
        All functions of one client are called on one thread of it, one call after the other. An error in one
        is counted and logged, and changes nothing. Raises InvalidArgument and BookClosed.
        """
        spec = self._follow_spec(
            mode,
            levels,
            interval_ms=interval_ms,
            on_stale=on_stale,
            buffer=buffer,
            buffer_bytes=buffer_bytes,
        )
        return self._callbacks.call_back(self._client, spec, callback, market=self._number)

    def wait_synced(self, timeout: float | None = 30) -> None:
        """Wait until the book is synced; at once where it is.

        `timeout`: seconds, None for no end. Raises SyncTimeout, BookClosed when the book or its client
        is closed, UnknownSymbol when the exchange does not know the symbol.
        """
        parse_timeout(timeout)
        try:
            self._thread.call(lambda: self._client.wait_synced(self._number, self, timeout_s=timeout))
        except LoopEnded:
            raise _closed(self.exchange, self.symbol) from None

    def refresh(self) -> None:
        """Have a snapshot merged into this book; returns at once. As `depthcache.LiveBook.refresh`."""
        limit = self._audit_limit(None)
        self._do(lambda: self._client.refresh(self._number, limit))

    def refresh_every(self, seconds: float | None) -> None:
        """Have that done by itself every so many `seconds`. As `depthcache.LiveBook.refresh_every`."""
        parsed = parse_refresh(seconds)
        self._do(lambda: self._client.refresh_every(self._number, parsed))

    def resync(self) -> None:
        """Discard the book and rebuild it from a new snapshot. As `depthcache.LiveBook.resync`."""
        self._do(lambda: self._client.resync(self._number))

    def _do(self, act: Callable[[], None]) -> None:
        async def do() -> None:
            act()

        with suppress(LoopEnded):  # the book is closed, and nothing is left to do
            self._thread.call(do)

    def audit(self, levels: int | None = None, *, seconds: float = 0.0, timeout: float | None = 60) -> Audit:
        """Compare this book with the exchange at the same update id, as `depthcache.LiveBook.audit`."""
        parse_timeout(timeout)
        limit, client = self._audit_limit(levels), self._client
        try:
            return self._thread.call(
                lambda: client.audit(self._number, self, limit, seconds=seconds, timeout_s=timeout)
            )
        except LoopEnded:
            raise _closed(self.exchange, self.symbol) from None


class Books(BooksBase[LiveBook]):
    """The live books of a client; made by `connect`, runs inside `with`, or from `start` to `close`.

    Any thread may use it. Keep it as long as you use its books: where it is garbage collected while it runs,
    the client ends, with a ResourceWarning. A program that ends without closing it is not held up.
    """

    def __init__(self, config: ClientConfig) -> None:
        # Nothing here refers to this object: what runs on the thread must not keep it alive.
        self._callbacks = callbacks = ThreadCallbacks(name="depthcache-callbacks")
        self._client: Client[LiveBook] = Client(
            config,
            make_book=lambda client, router, market: LiveBook(
                client, router, market, thread, callbacks=callbacks
            ),
            make_network=real_network,
            how_to_start=BLOCKING_START,
        )
        self._client.on_loop_ended = callbacks.end
        self._thread = thread = LoopThread(_running(self._client, callbacks), name="depthcache")
        self._begins = Lock()
        self._has_begun = self._is_entered = False

    def start(self) -> Self:
        """Start the client, and return it: for REPLs and notebooks, where `with` does not fit.

            books = depthcache.blocking.connect("binance.com", ["BTCUSDT"]).start()

        `close` ends it. A client that runs is given back as it is, and may be entered afterwards. Raises
        UsageError for one that has ended.
        """
        with self._begins:
            if self._has_begun and not self._client.is_running:
                raise runs_once()
            if not self._has_begun:
                self._has_begun = True
                self._thread.start()
        return self

    def __enter__(self) -> Self:
        if self._is_entered:
            raise runs_once()
        self.start()
        self._is_entered = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def recording(self) -> RecordingFile | None:
        """The file to which everything is recorded, with `Settings(record_to=…)`; None without.

        A path; it also says how many lines were lost (`lost`) and why nothing is written now (`error`).
        """
        return self._client.recording

    def stats(self) -> Stats:
        """Counters, ages and delays of every book, connection and weight budget, at this moment."""

        async def read() -> Stats:
            return self._client.stats()

        try:
            return self._thread.call(read)
        except LoopEnded:
            return Stats(books=(), connections=(), budgets=())

    def prometheus(self) -> str:
        """The same in the text format of Prometheus.

        Needs the package prometheus-client (`pip install depthcache[prometheus]`); raises PackageMissing
        without it.
        """
        return prometheus_text(self.stats())

    def collector(self) -> Collector:
        """The same for a registry of prometheus_client: `REGISTRY.register(books.collector())`.

        It reads at each scrape. Needs the package prometheus-client; raises PackageMissing without it.
        """
        return Collector(self.stats)

    def wait_synced(
        self,
        timeout: float | None = 30,
        *,
        books: Iterable[AnyBook] | None = None,
        missing: Missing = "raise",
    ) -> list[LiveBook]:
        """Wait until these books are synced at the same moment, and return them.

        Arguments and errors are those of `depthcache.Books.wait_synced`.
        """
        parse_timeout(timeout)
        keys, client = self._chosen(books, missing=missing), self._client
        try:
            return self._call(lambda: client.wait_all_synced(keys, timeout_s=timeout, missing=missing))
        except LoopEnded:
            return self._ended(missing)

    def wait_any_synced(
        self,
        timeout: float | None = 30,
        *,
        books: Iterable[AnyBook] | None = None,
        missing: Missing = "raise",
    ) -> list[LiveBook]:
        """Wait until one of these books is synced, or more; returns those that are.

        Arguments as `depthcache.Books.wait_synced`. Raises SyncTimeout when none was in time; BookClosed or
        UnknownSymbol when all of them have ended; with `missing="skip"` the list is empty instead.
        """
        parse_timeout(timeout)
        keys, client = self._chosen(books, missing=missing), self._client
        try:
            return self._call(lambda: client.wait_any_synced(keys, timeout_s=timeout, missing=missing))
        except LoopEnded:
            return self._ended(missing)

    def _ended(self, missing: Missing) -> list[LiveBook]:
        """What waiting comes to when nothing runs any more."""
        for book in self:
            if missing == "raise":
                raise _closed(book.exchange, book.symbol) from None
        return []

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
        """Follow all books of this client as one stream, as `depthcache.LiveBook.updates` does one."""
        spec = self._follow_spec(
            mode,
            levels,
            interval_ms=interval_ms,
            on_stale=on_stale,
            buffer=buffer,
            buffer_bytes=buffer_bytes,
        )
        return Updates(self._client, spec, market=None)

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
        """Call a function with each item of all books, as `depthcache.LiveBook.on_update` does for one.

        `callback`: a function of one Update; all other arguments are those of `depthcache.LiveBook.updates`.
        """
        spec = self._follow_spec(
            mode,
            levels,
            interval_ms=interval_ms,
            on_stale=on_stale,
            buffer=buffer,
            buffer_bytes=buffer_bytes,
        )
        return self._callbacks.call_back(self._client, spec, callback, market=None)

    def add(self, symbol: str, exchange: str | None = None) -> LiveBook:
        """Begin one more book and return it, not synced yet; the one that is there, if it is.

        `symbol`: in any case. `exchange` may be left out while the client has exactly one. Raises
        UnknownExchange, InvalidArgument, and BookClosed once the client is closed.
        """
        venue, parsed = self._client.config.book(exchange, symbol)

        async def add() -> LiveBook:
            return self._client.add(symbol, exchange)

        try:
            return self._call(add)
        except LoopEnded:
            raise _closed(venue.name, parsed) from None

    def add_all(self, symbols: Iterable[str], exchange: str | None = None) -> list[LiveBook]:
        """Begin several books in one step, or none of them; those that are there go on.

        `symbols`: as for `connect`. `exchange` may be left out while the client has exactly one. One step
        subscribes them together, which adding one after the other does not. Raises UnknownExchange,
        InvalidArgument, and BookClosed once the client is closed.
        """
        several = self._client.config.several(exchange, symbols)

        async def add() -> list[LiveBook]:
            return self._client.add_all(several)

        try:
            return self._call(add)
        except LoopEnded:
            for venue, symbol in several:
                raise _closed(venue.name, symbol) from None
            return []

    def remove(self, symbol: str, exchange: str | None = None) -> None:
        """End a book for good; reading it raises BookClosed from now on.

        `symbol`, `exchange`: which book; the exchange may be left out where only one holds the symbol.
        Raises UnknownSymbol for a book that is not held, UnknownExchange.
        """

        async def remove() -> None:
            self._client.remove(self._find(symbol if exchange is None else (exchange, symbol)))

        try:
            self._call(remove)
        except LoopEnded:  # nothing runs any more: what is left is the name
            self._client.remove(self._find(symbol if exchange is None else (exchange, symbol)))

    def close(self) -> None:
        """End all books, connections and the thread; `with` does it. May be called more than once."""
        if self._has_begun:
            self._thread.stop()
            self._callbacks.join()

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        client: Client[LiveBook] | None = getattr(self, "_client", None)
        if client is not None and client.is_forgotten:
            client.is_abandoned = True
            self._thread.abandon()
            _warn(
                f"{len(client.books)} live books are closed: their Books object was forgotten; keep it, "
                "and close() it at the end, or use `with`",
                ResourceWarning,
                source=self,
            )

    if not TYPE_CHECKING:  # type checkers say that there is no such thing

        async def __aenter__(self) -> NoReturn:
            raise UsageError(f"`async with` cannot run this client: {BLOCKING_START}")

        async def __aexit__(self, *_: object) -> None:
            """Never reached; without it `async with` would not ask for the other."""

        def __await__(self) -> NoReturn:
            raise UsageError(f"`await` cannot start this client: {BLOCKING_START}")

    def _call(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if not self._has_begun:
            raise not_started(BLOCKING_START)
        return self._thread.call(work)


def _closed(exchange: str, symbol: str) -> BookClosed:
    return BookClosed(exchange=exchange, symbol=symbol, reason=CLIENT_CLOSED)


@asynccontextmanager
async def _running(client: Client[LiveBook], callbacks: ThreadCallbacks) -> AsyncGenerator[None]:
    await client.start()
    try:
        yield
    finally:
        try:
            await client.aclose()
        finally:
            callbacks.end()


def __dir__() -> list[str]:
    return list(__all__)
