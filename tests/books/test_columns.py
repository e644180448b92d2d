"""Levels as columns: arrays and tables that own their memory, with the same levels as every other read."""

from __future__ import annotations

import datetime as dt
import gc
import random
import subprocess
import sys
import threading
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import depthcache
from depthcache import (
    BookNotSynced,
    Columns,
    InvalidArgument,
    NumberTooWide,
    Outcome,
    PackageMissing,
    _native,
)
from depthcache import columns as columns_module
from tests.engine import diff, snapshot

BIDS = [("99.5", "1.25"), ("99.0", "2.5"), ("98.0", "3")]
ASKS = [("100.5", "4.125"), ("101.0", "5")]
NAMES = (
    "exchange", "symbol", "side", "level", "price", "quantity", "proven", "update_id", "event_time",
    "updated_ns", "status",
)  # fmt: skip
WIDE = ("12345678901234567890.123456789012345678", "98765432109876543210.000000000000000001")


def book(bids: Any = BIDS, asks: Any = ASKS, limit: int | None = 1000, symbol: str = "BTCUSDT") -> Any:
    made = depthcache.Book("binance.com", symbol)
    made.load_snapshot(snapshot(10, bids, asks), limit=limit)
    return made


@pytest.fixture
def nothing_is_left_behind() -> Any:
    gc.collect()
    before = _native._columns_alive()
    yield
    gc.collect()
    assert _native._columns_alive() == before


# --- arrays ---------------------------------------------------------------------------------


def test_arrays_of_a_book_are_both_sides_of_one_update_id() -> None:
    found = book().to_numpy()
    assert found.bids.tolist() == [[99.5, 1.25], [99.0, 2.5], [98.0, 3.0]]
    assert found.asks.tolist() == [[100.5, 4.125], [101.0, 5.0]]
    assert (found.update_id, found.complete, found.bids.dtype) == (10, True, np.float64)
    found.bids[0, 0] = 1.0
    assert book().to_numpy(1).bids.tolist() == [[99.5, 1.25]]
    assert book().to_numpy(0).asks.shape == (0, 2)


def test_arrays_belong_to_who_asked_for_them() -> None:
    """Both sides share one allocation, which nobody sees."""
    found = book().to_numpy()
    for array in found.bids, found.asks, book().bids.to_numpy(2), book().to_integers().asks.levels:
        assert array.flags.writeable
        assert array.flags.c_contiguous
        assert array.flags.aligned
        assert array.strides == (16, 8)
    assert not np.shares_memory(found.bids, found.asks)
    asks = found.asks
    found.bids[:] = 0.0
    del found
    gc.collect()
    assert asks.tolist() == [[100.5, 4.125], [101.0, 5.0]]


WITHOUT_FUNCTIONS = """
import numpy as np
from importlib import import_module
home = "numpy._core" if np.__version__ >= "2" else "numpy.core"
del import_module(home + "._multiarray_umath")._ARRAY_API
import depthcache
book = depthcache.Book("binance.com")
book.load_snapshot('{"lastUpdateId": 10, "bids": [["99.5", "1"], ["99", "2"]], "asks": [["100", "3"]]}')
found = book.to_numpy()
assert found.bids.tolist() == [[99.5, 1.0], [99.0, 2.0]]
assert found.asks.tolist() == [[100.0, 3.0]]
assert book.asks.to_numpy().tolist() == [[100.0, 3.0]]
assert book.to_integers().bids.levels.tolist() == [[995, 1], [990, 2]]
found.bids[0, 0] = 1.0
"""


@pytest.mark.slow
def test_a_numpy_of_unknown_functions_shares_the_memory() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_FUNCTIONS], check=True)


