"""Fixtures of all tests: both engines, an exchange moved by hand, Hypothesis, the header of a run."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import depthcache
from depthcache import logs, simulator
from depthcache.io import budgets
from tests import engine as engines
from tests.support.by_hand import ByHand

settings.register_profile("quick", deadline=None, max_examples=60, print_blob=True)
settings.register_profile(
    "soak", deadline=None, max_examples=5_000, print_blob=True, suppress_health_check=list(HealthCheck)
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_configure() -> None:
    """Start with the signals of a foreground program: in the background, some are ignored."""
    for name, usual in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


def pytest_report_header() -> str:
    """Which schedules the property tests run."""
    count, first = int(os.environ.get("SCHEDULES", "5000")), int(os.environ.get("SCHEDULES_SEED", "1"))
    return f"schedules of faults: {count:,}, seeds {first} to {first + count - 1} (SCHEDULES, SCHEDULES_SEED)"


@pytest.fixture(params=engines.NAMES)
def engine(request: Any) -> engines.Engine:
    """Each engine in turn."""
    return engines.load(request.param)


@pytest.fixture(autouse=True)
def _like_a_fresh_process() -> None:
    """The connects of all tests together are more than one address may make in five minutes, and their log
    lines more than are written of one kind in ten seconds."""
    budgets._forget()
    for limited in vars(logs).values():
        if isinstance(limited, logs._Limited):
            limited._began = limited._written = limited._left_out = 0.0
    logs._MISTAKES.clear()


@pytest.fixture(scope="session")
def embedded_exchange() -> Iterator[Mapping[str, str]]:
    """An embedded exchange for programs as users write them: the environment that points at it."""
    with simulator.serve(seed=7) as server:
        yield dict(server.environment)


@pytest.fixture
def served_by_the_embedded_exchange(
    embedded_exchange: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs that this test runs find the embedded exchange instead of Binance."""
    for variable, value in embedded_exchange.items():
        monkeypatch.setenv(variable, value)


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> list[ByHand]:
    """The networks that asyncio clients of this test made, in order; their other end is the test."""
    made: list[ByHand] = []

    def make(settings: depthcache.Settings) -> ByHand:
        made.append(ByHand(settings))
        return made[-1]

    monkeypatch.setattr("depthcache.client.aio.real_network", make)
    return made
