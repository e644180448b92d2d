"""Symbols from users: any letter case is accepted, and nothing dangerous gets through."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthcache import venues
from depthcache.errors import InvalidArgument

SPOT = venues.venue("binance.com")
TURKEY = venues.venue("binance.tr")


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("btcusdt", "BTCUSDT"),
        ("BtcUsdT", "BTCUSDT"),
        ("1000pepeusdt", "1000PEPEUSDT"),
        ("btcusd_perp", "BTCUSD_PERP"),
        ("btcusdt_261225", "BTCUSDT_261225"),
        ("btc-251123-126000-c", "BTC-251123-126000-C"),
        ("币安人生usdt", "币安人生USDT"),
        ("这是测试币456", "这是测试币456"),
        ("\u0131u\u00dfdt", "\u0131U\u00dfDT"),  # str.upper() would make other symbols of these
    ],
)
def test_only_ascii_letters_change_their_case(text: str, symbol: str) -> None:
    assert venues.parse_symbol(text, SPOT) == symbol


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "BTC USDT",
        "BTCUSDT ",
        "\tBTCUSDT",
        "BTC\u00a0USDT",
        "BTC\u3000USDT",
        "BTC\u200bUSDT",
        "BTC\u202eUSDT",
        "BTC@USDT",
        "BTC/USDT",
        "BTCUSDT?",
        "BTC#USDT",
        "BTC&limit=5",
        "BTC=USDT",
        "BTC%20",
        'BTC"USDT',
        "BTC'USDT",
        "BTC“USDT",
        "BTC\\USDT",
        "BTC\x00USDT",
        "BTC\x7fUSDT",
        "BTC\ud800USDT",
        "BTC,USDT",
        "B" * 41,
        "B" * 1_000_000,
        "_-" * 1_000_000,
        "-",
        "_",
        "-_-",
        "\u0301",
        "\u0301BTCUSDT",
        "\U0001f680",
        "\u3164",
        "BTC\u115fUSDT",
        None,
        7,
        b"BTCUSDT",
        ["BTCUSDT"],
    ],
)
def test_what_cannot_be_a_symbol_is_refused_by_name_with_what_is_allowed(text: object) -> None:
    with pytest.raises(InvalidArgument) as caught:
        venues.parse_symbol(text, SPOT)  # type: ignore[arg-type]
    assert (caught.value.name, caught.value.value) == ("symbol", text)
    assert "letters and digits" in str(caught.value)


def test_the_turkish_spelling_with_a_separator_is_accepted_there() -> None:
    assert venues.parse_symbol("BTC_usdt", TURKEY) == "BTCUSDT"
    assert venues.parse_symbol("BTC_USDT", SPOT) == "BTC_USDT"


def test_separators_alone_are_no_symbol() -> None:
    with pytest.raises(InvalidArgument):
        venues.parse_symbol("__", TURKEY)


@given(st.text(max_size=45))
def test_whatever_passes_is_stable_and_safe_in_urls_and_stream_names(text: str) -> None:
    try:
        symbol = venues.parse_symbol(text, SPOT)
    except InvalidArgument:
        return
    assert venues.parse_symbol(symbol, SPOT) == symbol
    assert not set(symbol) & set(" @/?#&=%\"'\\,:;<>{}[]()|^`~!$*+.\n\r\t\x00")
    assert not any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zs"} for character in symbol)
    assert quote(symbol, safe="").isascii()
    assert symbol.encode("utf-8")


@pytest.mark.parametrize("name", venues.names())
@pytest.mark.parametrize(
    ("text", "symbol", "stream"),
    [
        ("btc-261225-126000-c", "BTC-261225-126000-C", "btc-261225-126000-c"),
        ("1000pepe-261225-5-P", "1000PEPE-261225-5-P", "1000pepe-261225-5-p"),
        ("币安人生-261225-1-C", "币安人生-261225-1-C", "币安人生-261225-1-c"),
        ("ÀİUSDT-1", "ÀİUSDT-1", "Àİusdt-1"),
    ],
)
def test_dashes_leading_digits_and_other_scripts_pass_everywhere(
    name: str, text: str, symbol: str, stream: str
) -> None:
    venue = venues.venue(name)
    assert venues.parse_symbol(text, venue) == symbol
    assert venue.stream(symbol).partition("@")[0] == stream
