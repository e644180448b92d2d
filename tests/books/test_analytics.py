"""Analytics of the native book, compared with slow ones made of fractions, on books of every kind."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import depthcache
from depthcache import BookEmpty, BookNotSynced, InvalidArgument, _native
from tests.captures.directories import Golden, golden, needs_captures
from tests.engine import Engine, diff, load, snapshot
from tests.support import analytics as slow

Rows = list[tuple[str, str]]
COIN_M = "binance.com-coin_futures"


def close(found: Any, expected: Fraction | None, *, exactly: bool) -> bool:
    """Floats are the nearest one, sums the very number; quotients that are Decimals have 34 digits."""
    if found is None or expected is None:
        return found is None and expected is None
    if isinstance(found, Decimal):
        return abs(Fraction(found) - expected) <= (0 if exactly else abs(expected) / 10**33)
    return bool(found == float(expected))


class NoMoney:
    """What `quote` is where quantities are contracts: not a number."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, float | Decimal) and math.isnan(other)

    __hash__ = None  # type: ignore[assignment]


def same(found: Any, expected: dict[str, Any], quotients: set[str]) -> None:
    for name, value in expected.items():
        own = getattr(found, name)
        if isinstance(value, bool | int | NoMoney) and not isinstance(value, Fraction):
            assert own == value, name
        else:
            assert close(own, value, exactly=name not in quotients), (name, own, value)


def compare(book: Any, truth: slow.Book, size: Fraction, bps: Fraction, levels: int, group: Decimal) -> None:
    """Every analytic with these arguments; amounts of quote where quantities are no contracts."""
    contracts = "coin_futures" in book.exchange
    money: dict[str, Any] = {"quote": NoMoney()} if contracts else {}
    update_id, given_bps, given_size = book.last_update_id, as_decimal(bps), as_decimal(size)
    check_top(book, truth)
    ways: list[tuple[dict[str, Any], dict[str, Any]]]
    ways = [({"levels": levels}, {"levels": levels}), ({"bps": given_bps}, {"bps": bps})]
    for arguments, true_arguments in ways:
        ratio, bids, asks, complete = slow.imbalance(truth, **true_arguments)
        expected = {"ratio": ratio, "bids": bids, "asks": asks, "complete": complete, "update_id": update_id}
        same(book.imbalance(**arguments), expected, {"ratio"})
    depth = book.depth_within(given_bps)
    for own, side in zip((depth.bids, depth.asks), slow.depth_within(truth, bps), strict=True):
        told = dict(zip(("base", "quote", "levels", "complete"), side, strict=True))
        same(own, told | money, set())
    assert close(depth.mid, slow.mid(truth), exactly=True)
    assert (depth.update_id, depth.complete) == (update_id, depth.bids.complete and depth.asks.complete)
    for side in ("buy", "sell"):
        rounded = {"average", "slippage_bps"}
        of_base = slow.fill(truth, side, base=size, contracts=contracts) | {"update_id": update_id} | money
        own_fill = book.fill(side, base=given_size)
        same(own_fill, of_base, rounded)
        check_average(own_fill, book.best, side)
        if not contracts:
            of_quote = slow.fill(truth, side, quote=size) | {"update_id": update_id}
            own_fill = book.fill(side, quote=given_size)
            same(own_fill, of_quote, rounded | {"base"})
            check_average(own_fill, book.best, side)
        moved = slow.size_to_move(truth, side, bps) | {"update_id": update_id} | money
        same(book.size_to_move(side, given_bps), moved, set())
    found = book.grouped(group, levels)
    assert (found.update_id, found.group) == (update_id, type(found.group)(group))
    for own_side, true_side, groups in (
        (book.bids, truth.bids, found.bids),
        (book.asks, truth.asks, found.asks),
    ):
        expected_groups, complete = slow.grouped(true_side, Fraction(group), levels)
        assert groups.complete is complete
        check_levels(groups, expected_groups)
        if contracts:
            continue
        worth, complete = slow.up_to_value(true_side, size)
        fitting = own_side.up_to_value(given_size)
        assert (fitting.complete, fitting.update_id) == (complete, update_id)
        check_levels(fitting, worth)