@pytest.mark.parametrize("seed", range(3))
def test_floats_are_those_of_levels_however_much_is_deleted(seed: int) -> None:
    """Deleted levels leave gaps in the memory, which copies must skip."""
    choose = random.Random(seed)
    sides = {"bids": (999, -1), "asks": (1_001, 1)}
    levels = {
        name: [(str(start + sign * rank), "1.5") for rank in range(300)]
        for name, (start, sign) in sides.items()
    }
    made = book(levels["bids"], levels["asks"], limit=5_000)
    for update in range(11, 40):
        changed = {}
        for name, (start, sign) in sides.items():
            ranks = choose.sample(range(choose.choice((8, 60, 320))), 6)
            changed[name] = [(str(start + sign * rank), choose.choice("0003")) for rank in ranks]
        assert made.apply(diff(update, update, **changed)) is Outcome.APPLIED
        for count in 1, 5, 24, 25, 130, None:
            arrays, columns = made.to_numpy(count), made.to_arrow(count).to_numpy()
            for index, side in enumerate((made.bids, made.asks)):
                wanted = [list(level) for level in side[:count]]
                assert arrays[index].tolist() == wanted
                assert side.to_numpy(count).tolist() == wanted
                rows = columns["side"] == ("bid", "ask")[index]
                pairs = zip(columns["price"][rows], columns["quantity"][rows], strict=True)
                assert [list(pair) for pair in pairs] == wanted
                assert columns["level"][rows].tolist() == list(range(len(wanted)))


def test_integers_of_a_book_have_the_decimals_of_each_side() -> None:
    found = book().to_integers(2)
    assert found.bids.levels.tolist() == [[995, 125], [990, 250]]
    assert (found.bids.price_decimals, found.bids.quantity_decimals) == (1, 2)
    assert found.asks.levels.tolist() == [[1005, 4125], [1010, 5000]]
    assert (found.asks.quantity_decimals, found.update_id, found.complete) == (3, 10, True)


def test_numbers_that_do_not_fit_64_bits_are_floats_and_decimals_but_no_integers() -> None:
    wide = book(bids=[WIDE], asks=[])
    assert wide.to_numpy().bids.tolist() == [[float(WIDE[0]), float(WIDE[1])]]
    with pytest.raises(NumberTooWide):
        wide.to_integers()
    row = pa.table(wide.to_arrow(exact=True)).to_pylist()[0]
    assert (row["price"], row["quantity"]) == (Decimal(WIDE[0]), Decimal(WIDE[1]))


prices = st.decimals("0.01", "3", places=2, allow_nan=False)
sides = st.dictionaries(prices, st.decimals("0.001", "9", places=3), max_size=12)
bounds = st.none() | st.one_of(prices, prices.map(float), st.integers(0, 4), st.just(float("inf")))


@pytest.mark.slow
@given(
    held=sides,
    sign=st.sampled_from([1, -1]),
    shown=st.integers(1, 14),
    levels=st.none() | st.integers(0, 14),
    low=bounds,
    high=bounds,
)
def test_a_price_range_selects_what_a_list_would(
    held: dict[Decimal, Decimal], sign: int, shown: int, levels: int | None, low: Any, high: Any
) -> None:
    """The `levels` best of the prices in between; complete when the unproven could not have added any."""
    ordered = sorted(held.items(), reverse=sign > 0)
    made = partly_proven(ordered, sign, shown)
    least, most = Decimal(0 if low is None else str(low)), Decimal("inf" if high is None else str(high))
    if least > most:
        with pytest.raises(InvalidArgument):
            made.to_numpy(levels, low=low, high=high)
        return
    places = [place for place, (price, _) in enumerate(ordered) if least <= price <= most][:levels]
    is_whole, farthest = len(ordered) < shown, least if sign > 0 else most
    is_open = low is None if sign > 0 else most.is_infinite()
    reaches = is_whole or (not is_open and sign * ordered[shown - 1][0] <= sign * farthest)
    counted = levels is not None and len(places) == levels and all(place < shown for place in places)
    side = made.bids if sign > 0 else made.asks
    expected = [[float(ordered[place][0]), float(ordered[place][1])] for place in places]
    assert side.to_numpy(levels, low=low, high=high).tolist() == expected
    both = made.to_numpy(levels, low=low, high=high)
    assert (both.bids if sign > 0 else both.asks).tolist() == expected
    assert both.complete is (reaches or counted or levels == 0)
    table = pa.table(made.to_arrow(levels, low=low, high=high))
    assert table.column("level").to_pylist() == places
    assert table.column("proven").to_pylist() == [is_whole or place < shown for place in places]


