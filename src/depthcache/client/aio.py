"""The asyncio API: `connect`, and the set of live books that it returns.

`depthcache.blocking` is the same API for threads.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from functools import partial
from os import PathLike
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
    """Create a client for live books of one exchange, or of several with a mapping.

        async with depthcache.connect("binance.com", ["BTCUSDT", "ETHUSDT"]) as books:
            await books.wait_synced()
            print(books["BTCUSDT"].best)

    For several exchanges pass a mapping: `{"binance.com": ["BTCUSDT"], "binance.com-futures": ["ETHUSDT"]}`.
    To use the client without a block, write `books = await depthcache.connect(…)`, and end it with
    `await books.aclose()`. The call itself checks its arguments and opens nothing.

    Args:
        exchange: an exchange name, or a mapping of exchange names to symbols.
        symbols: in any case; duplicates are ignored; may be empty, since you can add books later.
        depth: how many levels per side you need complete; the client chooses its snapshots accordingly.
        on_stale: what reads do while a book is not synced: `raise` BookNotSynced, `serve` the last known book
            (check its `status`), or `wait` until it is synced. Only `await book.read()` and following can
            wait; reads that return immediately raise BookNotSynced with `wait` as well.
        max_age: in seconds. Reads of a synced book raise BookTooOld if its last update was received longer
            ago. None allows any age: a quiet market has an old book that is still right. For single reads use
            `book.no_older_than(seconds)`.
        speed_ms: the update speed of the streams in milliseconds; None uses the fastest one that the exchange
            documents.
        settings: hosts, timeouts, proxies and more; None uses `Settings.from_environment()`.
        snapshots: your own source of depth snapshots, such as a proxy or a gateway with API keys. It is
            called with a SnapshotRequest, on its own thread, for each snapshot that the weight budget allows,
            and returns the body (bytes, text or the parsed mapping) or a `SnapshotResponse`. If it returns
            None, the client asks the exchange itself. If it raises RequestRejected, this counts as the
            exchange's response; any other exception counts as no response. Both are retried where a retry can
            help.
        server: URL of a book server (`depthcache serve`) to take all books from instead of the exchange,
            such as `https://books.example:42081`; several in a list, of which the next takes over when one
            is lost. None uses that of the settings, and without one the exchange itself.
        token: the token that the server demands of clients on other machines; None uses the environment
            variable DEPTHCACHE_TOKEN, if it is set.
        ca: PEM file with the authorities, or the certificate, by which the server is known; None uses
            `ca_file` of the settings.
        fingerprint: SHA-256 of the server's certificate, instead of `ca`: only this certificate is trusted.

    Raises:
        UnknownExchange: with the most similar names.
        InvalidArgument: for any other invalid argument.
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