def check_top(book: Any, truth: slow.Book) -> None:
    """Plain numbers of the best levels, or BookEmpty with the side that has none."""
    absolute, in_bps = slow.spread(truth)
    expected = {
        "mid": (slow.mid(truth), True), "microprice": (slow.microprice(truth), False),
        "spread": (absolute, True), "spread_bps": (in_bps, False),
    }  # fmt: skip
    sides = {"bids": truth.bids.rows, "asks": truth.asks.rows}
    empty = [side for side, rows in sides.items() if not rows]
    for name, (value, exactly) in expected.items():
        if empty:
            with pytest.raises(BookEmpty) as raised:
                getattr(book, name)
            assert raised.value.side == empty[0]
        else:
            assert close(getattr(book, name), value, exactly=exactly), name
    for name, side in (("best_bid", "bids"), ("best_ask", "asks")):
        if side in empty:
            with pytest.raises(BookEmpty) as raised:
                getattr(book, name)
            assert (raised.value.symbol, raised.value.side) == (book.symbol, side)
        else:
            assert getattr(book, name) == getattr(book, side)[0]
    if not empty:
        assert book.best_bid.price <= book.microprice <= book.best_ask.price


def check_average(fill: Any, best: Any, side: str) -> None:
    """An average is never outside the prices that were touched."""
    if fill.average is not None:
        first = best.ask.price if side == "buy" else best.bid.price
        assert min(first, fill.worst) <= fill.average <= max(first, fill.worst)


def check_levels(found: Any, expected: slow.Rows) -> None:
    assert len(found) == len(expected)
    for level, (price, quantity) in zip(found, expected, strict=True):
        assert close(level.price, price, exactly=True)
        assert close(level.quantity, quantity, exactly=True)


def as_decimal(number: Fraction) -> Decimal:
    with localcontext() as context:
        context.prec = 80
        return Decimal(number.numerator) / Decimal(number.denominator)


# --- made books -----------------------------------------------------------------------------


def numbers(most: int, decimals: int) -> st.SearchStrategy[Decimal]:
    """Above 0, below 10^most, with at most so many decimals."""
    return st.integers(1, 10 ** (most + decimals) - 1).map(lambda digits: Decimal(f"{digits}E-{decimals}"))


@st.composite
def books(draw: Any, exchange: str = "binance.com") -> Any:
    """Prices in order, cut in two; the best `shown` levels of each side are proven."""
    most, price_decimals = draw(st.sampled_from([(1, 0), (2, 2), (5, 2), (3, 8), (20, 18)]))
    quantity_most, quantity_decimals = draw(st.sampled_from([(1, 0), (3, 3), (9, 8), (20, 18)]))
    prices = sorted(draw(st.sets(numbers(most, price_decimals), max_size=14)))
    quantity = numbers(quantity_most, quantity_decimals)
    rows = [(format(price, "f"), format(draw(quantity), "f")) for price in prices]
    cut, shown = draw(st.integers(0, len(rows))), draw(st.integers(1, 15))
    bids, asks = rows[:cut][::-1], rows[cut:]
    book = _native.Book(exchange, "BTCUSDT", "contiguous", inverse=exchange == COIN_M)
    book.load_snapshot(snapshot(10, bids[:shown], asks[:shown]), limit=shown if draw(st.booleans()) else None)
    book.apply(diff(11, 12, bids[shown:], asks[shown:]))
    return book


sizes = st.one_of(numbers(1, 0), numbers(2, 4), numbers(9, 8), numbers(19, 18))
distances = st.one_of(
    st.sampled_from([Decimal("0.01"), Decimal(1), Decimal(10_000)]), numbers(4, 2), numbers(5, 9)
)
groups = st.one_of(
    st.sampled_from([Decimal("0.1"), Decimal("0.25"), Decimal(10)]), numbers(2, 3), numbers(12, 18)
)


@pytest.mark.slow
@given(book=books(), size=sizes, bps=distances, levels=st.integers(1, 16), group=groups, exact=st.booleans())
def test_every_analytic_is_what_fractions_give(
    book: Any, size: Decimal, bps: Decimal, levels: int, group: Decimal, exact: bool
) -> None:
    compare(book.exact if exact else book, slow.Book.of(book), Fraction(size), Fraction(bps), levels, group)