def partly_proven(ordered: list[tuple[Decimal, Decimal]], sign: int, shown: int) -> Any:
    """One side of which a snapshot proves the `shown` best levels; the other is empty and known whole."""
    rows = [(str(price), str(quantity)) for price, quantity in ordered]
    names = ("bids", "asks") if sign > 0 else ("asks", "bids")
    made = _native.Book("binance.com", "BTCUSDT", "contiguous")
    made.load_snapshot(snapshot(10, **{names[0]: rows[:shown], names[1]: []}), limit=shown)
    made.apply(diff(11, 11, **{names[0]: rows[shown:]}))
    return made


def test_levels_beyond_the_complete_range_are_marked() -> None:
    made = book(limit=3)
    made.apply(diff(11, 11, [("97", "1"), ("98.5", "1")]))
    table = pa.table(made.to_arrow())
    bids = [row for row in table.to_pylist() if row["side"] == "bid"]
    assert [(row["price"], row["proven"]) for row in bids] == [
        (99.5, True), (99.0, True), (98.5, True), (98.0, True), (97.0, False),
    ]  # fmt: skip
    assert made.to_numpy(4).complete
    assert not made.to_numpy(5).complete
    assert made.to_numpy(low=98).complete
    assert not made.to_numpy(low=97.5).complete


# --- tables ---------------------------------------------------------------------------------


def whole() -> Any:
    made = book()
    made.apply(diff(11, 12, [("99.5", "0.5")], E=1_700_000_000_123))
    return made


def rows_of(made: Any) -> list[tuple[Any, ...]]:
    return [
        (side, place, level.price, level.quantity)
        for side, levels in (("bid", made.bids), ("ask", made.asks))
        for place, level in enumerate(levels)
    ]


def test_pyarrow_takes_columns_as_they_are() -> None:
    made = whole()
    columns = made.to_arrow()
    table = pa.table(columns)
    table.validate(full=True)
    assert tuple(table.column_names) == columns.names == NAMES
    texts = pa.dictionary(pa.int32(), pa.string())
    assert table.schema.types == [
        texts, texts, pa.dictionary(pa.int8(), pa.string()), pa.int32(), pa.float64(), pa.float64(),
        pa.bool_(),
        pa.int64(), pa.timestamp("us", "UTC"), pa.int64(), texts,
    ]  # fmt: skip
    rows = table.to_pylist()
    assert [tuple(row[name] for name in NAMES[2:6]) for row in rows] == rows_of(made)
    assert {row["symbol"] for row in rows} == {"BTCUSDT"}
    assert {(row["update_id"], row["status"], row["exchange"]) for row in rows} == {
        (12, "synced", "binance.com")
    }
    moment = dt.datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=dt.UTC)
    assert {row["event_time"] for row in rows} == {moment}
    assert len(columns) == len(rows) == 5
    assert pa.record_batch(columns).equals(table.to_batches()[0])
    assert pa.schema(columns).equals(table.schema)


def test_pyarrow_shares_the_memory() -> None:
    columns = whole().to_arrow()
    addresses = {pa.table(columns).column("price").chunk(0).buffers()[1].address for _ in range(3)}
    assert len(addresses) == 1
    assert addresses == {columns.to_numpy()["price"].__array_interface__["data"][0]}


def test_polars_takes_columns_as_they_are() -> None:
    made = whole()
    for frame in (made.to_polars(), pl.DataFrame(made.to_arrow())):
        assert frame.columns == list(NAMES)
        assert frame.select(NAMES[2:6]).rows() == rows_of(made)
        assert frame["event_time"].dtype == pl.Datetime("us", "UTC")
        assert frame.filter(pl.col("symbol") == "BTCUSDT").height == 5
    exact = made.exact.to_polars()
    assert exact["price"].dtype == pl.Decimal(38, 18)
    assert exact["price"].to_list()[0] == Decimal("99.5")


