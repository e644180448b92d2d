"""trbinance.com, now binance.tr: numbers with their sources.

It has no specification for market data. Several connectors published in 2026 ("connectors" below) treat it as
spot on other hosts. Numbers without a source are those of spot, or smaller where a mistake could cause a ban.
"""

from __future__ import annotations

from depthcache.venues.venue import Endpoints, Venue

__all__ = ["TRBINANCE_COM"]

TRBINANCE_COM = Venue(
    name="trbinance.com",
    aliases=("binance.tr",),
    # Connectors, 2026: depth of "type 1" (MBX) symbols needs no key there.
    endpoints=Endpoints(rest="https://api.binance.me", websocket="wss://stream-cloud.binance.tr"),
    stream_route="/stream",
    # Connectors, 2026: the rules of spot on other hosts.
    family="spot",
    continuity="contiguous",
    range_basis="unaudited",
    range_evidence="no specification of its own; assumed to be the stream of spot (connectors, 2026)",
    # The venue's own pages write BTC_USDT; depth and streams use BTCUSDT (connectors, 2026).
    symbol_separators="_",
    # Connectors, 2026.
    depth_path="/api/v3/depth",
    exchange_info_path="/api/v3/exchangeInfo",
    time_path="/api/v3/time",
    ping_path="/api/v3/ping",
    # Assumed as on spot.
    exchange_info_weight=20,
    # Assumed as on spot.
    depth_limits=(100, 500, 1000, 5000),
    any_depth_limit=True,
    depth_weights=((100, 5), (500, 25), (1000, 50), (5000, 250)),
    weight_pool="trbinance.com",
    # Unknown; the smallest budget of a spot venue (binance.us, 2024-06-17).
    weight_per_minute=1200,
    stream_speeds=((100, "@depth@100ms"), (1000, "@depth")),
    # Assumed as on spot, with its older, slower ping of 3 minutes.
    streams_per_connection=1024,
    messages_per_second=5,
    names_per_message=200,
    connects_per_5_minutes=300,
    ping_interval_s=180.0,
    connection_lifetime_s=86_400.0,
    recorded_as="tr",
)
