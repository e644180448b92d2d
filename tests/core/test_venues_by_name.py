"""Venues are compared by name: settings with other hosts create new values for each book."""

from __future__ import annotations

from dataclasses import replace

import pytest

from depthcache.core.markets.snapshot_clock import SnapshotClock
from depthcache.core.requests.exchange_clock import Estimate
from depthcache.settings import Settings
from depthcache.venues import Endpoints, Venue
from tests.core.harness import FUTURES, SECOND, SPOT, Bench

SETTINGS = Settings(
    endpoints={
        name: Endpoints(rest=f"https://gateway.example/{name}", websocket=f"wss://gateway.example/{name}")
        for name in (SPOT.name, FUTURES.name)
    }
)
BOTH = pytest.mark.parametrize("name", [SPOT.name, FUTURES.name])


def elsewhere(name: str) -> Venue:
    return SETTINGS.venue(name)


def gateway(name: str, *symbols: str) -> Bench:
    """Books of one venue at other hosts, each added with a value of its own."""
    bench = Bench(venues=(elsewhere(name),))
    for symbol in symbols:
        bench.add(symbol, venue=elsewhere(name))
        bench.exchange.ticks(symbol, elsewhere(name), every_s=0.5)
    bench.run_until(bench.all_synced, within_s=5)
    return bench


def times(bench: Bench) -> list[float]:
    return [(at - bench.start_ns) / SECOND for at, url in bench.exchange.stats if url.endswith("/time")]


@BOTH
def test_a_venue_at_other_hosts_is_another_value_each_time(name: str) -> None:
    assert elsewhere(name) is not elsewhere(name)


@BOTH
def test_removing_one_book_does_not_stop_the_clock_of_the_others(name: str) -> None:
    bench = gateway(name, "BTCUSDT", "ETHUSDT", "BNBUSDT")
    bench.remove("BTCUSDT")
    bench.run(610)
    assert len(times(bench)) == 3
    bench.remove("BNBUSDT")
    bench.run(600)
    assert len(times(bench)) == 5
    bench.remove("ETHUSDT")
    bench.run(600)
    assert len(times(bench)) == 5


@BOTH
def test_every_book_hears_of_better_knowledge_of_the_clock(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = gateway(name, "BTCUSDT")
    told: list[int] = []
    real = SnapshotClock.on_clock

    def on_clock(self: SnapshotClock, known: Estimate) -> None:
        told.append(self._market)
        real(self, known)

    monkeypatch.setattr(SnapshotClock, "on_clock", on_clock)
    bench.add("ETHUSDT", venue=elsewhere(name))
    bench.run(10)
    assert set(told) == {bench.ids["BTCUSDT"], bench.ids["ETHUSDT"]}
    assert bench.core.clock(bench.ids["ETHUSDT"]) is not None


@BOTH
def test_a_proof_of_any_book_is_fed(name: str) -> None:
    bench = gateway(name, "BTCUSDT", "ETHUSDT")
    market = bench.ids["ETHUSDT"]
    bench.core.start_cross_check(market, bench.now_ns)
    bench.settle()
    bench.run(1)
    held = bench.exchange.market("ETHUSDT", elsewhere(name))
    stream = next(
        each for each in bench.subscribe_names() if each.startswith("ethusdt@depth") and "20" in each
    )
    for _ in range(20):
        body = held.body().decode()
        [socket] = bench.exchange.sockets.values()
        bench.exchange.say_bytes(socket, f'{{"stream":"{stream}","data":{body}}}'.encode())
        bench.run(0.5)
    sources = bench.core.end_cross_check(market, bench.now_ns)
    assert sources[stream].compared > 0


@BOTH
def test_books_of_one_venue_share_budget_connection_and_list(name: str) -> None:
    bench = gateway(name, "BTCUSDT", "ETHUSDT", "BNBUSDT")
    assert len(bench.exchange.all_sockets) == 1
    [scheduler] = bench.core.schedulers()
    assert scheduler.pool.endswith("gateway.example")
    with pytest.raises(ValueError, match="not yet added on"):
        bench.core.add(elsewhere(name), "BTCUSDT", depth=100, now_ns=bench.now_ns)


def test_a_venue_that_differs_in_more_than_its_hosts_is_still_the_same_by_name() -> None:
    bench = Bench()
    bench.add("BTCUSDT")
    bench.add("ETHUSDT", venue=replace(SPOT, aliases=("spot",)))
    bench.run(10)
    bench.remove("BTCUSDT")
    bench.run(300)
    assert len(times(bench)) == 2
