"""The blocking API: live books for threads, without an event loop of your own.

    with depthcache.blocking.connect("binance.com", ["BTCUSDT"]) as books:
        book = books["BTCUSDT"]
        book.wait_synced(timeout=30)
        print(book.best)

All names are those of the asyncio API. The client runs on its own thread; any thread may call any method.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from os import PathLike
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
    server: str | Sequence[str] | None = None,
    token: str | None = None,
    ca: str | PathLike[str] | None = None,
    fingerprint: str | None = None,
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
    server: str | Sequence[str] | None = None,
    token: str | None = None,
    ca: str | PathLike[str] | None = None,
    fingerprint: str | None = None,
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
    server: str | Sequence[str] | None = None,
    token: str | None = None,
    ca: str | PathLike[str] | None = None,
    fingerprint: str | None = None,
) -> Books:
    """Create a client for use with `with`, or with `start` and `close`.

    Arguments and errors are those of `depthcache.connect`.
    """
    asked = parse_config(
        exchange,
        symbols,
        depth=depth,
        on_stale=on_stale,
        max_age=max_age,
        speed_ms=speed_ms,
        settings=settings,
        snapshots=snapshots,
        server=server,
        token=token,
        ca=ca,
        fingerprint=fingerprint,
    )
    return Books(asked)


class Updates(UpdateStream):
    """The items of one book or of all books: `for update in book.updates():`.

    The iterating thread waits natively: it holds neither the interpreter lock nor the client's loop, and
    reacts to Ctrl-C within 0.1 s. You can leave the loop at any point without losing items; the next `for`
    continues there. To end it, call `close()` (from any thread), use `with`, or drop the last reference. Only
    one thread at a time may iterate.
    """

    def __init__(self, client: Client[Any], spec: FollowSpec, *, market: int | None) -> None:
        """Created by `updates` of a book or client.

        `spec`: what to follow. `market`: the number of the book; None for all books.
        """
        self._client = client
        follower = make_follower(client, spec, _nobody_waits, market=market, announces=False)
        super().__init__(client.followers, follower, is_single=market is not None)

    def __iter__(self) -> Self:
        return self

    if not TYPE_CHECKING:  # type checkers report `async for` by themselves

        def __aiter__(self) -> NoReturn:
            """Raises TypeError: these items block the thread."""
            raise TypeError("iterate with plain `for`; for `async for`, use depthcache.connect")

    def __next__(self) -> Update:
        """Wait for the next item. Iteration ends after an item with status `closed`, or with the client."""
        update = self.take(timeout=None)
        if update is None:
            raise StopIteration
        return update

    def take(self, *, timeout: float | None = 0) -> Update | None:
        """Wait for the next item, at most `timeout` seconds (None: indefinitely; 0: return immediately).

        Returns None on timeout, or once iteration has ended.
        """
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
    """The live book of one market, like `depthcache.LiveBook`, with blocking calls.

    Separate reads are not atomic: for values that belong together, use `best` or one `freeze`. With
    `on_stale="wait"`, `best`, `best_bid`, `best_ask`, `mid`, `microprice`, `spread`, `spread_bps`, `freeze`
    and `read` wait up to 30 s (`read`: `timeout`) until the book is synced, then raise SyncTimeout. Sides
    cannot wait; they raise BookNotSynced. A book that exceeds `max_age` raises BookTooOld at once; reads do
    not wait for a newer update.
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
        """Created by a client: use `books["BTCUSDT"]` or `books.add("BTCUSDT")`."""
        self = super().__new__(cls, client, router, market)
        self._thread, self._callbacks = thread, callbacks
        return self

    @property
    def best(self) -> Best:
        """The best bid and best ask at one update id."""
        try:
            return super().best
        except BookNotSynced as error:
            return self._synced_top(error).best

    @property
    def best_bid(self) -> Level:
        """The highest bid. Raises BookEmpty if there are no bids, and whatever `best` raises."""
        try:
            return super().best_bid
        except BookNotSynced as error:
            return self._synced_top(error).best_bid

    @property
    def best_ask(self) -> Level:
        """The lowest ask. Raises BookEmpty if there are no asks, and whatever `best` raises."""
        try:
            return super().best_ask
        except BookNotSynced as error:
            return self._synced_top(error).best_ask

    @property
    def mid(self) -> float:
        """(best bid + best ask) / 2, in the quote asset; see `depthcache.BookReader.mid`."""
        try:
            return super().mid
        except BookNotSynced as error:
            return self._synced_top(error).mid

    @property
    def microprice(self) -> float:
        """The mid weighted by the quantity on the other side; see `depthcache.BookReader.microprice`."""
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
        """Wait for the book if its reads wait, and return the best levels; otherwise raise the error."""
        if not self._waits(None):
            raise error
        return self.read(1)

    def freeze(
        self, levels: int | None = None, *, on_stale: OnStale | None = None, max_age: float | None = None
    ) -> FrozenBook:
        """Copy the best `levels` of each side (None for all) at one update id into a constant book.

        `on_stale`: `raise` BookNotSynced, `serve` the last known book, or `wait` up to 30 s; None uses that
        of `connect`. `max_age`: in seconds, as for `depthcache.BookReader.freeze`. Raises SyncTimeout, and
        whatever `depthcache.BookReader.freeze` raises.
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
        """Freeze the book as `depthcache.LiveBook.read` does; same arguments.

        `timeout`: the longest wait for sync, in seconds; None waits indefinitely.
        """
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
        """Follow this book: `for update in book.updates("best"):`.

        Arguments and items are those of `depthcache.LiveBook.updates`.
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
        """Call `callback` with each item that `updates` would yield, until you `close()` the returned handle.

        `callback`: a function that takes one `Update`. All other arguments are those of
        `depthcache.LiveBook.updates`. All callbacks of one client run on the same thread, one call at a time.
        An exception in a callback is counted and logged; following continues. Raises InvalidArgument and
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
        return self._callbacks.call_back(self._client, spec, callback, market=self._number)

    def wait_synced(self, timeout: float | None = 30) -> None:
        """Wait until the book is synced; return immediately if it already is.

        `timeout`: in seconds; None waits indefinitely. Raises SyncTimeout, BookClosed if the book or its
        client is closed, UnknownSymbol if the exchange does not know the symbol, and ServerRefused if no book
        server accepts the client.
        """
        parse_timeout(timeout)
        try:
            self._thread.call(lambda: self._client.wait_synced(self._number, self, timeout_s=timeout))
        except LoopEnded:
            raise _closed(self.exchange, self.symbol) from None

    def refresh(self) -> None:
        """Schedule a refresh of this book and return immediately, as `depthcache.LiveBook.refresh` does."""
        limit = self._audit_limit(None)
        self._do(lambda: self._client.refresh(self._number, limit))

    def refresh_every(self, seconds: float | None) -> None:
        """Set the interval of automatic refreshes in `seconds`; see `depthcache.LiveBook.refresh_every`."""
        parsed = parse_refresh(seconds)
        self._do(lambda: self._client.refresh_every(self._number, parsed))

    def resync(self) -> None:
        """Discard the book and rebuild it from a new snapshot, as `depthcache.LiveBook.resync` does."""
        self._do(lambda: self._client.resync(self._number))

    def _do(self, act: Callable[[], None]) -> None:
        async def do() -> None:
            act()

        with suppress(LoopEnded):  # the book is closed: nothing to do
            self._thread.call(do)

    def audit(self, levels: int | None = None, *, seconds: float = 0.0, timeout: float | None = 60) -> Audit:
        """Compare this book with a snapshot of the exchange.

        Arguments, results and errors are those of `depthcache.LiveBook.audit`.
        """
        parse_timeout(timeout)
        limit, client = self._audit_limit(levels), self._client
        try:
            return self._thread.call(
                lambda: client.audit(self._number, self, limit, seconds=seconds, timeout_s=timeout)
            )
        except LoopEnded:
            raise _closed(self.exchange, self.symbol) from None


class Books(BooksBase[LiveBook]):
    """The live books of a client, created by `connect`; runs inside `with`, or from `start` to `close`.

    Any thread may use it. Keep a reference to it while you use its books: if it is garbage collected while
    running, the client ends with a ResourceWarning. A client that is still running does not delay the exit of
    the program.
    """

    def __init__(self, config: ClientConfig) -> None:
        # The thread must not hold a reference to this object, or it would never be garbage collected.
        self._callbacks = callbacks = ThreadCallbacks(name="depthcache-callbacks")
        self._client: Client[LiveBook] = Client(
            config,
            make_book=lambda client, router, market: LiveBook(
                client, router, market, thread, callbacks=callbacks
            ),
            make_network=real_network
            if config.access is None
            else partial(real_network, access=config.access),
            how_to_start=BLOCKING_START,
        )
        self._client.on_loop_ended = callbacks.end
        self._thread = thread = LoopThread(_running(self._client, callbacks), name="depthcache")
        self._begins = Lock()
        self._has_begun = self._is_entered = False

    def start(self) -> Self:
        """Start the client and return it, for REPLs and notebooks where `with` is inconvenient.

            books = depthcache.blocking.connect("binance.com", ["BTCUSDT"]).start()

        `close` ends it. Returns a running client unchanged; you can still enter it with `with`. Raises
        UsageError if the client has ended.
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
        """The file to which `Settings(record_to=…)` records everything; None without that setting.

        It is a path with two further attributes: `lost` counts lines that were lost, `error` is why nothing
        is being written.
        """
        return self._client.recording

    def stats(self) -> Stats:
        """Return the counters, ages and delays of all books, connections and weight budgets."""

        async def read() -> Stats:
            return self._client.stats()

        try:
            return self._thread.call(read)
        except LoopEnded:
            return Stats(books=(), connections=(), budgets=())

    def prometheus(self) -> str:
        """Return the statistics in the Prometheus text format.

        Needs the package prometheus-client (`pip install "depthcache[prometheus]"`); raises PackageMissing
        without it.
        """
        return prometheus_text(self.stats())

    def collector(self) -> Collector:
        """Create a collector for prometheus_client: `REGISTRY.register(books.collector())`.

        It reads the statistics at each scrape. Needs the package prometheus-client; raises PackageMissing
        without it.
        """
        return Collector(self.stats)

    def wait_synced(
        self,
        timeout: float | None = 30,
        *,
        books: Iterable[AnyBook] | None = None,
        missing: Missing = "raise",
    ) -> list[LiveBook]:
        """Wait until all of these books are synced at the same moment, and return them.

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
        """Wait until at least one of these books is synced, and return all that are.

        Arguments as for `depthcache.Books.wait_synced`. Raises SyncTimeout if none synced in time,
        ServerRefused, and BookClosed or UnknownSymbol if all of them are closed; with `missing="skip"` the
        list is empty instead.
        """
        parse_timeout(timeout)
        keys, client = self._chosen(books, missing=missing), self._client
        try:
            return self._call(lambda: client.wait_any_synced(keys, timeout_s=timeout, missing=missing))
        except LoopEnded:
            return self._ended(missing)

    def _ended(self, missing: Missing) -> list[LiveBook]:
        """The result of waiting after the client's thread has ended."""
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
        """Follow all books of this client as one stream, including books added later.

        Arguments and items are those of `depthcache.LiveBook.updates`.
        """
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
        """Call `callback` with each item of all books, as `depthcache.LiveBook.on_update` does for one book.

        `callback`: a function that takes one `Update`. All other arguments are those of
        `depthcache.LiveBook.updates`.
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
        """Add a book and return it, not synced yet; return the existing one if the client already has it.

        A closed book, such as one that was delisted, is replaced by a new one. `symbol`: in any case.
        `exchange`: may be omitted if the client has exactly one. Raises UnknownExchange, InvalidArgument, and
        BookClosed after the client was closed.
        """
        venue, parsed = self._client.config.book(exchange, symbol)

        async def add() -> LiveBook:
            return self._client.add(symbol, exchange)

        try:
            return self._call(add)
        except LoopEnded:
            raise _closed(venue.name, parsed) from None

    def add_all(self, symbols: Iterable[str], exchange: str | None = None) -> list[LiveBook]:
        """Add several books in one step and return them: all of them, or none on an error.

        `symbols`: as for `connect`; books that the client already has are returned as they are. `exchange`:
        may be omitted if the client has exactly one. One call subscribes all books together, which separate
        calls of `add` do not. Raises UnknownExchange, InvalidArgument, and BookClosed after the client was
        closed.
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
        """Remove a book and close it for good; from now on its reads raise BookClosed.

        `symbol`, `exchange`: the book; the exchange may be omitted if only one has the symbol. Raises
        UnknownSymbol if this client does not have the book, and UnknownExchange.
        """

        async def remove() -> None:
            self._client.remove(self._find(symbol if exchange is None else (exchange, symbol)))

        try:
            self._call(remove)
        except LoopEnded:  # the loop has ended, so this thread may remove the name itself
            self._client.remove(self._find(symbol if exchange is None else (exchange, symbol)))

    def close(self) -> None:
        """Close all books and connections and end the thread; `with` does this for you.

        May be called more than once.
        """
        if self._has_begun:
            self._thread.stop()
            self._callbacks.join()

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        client: Client[LiveBook] | None = getattr(self, "_client", None)
        if client is not None and client.is_forgotten:
            client.is_abandoned = True
            self._thread.abandon()
            _warn(
                f"{len(client.books)} live books were closed: their Books object was garbage collected; "
                "keep a reference to it and call `books.close()`, or use `with`",
                ResourceWarning,
                source=self,
            )

    if not TYPE_CHECKING:  # so that type checkers reject `async with` and `await`

        async def __aenter__(self) -> NoReturn:
            raise UsageError(f"`async with` cannot run this client: {BLOCKING_START}")

        async def __aexit__(self, *_: object) -> None:
            """Never called; `async with` needs it to get as far as `__aenter__`."""

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
