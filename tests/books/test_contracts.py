"""COIN-M, where quantities are contracts of a fixed value in USD: no amounts in the quote asset."""

from __future__ import annotations

import copy as copying
import pickle
from decimal import Context, Decimal
from math import isnan
from typing import Any

import pytest

import depthcache
from depthcache import InvalidArgument, _native, venues
from tests.engine import snapshot

COIN_M = [name for name in venues.names() if "coin_futures" in name]
OTHERS = [name for name in venues.names() if "coin_futures" not in name]
BIDS, ASKS = [("99", "10"), ("98", "10")], [("100", "10"), ("110", "20")]


def books(exchange: str) -> list[Any]:
    """The hand-fed book, a frozen one, and both with Decimals."""
    fed = depthcache.Book(exchange)
    fed.load_snapshot(snapshot(10, BIDS, ASKS), limit=100)
    return [fed, fed.freeze(), fed.exact, fed.freeze().exact]


def test_the_caller_says_it_and_no_name_does() -> None:
    for exchange, inverse in (("somewhere", True), ("binance.com-coin_futures", False)):
        fed = _native.Book(exchange, "BTCUSD_PERP", "chained", inverse=inverse)
        fed.load_snapshot(snapshot(10, BIDS, ASKS), limit=100)
        router = _native.Router()
        router.add_market(1, exchange, "BTCUSD_PERP", "chained", inverse=inverse)
        router.install_snapshot(1, snapshot(10, BIDS, ASKS), limit=100, live=True, now_ns=1)
        live = router.reader(1)
        for book in (fed, fed.freeze(), live, live.freeze(), live.freeze().freeze(1)):
            assert isnan(book.fill("buy", base=1).quote) == inverse


@pytest.mark.parametrize(
    ("exchange", "inverse"), [("binance.com-coin_futures", True), ("binance.com", False)]
)
def test_copies_carry_it(exchange: str, inverse: bool) -> None:
    frozen = books(exchange)[1]
    for copy in (pickle.loads(pickle.dumps(frozen)), copying.copy(frozen), copying.deepcopy(frozen)):  # noqa: S301
        assert copy == frozen
        assert isnan(copy.fill("buy", base=1).quote) == inverse


def test_there_are_three_such_exchanges() -> None:
    assert len(COIN_M) == 3


@pytest.mark.parametrize("exchange", COIN_M)
def test_amounts_of_quote_are_refused_with_what_to_do_instead(exchange: str) -> None:
    for book in books(exchange):
        for call in (
            lambda book=book: book.fill("buy", quote=100),
            lambda book=book: book.fill("sell", quote="nonsense"),
            lambda book=book: book.bids.up_to_value(100),
            lambda book=book: book.asks.up_to_value(Decimal("0.5")),
        ):
            with pytest.raises(InvalidArgument, match="contractSize") as refused:
                call()
            assert refused.value.name == "quote"
            assert "base=" in refused.value.allowed


@pytest.mark.parametrize("exchange", COIN_M)
def test_no_result_tells_an_amount_of_money(exchange: str) -> None:
    for book in books(exchange):
        depth = book.depth_within(2_000)
        results = (book.fill("buy", base=20), depth.bids, depth.asks, book.size_to_move("sell", 50))
        for found in results:
            assert isnan(found.quote)
            assert type(found.quote) is type(found.base)
        assert (depth.bids.base, depth.bids.levels) == (20, 2)


@pytest.mark.parametrize("exchange", COIN_M)
def test_averages_are_those_that_the_exchange_reports(exchange: str) -> None:
    """Of contracts worth the same each: as many as were taken, by the coins that they are worth."""
    divide = Context(prec=34).divide
    for book in books(exchange):
        bought, sold, thin = (book.fill("buy", base=20), book.fill("sell", base=5), book.fill("buy", base=50))
        mean = divide(Decimal(20), divide(Decimal(10), Decimal(100)) + divide(Decimal(10), Decimal(110)))
        assert float(bought.average) == pytest.approx(float(mean), rel=1e-15)
        assert float(bought.slippage_bps) == pytest.approx((float(mean) / 99.5 - 1) * 1e4, rel=1e-12)
        assert (bought.worst, bought.base, bought.unfilled, bought.levels) == (110, 20, 0, 2)
        assert (sold.average, sold.worst, sold.levels) == (99, 99, 1)
        assert float(sold.slippage_bps) == pytest.approx((1 - 99 / 99.5) * 1e4, rel=1e-12)
        assert (thin.base, thin.unfilled) == (30, 20)
        assert float(thin.average) == pytest.approx(30 / (10 / 100 + 20 / 110), rel=1e-15)
        assert type(bought.average) is type(bought.base)


def test_one_side_alone_has_an_average_and_no_slippage() -> None:
    fed = depthcache.Book(COIN_M[0])
    fed.load_snapshot(snapshot(10, [], ASKS), limit=100)
    found = fed.fill("buy", base=5)
    assert (found.average, found.slippage_bps) == (100.0, None)
    nothing = fed.fill("sell", base=5)
    assert (nothing.average, nothing.slippage_bps, nothing.base, nothing.unfilled) == (None, None, 0.0, 5.0)


@pytest.mark.parametrize("exchange", OTHERS)
def test_elsewhere_quote_is_price_times_quantity(exchange: str) -> None:
    for book in books(exchange):
        assert book.fill("buy", base=20).quote == 2_100
        assert book.fill("buy", base=20).average == 105
        assert book.fill("buy", quote=1_000).base == 10
        assert book.bids.up_to_value(990) == book.bids[:1]
        assert book.depth_within(2_000).bids.quote == 1_970
