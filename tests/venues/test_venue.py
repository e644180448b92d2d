"""Streams, limits, weights and URLs of every venue."""

from __future__ import annotations

import pytest

from depthcache import venues
from depthcache.errors import InvalidArgument
from depthcache.exchange_figures import SLOWEST_STREAM_NS
from depthcache.venues import Venue

EVERY = [pytest.param(venues.venue(name), id=name) for name in venues.names()]
SPOT = venues.venue("binance.com")
FUTURES = venues.venue("binance.com-futures")


@pytest.mark.parametrize("venue", EVERY)
def test_the_facts_of_every_venue_fit_together(venue: Venue) -> None:
    assert venue.depth_limits == tuple(sorted(set(venue.depth_limits)))
    tops = [limit for limit, _ in venue.depth_weights]
    assert tops == sorted(tops)
    assert tops[-1] == venue.depth_limits[-1]
    assert set(tops) <= set(venue.depth_limits)
    assert venue.snapshot_weight(venue.depth_limits[-1]) < venue.weight_per_minute / 2
    assert 0 < venue.names_per_message <= venue.streams_per_connection
    assert venue.range_evidence
    assert venue.stream_route.startswith("/")
    assert venues.parse_endpoints(venue.endpoints) == venue.endpoints


def test_depth_of_futures_is_on_the_public_route() -> None:
    assert FUTURES.stream_url() == "wss://fstream.binance.com/public/stream"


@pytest.mark.parametrize(
    ("name", "speed_ms", "stream"),
    [
        ("binance.com", None, "btcusdt@depth@100ms"),
        ("binance.com", 1000, "btcusdt@depth"),
        ("binance.com-futures", None, "btcusdt@depth@100ms"),
        ("binance.com-futures", 250, "btcusdt@depth"),
        ("binance.com-futures", 500, "btcusdt@depth@500ms"),
        ("binance.com-futures", 0, "btcusdt@depth@0ms"),
        ("binance.us", 100, "btcusdt@depth@100ms"),
        ("binance.com-vanilla-options", 500, "btcusdt@depth@500ms"),
    ],
)
def test_each_speed_has_the_stream_name_that_delivers(name: str, speed_ms: int | None, stream: str) -> None:
    assert venues.venue(name).stream("BTCUSDT", speed_ms) == stream


@pytest.mark.parametrize("speed_ms", [0, 250, -1, True, "100", 100.0])
def test_a_speed_the_venue_does_not_serve_is_refused(speed_ms: object) -> None:
    with pytest.raises(InvalidArgument, match="100, 1000"):
        SPOT.stream("BTCUSDT", speed_ms)  # type: ignore[arg-type]


def test_stream_names_lower_ascii_letters_alone() -> None:
    assert SPOT.stream("币安人生USDT") == "币安人生usdt@depth@100ms"
    assert SPOT.stream("ÀİUSDT") == "Àİusdt@depth@100ms"


@pytest.mark.parametrize(
    ("name", "depth", "limit"),
    [
        ("binance.com", 1, 100),
        ("binance.com", 80, 100),
        ("binance.com", 81, 500),
        ("binance.com", 400, 500),
        ("binance.com", 401, 1000),
        ("binance.com", 1000, 1000),
        ("binance.com", 1001, 5000),
        ("binance.com", 5000, 5000),
        ("binance.com-futures", 20, 50),
        ("binance.com-futures", 1000, 1000),
        ("binance.us", 2000, 5000),
    ],
)
def test_a_depth_gets_the_cheapest_limit_that_holds_a_quarter_more_up_to_a_thousand(
    name: str, depth: int, limit: int
) -> None:
    assert venues.venue(name).snapshot_limit(depth) == limit


@pytest.mark.parametrize("depth", [0, -1, 5001, 10**30, True, 10.0, "100", None])
def test_a_depth_that_no_snapshot_has_is_refused_with_what_is_allowed(depth: object) -> None:
    with pytest.raises(InvalidArgument, match="1 to 5,000") as caught:
        SPOT.snapshot_limit(depth)  # type: ignore[arg-type]
    assert caught.value.value is depth


