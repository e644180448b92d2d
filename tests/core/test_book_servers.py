"""What the core makes of book servers, on a virtual clock."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import Mock

import pytest

from depthcache import reference, venues
from depthcache._native import Router
from depthcache.core.client import ClientCore
from depthcache.core.notices import Ending
from depthcache.core.policy import Policy
from depthcache.core.servers import RoundTrips
from depthcache.core.servers import Servers as ClientServers
from depthcache.model import Status
from depthcache.simulator import TINY, SimulatedExchange, differences
from depthcache.venues.servers import STATES
from tests.support.relayed import URLS, Close, Cut, Server, Servers, address, reader_of, remote

SPOT = "binance.com"
ENGINES = pytest.mark.parametrize("engine", [Router, reference.Router])
BOTH, BTC, ETH = ("BTCUSDT", "ETHUSDT"), ("BTCUSDT",), ("ETHUSDT",)


class Chain:
    """An exchange, servers of BTCUSDT, and a reader of them that is synced."""

    def __init__(
        self,
        count: int = 1,
        *,
        latency_ns: int = 10_000_000,
        held: tuple[tuple[str, ...], ...] = (("BTCUSDT",),) * 3,
        engine: Any = Router,
        named: int | None = None,
    ) -> None:
        """`held`: the symbols of each server; the first one of the first server is the reader's.
        `named`: how many servers the reader is given; None for all."""
        exchange = SimulatedExchange({SPOT: {"BTCUSDT": TINY, "ETHUSDT": TINY}}, seed=1, history=20_000)
        venue = venues.venue(SPOT)
        names = ("a", "b", "c")[:count]
        made = [Server(name, exchange, Policy(), seed=2, latency_ns=latency_ns) for name in names]
        for server, symbols in zip(made, held, strict=False):
            for symbol in symbols:
                server.add(venue, symbol)
        self.venue = remote(venue, count if named is None else named)
        self.servers = Servers(exchange, made)
        self.reader = reader_of(self.servers, policy=Policy(), seed=3, latency_ns=latency_ns, router=engine())
        self.book: Any = self.reader.add(self.venue, held[0][0], depth=5)
        assert self.reader.run_until_synced()
        self.reader.run_for(1)

    def seconds_until(self, *statuses: Status, within_s: float = 300) -> float:
        began_ns = self.reader.now_ns
        while self.book.status not in statuses:
            self.reader.run_for(0.01 if within_s <= 300 else 1)
            assert self.reader.now_ns - began_ns < within_s * 1e9, repr(self.book)
        return (self.reader.now_ns - began_ns) / 1e9


def test_the_end_of_a_symbol_ends_its_remote_book() -> None:
    chain = Chain()
    chain.servers.servers[0].pair.delist("BTCUSDT")
    chain.seconds_until(Status.CLOSED, within_s=2_000)
    assert chain.book.reason.startswith("server a.test:1: closed: the exchange")


def test_the_end_of_the_server_s_client_ends_no_remote_book() -> None:
    chain = Chain()
    server = chain.servers.servers[0]
    server.pair.close()
    chain.reader.run_for(1)
    assert chain.book.status is Status.STALE
    assert chain.book.reason == "server a.test:1: closed: the client was closed"


@pytest.mark.parametrize("how", [Cut(), Close(1001, "the server ends")])
def test_the_next_server_takes_over_at_once(how: Any) -> None:
    chain = Chain(2)
    first, second = chain.servers.servers
    assert (len(first.sessions), len(second.sessions)) == (1, 0)
    chain.servers.end_sessions(how, first)
    first.is_down = True
    chain.seconds_until(Status.DISCONNECTED, Status.STALE)
    assert "server a.test:1" in chain.book.reason
    assert chain.seconds_until(Status.SYNCED) < 0.5
    assert len(second.sessions) == 1
    chain.servers.end_sessions(Cut(), second)
    second.is_down = True
    chain.reader.run_for(20)
    first.is_down = False
    chain.seconds_until(Status.SYNCED)


def test_a_silent_server_is_noticed() -> None:
    chain = Chain()
    chain.servers.end_sessions(None, chain.servers.servers[0])
    assert chain.seconds_until(Status.DISCONNECTED) < 15


def test_no_snapshot_is_asked_for_while_the_server_s_book_is_not_synced() -> None:
    chain = Chain()
    server = chain.servers.servers[0]
    asked: list[str] = []
    request = server.request

    def noted(target: str, now_ns: int) -> Any:
        asked.append(target)
        return request(target, now_ns)

    server.request = noted  # type: ignore[method-assign]
    chain.servers.exchange.trouble.silence(SPOT, "BTCUSDT")
    server.pair.outage(10)
    server.pair._runner.call_core(lambda core, now_ns: core.resync(1, "a test", now_ns))
    chain.reader.run_for(5)
    assert chain.book.status is Status.STALE
    assert [target for target in asked if "depth" in target] == []


def test_a_state_of_the_server_does_not_make_a_bridging_book_live() -> None:
    chain = Chain()
    server = chain.servers.servers[0]
    (served,) = server.books.values()
    server.refuses = True
    chain.servers.exchange.trouble.silence(SPOT, "BTCUSDT")
    chain.reader._runner.call_core(lambda core, now_ns: core.resync(1, "a test", now_ns))
    reached = (served.market.last_update_id or 0) + 1
    snapshot = json.loads(server._snapshot(served, 100).body) | {"lastUpdateId": reached}

    def install(core: ClientCore, now_ns: int) -> None:
        raw = json.dumps(snapshot).encode()
        core._context.router.install_snapshot(1, raw, limit=None, live=False, now_ns=now_ns)

    chain.reader._runner.call_core(install)
    for status in ("disconnected", "synced"):
        for session, stream in served.readers:
            state = server._state(served, stream)
            session.push(state | {"data": state["data"] | {"status": status, "u": reached}})
        chain.reader.run_for(0.5)
    assert chain.book.status is Status.BRIDGING
    assert not chain.reader._runner._core._markets[1].maintenance.is_live


def test_a_book_that_the_server_ends_costs_the_others_a_moment() -> None:
    chain = Chain(2, held=(BOTH, BOTH))
    first, second = chain.servers.servers
    chain.reader.run_for(10)
    chain.servers.end_sessions(Close(1012, "the server does not hold the book any more"), first)
    chain.seconds_until(Status.DISCONNECTED)
    assert chain.seconds_until(Status.SYNCED) < 0.2
    assert (len(first.sessions), len(second.sessions)) == (1, 0), "the server is well: it is kept"
    chain.servers.end_sessions(Close(1012, "again"), first)
    chain.reader.run_for(1)
    assert (len(first.sessions), len(second.sessions)) == (0, 1), "but not if it ends connections repeatedly"


def assert_true(chain: Chain, *books: Any) -> None:
    for book in books:
        assert book.status is Status.SYNCED, repr(book)
        assert differences(book, chain.servers.truth(SPOT, book.symbol)) == 0


@ENGINES
def test_each_book_comes_from_a_server_that_holds_it(engine: Any) -> None:
    chain = Chain(3, held=(BTC, (), ETH), engine=engine)
    first, _, third = chain.servers.servers
    other = chain.reader.add(chain.venue, "ETHUSDT", depth=5)
    chain.reader.run_for(1)
    assert_true(chain, chain.book, other)
    assert [len(server.sessions) for server in (first, third)] == [1, 1]
    first.is_down = True
    chain.servers.end_sessions(Cut(), first)
    for _ in range(50):
        chain.reader.run_for(0.1)
        assert_true(chain, other)
        assert chain.book.status is Status.DISCONNECTED
    first.is_down = False
    chain.seconds_until(Status.SYNCED, within_s=40)
    assert_true(chain, chain.book, other)
    assert other.counters["snapshots"] == 1
    assert chain.reader.unexpected == ()


@ENGINES
def test_a_book_whose_server_is_lost_joins_the_connection_to_the_next_one(engine: Any) -> None:
    chain = Chain(2, held=(BTC, BOTH), engine=engine)
    first, second = chain.servers.servers
    other = chain.reader.add(chain.venue, "ETHUSDT", depth=5)
    chain.reader.run_for(1)
    assert_true(chain, chain.book, other)
    first.is_down = True
    chain.servers.end_sessions(Cut(), first)
    chain.seconds_until(Status.DISCONNECTED)
    assert chain.seconds_until(Status.SYNCED) < 0.2
    chain.reader.run_for(1)
    assert_true(chain, chain.book, other)
    assert (len(second.sessions), len(chain.reader._runner._core.slots())) == (1, 1)
    assert [book.counters["snapshots"] for book in (chain.book, other)] == [1, 1]


@ENGINES
def test_a_book_that_its_server_gives_up_continues_at_the_next_one(engine: Any) -> None:
    chain = Chain(2, held=(BOTH, BTC), engine=engine)
    first, second = chain.servers.servers
    other = chain.reader.add(chain.venue, "ETHUSDT", depth=5)
    chain.reader.run_for(1)
    del first.books[SPOT, "BTCUSDT"]
    chain.servers.end_sessions(Close(1012, "the book ended"), first)
    second.is_down = True
    chain.reader.run_for(3)
    assert_true(chain, other)
    assert chain.book.status is Status.DISCONNECTED
    second.is_down = False
    chain.seconds_until(Status.SYNCED, within_s=40)
    assert_true(chain, chain.book, other)
    assert (len(first.sessions), len(second.sessions)) == (1, 1)


@ENGINES
def test_a_symbol_that_no_server_holds_ends_with_similar_ones(engine: Any) -> None:
    chain = Chain(2, held=(BTC, BOTH), engine=engine)
    book = chain.reader.add(chain.venue, "ETHUSD", depth=5)
    chain.reader.run_for(1)
    assert book.status is Status.CLOSED
    assert (
        book.reason == "server b.test:1: this server holds no book of x for ethusd@depth@100ms@state1; "
        "nor does server a.test:1"
    )
    (notice,) = [each for each in chain.reader.notices if each.status is Status.CLOSED]
    assert (notice.ending, notice.near) == (Ending.UNKNOWN_SYMBOL, ("ETHUSDT", "BTCUSDT"))
    assert_true(chain, chain.book)


@pytest.mark.parametrize(("names_streams", "messages"), [(True, 3), (False, 8)])
def test_many_symbols_that_are_not_held_cost_one_message(names_streams: bool, messages: int) -> None:
    chain = Chain(held=(BOTH,))
    (server,) = chain.servers.servers
    server.names_streams = names_streams
    server.asked.clear()
    symbols = ("XRPUSDT", "ETHUSDT", "LTCUSDT", "ADAUSDT", "SOLUSDT")
    books = [chain.reader.add(chain.venue, symbol, depth=5) for symbol in symbols]
    chain.reader.run_for(2)
    assert [book.status for book in books] == [Status.CLOSED, Status.SYNCED, *[Status.CLOSED] * 3]
    assert server.asked.count("SUBSCRIBE") == messages
    assert_true(chain, chain.book, books[1])


def test_a_symbol_that_a_lost_server_may_hold_is_waited_for() -> None:
    chain = Chain(2, held=(BTC, ETH))
    second = chain.servers.servers[1]
    second.is_down = True
    book = chain.reader.add(chain.venue, "ETHUSDT", depth=5)
    chain.reader.run_for(20)
    assert book.status is Status.DISCONNECTED
    second.is_down = False
    chain.reader.run_for(35)
    assert_true(chain, chain.book, book)


@pytest.mark.parametrize("is_answered", [True, False])
def test_similar_symbols_are_not_waited_for_when_the_list_fails(
    is_answered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = Chain()
    server = chain.servers.servers[0]
    server.refuses = True
    if not is_answered:
        reset = OSError("reset")
        monkeypatch.setattr(chain.reader._network, "fetch", Mock(side_effect=reset))
    book = chain.reader.add(chain.venue, "BTCUSD", depth=5)
    chain.reader.run_for(1)
    assert book.status is Status.CLOSED


def test_a_flapping_server_is_not_waited_for_while_another_one_is_well() -> None:
    chain = Chain(2)
    first, second = chain.servers.servers
    longest_s = 0.0
    for _ in range(12):
        chain.servers.end_sessions(Cut(), second)
        for _ in range(4):  # the proxy before the first server
            chain.reader.run_for(0.1)
            chain.servers.end_sessions(Cut(), first)
        chain.seconds_until(Status.DISCONNECTED, Status.STALE, Status.SYNCED)
        longest_s = max(longest_s, chain.seconds_until(Status.SYNCED))
        chain.reader.run_for(12)
    assert longest_s < 2
    assert_true(chain, chain.book)


@pytest.mark.parametrize("status", [401, 403, 503])
def test_access_is_refused_when_every_server_refuses_the_token(status: int) -> None:
    chain = Chain(2)
    core: ClientCore = chain.reader._runner._core
    first, second = chain.servers.servers
    for server in (first, second):
        assert core.access_refused(1) == ""
        server.handshake_status = status
        chain.servers.end_sessions(Cut(), server)
        chain.reader.run_for(5)
    assert bool(core.access_refused(1)) == (status != 503)
    assert status == 503 or "check the token" in core.access_refused(1)
    first.is_down = True
    chain.reader.run_for(40)
    assert core.access_refused(1) == "", "a server that is away may accept the token"
    first.is_down, first.handshake_status = False, None
    chain.reader.run_for(40)
    assert core.access_refused(1) == ""
    assert_true(chain, chain.book)


class Nodes(Chain):
    """Three nodes of one cluster with two books, each at two of them; the reader is given the first."""

    def __init__(self, engine: Any, *, named: int = 1, latency_ns: int = 10_000_000, **changes: Any) -> None:
        super().__init__(
            3, held=(BTC, BOTH, ETH), engine=engine, named=named, latency_ns=latency_ns, **changes
        )
        self.place({"BTCUSDT": (0, 1), "ETHUSDT": (1, 2)})
        self.other: Any = self.reader.add(self.venue, "ETHUSDT", depth=5)
        self.reader.run_for(max(1, latency_ns * 16 / 1e9))
        assert_true(self, self.book, self.other)

    def place(self, holders: dict[str, tuple[int, ...]], there: tuple[int, ...] = (0, 1, 2)) -> None:
        for number, server in enumerate(self.servers.servers):
            server.nodes = [address(each) for each in there]
            server.elsewhere = {
                symbol: [address(each) for each in numbers]
                for symbol, numbers in holders.items()
                if number not in numbers
            }

    def lose(self, server: Server, how: Any = Cut()) -> None:  # noqa: B008
        server.is_down = True
        self.servers.end_sessions(how, server)

    @property
    def sessions(self) -> list[int]:
        return [len(server.sessions) for server in self.servers.servers]

    @property
    def snapshots(self) -> list[int]:
        return [book.counters["snapshots"] for book in (self.book, self.other)]

    @property
    def gaps(self) -> list[int]:
        return [book.counters["gaps"] for book in (self.book, self.other)]


@ENGINES
def test_a_stream_moves_to_a_node_that_holds_its_book(engine: Any) -> None:
    chain = Nodes(engine)
    assert (chain.sessions, chain.snapshots) == ([1, 1, 0], [1, 1])
    assert chain.reader.unexpected == ()


@ENGINES
@pytest.mark.parametrize(("how", "most_s"), [(Cut(), 0.3), (None, 1.9)])
def test_the_streams_of_a_lost_node_continue_at_another_holder(engine: Any, how: Any, most_s: float) -> None:
    chain = Nodes(engine)
    _, second, third = chain.servers.servers
    chain.place({"BTCUSDT": (0,), "ETHUSDT": (2,)})
    before = chain.other.last_update_id
    chain.lose(second, how)
    began_ns = chain.reader.now_ns
    while chain.other.last_update_id == before or not third.sessions:
        chain.reader.run_for(0.01)
        assert chain.reader.now_ns - began_ns < most_s * 1e9
    chain.reader.run_for(0.2)
    assert_true(chain, chain.book, chain.other)
    assert chain.other.last_update_id > before
    assert (chain.sessions, chain.snapshots, chain.gaps) == ([1, 0, 1], [1, 1], [0, 0])
    assert chain.reader.unexpected == ()


def keep(server: Server, symbol: str, *holders: int) -> None:
    """The server says to all its readers that it keeps a book for them alone, and where it is."""
    name = f"{symbol.lower()}@depth@100ms{STATES}"
    for session in server.sessions:
        session.push({"e": "holders", "holders": {name: [address(each) for each in holders]}})


class Statuses:
    """Every status of the reader's books while it runs."""

    def __init__(self, chain: Nodes) -> None:
        self.chain = chain

    def run(self, seconds: float) -> set[Status]:
        found: set[Status] = set()
        for _ in range(round(seconds / 0.01)):
            self.chain.reader.run_for(0.01)
            found |= {self.chain.book.status, self.chain.other.status}
        return found


