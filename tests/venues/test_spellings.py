"""Symbols in the notation of other tools lead to a suggestion of exchange and symbol."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import depthcache
from depthcache import InvalidArgument, Settings, UnknownSymbol, venues
from depthcache.client.waiters import _unknown
from depthcache.compat.ubldc import BinanceLocalDepthCacheManager

SPOT, USDM, COINM = "binance.com", "binance.com-futures", "binance.com-coin_futures"
OPTIONS = "binance.com-vanilla-options"
OPTION = "BTC-251123-126000-C"

REFUSED = [
    ("BTCUSDT.P", SPOT, USDM, "BTCUSDT"),
    ("btcusdt.p", USDM, USDM, "BTCUSDT"),
    ("BINANCE:BTCUSDT", SPOT, SPOT, "BTCUSDT"),
    ("BINANCE:BTCUSDT.P", SPOT, USDM, "BTCUSDT"),
    ("BTCUSD.P", USDM, COINM, "BTCUSD_PERP"),
    ("BTCUSDT-PERP.BINANCE", SPOT, USDM, "BTCUSDT"),
    ("BTCUSDT-PERP.BINANCE", COINM, USDM, "BTCUSDT"),
    ("BTCUSD_PERP.BINANCE", SPOT, COINM, "BTCUSD_PERP"),
    ("BTCUSDT.BINANCE", SPOT, SPOT, "BTCUSDT"),
    ("BTC/USDT:USDT", SPOT, USDM, "BTCUSDT"),
    ("BTC/USDC:USDC", USDM, USDM, "BTCUSDC"),
    ("BTC/USD:BTC", USDM, COINM, "BTCUSD_PERP"),
    ("BTC/USDT:USDT-251226", SPOT, USDM, "BTCUSDT_251226"),
    ("ETH/USD:ETH-251226", SPOT, COINM, "ETHUSD_251226"),
    ("BTC/USDT:USDT-251123-126000-C", SPOT, OPTIONS, OPTION),
    ("BTC/USDT", SPOT, SPOT, "BTCUSDT"),
    ("btc/usdt", USDM, USDM, "BTCUSDT"),
    ("BTC/USD", COINM, COINM, "BTCUSD_PERP"),
    ("BTC/USDT", COINM, SPOT, "BTCUSDT"),
    ("BTC/USDT", "binance.us", "binance.us", "BTCUSDT"),
    ("btcusdt@depth", SPOT, SPOT, "BTCUSDT"),
    ("btcusdt@depth20@100ms", USDM, USDM, "BTCUSDT"),
    ("btcusd_perp@depth", SPOT, COINM, "BTCUSD_PERP"),
    ("BTCUSDT.P", "binance.com-testnet", "binance.com-futures-testnet", "BTCUSDT"),
    ("BTC/USD:BTC", "binance.com-demo", "binance.com-coin_futures-demo", "BTCUSD_PERP"),
    ("币安人生USDT.P", SPOT, USDM, "币安人生USDT"),
    ("BTCUSDT ", SPOT, SPOT, "BTCUSDT"),
    ("'BTCUSDT'", SPOT, SPOT, "BTCUSDT"),
]
"""Text, exchange asked, exchange and symbol that are meant; no text can be a symbol of Binance."""
UNKNOWN = [
    ("BTCUSD_PERP", SPOT, COINM, "BTCUSD_PERP"),
    ("BTCUSD_PERP", USDM, COINM, "BTCUSD_PERP"),
    ("BTCUSD_251226", USDM, COINM, "BTCUSD_251226"),
    ("BTCUSDT_251226", SPOT, USDM, "BTCUSDT_251226"),
    (OPTION, SPOT, OPTIONS, OPTION),
    (OPTION, "binance.com-futures-testnet", f"{OPTIONS}-testnet", OPTION),
    ("BTCUSDT_PERP", USDM, USDM, "BTCUSDT"),
    ("BTCUSDT-PERP", SPOT, USDM, "BTCUSDT"),
    ("BTC-USDT-PERP", SPOT, USDM, "BTCUSDT"),
    ("BTC-USD-PERP", SPOT, COINM, "BTCUSD_PERP"),
    ("BTC-USDT", SPOT, SPOT, "BTCUSDT"),
    ("BTC_USDT", USDM, USDM, "BTCUSDT"),
]
"""The same of texts that could be one, so that only the exchange can say that they are not."""


def told(exchange: str, asked: str, symbol: str) -> str:
    return f"did you mean {symbol!r}?" if exchange == asked else f"did you mean {symbol!r} on {exchange!r}?"


@pytest.mark.parametrize(("text", "asked", "exchange", "symbol"), REFUSED)
def test_a_foreign_spelling_is_refused_with_exchange_and_symbol(
    text: str, asked: str, exchange: str, symbol: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        depthcache.connect(asked, [text], settings=Settings())
    assert (refused.value.name, refused.value.value) == ("symbol", text)
    assert str(refused.value).endswith(told(exchange, asked, symbol))
    with pytest.raises(InvalidArgument, match="did you mean"):
        depthcache.Book(asked, text)
    assert venues.parse_symbol(symbol, venues.venue(exchange)) == symbol


@pytest.mark.parametrize(("text", "asked", "exchange", "symbol"), UNKNOWN)
def test_what_the_exchange_does_not_know_is_told_where_it_is(
    text: str, asked: str, exchange: str, symbol: str
) -> None:
    venues.parse_symbol(text, venues.venue(asked))
    book: Any = SimpleNamespace(exchange=asked, symbol=text, reason="the exchange does not know the symbol")
    error = _unknown(book, ("SOMETHING", "BTCUSDT"))
    assert isinstance(error, UnknownSymbol)
    assert "the exchange does not know the symbol" in str(error)
    if exchange == asked:
        assert error.near == (symbol, "SOMETHING", "BTCUSDT")[: 3 if symbol != "BTCUSDT" else 2]
    else:
        assert (error.near, str(error).endswith(told(exchange, asked, symbol))) == ((), True)


@pytest.mark.parametrize("text", ["BTCUSTD", "NOBODY", "BTCUSDT"])
def test_what_is_no_foreign_spelling_keeps_what_looks_like_it(text: str) -> None:
    book: Any = SimpleNamespace(exchange=SPOT, symbol=text, reason="gone")
    assert _unknown(book, ("BTCUSDT",)).near == ("BTCUSDT",)


@pytest.mark.parametrize(
    "text", ["a.b.c.d", "BTC@USDT", "BTC&limit=5", "BTCUSDT/", "x" * 200 + ".P", "://", "BTC%20"]
)
def test_riddles_get_no_hint(text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        venues.parse_symbol(text, venues.venue(SPOT))
    assert "did you mean" not in str(refused.value)


@pytest.mark.parametrize("name", venues.names())
def test_names_of_other_exchanges_exist(name: str) -> None:
    asked = venues.venue(name)
    for text in (each[0] for each in (*REFUSED, *UNKNOWN)):
        found = venues.meant(text, asked)
        if found is not None:
            other = venues.venue(found[0])
            assert venues.parse_symbol(found[1], other) == found[1]
            assert venues.meant(found[1], other) is None, "a hint needs no second one"


@given(st.text(max_size=60), st.sampled_from(venues.names()))
def test_whatever_is_asked_gets_a_symbol_or_nothing(text: str, name: str) -> None:
    found = venues.meant(text, venues.venue(name))
    assert found is None or found[0] in venues.names()


def test_the_drop_in_hints_too() -> None:
    with (
        BinanceLocalDepthCacheManager(settings=Settings()) as manager,
        pytest.raises(InvalidArgument) as refused,
    ):
        manager.create_depthcache("BTCUSDT.P")
    assert "'BTCUSDT' on 'binance.com-futures'" in str(refused.value)