@pytest.mark.slow
@given(book=books(), bps=distances, side=st.sampled_from(["buy", "sell"]))
def test_what_moves_the_price_is_what_a_fill_takes(book: Any, bps: Decimal, side: Any) -> None:
    """Two analytics agree: filling the size that moves the price touches just the levels that must go."""
    moved = book.exact.size_to_move(side, bps)
    if moved.base and moved.base < 10**20:
        filled = book.exact.fill(side, base=moved.base)
        assert (filled.levels, filled.quote, filled.unfilled) == (moved.levels, moved.quote, 0)


@pytest.mark.slow
@given(
    book=books(COIN_M), size=sizes, bps=distances, levels=st.integers(1, 16),
    group=groups, exact=st.booleans(),
)  # fmt: skip
def test_every_analytic_of_contracts_is_what_fractions_give(
    book: Any, size: Decimal, bps: Decimal, levels: int, group: Decimal, exact: bool
) -> None:
    compare(book.exact if exact else book, slow.Book.of(book), Fraction(size), Fraction(bps), levels, group)


@given(
    price=numbers(6, 2),
    held=numbers(3, 5),
    size=numbers(3, 5),
    exchange=st.sampled_from(["binance.com", COIN_M]),
)
@example(price=Decimal("61837.63"), held=Decimal(3), size=Decimal("0.00007"), exchange="binance.com")
def test_the_average_of_one_level_is_its_price(
    price: Decimal, held: Decimal, size: Decimal, exchange: str
) -> None:
    """To the last bit: an average of floats was one bit beside it in one of twenty."""
    made = _native.Book(exchange, "BTCUSDT", "contiguous", inverse=exchange == COIN_M)
    made.load_snapshot(snapshot(10, [], [(format(price, "f"), format(held, "f"))]))
    assert made.fill("buy", base=size).average == float(price)
    assert made.exact.fill("buy", base=size).average == price


@given(prices=st.lists(numbers(20, 18), min_size=2, max_size=5, unique=True), held=numbers(20, 18))
def test_an_average_of_more_digits_than_decimals_keep_stays_between_the_prices(
    prices: list[Decimal], held: Decimal
) -> None:
    rows = [(format(price, "f"), format(held, "f")) for price in sorted(prices)]
    for exchange in ("binance.com", COIN_M):
        made = _native.Book(exchange, "BTCUSDT", "contiguous", inverse=exchange == COIN_M).exact
        made.load_snapshot(snapshot(10, [], rows))
        for count in (1, len(rows)):
            size = min(Decimal("9" * 19), held * count)
            check_average(made.fill("buy", base=size), made.best, "buy")


@given(bid=numbers(5, 3), more=numbers(4, 3), quantities=st.tuples(numbers(3, 5), numbers(3, 5)))
def test_both_engines_give_the_same_numbers_of_the_best_levels(
    bid: Decimal, more: Decimal, quantities: tuple[Decimal, Decimal]
) -> None:
    body = snapshot(10, [(str(bid), str(quantities[0]))], [(str(bid + more), str(quantities[1]))])
    told = []
    for name in ("native", "reference"):
        made = load(name).book()
        made.load_snapshot(body, limit=1)
        check_top(made, slow.Book.of(made))
        check_top(made.exact, slow.Book.of(made))
        names = ("mid", "microprice", "spread", "spread_bps", "best_bid", "best_ask")
        told.append([getattr(each, name) for each in (made, made.exact) for name in names])
    assert told[0] == told[1]


# --- recorded books -------------------------------------------------------------------------

MOST_DIFFS = 40_000


@pytest.mark.slow
@pytest.mark.captures
@needs_captures
@pytest.mark.parametrize(
    "capture", [pytest.param(each, id=each.name) for each in golden() if each.diffs <= MOST_DIFFS]
)
def test_recorded_books_give_what_fractions_give(capture: Golden) -> None:
    made: list[Any] = []

    def new_book(exchange: str, symbol: str | None = None) -> Any:
        made.append(depthcache.Book(exchange, symbol))
        return made[-1]

    depthcache.recording.verify(capture.files, new_book=new_book)
    for book in made:
        if book.last_update_id is None or book.status == "crossed":
            continue
        truth = slow.Book.of(book)
        for size, bps, levels, group in (
            ("0.5", "1", 1, "0.5"),
            ("25", "10", 20, "10"),
            ("100000", "250", 500, "0.001"),
            ("1000000000", "5000", 5000, "100"),
        ):
            arguments = (Fraction(size), Fraction(bps), levels, Decimal(group))
            compare(book, truth, *arguments)
            compare(book.exact, truth, *arguments)