@ENGINES
@pytest.mark.parametrize("is_quiet", [False, True])
def test_a_stream_of_a_book_that_is_kept_for_readers_moves_unnoticed(engine: Any, is_quiet: bool) -> None:
    chain = Nodes(engine)
    _, second, third = chain.servers.servers
    if is_quiet:
        quiet(chain, *BOTH)
        chain.reader.run_for(1)
    chain.place({"BTCUSDT": (0,), "ETHUSDT": (2,)})
    before = chain.other.last_update_id
    for _ in range(3):
        keep(second, "ETHUSDT", 2)  # it repeats that
        assert Statuses(chain).run(2) == {Status.SYNCED}
    (served,) = (each for key, each in second.books.items() if key[1] == "ETHUSDT")
    assert served.readers == []
    assert len(third.sessions) == 1
    assert is_quiet or chain.other.last_update_id > before
    assert_true(chain, chain.book, chain.other)
    assert (chain.snapshots, chain.gaps) == ([1, 1], [0, 0])
    assert chain.reader.unexpected == ()


@ENGINES
def test_a_stream_stays_at_a_node_that_keeps_its_book_if_no_holder_can_be_reached(engine: Any) -> None:
    chain = Nodes(engine)
    _, second, third = chain.servers.servers
    chain.place({"BTCUSDT": (0,), "ETHUSDT": (2,)})
    chain.lose(third)
    for _ in range(8):
        keep(second, "ETHUSDT", 2)
        assert Statuses(chain).run(5) == {Status.SYNCED}
    third.is_down = False
    chain.reader.run_for(60)
    keep(second, "ETHUSDT", 2)
    assert Statuses(chain).run(5) == {Status.SYNCED}
    assert len(third.sessions) == 1
    assert_true(chain, chain.book, chain.other)


