"""binance.com COIN-M futures with testnet and demo: numbers with their sources.

Sources: developers.binance.com COIN-M pages (2026-05-28), called "futures docs" below;
binance-sdk-derivatives-trading-coin-futures 14.1.0 (PyPI, 2026-11); the CM-UM integration notice
(published 2026-06-10, in force 2026-06-30).
"""

from __future__ import annotations

from dataclasses import replace

from depthcache.venues.venue import Endpoints, Venue

__all__ = ["BINANCE_COM_COIN_FUTURES", "BINANCE_COM_COIN_FUTURES_DEMO", "BINANCE_COM_COIN_FUTURES_TESTNET"]

BINANCE_COM_COIN_FUTURES = Venue(
    name="binance.com-coin_futures",
    # Futures docs, 2026-05-28, and the SDK 14.1.0 (2026-11).
    endpoints=Endpoints(rest="https://dapi.binance.com", websocket="wss://dstream.binance.com"),
    # Not split by route in SDK 14.1.0 (2026-11). A report of 2026-05 (trades and liquidations silent
    # without a route) does not mention depth.
    stream_route="/stream",
    # Futures docs, "Exchange Information", 2026-05-28: quantities in contracts of `contractSize` USD.
    family="inverse",
    # Futures docs, "How to manage a local order book correctly", 2026-05-28: pu equals the last u.
    continuity="chained",
    range_basis="unaudited",
    range_evidence="no statement and no measurement that the diff stream carries every depth (2026-11)",
    # Futures docs, 2026-05-28.
    depth_path="/dapi/v1/depth",
    exchange_info_path="/dapi/v1/exchangeInfo",
    time_path="/dapi/v1/time",
    ping_path="/dapi/v1/ping",
    # Futures docs, "Exchange Information", 2026-05-28: COIN-M says contractStatus.
    status_key="contractStatus",
    # Futures docs, "Order Book", 2026-05-28.
    depth_limits=(5, 10, 20, 50, 100, 500, 1000),
    any_depth_limit=False,
    # Futures docs, "Order Book", 2026-05-28.
    depth_weights=((50, 2), (100, 5), (500, 10), (1000, 20)),
    # One budget with USD-M since the CM-UM integration, 2026-06-30.
    weight_pool="binance.com futures",
    weight_per_minute=2400,
    # Futures docs, "Diff. Book Depth Streams", 2026-05-28: 250 ms is the bare name. @0ms is
    # undocumented and in use by recorders since 2020.
    stream_speeds=((100, "@depth@100ms"), (0, "@depth@0ms"), (250, "@depth"), (500, "@depth@500ms")),
    # Futures docs, "Connect", 2026-05-28: 1,024 streams, 10 messages a second, 24 hours, a ping
    # every 3 minutes.
    streams_per_connection=1024,
    messages_per_second=10,
    connection_lifetime_s=86_400.0,
    ping_interval_s=180.0,
    # Taken from USD-M (measured 2026-10-07).
    names_per_message=200,
    # Not stated for futures streams; taken from spot (spot docs, 2026-07-21).
    connects_per_5_minutes=300,
    recorded_as="coinm",
)

BINANCE_COM_COIN_FUTURES_TESTNET = replace(
    BINANCE_COM_COIN_FUTURES,
    name="binance.com-coin_futures-testnet",
    environment="testnet",
    # binance-common 4.7.0 (PyPI, 2026-11): REST on the host of the USD-M testnet.
    endpoints=Endpoints(
        rest="https://testnet.binancefuture.com", websocket="wss://dstream.binancefuture.com"
    ),
    # One budget with USD-M, as in production since 2026-06-30; not stated for the testnet.
    weight_pool="binance.com futures testnet",
)

BINANCE_COM_COIN_FUTURES_DEMO = replace(
    BINANCE_COM_COIN_FUTURES,
    name="binance.com-coin_futures-demo",
    environment="demo",
    # REST: binance-common 4.7.0 (PyPI, 2026-11); WebSocket: nautilus_trader (2026-07-02).
    endpoints=Endpoints(rest="https://demo-dapi.binance.com", websocket="wss://demo-dstream.binance.com"),
    # One budget with USD-M, as in production since 2026-06-30; not stated for the demo.
    weight_pool="binance.com futures demo",
)
