"""Profiles: the parameters of simulated markets.

Sources: statistics of recorded Binance market data of 2021 to 2026 (107 symbols, 272,070 diffs), spot and
USD-M of 2024-08, COIN-M of 2024-08, NEXOUSDT of 2024-07. There are no recordings of options: their number
formats are those of the docs (2025-11), their behaviour is as reported (thin, one-sided, silent; 2026-04).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from depthcache.pickling import FixedMapping
from depthcache.venues import Family

__all__ = ["PROFILES", "TINY", "Profile", "profile_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The profile of a symbol. Prices are integers at `price_decimals`, quantities at `quantity_decimals`."""

    base: str
    quote: str
    price_decimals: int
    tick: int
    start_price: int
    quantity_decimals: int
    median_quantity: int
    levels: int
    """Levels a side at the start, and approximately later."""
    gap_ticks: int
    """Median distance of adjacent levels near the best price, in ticks."""
    interval_ms: int
    """Interval of the changes of the book; slower streams combine several of them."""
    levels_per_event: tuple[float, float, float]
    """Mean and deviation of the logarithm, and its correlation with the next event (bursts)."""
    inside: float
    """Share of updates that improve the best price."""
    at_best: float
    body_ticks: int
    """Median distance of all others from the best price, in ticks."""
    body_sigma: float
    far: float
    """Share of updates at a few round prices, a hundred times further away."""
    reuse: float
    """Share of updates at a recently changed price."""
    deletes: float
    """Share of updates that delete a level; as many add one."""
    phantoms: float
    """Share of updates that delete a price without a level."""
    unchanged: float
    """Share of updates that repeat the current quantity."""
    fewest: int = 3
    """Levels that a side always keeps; with 0 it may run empty."""
    quantity_step: int = 1
    """Quantities are multiples of it."""


SPOT_BTC = Profile(
    base="BTC",
    quote="USDT",
    price_decimals=8,
    tick=1_000_000,
    start_price=61_837_63_000_000,
    quantity_decimals=8,
    median_quantity=5_400_000,
    levels=3_000,
    gap_ticks=11,
    interval_ms=100,
    levels_per_event=(3.21, 1.05, 0.71),
    inside=0.04,
    at_best=0.03,
    body_ticks=2_600,
    body_sigma=1.2,
    far=0.10,
    reuse=0.35,
    deletes=0.39,
    phantoms=0.088,
    unchanged=0.013,
)

_SPOT_ETH = replace(
    SPOT_BTC,
    base="ETH",
    start_price=2_683_11_000_000,
    median_quantity=80_000_000,
    gap_ticks=2,
    levels_per_event=(3.02, 1.17, 0.65),
    inside=0.03,
    body_ticks=190,
    far=0.012,
    reuse=0.5,
    deletes=0.24,
    phantoms=0.04,
    unchanged=0.017,
)

_SPOT_THIN = replace(
    SPOT_BTC,
    base="NEXO",
    tick=100_000,
    start_price=1_27_500_000,
    median_quantity=511_00_000_000,
    levels=300,
    gap_ticks=2,
    interval_ms=400,
    levels_per_event=(0.47, 0.61, 0.36),
    inside=0.016,
    at_best=0.156,
    body_ticks=3,
    body_sigma=1.2,
    far=0.0,
    reuse=0.85,
    deletes=0.021,
    phantoms=0.002,
    unchanged=0.021,
)

_USDM_BTC = replace(
    SPOT_BTC,
    price_decimals=2,
    tick=10,
    start_price=61_811_20,
    quantity_decimals=3,
    median_quantity=132,
    gap_ticks=1,
    interval_ms=52,
    levels_per_event=(3.70, 0.89, 0.71),
    inside=0.018,
    at_best=0.022,
    body_ticks=404,
    far=0.08,
    reuse=0.6,
    deletes=0.177,
    phantoms=0.04,
    unchanged=0.047,
)

_USDM_ETH = replace(
    _USDM_BTC,
    base="ETH",
    tick=1,
    start_price=2_681_63,
    median_quantity=2_400,
    levels_per_event=(3.80, 0.79, 0.70),
    body_ticks=183,
    far=0.06,
    reuse=0.7,
    deletes=0.115,
    phantoms=0.02,
    unchanged=0.052,
)

_COINM_BTC = replace(
    _USDM_BTC,
    quote="USD",
    price_decimals=1,
    tick=1,
    start_price=61_811_2,
    quantity_decimals=0,
    median_quantity=75,
    levels=1_500,
    gap_ticks=4,
    interval_ms=16,
    levels_per_event=(2.08, 1.09, 0.64),
    inside=0.106,
    at_best=0.028,
    body_ticks=261,
    far=0.012,
    reuse=0.5,
    deletes=0.294,
    phantoms=0.134,
    unchanged=0.025,
)

