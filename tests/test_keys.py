"""Books by key: `keys`, `values`, `items`, `get`, and the completion of `books["`."""

from __future__ import annotations

from typing import Any

import pytest

import depthcache
from depthcache import InvalidArgument, UnknownSymbol
from tests.support.by_hand import ByHand, FromThread

SETTINGS = depthcache.Settings()
SPOT, FUTURES = "binance.com", "binance.com-futures"


def connect(*arguments: Any) -> depthcache.Books:
    return depthcache.connect(*arguments, settings=SETTINGS)


async def test_the_books_of_one_named_exchange_go_by_their_symbols(exchange: list[ByHand]) -> None:
    async with connect(SPOT, ["btcusdt", "ETHUSDT"]) as books:
        assert list(books.keys()) == ["BTCUSDT", "ETHUSDT"]
        assert list(books.values()) == list(books)
        for symbol, book in books.items():
            assert books[symbol] is book
            assert symbol == book.symbol
        assert dict(books.items()) == {"BTCUSDT": books["BTCUSDT"], "ETHUSDT": books["ETHUSDT"]}
        assert dict(books) == dict(books.items())
        assert ("BTCUSDT" in books, {"BTCUSDT"} <= books.keys(), len(books.items())) == (True, True, 2)


@pytest.mark.parametrize("wanted", [{SPOT: ["BTCUSDT"]}, {SPOT: ["BTCUSDT"], FUTURES: ["BTCUSDT"]}])
async def test_the_books_of_a_mapping_go_by_exchange_and_symbol(
    exchange: list[ByHand], wanted: dict[str, list[str]]
) -> None:
    async with connect(wanted) as books:
        assert list(books.keys()) == [(name, "BTCUSDT") for name in wanted]
        assert all(books[key] is book for key, book in books.items())
        assert dict(books) == dict(books.items())


async def test_a_name_means_what_it_means_now_however_often_it_was_asked(exchange: list[ByHand]) -> None:
    async with connect(SPOT, ["BTCUSDT"]) as books:
        spot = books["BTCUSDT"]
        for _ in range(2):
            for spelled in ("btcusdt", "BtcUsdt", (SPOT, "btcusdt"), (SPOT, "BTCUSDT")):
                assert books[spelled] is spot
            with pytest.raises(UnknownSymbol):
                books["ETHUSDT"]
            for wrong in (["BTCUSDT"], 3, None, {"BTCUSDT"}):
                with pytest.raises(InvalidArgument):
                    books[wrong]  # type: ignore[index]
        eth = books.add("ETHUSDT")
        assert [books["ETHUSDT"], books["ethusdt"]] == [eth, eth]
        books.remove("ETHUSDT")
        for spelled in ("ETHUSDT", "ethusdt"):
            with pytest.raises(UnknownSymbol):
                books[spelled]
        again = books.add("ETHUSDT")
        assert books["ethusdt"] is again is not eth


async def test_few_ways_to_write_a_name_are_remembered(exchange: list[ByHand]) -> None:
    async with connect(SPOT, ["BTCUSDT"]) as books:
        for number in range(128):
            cases = zip("BTCUSDT", f"{number:07b}", strict=True)
            spelled = "".join(letter.lower() if bit == "1" else letter for letter, bit in cases)
            assert books[spelled].symbol == "BTCUSDT"
        assert len(books._client.named) < 10


async def test_the_key_of_a_book_never_changes_and_finds_it(exchange: list[ByHand]) -> None:
    async with connect(SPOT, ["BTCUSDT"]) as books:
        spot = books["BTCUSDT"]
        futures = books.add("BTCUSDT", FUTURES)
        eth = books.add("ETHUSDT", FUTURES)
        assert dict(books.items()) == {
            "BTCUSDT": spot,
            (FUTURES, "BTCUSDT"): futures,
            (FUTURES, "ETHUSDT"): eth,
        }
        assert books["BTCUSDT"] is spot, "the exchange that connect named is meant"
        assert dict(books) == dict(books.items())
        assert books["ETHUSDT"] is eth
        books.remove("BTCUSDT")
        assert books["BTCUSDT"] is futures
        assert list(books.keys()) == [(FUTURES, "BTCUSDT"), (FUTURES, "ETHUSDT")]


async def test_views_show_the_books_of_their_moment(exchange: list[ByHand]) -> None:
    async with connect(SPOT, ["BTCUSDT"]) as books:
        items = books.items()
        for symbol, _ in items:
            books.add(f"X{symbol}")
        assert (len(items), len(books.items())) == (1, 2)


async def test_get_gives_a_default_for_what_is_not_held(exchange: list[ByHand]) -> None:
    async with connect({SPOT: ["BTCUSDT"], FUTURES: ["BTCUSDT", "ETHUSDT"]}) as books:
        assert books.get("ethusdt") is books[FUTURES, "ETHUSDT"]
        assert books.get((SPOT, "btcusdt")) is books[SPOT, "BTCUSDT"]
        for absent in ("BNBUSDT", (SPOT, "ETHUSDT"), ("binance.us", "BTCUSDT"), ("nowhere", "BTCUSDT"), "?"):
            assert books.get(absent) is None
            assert books.get(absent, 5) == 5
        with pytest.raises(UnknownSymbol, match=r"^ambiguous symbol .* several exchanges"):
            books.get("BTCUSDT")
        with pytest.raises(InvalidArgument):
            books.get(5)  # type: ignore[arg-type]


async def test_keys_and_symbols_complete_in_a_notebook(exchange: list[ByHand]) -> None:
    books = connect({SPOT: ["BTCUSDT"], FUTURES: ["BTCUSDT", "ETHUSDT"]})
    assert books._ipython_key_completions_() == []
    async with books:
        offered = books._ipython_key_completions_()
        assert offered == [(SPOT, "BTCUSDT"), (FUTURES, "BTCUSDT"), (FUTURES, "ETHUSDT"), "ETHUSDT"]
        assert all(books[key] for key in offered)
    async with connect(SPOT, ["BTCUSDT"]) as books:
        assert books._ipython_key_completions_() == ["BTCUSDT"]


def test_a_blocking_client_has_the_same_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("depthcache.blocking.real_network", FromThread().make)
    with depthcache.blocking.connect(SPOT, ["BTCUSDT"], settings=SETTINGS) as books:
        assert dict(books.items()) == {"BTCUSDT": books["BTCUSDT"]}
        assert books.get("ETHUSDT", 5) == 5
    assert list(books.keys()) == ["BTCUSDT"], "a client that has ended still knows its books"