# --- by hand --------------------------------------------------------------------------------

BIDS = [("99", "2"), ("98.5", "1"), ("97", "4")]
ASKS = [("101", "1"), ("102", "3"), ("105", "10")]


def book(bids: Rows = BIDS, asks: Rows = ASKS, limit: int | None = 1000) -> Any:
    made = depthcache.Book("binance.com", "BTCUSDT")
    _native.Book.load_snapshot(made, snapshot(10, bids, asks), limit=limit)
    return made


@pytest.fixture(params=["offline", "frozen"])
def reader(request: Any) -> Any:
    return book() if request.param == "offline" else book().freeze()


def test_numbers_by_hand(reader: Any) -> None:
    assert (reader.mid, reader.spread, reader.spread_bps) == (100.0, 2.0, 200.0)
    assert reader.mid * 1.001 == 100.1
    assert reader.microprice == (101 * 2 + 99 * 1) / 3
    assert (reader.best_bid, reader.best_ask) == ((99.0, 2.0), (101.0, 1.0))
    assert reader.imbalance() == (1 / 3, 2.0, 1.0, True, 10)
    assert reader.imbalance(2) == ((3 - 4) / 7, 3.0, 4.0, True, 10)
    assert reader.imbalance(bps=100).ratio == 1 / 3
    near = reader.depth_within(200)
    assert near.bids == (3.0, 99 * 2 + 98.5, 2, True)
    assert near.asks == (4.0, 101 + 102 * 3, 2, True)
    assert (near.mid, near.complete, near.update_id) == (100.0, True, 10)
    bought = reader.fill("buy", base=2)
    assert (bought.average, bought.worst, bought.slippage_bps) == (101.5, 102.0, 150.0)
    assert (bought.base, bought.quote, bought.unfilled, bought.levels) == (2.0, 203.0, 0.0, 2)
    sold = reader.fill("sell", quote=198 + 98.5 / 2)
    assert (sold.base, sold.worst, sold.levels) == (2.5, 98.5, 2)
    assert sold.slippage_bps == pytest.approx(110)
    assert reader.size_to_move("buy", 100) == (4.0, 407.0, 105.0, 2, True, 10)
    assert reader.size_to_move("sell", 300) == (7.0, 198 + 98.5 + 388, None, 3, True, 10)
    coarse = reader.grouped(2)
    assert (coarse.bids, coarse.asks) == ([(98.0, 3.0), (96.0, 4.0)], [(102.0, 4.0), (106.0, 10.0)])
    assert (coarse.group, coarse.complete, coarse.update_id) == (2.0, True, 10)
    assert reader.bids.up_to_value(300) == [(99.0, 2.0), (98.5, 1.0)]


def test_exact_books_give_decimals(reader: Any) -> None:
    exact = reader.exact
    assert str(exact.mid) == "100.00"
    assert (exact.spread, exact.spread_bps) == (Decimal(2), Decimal(200))
    assert str(exact.best_ask) == "Level(price=Decimal('101'), quantity=Decimal('1'))"
    assert exact.fill("buy", base=Decimal("1.1")).quote == Decimal("111.2")
    assert str(exact.microprice) == "100.3333333333333333333333333333333"
    assert exact.grouped("0.4").bids[0] == (Decimal("98.8"), Decimal(2))
    with localcontext() as context:
        context.prec = 3
        assert str(exact.microprice) == "100.3333333333333333333333333333333"


def test_an_empty_side_gives_none_or_says_so_and_whether_that_is_proven() -> None:
    for limit, proven in ((1000, True), (None, False)):
        made = book(asks=[], limit=limit)
        for name in ("mid", "spread", "spread_bps", "microprice", "best_ask"):
            with pytest.raises(BookEmpty, match=r"BTCUSDT on binance\.com has no asks"):
                getattr(made, name)
        assert made.best_bid == (99.0, 2.0)
        assert made.imbalance(1) == (1.0, 2.0, 0.0, proven, 10)
        assert made.imbalance(bps=5).ratio is None
        assert made.depth_within(5).mid is None
        assert made.depth_within(5).complete is proven
        nothing = made.fill("buy", base=1)
        assert (nothing.average, nothing.worst, nothing.slippage_bps) == (None, None, None)
        assert (nothing.base, nothing.unfilled, nothing.levels, nothing.complete) == (0.0, 1.0, 0, proven)
        sold = made.fill("sell", base=1)
        assert (sold.average, sold.slippage_bps, sold.complete) == (99.0, None, True)
        assert made.size_to_move("buy", 5) == (0.0, 0.0, None, 0, proven, 10)
        assert made.grouped(1).asks == []
        assert made.grouped(1).asks.complete is proven
        assert made.asks.up_to_value(5) == []
    assert book(bids=[], asks=[]).imbalance().ratio is None


