"""The asyncio API: `connect` and the set of live books that it makes.

`blocking` is the same for threads. Not here: how a client is put together (`client`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, overload

from depthcache.arguments import Missing
from depthcache.client.books_base import AnyBook, BooksBase
from depthcache.client.callbacks import Callback, CallbackHandle, call_back
from depthcache.client.client import Client
from depthcache.client.config import ASYNC_START, ClientConfig, parse_config, runs_once
from depthcache.client.follow import BUFFER, BUFFER_BYTES, LEVELS, AnyMode, Updates
from depthcache.client.live_book import LiveBook
from depthcache.client.metrics import SCRAPE_TIMEOUT_S, Collector, Stats, prometheus_text
from depthcache.errors import UsageError
from depthcache.io.network.select import real_network
from depthcache.io.network.user_snapshots import SnapshotSource
from depthcache.io.recording.recording_file import RecordingFile
from depthcache.model import OnStale
from depthcache.naming import publish
from depthcache.settings import Settings

__all__ = ["Books", "connect"]


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
    """Live books of one exchange, or of several: `connect({"binance.com": ["BTCUSDT"], …})`.

        async with depthcache.connect("binance.com", ["BTCUSDT", "ETHUSDT"]) as books:
            await books.wait_synced()
            print(books["BTCUSDT"].best)

    Without a block: `books = await depthcache.connect(…)`, and `await books.aclose()` at the end. Nothing is
    opened before either. Wrong arguments are raised here, at once.

    Args:
        exchange: an exchange name, or a mapping of exchange names to symbols.
        symbols: in any case; twice the same is once; may be empty, books can be added later.
        depth: how many levels a side you need complete; the client chooses its snapshots for it.
        on_stale: what reading a book does that is not synced: `raise` BookNotSynced, `serve` the last
            known book, whose `status` then tells what it is, or `wait` until it is synced. Waiting is for
            `await book.read()` and for following; whatever returns at once raises BookNotSynced then, too.
        max_age: in seconds; reads of a book whose last update was received longer ago raise BookTooOld,
            though it is synced. `book.no_older_than(seconds)` does so for single reads. None: any age; a
            quiet market has an old book that is right.
        speed_ms: update speed of the streams; None takes the exchange's fastest documented one.
        settings: other hosts, patience, proxies; None takes `Settings.from_environment()`.
        snapshots: your own way to depth snapshots (a proxy of your own, a gateway with keys): called with
            a SnapshotRequest on its own thread, for each snapshot that the weight budget allows. It returns
            the body (bytes, text or the parsed mapping) or a `SnapshotResponse`; for None the client asks the
            exchange itself. Raising RequestRejected counts as that response of the exchange, any other
            exception as no response; both are retried where that makes sense.

    Raises:
        UnknownExchange: with the names most like it.
        InvalidArgument: for anything else that cannot work.
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
    )
    return Books(asked)


