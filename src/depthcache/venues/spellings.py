"""Translate symbols of other tools to the exchange name and symbol of Binance, for suggestions in errors.

Known spellings: TradingView (`BINANCE:BTCUSDT.P`), nautilus (`BTCUSDT-PERP.BINANCE`), ccxt (`BTC/USDT:USDT`),
cryptofeed (`BTC-USDT-PERP`), stream names (`btcusdt@depth`), and symbols of another family (as of 2026-11).
`symbols` defines which characters a symbol may have.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from depthcache.venues.registry import of_family
from depthcache.venues.venue import Family, Venue

__all__ = ["meant"]

_NAME = r"([^\W_]+)"
_SEPARATOR = r"[/_.: -]"
_BARE = re.compile(_NAME)
_STREAM = re.compile(r"@(?:DEPTH|BOOKTICKER|AGGTRADE|TRADE|KLINE|TICKER|MINITICKER|MARKPRICE|AVGPRICE).*")
_LONGEST = 160

Meant: TypeAlias = tuple[Family, str]
"""Family and symbol."""


def meant(text: str, venue: Venue) -> tuple[str, str] | None:
    """The exchange name and symbol that a text means; None if it means itself, or nothing known."""
    if len(text) > _LONGEST or _BARE.fullmatch(text):
        return None
    plain = _unwrapped(text.strip().upper())
    for pattern, make in _SPELLINGS:
        match = pattern.fullmatch(plain)
        found = None if match is None else make(*match.groups(), venue.family)
        if found is not None:
            exchange, symbol = _exchange(found[0], venue), found[1]
            return None if (exchange, symbol) == (venue.name, text) else (exchange, symbol)
    return None


def _unwrapped(text: str) -> str:
    """The text without Binance as prefix or suffix, and without the suffix of a stream name."""
    text = re.sub(r"^BINANCE(?:US|USDM|COINM)?:", "", _STREAM.sub("", text))
    return re.sub(r"\.BINANCE(?:_?US)?$", "", text)


def _option(base: str, date: str, strike: str, kind: str, _family: Family) -> Meant:
    return "options", f"{base}-{date}-{strike}-{kind}"


def _settled_option(
    base: str, _quote: str, _settle: str, date: str, strike: str, kind: str, _family: Family
) -> Meant:
    return "options", f"{base}-{date}-{strike}-{kind}"


def _settled(base: str, quote: str, settle: str, date: str | None, _family: Family) -> Meant | None:
    if settle == base:
        return "inverse", f"{base}{quote}_{date or 'PERP'}"
    if settle == quote:
        return "linear", f"{base}{quote}_{date}" if date else f"{base}{quote}"
    return None


def _perpetual(pair: str, _family: Family) -> Meant:
    symbol = re.sub(_SEPARATOR, "", pair)
    return ("inverse", f"{symbol}_PERP") if symbol.endswith("USD") else ("linear", symbol)


def _dated(pair: str, date: str, _family: Family) -> Meant:
    symbol = re.sub(_SEPARATOR, "", pair)
    return ("inverse" if symbol.endswith("USD") else "linear"), f"{symbol}_{date}"


def _pair(base: str, quote: str, family: Family) -> Meant:
    return _alone(base + quote, family)


def _alone(symbol: str, family: Family) -> Meant:
    """A symbol that may be spot or USD-M: that of the requested family, if it can have it."""
    if family == "inverse" and symbol.endswith("USD"):
        return "inverse", f"{symbol}_PERP"
    return (family if family in ("spot", "linear") else "spot"), symbol


_SPELLINGS: tuple[tuple[re.Pattern[str], Callable[..., Meant | None]], ...] = (
    (re.compile(rf"{_NAME}-(\d{{6}})-(\d+(?:\.\d+)?)-([CP])"), _option),
    (re.compile(rf"{_NAME}/{_NAME}:{_NAME}-(\d{{6}})-(\d+(?:\.\d+)?)-([CP])"), _settled_option),
    (re.compile(rf"{_NAME}/{_NAME}:{_NAME}(?:-(\d{{6}}))?"), _settled),
    (re.compile(rf"({_NAME[1:-1]}(?:{_SEPARATOR}{_NAME[1:-1]})?)(?:\.P|{_SEPARATOR}PERP)"), _perpetual),
    (re.compile(rf"({_NAME[1:-1]}(?:{_SEPARATOR}{_NAME[1:-1]})?)[_-](\d{{6}})"), _dated),
    (re.compile(rf"{_NAME}{_SEPARATOR}{_NAME}"), _pair),
    (_BARE, _alone),
)


def _exchange(family: Family, venue: Venue) -> str:
    """The exchange name of a family in the environment of a venue, or the closest one to it."""
    if family == venue.family:
        return venue.name
    return of_family(
        family, venue.environment, "testnet" if venue.environment == "demo" else "production"
    ).name