class Books(BooksBase[LiveBook]):
    """The live books of a client, from `connect`; runs inside `async with`, or from `await` to `aclose`.

    `books["BTCUSDT"]` or `books["binance.com", "BTCUSDT"]` is a LiveBook. Iteration yields the books; `keys`,
    `values`, `items`, `get`, `in` and `len` work as for a mapping. All methods belong to the event loop on
    which the client was started; any thread may read the books. After the client has ended, reads raise
    BookClosed.

    Keep a reference to it while you use its books: if it is garbage collected while running, the client ends
    with a ResourceWarning.
    """

    def __init__(self, config: ClientConfig, *, client: Client[LiveBook] | None = None) -> None:
        """Use `connect` instead.

        `config`: the checked arguments of `connect`. `client`: a client on a network other than the real one;
        None creates one on the real network.
        """
        if client is None:
            make = real_network if config.access is None else partial(real_network, access=config.access)
            client = Client(config, make_book=LiveBook, make_network=make)
        self._client = client
        self._is_entered = False

    def __await__(self) -> Generator[Any, None, Self]:
        """Start the client: `books = await depthcache.connect(…)`; `await books.aclose()` ends it.

        Returns a running client unchanged; you can still enter it with `async with`. Raises UsageError if the
        client has ended, or on another event loop.
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
        """The file to which `Settings(record_to=…)` records everything; None without that setting.

        It is a path with two further attributes: `lost` counts lines that were lost, `error` is why nothing
        is being written.
        """
        return self._client.recording

    def stats(self) -> Stats:
        """Return the counters, ages and delays of all books, connections and weight budgets."""
        return self._client.stats()

    def prometheus(self) -> str:
        """Return the statistics in the Prometheus text format.

        Needs the package prometheus-client (`pip install "depthcache[prometheus]"`); raises PackageMissing
        without it.
        """
        return prometheus_text(self._client.stats())

    def collector(self) -> Collector:
        """Create a collector for prometheus_client: `REGISTRY.register(books.collector())`.

        It reads the statistics at each scrape. A scrape on another thread waits for the event loop; after 5 s
        it raises TimeoutError, and Prometheus reports the target as down. Needs the package
        prometheus-client; raises PackageMissing without it.
        """
        return Collector(lambda: self._client.stats_from_any_thread(SCRAPE_TIMEOUT_S))

    async def wait_synced(
        self,
        timeout: float | None = 30,  # noqa: ASYNC109
        *,
        books: Iterable[AnyBook] | None = None,
        missing: Missing = "raise",
    ) -> list[LiveBook]:
        """Wait until all of these books are synced at the same moment, and return them.

        `timeout`: in seconds; None waits indefinitely. `books`: symbols, pairs of exchange and symbol, or
        books; None for all, including books added while waiting. `missing`: what to do if a book does not
        sync:

            raise   SyncTimeout, which names all late books; UnknownSymbol as soon as a book is not in this
            client or
                    its symbol is not listed, which names all unknown symbols; BookClosed if a book or the
                    client is closed; ServerRefused if no book server accepts the client's token, or their
                    certificates are not trusted
            skip    wait for the other books only; after `timeout` at the latest, return those that are synced

        Raises InvalidArgument and UnknownExchange in either case.
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
        """Wait until at least one of these books is synced, and return all that are.

        Arguments as for `depthcache.Books.wait_synced`. Raises SyncTimeout if none synced in time,
        ServerRefused, and BookClosed or UnknownSymbol if all of them are closed; with `missing="skip"` the
        list is empty instead.
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
        """Follow all books of this client as one stream, including books added later.

        Arguments and items are those of `depthcache.LiveBook.updates`; `update.exchange` and `update.symbol`
        name the book. The last item of a removed book has the status `closed`; the iteration ends with the
        client.
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

        `callback`: a function or coroutine function that takes one `Update`. All other arguments are those of
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
        return call_back(self._client, spec, callback, market=None)

    def add(self, symbol: str, exchange: str | None = None) -> LiveBook:
        """Add a book and return it, not synced yet; return the existing one if the client already has it.

        A closed book, such as one that was delisted, is replaced by a new one. `symbol`: in any case.
        `exchange`: may be omitted if the client has exactly one. Raises UnknownExchange, InvalidArgument, and
        BookClosed after the client was closed.
        """
        return self._client.add(symbol, exchange)

    def add_all(self, symbols: Iterable[str], exchange: str | None = None) -> list[LiveBook]:
        """Add several books in one step and return them: all of them, or none on an error.

        `symbols`: as for `connect`; books that the client already has are returned as they are. `exchange`:
        may be omitted if the client has exactly one. One call subscribes all books together, which separate
        calls of `add` do not. Raises UnknownExchange, InvalidArgument, and BookClosed after the client was
        closed.
        """
        return self._client.add_all(self._client.config.several(exchange, symbols))

    def remove(self, symbol: str, exchange: str | None = None) -> None:
        """Remove a book and close it for good; from now on its reads raise BookClosed.

        `symbol`, `exchange`: the book; the exchange may be omitted if only one has the symbol. Raises
        UnknownSymbol if this client does not have the book, and UnknownExchange.
        """
        self._client.remove(self._find(symbol if exchange is None else (exchange, symbol)))

    async def aclose(self) -> None:
        """Close all books and connections; `async with` does this for you. May be called more than once."""
        await self._client.aclose()

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        client: Client[LiveBook] | None = getattr(self, "_client", None)
        if client is not None and client.is_forgotten:
            client.abandon()
            _warn(
                f"{len(client.books)} live books were closed: their Books object was garbage collected; "
                "keep a reference to it and call `await books.aclose()`, or use `async with`",
                ResourceWarning,
                source=self,
            )

    if not TYPE_CHECKING:  # so that type checkers reject `with`

        def __enter__(self) -> NoReturn:
            raise UsageError(f"`with` cannot run this client: {ASYNC_START}")

        def __exit__(self, *_: object) -> None:
            """Never called; `with` needs it to get as far as `__enter__`."""


publish("depthcache", Books, connect)
