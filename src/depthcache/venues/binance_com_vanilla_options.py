"""binance.com European options with the testnet: numbers with their sources.

Sources: developers.binance.com options pages (2026-05-28), called "options docs" below;
binance-sdk-derivatives-trading-options 8.7.0 (PyPI, 2026-11); measurements published with
unicorn-binance-local-depth-cache (2026-04-19). The system was rebuilt between 2025-11 and 2026-03;
nbstream.binance.com, `@depth10` and `@depth1000` belong to the previous one.
"""

from __future__ import annotations

from dataclasses import replace

from depthcache.venues.venue import Endpoints, Venue

__all__ = ["BINANCE_COM_VANILLA_OPTIONS", "BINANCE_COM_VANILLA_OPTIONS_TESTNET"]

BINANCE_COM_VANILLA_OPTIONS = Venue(
    name="binance.com-vanilla-options",
    # SDK 8.7.0 (2026-11) and options docs, 2026-05-28.
    endpoints=Endpoints(rest="https://eapi.binance.com", websocket="wss://fstream.binance.com"),
    # Depth is under /public, on the hosts of USD-M (SDK 8.7.0, 2026-11).
    stream_route="/public/stream",
    # Options docs, "Exchange Information", 2026-05-28: optionContracts, optionSymbols.
    family="options",
    # Options docs, "How to manage a local order book correctly", 2026-05-28: pu equals the last u.
    continuity="chained",
    range_basis="unaudited",
    range_evidence="no statement and no measurement that the diff stream carries every depth (2026-11)",
    # Options docs, 2026-05-28.
    depth_path="/eapi/v1/depth",
    exchange_info_path="/eapi/v1/exchangeInfo",
    time_path="/eapi/v1/time",
    ping_path="/eapi/v1/ping",
    # Options docs, "Exchange Information", 2026-05-28.
    listing_key="optionSymbols",
    # Options docs, "Order Book", 2026-05-28; 5 occurs only in the table of weights.
    depth_limits=(5, 10, 20, 50, 100, 500, 1000),
    any_depth_limit=False,
    # Options docs, "Order Book", 2026-05-28.
    depth_weights=((50, 1), (100, 5), (500, 10), (1000, 20)),
    # REST serves a cached snapshot, 25 to 30 s behind the stream, replaced about every 30 s (measured
    # 2026-04-19).
    snapshot_lag_s=30.0,
    weight_pool="binance.com options",
    # Older options docs; nautilus_trader (2026-07-02) has 3,000. The smaller one is safe with both.
    weight_per_minute=400,
    # SDK 8.7.0 (2026-11): explicit speeds only; the speed of the bare name is not documented.
    stream_speeds=((100, "@depth@100ms"), (500, "@depth@500ms")),
    # Options docs, "Connect", 2026-05-28: 200 streams, 10 messages a second, 24 hours.
    streams_per_connection=200,
    messages_per_second=10,
    connection_lifetime_s=86_400.0,
    # A ping every 5 minutes (options docs, "Connect", 2026-05-28) or every 3 (an older notice). The longer
    # interval is safe for both.
    ping_interval_s=300.0,
    # Taken from USD-M (measured 2026-10-07): as many as a connection holds.
    names_per_message=200,
    # Not stated for options streams; taken from spot (spot docs, 2026-07-21).
    connects_per_5_minutes=300,
    recorded_as="options",
)

BINANCE_COM_VANILLA_OPTIONS_TESTNET = replace(
    BINANCE_COM_VANILLA_OPTIONS,
    name="binance.com-vanilla-options-testnet",
    environment="testnet",
    # Options docs, 2026-05-28: the hosts of the USD-M testnet.
    endpoints=Endpoints(
        rest="https://testnet.binancefuture.com", websocket="wss://fstream.binancefuture.com"
    ),
    weight_pool="binance.com options testnet",
)
