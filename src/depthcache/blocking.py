"""The same live books for programs without an event loop: `blocking.connect`, from any thread.

    with depthcache.blocking.connect("binance.com", ["BTCUSDT"]) as books:
        book = books["BTCUSDT"]
        book.wait_synced(timeout=30)
        print(book.best)

Every name is that of the asyncio face. The client runs on a thread of its own; all methods may be
called from any thread. Not here: anything of what the client does.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from depthcache._native import Router

from depthcache.caches import real_network
from depthcache.client import Client
from depthcache.errors import BookClosed, UsageError
from depthcache.io.snapshots import SnapshotSource
from depthcache.io.thread import LoopEnded, LoopThread
from depthcache.lookup import Lookup
from depthcache.metrics import Facts, prometheus_text
from depthcache.model import Audit
from depthcache.settings import Settings
from depthcache.view import LiveReader
from depthcache.wanted import Wanted, parse_refresh, parse_timeout, wanted

__all__ = ["Books", "LiveBook", "connect"]

T = TypeVar("T")


@overload
def connect(
    exchange: str,
    symbols: Iterable[str],
    *,
    depth: int = 100,
    on_stale: Literal["raise", "serve"] = "raise",
    speed_ms: int | None = None,
    settings: Settings | None = None,
    snapshots: SnapshotSource | None = None,
) -> Books: ...
@overload
def connect(
    exchange: Mapping[str, Iterable[str]],
    *,
    depth: int = 100,
    on_stale: Literal["raise", "serve"] = "raise",
    speed_ms: int | None = None,
    settings: Settings | None = None,
    snapshots: SnapshotSource | None = None,
) -> Books: ...
def connect(
    exchange: str | Mapping[str, Iterable[str]],
    symbols: Iterable[str] | None = None,
    *,
    depth: int = 100,
    on_stale: Literal["raise", "serve"] = "raise",
    speed_ms: int | None = None,
    settings: Settings | None = None,
    snapshots: SnapshotSource | None = None,
) -> Books:
    """Live books for `with`; arguments and errors are those of `depthcache.connect`."""
    asked = wanted(
        exchange,
        symbols,
        depth=depth,
        on_stale=on_stale,
        speed_ms=speed_ms,
        settings=settings,
        snapshots=snapshots,
    )
    return Books(asked)


class LiveBook(LiveReader):
    """The live book of one market, as `depthcache.LiveBook`, with a blocking `wait_synced`.

    Two separate reads are two moments; for values that belong together use `best` or one `freeze`.
    """

    _thread: LoopThread

    def __new__(cls, client: Client[Any], router: Router, market: int, thread: LoopThread) -> Self:
        """Books come from a client: `books["BTCUSDT"]`, `books.add("BTCUSDT")`."""
        self = super().__new__(cls, client, router, market)
        self._thread = thread
        return self

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
        """Give the book up and build it anew; returns at once. As `depthcache.LiveBook.resync`."""
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
                lambda: client.audit_for(self._number, self, limit, seconds=seconds, timeout_s=timeout)
            )
        except LoopEnded:
            raise _closed(self.exchange, self.symbol) from None


class Books(Lookup[LiveBook]):
    """The live books of a client; made by `connect`, runs inside `with`. Any thread may use it."""

    def __init__(self, wanted: Wanted) -> None:
        self._client: Client[LiveBook] = Client(
            wanted,
            make_book=lambda client, router, market: LiveBook(client, router, market, self._thread),
            make_network=real_network,
        )
        self._thread = LoopThread(_running(self._client), name="depthcache")
        self._entered = False

    def __enter__(self) -> Self:
        if self._entered:
            raise UsageError("a client runs once: make another with connect(…)")
        self._entered = True
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def recording(self) -> Path | None:
        """The file to which everything is recorded, with `Settings(record_to=…)`; None without."""
        return self._client.recording

    def facts(self) -> Facts:
        """Counters, ages and delays of every book, connection and weight budget, at this moment."""

        async def read() -> Facts:
            return self._client.facts()

        try:
            return self._thread.call(read)
        except LoopEnded:
            return Facts(books=(), connections=(), budgets=())

    def prometheus(self) -> str:
        """The same in the text format of Prometheus (needs the package prometheus-client)."""
        return prometheus_text(self.facts())

    def wait_synced(self, timeout: float | None = 30) -> None:
        """Wait until all books are synced at the same moment.

        `timeout`: seconds, None for no end. Raises SyncTimeout naming a book that is late, BookClosed
        when the client is closed, UnknownSymbol as soon as the exchange does not know one.
        """
        parse_timeout(timeout)
        try:
            self._call(lambda: self._client.wait_all_synced(timeout_s=timeout))
        except LoopEnded:
            for book in self:
                raise _closed(book.exchange, book.symbol) from None

    def add(self, symbol: str, exchange: str | None = None) -> LiveBook:
        """Begin one more book and return it, not synced yet; the one that is there, if it is.

        `symbol`: in any case. `exchange` may be left out while the client has exactly one. Raises
        UnknownExchange, InvalidArgument, and BookClosed once the client is closed.
        """
        venue, parsed = self._client.wanted.book(exchange, symbol)

        async def add() -> LiveBook:
            return self._client.add(symbol, exchange)

        try:
            return self._call(add)
        except LoopEnded:
            raise _closed(venue.name, parsed) from None

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
        if self._entered:
            self._thread.stop()

    def _call(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if not self._entered:
            raise UsageError("the client does not run yet: enter it first, with `with connect(…) as books`")
        return self._thread.call(work)


def _closed(exchange: str, symbol: str) -> BookClosed:
    return BookClosed(exchange=exchange, symbol=symbol, reason="the client was closed")


@asynccontextmanager
async def _running(client: Client[LiveBook]) -> AsyncIterator[None]:
    await client.start()
    try:
        yield
    finally:
        await client.aclose()
