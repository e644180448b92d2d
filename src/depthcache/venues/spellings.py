"""Symbols as other tools write them: which exchange name and symbol of Binance they mean.

TradingView (`BINANCE:BTCUSDT.P`), nautilus (`BTCUSDT-PERP.BINANCE`), ccxt (`BTC/USDT:USDT`), cryptofeed
(`BTC-USDT-PERP`), stream names (`btcusdt@depth`), and symbols of one family asked of another. Spellings are
those of 2026-11. Not here: whether a symbol exists, and what is allowed in one (`symbols`).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from depthcache.venues.venue import Venue

__all__ = ["meant"]

_SPOT, _USDM, _COINM, _OPTIONS = "", "-futures", "-coin_futures", "-vanilla-options"
_NAME = r"([^\W_]+)"
_SEPARATOR = r"[/_.: -]"
_BARE = re.compile(_NAME)
_STREAM = re.compile(r"@(?:DEPTH|BOOKTICKER|AGGTRADE|TRADE|KLINE|TICKER|MINITICKER|MARKPRICE|AVGPRICE).*")
_LONGEST = 160

Meant = tuple[str, str]
"""Family and symbol."""


def meant(text: str, venue: Venue) -> tuple[str, str] | None:
    """The exchange name and the symbol that a text means; None where it says so itself, and for riddles."""
    if len(text) > _LONGEST or _BARE.fullmatch(text):
        return None
    plain = _unwrapped(text.strip().upper())
    for pattern, make in _SPELLINGS:
        match = pattern.fullmatch(plain)
        found = None if match is None else make(*match.groups(), _family(venue))
        if found is not None:
            exchange, symbol = _exchange(found[0], venue), found[1]
            return None if (exchange, symbol) == (venue.name, text) else (exchange, symbol)
    return None


def _unwrapped(text: str) -> str:
    """Without the marks of Binance itself, and without what names a stream."""
    text = re.sub(r"^BINANCE(?:US|USDM|COINM)?:", "", _STREAM.sub("", text))
    return re.sub(r"\.BINANCE(?:_?US)?$", "", text)


def _option(base: str, date: str, strike: str, kind: str, _family: str) -> Meant:
    return _OPTIONS, f"{base}-{date}-{strike}-{kind}"


def _settled_option(
    base: str, _quote: str, _settle: str, date: str, strike: str, kind: str, _family: str
) -> Meant:
    return _OPTIONS, f"{base}-{date}-{strike}-{kind}"


def _settled(base: str, quote: str, settle: str, date: str | None, _family: str) -> Meant | None:
    if settle == base:
        return _COINM, f"{base}{quote}_{date or 'PERP'}"
    if settle == quote:
        return _USDM, f"{base}{quote}_{date}" if date else f"{base}{quote}"
    return None


def _perpetual(pair: str, _family: str) -> Meant:
    symbol = re.sub(_SEPARATOR, "", pair)
    return (_COINM, f"{symbol}_PERP") if symbol.endswith("USD") else (_USDM, symbol)


def _dated(pair: str, date: str, _family: str) -> Meant:
    symbol = re.sub(_SEPARATOR, "", pair)
    return (_COINM if symbol.endswith("USD") else _USDM), f"{symbol}_{date}"


def _pair(base: str, quote: str, family: str) -> Meant:
    return _alone(base + quote, family)


def _alone(symbol: str, family: str) -> Meant:
    """A symbol that may be spot or USD-M: where it was asked for, unless it cannot be there."""
    if family == _COINM and symbol.endswith("USD"):
        return _COINM, f"{symbol}_PERP"
    return (family if family in (_SPOT, _USDM) else _SPOT), symbol


_SPELLINGS: tuple[tuple[re.Pattern[str], Callable[..., Meant | None]], ...] = (
    (re.compile(rf"{_NAME}-(\d{{6}})-(\d+(?:\.\d+)?)-([CP])"), _option),
    (re.compile(rf"{_NAME}/{_NAME}:{_NAME}-(\d{{6}})-(\d+(?:\.\d+)?)-([CP])"), _settled_option),
    (re.compile(rf"{_NAME}/{_NAME}:{_NAME}(?:-(\d{{6}}))?"), _settled),
    (re.compile(rf"({_NAME[1:-1]}(?:{_SEPARATOR}{_NAME[1:-1]})?)(?:\.P|{_SEPARATOR}PERP)"), _perpetual),
    (re.compile(rf"({_NAME[1:-1]}(?:{_SEPARATOR}{_NAME[1:-1]})?)[_-](\d{{6}})"), _dated),
    (re.compile(rf"{_NAME}{_SEPARATOR}{_NAME}"), _pair),
    (_BARE, _alone),
)


def _family(venue: Venue) -> str:
    return next((family for family in (_USDM, _COINM, _OPTIONS) if family in venue.name), _SPOT)


def _exchange(family: str, venue: Venue) -> str:
    """The exchange name of a family, in the same testnet or demo as a venue."""
    if family == _family(venue):
        return venue.name
    place = next((place for place in ("-testnet", "-demo") if venue.name.endswith(place)), "")
    if family == _OPTIONS and place == "-demo":
        place = "-testnet"
    return f"binance.com{family}{place}"