@ENGINES
@pytest.mark.parametrize("loses_holder", [False, True])
def test_a_node_that_is_lost_while_a_stream_moves_costs_no_update(engine: Any, loses_holder: bool) -> None:
    chain = Nodes(engine)
    _, second, third = chain.servers.servers
    chain.place({"BTCUSDT": (0,), "ETHUSDT": (1, 2)})
    keep(second, "ETHUSDT", 2)
    chain.reader.run_for(0.08)
    chain.lose(third if loses_holder else second)
    chain.reader.run_for(3)
    assert_true(chain, chain.book, chain.other)
    assert (chain.snapshots, chain.gaps) == ([1, 1], [0, 0])
    assert chain.reader.unexpected == ()


def shown_as_disconnected(chain: Nodes, server: str) -> None:
    """As the native router does at once where a connection breaks and no other one has brought a diff."""
    core = chain.reader._runner._core
    for market in core._markets:
        if core._markets[market]._book.status is Status.SYNCED:
            core._context.router.set_condition(market, "disconnected", server, chain.reader.now_ns)


@ENGINES
@pytest.mark.parametrize("is_quiet", [False, True])
def test_a_book_that_is_shown_as_disconnected_while_its_stream_moves_is_so_for_a_moment(
    engine: Any, is_quiet: bool
) -> None:
    chain = Nodes(engine)
    _, second, _ = chain.servers.servers
    if is_quiet:
        quiet(chain, *BOTH)
        chain.reader.run_for(1)
    chain.place({"BTCUSDT": (0,), "ETHUSDT": (1, 2)})
    keep(second, "ETHUSDT", 2)
    chain.reader.run_for(0.08)
    chain.lose(second)
    shown_as_disconnected(chain, "server b")
    assert chain.other.status is Status.DISCONNECTED
    chain.reader.run_for(1)
    assert chain.other.status is Status.SYNCED
    assert (chain.snapshots, chain.gaps) == ([1, 1], [0, 0])


