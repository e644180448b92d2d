"""One running client: router, core, runner and network put together, and who waits for what.

Both faces (`caches` for asyncio, `blocking` for threads) are thin views of this. It lives on one
event loop: everything but `books` is called there. Not here: any decision about books (core), and
what users see (caches, blocking, view).
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Generic, Protocol, TypeAlias, TypeVar

from depthcache import logs
from depthcache._native import BookReader, Router, _on_fork
from depthcache.core.client import ClientCore
from depthcache.core.commands import TellAudit, TellTrouble
from depthcache.core.link import Link
from depthcache.core.notices import Ending, Notice
from depthcache.errors import BookClosed, SyncTimeout, UnknownSymbol, UsageError
from depthcache.io.budgets import shared_budgets
from depthcache.io.flights import Flights, write_flight
from depthcache.io.network import Network
from depthcache.io.recorder import Recorder, RecordingNetwork
from depthcache.io.runner import Runner
from depthcache.io.snapshots import OwnSnapshots
from depthcache.metrics import BookFacts, BudgetFacts, ConnectionFacts, Facts
from depthcache.model import Audit, Lag, Status
from depthcache.settings import Settings
from depthcache.venues import Venue
from depthcache.wanted import Wanted, parse_timeout

__all__ = ["Client", "ClientNetwork", "Key"]

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_on_fork)

Key = tuple[str, str]
"""Exchange name and symbol, as the exchange spells it."""

B = TypeVar("B", bound=BookReader)
_BETWEEN_AUDITS_S = 20.0
_Find: TypeAlias = Callable[[], Mapping[int, BookReader]]


class ClientNetwork(Network, Protocol):
    """A network that can be closed."""

    async def aclose(self) -> None:
        """Leave nothing behind; nothing is reported once it began."""


@dataclass(slots=True, eq=False)
class _Waiter:
    """Somebody waits until all `pending` markets are synced, or any of its markets has ended."""

    concerned: frozenset[int]
    pending: set[int]
    done: asyncio.Future[None]

    def on_notice(self, notice: Notice) -> None:
        if notice.market not in self.concerned:
            return
        if notice.status is Status.SYNCED:
            self.pending.discard(notice.market)
        else:
            self.pending.add(notice.market)
        if (not self.pending or notice.status is Status.CLOSED) and not self.done.done():
            self.done.set_result(None)


class Client(Generic[B]):
    """Order of calls: `start` once, then `add`, `remove` and `wait_synced`, then `aclose`."""

    def __init__(
        self,
        wanted: Wanted,
        *,
        make_book: Callable[[Client[B], Router, int], B],
        make_network: Callable[[Settings], ClientNetwork],
    ) -> None:
        self.wanted = wanted
        self.books: Mapping[Key, B] = {}
        """All books, in the order they were added. Replaced as a whole, so any thread may read it."""
        self._make_book, self._make_network = make_book, make_network
        self._markets: dict[Key, int] = {}
        self._endings: dict[int, Notice] = {}
        self._audits: dict[int, asyncio.Future[Audit]] = {}
        self._audit_numbers = count(1)
        self._waiters: set[_Waiter] = set()
        self._network: ClientNetwork | None = None
        self._recorder: Recorder | None = None
        self._flights: Flights | None = None
        self._savings: set[asyncio.Future[None]] = set()
        self._closed = False

    # --- getters ------------------------------------------------------------------------------

    @property
    def started(self) -> bool:
        """Whether there can be books."""
        return self._network is not None

    @property
    def recording(self) -> Path | None:
        """The file of what this client hears; None when nothing is recorded."""
        return None if self._recorder is None else self._recorder.path

    def save_flight(self, market: int, path: Path, reason: str) -> None:
        """Write what the flight recorder of a market holds. Raises OSError."""
        write_flight(path, self._router.flight_log(market), reason)

    def now_ns(self) -> int:
        """The clock that stamps everything in this client; only while it runs."""
        if self._network is None:
            raise _not_started()
        return self._network.now_ns()

    def confirmed_ns(self, market: int) -> int | None:
        """When a book was last proven to be the exchange's, other than by a diff; None for never."""
        return self._core.confirmed_ns(market)

    def reconnects(self, market: int) -> tuple[int, int | None]:
        """How often a book's connection was lost and another took its place, and when last."""
        return self._core.reconnects(market)

    def lag(self, market: int, event_time_us: int, received_ns: int) -> Lag | None:
        """How late an update came; None while nothing is known of the exchange's clock."""
        clock = self._core.clock(market)
        if clock is None:
            return None
        return Lag((received_ns + clock.offset_ns - event_time_us * 1_000) / 1e9, clock.error_ns / 1e9)

    def facts(self) -> Facts:
        """What operators want to know, now."""
        if self._network is None or self._closed:
            return Facts(books=(), connections=(), budgets=())
        now_ns = self._network.now_ns()
        numbers = self._markets.items()
        return Facts(
            books=tuple(self._book_facts(number, self.books[key], now_ns) for key, number in numbers),
            connections=tuple(self._connection_facts(link, now_ns) for link in self._core.links()),
            budgets=tuple(
                BudgetFacts(
                    pool=pacer.pool.strip(),
                    limit=pacer.budget.limit,
                    most=pacer.most,
                    used=pacer.budget.used(now_ns),
                    counted=pacer.budget.counted,
                    waiting=pacer.waiting,
                    in_flight=pacer.in_flight,
                    stopped_s=max(0, pacer.budget.stopped_until_ns - now_ns) / 1e9,
                    times=tuple(pacer.times),
                    times_sum_s=pacer.times_ns / 1e9,
                )
                for pacer in self._core.pacers()
            ),
        )

    def _book_facts(self, market: int, book: BookReader, now_ns: int) -> BookFacts:
        updated_ns, confirmed_ns = book.updated_ns, self._core.confirmed_ns(market)
        proofs = [at_ns for at_ns in (updated_ns, confirmed_ns) if at_ns is not None]
        uptime = self._core.uptime(market)
        delays, sum_us = ([], 0) if uptime is None else self._router.delays(market)
        return BookFacts(
            exchange=book.exchange,
            symbol=book.symbol,
            status=book.status,
            counters=book.counters,
            age_s=None if updated_ns is None else (now_ns - updated_ns) / 1e9,
            confirmed_s=(now_ns - max(proofs)) / 1e9 if proofs else None,
            levels=(book.coverage.bids, book.coverage.asks),
            in_sync=0.0 if uptime is None else uptime.share(now_ns),
            losses=0 if uptime is None else uptime.losses,
            reconnects=0 if uptime is None else uptime.reconnects,
            detect_s=0.0 if uptime is None else uptime.detect_ns / 1e9,
            recover_s=0.0 if uptime is None else uptime.recover_ns / 1e9,
            delays=tuple(delays),
            delays_sum_s=sum_us / 1e6,
        )

    def _connection_facts(self, link: Link, now_ns: int) -> ConnectionFacts:
        came = (0, 0) if link.connection is None else self._router.traffic(link.connection)[:2]
        life_ns = link.last_life_ns()
        return ConnectionFacts(
            exchange=link.venue.name,
            number=link.number,
            streams=len(link.subscriptions),
            is_open=link.is_open,
            frames=came[0],
            received_bytes=came[1],
            quiet_s=max(0, now_ns - life_ns) / 1e9 if life_ns else None,
            connects=link.connects,
        )

    # --- commands -----------------------------------------------------------------------------

    def refresh(self, market: int, limit: int) -> None:
        """Merge a snapshot of that limit into a book, when its turn comes; nobody waits for it."""
        if not self._closed and market in self._markets.values():
            self._check_loop()
            self._runner.audit(market, next(self._audit_numbers), limit)

    def refresh_every(self, market: int, seconds: float | None) -> None:
        """How often a book is refreshed; None for what the policy says, 0 for never."""
        if not self._closed and market in self._markets.values():
            self._runner.refresh_every(market, seconds)

    def resync(self, market: int) -> None:
        """Give a book up and build it anew from a new snapshot."""
        if not self._closed and market in self._markets.values():
            self._check_loop()
            self._runner.resync(market, "asked for by the application")

    async def audit(self, market: int, book: BookReader, limit: int, *, timeout_s: float | None) -> Audit:
        """Compare a book with a snapshot at one update id. Raises SyncTimeout, BookClosed."""
        timeout_s = parse_timeout(timeout_s)
        if self._closed or book.status is Status.CLOSED:
            raise BookClosed(exchange=book.exchange, symbol=book.symbol, reason=book.reason)
        self._check_loop()
        number = next(self._audit_numbers)
        done = self._audits[number] = self._loop.create_future()
        try:
            self._runner.audit(market, number, limit)
            async with asyncio.timeout(timeout_s):
                found: Audit = await done
                return found
        except TimeoutError:
            raise _too_late([book], timeout_s or 0.0) from None
        except _AuditFailed as failed:
            raise BookClosed(exchange=book.exchange, symbol=book.symbol, reason=str(failed)) from None
        finally:
            self._audits.pop(number, None)

    async def audit_for(
        self, market: int, book: BookReader, limit: int, *, seconds: float, timeout_s: float | None
    ) -> Audit:
        """The same for some time, with the exchange's other streams besides. Raises the same."""
        first = await self.audit(market, book, limit, timeout_s=timeout_s)
        if seconds <= 0:
            return first
        self._runner.start_proof(market)
        found, ends_at = [first], self._loop.time() + seconds
        try:
            while (left_s := ends_at - self._loop.time()) > 0:
                await asyncio.sleep(min(left_s, _BETWEEN_AUDITS_S))
                found.append(await self.audit(market, book, limit, timeout_s=timeout_s))
        finally:
            sources = {} if self._closed else self._runner.end_proof(market)
        named = {"rest": (len(found), 0)}
        named |= {name.partition("@")[2]: (each.compared, each.skipped) for name, each in sources.items()}
        parts = [each[1:5] for each in found]
        parts += [(each.checked, each.differing, each.missing, each.extra) for each in sources.values()]
        checked, differing, missing, extra = map(sum, zip(*parts, strict=True))
        return Audit(found[-1].update_id, checked, differing, missing, extra, named)

    async def start(self) -> None:
        """Open the network and begin all books that were asked for."""
        if self.started or self._closed:
            raise UsageError("a client runs once: make another with connect(…)")
        self._loop = asyncio.get_running_loop()
        self._network = self._make_network(self.wanted.settings)
        try:
            if self.wanted.snapshots is not None:
                self._network = OwnSnapshots(
                    self._network, self.wanted.snapshots, self.wanted.snapshot_places()
                )
            self._router = Router(flight_bytes=self.wanted.settings.flight_bytes)
            self._keep_record()
            self._core = ClientCore(
                self._router,
                random=random.random,
                policy=self.wanted.settings.policy,
                budgets=shared_budgets(),
            )
            self._runner = Runner(
                self._core,
                self._router,
                self._network if self._recorder is None else RecordingNetwork(self._network, self._recorder),
                on_notice=self._on_notice,
                on_trouble=self._on_trouble,
                on_audit=self._on_audit,
            )
            for venue, symbol in self.wanted.books:
                self._begin(venue, symbol)
        except BaseException:
            self._closed = True
            await self._end()
            raise

    def add(self, symbol: str, exchange: str | None) -> B:
        """Begin a book, or return the one that is there. Raises what `Wanted.book` raises, and
        BookClosed once the client is closed."""
        venue, parsed = self.wanted.book(exchange, symbol)
        if self._network is None:
            raise _not_started()
        if self._closed:
            raise BookClosed(exchange=venue.name, symbol=parsed, reason="the client is closed")
        key = (venue.name, parsed)
        book = self.books.get(key)
        if book is not None and book.status is not Status.CLOSED:
            return book
        if book is not None:  # it ended; asking again is a new try
            self.remove(key)
        return self._begin(venue, parsed)

    def remove(self, key: Key) -> None:
        """End a book for good. The key must be one of `books`."""
        market = self._markets.pop(key)
        self.books = {each: book for each, book in self.books.items() if each != key}
        if not self._closed:
            self._runner.remove(market)

    async def aclose(self) -> None:
        """End all books and connections. May be called often and at any time."""
        if self._closed or self._network is None:
            self._closed = True
            return
        self._closed = True
        self._runner.close()
        await self._end()

    # --- waiting ------------------------------------------------------------------------------

    async def wait_synced(self, market: int, book: BookReader, *, timeout_s: float | None) -> None:
        """Until that book is synced. Raises SyncTimeout, BookClosed or UnknownSymbol."""
        await self._wait(lambda: {market: book}, timeout_s)

    async def wait_all_synced(self, *, timeout_s: float | None) -> None:
        """Until all books are synced at the same moment, also those added meanwhile."""
        if not self.started:
            raise _not_started()
        await self._wait(lambda: {self._markets[key]: book for key, book in self.books.items()}, timeout_s)

    async def _wait(self, find: _Find, timeout_s: float | None) -> None:
        timeout_s = parse_timeout(timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                await self._until_synced(find)
        except TimeoutError:
            late = [book for book in find().values() if book.status is not Status.SYNCED]
            if late:
                raise _too_late(late, timeout_s or 0.0) from None

    async def _until_synced(self, find: _Find) -> None:
        while True:
            books = find()
            pending = {market for market, book in books.items() if not self._is_synced(market, book)}
            if not pending:
                return
            self._check_loop()
            waiter = _Waiter(frozenset(books), pending, self._loop.create_future())
            self._waiters.add(waiter)
            try:
                await waiter.done
            finally:
                self._waiters.discard(waiter)

    def _is_synced(self, market: int, book: BookReader) -> bool:
        status = book.status
        if status is Status.CLOSED:
            told = self._endings.get(market)
            if told is not None and told.ending is Ending.UNKNOWN_SYMBOL:
                raise UnknownSymbol(
                    symbol=book.symbol, exchange=book.exchange, reason=book.reason, near=told.near
                )
            raise BookClosed(exchange=book.exchange, symbol=book.symbol, reason=book.reason)
        return status is Status.SYNCED

    # --- inside -------------------------------------------------------------------------------

    def _check_loop(self) -> None:
        if asyncio.get_running_loop() is not self._loop:
            raise UsageError("this client runs on another event loop; depthcache.blocking serves threads")

    def _begin(self, venue: Venue, symbol: str) -> B:
        wanted, key = self.wanted, (venue.name, symbol)
        market = self._runner.add(venue, symbol, depth=wanted.depth, speed_ms=wanted.speed_ms)
        book = self._make_book(self, self._router, market)
        self._markets[key] = market
        self.books = {**self.books, key: book}
        return book

    def _keep_record(self) -> None:
        settings = self.wanted.settings
        if settings.record_to is not None:
            self._recorder = Recorder(settings.record_to, self.wanted.places())
        if settings.flight_to is not None:
            self._flights = Flights(settings.flight_to)

    async def _end(self) -> None:
        """Close the network, then finish the files."""
        if self._network is not None:
            await self._network.aclose()
        if self._savings:
            await asyncio.wait(self._savings)
        if self._recorder is not None:
            await asyncio.to_thread(self._recorder.close)

    def _on_audit(self, told: TellAudit) -> None:
        done = self._audits.get(told.audit)
        if done is None or done.done():
            return
        if told.found is None:
            done.set_exception(_AuditFailed(told.reason))
        else:
            done.set_result(Audit(*told.found))

    def _on_trouble(self, trouble: TellTrouble) -> None:
        key = next((key for key, market in self._markets.items() if market == trouble.market), None)
        if key is None:
            return
        if self._recorder is not None:
            exchange, symbol = key
            self._recorder.note(trouble.cause, exchange=exchange, symbol=symbol, reason=trouble.reason)
        if self._flights is not None and self._flights.is_due(trouble.market, self.now_ns()):
            log = self._router.flight_log(trouble.market)
            reason = trouble.reason or trouble.cause
            saving = self._loop.run_in_executor(None, self._flights.save, log, reason)
            self._savings.add(saving)
            saving.add_done_callback(self._savings.discard)

    def _on_notice(self, notice: Notice) -> None:
        for waiter in tuple(self._waiters):
            waiter.on_notice(notice)
        if notice.ending is not None:
            self._endings[notice.market] = notice
        named = next((key for key, market in self._markets.items() if market == notice.market), None)
        if named is not None:
            if self._recorder is not None:
                exchange, symbol = named
                status, reason = notice.status.value, notice.reason
                self._recorder.note("status", exchange=exchange, symbol=symbol, status=status, reason=reason)
            logs.book_status(
                exchange=named[0], symbol=named[1], status=notice.status.value, reason=notice.reason
            )


class _AuditFailed(Exception):
    """There will be no comparison any more."""


def _too_late(late: Sequence[BookReader], timeout_s: float) -> SyncTimeout:
    first = late[0]
    reason = first.reason or "no reason is known"
    if len(late) > 1:
        reason = f"{reason}; {len(late) - 1:,} other books are not synced either"
    return SyncTimeout(
        exchange=first.exchange,
        symbol=first.symbol,
        timeout_s=timeout_s,
        status=first.status.value,
        reason=reason,
    )


def _not_started() -> UsageError:
    return UsageError("the client does not run yet: enter it first, with `async with connect(…)` or `with`")