def test_pandas_gets_its_own_frame() -> None:
    made = whole()
    frame = made.to_pandas()
    assert list(frame.columns) == list(NAMES)
    assert list(frame[list(NAMES[2:6])].itertuples(index=False, name=None)) == rows_of(made)
    assert str(frame["event_time"].dtype) == "datetime64[us, UTC]"
    assert str(frame["symbol"].dtype) == "category"
    assert str(frame["updated_ns"].dtype) == "Int64"
    frame.loc[0, "price"] = 1.0
    frame.loc[0, "side"] = "ask"
    assert made.to_pandas().loc[0, "price"] == 99.5
    exact = made.to_pandas(exact=True)
    assert exact["price"].tolist()[:2] == [Decimal("99.5"), Decimal("99.0")]
    unmoved = book().to_pandas()  # what is fed by hand tells no time
    assert unmoved["event_time"].isna().all()
    assert (unmoved["updated_ns"] == 0).all()
    if hasattr(pd.DataFrame, "from_arrow"):
        taken = pd.DataFrame.from_arrow(made.to_arrow())
        assert taken["price"].tolist() == made.to_pandas()["price"].tolist()


def test_duckdb_asks_columns_as_they_are() -> None:
    levels = whole().to_arrow()
    connection = duckdb.connect()
    connection.register("levels", levels)
    question = "select side, count(*), max(price), sum(quantity) from levels group by 1 order by 1"
    found = connection.sql(question)
    assert found.fetchall() == [("ask", 2, 101.0, 9.125), ("bid", 3, 99.5, 6.0)]
    exact = whole().to_arrow(exact=True)
    connection.register("exact", exact)
    response = connection.sql("select price from exact where level = 0 order by price").fetchall()
    assert response == [(Decimal("99.5"),), (Decimal("100.5"),)]


def test_numpy_gets_one_array_a_column() -> None:
    arrays = whole().to_arrow().to_numpy()
    assert tuple(arrays) == NAMES
    assert arrays["side"].tolist() == ["bid", "bid", "bid", "ask", "ask"]
    assert arrays["price"].tolist() == [99.5, 99.0, 98.0, 100.5, 101.0]
    assert arrays["proven"].tolist() == [True] * 5
    assert not arrays["price"].flags.writeable
    assert arrays["event_time"][0] == np.datetime64("2023-11-14T22:13:20.123", "us")
    unmoved = book().to_arrow().to_numpy()
    assert np.isnat(unmoved["event_time"]).all()
    assert (unmoved["updated_ns"] == 0).all()
    with pytest.raises(InvalidArgument, match="to_integers"):
        book().to_arrow(exact=True).to_numpy()


def test_columns_without_a_row_have_their_types() -> None:
    for columns in (Columns([]), book(bids=[], asks=[]).to_arrow(), book().to_arrow(0)):
        assert len(columns) == 0
        assert pa.table(columns).num_rows == 0
        assert columns.to_polars().columns == list(NAMES)
        assert columns.to_pandas().shape == (0, len(NAMES))
        assert {len(array) for array in columns.to_numpy().values()} == {0}


def test_many_books_are_one_table() -> None:
    """Books of any kind, at scales of their own: frozen, offline, exact."""
    one, two = whole(), book(bids=[("0.00001234", "1000000")], asks=[], symbol="PEPEUSDT")
    columns = Columns([one.freeze(1), two, one], levels=1)
    rows = pa.table(columns).to_pylist()
    assert [(row["symbol"], row["side"], row["price"]) for row in rows] == [
        ("BTCUSDT", "bid", 99.5), ("BTCUSDT", "ask", 100.5), ("PEPEUSDT", "bid", 0.00001234),
        ("BTCUSDT", "bid", 99.5), ("BTCUSDT", "ask", 100.5),
    ]  # fmt: skip
    assert pa.table(columns).column("symbol").chunk(0).dictionary.to_pylist() == ["BTCUSDT", "PEPEUSDT"]
    exact = pa.table(Columns([one, two.exact], levels=1)).to_pylist()
    assert [str(row["price"].normalize()) for row in exact] == ["99.5", "100.5", "0.00001234"]