@pytest.mark.parametrize(
    ("name", "limit", "weight"),
    [
        ("binance.com", 1, 5),
        ("binance.com", 100, 5),
        ("binance.com", 101, 25),
        ("binance.com", 1000, 50),
        ("binance.com", 1001, 250),
        ("binance.com", 9999, 250),
        ("binance.com-futures", 5, 2),
        ("binance.com-futures", 100, 5),
        ("binance.com-futures", 1000, 20),
        ("binance.us", 5000, 50),
    ],
)
def test_a_snapshot_costs_the_weight_of_its_tier(name: str, limit: int, weight: int) -> None:
    assert venues.venue(name).snapshot_weight(limit) == weight


@pytest.mark.parametrize(
    ("name", "limit"),
    [("binance.com", 0), ("binance.com", -5), ("binance.com-futures", 7), ("binance.com-futures", 5000)],
)
def test_a_limit_the_venue_refuses_is_refused_before_it_is_asked(name: str, limit: int) -> None:
    venue = venues.venue(name)
    with pytest.raises(InvalidArgument):
        venue.snapshot_weight(limit)
    with pytest.raises(InvalidArgument):
        venue.snapshot_url("BTCUSDT", limit)


def test_spot_cuts_large_limits_to_its_maximum() -> None:
    assert SPOT.served_limit(9_999) == 5_000
    assert SPOT.served_limit(37) == 37


def test_the_cheapest_limit_is_the_top_of_the_cheapest_tier() -> None:
    assert (SPOT.cheapest_limit, FUTURES.cheapest_limit) == (100, 50)


def test_snapshot_urls_percent_encode_what_is_not_ascii() -> None:
    assert SPOT.snapshot_url("BTCUSDT", 1000) == (
        "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000"
    )
    assert FUTURES.snapshot_url("币安人生USDT", 50) == (
        "https://fapi.binance.com/fapi/v1/depth?symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT&limit=50"
    )


def test_options_have_no_bare_stream_name() -> None:
    with pytest.raises(InvalidArgument, match="100, 500"):
        venues.venue("binance.com-vanilla-options").stream("BTC-261225-126000-C", 1000)


# --- what is listed -------------------------------------------------------------------------


def test_spot_is_asked_for_some_symbols_and_without_their_permissions() -> None:
    assert SPOT.exchange_info_url(["BTCUSDT", "币安人生USDT"]) == (
        "https://api.binance.com/api/v3/exchangeInfo"
        "?symbols=%5B%22BTCUSDT%22%2C%22%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT%22%5D"
        "&showPermissionSets=false"
    )
    assert SPOT.exchange_info_url() == "https://api.binance.com/api/v3/exchangeInfo?showPermissionSets=false"


def test_a_list_too_long_for_a_url_asks_for_everything() -> None:
    many = [f"{number:04}USDT" for number in range(1_000)]
    assert SPOT.exchange_info_url(many) == SPOT.exchange_info_url()
    assert "0199USDT" in SPOT.exchange_info_url(many[:200])


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("binance.com-futures", "https://fapi.binance.com/fapi/v1/exchangeInfo"),
        ("binance.com-coin_futures", "https://dapi.binance.com/dapi/v1/exchangeInfo"),
        ("binance.com-vanilla-options", "https://eapi.binance.com/eapi/v1/exchangeInfo"),
        ("binance.us", "https://api.binance.us/api/v3/exchangeInfo"),
        ("trbinance.com", "https://api.binance.me/api/v3/exchangeInfo"),
    ],
)
def test_others_list_everything_whatever_is_asked(name: str, url: str) -> None:
    assert venues.venue(name).exchange_info_url(["BTCUSDT"]) == url


def test_no_venue_offers_a_slower_stream_than_the_slowest() -> None:
    slowest_ms = max(ms for name in venues.names() for ms, _ in venues.venue(name).stream_speeds)
    assert slowest_ms * 1_000_000 == SLOWEST_STREAM_NS
