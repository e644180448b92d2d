"""Clients and a simulated exchange on one virtual clock: hours of trouble in a second, and repeatable.

    pair = Pair(SimulatedExchange({"binance.com": ["BTCUSDT"]}, seed=1, faults=Faults(drop=0.01)))

    async def strategy() -> None:
        async with pair.connect("binance.com", ["BTCUSDT"]) as books:
            await books.wait_synced()
            await asyncio.sleep(3_600)
            assert pair.differences() == 0

    pair.run(strategy())

The client is the real one except for its sockets: core, runner, native books, and with `connect` the complete
asyncio API. `memory_network` carries the messages, `virtual_loop` runs coroutines in virtual time.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from os import PathLike
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar, assert_never, cast, overload

from depthcache import engine, venues
from depthcache._native import Router
from depthcache.arguments import parse_real, parse_seed, parse_whole
from depthcache.client.aio import Books
from depthcache.client.client import Client
from depthcache.client.config import ClientConfig, parse_config
from depthcache.client.follow import BUFFER, BUFFER_BYTES, LEVELS, AnyMode, UpdateStream, parse_follow_spec
from depthcache.client.live_book import LiveBook
from depthcache.core.client import ClientCore
from depthcache.core.markets.cross_check import Source
from depthcache.core.notices import AccessRefused, AuditDone, CopyFailed, StatusChanged, TroubleFound
from depthcache.core.policy import Policy
from depthcache.core.requests.budget import Budgets
from depthcache.errors import InvalidArgument, UsageError
from depthcache.io.network.user_snapshots import SnapshotSource
from depthcache.io.runner import BookNotice, Runner
from depthcache.model import OnStale, Status
from depthcache.pickling import OneProcess
from depthcache.settings import Settings
from depthcache.simulator.controls import ExchangeControls
from depthcache.simulator.exchange import SimulatedExchange
from depthcache.simulator.market import Market
from depthcache.simulator.memory_network import MemoryNetwork
from depthcache.simulator.timeline import Timeline
from depthcache.simulator.truth import differences
from depthcache.simulator.virtual_loop import VirtualLoop
from depthcache.venues import Venue

if TYPE_CHECKING:
    from depthcache import BookReader

__all__ = ["Pair"]

T = TypeVar("T")

_S_NS = 1_000_000_000
_LONGEST_S = 1e9
_LIBRARIES = (str(Path(__file__).parents[1]), str(Path(asyncio.__file__).parent))


class Pair(OneProcess, ExchangeControls):
    """Clients and one simulated exchange; `now_ns` is their virtual clock in nanoseconds.

    There are two ways to test a strategy. Coroutines use the `Books` of `connect` and run with `run`. Plain
    functions use the books of `add`: they are called from `on_step` while `run_for` advances the clock. A
    program that blocks its thread (`depthcache.blocking`, `time.sleep`) waits in real time; test it with
    `simulator.serve` instead.

    For several clients, call `connect` several times: they share one address and one weight budget. If
    several pairs use one exchange, only one of them at a time may advance the clock.
    """

    _pickle_instead = "pickle frozen books"

    def __init__(
        self,
        exchange: SimulatedExchange,
        *,
        policy: Policy | None = None,
        seed: int = 0,
        latency_ns: int = 20_000_000,
        router: engine.Router | None = None,
        budgets: Budgets | None = None,
    ) -> None:
        """`exchange`: the simulated exchange. `policy`: the policy of the clients; None takes `Policy()`.
        `seed`: seed of the jitter in the clients' pauses. `latency_ns`: one-way latency of every message in
        nanoseconds. `router`: the engine, None for the native one, or `depthcache.reference.Router()`.
        `budgets`: weight budgets to share with other clients of the same address."""
        self.exchange = exchange
        self.books: dict[tuple[str, str], BookReader] = {}
        self.notices: list[StatusChanged] = []
        self.on_step: Callable[[], None] | None = None
        """Called after all events of one moment, before the clock advances."""
        self._router: engine.Router = Router() if router is None else router
        latency_ns = parse_whole(latency_ns, name="latency_ns", allowed="nanoseconds, 0 or more", least=0)
        self._timeline = Timeline(
            exchange,
            latency_ns=latency_ns,
            now_ns=exchange.now_ns,
            wall_ns=exchange.epoch_ms * 1_000_000,
            after_step=self._after_step,
        )
        self._network = self._timeline.join()
        self._clients: list[Client[LiveBook]] = []
        """The open clients of `connect`."""
        self.audits: list[AuditDone] = []
        """The results of all audits that were requested by `audit`."""
        self.troubles: list[TroubleFound] = []
        """Every time that a book of `add` or `connect` had a gap, crossed, was wrong or was late.

        `market` is the number of the book in its client, counted from 1 in the order of adding.
        """
        self._seed, self._policy = parse_seed(seed), policy or Policy()
        self._budgets = Budgets() if budgets is None else budgets
        self._client_numbers = count(1)
        self._caught: dict[str, None] = {}
        self._loop: VirtualLoop | None = None
        generator = random.Random(self._seed)
        core = ClientCore(
            self._router,
            random=generator.random,
            policy=self._policy,
            budgets=self._budgets,
            node_url=venues.node_url,
        )
        self._runner = Runner(
            core,
            self._router,
            self._network,
            on_notice=self._on_notice,
        )
        self._numbers: dict[tuple[str, str], int] = {}

    @property
    def unexpected(self) -> tuple[str, ...]:
        """Internal errors of the client that were caught; empty unless the client has a bug."""
        for client in self._clients:
            self._caught |= dict.fromkeys(client.unexpected)
        return tuple(self._caught | dict.fromkeys(self._runner.unexpected))

    @property
    def now_ns(self) -> int:
        """The virtual time in nanoseconds."""
        return self._timeline.now_ns

    # --- coroutines in virtual time -------------------------------------------------------------

    @overload
    def connect(
        self,
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
        self,
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
        self,
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
        """Live books of this exchange: the `Books` of `depthcache.connect`, in virtual time.

        `exchange`, `symbols`, `depth`, `on_stale`, `max_age` and `speed_ms` are those of
        `depthcache.connect`. Enter the books in a coroutine that runs in `run`. `server`, `token`, `ca` and
        `fingerprint` have no effect: all books come from this exchange. Two other arguments differ:
        `settings` defaults to the policy of this pair instead of the environment, and its endpoints, proxies
        and transport have no effect; `snapshots` is called on the event loop and takes no virtual time.

        Raises what `depthcache.connect` raises, InvalidArgument for an exchange that is not simulated here,
        and UsageError for settings with `record_to`, because recording needs real time.
        """
        del server, token, ca, fingerprint
        if settings is None:
            settings = Settings(policy=self._policy)
        elif isinstance(settings, Settings):
            settings = replace(settings, endpoints={}, server=None, fingerprint=None)
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
        self._check_simulated(asked)
        return Books(asked, client=self._client(asked))

    def run(self, main: Coroutine[Any, Any, T], *, within_s: float = 86_400.0) -> T:
        """Run the coroutine `main` in virtual time and return its result.

        In `main`, `asyncio.sleep`, `asyncio.timeout` and `loop.time()` follow the virtual clock. The clock
        stops while any task is ready to run, and while threads of `asyncio.to_thread` are working. The same
        seeds give the same run. At the end, open books are closed and other tasks are cancelled. Exceptions
        of `main` propagate; Ctrl-C cancels it and raises KeyboardInterrupt.

        `within_s`: most virtual seconds that `main` may take; infinity for no limit.

        Raises UsageError if `main` waits although nothing can happen any more, or takes longer than
        `within_s`, with the line where it waits; and if called inside another event loop.
        """
        if not inspect.iscoroutine(main):
            raise InvalidArgument(name="main", value=main, allowed="a coroutine: pair.run(strategy())")
        try:
            within_s = parse_real(within_s, name="within_s", allowed="seconds, more than 0", least=1e-9)
        except InvalidArgument:
            main.close()
            raise
        ends_ns = None if within_s > _LONGEST_S else self.now_ns + round(within_s * _S_NS)
        if _is_in_event_loop():
            main.close()
            raise UsageError("pair.run starts its own event loop: call it from a plain function")
        run = _Run(self._timeline, main, ends_ns)
        try:
            with asyncio.Runner(loop_factory=lambda: self._make_loop(run)) as runner:
                result: T = runner.run(self._run(main))
                return result
        finally:
            self._loop = None

    # --- books without an event loop ------------------------------------------------------------

    def add(
        self, exchange: str | Venue, symbol: str, *, depth: int = 100, speed_ms: int | None = None
    ) -> BookReader:
        """Add a book of `symbol`, for use without an event loop.

        `exchange`: an exchange name, or a modified venue, such as one with smaller snapshots. `depth` and
        `speed_ms` are those of `depthcache.connect`, and so are the errors.
        """
        venue = venues.venue(exchange) if isinstance(exchange, str) else exchange
        key = (venue.name, venues.parse_symbol(symbol, venue))
        number = self._runner.call_core(
            lambda core, now_ns: core.add(venue, key[1], depth=depth, speed_ms=speed_ms, now_ns=now_ns)
        )
        self._numbers[key] = number
        # Books of the reference engine are not native, but have the same interface.
        self.books[key] = cast("BookReader", self._router.reader(number))
        self._runner.followers.on_market(number)
        return self.books[key]

    def remove(self, exchange: str, symbol: str) -> None:
        """Remove the book of this `exchange` and `symbol`. Raises KeyError if there is none."""
        venue = venues.venue(exchange)
        key = (venue.name, venues.parse_symbol(symbol, venue))
        number = self._numbers.pop(key)
        self._runner.call_core(lambda core, now_ns: core.remove(number, now_ns))
        del self.books[key]

    def audit(self, exchange: str, symbol: str, limit: int | None = None) -> None:
        """Compare the book of this `exchange` and `symbol` with a snapshot of `limit` levels; the result is
        added to `audits`."""
        number, audit = self._number(exchange, symbol), len(self.audits) + 1
        self._runner.call_core(lambda core, now_ns: core.audit(number, audit, limit, now_ns))

    def start_cross_check(self, exchange: str, symbol: str) -> None:
        """Compare the book of this `exchange` and `symbol` with its partial depth and bookTicker streams,
        until `end_cross_check`."""
        number = self._number(exchange, symbol)
        self._runner.call_core(lambda core, now_ns: core.start_cross_check(number, now_ns))

    def end_cross_check(self, exchange: str, symbol: str) -> Mapping[str, Source]:
        """Stop the cross check of this `exchange` and `symbol`; return its results by stream."""
        number = self._number(exchange, symbol)
        return self._runner.call_core(lambda core, now_ns: core.end_cross_check(number, now_ns))

    def follow(
        self,
        mode: AnyMode = "latest",
        levels: int | None = LEVELS,
        *,
        of: tuple[str, str] | None = None,
        on_ready: Callable[[], None] = lambda: None,
        interval_ms: float | None = None,
        on_stale: OnStale | None = None,
        buffer: int = BUFFER,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> UpdateStream:
        """Follow one book (`of`: exchange and symbol), or all books if None.

        `mode`, `levels` and `options` are those of `depthcache.LiveBook.updates`.

        `stream.take_now(pair.now_ns)` returns the next item, or None. `on_ready` is called when a waiting
        consumer would be woken. Raises InvalidArgument, and KeyError if there is no such book.
        """
        spec = parse_follow_spec(
            mode,
            levels,
            interval_ms=interval_ms,
            on_stale=on_stale,
            default="raise",
            buffer=buffer,
            buffer_bytes=buffer_bytes,
        )
        followers, markets = self._runner.followers, tuple(self._numbers.values())
        if of is not None:
            venue = venues.venue(of[0])
            markets = (self._numbers[venue.name, venues.parse_symbol(of[1], venue)],)
        follower = followers.follow(lambda: markets, spec, on_ready, every_book=of is None, announces=True)
        return UpdateStream(followers, follower, is_single=of is not None)

    def truth(self, exchange: str, symbol: str) -> Market:
        """The true book of a `symbol` of an `exchange`, for `depthcache.simulator.differences`. Raises
        UnknownExchange and KeyError."""
        return self.exchange.truth(exchange, symbol)

    def run_for(self, seconds: float) -> None:
        """Advance the clock by `seconds`. In a coroutine of `run`, await `asyncio.sleep` instead. Raises
        InvalidArgument."""
        self.run_until(self.now_ns + _parsed_ns(seconds, "seconds"))

    def hold(self) -> None:
        """Block the event loop for the books of `add` until `release`. They stay current, as with the native
        transport."""
        self._network.hold()

    def release(self) -> None:
        """End the blocking of the event loop by `hold`."""
        self._network.release()

    def sleep(self, seconds: float, *, half_open: bool = False) -> None:
        """Let the machine of the clients sleep for `seconds`, while the exchange continues.

        The clients read on waking what the exchange has sent meanwhile. With `half_open`, the old connections
        are dead after the sleep, without a close.
        """
        _parsed_ns(seconds, "seconds")
        self._timeline.sleep(seconds, half_open=half_open)

    def run_until(self, until_ns: int) -> None:
        """Advance the clock to `until_ns`. Has no effect if the clock is already past it.

        Raises InvalidArgument, and UsageError in a coroutine of `run`.
        """
        self._check_outside()
        until_ns = parse_whole(until_ns, name="until_ns", allowed="nanoseconds, 0 or more", least=0)
        while (next_ns := self._timeline.next_ns()) is not None and next_ns <= until_ns:
            self._timeline.step(next_ns)
        self._timeline.step(until_ns)

    def run_until_synced(self, *, within_s: float = 60) -> bool:
        """Advance the clock until all books are synced, by `within_s` seconds at most; return whether they
        are. Raises UsageError in a coroutine of `run`: await `books.wait_synced()` there."""
        self._check_outside()
        until_ns = self.now_ns + _parsed_ns(within_s, "within_s")
        while not self.is_synced():
            next_ns = self._timeline.next_ns()
            if next_ns is None or next_ns > until_ns:
                return False
            self._timeline.step(next_ns)
        return True

    def is_synced(self) -> bool:
        """Whether all books are synced."""
        return all(book.status is Status.SYNCED for _, book in self._all_books())

    def differences(self) -> int:
        """Number of levels of the synced books that differ from the truth inside their complete range."""
        return sum(
            differences(book, self.exchange.truth(*key))
            for key, book in self._all_books()
            if book.status is Status.SYNCED
        )

    def close(self) -> None:
        """Close the books of `add`. Those of `connect` close with their `async with`, or at the end of
        `run`."""
        self._runner.close()

    # --- inside ---------------------------------------------------------------------------------

    async def _run(self, main: Coroutine[Any, Any, T]) -> T:
        try:
            return await main
        finally:
            for client in tuple(self._clients):
                await client.aclose()

    def _make_loop(self, run: _Run) -> VirtualLoop:
        self._loop = VirtualLoop(run)
        return self._loop

    def _client(self, asked: ClientConfig) -> Client[LiveBook]:
        generator = random.Random(f"{self._seed}/{next(self._client_numbers)}")
        client: Client[LiveBook] = Client(
            asked,
            make_book=LiveBook,
            make_network=lambda _: self._join(client),
            random=generator.random,
            budgets=lambda: self._budgets,
            start_call=lambda call: call(),
        )
        client.on_trouble = self.troubles.append
        return client

    def _join(self, client: Client[LiveBook]) -> MemoryNetwork:
        """The network of a new client."""
        if asyncio.get_running_loop() is not self._loop:
            raise UsageError("these books run in virtual time: enter them in a coroutine of pair.run(…)")
        self._clients.append(client)
        return self._timeline.join(on_end=lambda: self._on_end(client))

    def _on_end(self, client: Client[LiveBook]) -> None:
        self._clients.remove(client)
        self._caught |= dict.fromkeys(client.unexpected)

    def _check_simulated(self, asked: ClientConfig) -> None:
        if asked.settings.record_to is not None:
            raise UsageError("record_to needs real time: use simulator.serve(…) instead")
        served = self.exchange.venues()
        for venue in asked.venues:
            if venue.name not in served:
                raise InvalidArgument(name="exchange", value=venue.name, allowed=" or ".join(served))

    def _check_outside(self) -> None:
        if self._loop is not None:
            raise UsageError("pair.run is advancing the clock: await asyncio.sleep(…) instead")

    def _all_books(self) -> Iterator[tuple[tuple[str, str], BookReader]]:
        """The books of `add` and of `connect`."""
        yield from self.books.items()
        for client in self._clients:
            yield from client.books.items()

    def _command(self, work: Callable[[SimulatedExchange], T]) -> T:
        done = work(self.exchange)
        self._timeline.collect()
        return done

    def _after_step(self) -> None:
        if self.on_step is not None:
            self.on_step()

    def _on_notice(self, notice: BookNotice) -> None:
        match notice:
            case StatusChanged():
                self.notices.append(notice)
            case AuditDone():
                self.audits.append(notice)
            case TroubleFound():
                self.troubles.append(notice)
            case CopyFailed():
                pass
            case AccessRefused():
                pass  # servers of a simulation ask for no token
            case _:
                assert_never(notice)

    def _number(self, exchange: str, symbol: str) -> int:
        venue = venues.venue(exchange)
        return self._numbers[venue.name, venues.parse_symbol(symbol, venue)]


class _Run:
    """The clock of one `run` for its event loop."""

    def __init__(self, timeline: Timeline, main: Coroutine[Any, Any, Any], ends_ns: int | None) -> None:
        """`ends_ns`: time limit of the run; None for none."""
        self._timeline, self._main, self._ends_ns = timeline, main, ends_ns

    @property
    def now_ns(self) -> int:
        """The time."""
        return self._timeline.now_ns

    def advance(self, until_ns: int | None) -> None:
        """Advance to the next event, or to `until_ns` if that is earlier; None if the loop has no timer."""
        timeline = self._timeline
        if until_ns is None and timeline.is_idle:
            raise UsageError(
                f"deadlock: no task waits for a timer or a book, nothing can happen any more{self._where()}"
            )
        if self._ends_ns is not None and timeline.now_ns >= self._ends_ns:
            self._ends_ns = None  # no limit for the tasks that are cancelled now
            raise UsageError(f"the coroutine did not end within within_s of virtual time{self._where()}")
        times = [time for time in (until_ns, self._ends_ns, timeline.next_ns()) if time is not None]
        timeline.step(min(times, default=timeline.now_ns + _S_NS))

    def _where(self) -> str:
        """The line where the coroutine waits, as the end of an error message."""
        place, inner = "", cast("object", self._main)
        while (frame := cast("FrameType | None", getattr(inner, "cr_frame", None))) is not None:
            code = frame.f_code
            if not code.co_filename.startswith(_LIBRARIES):
                place = f"; the coroutine waits in {code.co_name}, {code.co_filename}, line {frame.f_lineno}"
            inner = getattr(inner, "cr_await", None)
        return place


def _parsed_ns(seconds: float, name: str) -> int:
    allowed = "seconds, 0 or more, up to 1,000,000,000"
    return round(parse_real(seconds, name=name, allowed=allowed, least=0, most=_LONGEST_S) * _S_NS)


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
