"""An exception in any handler of the core: that market recovers and reports it, all others are unaffected."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any

import pytest

from depthcache.core.connections.arbitration import Arbitration
from depthcache.core.connections.connection import ConnectionSlot
from depthcache.core.connections.pool import ConnectionPool
from depthcache.core.connections.subscriptions import Subscriptions
from depthcache.core.markets.depth_scheduler import DepthScheduler
from depthcache.core.markets.maintenance import Maintenance
from depthcache.core.markets.pauses import Pauses
from depthcache.core.markets.refusals import Refusals
from depthcache.core.markets.snapshot_limits import SnapshotLimits
from depthcache.core.markets.supervisor import Supervisor
from depthcache.core.markets.watchdogs import Bridging, Lateness, OverdueWatch, SilenceWatch
from depthcache.core.notices import FaultCaught
from depthcache.core.policy import Policy
from depthcache.core.requests.exchange_clock import Clock
from depthcache.core.requests.exchange_info import ExchangeInfoPoller
from depthcache.core.requests.scheduler import RequestScheduler
from depthcache.model import Status
from tests.core.harness import SPOT, Bench

PARTS = (
    Supervisor,
    Maintenance,
    ConnectionSlot,
    ExchangeInfoPoller,
    Clock,
    Arbitration,
    ConnectionPool,
    RequestScheduler,
    Subscriptions,
    DepthScheduler,
    SilenceWatch,
    OverdueWatch,
    Bridging,
    Lateness,
    SnapshotLimits,
    Pauses,
    Refusals,
)
NEVER = {"recover", "retell", "__init__", "guard", "owner", "holds", "requester_of"}
"""What heals, and look-ups in a dictionary before it is known whose the event is."""
COMMANDS = {
    (ExchangeInfoPoller, "watch"), (ExchangeInfoPoller, "forget"), (ExchangeInfoPoller, "look"),
    (Clock, "begin"), (Clock, "end"), (DepthScheduler, "begin"), (DepthScheduler, "end"),
    (ConnectionPool, "add"), (ConnectionPool, "remove"), (ConnectionSlot, "add"), (ConnectionSlot, "shut"),
    (ConnectionSlot, "remove"), (Subscriptions, "add"), (Subscriptions, "remove"),
    (RequestScheduler, "need"), (Supervisor, "end"), (Arbitration, "feed"), (Arbitration, "drop"),
    (SnapshotLimits, "allowed"), (SnapshotLimits, "_target"),
}  # fmt: skip
"""Also called by the application's own commands, whose errors reach the caller."""


AT_CALLS = [1, 2, 3, 7] if os.environ.get("HOSTILE") == "all" else [1]
"""Which call raises; HOSTILE=all tries more of them."""


class Planted(Exception):
    """What is raised."""


def handlers() -> list[tuple[type, str]]:
    """Every method of a part of the core that something outside can lead to."""
    found = []
    for part in PARTS:
        for name, method in vars(part).items():
            if inspect.isfunction(method) and name not in NEVER and (part, name) not in COMMANDS:
                found.append((part, name))
    return found


def plant(monkeypatch: pytest.MonkeyPatch, part: type, name: str, at_call: int) -> list[int]:
    """Let a method raise once; the list holds how often it was called."""
    real: Callable[..., Any] = getattr(part, name)
    calls = [0]

    def raising(*given: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] == at_call:
            raise Planted(f"{part.__name__}.{name}")
        return real(*given, **named)

    monkeypatch.setattr(part, name, raising)
    return calls


def eventful(bench: Bench) -> None:
    """Gaps, failed and refused requests, a lost connection, silence, late diffs: whatever a core meets."""
    exchange = bench.exchange
    for symbol in ("BTCUSDT", "ETHUSDT"):
        exchange.ticks(symbol, every_s=0.5)
    bench.run(8)
    exchange.drop_next_diff("BTCUSDT")
    exchange.fail_next()
    bench.run(20)
    exchange.answer_next(503, b"<html>")
    exchange.drop_next_diff("ETHUSDT")
    bench.run(10)
    exchange.close_all()
    bench.run(10)
    exchange.mute("BTCUSDT")
    bench.run(60)
    exchange.unmute("BTCUSDT")
    exchange.half_open()
    bench.run(60)


@pytest.mark.parametrize("at_call", AT_CALLS)
@pytest.mark.parametrize(("part", "name"), handlers(), ids=lambda each: getattr(each, "__name__", each))
def test_whatever_raises_the_books_come_back_and_it_is_said(
    part: type, name: str, at_call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(policy=Policy(listing_s=30, clock_s=20, refresh_s=30))
    bench.add("BTCUSDT", "ETHUSDT", depth=2)
    calls = plant(monkeypatch, part, name, at_call)
    eventful(bench)
    bench.run_until(bench.all_synced, within_s=90)
    bench.run(1.03)
    assert bench.follows("BTCUSDT")
    assert bench.follows("ETHUSDT")
    faults = [each for each in bench.told if isinstance(each, FaultCaught)]
    assert len(faults) == (calls[0] >= at_call), faults
    assert all(isinstance(each.error, Planted) for each in faults)


class Faulty:
    """A router that raises once from one of its methods, as the native one does for what it cannot take."""

    def __init__(self, router: Any, name: str, at_call: int) -> None:
        self._router, self._name, self._left = router, name, at_call
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._router, name)
        if name != self._name:
            return method

        def raising(*given: Any, **named: Any) -> Any:
            self.calls += 1
            if self.calls == self._left:
                raise UnicodeEncodeError("utf-8", "\udc80", 0, 1, "surrogates not allowed")
            return method(*given, **named)

        return raising


