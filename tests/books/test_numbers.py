"""Exact prices and quantities: every notation and width, on both engines."""

from __future__ import annotations

from decimal import Decimal

import pytest

from depthcache import BookNotSynced, MalformedFrame, NumberTooWide, Outcome
from tests.engine import Engine, diff, facts, sides, snapshot

GOOD = [
    ("61837.63000000", "0.00012000"),
    ("0.00000001", "92233720368.54775807"),
    ("1", "1"),
    ("1.", "1."),
    (".5", ".5"),
    ("00012.50", "007"),
    ("1e3", "1E3"),
    ("1.5e-3", "2.5e+2"),
    ("99999999999999999999.999999999999999999", "0.000000000000000001"),
    ("0.100000000000000000000000", "3.000000000000000000000000"),
    ("18446744073709551616", "18446744073709551616.5"),
    ("9223372036854775807", "9223372036854775808"),
]
BAD = [
    "",
    ".",
    "-1",
    "+1",
    " 1",
    "1 ",
    "1,5",
    "1.2.3",
    "0x10",
    "1e",
    "1e+",
    "e5",
    "NaN",
    "inf",
    "Infinity",
    "1_000",
    "\u0661",
    "1\u0000",
    "100000000000000000000",
    "0.1234567890123456789",
    "1e20",
    "1e-19",
    "1e999999999999",
]
ZEROS = ["0", "0.0", "0.00000000", "00", ".0", "0.", "0e5", "0.000000000000000000000000000"]


@pytest.mark.parametrize(("price", "quantity"), GOOD)
def test_what_the_exchange_writes_comes_back_exactly(engine: Engine, price: str, quantity: str) -> None:
    book = engine.loaded(bids=(), asks=(), limit=10)
    assert book.apply(diff(11, 11, [(price, quantity)])) == Outcome.APPLIED
    exact = book.exact.bids[0]
    assert (exact.price, exact.quantity) == (Decimal(price), Decimal(quantity))
    assert book.bids[0] == (float(price), float(quantity))


@pytest.mark.parametrize("zero", ZEROS)
def test_any_spelling_of_zero_deletes(engine: Engine, zero: str) -> None:
    book = engine.loaded(bids=[("99.0", "1.0"), ("98.0", "1.0")])
    book.apply(diff(11, 11, [("99", zero), ("50", zero)]))
    assert sides(book)[0] == [("98.0", "1.0")]


@pytest.mark.parametrize("zero", ZEROS)
def test_a_price_of_zero_is_malformed(engine: Engine, zero: str) -> None:
    book = engine.loaded()
    before = facts(book), sides(book)
    with pytest.raises(MalformedFrame):
        book.apply(diff(11, 11, [("98", "5"), (zero, "1")]))
    assert (facts(book), sides(book)) == before


@pytest.mark.parametrize("text", BAD)
@pytest.mark.parametrize("place", ["price", "quantity"])
def test_anything_else_is_malformed_and_changes_nothing(engine: Engine, text: str, place: str) -> None:
    book = engine.loaded()
    before = facts(book), sides(book)
    level = (text, "1") if place == "price" else ("98", text)
    with pytest.raises(MalformedFrame) as raised:
        book.apply(diff(11, 11, [("97", "5"), level], [("105", "1")]))
    assert raised.value.what
    assert (facts(book), sides(book)) == before
    assert book.apply(diff(11, 11)) == Outcome.APPLIED


@pytest.mark.parametrize(
    ("first", "wider"), [("99.5", "99.51"), ("99", "98.123456789012345678"), ("1", "12345678901.123456789")]
)
def test_a_wider_number_widens_the_side_and_loses_nothing(engine: Engine, first: str, wider: str) -> None:
    book = engine.loaded(bids=[(first, "1.5")], asks=(), limit=1)
    book.apply(diff(11, 11, [(wider, "2.25")]))
    held = {level.price: level.quantity for level in book.exact.bids}
    assert held == {Decimal(first): Decimal("1.5"), Decimal(wider): Decimal("2.25")}
    assert book.exact.complete_to.bids == Decimal(first)
    book.apply(diff(12, 12, [(first, "0"), (wider, "3")]))
    assert [level.quantity for level in book.exact.bids] == [Decimal(3)]


def test_quantities_beyond_64_bits_at_eight_decimals_stay_exact(engine: Engine) -> None:
    huge = "92233720368547.75807001"
    book = engine.loaded(bids=[("0.00000100", "1.00000000")], asks=())
    book.apply(diff(11, 11, [("0.00000200", huge), ("0.00000300", "0.00000001")]))
    assert sides(book)[0] == [
        ("0.00000300", "0.00000001"),
        ("0.00000200", huge),
        ("0.00000100", "1.00000000"),
    ]
    assert book.bids[1].quantity == float(huge)


def test_exact_numbers_have_the_width_the_exchange_sends(engine: Engine) -> None:
    book = engine.loaded(bids=[("99.10", "1.500")], asks=[("101.20", "3.000")])
    assert [str(level.price) for level in book.exact.bids] == ["99.10"]
    assert [str(level.quantity) for level in book.exact.asks] == ["3.000"]


def test_a_price_written_in_two_ways_is_one_price(engine: Engine) -> None:
    book = engine.loaded(bids=[("99.5", "1")], asks=())
    book.apply(diff(11, 11, [("99.50000", "2")]))
    assert len(book.bids) == 1


def test_the_later_entry_of_a_price_wins(engine: Engine) -> None:
    book = engine.loaded(bids=(), asks=())
    book.apply(diff(11, 11, [("99", "1"), ("98", "5"), ("99", "2"), ("98", "0")]))
    assert sides(book)[0] == [("99", "2")]
    book.load_snapshot(snapshot(20, [("99", "1"), ("97", "1"), ("99", "3"), ("97", "0")]))
    assert sides(book)[0] == [("99", "3")]


def test_integers_are_exact_and_refused_where_64_bits_are_too_few(engine: Engine) -> None:
    if engine.name == "reference":
        pytest.skip("arrays are for speed; the reference has none")
    book = engine.loaded(bids=[("99.5", "1.25"), ("98.25", "3")], asks=(), limit=10)
    levels, price_decimals, quantity_decimals = book.bids.to_integers()
    assert (levels.dtype.name, levels.tolist()) == ("int64", [[9950, 125], [9825, 300]])
    assert (price_decimals, quantity_decimals) == (2, 2)
    assert book.freeze(1).bids.to_integers(5).levels.tolist() == [[9950, 125]]
    book.apply(diff(11, 11, [("97", "92233720368547758.08")]))
    assert book.bids.to_integers(2).levels.shape == (2, 2)
    with pytest.raises(NumberTooWide) as raised:
        book.bids.to_integers()
    assert (raised.value.symbol, raised.value.scale) == ("BTCUSDT", 2)
    assert book.bids.to_numpy().shape == (3, 2)
    with pytest.raises(BookNotSynced):
        engine.book().bids.to_integers()
