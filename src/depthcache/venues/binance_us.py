"""binance.us: numbers with their sources.

Source: github.com/binance-us/binance-us-api-docs (2024-06-17, WebSocket text of 2023-09), called
"US docs" below; ccxt 4.5.90 (2026-11) agrees with its hosts.
"""

from __future__ import annotations

from depthcache.venues.venue import Endpoints, Venue

__all__ = ["BINANCE_US"]

BINANCE_US = Venue(
    name="binance.us",
    # US docs, 2024-06-17, and ccxt 4.5.90 (2026-11).
    endpoints=Endpoints(rest="https://api.binance.us", websocket="wss://stream.binance.us:9443"),
    stream_route="/stream",
    # US docs, 2024-06-17.
    family="spot",
    # US docs, "How to manage a local order book correctly", 2023-09: the rule of spot.
    continuity="contiguous",
    range_basis="documented",
    range_evidence="the local order book procedure of the US docs (2023-09) is that of spot",
    # US docs, rest-api, 2024-06-17.
    depth_path="/api/v3/depth",
    exchange_info_path="/api/v3/exchangeInfo",
    time_path="/api/v3/time",
    ping_path="/api/v3/ping",
    # Not stated in the US docs; taken from spot (2026-07-21), which is not less.
    exchange_info_weight=20,
    # US docs, "Order book", 2023-09.
    depth_limits=(100, 500, 1000, 5000),
    any_depth_limit=True,
    depth_weights=((100, 1), (500, 5), (1000, 10), (5000, 50)),
    weight_pool="binance.us",
    # US docs, exchangeInfo rateLimits, 2024-06-17.
    weight_per_minute=1200,
    # US docs, "Diff. Depth Stream", 2023-09.
    stream_speeds=((100, "@depth@100ms"), (1000, "@depth")),
    # US docs, WebSocket limits, 2023-09: 1,024 streams, 5 messages a second, 24 hours, a ping
    # every 3 minutes.
    streams_per_connection=1024,
    messages_per_second=5,
    connection_lifetime_s=86_400.0,
    ping_interval_s=180.0,
    # As on spot, see there.
    names_per_message=200,
    # Not stated; taken from spot (2026-07-21).
    connects_per_5_minutes=300,
    recorded_as="us",
)
