"""What notebooks show: the state, exact texts, bounded tables, foreign text escaped, and never an error."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable
from contextlib import suppress
from html.parser import HTMLParser
from typing import Any

import pytest

import depthcache
from depthcache.pictures import html
from tests.engine import Engine, diff, snapshot
from tests.support.by_hand import ByHand

DEADLINE_S = 20.0
SCRIPT = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Which elements there are, that all are closed in order, as XML wants it, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.words = ""
        self.styles: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"div", "span", "b", "table", "thead", "tbody", "tr", "th", "td", "br"}
        assert {name for name, _ in attrs} <= {"style", "colspan"}
        self.styles += [value or "" for name, value in attrs if name == "style"]
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def book_page(engine: Engine, **options: Any) -> Page:
    return Page(html.book_html(engine.loaded(**options)))


def many(count: int, *, above: int = 0) -> list[tuple[str, str]]:
    return [(f"{above + at}.50", f"{at + 1}.25") for at in range(count)]


def test_a_book_shows_its_state_and_both_sides(engine: Engine) -> None:
    page = book_page(engine, bids=[("99.10", "1.50"), ("99.00", "2")], asks=[("101.00", "3")], limit=5)
    assert page.words.startswith("BTCUSDT on x synced")
    assert "update id 10" in page.words
    assert "complete: both sides are known as a whole" in page.words
    assert page.rows == [
        ["bids: 2", "asks: 1"],
        ["1.5", "99.1", "101.0", "3.0"],
        ["2.0", "99.0", "", ""],
    ]
    assert "spread 1.9 (190 bps), mid 100.05" in page.words


def test_ten_levels_a_side_are_shown_of_any_number(engine: Engine) -> None:
    page = book_page(engine, bids=many(1_200)[::-1], asks=many(40, above=2_000))
    assert page.rows[0] == ["bids: best 10 of 1,200", "asks: best 10 of 40"]
    assert len(page.rows) == 1 + html.MOST_LEVELS


def test_small_and_large_numbers_have_all_digits_and_no_exponent(engine: Engine) -> None:
    page = book_page(
        engine, bids=[("0.00000012", "123456789012345678")], asks=[("0.00000013", "0.00000001")], limit=5
    )
    assert page.rows[1] == [
        "123456789012345678.00000000", "0.00000012", "0.00000013", "0.00000001",
    ]  # fmt: skip


def test_levels_beyond_the_complete_range_are_marked(engine: Engine) -> None:
    book = engine.loaded(bids=[("99", "1"), ("98", "1")], asks=[("101", "1"), ("102", "1")], limit=2)
    assert "italics" not in html.book_html(book)
    book.apply(diff(11, 11, bids=[("97", "1")]))
    page = Page(html.book_html(book))
    assert "Levels in italics are beyond the complete range." in page.words
    assert sum("italic" in style for style in page.styles) == 2 + 1  # price, quantity and the words
    assert "complete down to 98 and up to 102" in page.words


def test_one_sided_books_say_which_side_is_empty(engine: Engine) -> None:
    assert book_page(engine, asks=[], limit=5).rows[0] == ["bids: 1", "no asks"]
    nothing = book_page(engine, bids=[], asks=[], limit=5)
    assert nothing.rows == [["no bids", "no asks"]]
    assert "spread" not in nothing.words


def test_a_book_that_cannot_be_read_shows_why_and_no_levels(engine: Engine) -> None:
    book = engine.loaded()
    book.apply(diff(15, 16))
    page = Page(html.book_html(book))
    assert "⚠ buffering" in page.words
    assert "sequence gap: the book is at 10" in page.words
    assert "No levels are shown" in page.words
    assert page.rows == []
    assert "⚠ empty nothing has arrived yet" in Page(html.book_html(engine.book())).words


def test_served_stale_levels_never_look_like_the_present(engine: Engine) -> None:
    book = engine.book(serve_stale=True)
    book.load_snapshot(snapshot())
    assert "⚠" not in html.book_html(book)
    book.apply(diff(15, 16))
    page = Page(html.book_html(book))
    assert "⚠ buffering" in page.words
    assert "last known levels, not current" in page.words
    assert page.rows[1] == ["1", "99", "101", "1"]


def test_text_of_others_is_escaped_everywhere() -> None:
    symbol = f"{SCRIPT}\x1b[2J"
    book = depthcache.Book("binance.com")
    book.load_snapshot(snapshot())
    shown = FakeBook(book, symbol)
    for text in (html.book_html(shown), html.side_html(shown, "asks"), html.books_html(SCRIPT, [shown])):
        page = Page(text)
        assert SCRIPT in page.words
        assert "\x1b" not in text
    lost = FakeBook(depthcache.Book("binance.com"), symbol)
    assert Page(html.book_html(lost)).words.count(SCRIPT) == 2  # symbol and reason
    assert Page(html.books_html("Books", [lost])).words.count(SCRIPT) == 2


class FakeBook:
    """A book whose symbol and reasons are what an attacker sends."""

    def __init__(self, book: Any, symbol: str) -> None:
        self._book, self.symbol, self.reason = book, symbol, symbol

    def __getattr__(self, name: str) -> Any:
        return getattr(self._book, name)

    def freeze(self, levels: int | None = None) -> Any:
        try:
            frozen = self._book.freeze(levels)
        except depthcache.BookNotSynced as error:
            error.reason = self.reason
            raise
        return FakeBook(frozen, self.symbol)


def test_a_symbol_from_the_wire_is_shown_as_text() -> None:
    book = depthcache.Book("binance.com")
    book.load_snapshot(snapshot())
    book.apply(diff(11, 12, s="<b>X&amp;</b>"))
    assert Page(book._repr_html_()).words.startswith("<b>X&amp;</b> on binance.com")


def test_every_kind_of_book_and_its_sides_show_themselves() -> None:
    book = depthcache.Book("binance.com")
    book.load_snapshot(snapshot(), limit=5)
    frozen = book.freeze()
    kinds = {"Book": [book, book.exact], "FrozenBook": [frozen, frozen.exact]}
    for kind, shown in kinds.items():
        for each in shown:
            assert f"not yet confirmed by an update {kind}update id 10" in Page(each._repr_html_()).words
    for side in (book.bids, frozen.bids, frozen.exact.bids):
        page = Page(side._repr_html_())
        assert page.rows == [["bids: 1"], ["99", "1"]]
    assert Page(book.asks._repr_html_()).rows == [["asks: 1"], ["101", "1"]]
    book.apply(diff(15, 16))
    assert "No levels are shown" in Page(book.bids._repr_html_()).words


def test_no_colour_is_fixed_but_half_transparent_ones(engine: Engine) -> None:
    book = engine.loaded()
    text = html.book_html(book) + html.books_html("Books", [book, engine.book()])
    styles = " ".join(Page(text).styles)
    assert "<style" not in text
    assert not re.search(r"#[0-9a-f]{3}|(?<![\w-])color:|black|white(?!-)", styles)
    for colour in re.findall(r"rgba?\([^)]*\)", styles):
        assert 0 < float(colour.rpartition(",")[2].rstrip(")")) <= 0.9


def test_many_books_are_a_bounded_table_with_troubled_ones_first(engine: Engine) -> None:
    good = [engine.loaded() for _ in range(499)]
    page = Page(html.books_html("Books", [*good, engine.book(symbol="LOST")]))
    assert page.words.startswith("Books: 499 of 500 synced")
    assert page.words.endswith("… and 480 more, all synced")
    assert len(page.rows) == 1 + html.MOST_BOOKS
    assert page.rows[1][1:4] == ["LOST", "⚠ empty", ""]
    assert page.rows[1][-1] == "nothing has arrived yet"
    assert page.rows[2] == ["x", "BTCUSDT", "synced", "99", "101", "2", "", "1 / 1", page.rows[3][-1]]
    lost = Page(html.books_html("Books", [engine.book() for _ in range(30)]))
    assert lost.words.endswith("… and 10 more, 10 of them not synced")


async def test_live_books_tell_their_age_and_the_set_is_a_table(exchange: list[ByHand]) -> None:
    books = depthcache.connect("binance.com", ["BTCUSDT", "ETHUSDT"], settings=depthcache.Settings())
    assert books._repr_html_() is None
    async with books:
        await books.wait_synced(timeout=DEADLINE_S)
        book = books["BTCUSDT"]
        page = Page(book._repr_html_())
        assert re.search(r"LiveBook.*update id 10 · \d+\.\d s old when shown · updated 20", page.words)
        assert page.rows[1] == ["5", "1.1", "1.2", "7"]
        assert "LiveBook" not in Page(book.exact._repr_html_()).words
        exchange[0].default = None
        exchange[0].diff("ETHUSDT", 15, 16)
        rows = Page(books._repr_html_() or "").rows
        assert rows[1][:6] == ["binance.com", "BTCUSDT", "synced", "1.1", "1.2", "0.1"]
        assert rows[2][:4] == ["binance.com", "ETHUSDT", "⚠ buffering", ""]
        old = book.no_older_than(1e-9)
        assert "⚠ too old" in Page(old._repr_html_()).words
        assert "No levels are shown" in Page(old._repr_html_()).words
    assert "⚠ closed" in Page(book._repr_html_()).words
    assert [row[2] for row in Page(books._repr_html_() or "").rows[1:]] == ["⚠ closed"] * len(books)


def in_a_forked_child(*calls: Callable[[], str]) -> list[str]:
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads beside a fork: that is the case
        child = os.fork()
    if child == 0:
        with suppress(BaseException):
            os.write(writing, "\n".join(call() for call in calls).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as pipe:
        return pipe.read().decode().splitlines()


async def test_a_forked_child_shows_that_the_book_is_the_parents(exchange: list[ByHand]) -> None:
    async with depthcache.connect("binance.com", ["BTCUSDT"], settings=depthcache.Settings()) as books:
        await books.wait_synced(timeout=DEADLINE_S)
        book = books["BTCUSDT"]
        texts = in_a_forked_child(book._repr_html_, book.bids._repr_html_, lambda: books._repr_html_() or "")
    assert [Page(text).words.count("⚠ closed") for text in texts] == [1, 1, 1]
    assert all("fork" in text for text in texts)


async def test_an_update_says_what_lies_before_it(exchange: list[ByHand]) -> None:
    async with depthcache.connect("binance.com", ["BTCUSDT"], settings=depthcache.Settings()) as books:
        updates = books["BTCUSDT"].updates()
        words = Page((await anext(updates))._repr_html_()).words
        assert "Update" in words
        assert "0 updates skipped before it · fresh" in words
        exchange[0].default = None
        exchange[0].diff("BTCUSDT", 15, 16)
        lost = Page((await anext(updates))._repr_html_())
        assert "⚠ buffering" in lost.words
        assert lost.rows == []


def test_columns_show_their_first_rows_with_types() -> None:
    book = depthcache.Book("binance.com", "BTCUSDT")
    book.load_snapshot(snapshot(bids=[("99.10", "0.00000001")], asks=many(30, above=100)), limit=500)
    page = Page(depthcache.Columns([book])._repr_html_())
    assert page.words.startswith("Columns: 31 levels")
    assert page.rows[0][:6] == [
        "exchangetext", "symboltext", "sidetext", "levelint32", "pricefloat64", "quantityfloat64",
    ]  # fmt: skip
    assert page.rows[1] == [
        "binance.com", "BTCUSDT", "bid", "0", "99.1", "0.00000001", "True", "10", "", "0", "synced",
    ]  # fmt: skip
    assert page.rows[3][2:6] == ["ask", "1", "101.5", "2.25"]
    assert len(page.rows) == 1 + html.MOST_ROWS
    assert page.words.endswith("… and 21 more")
    exact = Page(depthcache.Columns([book], exact=True)._repr_html_())
    assert exact.rows[1][4:6] == ["99.1", "0.00000001"]
    missing = Page(
        depthcache.Columns([book, depthcache.Book("binance.com", "ETHUSDT")], missing="skip")._repr_html_()
    )
    assert "left out: ETHUSDT on binance.com (empty)" in missing.words


@pytest.mark.parametrize("levels", [0, 3])
def test_columns_show_what_pandas_shows(levels: int) -> None:
    book = depthcache.Book("binance.com", "BTCUSDT")
    book.load_snapshot(snapshot(E=1_700_000_000_123), limit=5)
    book.apply(diff(11, 12, bids=[("98.5", "3")]))
    columns = depthcache.Columns([book], levels)
    page = Page(columns._repr_html_())
    numpy = columns.to_numpy()
    assert len(page.rows) == 1 + len(columns)
    for at, row in enumerate(page.rows[1:]):
        assert row[2] == numpy["side"][at]
        assert float(row[4]) == numpy["price"][at]
        assert row[6] == str(bool(numpy["proven"][at]))
        assert row[8] == "2023-11-14 22:13:20 UTC"