def test_what_runs_past_the_complete_range_says_so() -> None:
    """Three levels a side are proven; a fourth was only heard of."""
    made = book(limit=3)
    made.apply(diff(11, 11, [("90", "1")], [("110", "1")]))
    assert made.fill("buy", base=14).complete
    assert not made.fill("buy", base=15).complete
    assert not made.fill("buy", base=16).complete
    assert made.fill("buy", base=16).unfilled == 1.0
    assert made.imbalance(3).complete
    assert not made.imbalance(4).complete
    assert made.depth_within(300).complete
    assert not made.depth_within(301).bids.complete
    assert made.depth_within(301).asks.complete
    assert made.size_to_move("buy", 300).complete
    assert not made.size_to_move("buy", 500).complete
    assert made.grouped("0.5", 3).complete
    assert not made.grouped(10, 1).complete
    assert not made.grouped("0.5").complete
    assert made.bids.up_to_value(300).complete
    assert not made.bids.up_to_value(700).complete
    beyond = book(limit=3)
    beyond.apply(diff(11, 11, [("99", "0"), ("98.5", "0"), ("97", "0"), ("90", "1")]))
    assert (beyond.mid, beyond.freeze(1).complete) == (95.5, False)
    assert not beyond.depth_within(600).asks.complete  # 101.23 lies inside the range, the mid does not


def test_a_level_at_the_very_distance_is_near_and_is_where_the_price_stops() -> None:
    made = book([("99", "1"), ("98.01", "2")], [("101", "1"), ("102.01", "2")])
    assert made.size_to_move("buy", 100) == (1.0, 101.0, 102.01, 1, True, 10)
    assert made.size_to_move("sell", 100) == (1.0, 99.0, 98.01, 1, True, 10)
    assert made.depth_within(Decimal("201")).asks.levels == 2
    assert made.depth_within(Decimal("200.99")).asks.levels == 1
    assert made.depth_within(Decimal("199")).bids.levels == 2
    assert made.depth_within(Decimal("198.99")).bids.levels == 1


def test_a_first_level_that_does_not_fit_is_taken_all_the_same() -> None:
    """As the old library: also for an amount of 0 and below."""
    for amount in (0, -5, 1, Decimal("197.99999")):
        assert book().bids.up_to_value(amount) == [(99.0, 2.0)]
    assert book().bids.up_to_value(Decimal("296.5")) == [(99.0, 2.0), (98.5, 1.0)]
    assert book().bids.up_to_value(Decimal("296.4999999")) == [(99.0, 2.0)]
    assert len(book().bids.up_to_value(10**19)) == 3


BAD_SIZES = [
    0, 0.0, -1, -0.5, float("nan"), float("inf"), float("-inf"), True, False, "1", None, object, b"1", [1],
    Decimal("NaN"), Decimal("Infinity"), Decimal("-1"), Decimal("1e-19"), 10**20, 1e300, 1j,
]  # fmt: skip


@pytest.mark.parametrize("value", BAD_SIZES, ids=repr)
def test_sizes_and_distances_that_are_none_are_refused(value: Any) -> None:
    made = book()
    calls: dict[str, list[Any]] = {
        "bps": [
            lambda: made.depth_within(value),
            lambda: made.size_to_move("buy", value),
            lambda: made.imbalance(bps=value) if value is not None else made.depth_within(value),
        ],
        "base": [lambda: made.fill("buy", base=value if value is not None else 0)],
        "quote": [
            lambda: made.fill("sell", quote=value) if value is not None else made.bids.up_to_value(value)
        ],
        "group": [lambda: made.grouped(value) if value != "1" else made.grouped("x")],
    }
    for name, each in calls.items():
        for call in each:
            with pytest.raises(InvalidArgument) as raised:
                call()
            assert raised.value.name == name
            assert "expected " in str(raised.value)


