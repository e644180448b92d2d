"""Normalise symbols from users to the exchange's spelling, once, at the edge of the package.

An impossible symbol is refused before it reaches a URL or a subscription. Only the exchange knows whether a
possible one exists.
"""

from __future__ import annotations

import unicodedata

from depthcache.errors import InvalidArgument
from depthcache.venues.spellings import meant
from depthcache.venues.venue import Venue

__all__ = ["parse_symbol"]

_LONGEST = 40
"""Most characters of a symbol. The longest in use are options such as BTC-251123-126000-C (19 characters;
options docs, 2025-11)."""

_LONGEST_TEXT = 4 * _LONGEST
"""Most characters including separators that a venue leaves out; longer texts are refused unseen."""
_INVISIBLE = frozenset("\u115f\u1160\u17b4\u17b5\u3164\uffa0")
"""Invisible letters and marks: Hangul fillers, inherent vowels of Khmer."""

_UPPER = {lower: lower - 32 for lower in range(ord("a"), ord("z") + 1)}
_PUNCTUATION = frozenset("_-")
_ALLOWED = (
    f"1 to {_LONGEST} letters and digits of any script, '_' and '-', without spaces, "
    "such as 'BTCUSDT', '1000PEPEUSDT' or 'BTCUSD_PERP'"
)


def parse_symbol(text: str, venue: Venue) -> str:
    """The symbol as the venue spells it: ASCII letters in upper case, all others unchanged.

    Letters and digits of any script are allowed, because Binance has symbols such as 币安人生USDT (USD-M
    change log, 2025-10-09; spot change log, 2025-12). Raises InvalidArgument with the text and what is
    allowed.
    """
    if not isinstance(text, str) or len(text) > _LONGEST_TEXT:
        raise InvalidArgument(name="symbol", value=text, allowed=_ALLOWED)
    symbol = text.translate(_UPPER)
    if not all(map(_may_stand_in_symbol, symbol)) and (found := meant(symbol, venue)):
        raise InvalidArgument(name="symbol", value=text, allowed=_ALLOWED + _hint(*found, venue))
    for separator in venue.symbol_separators:
        symbol = symbol.replace(separator, "")
    if not 1 <= len(symbol) <= _LONGEST or not all(map(_may_stand_in_symbol, symbol)):
        raise InvalidArgument(name="symbol", value=text, allowed=_ALLOWED + _meant(symbol))
    if not any(map(str.isalnum, symbol)) or unicodedata.category(symbol[0])[0] == "M":
        allowed = f"{_ALLOWED}; at least one letter or digit"
        raise InvalidArgument(name="symbol", value=text, allowed=allowed)
    return symbol


def _hint(exchange: str, symbol: str, venue: Venue) -> str:
    where = "" if exchange == venue.name else f" on {exchange!r}"
    return f"; did you mean {symbol!r}{where}?"


def _meant(symbol: str) -> str:
    """A suggestion for a symbol with spaces, quotes or punctuation around it; else empty."""
    plain = symbol.strip(" \t\n?!\"'`,;.")
    fits = plain and symbol.isascii() and len(plain) <= _LONGEST and all(map(_may_stand_in_symbol, plain))
    return f"; did you mean {plain!r}?" if fits else ""


def _may_stand_in_symbol(character: str) -> bool:
    if character.isascii():
        return character.isalnum() or character in _PUNCTUATION
    # Letters, marks, numbers and symbols such as emoji; no separators, punctuation, controls or surrogates.
    return unicodedata.category(character)[0] in "LMNS" and character not in _INVISIBLE
