"""The look at all books every second asks only those that may need something, and those at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from depthcache import reference
from depthcache._native import Router
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
