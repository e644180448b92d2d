"""Fixtures of the drop-in's tests: managers on an exchange moved by hand and on the embedded exchange."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest

from depthcache import Settings, simulator
from depthcache.compat.ubldc import BinanceLocalDepthCacheManager
from depthcache.core.requests.budget import Budgets
from tests.support.by_hand import FromThread

DEADLINE_S = 60.0


def until(condition: Callable[[], object]) -> None:
    """Wait for something that happens on another thread."""
    ends = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < ends, "waited too long"
        time.sleep(0.005)


@pytest.fixture(autouse=True)
def budgets_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients of one process share their budgets; a test must not wait for what the ones before have used."""
    monkeypatch.setattr("depthcache.io.budgets._shared", Budgets(threading.Lock))


class Makes(Protocol):
    """Makes managers that are stopped after the test."""

    def __call__(self, exchange: str = "binance.com", **options: Any) -> BinanceLocalDepthCacheManager: ...


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> FromThread:
    """The networks of the managers made in a test, moved by it."""
    exchange = FromThread()
    exchange.default = {"lastUpdateId": 10, "bids": LEVELS[:2], "asks": LEVELS[2:]}
    monkeypatch.setattr("depthcache.blocking.real_network", exchange.make)
    return exchange


LEVELS = [["1.10", "5.0"], ["1.00", "6.0"], ["1.20", "7.0"], ["1.30", "8.0"]]


@pytest.fixture
def make() -> Iterator[Makes]:
    """Managers without the environment's settings; each is stopped, and leaves no thread."""
    before = threading.active_count()
    made: list[BinanceLocalDepthCacheManager] = []

    def make(exchange: str = "binance.com", **options: Any) -> BinanceLocalDepthCacheManager:
        options.setdefault("settings", Settings())
        options.setdefault("depth_cache_update_interval", 100)
        made.append(BinanceLocalDepthCacheManager(exchange, **options))
        return made[-1]

    yield make
    for manager in made:
        manager.stop_manager()
    until(lambda: threading.active_count() <= before)


@pytest.fixture(scope="session")
def server() -> Iterator[simulator.Server]:
    """An embedded exchange on loopback."""
    with simulator.serve(seed=5) as server:
        yield server
