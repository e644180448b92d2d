"""binance.com USD-M futures with testnet and demo: numbers with their sources.

Sources: developers.binance.com USD-M pages (2026-05-28), called "futures docs" below;
binance-sdk-derivatives-trading-usds-futures 18.1.0 and binance-common 4.7.0 (PyPI, 2026-11);
measurements on the production wire published 2026-10-07.
"""

from __future__ import annotations

from dataclasses import replace

from depthcache.venues.venue import Endpoints, Venue

__all__ = ["BINANCE_COM_FUTURES", "BINANCE_COM_FUTURES_DEMO", "BINANCE_COM_FUTURES_TESTNET"]

BINANCE_COM_FUTURES = Venue(
    name="binance.com-futures",
    # Futures docs and binance-common 4.7.0 (2026-11).
    endpoints=Endpoints(rest="https://fapi.binance.com", websocket="wss://fstream.binance.com"),
    # Depth is under /public since the URL split, announced 2026-03-06, in force since 2026-04-23.
    stream_route="/public/stream",
    # Futures docs, 2026-05-28: quantities in the base asset, prices and margin in the quote asset.
    family="linear",
    # Futures docs, "How to manage a local order book correctly", 2026-05-28: pu equals the last u.
    continuity="chained",
    range_basis="unaudited",
    range_evidence="no statement and no measurement that the diff stream carries every depth (2026-11)",
    # Futures docs, 2026-05-28.
    depth_path="/fapi/v1/depth",
    exchange_info_path="/fapi/v1/exchangeInfo",
    time_path="/fapi/v1/time",
    ping_path="/fapi/v1/ping",
    # SDK 18.1.0 (2026-11), which calls the used weight in its header inaccurate.
    best_path="/fapi/v1/ticker/bookTicker",
    # Futures docs, "Order Book", 2026-05-28; others answer 400 with -4021 (measured 2026-10-07).
    depth_limits=(5, 10, 20, 50, 100, 500, 1000),
    any_depth_limit=False,
    # Futures docs, "Order Book", 2026-05-28.
    depth_weights=((50, 2), (100, 5), (500, 10), (1000, 20)),
    # One budget with COIN-M since the CM-UM integration, 2026-06-30.
    weight_pool="binance.com futures",
    # Futures docs, exchangeInfo rateLimits, 2026-05-28.
    weight_per_minute=2400,
    # Futures docs, "Diff. Book Depth Streams": 250 ms is the bare name (an explicit @250ms is
    # acknowledged and stays silent, measured 2026-10-07). @0ms, every change at once, is
    # undocumented and in use by recorders since 2020.
    stream_speeds=((100, "@depth@100ms"), (0, "@depth@0ms"), (250, "@depth"), (500, "@depth@500ms")),
    # Futures docs, change log 2025-07-02; the 1,025th closes the connection (measured 2026-10-07).
    streams_per_connection=1024,
    # Futures docs, "Connect", 2026-05-28; a burst of 15 was answered, then close 1008 (2026-10-07).
    messages_per_second=10,
    # 200 names in one SUBSCRIBE were accepted, measured 2026-10-07.
    names_per_message=200,
    # Not stated for futures streams; taken from spot (spot docs, 2026-07-21).
    connects_per_5_minutes=300,
    # Futures docs, "Connect", 2026-05-28: a ping every 3 minutes (140 s and 320 s were observed), 24 hours.
    ping_interval_s=180.0,
    connection_lifetime_s=86_400.0,
    recorded_as="usdm",
)

BINANCE_COM_FUTURES_TESTNET = replace(
    BINANCE_COM_FUTURES,
    name="binance.com-futures-testnet",
    environment="testnet",
    # binance-common 4.7.0 (2026-11); ids of REST and WebSocket agree only within one environment.
    endpoints=Endpoints(
        rest="https://testnet.binancefuture.com", websocket="wss://fstream.binancefuture.com"
    ),
    weight_pool="binance.com futures testnet",
)

BINANCE_COM_FUTURES_DEMO = replace(
    BINANCE_COM_FUTURES,
    name="binance.com-futures-demo",
    environment="demo",
    # binance-common 4.7.0 (2026-11); live probes of the WebSocket host published 2026-09-15.
    endpoints=Endpoints(rest="https://demo-fapi.binance.com", websocket="wss://demo-fstream.binance.com"),
    weight_pool="binance.com futures demo",
)
