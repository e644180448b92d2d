"""What the core makes of book servers, on a virtual clock."""

from __future__ import annotations

import json
from typing import Any

import pytest

from depthcache import venues
from depthcache._native import Router
from depthcache.core.client import ClientCore
from depthcache.core.policy import Policy
from depthcache.model import Status
from depthcache.simulator import TINY, SimulatedExchange
from tests.support.relayed import Close, Cut, Server, Servers, reader_of, remote

SPOT = "binance.com"


class Chain:
    """An exchange, servers of BTCUSDT, and a reader of them that is synced."""

    def __init__(self, count: int = 1, *, latency_ns: int = 10_000_000) -> None:
        exchange = SimulatedExchange({SPOT: {"BTCUSDT": TINY, "ETHUSDT": TINY}}, seed=1, history=20_000)
        venue = venues.venue(SPOT)
        names = ("a", "b")[:count]
        made = [Server(name, exchange, Policy(), seed=2, latency_ns=latency_ns) for name in names]
        for server in made:
            server.add(venue, "BTCUSDT")
        self.servers = Servers(exchange, made)
        self.reader = reader_of(self.servers, policy=Policy(), seed=3, latency_ns=latency_ns, router=Router())
        self.book: Any = self.reader.add(remote(venue, count), "BTCUSDT", depth=5)
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