_OPTION = replace(
    SPOT_BTC,
    price_decimals=3,
    tick=5_000,
    start_price=1_100_000,
    quantity_decimals=4,
    median_quantity=6_000,
    levels=8,
    gap_ticks=2,
    interval_ms=1_300,
    levels_per_event=(0.2, 0.5, 0.3),
    inside=0.05,
    at_best=0.25,
    body_ticks=4,
    body_sigma=0.8,
    far=0.0,
    reuse=0.5,
    deletes=0.2,
    phantoms=0.01,
    unchanged=0.02,
    fewest=0,
)

_OPTION_HARDLY_TRADED = replace(_OPTION, levels=2, interval_ms=11_000, start_price=64_190_000, deletes=0.4)

TINY = replace(
    SPOT_BTC,
    levels=24,
    gap_ticks=3,
    levels_per_event=(1.2, 0.5, 0.5),
    body_ticks=20,
    body_sigma=0.9,
    far=0.03,
    reuse=0.4,
    deletes=0.25,
)
"""A small market with the same behaviour but few levels, to simulate thousands of them in a minute."""

_SPOT_NAMES = {
    "BTCUSDT": SPOT_BTC,
    "ETHUSDT": _SPOT_ETH,
    "NEXOUSDT": _SPOT_THIN,
    "BNBUSDT": replace(_SPOT_THIN, base="BNB", tick=1_000_000, start_price=583_40_000_000, interval_ms=100),
    "SOLUSDT": replace(_SPOT_ETH, base="SOL", start_price=172_43_000_000, median_quantity=3_00_000_000),
    "XRPUSDT": replace(_SPOT_THIN, base="XRP", tick=10_000, start_price=61_230_000, interval_ms=100),
    # Symbols in Chinese have been listed since 2025 (spot and USD-M exchangeInfo).
    "币安人生USDT": replace(_SPOT_THIN, base="币安人生", tick=1_000, start_price=12_340_000),
}
_USDM_NAMES = {
    "BTCUSDT": _USDM_BTC,
    "ETHUSDT": _USDM_ETH,
    "BNBUSDT": replace(_USDM_ETH, base="BNB", start_price=583_40),
    "SOLUSDT": replace(_USDM_ETH, base="SOL", start_price=172_43),
    "XRPUSDT": replace(_USDM_ETH, base="XRP", price_decimals=4, start_price=6_123, quantity_decimals=1),
    "币安人生USDT": replace(_USDM_ETH, base="币安人生", price_decimals=5, start_price=12_340, levels=300),
}
_COINM_NAMES = {
    "BTCUSD_PERP": _COINM_BTC,
    "ETHUSD_PERP": replace(_COINM_BTC, base="ETH", price_decimals=2, start_price=2_681_63),
}

_OPTION_NAMES = {
    "BTC-261225-126000-C": _OPTION,
    "BTC-261225-126000-P": _OPTION_HARDLY_TRADED,
    "ETH-261225-4000-C": replace(_OPTION, base="ETH", tick=100, start_price=45_600, interval_ms=700),
    "ETH-261225-4000-P": replace(_OPTION_HARDLY_TRADED, base="ETH", tick=100, start_price=1_340_000),
}

PROFILES = FixedMapping(
    {
        "spot": FixedMapping(_SPOT_NAMES),
        "linear": FixedMapping(_USDM_NAMES),
        "inverse": FixedMapping(_COINM_NAMES),
        "options": FixedMapping(_OPTION_NAMES),
    }
)
"""Family (`spot`, `linear`, `inverse`, `options`) to symbol to profile."""


def profile_of(family: Family, symbol: str) -> Profile:
    """The profile of a symbol; that of the family's quietest symbol if it has none."""
    known = PROFILES[family]
    if symbol in known:
        return known[symbol]
    likeness = {
        "spot": _SPOT_THIN,
        "linear": _USDM_NAMES["SOLUSDT"],
        "inverse": _COINM_BTC,
        "options": _OPTION,
    }[family]
    pair = symbol.partition("_")[0].partition("-")[0]  # BTCUSDT_261225, BTCUSD_PERP, BTC-261225-60000-C
    quotes = ("USD", "USDT") if family == "inverse" else ("USDT", "USDC", "USD", "BTC", "EUR")
    quote = next((quote for quote in quotes if pair.endswith(quote) and pair != quote), quotes[0])
    return replace(likeness, base=pair.removesuffix(quote), quote=quote)
