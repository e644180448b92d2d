"""A client and an exchange on one virtual clock: hours of trouble in a second, the same every time.

    exchange = SimulatedExchange({"binance.com": ["BTCUSDT"]}, seed=1, faults=Faults(drop=0.01))
    pair = Pair(exchange)
    book = pair.add("binance.com", "BTCUSDT")
    pair.run_for(60)
    assert pair.differences() == 0

The client is the one that users run, but for its sockets: core, runner and native books. Not here: what
the exchange does (`exchange`, `faults`), how messages travel (`memory`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Unpack

from depthcache import venues
from depthcache._native import Router
from depthcache.arguments import parse_seed, parse_whole
from depthcache.client.follow import AnyMode, FollowOptions, UpdateStream, parse_follow_spec
from depthcache.core.client import ClientCore
from depthcache.core.commands import TellAudit
from depthcache.core.markets.cross_check import Source
from depthcache.core.notices import Notice
from depthcache.core.policy import Policy
from depthcache.core.requests.budget import Budgets
from depthcache.io.runner import Runner
from depthcache.model import Status
from depthcache.pickling import OneProcess
from depthcache.simulator.exchange import SimulatedExchange
from depthcache.simulator.memory_network import MemoryNetwork
from depthcache.simulator.truth import differences
from depthcache.venues import Venue

if TYPE_CHECKING:
    from depthcache import BookReader

__all__ = ["Pair"]

_S_NS = 1_000_000_000


class Pair(OneProcess):
    """One client and one exchange; `now_ns` is their clock."""

    _pickle_instead = "pickle frozen books"

    def __init__(
        self,
        exchange: SimulatedExchange,
        *,
        policy: Policy | None = None,
        seed: int = 0,
        latency_ns: int = 20_000_000,
        router: Any = None,
        budgets: Budgets | None = None,
    ) -> None:
        """`exchange`: the other side. `policy`: the client's patience, `Policy()` when None. `seed`: of
        the client's pauses. `latency_ns`: how long every message takes one way. `router`: the native one,
        or `depthcache.reference.Router()`. `budgets`: those of other clients of the same address."""
        self.exchange = exchange
        self.books: dict[tuple[str, str], BookReader] = {}
        self.notices: list[Notice] = []
        self.on_step: Callable[[], None] | None = None
        """Called after everything that happened at one moment, before the clock moves on."""
        self._router = Router() if router is None else router
        latency_ns = parse_whole(latency_ns, name="latency_ns", allowed="nanoseconds, 0 or more", least=0)
        self._network = MemoryNetwork(exchange, latency_ns=latency_ns)
        self.audits: list[TellAudit] = []
        """Every audit that was asked for and is done."""
        generator = random.Random(parse_seed(seed))
        core = ClientCore(self._router, random=generator.random, policy=policy or Policy(), budgets=budgets)
        self._runner = Runner(
            core,
            self._router,
            self._network,
            on_notice=self.notices.append,
            on_audit=self.audits.append,
        )
        self._numbers: dict[tuple[str, str], int] = {}

    @property
    def unexpected(self) -> tuple[str, ...]:
        """Errors of the client's own that were caught so that other books live on: there should be none."""
        return self._runner.unexpected

    @property
    def now_ns(self) -> int:
        """The clock, in nanoseconds."""
        return self._network.now_ns()

    def add(
        self, exchange: str | Venue, symbol: str, *, depth: int = 100, speed_ms: int | None = None
    ) -> BookReader:
        """Begin a book of `symbol`; `depth` and `speed_ms` as `depthcache.connect`. `exchange`: a name,
        or a venue that differs from the exchange's own, such as one with smaller snapshots. Raises what
        `depthcache.connect` raises."""
        venue = venues.venue(exchange) if isinstance(exchange, str) else exchange
        key = (venue.name, venues.parse_symbol(symbol, venue))
        number = self._runner.add(venue, key[1], depth=depth, speed_ms=speed_ms)
        self._numbers[key] = number
        self.books[key] = self._router.reader(number)
        self._runner.followers.on_market(number)
        return self.books[key]

    def remove(self, exchange: str, symbol: str) -> None:
        """End the book of that exchange and symbol. Raises KeyError for one that is not there."""
        venue = venues.venue(exchange)
        key = (venue.name, venues.parse_symbol(symbol, venue))
        self._runner.remove(self._numbers.pop(key))
        del self.books[key]

    def audit(self, exchange: str, symbol: str, limit: int | None = None) -> None:
        """Compare the book of that exchange and symbol with a snapshot (of that limit); the result comes to
        `audits`."""
        self._runner.audit(self._number(exchange, symbol), len(self.audits) + 1, limit)

    def prove(self, exchange: str, symbol: str) -> None:
        """Compare the book of that exchange and symbol with its partial depth and bookTicker, until
        `end_cross_check`."""
        self._runner.start_cross_check(self._number(exchange, symbol))

    def end_cross_check(self, exchange: str, symbol: str) -> Mapping[str, Source]:
        """Compare that exchange and symbol no longer; by stream, what was seen."""
        return self._runner.end_cross_check(self._number(exchange, symbol))

    def follow(
        self,
        mode: AnyMode = "latest",
        levels: int | None = 20,
        *,
        of: tuple[str, str] | None = None,
        on_ready: Callable[[], None] = lambda: None,
        **options: Unpack[FollowOptions],
    ) -> UpdateStream:
        """Follow one book (`of`: exchange and symbol), or all of them.

        `mode`, `levels` and `options` as `depthcache.LiveBook.updates` takes them.

        `stream.take_now(pair.now_ns)` gives the next item, None while there is none. `on_ready` is called at
        the moment at which a client's consumer would be woken. Raises InvalidArgument, and KeyError for a
        book that is not there.
        """
        spec = parse_follow_spec(mode, levels, "raise", options)
        followers, markets = self._runner.followers, tuple(self._numbers.values())
        if of is not None:
            venue = venues.venue(of[0])
            markets = (self._numbers[venue.name, venues.parse_symbol(of[1], venue)],)
        follower = followers.follow(lambda: markets, spec, on_ready, every_book=of is None, announces=True)
        return UpdateStream(followers, follower, is_single=of is not None)

    def run_for(self, seconds: float) -> None:
        """Let so many seconds go by."""
        self.run_until(self.now_ns + round(seconds * _S_NS))

    def hold(self) -> None:
        """The client's event loop stands still until `release`; its books go on as with the native
        transport."""
        self._network.hold()

    def release(self) -> None:
        """The event loop goes on."""
        self._network.release()

    def sleep(self, seconds: float, *, half_open: bool = False) -> None:
        """The client's machine sleeps for so many seconds, in which the exchange goes on.

        What the exchange sends meanwhile is read on waking; with `half_open` the connections of before bring
        nothing any more, and nobody says so.
        """
        self._network.sleep(seconds, half_open=half_open)
        if self.on_step is not None:
            self.on_step()

    def run_until(self, until_ns: int) -> None:
        """Let time go by until the clock shows `until_ns`."""
        while (next_ns := self._network.next_ns()) is not None and next_ns <= until_ns:
            self._step(next_ns)
        self._step(until_ns)

    def run_until_synced(self, *, within_s: float = 60) -> bool:
        """Let time go by until all books are synced, or for `within_s` seconds; whether they are."""
        until_ns = self.now_ns + round(within_s * _S_NS)
        while not self.is_synced():
            next_ns = self._network.next_ns()
            if next_ns is None or next_ns > until_ns:
                return False
            self._step(next_ns)
        return True

    def is_synced(self) -> bool:
        """Whether all books are synced now."""
        return all(book.status is Status.SYNCED for book in self.books.values())

    def differences(self) -> int:
        """How many levels of the synced books differ from the truth inside their complete range."""
        return sum(
            differences(book, self.exchange.truth(*key))
            for key, book in self.books.items()
            if book.status is Status.SYNCED
        )

    def close(self) -> None:
        """End the client."""
        self._runner.close()

    def _number(self, exchange: str, symbol: str) -> int:
        venue = venues.venue(exchange)
        return self._numbers[venue.name, venues.parse_symbol(symbol, venue)]

    def _step(self, now_ns: int) -> None:
        self._network.step(now_ns)
        if self.on_step is not None:
            self.on_step()
