"""The cross check with partial depth and bookTicker compares every price, only at equal update ids."""

from __future__ import annotations

import json
from typing import Any

import pytest

from depthcache.core.markets.cross_check import Source
from tests.core.harness import SPOT, Bench

TOP, TICKER = "btcusdt@depth20@100ms", "btcusdt@bookTicker"


def proving() -> tuple[Bench, Any]:
    """A synced book, and its proof."""
    bench = Bench()
    bench.add("BTCUSDT")
    bench.run_until(bench.all_synced, within_s=2)
    bench.core.start_cross_check(bench.ids["BTCUSDT"], bench.now_ns)
    bench.settle()
    bench.run(1)
    return bench, bench.core._cross_checks[bench.ids["BTCUSDT"]]


def say(bench: Bench, stream: str, data: object) -> None:
    frame = json.dumps({"stream": stream, "data": data}).encode()
    bench.exchange.say_bytes(bench.exchange.all_sockets[0], frame)


def top(bench: Bench, **changes: Any) -> dict[str, Any]:
    """The partial depth payload of the book as it is."""
    return json.loads(bench.exchange.market("BTCUSDT").body()) | changes


def test_both_streams_are_subscribed_and_left_again() -> None:
    bench, _ = proving()
    assert {TOP, TICKER} <= bench.exchange.all_sockets[0].streams
    bench.core.end_cross_check(bench.ids["BTCUSDT"], bench.now_ns)
    bench.settle()
    bench.run(2)
    assert bench.exchange.all_sockets[0].streams == {SPOT.stream("BTCUSDT")}


def test_a_payload_at_the_books_own_id_is_compared_price_by_price() -> None:
    bench, cross_check = proving()
    say(bench, TOP, top(bench))
    bench.run(0.1)
    assert cross_check.sources[TOP] == Source(compared=1, checked=6)


@pytest.mark.parametrize(
    ("bids", "expected"),
    [
        ([["99.00", "7.7"], ["98.00", "2.5"], ["97.00", "3.5"]], Source(compared=1, checked=6, differing=1)),
        ([["99.00", "1.5"], ["98.00", "2.5"]], Source(compared=1, checked=6, extra=1)),
        (
            [["99.00", "1.5"], ["98.00", "2.5"], ["97.00", "3.5"], ["96.00", "4"]],
            Source(compared=1, checked=7, missing=1),
        ),
    ],
)
def test_every_kind_of_difference_is_counted(bids: list[list[str]], expected: Source) -> None:
    bench, cross_check = proving()
    say(bench, TOP, top(bench, bids=bids))
    bench.run(0.1)
    found = cross_check.sources[TOP]
    assert (found.compared, found.differing, found.missing, found.extra) == (
        expected.compared, expected.differing, expected.missing, expected.extra
    )  # fmt: skip


def test_a_payload_before_its_diff_waits_for_it() -> None:
    bench, cross_check = proving()
    market = bench.exchange.market("BTCUSDT")
    diff = market.change()
    say(bench, TOP, json.loads(market.body()))
    bench.run(0.05)
    assert cross_check.sources[TOP].compared == 0
    say(bench, SPOT.stream("BTCUSDT"), diff)
    bench.run(0.1)
    assert cross_check.sources[TOP].compared == 1
    assert cross_check.sources[TOP].differing == 0


@pytest.mark.parametrize("update_id", [1, 10**9])
def test_a_payload_of_an_id_that_never_meets_is_skipped(update_id: int) -> None:
    bench, cross_check = proving()
    say(bench, TOP, top(bench, lastUpdateId=update_id))
    bench.run(2)
    assert cross_check.sources[TOP] == Source(skipped=1)


def test_the_ticker_is_compared_with_the_best_prices() -> None:
    bench, cross_check = proving()
    ticker = {"u": 100, "s": "BTCUSDT", "b": "99.00", "B": "1.5", "a": "101.00", "A": "9.9"}
    say(bench, TICKER, ticker)
    bench.run(0.1)
    assert cross_check.sources[TICKER] == Source(compared=1, checked=2, differing=1)


@pytest.mark.parametrize("data", [{}, {"u": "1"}, {"lastUpdateId": 100, "bids": 5, "asks": []}, {"u": 100}])
def test_rubbish_is_skipped(data: object) -> None:
    bench, cross_check = proving()
    say(bench, TOP, data)
    bench.run(0.1)
    assert cross_check.sources[TOP] == Source(skipped=1)
