"""What an invented exchange lists, and the phases its markets go through.

exchangeInfo has the keys and words of 2026 (spot docs 2026-07-21, futures docs 2026-05-28; options SDK
8.7.0, 2026-11), without what no client of an order book reads. Venues with the same books (margin and
data-only hosts have those of spot) share one list. Not here: how markets move (`market`), who is told
(`exchange`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import cast

from depthcache import venues
from depthcache.arguments import parse_whole
from depthcache.errors import InvalidArgument
from depthcache.simulator.market import decimal_text
from depthcache.simulator.profiles import PROFILES, Profile, profile_of
from depthcache.simulator.streams import family
from depthcache.venues import Venue

__all__ = ["Listed", "check_status", "check_tick", "exchange_info", "leader", "profiles"]

_FAR_FUTURE_MS = 4_133_404_800_000
_LISTED_MS = 1_569_398_400_000
_STATUS = re.compile(r"[A-Z]+(_[A-Z]+)*")
_STILL = frozenset({"BREAK", "PENDING_TRADING", "SETTLING", "DELIVERED", "CLOSE"})
"""In a BREAK no market data is generated, in a HALT it is (spot docs, glossary, 2026-07-21); that nothing
moves before a futures market opens and once it is settled is assumed."""


@dataclass(slots=True, eq=False)
class Listed:
    """One listed symbol."""

    profile: Profile
    status: str = "TRADING"

    @property
    def is_still(self) -> bool:
        """Whether the market of a symbol in this phase does not move."""
        return self.status in _STILL


def leader(venue: Venue) -> str:
    """The first of the venues that have the same books: those of one family with one weight budget."""
    every = map(venues.venue, venues.names())
    kind = (family(venue), venue.weight_pool)
    return next(each.name for each in every if (family(each), each.weight_pool) == kind)


def profiles(kind: str, given: Iterable[str] | Mapping[str, Profile], *, usual: bool) -> dict[str, Profile]:
    """The symbols of one venue: the usual ones, or the given ones with the profiles they trade by."""
    if usual:
        return dict(PROFILES[kind])
    if isinstance(given, Mapping):
        return dict(cast("Mapping[str, Profile]", given))
    return {symbol: profile_of(kind, symbol) for symbol in given}


def check_status(status: str) -> str:
    """A status as exchangeInfo tells it. Which there are is open (futures docs, 2026-05-28)."""
    if not isinstance(status, str) or _STATUS.fullmatch(status) is None:
        allowed = "a word in capitals such as TRADING, HALT, BREAK, CANCEL_ONLY or SETTLING"
        raise InvalidArgument(name="status", value=status, allowed=allowed)
    return status


def check_tick(tick: int, profile: Profile) -> Profile:
    """The profile with another tick."""
    most, unit = profile.start_price - 1, decimal_text(1, profile.price_decimals)
    allowed = f"1 to {most}, in units of {unit} {profile.quote}"
    return replace(profile, tick=parse_whole(tick, name="tick", allowed=allowed, least=1, most=most))


def exchange_info(
    venue: Venue, symbols: Mapping[str, Listed], time_ms: int, *, permissions: bool = True
) -> dict[str, object]:
    """The answer as a value. `permissions`: whether spot fills in permissionSets."""
    kind = family(venue)
    weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1}
    info: dict[str, object] = {
        "timezone": "UTC",
        "serverTime": time_ms,
        "rateLimits": [weight | {"limit": venue.weight_per_minute}],
    }
    rows = [_row(kind, name, each.profile, permissions=permissions) for name, each in symbols.items()]
    for row, each in zip(rows, symbols.values(), strict=True):
        row[venue.status_key] = each.status
    if kind == "options":
        return info | {"optionContracts": [], "optionAssets": [], venue.listing_key: rows}
    info["exchangeFilters"] = []
    if kind == "usdm":
        info["futuresType"] = "U_MARGINED"
    return info | {"assets": [], venue.listing_key: rows}


def _row(kind: str, name: str, profile: Profile, *, permissions: bool) -> dict[str, object]:
    tick = decimal_text(profile.tick, profile.price_decimals)
    step = decimal_text(1, profile.quantity_decimals)
    filters = [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "9000.00000000", "stepSize": step},
        {"filterType": "MIN_NOTIONAL", "minNotional": "5.00000000", "notional": "5"},
    ]
    if kind == "options":
        return _option(name, profile) | {"filters": filters[:2]}
    row: dict[str, object] = {"symbol": name, "status": "TRADING", "baseAsset": profile.base}
    if kind == "coinm":
        del row["status"]  # contractStatus stands instead of it (futures docs, 2026-05-28)
    row |= {"quoteAsset": profile.quote, "filters": filters, "orderTypes": ["LIMIT", "MARKET"]}
    if kind == "spot":
        row |= {"baseAssetPrecision": 8, "quotePrecision": 8, "quoteAssetPrecision": 8}
        row |= {"isSpotTradingAllowed": True, "isMarginTradingAllowed": False, "permissions": ["SPOT"]}
        return row | {"permissionSets": [["SPOT"]] if permissions else []}
    row |= {"pair": name.partition("_")[0], "contractType": "PERPETUAL", "marginAsset": profile.quote}
    row |= {"deliveryDate": _FAR_FUTURE_MS, "onboardDate": _LISTED_MS, "underlyingType": "COIN"}
    row |= {"pricePrecision": profile.price_decimals, "quantityPrecision": profile.quantity_decimals}
    row |= {"baseAssetPrecision": 8, "quotePrecision": 8}
    if kind == "coinm":
        row |= {"contractStatus": "TRADING", "contractSize": 100, "marginAsset": profile.base}
    return row


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