@pytest.mark.parametrize("value", ["x", "", "-1", "0", "nan", "inf", "1e30", "10000000000000000000", "1e-19"])
def test_texts_that_are_no_group_are_refused(value: str) -> None:
    with pytest.raises(InvalidArgument, match="group"):
        book().grouped(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "5", None, Decimal("NaN"), 10**20])
def test_values_that_are_none_are_refused(value: Any) -> None:
    with pytest.raises(InvalidArgument, match="quote"):
        book().bids.up_to_value(value)


def test_a_size_has_one_unit_and_an_order_one_side() -> None:
    made = book()
    with pytest.raises(InvalidArgument, match=r"^fill needs base= or quote=$"):
        made.fill("buy")
    with pytest.raises(InvalidArgument, match=r"^fill takes base= or quote=, not both$"):
        made.fill("buy", base=1, quote=1)
    for side in ("BUY", "bids", "", None, 1, True):
        with pytest.raises(InvalidArgument, match="'buy'"):
            made.fill(side, base=1)
        with pytest.raises(InvalidArgument, match="'sell'"):
            made.size_to_move(side, 1)
    with pytest.raises(InvalidArgument, match="not both"):
        made.imbalance(1, bps=1)
    for levels in (0, -1, True, 1.5, "2"):
        with pytest.raises(InvalidArgument, match="levels"):
            made.imbalance(levels)
    with pytest.raises(InvalidArgument, match="levels"):
        made.grouped(1, -1)


def test_a_float_means_its_shortest_text() -> None:
    """0.1 + 0.2 is 0.30000000000000004, and 1/3000 has more decimals than an exchange: both are sizes."""
    made = book(asks=[("0.00000001", "99999999")], bids=[])
    assert made.exact.fill("buy", base=0.1).base == Decimal("0.1")
    assert made.exact.fill("buy", base=0.1 + 0.2).base == Decimal("0.30000000000000004")
    assert made.exact.fill("buy", base=1 / 3000).base == Decimal("0.000333333333333333")
    assert book().grouped(group=0.1).group == 0.1


def test_books_that_cannot_be_read_say_why() -> None:
    made = depthcache.Book("binance.com", "BTCUSDT")
    for read in (
        lambda: made.mid, lambda: made.spread, lambda: made.spread_bps, lambda: made.microprice,
        lambda: made.best_bid, lambda: made.best_ask, lambda: made.imbalance(),
        lambda: made.depth_within(1), lambda: made.fill("buy", base=1), lambda: made.size_to_move("buy", 1),
        lambda: made.grouped(1), lambda: made.bids.up_to_value(1),
    ):  # fmt: skip
        with pytest.raises(BookNotSynced):
            read()


# --- asking n levels gives n levels or a reason ---------------------------------------------


@given(held=st.integers(0, 6), asked=st.integers(0, 8), limit=st.none() | st.integers(1, 8))
@example(held=3, asked=5, limit=3)
@example(held=3, asked=5, limit=8)
def test_asking_n_levels_gives_n_levels_or_a_reason(held: int, asked: int, limit: int | None) -> None:
    for name in ("native", "reference"):
        check_n_levels(load(name), held, asked, limit)


def check_n_levels(engine: Engine, held: int, asked: int, limit: int | None) -> None:
    """A short or unproven answer always says why; a full and proven one says nothing."""
    bids = [(f"{100 - place}.0", "1") for place in range(held)]
    made = engine.loaded(bids=bids, asks=(), limit=limit)
    made.apply(diff(11, 11, [("1.0", "1")]))
    levels = made.bids[:asked]
    is_whole = limit is not None and held < limit
    assert (levels.complete, levels.update_id) == (
        is_whole or asked <= held if held else is_whole or asked == 0,
        11,
    )
    assert len(levels) == min(asked, held + 1)
    if levels.complete and len(levels) == asked:
        assert levels.reason == ""
    elif levels.complete:
        assert levels.reason == f"the whole side has fewer levels than requested: {held + 1}"
    elif held:
        edge = bids[-1][0]
        assert levels.reason == f"only the best {held} levels are proven, down to {edge}"
    else:
        assert levels.reason == "no level of this side is proven"
