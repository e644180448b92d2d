"""One running client: router, core, runner and network, assembled.

Both APIs (`aio` for asyncio, `blocking` for threads) are thin layers on top. A client lives on one event
loop; everything but `books` must be called there. Decisions about books are in `core`, waiting is in
`waiters` and `audits`.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, TypeVar, assert_never

from depthcache import logs
from depthcache._native import BookReader, FrozenBook, Router, _on_fork
from depthcache.arguments import Missing
from depthcache.client.audits import Audits
from depthcache.client.config import ASYNC_START, ClientConfig, not_started, runs_once
from depthcache.client.metrics import BookStats, BudgetStats, ConnectionStats, Stats
from depthcache.client.waiters import Waiting
from depthcache.core.client import ClientCore
from depthcache.core.connections.connection import ConnectionSlot
from depthcache.core.context import from_exchange
from depthcache.core.markets.uptime import Uptime
from depthcache.core.notices import (
    AccessRefused,
    AuditDone,
    CopyFailed,
    Ending,
    StatusChanged,
    TroubleFound,
)
from depthcache.core.reasons import CLIENT_CLOSED
from depthcache.core.requests.budget import Budgets
from depthcache.errors import BookClosed, DepthCacheError, NetworkError, UsageError
from depthcache.events import DelayHistogram, HeardDiff
from depthcache.io.budgets import shared_budgets
from depthcache.io.followers import CALLBACK_DRAIN_S, Followers
from depthcache.io.forks import HomeProcess
from depthcache.io.network.interface import ClosableNetwork, lacks_descriptors
from depthcache.io.network.user_snapshots import OwnSnapshots, start_on_thread
from depthcache.io.recording.flight_dumps import FlightDumps, write_flight_dump
from depthcache.io.recording.recorder import Recorder, RecordingNetwork
from depthcache.io.recording.recording_file import RecordingFile
from depthcache.io.runner import BookNotice, Runner
from depthcache.model import Audit, Lag, Status
from depthcache.settings import Settings
from depthcache.venues import Venue, node_url

__all__ = ["BookRequest", "Client", "Key"]

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_on_fork)

Key = tuple[str, str]
"""Exchange name and symbol, in the exchange's spelling."""

BookRequest = tuple[str, str, int | None, int | None]
"""Exchange, symbol, depth and update speed in milliseconds; None for those of the configuration."""

B = TypeVar("B", bound=BookReader)
T = TypeVar("T")
_ABANDONED = "the Books object was garbage collected: keep a reference to it while you use its books"