def test_later_tables_have_the_rows_of_their_own_books() -> None:
    """What only depends on which books are read is shared by tables, while it is the same."""
    one, two = book(), book(symbol="ETHUSDT", bids=[("5", "1")])
    other = depthcache.Book("binance.com-futures", "ETHUSDT")
    other.load_snapshot(snapshot(10, [("5", "1")], ASKS), limit=1000)

    def facts(books: Sequence[Any], levels: int) -> list[tuple[Any, ...]]:
        names = ("exchange", "symbol", "side", "level", "price")
        rows = pa.table(Columns(books, levels=levels)).to_pylist()
        return [tuple(row[name] for name in names) for row in rows]

    def wanted(books: Sequence[Any], levels: int) -> list[tuple[Any, ...]]:
        return [
            (each.exchange, each.symbol, name, place, level.price)
            for each in books
            for name, side in (("bid", each.bids), ("ask", each.asks))
            for place, level in enumerate(side[:levels])
        ]

    for books in ([one, two], [one, two], [two, one], [two, one, one], [one, other], [one]):
        for levels in 1, 2, 1, 3:
            assert facts(books, levels) == wanted(books, levels)
    held = Columns([one, two], levels=3)
    before = pa.table(held).to_pylist()
    assert two.apply(diff(11, 11, [("4", "1"), ("3", "2")], s="ETHUSDT")) is Outcome.APPLIED
    assert facts([one, two], 3) == wanted([one, two], 3)
    assert pa.table(held).to_pylist() == before
    assert two.apply(diff(15, 15, s="ETHUSDT")) is Outcome.GAP
    words = pa.table(Columns([one, two.freeze(on_stale="serve")], levels=3)).column("status").to_pylist()
    assert words == ["synced"] * 5 + [two.status.value] * 5


# --- who cannot be read ---------------------------------------------------------------------


def test_books_that_cannot_be_read_are_named_or_left_out() -> None:
    lost = depthcache.Book("binance.com", "ETHUSDT")
    with pytest.raises(depthcache.BooksNotSynced) as raised:
        Columns([book(), lost, depthcache.Book("binance.com", "BNBUSDT")])
    assert isinstance(raised.value, BookNotSynced)
    assert [each[1] for each in raised.value.books] == ["ETHUSDT", "BNBUSDT"]
    assert raised.value.asked == 3
    for word in ("2 of 3", "ETHUSDT", "BNBUSDT", 'missing="skip"'):
        assert word in str(raised.value)
    columns = Columns([lost, book()], missing="skip")
    assert {row["symbol"] for row in pa.table(columns).to_pylist()} == {"BTCUSDT"}
    assert columns.missing == (("binance.com", "ETHUSDT", "empty", "nothing has arrived yet"),)
    assert "1 books missing" in repr(columns)
    for read in (lost.to_numpy, lost.to_arrow, lost.to_pandas, lost.to_integers):
        with pytest.raises(BookNotSynced):
            read()


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"levels": -1}, "levels"),
        ({"levels": True}, "levels"),
        ({"levels": 1.0}, "levels"),
        ({"levels": "5"}, "levels"),
        ({"low": float("nan")}, "low"),
        ({"low": -1}, "low"),
        ({"high": "5"}, "high"),
        ({"high": True}, "high"),
        ({"high": Decimal("1e-19")}, "high"),
        ({"high": Decimal("NaN")}, "high"),
        ({"low": float("-inf")}, "low"),
        ({"low": 2, "high": 1}, "low"),
        ({"low": object()}, "low"),
    ],
)
def test_arguments_that_select_nothing_sensible_are_refused(arguments: dict[str, Any], name: str) -> None:
    made = book()
    for read in (made.to_numpy, made.to_integers, made.to_arrow, made.to_pandas, made.to_polars):
        with pytest.raises(InvalidArgument) as raised:
            read(**arguments)
        assert raised.value.name == name
    with pytest.raises(InvalidArgument):
        Columns([made], **arguments)


