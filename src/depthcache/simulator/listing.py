"""The listed symbols of a simulated exchange, and their trading status.

exchangeInfo has the keys and values of 2026 (spot docs 2026-07-21, futures docs 2026-05-28; options SDK
8.7.0, 2026-11) that other clients need. Venues with the same books share one list: margin and data-only hosts
have that of spot.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

from depthcache import venues
from depthcache.arguments import parse_whole
from depthcache.errors import InvalidArgument
from depthcache.simulator.market import decimal_text
from depthcache.simulator.profiles import PROFILES, Profile, profile_of
from depthcache.venues import Family, Venue

__all__ = [
    "ListedSymbol",
    "check_status",
    "check_symbols",
    "check_tick",
    "exchange_info",
    "leader",
    "leaders",
    "profiles",
]

_FAR_FUTURE_MS = 4_133_404_800_000
_LISTED_MS = 1_569_398_400_000
_STATUS = re.compile(r"[A-Z]+(_[A-Z]+)*")
_STILL = frozenset({"BREAK", "PENDING_TRADING", "SETTLING", "DELIVERED", "CLOSE"})
"""Statuses without market data. A BREAK has none, but a HALT has (spot docs, glossary, 2026-07-21). For
futures markets before they open and after they are settled, it is an assumption."""


@dataclass(slots=True, eq=False)
class ListedSymbol:
    """One listed symbol."""

    profile: Profile
    status: str = "TRADING"

    @property
    def is_still(self) -> bool:
        """Whether the market of the symbol does not move."""
        return self.status in _STILL


def leader(venue: Venue) -> str:
    """The first of the venues with the same books, which are those with the same family and weight pool."""
    every = map(venues.venue, venues.names())
    kind = (venue.family, venue.weight_pool)
    return next(each.name for each in every if (each.family, each.weight_pool) == kind)


def leaders() -> tuple[str, ...]:
    """The leaders of all production venues."""
    every = map(venues.venue, venues.names())
    return tuple(
        each.name for each in every if each.environment == "production" and leader(each) == each.name
    )


def profiles(
    kind: Family, given: Iterable[str] | Mapping[str, Profile], *, usual: bool
) -> dict[str, Profile]:
    """The symbols of one venue with their profiles: the given ones, or the usual ones."""
    if usual:
        return dict(PROFILES[kind])
    if isinstance(given, Mapping):
        return dict(cast("Mapping[str, Profile]", given))
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise _unusable(given)
    return {symbol: profile_of(kind, symbol) for symbol in given}


def check_symbols(
    symbols: Mapping[str, Iterable[str] | Mapping[str, Profile]],
) -> Mapping[str, Iterable[str] | Mapping[str, Profile]]:
    """The symbols of a simulated exchange by exchange name, checked. Raises InvalidArgument."""
    if not isinstance(symbols, Mapping):
        raise _unusable(symbols)
    return symbols


def _unusable(symbols: object) -> InvalidArgument:
    allowed = "a mapping of exchange names to symbols, such as {'binance.com': ['BTCUSDT']}"
    return InvalidArgument(name="symbols", value=symbols, allowed=allowed)


def check_status(status: str) -> str:
    """A status of exchangeInfo, checked by its form: their set is open (futures docs, 2026-05-28)."""
    if not isinstance(status, str) or _STATUS.fullmatch(status) is None:
        allowed = "a word in upper case such as TRADING, HALT, BREAK, CANCEL_ONLY or SETTLING"
        raise InvalidArgument(name="status", value=status, allowed=allowed)
    return status


def check_tick(tick: int, profile: Profile) -> Profile:
    """The profile with another tick."""
    most, unit = profile.start_price - 1, decimal_text(1, profile.price_decimals)
    allowed = f"1 to {most}, in units of {unit} {profile.quote}"
    return replace(profile, tick=parse_whole(tick, name="tick", allowed=allowed, least=1, most=most))


def exchange_info(
    venue: Venue, symbols: Mapping[str, ListedSymbol], time_ms: int, *, permissions: bool = True
) -> dict[str, object]:
    """The body of exchangeInfo. `permissions`: whether spot fills in permissionSets."""
    kind = venue.family
    weight: dict[str, object] = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1}
    info: dict[str, object] = {
        "timezone": "UTC",
        "serverTime": time_ms,
        "rateLimits": [weight | {"limit": venue.weight_per_minute}, *_ORDER_LIMITS[kind]],
    }
    rows = [_row(kind, name, each.profile, permissions=permissions) for name, each in symbols.items()]
    for row, each in zip(rows, symbols.values(), strict=True):
        row[venue.status_key] = each.status
    if kind == "options":
        return info | {"optionContracts": [], "optionAssets": [], venue.listing_key: rows}
    info["exchangeFilters"] = []
    if kind == "linear":
        quotes = dict.fromkeys(each.profile.quote for each in symbols.values())
        assets = [
            {"asset": quote, "marginAvailable": True, "autoAssetExchange": "-10000"} for quote in quotes
        ]
        info |= {"futuresType": "U_MARGINED", "assets": assets}
    return info | {venue.listing_key: rows}


def _row(kind: Family, name: str, profile: Profile, *, permissions: bool) -> dict[str, object]:
    row: dict[str, object] = {"symbol": name, "status": "TRADING", "baseAsset": profile.base}
    row |= {"quoteAsset": profile.quote, "filters": _filters(kind, profile), "baseAssetPrecision": 8}
    if kind == "spot":
        return row | _spot(permissions=permissions)
    if kind == "options":
        return _option(name, profile) | {"filters": row["filters"]}
    row |= _contract(name, profile)
    if kind == "linear":
        row["settlePlan"] = 0
    if kind == "inverse":
        del row["status"]  # contractStatus instead (futures docs, 2026-05-28)
        size = 100 if profile.base == "BTC" else 10  # USD a contract
        row |= {"contractStatus": "TRADING", "contractSize": size, "equalQtyPrecision": 4}
        row |= {"marginAsset": profile.base, "liquidationFee": "0.015000"}
    return row


_ORDER_LIMITS: Mapping[Family, list[dict[str, object]]] = {
    "spot": [
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
        {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 200_000},
        {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 61_000},
    ],
    "linear": [
        {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1_200},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300},
    ],
    "inverse": [{"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1_200}],
    "options": [],
}
"""Spot docs 2026-07-21, futures docs 2026-05-28."""


def _filters(kind: Family, profile: Profile) -> list[dict[str, object]]:
    """The filters of prices and quantities, with the tick and step of the market."""
    tick = decimal_text(profile.tick, profile.price_decimals)
    most = 10_000 * profile.start_price
    step = decimal_text(profile.quantity_step, profile.quantity_decimals)
    lots = {"minQty": step, "stepSize": step}
    lots["maxQty"] = decimal_text(9_000 * 10**profile.quantity_decimals, profile.quantity_decimals)
    prices = {"minPrice": tick, "tickSize": tick}
    prices["maxPrice"] = decimal_text(most - most % profile.tick, profile.price_decimals)
    filters: list[dict[str, object]] = [
        {"filterType": "PRICE_FILTER", **prices},
        {"filterType": "LOT_SIZE", **lots},
    ]
    if kind == "options":
        return filters
    filters.append({"filterType": "MARKET_LOT_SIZE", **lots})
    if kind == "spot":
        sides: dict[str, object] = {"bidMultiplierUp": "5", "bidMultiplierDown": "0.2"}
        sides |= {"askMultiplierUp": "5", "askMultiplierDown": "0.2"}
        trailing: dict[str, object] = {"minTrailingAboveDelta": 10, "maxTrailingAboveDelta": 2_000}
        trailing |= {"minTrailingBelowDelta": 10, "maxTrailingBelowDelta": 2_000}
        notional: dict[str, object] = {"minNotional": "5.00000000", "applyMinToMarket": True}
        notional |= {"maxNotional": "9000000.00000000", "applyMaxToMarket": False}
        return [
            *filters,
            {"filterType": "ICEBERG_PARTS", "limit": 10},
            {"filterType": "TRAILING_DELTA", **trailing},
            {"filterType": "PERCENT_PRICE_BY_SIDE", **sides, "avgPriceMins": 5},
            {"filterType": "NOTIONAL", **notional, "avgPriceMins": 5},
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
        ]
    percent = {"multiplierUp": "1.0500", "multiplierDown": "0.9500", "multiplierDecimal": "4"}
    filters.append({"filterType": "MAX_NUM_ORDERS", "limit": 200})
    filters.append({"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 10})
    filters.append({"filterType": "PERCENT_PRICE", **percent})
    if kind == "linear":
        filters.append({"filterType": "MIN_NOTIONAL", "notional": "5"})
    return filters


_ALLOWED_ON_SPOT = (
    "icebergAllowed",
    "ocoAllowed",
    "otoAllowed",
    "opoAllowed",
    "quoteOrderQtyMarketAllowed",
    "allowTrailingStop",
    "cancelReplaceAllowed",
    "amendAllowed",
    "pegInstructionsAllowed",
)


def _spot(*, permissions: bool) -> dict[str, object]:
    row: dict[str, object] = {"quotePrecision": 8, "quoteAssetPrecision": 8}
    row |= {"baseCommissionPrecision": 8, "quoteCommissionPrecision": 8}
    stops = ["STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"]
    row["orderTypes"] = ["LIMIT", "LIMIT_MAKER", "MARKET", *stops]
    row |= dict.fromkeys(_ALLOWED_ON_SPOT, True)
    row |= {"isSpotTradingAllowed": True, "isMarginTradingAllowed": False, "permissions": ["SPOT"]}
    row |= {"permissionSets": [["SPOT"]] if permissions else []}
    row["defaultSelfTradePreventionMode"] = "EXPIRE_MAKER"
    row["allowedSelfTradePreventionModes"] = ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT"]
    return row


def _contract(name: str, profile: Profile) -> dict[str, object]:
    """`BTCUSDT` and `BTCUSD_PERP` are perpetual; `BTCUSDT_261225` is delivered on that day at 08:00 UTC."""
    pair, _, day = name.partition("_")
    delivery_ms = _delivery_ms(day)
    row: dict[str, object] = {"pair": pair, "onboardDate": _LISTED_MS}
    row["contractType"] = "PERPETUAL" if delivery_ms is None else "CURRENT_QUARTER"
    row["deliveryDate"] = _FAR_FUTURE_MS if delivery_ms is None else delivery_ms
    row |= {"maintMarginPercent": "2.5000", "requiredMarginPercent": "5.0000"}
    row |= {"marginAsset": profile.quote, "quotePrecision": 8}
    row |= {"pricePrecision": profile.price_decimals, "quantityPrecision": profile.quantity_decimals}
    row |= {"underlyingType": "COIN", "underlyingSubType": ["PoW"] if profile.base == "BTC" else []}
    row |= {"triggerProtect": "0.0500", "liquidationFee": "0.012500", "marketTakeBound": "0.05"}
    stops = ["STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"]
    row["orderTypes"] = ["LIMIT", "MARKET", *stops]
    return row | {"timeInForce": ["GTC", "IOC", "FOK", "GTX"]}


def _delivery_ms(day: str) -> int | None:
    """08:00 UTC of the day in a contract's name in milliseconds since 1970; None if it is not a date."""
    try:
        at = datetime.strptime(f"{day} 08 +0000", "%y%m%d %H %z")
    except ValueError:
        return None
    return round(at.timestamp() * 1_000)


def _option(name: str, profile: Profile) -> dict[str, object]:
    """`BTC-261225-126000-C`: underlying, day of expiry, strike, call or put."""
    parts = [*name.split("-"), "", "", ""]
    return {
        "symbol": name,
        "status": "TRADING",
        "side": "PUT" if parts[3] == "P" else "CALL",
        "strikePrice": parts[2],
        "underlying": profile.base + profile.quote,
        "quoteAsset": profile.quote,
        "expiryDate": _FAR_FUTURE_MS,
        "unit": 1,
        "priceScale": profile.price_decimals,
        "quantityScale": profile.quantity_decimals,
    }
