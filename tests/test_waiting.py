"""Waiting for several books: which are late, which are unknown, and continuing with the others."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest

import depthcache
from depthcache import BookClosed, InvalidArgument, SyncTimeout, UnknownExchange, UnknownSymbol, errors
from tests.support.by_hand import ByHand, FromThread

DEADLINE_S = 20.0
SETTINGS = depthcache.Settings()
SPOT = "binance.com"
SYMBOLS = ["BTCUSDT", "ETHUSDT", "BNBUSDT"]


def connect(symbols: list[str]) -> depthcache.Books:
    return depthcache.connect(SPOT, symbols, settings=SETTINGS)


def copied(error: Exception) -> object:
    return pickle.loads(pickle.dumps(error))  # noqa: S301


@pytest.fixture
async def some(exchange: list[ByHand]) -> Any:
    """A client of three books, of which only ETHUSDT can be synced."""
    async with connect(SYMBOLS) as books:
        exchange[0].default = None
        exchange[0].books["ETHUSDT"] = {"lastUpdateId": 10, "bids": [["1", "1"]], "asks": []}
        yield books


async def test_a_timeout_names_every_late_book(some: depthcache.Books) -> None:
    await some["ETHUSDT"].wait_synced(DEADLINE_S)
    with pytest.raises(SyncTimeout) as caught:
        await some.wait_synced(0.01)
    error = caught.value
    assert (error.exchange, error.symbol, error.asked, error.timeout_s) == (SPOT, "BTCUSDT", 3, 0.01)
    late = [some["BTCUSDT"], some["BNBUSDT"]]
    assert error.books == tuple((SPOT, book.symbol, book.status.value, book.reason) for book in late)
    assert (error.status, error.reason) == error.books[0][2:]
    assert "2 of 3 books are not synced after 0.01 s: BTCUSDT on" in str(error)
    assert "BNBUSDT" in str(error)
    assert copied(error) == error


def test_many_late_or_unknown_books_are_counted_in_the_message() -> None:
    late = tuple((SPOT, f"S{number}", "empty", "why") for number in range(9))
    first = dict(zip(("exchange", "symbol", "status", "reason"), late[0], strict=True))
    error: errors.DepthCacheError = SyncTimeout(**first, timeout_s=3, others=late[1:], asked=12)  # type: ignore[arg-type]
    assert str(error).startswith(
        "9 of 12 books are not synced after 3 s: S0 on binance.com is empty (why), S1"
    )
    assert "S4 on binance.com is empty (why) and 4 more; pass missing=" in str(error)
    unknown = tuple((SPOT, f"S{number}", "it is not listed", ()) for number in range(8))
    error = UnknownSymbol(symbol="S", exchange=SPOT, near=("T",), others=unknown)
    assert str(error).startswith(
        "9 unknown symbols: 'S' on binance.com; did you mean 'T'?; 'S0' on binance.com: it"
    )
    assert str(error).endswith("'S3' on binance.com: it is not listed; and 4 more")
    assert len(error.books) == 9


async def test_every_symbol_that_is_not_held_is_named(some: depthcache.Books) -> None:
    for wait in (some.wait_synced, some.wait_any_synced):
        with pytest.raises(UnknownSymbol, match="2 unknown symbols: 'NOUSDT': this client") as caught:
            await wait(books=["ETHUSDT", "NOUSDT", (SPOT, "ETHUSD")])
        error = caught.value
        assert (error.symbol, error.exchange) == ("NOUSDT", None)
        assert [each[:2] for each in error.books] == [(None, "NOUSDT"), (SPOT, "ETHUSD")]
        assert error.books[1][3][0] == "ETHUSDT"
        assert copied(error) == error


async def test_every_symbol_that_the_exchange_does_not_know_is_named(exchange: list[ByHand]) -> None:
    async with connect(["BTCUSDT", "NOUSDT", "NADAUSDT"]) as books:
        exchange[0].unknown |= {"NOUSDT", "NADAUSDT"}
        for symbol in ("NOUSDT", "NADAUSDT"):
            with pytest.raises(UnknownSymbol, match=f"unknown symbol '{symbol}' on binance.com"):
                await books[symbol].wait_synced(DEADLINE_S)
        with pytest.raises(
            UnknownSymbol, match=r"2 unknown symbols: 'NOUSDT' on .*; 'NADAUSDT' on"
        ) as caught:
            await books.wait_synced(DEADLINE_S)
        assert [each[:2] for each in caught.value.books] == [(SPOT, "NOUSDT"), (SPOT, "NADAUSDT")]
        async with asyncio.timeout(DEADLINE_S):
            assert await books.wait_synced(None, missing="skip") == [books["BTCUSDT"]]


async def test_skip_goes_on_with_the_rest(some: depthcache.Books) -> None:
    eth = some["ETHUSDT"]
    assert await some.wait_synced(DEADLINE_S, books=["NOUSDT", eth], missing="skip") == [eth]
    assert await some.wait_synced(0.01, missing="skip") == [eth], "the others are late"
    some.remove("BTCUSDT")
    waiting = asyncio.create_task(some.wait_synced(None, missing="skip"))
    await asyncio.sleep(0)
    some.remove("BNBUSDT")
    async with asyncio.timeout(DEADLINE_S):
        assert await waiting == [eth], "what is closed is not waited for"


async def test_skip_returns_nothing_where_there_is_nothing(some: depthcache.Books) -> None:
    assert await some.wait_synced(books=["NOUSDT"], missing="skip") == []
    assert await some.wait_any_synced(0.01, books=["BTCUSDT"], missing="skip") == []
    assert await some.wait_any_synced(books=["NOUSDT"], missing="skip") == []
    await some.aclose()
    assert await some.wait_synced(missing="skip") == []
    assert await some.wait_any_synced(missing="skip") == []
    with pytest.raises(BookClosed):
        await some.wait_synced()


async def test_skip_hides_no_mistake(some: depthcache.Books) -> None:
    for wait in (some.wait_synced, some.wait_any_synced):
        with pytest.raises(UnknownExchange):
            await wait(books=[("binance.con", "BTCUSDT")], missing="skip")
        with pytest.raises(InvalidArgument, match="book"):
            await wait(books=[5], missing="skip")  # type: ignore[list-item]
        with pytest.raises(InvalidArgument, match="'raise' or 'skip'"):
            await wait(missing="leave")  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [True, "30", -1, float("nan"), ["BTCUSDT"], ("binance.com", "BTCUSDT")])
async def test_what_is_no_timeout_is_refused_and_lists_are_told_their_name(
    some: depthcache.Books, seconds: Any
) -> None:
    for wait in (some.wait_synced, some.wait_any_synced, some["ETHUSDT"].wait_synced):
        with pytest.raises(InvalidArgument, match="timeout") as caught:
            await wait(seconds)
        assert ("books=[…]" in str(caught.value)) == (not isinstance(seconds, str | int | float))


async def test_none_waits_without_end(some: depthcache.Books) -> None:
    assert await some.wait_synced(None, books=["ETHUSDT"]) == [some["ETHUSDT"]]
    await some["ETHUSDT"].wait_synced(None)


def test_a_blocking_client_waits_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = FromThread()
    exchange.default = None
    monkeypatch.setattr("depthcache.blocking.real_network", exchange.make)
    with depthcache.blocking.connect(SPOT, [], settings=SETTINGS) as books:
        exchange.networks[0].books["ETHUSDT"] = {"lastUpdateId": 10, "bids": [["1", "1"]], "asks": []}
        books.add_all(SYMBOLS)
        eth = books["ETHUSDT"]
        assert books.wait_any_synced(DEADLINE_S) == [eth]
        assert books.wait_synced(DEADLINE_S, books=[eth, "NOUSDT"], missing="skip") == [eth]
        assert books.wait_synced(0.01, missing="skip") == [eth]
        with pytest.raises(SyncTimeout, match="2 of 3") as caught:
            books.wait_synced(0.01)
        assert [each[1] for each in caught.value.books] == ["BTCUSDT", "BNBUSDT"]
        with pytest.raises(UnknownSymbol, match="2 unknown symbols"):
            books.wait_synced(books=["NOUSDT", "NADAUSDT"])
        for wrong in (True, "30", ["BTCUSDT"]):
            with pytest.raises(InvalidArgument, match="timeout"):
                books.wait_synced(wrong)  # type: ignore[arg-type]
    assert books.wait_synced(missing="skip") == books.wait_any_synced(missing="skip") == []
    with pytest.raises(BookClosed):
        books.wait_synced()
