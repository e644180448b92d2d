"""The caches of one manager. Each is a live book of the client behind them.

Thread-safe: changes hold a lock, reads do not, and no code of the program is called under the lock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from threading import Event, Lock

from depthcache import (
    BookClosed,
    BookNotSynced,
    Settings,
    Side,
    SnapshotRequest,
    SnapshotResponse,
    Stats,
    Status,
    UnknownSymbol,
    blocking,
    now_ns,
    venues,
)
from depthcache.compat.ubldc import logs
from depthcache.compat.ubldc.exceptions import (
    DepthCacheAlreadyStopped,
    DepthCacheNotFound,
    DepthCacheOutOfSync,
)
from depthcache.compat.ubldc.reads import MOST_LEVELS, read_levels

__all__ = ["Cache", "LocalBooks"]


_ENOUGH, _PATIENCE_S = MOST_LEVELS * 4 // 5, 300.0
"""The client deepens a book with fewer proven levels than this; with many books, that takes a while."""


class Stamp:
    """Converts times of the client's clock to system time, always to the same value for the same moment."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: tuple[int, float] | None = None

    def of(self, at_ns: int | None) -> float | None:
        """Seconds since 1970; the previous value for None."""
        known = self._known
        if at_ns is not None and (known is None or known[0] != at_ns):
            known = self._known = (at_ns, time.time() - (now_ns() - at_ns) / 1e9)
        return None if known is None else known[1]


class Cache:
    """The cache of one market; `market` is its name in lower case."""

    market: str
    book: blocking.LiveBook
    refresh_interval: float | None

    def __init__(self, market: str, book: blocking.LiveBook, refresh_interval: float | None) -> None:
        self.market, self.book, self.refresh_interval = market, book, refresh_interval
        self.stopped: bool = False
        """Whether the program stopped this cache; stopping the manager does not count."""
        self._ended = self._was_synced = False
        self._restarts = 0
        self._unknown: str | None = None
        self.restarts_told = 0
        """Number of restarts that the program was notified of."""
        self._updated, self._restarted, self._born_s = Stamp(), Stamp(), time.monotonic()
        self._warned = False

    @property
    def unknown(self) -> str:
        """Why the exchange does not know the market; empty as long as it may exist."""
        if self._unknown is None:
            if self._ended or self.book.status is not Status.CLOSED:
                return ""
            self._unknown = _why_unknown(self.book)
            if self._unknown:
                logs.unknown_market(market=self.market, reason=self._unknown)
        return self._unknown

    @property
    def is_synced(self) -> bool:
        """Whether the book is synced."""
        return not self._ended and self.book.status is Status.SYNCED

    @property
    def last_update_ms(self) -> int | None:
        """System time in milliseconds of the last update, or of the last comparison with a snapshot."""
        at = self._updated.of(self.book.confirmed_ns)
        return None if at is None else round(at * 1000)

    @property
    def restarts(self) -> int:
        """How often its connection was lost and replaced."""
        return self._restarts if self._ended else self.book.reconnects

    @property
    def restarted_at(self) -> float | None:
        """System time of the last restart in seconds; None if there was none."""
        return self._restarted.of(self.book.reconnected_ns)

    def end(self) -> None:
        """Keep the last state, because the book is about to be closed."""
        if not self._ended:
            self._restarts, self._was_synced = self.restarts, self.is_synced
            self._updated.of(self.book.confirmed_ns)
            self._restarted.of(self.book.reconnected_ns)
            self._ended = True

    def read(self, side: str, limit_count: int | None, threshold_volume: float | None) -> list[list[float]]:
        """One side, as `reads.read_levels`. Raises the errors of the old library in its order."""
        if self._ended:
            raise (
                DepthCacheAlreadyStopped(self.market)
                if self._was_synced
                else DepthCacheOutOfSync(self.market)
            )
        levels: Side = self.book.asks if side == "asks" else self.book.bids
        try:
            found = read_levels(levels, limit_count, threshold_volume)
        except BookNotSynced as error:
            raise DepthCacheOutOfSync(self.market, reason=error.reason) from None
        except BookClosed as error:
            if self._ended:  # another thread stopped it meanwhile
                raise DepthCacheAlreadyStopped(self.market) from None
            raise DepthCacheOutOfSync(self.market, reason=error.reason) from None
        if not self._warned and limit_count is None:
            self._look_at_depth(side, len(found))
        return found

    def _look_at_depth(self, side: str, levels: int) -> None:
        """Warn once if the levels are not proven although the client has had enough time."""
        proven = self.book.coverage.asks if side == "asks" else self.book.coverage.bids
        if proven < min(levels, _ENOUGH) and time.monotonic() - self._born_s > _PATIENCE_S:
            self._warned = True
            logs.shallow(market=self.market, side=side, levels=proven)


