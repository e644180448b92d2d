"""Numbers on the screen: exact, whole, in columns that never get narrower."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthcache import venues
from depthcache.cli.terminal.depth import DepthHistory, sparkline
from depthcache.cli.terminal.grouping import MULTIPLES, tick_of
from depthcache.cli.terminal.ladder import Columns, Ladder
from depthcache.cli.terminal.numbers import ROUNDED_WIDTH, Column, bar, cumulative, nice_scale, rounded
from depthcache.cli.terminal.venue_names import unit_of, venue_word
from tests.cli.shown import book

sizes = st.decimals(
    min_value=Decimal("0.00000001"),
    max_value=Decimal("1e12"),
    places=8,
    allow_nan=False,
    allow_infinity=False,
)
prices = st.integers(1, 10**16).map(lambda number: Decimal(number).scaleb(-8))


@given(st.lists(sizes, min_size=1, max_size=30))
def test_a_column_shows_every_number_exactly_and_in_one_width(numbers: list[Decimal]) -> None:
    column = Column()
    column.grow(numbers)
    for number in numbers:
        text = column.text(number)
        assert Decimal(text) == number
        assert len(text) == column.width
        assert "…" not in text


@given(st.lists(st.lists(sizes, min_size=1, max_size=5), min_size=1, max_size=8))
def test_a_column_never_gets_narrower(frames: list[list[Decimal]]) -> None:
    column, width = Column(), 0
    for numbers in frames:
        column.grow(numbers)
        assert column.width >= width
        width = column.width
        assert {len(column.text(number)) for number in numbers} == {width}


@pytest.mark.parametrize(
    ("numbers", "texts"),
    [
        (["0.00001234"], ["0.00001234"]),
        (["123456.78", "9.5"], ["123456.78", "     9.50"]),
        (["1000000000000", "0.5"], ["1000000000000.0", "            0.5"]),
        (["61837.63000000", "61838.00000000"], ["61837.63", "61838.00"]),
        (["5E+3", "70"], ["5000", "  70"]),
    ],
)
def test_decimals_that_are_zero_everywhere_are_left_out(numbers: list[str], texts: list[str]) -> None:
    column = Column()
    column.grow(map(Decimal, numbers))
    assert [column.text(Decimal(number)) for number in numbers] == texts


@given(st.lists(sizes, max_size=50))
def test_totals_are_exact(numbers: list[Decimal]) -> None:
    totals = cumulative(numbers)
    assert len(totals) == len(numbers)
    whole = sum(int(number.scaleb(8)) for number in numbers)
    assert (totals[-1].scaleb(8) if totals else 0) == whole


def test_a_total_has_more_digits_than_the_usual_context_of_decimals() -> None:
    large, small = Decimal(10) ** 25, Decimal("0.00000001")
    assert cumulative([large, small])[-1] - large == small


@given(st.decimals(min_value=0, max_value=Decimal("1e18"), allow_nan=False, allow_infinity=False))
def test_a_rounded_number_is_short_and_close(number: Decimal) -> None:
    text = rounded(number)
    assert len(text) <= ROUNDED_WIDTH
    if text == "<0.0001":
        assert number < Decimal("0.0001")
        return
    steps = "kMGTPE".find(text[-1]) + 1
    shown = Decimal(text.rstrip("kMGTPE")).scaleb(3 * steps)
    assert abs(shown - number) <= max(number / 1_000, Decimal("0.0001"))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("0", "0"),
        ("1", "1"),
        ("999.96", "1k"),
        ("12345", "12.34k"),
        ("1e12", "1T"),
        ("0.5", "0.5"),
        ("NaN", "-"),
    ],
)
def test_rounded_numbers_have_suffixes(number: str, text: str) -> None:
    assert rounded(Decimal(number)) == text


@given(st.floats(0, 1), st.integers(1, 60))
def test_a_bar_fits_and_what_is_not_nothing_is_seen(share: float, width: int) -> None:
    shown = bar(share, width)
    assert len(shown) <= width
    assert bool(shown) == (share > 0)


@given(sizes)
def test_the_scale_of_the_bars_holds_the_largest_size(number: Decimal) -> None:
    assert number <= nice_scale(number) <= 10 * number
    assert nice_scale(number).scaleb(-nice_scale(number).adjusted()) in (1, 2, 5)


def test_a_sparkline_shows_the_newest_values_on_one_scale() -> None:
    assert sparkline([9.0, 0.0, 1.0, 4.0, 8.0], 4, largest=8.0) == " ▁▄█"
    assert sparkline([1.0, None, 8.0], 4, largest=8.0) == "▁ █"
    assert sparkline([0.001], 4, largest=8.0) == "▁"
    assert sparkline([1.0], 0, largest=1.0) == ""
    assert sparkline([0.0, 0.0], 4, largest=0.0) == "  "


@pytest.mark.parametrize("since_s", [1.0, 1.4])
def test_a_second_without_a_sample_is_a_hole(since_s: float) -> None:
    history, made = DepthHistory("BTC"), book()
    history.sample(made, 0)
    history.sample(made, int(since_s * 1e9))
    history.sample(made, int((since_s + 3) * 1e9))
    asks, bids = ("".join(text for text, _ in line) for line in history.lines(80))
    assert asks.rstrip().endswith("██  █  last 5 s")
    assert " BTC " in bids


# --- names of venues, units of sizes --------------------------------------------------------------


def test_every_exchange_has_a_word_of_its_own() -> None:
    words = {name: venue_word(name) for name in venues.names()}
    assert len(set(words.values())) == len(words)
    assert words["binance.com"] == "spot"
    assert words["binance.com-futures"] == "USD-M"
    assert words["binance.com-futures-testnet"] == "USD-M testnet"
    assert words["binance.com-vanilla-options"] == "options"
    assert venue_word("somewhere else") == "somewhere else"


@pytest.mark.parametrize(
    ("exchange", "symbol", "unit"),
    [
        ("binance.com", "BTCUSDT", "BTC"),
        ("binance.com", "ETHBTC", "ETH"),
        ("binance.com", "USDCUSDT", "USDC"),
        ("binance.com-futures", "BTCUSDT_261225", "BTC"),
        ("binance.com-coin_futures", "BTCUSD_PERP", "contracts"),
        ("binance.com-vanilla-options", "BTC-261225-126000-C", "contracts"),
        ("trbinance.com", "BTC_TRY", "BTC"),
        ("binance.com", "ODD", "base"),
        ("binance.com", "USDT", "base"),
        ("elsewhere", "BTCUSDT", "base"),
    ],
)
def test_sizes_have_a_unit(exchange: str, symbol: str, unit: str) -> None:
    assert unit_of(exchange, symbol) == unit


# --- grouping -----------------------------------------------------------------------------------


@given(st.lists(prices, min_size=1, max_size=30, unique=True))
def test_every_price_is_a_multiple_of_the_tick(held: list[Decimal]) -> None:
    tick = tick_of(held)
    assert tick is not None
    assert all((price / tick) % 1 == 0 for price in held)


@pytest.mark.parametrize(
    ("held", "tick"),
    [
        (["61837.63", "61837.64"], "0.01"),
        (["1.05", "1.10", "1.20"], "0.05"),
        (["0.00001234", "0.00001235"], "0.00000001"),
        (["120", "150"], "30"),
        ([], None),
    ],
)
def test_the_tick_comes_from_the_prices(held: list[str], tick: str | None) -> None:
    assert tick_of(map(Decimal, held)) == (None if tick is None else Decimal(tick))


def test_a_tick_only_gets_smaller() -> None:
    assert tick_of([Decimal("1.5")], Decimal("0.2")) == Decimal("0.1")


@given(
    st.lists(st.tuples(st.integers(1, 500), sizes), min_size=1, max_size=20, unique_by=lambda each: each[0]),
    st.lists(
        st.tuples(st.integers(501, 1_000), sizes), min_size=1, max_size=20, unique_by=lambda each: each[0]
    ),
    st.integers(0, len(MULTIPLES) - 1),
)
def test_grouping_conserves_the_total_and_moves_bids_down_and_asks_up(
    bids: list[tuple[int, Decimal]], asks: list[tuple[int, Decimal]], step: int
) -> None:
    def side(levels: list[tuple[int, Decimal]], *, best_first: bool) -> list[tuple[str, str]]:
        ordered = sorted(levels, reverse=best_first)
        return [(f"{price / 100:.2f}", f"{size:f}") for price, size in ordered]

    frozen = book(bids=side(bids, best_first=True), asks=side(asks, best_first=False)).freeze().exact
    ladder = Ladder(5_000)
    ladder.look(frozen)
    ladder.regroup(step, frozen)
    ladder.look(frozen)
    group = ladder.group or ladder.tick
    assert group is not None
    for rows, held, is_moved in (
        (ladder._bids, frozen.bids, lambda shown, true: shown <= true),
        (ladder._asks, frozen.asks, lambda shown, true: shown >= true),
    ):
        assert rows[-1].total == sum(level.quantity for level in held)
        assert is_moved(rows[0].price, held[0].price)
        assert all((row.price / group) % 1 == 0 for row in rows)


# --- which columns a width holds ------------------------------------------------------------------


@given(st.integers(0, 200), st.integers(1, 25), st.integers(1, 25), st.integers(1, 30))
def test_columns_fit_the_width(width: int, price: int, size: int, total: int) -> None:
    columns = Columns.of(width, price, size, total)
    taken = 2 + price + 2 + (ROUNDED_WIDTH + 1 if columns.is_rounded else size)
    taken += (2 + total if columns.total else 0) + (2 + columns.bar if columns.bar else 0)
    if columns.fits:
        assert taken <= width
    else:
        assert 2 + price + 2 + ROUNDED_WIDTH + 1 > width