class Client(Generic[B]):
    """Order of calls: `start` once, then `add`, `remove` and `wait_synced`, then `aclose`."""

    def __init__(
        self,
        config: ClientConfig,
        *,
        make_book: Callable[[Client[B], Router, int], B],
        make_network: Callable[[Settings], ClosableNetwork],
        random: Callable[[], float] = random.random,
        budgets: Callable[[], Budgets] = shared_budgets,
        start_call: Callable[[Callable[[], None]], None] = start_on_thread,
        copy_from: Callable[[str, str], str | None] = from_exchange,
        how_to_start: str = ASYNC_START,
    ) -> None:
        """See `ClientConfig` for `config`.

        `random`: numbers from 0.0 to 1.0, for pauses. `budgets`: the weight budgets of this address.
        `start_call`: starts a call of the snapshot source. `copy_from`: as for `ClientCore`. `how_to_start`:
        the hint in errors about a client that was not started.
        """
        self.config: ClientConfig = config
        self.how_to_start: str = how_to_start
        self._random, self._budgets, self._start_call = random, budgets, start_call
        self._copy_from = copy_from
        self.books: Mapping[Key, B] = {}
        """All books, in the order they were added. Never modified but replaced, so any thread may read it."""
        self.named: dict[object, B] = {}
        """Books by the names under which users looked them up; replaced after `books`."""
        self._make_book, self._make_network = make_book, make_network
        self._markets: Mapping[Key, int] = {}
        """Also replaced as a whole."""
        self._keys: dict[int, Key] = {}
        """The books of the markets."""
        self._audits = Audits(self._call_core, is_closed=lambda: self._closed)
        self._waiting = Waiting(self.check_loop, lambda market: self._core.access_refused(market))
        self._synced: set[int] = set()
        self._lost: dict[int, int] = {}
        """Books that lost sync and since when, as logged."""
        self._network: ClosableNetwork | None = None
        self._recorder: Recorder | None = None
        self._flights: FlightDumps | None = None
        self._pending_dumps: set[asyncio.Future[None]] = set()
        self._callback_tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self.is_abandoned: bool = False
        """Whether the user's object was garbage collected while the client ran."""
        self.on_loop_ended: Callable[[], None] = lambda: None
        """Called, on any thread, when the event loop has ended before the client was closed."""
        self.on_trouble: Callable[[TroubleFound], None] = lambda _: None
        """Called when a book is in trouble."""
        self.on_status: Callable[[Key, StatusChanged], None] = _ignore_status
        """Called when a book has another status."""
        self.on_copy_failed: Callable[[Key, str, str], None] = _ignore_failure
        """Called when a book server did not give the book that was to be copied: its base URL, and why."""
        self.on_books: tuple[Callable[[], None], ...] = ()
        """Called when books were added or removed; on the event loop."""

    # --- getters ------------------------------------------------------------------------------

    @property
    def started(self) -> bool:
        """Whether the client was started, so that it can have books."""
        return self._network is not None

    @property
    def unexpected(self) -> tuple[str, ...]:
        """Internal errors that were caught; empty unless the client has a bug."""
        return self._runner.unexpected if hasattr(self, "_runner") else ()

    @property
    def is_running(self) -> bool:
        """Whether the client was started and has not ended."""
        return self.started and not self._closed

    @property
    def recording(self) -> RecordingFile | None:
        """The recording of this client; None if nothing is recorded."""
        return None if self._recorder is None else self._recorder.recording

    def save_flight_dump(self, market: int, path: Path, reason: str) -> None:
        """Write the flight recorder of a market to a file. Raises OSError."""
        write_flight_dump(path, self._router.flight_log(market), reason, clock=self.now_ns)

    def now_ns(self) -> int:
        """The clock of this client, in nanoseconds. Raises UsageError before it was started."""
        if self._network is None:
            raise not_started(self.how_to_start)
        return self._network.now_ns()

    @property
    def followers(self) -> Followers:
        """The followers of this client. Raises UsageError before it was started."""
        if not self.started:
            raise not_started(self.how_to_start)
        return self._runner.followers

    def markets(self) -> Iterable[int]:
        """The numbers of all markets; callable from any thread."""
        return self._markets.values()

    def uptime(self, market: int) -> Uptime | None:
        """The time in sync, losses and reconnects of a market; None if there is no such market."""
        return self._core.uptime(market)

    def lag(self, market: int, event_time_us: int, received_ns: int) -> Lag | None:
        """The lag of an update; None while the exchange's clock is unknown."""
        clock = self._core.clock(market)
        if clock is None:
            return None
        return Lag((received_ns + clock.offset_ns - event_time_us * 1_000) / 1e9, clock.error_ns / 1e9)

    def heard(self, market: int) -> HeardDiff | None:
        """The newest diff of a book, applied or not; None if there is none or the book is closed."""
        try:
            return self._router.heard(market)
        except KeyError:
            return None

    def last_diff(self, market: int) -> HeardDiff | None:
        """The last diff applied since the snapshot; None if there is none or the book is closed."""
        try:
            return self._router.last_diff(market)
        except KeyError:
            return None

    def stats(self) -> Stats:
        """The current statistics."""
        if self._network is None or self._closed:
            return Stats(books=(), connections=(), budgets=())
        now_ns = self._network.now_ns()
        numbers = self._markets.items()
        return Stats(
            books=tuple(self._book_stats(number, self.books[key], now_ns) for key, number in numbers),
            connections=tuple(self._connection_stats(slot, now_ns) for slot in self._core.slots()),
            budgets=tuple(
                BudgetStats(
                    pool=scheduler.pool.strip(),
                    limit=scheduler.budget.limit,
                    allowed=scheduler.most,
                    used=scheduler.budget.used(now_ns),
                    exchange_used=scheduler.budget.counted,
                    waiting=scheduler.waiting,
                    in_flight=scheduler.in_flight,
                    stopped_s=scheduler.budget.stopped_s(now_ns),
                    times=tuple(scheduler.times),
                    times_sum_s=scheduler.times_ns / 1e9,
                )
                for scheduler in self._core.schedulers()
            ),
        )

    def exchange_clocks(self, wall_ns: int) -> dict[str, tuple[float, float]]:
        """How far the clock of each exchange is ahead of the system's, which is at `wall_ns`, and the error,
        in seconds."""
        if self._network is None or self._closed:
            return {}
        now_ns = self._network.now_ns()
        return {
            name: ((now_ns + each.offset_ns - wall_ns) / 1e9, each.error_ns / 1e9)
            for name, each in self._core.clocks().items()
        }

    def stats_from_any_thread(self, timeout_s: float) -> Stats:
        """The current statistics, callable from any thread.

        Raises TimeoutError if the event loop is blocked for longer than `timeout_s`.
        """
        if self._network is None or self._closed or _running_loop() is self._loop:
            return self.stats()
        found: Future[Stats] = Future()

        def read() -> None:
            try:
                found.set_result(self.stats())
            except BaseException as error:
                found.set_exception(error)
                raise

        try:
            self._loop.call_soon_threadsafe(read)
        except RuntimeError:  # the loop has ended
            return Stats(books=(), connections=(), budgets=())
        try:
            return found.result(timeout_s)
        except TimeoutError:
            if self._closed:
                return self.stats()
            raise TimeoutError(
                f"the event loop of the client was blocked for more than {timeout_s:g} s"
            ) from None

    def _book_stats(self, market: int, book: BookReader, now_ns: int) -> BookStats:
        updated_ns, confirmed_ns = book.updated_ns, book.confirmed_ns
        uptime = self._core.uptime(market)
        delays = DelayHistogram((), 0) if uptime is None else self._router.delays(market)
        return BookStats(
            exchange=book.exchange,
            symbol=book.symbol,
            status=book.status,
            counters=book.counters,
            age_s=None if updated_ns is None else (now_ns - updated_ns) / 1e9,
            confirmed_s=None if confirmed_ns is None else (now_ns - confirmed_ns) / 1e9,
            levels=book.coverage,
            complete_to=book.complete_to,
            in_sync=0.0 if uptime is None else uptime.share(now_ns),
            losses=0 if uptime is None else uptime.losses,
            reconnects=0 if uptime is None else uptime.reconnects,
            detect_s=0.0 if uptime is None else uptime.detect_ns / 1e9,
            recover_s=0.0 if uptime is None else uptime.recover_ns / 1e9,
            delays=delays.counts,
            delays_sum_s=delays.sum_us / 1e6,
        )

    def _connection_stats(self, slot: ConnectionSlot, now_ns: int) -> ConnectionStats:
        came = None if slot.connection is None else self._router.traffic(slot.connection)
        life_ns = slot.last_alive_ns()
        carried = [feed.market for _, feed in slot.subscriptions.subscribers() if feed.takes_diffs]
        delays = [self._router.delays(market) for market in carried]
        return ConnectionStats(
            exchange=slot.venue.name,
            number=slot.number,
            streams=len(slot.subscriptions),
            is_open=slot.is_open,
            frames=0 if came is None else came.frames,
            received_bytes=0 if came is None else came.received_bytes,
            quiet_s=max(0, now_ns - life_ns) / 1e9 if life_ns else None,
            connects=slot.connects,
            delays=tuple(map(sum, zip(*(each.counts for each in delays), strict=True))),
            delays_sum_s=sum(each.sum_us for each in delays) / 1e6,
        )

    # --- commands -----------------------------------------------------------------------------

    def refresh(self, market: int, limit: int) -> None:
        """Schedule a snapshot with that limit to be merged into a book; the result is not reported."""
        if not self._closed and market in self._markets.values():
            self.check_loop()
            self._audits.begin(market, limit)

    def refresh_every(self, market: int, seconds: float | None) -> None:
        """Set how often a book is refreshed; None for the policy's interval, 0 for never."""
        if not self._closed and market in self._markets.values():
            self.check_loop()
            self._runner.call_core(lambda core, _: core.refresh_every(market, seconds))

    def resync(self, market: int) -> None:
        """Discard a book and rebuild it from a new snapshot."""
        if not self._closed and market in self._markets.values():
            self.check_loop()
            reason = "requested by the application"
            self._runner.call_core(lambda core, now_ns: core.resync(market, reason, now_ns))

    async def audit(
        self, market: int, book: BookReader, limit: int, *, seconds: float, timeout_s: float | None
    ) -> Audit:
        """Audit a book as `client.audits.Audits.for_some_time` does; once if `seconds` is 0."""
        if self.is_running:
            self.check_loop()
        return await self._audits.for_some_time(market, book, limit, seconds=seconds, timeout_s=timeout_s)

    async def start(self) -> None:
        """Open the network and start all books of the configuration.

        Raises NetworkError if the process has no file descriptors left, and UsageError if it has ended.
        """
        if self.started or self._closed:
            raise runs_once()
        try:
            await self._start()
        except OSError as error:
            if told := lacks_descriptors(error):
                raise NetworkError(told) from error
            raise

    async def _start(self) -> None:
        self._loop, self._home = asyncio.get_running_loop(), HomeProcess()
        self._network = self._make_network(self.config.settings)
        try:
            if self.config.snapshots is not None:
                self._network = OwnSnapshots(
                    self._network,
                    self.config.snapshots,
                    self.config.exchanges_by_depth_url(),
                    start=self._start_call,
                )
            self._router = Router(flight_bytes=self.config.settings.flight_bytes)
            self._start_recording()
            self._core = ClientCore(
                self._router,
                random=self._random,
                policy=self.config.settings.policy,
                budgets=self._budgets(),
                own_snapshots=self.config.snapshots is not None,
                has_token=self.config.access is None or self.config.access.token is not None,
                node_url=self._node_url(),
                copy_from=self._copy_from,
            )
            self._runner = Runner(
                self._core,
                self._router,
                self._network if self._recorder is None else RecordingNetwork(self._network, self._recorder),
                on_notice=self._on_notice,
                on_loop_ended=self._on_loop_ended,
            )
            for venue, symbol in self.config.books:
                self._begin(venue, symbol, depth=self.config.depth, speed_ms=self.config.speed_ms)
        except BaseException:
            self._closed = True
            await self._end()
            raise

    def add(
        self,
        symbol: str,
        exchange: str | None,
        *,
        depth: int | None = None,
        speed_ms: int | None = None,
    ) -> B:
        """Add a book, or return the existing one.

        `depth`, `speed_ms`: None for those of the configuration.

        Raises what `ClientConfig.book` raises, and BookClosed after the client was closed.
        """
        config = self._config_for(depth, speed_ms)
        venue, parsed = config.book(exchange, symbol)
        if self._network is None:
            raise not_started(self.how_to_start)
        if self._closed:
            raise BookClosed(exchange=venue.name, symbol=parsed, reason=CLIENT_CLOSED)
        key = (venue.name, parsed)
        book = self.books.get(key)
        if book is not None and book.status is not Status.CLOSED:
            return book
        if book is not None:  # a closed book is replaced
            self.remove(key)
        return self._begin(venue, parsed, depth=config.depth, speed_ms=config.speed_ms)

    def begin_all(self, several: Sequence[BookRequest]) -> dict[Key, DepthCacheError]:
        """Add many books that this client does not have, in one step; returns why others cannot be had."""
        refused: dict[Key, DepthCacheError] = {}
        markets: dict[Key, int] = {}

        def add(core: ClientCore, now_ns: int) -> None:
            for exchange, symbol, depth, speed_ms in several:
                config = self._config_for(depth, speed_ms)
                try:
                    venue, parsed = config.book(exchange, symbol)
                    key = (venue.name, parsed)
                    if key not in self.books and key not in markets:
                        markets[key] = self._add_to(
                            core, venue, parsed, config.depth, config.speed_ms, now_ns
                        )
                except DepthCacheError as error:
                    refused[exchange, symbol] = error

        self._runner.call_core(add)
        self._take_in(markets)
        return refused

    def remove_all(self, keys: Collection[Key]) -> None:
        """Remove books and close them for good, in one step. All must be in `books`."""
        markets = [self._markets[key] for key in keys]
        self._forget(keys)
        if not self._closed:

            def remove(core: ClientCore, now_ns: int) -> None:
                for market in markets:
                    core.remove(market, now_ns)

            self._runner.call_core(remove)

    def set_depth(self, key: Key, depth: int) -> None:
        """Keep this many complete levels a side of a book from now on. Raises InvalidArgument."""
        replace(self.config, depth=depth).book(*key)
        market = self._markets[key]
        self._runner.call_core(lambda core, _: core.set_depth(market, depth))

    def ask_again(self, key: Key) -> None:
        """`copy_from` has another answer for a book without a snapshot."""
        market = self._markets[key]
        self._runner.call_core(lambda core, now_ns: core.ask_again(market, now_ns))

    def set_budget_share(self, share: float) -> None:
        """Use only this part of the request weight and connects, above 0 and at most 1."""
        self._runner.call_core(lambda core, now_ns: core.set_budget_share(share, now_ns))

    def add_all(self, several: Iterable[tuple[Venue, str]]) -> list[B]:
        """Add several checked books in one step. Raises what `add` raises."""
        return [self.add(symbol, venue.name) for venue, symbol in several]

    def remove(self, key: Key) -> None:
        """Remove a book and close it for good. `key` must be one of `books`."""
        self.remove_all((key,))

    async def aclose(self) -> None:
        """Close all books and connections; may be called at any time, more than once.

        Raises UsageError on another event loop while the client's own loop is alive.
        """
        if self._closed or self._network is None:
            self._closed = True
            return
        if self._loop.is_closed():
            await asyncio.to_thread(self._network.end_without_loop)
            return
        self.check_loop()
        self._closed = True
        self._runner.close(_ABANDONED if self.is_abandoned else CLIENT_CLOSED)
        try:
            await self._end()
        finally:
            await self._end_callbacks()

    @property
    def is_forgotten(self) -> bool:
        """Whether the client still runs in this process; checked when the user's last reference is gone."""
        return self.is_running and self._home.is_here

    def abandon(self) -> None:
        """Close the client soon; safe in a garbage collection, on any thread."""
        self.is_abandoned = True
        with suppress(RuntimeError):  # a closed loop has already closed the client
            self._loop.call_soon_threadsafe(self._end_abandoned)

    def _end_abandoned(self) -> None:
        if self._network is not None:  # the loop may end before `aclose` does
            self._network.abandon_sessions()
        self.keep(self.aclose())

    def keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine until it ends or the client is closed."""
        task = self._loop.create_task(work)
        self._callback_tasks.add(task)
        task.add_done_callback(self._callback_tasks.discard)

    def check_loop(self) -> None:
        """Raises UsageError unless called on the event loop of this client."""
        if not self.started:
            raise not_started(self.how_to_start)
        if _running_loop() is not self._loop:
            raise UsageError("this client runs on another event loop; for threads use depthcache.blocking")

    # --- waiting ------------------------------------------------------------------------------

    async def wait_synced(self, market: int, book: BookReader, *, timeout_s: float | None) -> None:
        """Wait until the book is synced. Raises SyncTimeout, BookClosed or UnknownSymbol."""
        await self._waiting.until_synced(lambda: {market: book}, timeout_s=timeout_s)

    async def read_synced(
        self, market: int, book: BookReader, levels: int | None, *, timeout_s: float | None
    ) -> FrozenBook:
        """Freeze a book as soon as it is synced. Raises what `wait_synced` raises."""
        return await self._waiting.read(market, book, levels, timeout_s=timeout_s)

    async def wait_all_synced(
        self, keys: Sequence[Key] | None, *, timeout_s: float | None, missing: Missing
    ) -> list[B]:
        """Wait until all of these books are synced at the same moment.

        `keys`: None for all books, including those added while waiting.
        """
        return await self._waiting.until_synced(self._finder(keys), timeout_s=timeout_s, missing=missing)

    async def wait_any_synced(
        self, keys: Sequence[Key] | None, *, timeout_s: float | None, missing: Missing
    ) -> list[B]:
        """Wait until at least one of these books is synced; return all that are."""
        return await self._waiting.until_any(self._finder(keys), timeout_s=timeout_s, missing=missing)

    def _finder(self, keys: Sequence[Key] | None) -> Callable[[], Mapping[int, B]]:
        if not self.started:
            raise not_started(self.how_to_start)
        if keys is None:
            return lambda: {self._markets[key]: book for key, book in self.books.items()}
        chosen = {self._markets[key]: self.books[key] for key in keys}
        return lambda: chosen

    # --- inside -------------------------------------------------------------------------------

    async def _end_callbacks(self) -> None:
        """Let callbacks see the last items, for a bounded time, then cancel them."""
        kept = self._callback_tasks - {asyncio.current_task()}
        if kept:
            _, late = await asyncio.wait(kept, timeout=CALLBACK_DRAIN_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _config_for(self, depth: int | None, speed_ms: int | None) -> ClientConfig:
        config = self.config
        return replace(
            config,
            depth=config.depth if depth is None else depth,
            speed_ms=config.speed_ms if speed_ms is None else speed_ms,
        )

    def _begin(self, venue: Venue, symbol: str, *, depth: int, speed_ms: int | None) -> B:
        key = (venue.name, symbol)
        market = self._runner.call_core(
            lambda core, now_ns: self._add_to(core, venue, symbol, depth, speed_ms, now_ns)
        )
        self._take_in({key: market})
        return self.books[key]

    def _add_to(
        self, core: ClientCore, venue: Venue, symbol: str, depth: int, speed_ms: int | None, now_ns: int
    ) -> int:
        """The number of a new market. Its notices may come before the call of the core returns."""
        market = core.add(venue, symbol, depth=depth, speed_ms=speed_ms, now_ns=now_ns)
        self._keys[market] = (venue.name, symbol)
        return market

    def _take_in(self, markets: Mapping[Key, int]) -> None:
        """The core has these markets now."""
        books = {key: self._make_book(self, self._router, market) for key, market in markets.items()}
        self._markets = {**self._markets, **markets}
        self.books = {**self.books, **books}
        self.named = {}
        for market in markets.values():
            self._runner.followers.on_market(market)
        self._tell_of_books()

    def _forget(self, keys: Collection[Key]) -> None:
        gone = set(keys)
        for key in gone:
            market = self._markets[key]
            self._synced.discard(market)
            self._lost.pop(market, None)
            self._waiting.forget(market)
            del self._keys[market]
        self._markets = {each: number for each, number in self._markets.items() if each not in gone}
        self.books = {each: book for each, book in self.books.items() if each not in gone}
        self.named = {}
        self._tell_of_books()

    def _tell_of_books(self) -> None:
        for tell in self.on_books:
            tell()

    def _node_url(self) -> Callable[[str, str], str] | None:
        """None with a fingerprint: the nodes that a server names have other certificates than that one."""
        access = self.config.access
        return node_url if access is None or access.fingerprint is None else None

    def _start_recording(self) -> None:
        settings = self.config.settings
        if settings.record_to is not None:
            self._recorder = Recorder(settings.record_to, self.config.exchanges_by_url())
        if settings.flight_dumps_to is not None:
            self._flights = FlightDumps(settings.flight_dumps_to, clock=self.now_ns)

    async def _end(self) -> None:
        """Close the network, then finish the files."""
        if self._network is not None:
            await self._network.aclose()
        if self._pending_dumps:
            await asyncio.wait(self._pending_dumps)
        if self._recorder is not None:
            await asyncio.to_thread(self._recorder.close)

    def _on_loop_ended(self) -> None:
        """Called on another thread when the event loop has ended: nothing can be closed there any more."""
        self._closed = True
        if self._recorder is not None:
            self._recorder.close()
        self.on_loop_ended()

    def _call_core(self, call: Callable[[ClientCore, int], T]) -> T:
        return self._runner.call_core(call)

    def _on_notice(self, notice: BookNotice) -> None:
        match notice:
            case StatusChanged():
                self._on_status(notice)
            case TroubleFound():
                self._on_trouble(notice)
            case AuditDone():
                self._audits.on_done(notice)
            case CopyFailed():
                key = self._key_of(notice.market)
                if key is not None:
                    self.on_copy_failed(key, notice.copied_from, notice.reason)
            case AccessRefused():
                self._waiting.on_access_refused()
            case _:
                assert_never(notice)

    def _on_trouble(self, trouble: TroubleFound) -> None:
        key = self._key_of(trouble.market)
        if key is None:
            return
        exchange, symbol = key
        self.on_trouble(trouble)
        if trouble.cause == "late":
            logs.book_late(exchange=exchange, symbol=symbol, reason=trouble.reason)
        if self._recorder is not None:
            self._recorder.note(trouble.cause, exchange=exchange, symbol=symbol, reason=trouble.reason)
        if self._flights is not None and self._flights.is_due(trouble.market, self.now_ns()):
            log = self._router.flight_log(trouble.market)
            reason = trouble.reason or trouble.cause
            saving = self._loop.run_in_executor(None, self._flights.save, log, reason)
            self._pending_dumps.add(saving)
            saving.add_done_callback(self._pending_dumps.discard)

    def _on_status(self, notice: StatusChanged) -> None:
        self._waiting.on_notice(notice)
        named = self._key_of(notice.market)
        if named is not None:
            self.on_status(named, notice)
            if self._recorder is not None:
                exchange, symbol = named
                status, reason = notice.status.value, notice.reason
                self._recorder.note("status", exchange=exchange, symbol=symbol, status=status, reason=reason)
            self._log(notice, *named)

    def _key_of(self, market: int) -> Key | None:
        return self._keys.get(market)

    def _log(self, notice: StatusChanged, exchange: str, symbol: str) -> None:
        status, reason = notice.status, notice.reason
        lost_ns = self._lost.get(notice.market)
        if status is Status.SYNCED and lost_ns is not None:
            del self._lost[notice.market]
            after_s = (notice.at_ns - lost_ns) / 1e9
            logs.book_recovered(exchange=exchange, symbol=symbol, after_s=after_s)
        elif notice.ending in (Ending.UNKNOWN_SYMBOL, Ending.DELISTED):
            logs.book_ended(exchange=exchange, symbol=symbol, reason=reason)
        elif notice.market in self._synced and status not in (Status.SYNCED, Status.CLOSED):
            self._lost[notice.market] = notice.at_ns
            logs.book_lost(exchange=exchange, symbol=symbol, status=status.value, reason=reason)
        else:
            logs.book_status(exchange=exchange, symbol=symbol, status=status.value, reason=reason)
        (self._synced.add if status is Status.SYNCED else self._synced.discard)(notice.market)


def _ignore_status(key: Key, notice: StatusChanged) -> None:
    del key, notice


def _ignore_failure(key: Key, copied_from: str, reason: str) -> None:
    del key, copied_from, reason


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