class LocalBooks:
    """All caches of a manager. The client behind them starts with the first one."""

    def __init__(
        self,
        exchange: str,
        *,
        speed_ms: int | None,
        settings: Settings,
        snapshots: Callable[[SnapshotRequest], SnapshotResponse | None],
    ) -> None:
        """Raises UnknownExchange and InvalidArgument; does no I/O."""
        self._venue = venues.venue(exchange)
        self._books = blocking.connect(
            exchange,
            [],
            depth=MOST_LEVELS,
            speed_ms=speed_ms,
            settings=settings,
            snapshots=snapshots,
        )
        self._changes = Lock()
        self.running_since: float = 0.0
        """System time at which the client started; 0.0 before."""
        self.stopped: Event = Event()
        self.caches: Mapping[str, Cache] = {}
        """All caches by lower-case name, including stopped ones. Replaced as a whole, for lock-free reads."""

    def __iter__(self) -> Iterator[Cache]:
        return iter(self.caches.values())

    def create(self, markets: list[str], refresh_interval: float | None) -> None:
        """Create caches of these markets; existing ones are left alone."""
        symbols = dict.fromkeys(venues.parse_symbol(market, self._venue) for market in markets)
        with self._changes:
            held = self.caches
            new = [each for each in symbols if (old := held.get(each.lower())) is None or old.stopped]
            if not new:
                return
            if self.stopped.is_set():
                raise DepthCacheAlreadyStopped(new[0].lower())
            if not self.running_since:
                self._books.start()
                self.running_since = time.time()
            made = {}
            for symbol, book in zip(new, self._books.add_all(new), strict=True):
                made[symbol.lower()] = Cache(symbol.lower(), book, refresh_interval)
                if refresh_interval is not None:
                    book.refresh_every(refresh_interval)
            self.caches = {**held, **made}

    def find(self, market: object) -> Cache:
        """The cache of a name in any case. Raises DepthCacheNotFound."""
        found = self.get(market)
        if found is None:
            raise DepthCacheNotFound(market.lower() if isinstance(market, str) else None)
        return found

    def get(self, market: object) -> Cache | None:
        """The cache of a name in any case; None if there is none."""
        return self.caches.get(self._key(market)) if isinstance(market, str) else None

    def known(self, market: object) -> Cache:
        """The cache of a name. Raises DepthCacheNotFound, also if the exchange does not know the market."""
        cache = self.find(market)
        if cache.unknown:
            raise DepthCacheNotFound(cache.market, reason=cache.unknown)
        return cache

    def running(self, market: object) -> Cache:
        """The cache of a name. Raises DepthCacheNotFound, also for a stopped one."""
        cache = self.known(market)
        if cache.stopped:
            raise DepthCacheNotFound(cache.market, reason="it was stopped")
        return cache

    def stop(self, market: str) -> None:
        """Stop one cache with its stream and book. Its name stays known. Raises DepthCacheNotFound."""
        with self._changes:
            cache = self.find(market)
            if not cache.stopped:
                cache.stopped = True
                cache.end()
                self._books.remove(cache.book.symbol)

    def close(self) -> None:
        """Stop all caches and the client. Safe to call more than once and from any thread."""
        with self._changes:
            self.stopped.set()
            for cache in self:
                cache.end()
        self._books.close()

    def stats(self) -> Stats:
        """Stats of the client; empty before it has started."""
        return self._books.stats() if self.running_since else Stats(books=(), connections=(), budgets=())

    def _key(self, market: str) -> str:
        lowered = market.lower()
        for separator in self._venue.symbol_separators:
            lowered = lowered.replace(separator, "")
        return lowered


def _why_unknown(book: blocking.LiveBook) -> str:
    """Why the exchange does not know the symbol of a closed book; empty if it was closed otherwise."""
    try:
        book.wait_synced(timeout=0)
    except UnknownSymbol as unknown:
        return str(unknown)
    except BookClosed:
        pass
    return ""
