"""The look at all books every second asks only those that may need something, and those at once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from depthcache import reference
from depthcache._native import Router
from depthcache.core.markets.depth_scheduler import DepthScheduler
from depthcache.core.markets.maintenance import Maintenance
from depthcache.model import Status
from tests.core.harness import Bench

SYMBOLS = tuple(f"S{number}USDT" for number in range(10))
ENGINES = pytest.mark.parametrize("router", [Router, reference.Router], ids=["native", "reference"])
WHOLE = 8
"""At one in so many looks all books are asked."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each book was asked whether it is unproven."""
    counts: Counter[str] = Counter()
    original: Callable[[Maintenance, int], bool] = Maintenance.may_be_unproven

    def counted(self: Maintenance, now_ns: int) -> bool:
        counts[self._spec.symbol] += 1
        return original(self, now_ns)

    monkeypatch.setattr(Maintenance, "may_be_unproven", counted)
    return counts


def flowing_bench(router: Callable[[], Any]) -> Bench:
    bench = Bench(router=router())
    bench.add(*SYMBOLS)
    for symbol in SYMBOLS:
        bench.exchange.ticks(symbol, every_s=0.5)
    bench.run_until(bench.all_synced, within_s=30)
    bench.run(10)
    return bench


@ENGINES
def test_books_that_are_right_are_hardly_ever_asked(asked: Counter[str], router: Callable[[], Any]) -> None:
    bench = flowing_bench(router)
    asked.clear()
    bench.run(8 * WHOLE)
    assert set(asked) == set(SYMBOLS)
    assert max(asked.values()) <= 9
    assert set(map(bench.status, SYMBOLS)) == {Status.SYNCED}


@ENGINES
def test_a_book_that_fails_to_compare_is_asked_every_second_and_the_others_are_not(
    asked: Counter[str], router: Callable[[], Any]
) -> None:
    bench = flowing_bench(router)
    bench.exchange.scripted_for["S7USDT"] = lambda: (400, {}, b'{"code":-1000,"msg":"refused"}')
    bench.exchange.mute("S7USDT")
    bench.run(40)  # it was looked at, and comparing it failed
    asked.clear()
    bench.run(8)
    assert asked.pop("S7USDT") >= 8
    assert max(asked.values()) <= 2


@ENGINES
def test_stopped_requests_concern_every_book(asked: Counter[str], router: Callable[[], Any]) -> None:
    bench = flowing_bench(router)
    response = (429, {"retry-after": "60"}, b'{"code":-1003,"msg":"slow down"}')
    bench.exchange.scripted_for["S7USDT"] = lambda: response
    bench.exchange.mute("S7USDT")
    bench.run(45)  # it was looked at, and that stopped all requests
    asked.clear()
    bench.run(5)
    assert min(asked[symbol] for symbol in SYMBOLS) >= 5


@ENGINES
def test_a_refresh_interval_that_was_shortened_counts_at_once(router: Callable[[], Any]) -> None:
    bench = flowing_bench(router)
    before = len(bench.asked("S7USDT"))
    bench.core.refresh_every(8, 12.0)
    bench.run(60)
    times = bench.asked("S7USDT")[before - 1 :]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(gaps) >= 4
    assert max(gaps) < 13.2, "12 s, and the second until the next look"


def refused(status: int) -> Callable[[], tuple[int, dict[str, str], bytes]]:
    return lambda: (status, {"retry-after": "30"}, b'{"code":-1003,"msg":"refused"}')


def faults(bench: Bench, symbol: str, seconds: float) -> list[Callable[[], Any]]:
    exchange = bench.exchange
    return [
        lambda: exchange.mute(symbol),
        lambda: exchange.unmute(symbol),
        lambda: exchange.scripted_for.update({symbol: refused(400)}),
        lambda: exchange.scripted_for.update({symbol: refused(418)}),
        lambda: exchange.scripted_for.pop(symbol, None),
        lambda: exchange.answer_next(429, b'{"code":-1003}', **{"retry-after": str(seconds)}),
        exchange.fail_next,
        lambda: exchange.lag_snapshots(seconds),
        lambda: exchange.lag_snapshots(0),
        lambda: exchange.drop_next_diff(symbol),
        exchange.close_all,
        lambda: bench.core.refresh_every(1 + SYMBOLS.index(symbol), seconds),
    ]


def what_became_of_books(seed: int) -> list[Any]:
    """The status of each book after every step of a schedule of faults, then the times of its snapshots."""
    choose, bench, symbols = random.Random(seed), Bench(router=Router()), SYMBOLS[:5]
    bench.add(*symbols)
    for symbol in symbols:
        bench.exchange.ticks(symbol, every_s=choose.choice((0.3, 1, 20)))
    steps: list[Any] = []
    for _ in range(60):
        choose.choice(faults(bench, choose.choice(symbols), choose.choice((5, 12, 60))))()
        bench.run(choose.choice((1, 3, 10, 45)))
        steps.append([(symbol, bench.status(symbol), bench.book(symbol).reason) for symbol in symbols])
    return [*steps, [bench.asked(symbol) for symbol in symbols]]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 9, 12, 17])  # something is due, or requests are stopped, when it matters
def test_asking_every_book_every_second_changes_nothing(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = what_became_of_books(seed)
    monkeypatch.setattr(DepthScheduler, "_worth_a_look", lambda self, now_ns: list(self._markets.items()))
    assert found == what_became_of_books(seed)
