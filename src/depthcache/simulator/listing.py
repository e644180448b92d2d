"""exchangeInfo: what an invented exchange lists, with the keys that clients read.

Keys and words as in the answers of 2026 (spot docs 2026-07-21, futures docs 2026-05-28); what no client of
an order book reads is left out. Not here: which symbols there are (`exchange`).
"""

from __future__ import annotations

from collections.abc import Mapping

from depthcache.simulator.market import decimal_text
from depthcache.simulator.profiles import Profile
from depthcache.simulator.streams import family
from depthcache.venues import Venue

__all__ = ["exchange_info"]

_FAR_FUTURE_MS = 4_133_404_800_000
_LISTED_MS = 1_569_398_400_000


def exchange_info(
    venue: Venue, symbols: Mapping[str, Profile], time_ms: int, *, statuses: Mapping[str, str]
) -> dict[str, object]:
    """The answer as a value. `statuses`: of symbols that do not simply trade."""
    weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1}
    info: dict[str, object] = {
        "timezone": "UTC",
        "serverTime": time_ms,
        "rateLimits": [weight | {"limit": venue.weight_per_minute}],
        "exchangeFilters": [],
    }
    if family(venue) == "usdm":
        info["futuresType"] = "U_MARGINED"
    rows = [
        _row(family(venue), name, profile, statuses.get(name, "TRADING")) for name, profile in symbols.items()
    ]
    return info | {"assets": [], venue.listing_key: rows}


def _row(kind: str, name: str, profile: Profile, status: str) -> dict[str, object]:
    tick = decimal_text(profile.tick, profile.price_decimals)
    step = decimal_text(1, profile.quantity_decimals)
    filters = [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "9000.00000000", "stepSize": step},
        {"filterType": "MIN_NOTIONAL", "minNotional": "5.00000000", "notional": "5"},
    ]
    row: dict[str, object] = {"symbol": name, "status": status, "baseAsset": profile.base}
    row |= {"quoteAsset": profile.quote, "filters": filters, "orderTypes": ["LIMIT", "MARKET"]}
    if kind == "spot":
        row |= {"baseAssetPrecision": 8, "quotePrecision": 8, "quoteAssetPrecision": 8}
        row |= {"isSpotTradingAllowed": True, "isMarginTradingAllowed": False, "permissions": ["SPOT"]}
        return row | {"permissionSets": [["SPOT"]]}
    row |= {"pair": name.partition("_")[0], "contractType": "PERPETUAL", "marginAsset": profile.quote}
    row |= {"deliveryDate": _FAR_FUTURE_MS, "onboardDate": _LISTED_MS, "underlyingType": "COIN"}
    row |= {"pricePrecision": profile.price_decimals, "quantityPrecision": profile.quantity_decimals}
    row |= {"baseAssetPrecision": 8, "quotePrecision": 8}
    if kind == "coinm":
        row |= {"contractStatus": status, "contractSize": 100, "marginAsset": profile.base}
    return row
