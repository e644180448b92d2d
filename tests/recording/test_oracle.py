"""A diff is compared with the last ticker at or before its id, and not before that ticker is known."""

from __future__ import annotations

from decimal import Decimal

import pytest

from depthcache.model import Best, Level
from depthcache.recording.oracle import Oracle
from depthcache.recording.records import Ticker


def best(bid: str | None, ask: str | None, update_id: int = 0) -> Best:
    return Best(_level(bid), _level(ask), update_id)


def _level(price: str | None) -> Level | None:
    return None if price is None else Level(Decimal(price), Decimal(1))


def ticker(update_id: int, bid: str, ask: str, quantity: str = "1.000") -> Ticker:
    return Ticker("ABCUSDT", update_id, bid, quantity, ask, quantity, "spot")


def counts(oracle: Oracle) -> tuple[int, int]:
    return oracle.equal, oracle.different


def test_numbers_are_compared_not_texts() -> None:
    oracle = Oracle()
    oracle.on_ticker(ticker(5, "1.0", "2.000"))
    oracle.on_applied(5, best("1.00", "2"))
    oracle.on_end()
    assert counts(oracle) == (1, 0)


@pytest.mark.parametrize(
    ("bid", "ask", "quantity"), [("1.1", "2", "1"), ("1", "2.1", "1"), ("1", "2", "1.1")]
)
def test_each_of_the_four_numbers_counts(bid: str, ask: str, quantity: str) -> None:
    oracle = Oracle()
    oracle.on_ticker(ticker(5, bid, ask, quantity))
    oracle.on_applied(5, best("1", "2"))
    oracle.on_end()
    assert counts(oracle) == (0, 1)


def test_a_diff_is_judged_only_when_a_ticker_with_a_larger_id_was_seen() -> None:
    oracle = Oracle()
    oracle.on_ticker(ticker(4, "9", "10"))
    oracle.on_applied(5, best("1", "2"))
    assert counts(oracle) == (0, 0)
    oracle.on_ticker(ticker(5, "1", "2"))  # late, and the one that belongs to the diff
    assert counts(oracle) == (0, 0)
    oracle.on_ticker(ticker(6, "3", "4"))
    assert counts(oracle) == (1, 0)


def test_the_rest_is_judged_at_the_end() -> None:
    oracle = Oracle()
    oracle.on_ticker(ticker(4, "1", "2"))
    oracle.on_applied(5, best("1", "2"))
    oracle.on_applied(7, best("1", "3"))
    oracle.on_end()
    assert counts(oracle) == (1, 1)


def test_tickers_may_run_ahead_of_the_diffs() -> None:
    oracle = Oracle()
    for update_id in range(1, 3000):
        oracle.on_ticker(ticker(update_id, str(update_id), "9999"))
    for update_id in range(2, 2999, 2):
        oracle.on_applied(update_id, best(str(update_id), "9999"))
    assert counts(oracle) == (1499, 0)


def test_nothing_is_judged_before_the_first_ticker() -> None:
    oracle = Oracle()
    oracle.on_applied(5, best("1", "2"))
    oracle.on_ticker(ticker(6, "1", "2"))
    oracle.on_end()
    assert counts(oracle) == (0, 0)


def test_a_book_that_could_not_be_read_is_different() -> None:
    oracle = Oracle()
    oracle.on_ticker(ticker(5, "1", "2"))
    oracle.on_applied(5, None)
    oracle.on_end()
    assert counts(oracle) == (0, 1)


def test_an_empty_side_equals_a_ticker_without_quantity() -> None:
    oracle = Oracle()
    oracle.on_ticker(Ticker("ABCUSDT", 5, "1", "1", "0.00", "0.00", "spot"))
    oracle.on_applied(5, best("1", None))
    oracle.on_end()
    assert counts(oracle) == (1, 0)


def test_a_late_ticker_is_put_in_its_place() -> None:
    oracle = Oracle()
    oracle.on_ticker(ticker(9, "3", "4"))
    oracle.on_ticker(ticker(5, "1", "2"))
    oracle.on_applied(6, best("1", "2"))
    assert counts(oracle) == (1, 0)
