"""A late stream is not mistaken for reset ids, on both engines."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from depthcache import Policy, Status, reference
from depthcache._native import Router
from depthcache.simulator import TINY, Pair, SimulatedExchange
from depthcache.simulator.interface import HttpResponse

PLACES = (
    ("binance.com", "BTCUSDT"),
    ("binance.com-futures", "BTCUSDT"),
    ("binance.com-coin_futures", "BTCUSD_PERP"),
)
ENGINES: dict[str, Callable[[], Any]] = {"native": Router, "reference": reference.Router}
CASES = [*((place, "native") for place in PLACES), (PLACES[0], "reference"), (PLACES[2], "reference")]
MARKET = replace(TINY, interval_ms=300)


class Watched(Pair):
    """A pair that notes what its one book says, and that it never is wrong."""

    def __init__(
        self, exchange: SimulatedExchange, place: tuple[str, str], engine: str, **options: Any
    ) -> None:
        super().__init__(exchange, router=ENGINES[engine](), **options)
        self.place, self.said = place, []
        self.book = self.add(*place)
        self.on_step = self._look

    def _look(self) -> None:
        said = self.book.status.value
        if not self.said or self.said[-1] != said:
            self.said.append(said)
            assert self.differences() == 0

    def again(self) -> None:
        """The same book once more, over a subscription of its own."""
        self.remove(*self.place)
        self.book = self.add(*self.place)
        self.said.clear()


def late(place: tuple[str, str], engine: str, seconds: float, **options: Any) -> Watched:
    """A book that begins while its stream has been late for a while."""
    name, symbol = place
    exchange = SimulatedExchange({name: {symbol: MARKET}}, seed=1)
    exchange.trouble.late_streams(name, seconds)
    pair = Watched(exchange, place, engine, **options)
    pair.run_for(seconds + 20)
    pair.again()
    return pair


@pytest.mark.parametrize(("place", "engine"), CASES)
@pytest.mark.parametrize("seconds", [7.0, 20.0])
def test_a_late_stream_is_followed_from_the_first_snapshot(
    place: tuple[str, str], engine: str, seconds: float
) -> None:
    pair = late(place, engine, seconds)
    pair.run_for(seconds + 1)
    book = pair.book
    assert book.counters["old"] > 3 * (seconds - 1)  # all of the backlog
    pair.run_for(20)
    assert (book.status, book.unconfirmed, pair.differences()) == (Status.SYNCED, False, 0)
    counters = {name: book.counters[name] for name in ("snapshots", "refreshes", "resets", "gaps")}
    assert counters == {"snapshots": 1, "refreshes": 0, "resets": 0, "gaps": 0}
    assert book.counters["applied"] > 50
    assert pair.said == ["empty", "synced"]
    number = pair._number(*place)
    late_us = next(each.late_us for each in pair._router.late(1_000_000) if each.market == number)
    assert seconds - 0.2 < late_us / 1e6 < seconds + 0.5
    told = [each for each in pair.troubles if each.cause == "late"]
    assert [each.market for each in told].count(number) == 1
    assert f"arrive {seconds:.0f}" in told[-1].reason


@pytest.mark.parametrize(("place", "engine"), CASES)
@pytest.mark.parametrize("seconds", [0.0, 7.0])
def test_ids_that_begin_anew_are_noticed_however_late_the_stream_is(
    place: tuple[str, str], engine: str, seconds: float
) -> None:
    pair = late(place, engine, seconds)
    pair.run_for(seconds + 5)
    pair.exchange.reset_ids(*place)
    pair.run_for(seconds + 4.8)
    assert pair.book.counters["resets"] == 0
    pair.run_for(1.5)
    assert pair.book.counters["resets"] == 1
    assert pair.run_until_synced(within_s=5)
    pair.run_for(seconds + 5)
    assert (pair.book.status, pair.differences(), pair.book.counters["resets"]) == (Status.SYNCED, 0, 1)
    assert not pair.book.unconfirmed


@pytest.mark.parametrize(("place", "engine"), CASES)
def test_ids_that_restart_before_the_first_diff_are_noticed(place: tuple[str, str], engine: str) -> None:
    pair = late(place, engine, 0.0)
    pair.exchange.trouble.silence(*place)
    pair.run_until_synced()
    assert pair.book.unconfirmed
    pair.exchange.reset_ids(*place)
    pair.exchange.trouble.resume(*place)
    pair.run_for(12)
    assert (pair.book.status, pair.book.unconfirmed) == (Status.SYNCED, False)
    assert pair.differences() == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_a_silent_stream_whose_ids_restarted_is_noticed_by_a_newer_snapshot(engine: str) -> None:
    place = PLACES[0]
    pair = late(place, engine, 0.0)
    pair.run_for(5)
    pair.exchange.trouble.silence(*place)
    pair.exchange.reset_ids(*place)
    pair.run_for(60)
    assert pair.book.status is not Status.SYNCED or pair.book.unconfirmed
    pair.exchange.trouble.resume(*place)
    assert pair.run_until_synced(within_s=60)


class WithoutTime(SimulatedExchange):
    """An exchange that does not tell its time."""

    def request(self, venue: str, target: str, now_ns: int, *, client: str = "client") -> HttpResponse:
        if target.endswith("/time"):
            return HttpResponse(503, b"")
        return super().request(venue, target, now_ns, client=client)


@pytest.mark.parametrize("engine", ENGINES)
def test_without_the_exchange_s_clock_a_second_snapshot_decides(engine: str) -> None:
    name, symbol = place = PLACES[0]
    exchange = WithoutTime({name: {symbol: MARKET}}, seed=1)
    exchange.trouble.late_streams(name, 8)
    pair = Watched(exchange, place, engine)
    pair.run_for(30)
    pair.again()
    pair.run_for(30)
    assert (pair.book.counters["resets"], pair.book.counters["snapshots"]) == (0, 1)
    assert (pair.book.status, pair.differences()) == (Status.SYNCED, 0)
    exchange.trouble.late_streams(name, 0)
    pair.again()
    pair.run_until_synced()
    exchange.reset_ids(*place)  # right after the first snapshot: every diff is old
    pair.run_for(10)
    assert pair.book.counters["resets"] >= 1
    assert pair.run_until_synced(within_s=5)
    pair.run_for(3)
    assert (pair.book.status, pair.differences()) == (Status.SYNCED, 0)


@pytest.mark.parametrize(("place", "engine"), CASES)
def test_a_stream_later_than_the_policy_allows_is_stale_until_it_catches_up(
    place: tuple[str, str], engine: str
) -> None:
    pair = late(place, engine, 12.0, policy=Policy(late_s=10.0))
    pair.run_for(30)
    assert (pair.book.status, pair.book.counters["snapshots"]) == (Status.STALE, 1)
    assert pair.book.reason == "updates arrive more than 10 s late"
    pair.exchange.trouble.late_streams(place[0], 0)
    pair.run_for(15)  # what waits is sent in its order
    assert (pair.book.status, pair.differences(), pair.book.reason) == (Status.SYNCED, 0, "")
    assert pair.book.counters["snapshots"] == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_a_late_stream_and_lagging_nodes_at_once(engine: str) -> None:
    pair = late(PLACES[0], engine, 7.0)
    pair.exchange.trouble.lag_snapshots(PLACES[0][0], 4)
    pair.run_for(20)
    for _ in range(4):
        pair.audit(*PLACES[0])
        pair.run_for(20)
    assert (pair.book.status, pair.differences()) == (Status.SYNCED, 0)
    assert (pair.book.counters["resets"], pair.book.counters["gaps"]) == (0, 0)


class Spoiled(SimulatedExchange):
    """An exchange whose depth responses are changed on the way."""

    change: Callable[[dict[str, Any]], Mapping[str, Any]] | None = None

    def request(self, venue: str, target: str, now_ns: int, *, client: str = "client") -> HttpResponse:
        response = super().request(venue, target, now_ns, client=client)
        if self.change is None or "/depth?" not in target or response.status != 200:
            return response
        body = json.dumps(self.change(json.loads(response.body))).encode()
        return HttpResponse(response.status, body, response.headers)


def spoiled(engine: str, change: Callable[[dict[str, Any]], Mapping[str, Any]]) -> tuple[Spoiled, Watched]:
    name, symbol = place = PLACES[2]
    exchange = Spoiled({name: {symbol: MARKET}}, seed=1)
    exchange.change = change
    return exchange, Watched(exchange, place, engine)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"symbol": "ETHUSD_PERP", "pair": "ETHUSD"}, "the snapshot is for ETHUSD_PERP"),
        ({"pair": "ETHUSD"}, "the snapshot is for ETHUSD"),
        ({"lastUpdateId": 2**63 - 1}, "lastUpdateId is implausibly large"),
        ({"lastUpdateId": 2**63}, "malformed snapshot"),
        ({"lastUpdateId": 10**15 + 1}, "lastUpdateId is implausibly large"),
    ],
)
def test_a_foreign_or_absurd_snapshot_is_a_failed_answer_that_is_asked_again_with_pauses(
    engine: str, change: dict[str, Any], reason: str
) -> None:
    exchange, pair = spoiled(engine, lambda body: body | change)
    pair.run_for(20)
    assert pair.book.status is Status.BUFFERING
    assert reason in pair.book.reason
    assert "synced" not in pair.said
    exchange.change = None
    assert pair.run_until_synced(within_s=40)
    pair.run_for(2)
    assert pair.differences() == 0
    exchange.change = lambda body: body | change
    pair.audit(*pair.place)
    pair.run_for(60)  # a live book stays as it is
    assert (pair.book.status, pair.differences(), pair.book.counters["corrections"]) == (Status.SYNCED, 0, 0)
    assert not pair.unexpected
