"""Every venue's facts as literals: changing one means changing a line here."""

from __future__ import annotations

import pytest

from depthcache import venues

SPOT_SPEEDS = {100: "@depth@100ms", 1000: "@depth"}
FUTURES_SPEEDS = {100: "@depth@100ms", 0: "@depth@0ms", 250: "@depth", 500: "@depth@500ms"}
OPTIONS_SPEEDS = {100: "@depth@100ms", 500: "@depth@500ms"}
SPOT_WEIGHTS = {1: 5, 100: 5, 101: 25, 500: 25, 501: 50, 1000: 50, 1001: 250, 5000: 250}
US_WEIGHTS = {1: 1, 100: 1, 101: 5, 500: 5, 501: 10, 1000: 10, 1001: 50, 5000: 50}
FUTURES_WEIGHTS = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20}
OPTIONS_WEIGHTS = {5: 1, 10: 1, 20: 1, 50: 1, 100: 5, 500: 10, 1000: 20}

PLACES = {
    "binance.com": ("https://api.binance.com/api/v3", "wss://stream.binance.com:9443/stream"),
    "binance.com-margin": ("https://api.binance.com/api/v3", "wss://stream.binance.com:9443/stream"),
    "binance.com-isolated_margin": ("https://api.binance.com/api/v3", "wss://stream.binance.com:9443/stream"),
    "binance.com-data": ("https://data-api.binance.vision/api/v3", "wss://data-stream.binance.vision/stream"),
    "binance.com-testnet": (
        "https://testnet.binance.vision/api/v3", "wss://stream.testnet.binance.vision/stream",
    ),
    "binance.com-margin-testnet": (
        "https://testnet.binance.vision/api/v3", "wss://stream.testnet.binance.vision/stream",
    ),
    "binance.com-isolated_margin-testnet": (
        "https://testnet.binance.vision/api/v3", "wss://stream.testnet.binance.vision/stream",
    ),
    "binance.com-demo": ("https://demo-api.binance.com/api/v3", "wss://demo-stream.binance.com/stream"),
    "binance.com-futures": ("https://fapi.binance.com/fapi/v1", "wss://fstream.binance.com/public/stream"),
    "binance.com-futures-testnet": (
        "https://testnet.binancefuture.com/fapi/v1", "wss://fstream.binancefuture.com/public/stream",
    ),
    "binance.com-futures-demo": (
        "https://demo-fapi.binance.com/fapi/v1", "wss://demo-fstream.binance.com/public/stream",
    ),
    "binance.com-coin_futures": ("https://dapi.binance.com/dapi/v1", "wss://dstream.binance.com/stream"),
    "binance.com-coin_futures-testnet": (
        "https://testnet.binancefuture.com/dapi/v1", "wss://dstream.binancefuture.com/stream",
    ),
    "binance.com-coin_futures-demo": (
        "https://demo-dapi.binance.com/dapi/v1", "wss://demo-dstream.binance.com/stream",
    ),
    "binance.com-vanilla-options": (
        "https://eapi.binance.com/eapi/v1", "wss://fstream.binance.com/public/stream",
    ),
    "binance.com-vanilla-options-testnet": (
        "https://testnet.binancefuture.com/eapi/v1", "wss://fstream.binancefuture.com/public/stream",
    ),
    "binance.us": ("https://api.binance.us/api/v3", "wss://stream.binance.us:9443/stream"),
    "trbinance.com": ("https://api.binance.me/api/v3", "wss://stream-cloud.binance.tr/stream"),
}  # fmt: skip


def kind(name: str) -> str:
    """The family of a name, by its words."""
    words = {"coin_futures": "coinm", "futures": "usdm", "options": "options", ".us": "us", "tr": "tr"}
    return next((family for word, family in words.items() if word in name.replace("binance", "")), "spot")


