"""exchangeInfo has every field that other clients require, with its type.

Required by nautilus_trader 1.231 (its msgspec structures) and by the models of Binance's SDKs (spot 13.3.0,
USD-M 18.1.0, COIN-M 14.1.0), as of 2026-11.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from depthcache.simulator import SimulatedExchange

COINM = "binance.com-coin_futures"
PATHS = {
    "binance.com": "/api/v3/exchangeInfo",
    "binance.com-futures": "/fapi/v1/exchangeInfo",
    "binance.com-coin_futures": "/dapi/v1/exchangeInfo",
}
SYMBOLS = {
    "binance.com": ["BTCUSDT", "ETHBTC"],
    "binance.com-futures": ["BTCUSDT", "BTCUSDT_261225"],
    "binance.com-coin_futures": ["BTCUSD_PERP", "SOLUSD_PERP", "ETHUSD_261225"],
}
SPOT: dict[str, type[Any]] = {
    "symbol": str, "status": str, "baseAsset": str, "baseAssetPrecision": int, "quoteAsset": str,
    "quotePrecision": int, "quoteAssetPrecision": int, "baseCommissionPrecision": int,
    "quoteCommissionPrecision": int, "orderTypes": list, "icebergAllowed": bool, "ocoAllowed": bool,
    "otoAllowed": bool, "opoAllowed": bool, "quoteOrderQtyMarketAllowed": bool, "allowTrailingStop": bool,
    "cancelReplaceAllowed": bool, "amendAllowed": bool, "pegInstructionsAllowed": bool,
    "isSpotTradingAllowed": bool, "isMarginTradingAllowed": bool, "filters": list, "permissions": list,
    "permissionSets": list, "defaultSelfTradePreventionMode": str, "allowedSelfTradePreventionModes": list,
}  # fmt: skip
FUTURES: dict[str, type[Any]] = {
    "symbol": str, "pair": str, "contractType": str, "deliveryDate": int, "onboardDate": int,
    "maintMarginPercent": str, "requiredMarginPercent": str, "baseAsset": str, "quoteAsset": str,
    "marginAsset": str, "pricePrecision": int, "quantityPrecision": int, "baseAssetPrecision": int,
    "quotePrecision": int, "underlyingType": str, "underlyingSubType": list, "triggerProtect": str,
    "liquidationFee": str, "marketTakeBound": str, "filters": list, "orderTypes": list, "timeInForce": list,
}  # fmt: skip
REQUIRED = {
    "binance.com": SPOT,
    "binance.com-futures": FUTURES | {"status": str, "settlePlan": int},
    "binance.com-coin_futures": FUTURES
    | {"contractStatus": str, "contractSize": int, "equalQtyPrecision": int},
}


def info(venue: str) -> dict[str, Any]:
    response = SimulatedExchange(SYMBOLS).request(venue, PATHS[venue], 0)
    return dict(json.loads(response.body))


def filters(row: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["filterType"]: each for each in row["filters"]}


@pytest.mark.parametrize("venue", PATHS)
def test_every_symbol_has_what_clients_require(venue: str) -> None:
    rows = info(venue)["symbols"]
    assert [row["symbol"] for row in rows] == SYMBOLS[venue]
    for row in rows:
        assert {name: type(row.get(name)) for name in REQUIRED[venue]} == REQUIRED[venue]


@pytest.mark.parametrize("venue", PATHS)
def test_the_whole_answer_has_what_clients_require(venue: str) -> None:
    whole = info(venue)
    assert (whole["timezone"], type(whole["serverTime"]), whole["exchangeFilters"]) == ("UTC", int, [])
    for limit in whole["rateLimits"]:
        assert limit.keys() == {"rateLimitType", "interval", "intervalNum", "limit"}
    assert ("assets" in whole) == (venue == "binance.com-futures")
    for asset in whole.get("assets", ()):
        assert asset == {"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}


@pytest.mark.parametrize("venue", PATHS)
def test_filters_agree_with_the_book(venue: str) -> None:
    exchange = SimulatedExchange(SYMBOLS)
    path = PATHS[venue].replace("exchangeInfo", "depth")
    for row in info(venue)["symbols"]:
        prices, lots = filters(row)["PRICE_FILTER"], filters(row)["LOT_SIZE"]
        book = json.loads(exchange.request(venue, f"{path}?symbol={row['symbol']}&limit=100", 0).body)
        for price, quantity in [*book["bids"], *book["asks"]]:
            assert Decimal(prices["minPrice"]) <= Decimal(price) <= Decimal(prices["maxPrice"])
            assert Decimal(price) % Decimal(prices["tickSize"]) == 0
            assert Decimal(quantity) % Decimal(lots["stepSize"]) == 0
            if venue != "binance.com":  # there, all have eight decimals
                assert len(price.partition(".")[2]) == row["pricePrecision"]
                assert len(quantity.partition(".")[2]) == row["quantityPrecision"]


def test_a_symbol_names_its_assets_and_its_end() -> None:
    rows = {(venue, row["symbol"]): row for venue in PATHS for row in info(venue)["symbols"]}

    def told(venue: str, symbol: str, *names: str) -> tuple[Any, ...]:
        return tuple(rows[venue, symbol][name] for name in names)

    contract = ("baseAsset", "quoteAsset", "marginAsset", "contractType", "deliveryDate")
    assert told("binance.com", "ETHBTC", "baseAsset", "quoteAsset") == ("ETH", "BTC")
    perpetual, christmas = ("PERPETUAL", 4_133_404_800_000), ("CURRENT_QUARTER", 1_798_185_600_000)
    assert told("binance.com-futures", "BTCUSDT", *contract) == ("BTC", "USDT", "USDT", *perpetual)
    assert told("binance.com-futures", "BTCUSDT_261225", *contract) == ("BTC", "USDT", "USDT", *christmas)
    assert told("binance.com-coin_futures", "SOLUSD_PERP", *contract) == ("SOL", "USD", "SOL", *perpetual)
    assert told("binance.com-coin_futures", "ETHUSD_261225", *contract) == ("ETH", "USD", "ETH", *christmas)
    sizes = [rows[COINM, symbol]["contractSize"] for symbol in SYMBOLS[COINM]]
    assert sizes == [100, 10, 10]
