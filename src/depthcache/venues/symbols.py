"""Symbols as users write them, made into symbols as the exchange spells them, once, at the edge.

Not here: whether a symbol exists; only the exchange knows that. What cannot be a symbol is refused
before it reaches a URL or a subscription.
"""

from __future__ import annotations

import unicodedata

from depthcache.errors import InvalidArgument
from depthcache.venues.spellings import meant
from depthcache.venues.venue import Venue

__all__ = ["parse_symbol"]

_LONGEST = 40
"""Characters. The longest live names are options such as BTC-251123-126000-C (19; Binance options
documentation, 2025-11); the rest is room."""

_LONGEST_TEXT = 4 * _LONGEST
"""With separators that a venue leaves out; what is longer is not even looked at."""
_INVISIBLE = frozenset("\u115f\u1160\u17b4\u17b5\u3164\uffa0")
"""Letters and marks that show nothing: fillers of Hangul, inherent vowels of Khmer."""

_UPPER = {lower: lower - 32 for lower in range(ord("a"), ord("z") + 1)}
_PUNCTUATION = frozenset("_-")
_ALLOWED = (
    f"1 to {_LONGEST} letters and digits of any script, '_' and '-', without spaces, "
    "such as 'BTCUSDT', '1000PEPEUSDT' or 'BTCUSD_PERP'"
)


def parse_symbol(text: str, venue: Venue) -> str:
    """The symbol as the venue spells it: ASCII letters in capitals, everything else as it is.

    Binance has symbols such as 币安人生USDT (USD-M change log, 2025-10-09; spot change log,
    2025-12), so letters and digits of any script pass and their case is not touched. Raises
    InvalidArgument naming the text and what is allowed.
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
        raise InvalidArgument(name="symbol", value=text, allowed=f"{_ALLOWED}; one letter or digit is needed")
    return symbol


def _hint(exchange: str, symbol: str, venue: Venue) -> str:
    where = "" if exchange == venue.name else f" on {exchange!r}"
    return f"; did you mean {symbol!r}{where}?"


def _meant(symbol: str) -> str:
    """What is a symbol but for marks around it, such as spaces or quotes."""
    plain = symbol.strip(" \t\n?!\"'`,;.")
    fits = plain and symbol.isascii() and len(plain) <= _LONGEST and all(map(_may_stand_in_symbol, plain))
    return f"; did you mean {plain!r}?" if fits else ""


def _may_stand_in_symbol(character: str) -> bool:
    if character.isascii():
        return character.isalnum() or character in _PUNCTUATION
    # Letters, marks, numbers and pictures; no separators, punctuation, controls or surrogates.
    return unicodedata.category(character)[0] in "LMNS" and character not in _INVISIBLE