@pytest.mark.parametrize("books", [5, [5], None, ["BTCUSDT"], [None]])
def test_columns_are_made_of_books(books: Any) -> None:
    with pytest.raises(InvalidArgument, match="books"):
        Columns(books)


def test_how_to_treat_missing_books_is_one_of_two_words() -> None:
    with pytest.raises(InvalidArgument, match="'skip'"):
        Columns([book()], missing="ignore")  # type: ignore[arg-type]


def test_numbers_of_numpy_are_numbers() -> None:
    made = book()
    assert made.to_numpy(np.int64(1)).bids.shape == (1, 2)
    assert made.to_numpy(low=np.float32(99.5), high=np.int16(101)).bids.tolist() == [[99.5, 1.25]]
    assert made.to_numpy(10**30, low=0, high=10**30).bids.shape == (3, 2)


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str) -> Any:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)

    monkeypatch.setattr(columns_module, "import_module", missing)
    for package, read in (("pandas", book().to_pandas), ("polars", book().to_polars)):
        with pytest.raises(PackageMissing, match=f"pip install {package}") as raised:
            read()
        assert isinstance(raised.value, ImportError)
        assert raised.value.package == package


# --- memory and moments ---------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_is_left_behind")
def test_thousands_of_tables_leave_nothing_behind() -> None:
    """Taken, half taken, never taken, kept by another library: all is given back in the end."""
    made = book()
    kept = None
    for _ in range(3_000):
        columns = made.to_arrow()
        columns.__arrow_c_stream__()
        columns.__arrow_c_array__()
        kept = pa.table(columns)
        del columns
        pl.DataFrame(made.to_arrow(1))
    tables, _ = _native._columns_alive()
    assert tables >= 1
    assert kept is not None
    assert kept.column("price").to_pylist()[0] == 99.5


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_is_left_behind")
def test_memory_outlives_books_and_columns() -> None:
    columns = whole().to_arrow()
    price, table = columns.to_numpy()["price"], pa.table(columns)
    column = table.column("quantity")
    del columns, table
    gc.collect()
    assert price.tolist()[0] == 99.5
    assert column.to_pylist()[0] == 0.5


@pytest.mark.slow
def test_a_table_never_mixes_two_updates() -> None:
    """A writer moves both sides in step; whatever a reader sees belongs to one update id."""
    made = book([("10", "1")], [("20", "1")])
    stop = threading.Event()

    def write() -> None:
        update = 11
        while not stop.is_set():
            made.apply(diff(update, update, [("10", str(update))], [("20", str(update))]))
            update += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(300):
            found = made.to_numpy()
            row = pa.table(Columns([made])).to_pylist()
            assert found.update_id == 10 or found.bids[0, 1] == found.asks[0, 1] == found.update_id
            assert row[0]["quantity"] == row[1]["quantity"]
            assert row[0]["update_id"] in (10, row[0]["quantity"])
    finally:
        stop.set()
        writer.join()


@pytest.mark.slow
def test_frames_need_no_object_per_level() -> None:
    """5,000 levels a side become columns without thousands of objects of Python."""
    deep = book(
        [(f"{price / 100}", "1") for price in range(600_000, 595_000, -1)],
        [(f"{price / 100}", "1") for price in range(600_001, 605_001)],
        limit=None,
    )
    gc.collect()
    before = len(gc.get_objects())
    columns = deep.to_arrow()
    assert len(columns) == 10_000
    assert len(gc.get_objects()) - before < 50
