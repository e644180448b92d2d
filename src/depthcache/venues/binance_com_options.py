"""binance.com European options, with testnet: the numbers, their sources, nothing else.

Sources: developers.binance.com options pages (2026-05-28), called "options docs" below;
binance-sdk-derivatives-trading-options 8.7.0 (PyPI, 2026-11). The system of before 2026 (hosts `nbstream`)
is another one and is not served here.
"""

from __future__ import annotations

from dataclasses import replace

from depthcache.venues.venue import Endpoints, Venue

__all__ = ["BINANCE_COM_VANILLA_OPTIONS", "BINANCE_COM_VANILLA_OPTIONS_TESTNET"]

BINANCE_COM_VANILLA_OPTIONS = Venue(
    name="binance.com-vanilla-options",
    aliases=("binance.com-options",),
    # Options docs, 2026-05-28, and the SDK 8.7.0 (2026-11): depth lives under /public of the futures host.
    endpoints=Endpoints(rest="https://eapi.binance.com", websocket="wss://fstream.binance.com"),
    stream_route="/public/stream",
    # Options docs, "Diff. Book Depth Streams", 2026-05-28: pu as on futures.
    continuity="chained",
    range_basis="unaudited",
    range_evidence="no statement and no measurement that the diff stream carries every depth (2026-11)",
    # Options docs, 2026-05-28.
    depth_path="/eapi/v1/depth",
    exchange_info_path="/eapi/v1/exchangeInfo",
    time_path="/eapi/v1/time",
    ping_path="/eapi/v1/ping",
    listing_key="optionSymbols",
    # Options docs, "Order Book", 2026-05-28: 10 to 1000; the table of weights also lists 5.
    depth_limits=(10, 20, 50, 100, 500, 1000),
    any_depth_limit=False,
    depth_weights=((50, 1), (100, 5), (500, 10), (1000, 20)),
    # The snapshot is a cached one: 25 to 30 s old, made anew about every 30 s
    # (unicorn-binance-local-depth-cache 2.14.0, 2026-04-19).
    snapshot_lag_s=30.0,
    weight_pool="binance.com options",
    # 400 in older docs, 3,000 in nautilus_trader (2026-07-02): the smaller is the safe one.
    weight_per_minute=400,
    # Options docs, 2026-05-28: the bare name is not documented.
    stream_speeds=((100, "@depth@100ms"), (500, "@depth@500ms")),
    # Options docs, "Connect", 2026-05-28: 200 streams, 10 messages a second, a ping every 5 minutes (an
    # older notice says 3), 24 hours.
    streams_per_connection=200,
    messages_per_second=10,
    ping_interval_s=300.0,
    connection_lifetime_s=86_400.0,
    # Taken from USD-M (measured 2026-10-07).
    names_per_message=200,
    # Not stated; taken from spot (spot docs, 2026-07-21).
    connects_per_5_minutes=300,
)

BINANCE_COM_VANILLA_OPTIONS_TESTNET = replace(
    BINANCE_COM_VANILLA_OPTIONS,
    name="binance.com-vanilla-options-testnet",
    aliases=("binance.com-options-testnet",),
    # Options docs, 2026-05-28.
    endpoints=Endpoints(
        rest="https://testnet.binancefuture.com", websocket="wss://fstream.binancefuture.com"
    ),
    weight_pool="binance.com options testnet",
)