@ENGINES
def test_the_end_of_a_connection_that_was_given_up_leaves_no_book_disconnected(engine: Any) -> None:
    """It broke at the moment at which it was given up."""
    chain = Nodes(engine)
    quiet(chain, *BOTH)
    chain.reader.run_for(1)
    shown_as_disconnected(chain, "server b")
    chain.reader._runner._core.on_closed(999, 1001, "the server is shutting down", chain.reader.now_ns)
    assert {chain.book.status, chain.other.status} == {Status.SYNCED}


def quiet(chain: Chain, *symbols: str) -> None:
    """Their books change no more; their servers know it."""
    for symbol in symbols:
        chain.servers.exchange.trouble.silence(SPOT, symbol)


@pytest.mark.parametrize("round_trip_ms", [20, 800, 1_500])
@ENGINES
def test_a_steady_link_to_nodes_does_not_flap_however_slow_it_is(engine: Any, round_trip_ms: int) -> None:
    chain = Nodes(engine, latency_ns=round_trip_ms * 500_000)
    quiet(chain, *BOTH)
    chain.reader.run_for(10)
    connects = chain.servers.accepted
    chain.reader.run_for(15)
    assert chain.servers.accepted == connects
    assert "LIST_SUBSCRIPTIONS" in chain.servers.servers[0].asked[-5:]


