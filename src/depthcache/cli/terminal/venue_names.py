"""Short words for a narrow screen: what an exchange trades, and what the sizes of a book count. Pure."""

from __future__ import annotations

from functools import lru_cache

from depthcache import venues
from depthcache.errors import UnknownExchange

__all__ = ["unit_of", "venue_word"]

_FAMILIES = {"spot": "spot", "linear": "USD-M", "inverse": "COIN-M", "options": "options"}
_SPOT_KINDS = {
    "-data": "spot data",
    "-margin": "margin",
    "-isolated_margin": "isolated margin",
}
_PLACES = {"binance.us": "spot US", "trbinance.com": "spot TR"}
_ENVIRONMENTS = {"production": "", "testnet": "testnet", "demo": "demo"}
_QUOTES = (
    "FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USD1", "BIDR", "IDRT", "EURI", "DAI", "USD", "EUR", "TRY",
    "BRL", "JPY", "GBP", "AUD", "ARS", "COP", "CZK", "MXN", "PLN", "RON", "UAH", "ZAR", "BTC", "ETH", "BNB",
    "XRP", "TRX", "DOGE",
)  # fmt: skip


@lru_cache(maxsize=256)
def venue_word(exchange: str) -> str:
    """`spot`, `USD-M`, `COIN-M` or `options`, with the testnet, demo or country if there is one. Unique per
    exchange."""
    try:
        venue = venues.venue(exchange)
    except UnknownExchange:
        return exchange
    if venue.name in _PLACES:
        return _PLACES[venue.name]
    environment = _ENVIRONMENTS[venue.environment]
    kind = venue.name.removeprefix("binance.com").removesuffix(f"-{environment}")
    word = _SPOT_KINDS.get(kind, _FAMILIES[venue.family])
    return f"{word} {environment}" if environment else word


@lru_cache(maxsize=4_096)
def unit_of(exchange: str, symbol: str) -> str:
    """The base asset if the symbol names it, otherwise `base`; `contracts` on COIN-M and options."""
    try:
        family = venues.venue(exchange).family
    except UnknownExchange:
        return "base"
    if family in ("inverse", "options"):
        return "contracts"
    pair, _, rest = symbol.partition("_")
    if rest and not rest.isdigit():
        return pair
    return next((base for quote in _QUOTES if (base := pair.removesuffix(quote)) not in ("", pair)), "base")
