"""The interface of the old library as data: names, order, defaults, texts, and the rules of its reads.

Observed from the installed releases 2.8 and 2.14 and their documentation. It contains no code of the old
library.
"""

from __future__ import annotations

CONSTRUCTOR = (
    ("exchange", "binance.com"),
    ("default_refresh_interval", None),
    ("depth_cache_update_interval", None),
    ("high_performance", False),
    ("auto_data_cleanup_stopped_streams", False),
    ("init_interval", 4.0),
    ("init_time_window", 5),
    ("on_restart", None),
    ("websocket_close_timeout", 2),
    ("websocket_ping_interval", 10),
    ("websocket_ping_timeout", 20),
    ("disable_colorama", False),
    ("ubdcc_address", None),
    ("ubdcc_port", 80),
    ("ubra_manager", None),
    ("warn_on_update", True),
)
"""Positional order and defaults of 2.14. 2.8 is the same without `on_restart` (2.11)."""

LICENCES = ("lucit_api_secret", "lucit_license_ini", "lucit_license_profile", "lucit_license_token")
"""Ended with 2.8.1; all None by default."""

WITHOUT_EFFECT = {
    "high_performance": True,
    "auto_data_cleanup_stopped_streams": True,
    "init_interval": 1.0,
    "init_time_window": 10,
    "websocket_close_timeout": 5,
    "websocket_ping_interval": 5,
    "websocket_ping_timeout": 5,
    "disable_colorama": True,
}
"""Arguments that have nothing left to do, each with a value that is not its default."""

DIFFERENT_DEFAULTS = {"warn_on_update": None}
"""The update check is off unless asked for."""

METHODS: dict[str, tuple[tuple[str, object], ...]] = {
    "create_depthcache": (("markets", None), ("refresh_interval", None)),
    "create_depth_cache": (("markets", None), ("refresh_interval", None)),
    "get_asks": (("market", None), ("limit_count", None), ("threshold_volume", None)),
    "get_bids": (("market", None), ("limit_count", None), ("threshold_volume", None)),
    "is_depth_cache_synchronized": (("market", None),),
    "get_last_update_time": (("market", None),),
    "get_last_restart_time": (("market", None),),
    "get_restart_count": (("market", None),),
    "set_refresh_request": (("markets", None),),
    "set_resync_request": (("market", None), ("unsubscribe", True)),
    "stop_depthcache": (("markets", None),),
    "stop_depth_cache": (("markets", None),),
    "stop_manager": (("close_api_session", True),),
    "is_stop_request": (("market", None),),
    "get_list_of_depthcaches": (),
    "get_list_of_depth_caches": (),
    "get_dc_stream_id": (("market", None),),
    "get_ubra_manager": (),
    "get_ubwa_manager": (),
    "set_credentials": (("api_key", None), ("api_secret", None)),
    "get_latest_release_info": (),
    "get_latest_version": (),
    "is_update_available": (),
    "get_version": (),
    "get_user_agent": (),
    "print_summary": (("add_string", None), ("footer", None), ("title", None)),
    "print_summary_to_png": (
        ("print_summary_export_path", None),
        ("height_per_row", 12.5),
        ("add_string", None),
        ("footer", None),
        ("title", None),
    ),
}
"""Public methods of 2.8 and 2.14 together, with the order and defaults of their arguments."""

ALIASES = {
    "create_depth_cache": "create_depthcache",
    "stop_depth_cache": "stop_depthcache",
    "get_list_of_depth_caches": "get_list_of_depthcaches",
}
"""Deprecated name → name."""

ATTRIBUTES = (
    "cluster", "ubra", "ubwa", "depth_caches", "dc_streams", "exchange", "depth_cache_update_interval",
    "stop_request", "version", "name",
)  # fmt: skip
"""What other programs read."""

THREAD = (
    "start", "run", "join", "is_alive", "daemon", "ident", "native_id", "name", "getName", "setName",
    "isDaemon", "setDaemon",
)  # fmt: skip
"""What the class had because it was a thread."""

CACHE_KEYS = {
    "asks", "bids", "is_synchronized", "last_refresh_time", "last_update_id", "market", "refresh_interval",
    "refresh_request", "stop_request",
}  # fmt: skip
"""Of an entry of `depth_caches`, as far as it means anything outside the library."""

STREAM_KEYS = {
    "id", "channel", "markets", "last_restart", "restarts", "status", "stream_id", "subscribed_markets"
}  # fmt: skip
"""Of an entry of `dc_streams`."""

EXCEPTIONS = {
    "DepthCacheOutOfSync": (
        "The depth_cache for market 'btcusdt' is out of sync, please try again later",
        "The depth_cache is out of sync, please try again later",
    ),
    "DepthCacheAlreadyStopped": (
        "The depth_cache for market 'btcusdt' is already stopped!",
        "The depth_cache is already stopped!",
    ),
    "DepthCacheNotFound": (
        "The depth_cache for market 'btcusdt' does not exist!",
        "The depth_cache does not exist!",
    ),
    "DepthCacheClusterNotReachableError": (
        "Connection with UBDCC (btcusdt) could not be established!",
        "Connection with UBDCC could not be established!",
    ),
}
"""Text with an argument (here 'btcusdt'), text without."""

EXCHANGES = (
    "binance.com", "binance.com-testnet", "binance.com-futures", "binance.com-futures-testnet", "binance.us",
    "binance.com-margin", "binance.com-margin-testnet", "binance.com-isolated_margin",
    "binance.com-isolated_margin-testnet", "binance.com-vanilla-options",
    "binance.com-vanilla-options-testnet", "trbinance.com",
)  # fmt: skip

SPEEDS = {
    "binance.com": 1000, "binance.us": 1000, "trbinance.com": 1000, "binance.com-futures": 250,
    "binance.com-vanilla-options": 500,
}  # fmt: skip
"""Milliseconds of the stream that is taken without `depth_cache_update_interval`."""

SIDE = [[10.0, 1.0], [11.0, 2.0], [12.0, 0.5], [13.0, 1.0], [14.0, 3.0]]
"""A side of asks, best first. Values 10, 22, 6, 13, 42; sums 10, 32, 38, 51, 93."""

LIMITS: tuple[tuple[int | None, int], ...] = (
    (None, 5), (0, 0), (1, 1), (3, 3), (5, 5), (6, 5), (1_000_000, 5), (-1, 4), (-4, 1), (-5, 0), (-9, 0),
)  # fmt: skip
"""`limit_count`, and how many of SIDE are left."""

THRESHOLDS: tuple[tuple[float | None, int | None, int], ...] = (
    (None, None, 5), (0, None, 1), (-5, None, 1), (9.99, None, 1), (10, None, 1), (31.99, None, 1),
    (32, None, 2), (37.9, None, 2), (38, None, 3), (51, None, 4), (92.9, None, 4), (93, None, 5),
    (1e12, None, 5), (1e300, None, 5), (float("inf"), None, 5), (float("-inf"), None, 1),
    (51, 2, 2), (51, 0, 0), (32, 4, 2), (51, -1, 3), (0, -1, 0),
)  # fmt: skip
"""`threshold_volume`, `limit_count`, and how many of SIDE are left: the limit comes last."""