SPEEDS = {
    "spot": SPOT_SPEEDS,
    "us": SPOT_SPEEDS,
    "tr": SPOT_SPEEDS,
    "usdm": FUTURES_SPEEDS,
    "coinm": FUTURES_SPEEDS,
    "options": OPTIONS_SPEEDS,
}
WEIGHTS = {
    "spot": SPOT_WEIGHTS,
    "us": US_WEIGHTS,
    "tr": SPOT_WEIGHTS,
    "usdm": FUTURES_WEIGHTS,
    "coinm": FUTURES_WEIGHTS,
    "options": OPTIONS_WEIGHTS,
}
LIMITS = {
    "spot": (100, 500, 1000, 5000),
    "us": (100, 500, 1000, 5000),
    "tr": (100, 500, 1000, 5000),
    "usdm": (5, 10, 20, 50, 100, 500, 1000),
    "coinm": (5, 10, 20, 50, 100, 500, 1000),
    "options": (5, 10, 20, 50, 100, 500, 1000),
}
# continuity, weight a minute, streams, messages a second, ping, exchangeInfo: weight, list, status
REST = {
    "spot": ("contiguous", 6000, 1024, 5, 20.0, 20, "symbols", "status"),
    "us": ("contiguous", 1200, 1024, 5, 180.0, 20, "symbols", "status"),
    "tr": ("contiguous", 1200, 1024, 5, 180.0, 20, "symbols", "status"),
    "usdm": ("chained", 2400, 1024, 10, 180.0, 1, "symbols", "status"),
    "coinm": ("chained", 2400, 1024, 10, 180.0, 1, "symbols", "contractStatus"),
    "options": ("chained", 400, 200, 10, 300.0, 1, "optionSymbols", "status"),
}


def test_every_venue_is_in_these_tables() -> None:
    assert tuple(PLACES) == venues.names()


@pytest.mark.parametrize("name", PLACES)
def test_every_url_of_every_venue(name: str) -> None:
    venue, (rest, socket) = venues.venue(name), PLACES[name]
    assert venue.stream_url() == socket
    assert venue.snapshot_url("BTC-1", 100) == f"{rest}/depth?symbol=BTC-1&limit=100"
    assert venue.time_url() == f"{rest}/time"
    assert venue.exchange_info_url().partition("?")[0] == f"{rest}/exchangeInfo"
    assert venue.endpoints.rest + venue.ping_path == f"{rest}/ping"
    if venue.best_path is not None:
        assert venue.endpoints.rest + venue.best_path == f"{rest}/ticker/bookTicker"


@pytest.mark.parametrize("name", PLACES)
def test_every_stream_of_every_venue(name: str) -> None:
    venue, speeds = venues.venue(name), SPEEDS[kind(name)]
    assert dict(venue.stream_speeds) == speeds
    assert venue.stream("1000ÀPEPE-C") == "1000Àpepe-c@depth@100ms"
    for speed_ms, suffix in speeds.items():
        assert venue.stream("BTCUSDT", speed_ms) == f"btcusdt{suffix}"


@pytest.mark.parametrize("name", PLACES)
def test_every_limit_and_weight_of_every_venue(name: str) -> None:
    venue = venues.venue(name)
    assert venue.depth_limits == LIMITS[kind(name)]
    weights = WEIGHTS[kind(name)]
    assert {limit: venue.snapshot_weight(limit) for limit in weights} == weights


@pytest.mark.parametrize("name", PLACES)
def test_every_other_number_of_every_venue(name: str) -> None:
    venue = venues.venue(name)
    assert (
        venue.continuity,
        venue.weight_per_minute,
        venue.streams_per_connection,
        venue.messages_per_second,
        venue.ping_interval_s,
        venue.exchange_info_weight,
        venue.listing_key,
        venue.status_key,
    ) == REST[kind(name)]
    assert (venue.connects_per_5_minutes, venue.connection_lifetime_s) == (300, 86_400.0)
    assert venue.snapshot_lag_s == (30.0 if kind(name) == "options" else 0.0)
    assert venue.top_stream == ("@depth20@100ms" if kind(name) == "spot" else None)
    assert venue.top_levels == 20
    assert venue.takes_symbols == (kind(name) == "spot")
