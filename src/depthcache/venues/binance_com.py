"""binance.com spot with its margin names, data-only hosts, testnet and demo mode: numbers with their sources.

Sources: github.com/binance/binance-spot-api-docs at a5e0bc3 (2026-07-21), called "spot docs" below;
its folders testnet/ and demo-mode/; binance-sdk-spot 13.3.0 and binance-sdk-margin 8.9.0 (PyPI,
2026-11). Margin has no order books of its own: its markets are those of spot, and only user data differs (SDK
8.9.0). The names exist because other libraries have them.
"""

from __future__ import annotations

from dataclasses import replace

from depthcache.venues.venue import Endpoints, Venue

__all__ = [
    "BINANCE_COM",
    "BINANCE_COM_DATA",
    "BINANCE_COM_DEMO",
    "BINANCE_COM_ISOLATED_MARGIN",
    "BINANCE_COM_ISOLATED_MARGIN_TESTNET",
    "BINANCE_COM_MARGIN",
    "BINANCE_COM_MARGIN_TESTNET",
    "BINANCE_COM_TESTNET",
]

BINANCE_COM = Venue(
    name="binance.com",
    # Spot docs, rest-api "General API information" and web-socket-streams, 2026-07-21.
    endpoints=Endpoints(rest="https://api.binance.com", websocket="wss://stream.binance.com:9443"),
    # Spot docs, web-socket-streams: combined streams, 2026-07-21.
    stream_route="/stream",
    # Spot docs, 2026-07-21.
    family="spot",
    # Spot docs, "How to manage a local order book correctly", corrected 2025-11-12.
    continuity="contiguous",
    range_basis="documented",
    range_evidence=(
        "the local order book procedure of the spot docs (2025-11-12) needs every change at every "
        "depth in the stream; an un-pruned book matched 5,000 of 5,000 bids after 25 h (2026-04-29)"
    ),
    # Spot docs, rest-api, 2026-07-21.
    depth_path="/api/v3/depth",
    exchange_info_path="/api/v3/exchangeInfo",
    time_path="/api/v3/time",
    ping_path="/api/v3/ping",
    # Spot docs, rest-api "Symbol order book ticker", 2026-07-21.
    best_path="/api/v3/ticker/bookTicker",
    # Spot docs, rest-api "Exchange information": weight 20, `symbols` and `showPermissionSets`, 2026-07-21.
    exchange_info_weight=20,
    takes_symbols=True,
    # Spot docs, rest-api "Order book": any limit from 1, cut to 5,000; the tops of the tiers, 2026-07-21.
    depth_limits=(100, 500, 1000, 5000),
    any_depth_limit=True,
    # Spot docs, rest-api "Order book" and binance-sdk-spot 13.3.0 (2026-11).
    depth_weights=((100, 5), (500, 25), (1000, 50), (5000, 250)),
    weight_pool="binance.com spot",
    # Spot docs, rest-api "Limits", since 2023-08-25.
    weight_per_minute=6000,
    # Spot docs, web-socket-streams "Diff. depth stream": 1000 ms is the bare name, 2026-07-21.
    stream_speeds=((100, "@depth@100ms"), (1000, "@depth")),
    # Its lastUpdateId was the u of a diff in 1,919 of 1,919 payloads (measured 2026-08-24).
    top_stream="@depth20@100ms",
    top_levels=20,
    # Spot docs, web-socket-streams "General WSS information": 1,024 streams, 5 messages a second
    # (pings and pongs count), 300 connects in 5 minutes, 24 hours, 2026-07-21.
    streams_per_connection=1024,
    messages_per_second=5,
    connects_per_5_minutes=300,
    connection_lifetime_s=86_400.0,
    # 200 names in one SUBSCRIBE were accepted (USD-M, measured 2026-10-07); frames of more than
    # about 8,000 characters broke connections (unicorn-binance-websocket-api 2.16.1, 2026).
    names_per_message=200,
    # Spot docs, change log 2025-02: a ping every 20 s; measured median 19,964 ms, 2026-08-24.
    ping_interval_s=20.0,
    # Spot docs, "General API information", 2026-07-21: data-api.binance.vision for market data alone.
    data_mirror="binance.com-data",
    recorded_as="spot",
)

BINANCE_COM_MARGIN = replace(BINANCE_COM, name="binance.com-margin")

BINANCE_COM_ISOLATED_MARGIN = replace(BINANCE_COM, name="binance.com-isolated_margin")

BINANCE_COM_DATA = replace(
    BINANCE_COM,
    name="binance.com-data",
    data_mirror=None,
    # Spot docs, rest-api and web-socket-streams, 2026-07-21: market data only, no key. It also serves regions
    # that the main hosts refuse (451). Its weight is assumed to count together with that of spot.
    endpoints=Endpoints(rest="https://data-api.binance.vision", websocket="wss://data-stream.binance.vision"),
)

BINANCE_COM_TESTNET = replace(
    BINANCE_COM,
    name="binance.com-testnet",
    environment="testnet",
    data_mirror=None,
    # Spot docs, testnet/, 2026-07.
    endpoints=Endpoints(
        rest="https://testnet.binance.vision", websocket="wss://stream.testnet.binance.vision"
    ),
    weight_pool="binance.com spot testnet",
)

BINANCE_COM_MARGIN_TESTNET = replace(BINANCE_COM_TESTNET, name="binance.com-margin-testnet")

BINANCE_COM_ISOLATED_MARGIN_TESTNET = replace(BINANCE_COM_TESTNET, name="binance.com-isolated_margin-testnet")

BINANCE_COM_DEMO = replace(
    BINANCE_COM,
    name="binance.com-demo",
    environment="demo",
    data_mirror=None,
    # Spot docs, demo-mode/, public since 2026-01-29.
    endpoints=Endpoints(rest="https://demo-api.binance.com", websocket="wss://demo-stream.binance.com"),
    weight_pool="binance.com spot demo",
)