@ENGINES
def test_a_link_that_becomes_slow_costs_one_connection(engine: Any) -> None:
    chain = Nodes(engine)
    quiet(chain, *BOTH)
    chain.reader.run_for(5)
    connects = chain.servers.accepted
    chain.reader._network._latency_ns = 600_000_000
    chain.reader.run_for(25)
    assert chain.servers.accepted - connects <= 2, "one for each of the two that it had"


def test_a_far_node_has_time_and_a_silent_one_more_each_time() -> None:
    trips, second = RoundTrips(), 1_000_000_000
    assert trips.patience_ns(0, least_ns=second) == second
    for took_ns in (5 * second, 2 * second, 3 * second):
        trips.on_response(0, took_ns)
    assert trips.patience_ns(0, least_ns=second) == 6 * second, "three times the least"
    assert trips.patience_ns(0, least_ns=second, trips=2) == 12 * second
    assert trips.patience_ns(1, least_ns=second) == second, "another node"
    for asked_ns, doubled in ((1, 2), (2, 2), (9, 4), (19, 4)):
        trips.on_timeout(0, asked_ns, asked_ns + 5)
        assert trips.patience_ns(0, least_ns=second) == doubled * second, "connections count once, together"
    trips.on_response(0, second // 10)
    assert trips.patience_ns(0, least_ns=second) == second


@ENGINES
def test_a_book_whose_holder_cannot_be_reached_comes_from_the_node_that_can(engine: Any) -> None:
    chain = Chain(2, held=(BOTH, ETH), engine=engine, named=1)
    first, second = chain.servers.servers
    first.nodes = [address(0), address(1)]
    first.elsewhere = {"ETHUSDT": [address(1)]}
    second.is_down = True
    other = chain.reader.add(chain.venue, "ETHUSDT", depth=5)
    chain.reader.run_for(3)
    assert_true(chain, chain.book, other)
    assert len(first.sessions) == 1


@ENGINES
def test_a_node_that_joined_later_is_used_and_one_that_left_is_not(engine: Any) -> None:
    chain = Nodes(engine)
    first, second, third = chain.servers.servers
    for key, served in second.books.items():
        third.books.setdefault(key, served)  # the new node holds all
    everywhere = {"BTCUSDT": (2,), "ETHUSDT": (2,)}
    chain.place(everywhere, there=(0, 2))
    for session in first.sessions:
        session.push({"e": "nodes", "nodes": first.nodes})
    chain.reader.run_for(0.1)
    for lost in (first, second):
        chain.lose(lost)
    chain.reader.run_for(3)
    assert_true(chain, chain.other)
    assert chain.sessions[:2] == [0, 0]
    assert third.sessions


def test_addresses_of_nodes_are_used_as_far_as_the_client_trusts_them() -> None:
    def learned(url: str, *addresses: str, moves: bool = True) -> list[str]:
        servers = ClientServers(node_url=venues.node_url if moves else None)
        servers.begin(venues.with_servers(venues.venue(SPOT), (url,)))
        return [servers.url(number) for number in servers.learn(addresses, 0)]

    far, near = "10.0.0.2:42081", "127.0.0.1:42082"
    assert learned("https://a.test:1", far, near) == [f"https://{far}", f"https://{near}"]
    assert learned("https://a.test:1", "a.test:1", far, far) == ["https://a.test:1", f"https://{far}"]
    assert learned("http://127.0.0.1:1", far, near) == [f"http://{near}"], (
        "no token to another host without TLS"
    )
    assert learned("https://a.test:1/proxied", far) == []
    assert learned("https://a.test:1", far, moves=False) == [], "one certificate is trusted only"
    hostile = (
        "",
        "x",
        "u:p@b.test:1",
        "b.test:1/k/x",
        "b.test:1?q",
        "b test:1",
        "https://b.test:1",
        "b.test:0",
    )
    assert learned("https://a.test:1", *hostile) == []
    assert len(learned("https://a.test:1", *(f"b.test:{port}" for port in range(1, 2_000)))) == 256


def test_a_client_that_learns_no_servers_moves_between_those_that_it_was_given() -> None:
    servers = ClientServers()
    servers.begin(venues.with_servers(venues.venue(SPOT), ("https://a.test:1", "https://b.test:1")))
    assert servers.learn(["b.test:1", "c.test:1"], 0) == []
    assert servers.named(["c.test:1", "b.test:1"], 0) == [1]


def test_a_node_that_is_back_may_be_moved_to_at_once() -> None:
    servers = ClientServers(node_url=venues.node_url)
    servers.begin(venues.with_servers(venues.venue(SPOT), URLS[:2]))
    both, first = [address(0), address(1)], [address(0)]
    servers.on_nodes(both, 0)
    servers.on_failed(1, 10)
    servers.on_nodes(both, 0)
    assert not servers.may_move_to(1, 20), "the node has not noticed it yet"
    servers.on_nodes(first, 0)
    assert not servers.may_move_to(1, 30)
    servers.on_nodes(both, 0)
    assert servers.may_move_to(1, 40)


def test_a_node_that_has_gone_is_forgotten_until_it_is_back() -> None:
    servers = ClientServers(node_url=venues.node_url)
    servers.begin(venues.with_servers(venues.venue(SPOT), URLS[:1]))
    both, first = [address(0), address(1)], [address(0)]
    for there, numbers in ((both, [0, 1]), (first, [0]), ([], [0]), (both, [0, 1]), ([address(2)], [0, 2])):
        servers.on_nodes(there, 0)
        assert servers.numbers() == numbers