@pytest.mark.parametrize("at_call", [1, 2, 5])
@pytest.mark.parametrize(
    "name",
    ["set_condition", "resync", "restart", "install_snapshot", "refresh", "begin_refresh", "end_refresh",
     "settle_refresh", "heard", "set_depth_target", "route", "unroute", "open_connection", "close_connection",
     "traffic", "feeds", "shallow", "set_clock_offset"],
)  # fmt: skip
def test_whatever_the_router_refuses_the_books_come_back(name: str, at_call: int) -> None:
    bench = Bench(policy=Policy(listing_s=30, clock_s=20, refresh_s=30))
    bench.add("BTCUSDT", "ETHUSDT", depth=2)
    faulty = bench.core._context.router = Faulty(bench.router, name, at_call)  # type: ignore[assignment]
    eventful(bench)
    bench.run_until(bench.all_synced, within_s=90)
    bench.run(1.03)
    assert bench.follows("BTCUSDT")
    assert bench.follows("ETHUSDT")
    faults = [each for each in bench.told if isinstance(each, FaultCaught)]
    assert len(faults) == (faulty.calls >= at_call)


def test_a_handler_that_always_raises_is_retried_with_back_off_and_recovers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    bench.add("BTCUSDT", "ETHUSDT")
    bench.exchange.ticks("BTCUSDT", every_s=0.5)
    bench.exchange.ticks("ETHUSDT", every_s=0.5)
    broken = bench.ids["BTCUSDT"]
    real = Supervisor._install

    def raising(self: Supervisor, *given: Any) -> None:
        if self.market == broken:
            raise Planted
        real(self, *given)

    monkeypatch.setattr(Supervisor, "_install", raising)
    bench.run(300)
    assert bench.status("ETHUSDT") is Status.SYNCED
    faults = [each for each in bench.told if isinstance(each, FaultCaught)]
    assert 10 <= len(faults) <= 30, "half a second at first, half a minute at last"
    assert len(bench.asked("BTCUSDT")) <= 31
    monkeypatch.setattr(Supervisor, "_install", real)
    bench.run_until(bench.all_synced, within_s=31)


def test_a_market_that_raises_while_it_ends_still_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.add("BTCUSDT", "ETHUSDT")
    bench.exchange.ticks("BTCUSDT", every_s=0.5)
    bench.exchange.ticks("ETHUSDT", every_s=0.5)
    bench.run(5)
    plant(monkeypatch, Maintenance, "close", 1)
    bench.exchange.listed["BTCUSDT"] = "DELISTED"
    bench.core._listings[SPOT.name].look(bench.now_ns)
    bench.run(20)
    assert bench.status("BTCUSDT") is Status.CLOSED
    assert bench.status("ETHUSDT") is Status.SYNCED
    assert any("btcusdt@depth" in name for name in bench.subscribe_names("UNSUBSCRIBE"))


def test_closing_the_client_goes_on_whatever_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.add("BTCUSDT", "ETHUSDT")
    bench.run(5)
    books = [bench.book(symbol) for symbol in bench.ids]
    plant(monkeypatch, Supervisor, "end", 1)
    bench.core.close(bench.now_ns)
    bench.settle()
    assert books[1].status is Status.CLOSED


def test_a_look_at_a_halted_market_that_raises_is_told_once_and_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    bench.add("BTCUSDT", "ETHUSDT")
    bench.exchange.ticks("ETHUSDT", every_s=0.5)
    bench.exchange.tick("BTCUSDT")
    bench.run(5)
    bench.exchange.listed["BTCUSDT"] = "BREAK"
    bench.core._listings[SPOT.name].look(bench.now_ns)
    bench.run(1)
    assert bench.status("BTCUSDT") is Status.HALTED
    plant(monkeypatch, ExchangeInfoPoller, "_look_at_halted", 3)
    bench.run(25)
    faults = [each for each in bench.told if isinstance(each, FaultCaught)]
    assert [type(each.error) for each in faults] == [Planted]
    assert "listing binance.com" in faults[0].where
    bench.exchange.listed["BTCUSDT"] = "TRADING"
    bench.exchange.tick("BTCUSDT")
    bench.run(1)
    assert bench.status("BTCUSDT") is Status.SYNCED


def test_a_slot_that_raises_gets_a_new_connection_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    plant(monkeypatch, ConnectionSlot, "_on_reply", 1)
    bench.add("BTCUSDT")
    bench.run(3)  # the awaited reply would be missed after 10 s
    (slot,) = bench.core.slots()
    assert slot.connects == 2
    assert bench.status("BTCUSDT") is Status.SYNCED