class Books(BooksBase[LiveBook]):
    """The live books of a client; made by `connect`, runs inside `async with`, or from `await` to `aclose`.

    `books["BTCUSDT"]` or `books["binance.com", "BTCUSDT"]` is a LiveBook, a loop runs over the books,
    `keys`, `values`, `items`, `get`, `in` and `len` work. All methods belong to the event loop that started
    it; the books themselves may be read from any thread. After the end reads raise BookClosed.

    Keep it as long as you use its books: where it is garbage collected while it runs, the client ends, with a
    ResourceWarning.
    """

    def __init__(self, config: ClientConfig, *, client: Client[LiveBook] | None = None) -> None:
        """`config`: the checked arguments of `connect`. `client`: one that runs elsewhere than on the real
        network; made here when None."""
        if client is None:
            client = Client(config, make_book=LiveBook, make_network=real_network)
        self._client = client
        self._is_entered = False

    def __await__(self) -> Generator[Any, None, Self]:
        """Start the client: `books = await depthcache.connect(…)`; `await books.aclose()` ends it.

        A client that runs is given back as it is, and may be entered afterwards. Raises UsageError for one
        that has ended, and on another event loop.
        """
        return self._start().__await__()

    async def _start(self) -> Self:
        if self._client.is_running:
            self._client.check_loop()
        else:
            await self._client.start()
        return self

    async def __aenter__(self) -> Self:
        if self._is_entered:
            raise runs_once()
        await self._start()
        self._is_entered = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    @property
    def recording(self) -> RecordingFile | None:
        """The file to which everything is recorded, with `Settings(record_to=…)`; None without.

        A path; it also says how many lines were lost (`lost`) and why nothing is written now (`error`).
        """
        return self._client.recording

    def stats(self) -> Stats:
        """Counters, ages and delays of every book, connection and weight budget, at this moment."""
        return self._client.stats()

    def prometheus(self) -> str:
        """The same in the text format of Prometheus.

        Needs the package prometheus-client (`pip install depthcache[prometheus]`); raises PackageMissing
        without it.
        """
        return prometheus_text(self._client.stats())

    def collector(self) -> Collector:
        """The same for a registry of prometheus_client: `REGISTRY.register(books.collector())`.

        It reads at each scrape. A scrape on another thread waits for the event loop; after 5 s it raises
        TimeoutError, and Prometheus reports the program as down. Needs the package prometheus-client;
        raises PackageMissing without it.
        """
        return Collector(lambda: self._client.stats_from_any_thread(SCRAPE_TIMEOUT_S))

    async def wait_synced(
        self,
        timeout: float | None = 30,  # noqa: ASYNC109
        *,
        books: Iterable[AnyBook] | None = None,
        missing: Missing = "raise",
    ) -> list[LiveBook]:
        """Wait until these books are synced at the same moment, and return them.

        `timeout`: seconds, None for no end. `books`: symbols, pairs of exchange and symbol, or books; all
        when None, also those added meanwhile. `missing`: what happens when one of them is not to be had:

            raise   SyncTimeout, which names all that are late; UnknownSymbol, as soon as one is not held here
                    or the exchange does not list it, which names all of those; BookClosed when one, or the
                    client, is closed
            skip    the others are waited for; those that are synced are returned, at the latest after
                    `timeout`

        Raises InvalidArgument and UnknownExchange in any case.
        """
        chosen = self._chosen(books, missing=missing)
        return await self._client.wait_all_synced(chosen, timeout_s=timeout, missing=missing)

    async def wait_any_synced(
        self,
        timeout: float | None = 30,  # noqa: ASYNC109
        *,
        books: Iterable[AnyBook] | None = None,
        missing: Missing = "raise",
    ) -> list[LiveBook]:
        """Wait until one of these books is synced, or more; returns those that are.

        Arguments as `depthcache.Books.wait_synced`. Raises SyncTimeout when none was in time; BookClosed or
        UnknownSymbol when all of them have ended; with `missing="skip"` the list is empty instead.
        """
        chosen = self._chosen(books, missing=missing)
        return await self._client.wait_any_synced(chosen, timeout_s=timeout, missing=missing)

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
        """Follow all books of this client as one stream, also those that are added while it runs.

        Arguments and items are those of `depthcache.LiveBook.updates`; `update.exchange` and
        `update.symbol` tell whose it is. A book that ends says so in its last item; the iteration ends with
        the client.
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
        return call_back(self._client, spec, callback, market=None)

    def add(self, symbol: str, exchange: str | None = None) -> LiveBook:
        """Begin one more book and return it, not synced yet; the one that is there, if it is.

        `symbol`: in any case. `exchange` may be left out while the client has exactly one. Raises
        UnknownExchange, InvalidArgument, and BookClosed once the client is closed.
        """
        return self._client.add(symbol, exchange)

    def add_all(self, symbols: Iterable[str], exchange: str | None = None) -> list[LiveBook]:
        """Begin several books in one step, or none of them; those that are there go on.

        `symbols`: as for `connect`. `exchange` may be left out while the client has exactly one. One step
        subscribes them together, which adding one after the other does not. Raises UnknownExchange,
        InvalidArgument, and BookClosed once the client is closed.
        """
        return self._client.add_all(self._client.config.several(exchange, symbols))

    def remove(self, symbol: str, exchange: str | None = None) -> None:
        """End a book for good; reading it raises BookClosed from now on.

        `symbol`, `exchange`: which book; the exchange may be left out where only one holds the symbol.
        Raises UnknownSymbol for a book that is not held, UnknownExchange.
        """
        self._client.remove(self._find(symbol if exchange is None else (exchange, symbol)))

    async def aclose(self) -> None:
        """End all books and connections; `async with` does it. May be called more than once."""
        await self._client.aclose()

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        client: Client[LiveBook] | None = getattr(self, "_client", None)
        if client is not None and client.is_forgotten:
            client.abandon()
            _warn(
                f"{len(client.books)} live books are closed: their Books object was forgotten; keep it, "
                "and `await books.aclose()` at the end, or use `async with`",
                ResourceWarning,
                source=self,
            )

    if not TYPE_CHECKING:  # type checkers say that there is no such thing

        def __enter__(self) -> NoReturn:
            raise UsageError(f"`with` cannot run this client: {ASYNC_START}")

        def __exit__(self, *_: object) -> None:
            """Never reached; without it `with` would not ask for the other."""


publish("depthcache", Books, connect)
