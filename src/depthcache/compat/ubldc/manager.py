"""The manager of the old library: its names, arguments and results.

The work is done in `books` (caches), `reads` (results of reads), `restarts` and the other files of this
folder.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Final, Self, TypeGuard
from uuid import uuid4

import depthcache
from depthcache import InvalidArgument, Settings, Stats
from depthcache.compat.ubldc import apis, logs, summary
from depthcache.compat.ubldc.arguments import (
    parse_callback,
    parse_interval,
    say_without_effect,
    speed_of,
    warn_of_licences,
)
from depthcache.compat.ubldc.books import LocalBooks
from depthcache.compat.ubldc.cluster import Cluster
from depthcache.compat.ubldc.reads import select_from
from depthcache.compat.ubldc.releases import Releases
from depthcache.compat.ubldc.rest_api import BinanceRestApiManager
from depthcache.compat.ubldc.restarts import Restarts
from depthcache.compat.ubldc.snapshots import UbraSnapshots
from depthcache.compat.ubldc.thread_api import ThreadApi
from depthcache.compat.ubldc.views import view_of_caches, view_of_streams

__all__ = ["BinanceLocalDepthCacheManager", "__version__"]

__version__: Final = depthcache.__version__
"""The version of this package, like `get_latest_version`. The interface is that of 2.14.0."""
_NAME = "depthcache"


class BinanceLocalDepthCacheManager(ThreadApi):
    """Depth caches of one exchange, with the interface of the old library. Thread-safe.

    The constructor opens no connection: the client starts with the first cache.
    docs/how-to/coming-from-unicorn.md lists the intended differences.

    Args:
        exchange: an exchange name, such as `binance.com` or `binance.com-futures`.
        default_refresh_interval: seconds between refreshes, for caches without their own interval.
        depth_cache_update_interval: milliseconds between updates; None takes the default stream of the
            exchange.
        on_restart: called with a lower-case market and a time (seconds since 1970) after its connection was
            lost and replaced. Runs on a separate thread and may call any method.
        ubdcc_address, ubdcc_port: address of a cluster, which is then available as `cluster`.
        ubra_manager: source of the snapshots; the manager never stops it.
        warn_on_update: with True, look for a newer release in the background and log a warning. By default,
            nothing is requested.
        settings: hosts, proxies and policy, as for `depthcache.connect`. Not in the old library.

    All other arguments are accepted and have no effect. Raises UnknownExchange, InvalidArgument, and
    DepthCacheClusterNotReachableError if no cluster responds at the address.
    """

    def __init__(
        self,
        exchange: str = "binance.com",
        default_refresh_interval: float | None = None,
        depth_cache_update_interval: int | None = None,
        high_performance: bool = False,
        auto_data_cleanup_stopped_streams: bool = False,
        init_interval: float = 4.0,
        init_time_window: float = 5,
        on_restart: Callable[[str, float], object] | None = None,
        websocket_close_timeout: float = 2,
        websocket_ping_interval: float = 10,
        websocket_ping_timeout: float = 20,
        disable_colorama: bool = False,
        ubdcc_address: str | None = None,
        ubdcc_port: int | None = 80,
        ubra_manager: Any = None,
        warn_on_update: bool | None = None,
        *,
        lucit_api_secret: str | None = None,
        lucit_license_ini: str | None = None,
        lucit_license_profile: str | None = None,
        lucit_license_token: str | None = None,
        settings: Settings | None = None,
    ) -> None:
        given = dict(locals())
        say_without_effect(given)
        warn_of_licences({name: given[name] for name in given if name.startswith("lucit_")})
        callback = parse_callback(on_restart)
        self._default_refresh = parse_interval("default_refresh_interval", default_refresh_interval)
        speed_ms = speed_of(exchange, depth_cache_update_interval)
        self._settings = Settings.from_environment() if settings is None else settings
        self._snapshot_ubra = _source_of_snapshots(ubra_manager)
        self._books = LocalBooks(
            exchange,
            speed_ms=speed_ms,
            settings=self._settings,
            snapshots=UbraSnapshots(lambda: self._snapshot_ubra),
        )
        self._stopped = self._books.stopped
        self._restarts = None if callback is None else Restarts(self._books, self._stopped, callback)
        self._stream_id = str(uuid4())
        self._exchange, self._update_interval = exchange, depth_cache_update_interval
        self._releases = Releases()
        self._owns_ubra = ubra_manager is None
        self._ubra = apis.make_ubra(self) if ubra_manager is None else ubra_manager
        self._ubwa = apis.make_ubwa(self)
        self._cluster = (
            None
            if ubdcc_address is None
            else Cluster(ubdcc_address, ubdcc_port, exchange=exchange, settings=self._settings)
        )
        if warn_on_update:
            self._releases.look()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the manager. An exception is logged and propagates."""
        if error is not None:
            logs.left_with_exception(error=error)
        self.stop_manager()

    def __repr__(self) -> str:
        synced = sum(cache.is_synced for cache in self._books)
        held = len(self.get_list_of_depthcaches())
        return f"<{type(self).__name__} of {self._exchange}: {synced} of {held} synchronized>"

    # --- attributes ---------------------------------------------------------------------------

    @property
    def exchange(self) -> str:
        """The exchange name as given."""
        return self._exchange

    @property
    def depth_cache_update_interval(self) -> int | None:
        """Milliseconds between updates as given."""
        return self._update_interval

    @property
    def settings(self) -> Settings:
        """The settings of the client behind the caches."""
        return self._settings

    @property
    def stop_request(self) -> bool:
        """Whether the manager was stopped."""
        return self._books.stopped.is_set()

    @property
    def version(self) -> str:
        """The version of this package."""
        return __version__

    @property
    def depth_caches(self) -> Mapping[str, Mapping[str, object]]:
        """The current state of every cache by lower-case name; read-only."""
        return view_of_caches(self._books)

    @property
    def dc_streams(self) -> Mapping[str, Mapping[str, object]]:
        """The current state of the streams by the id of `get_dc_stream_id`; read-only."""
        return view_of_streams(self.get_dc_stream_id(), self._books)

    @property
    def cluster(self) -> Cluster | None:
        """The cluster at `ubdcc_address`; None without an address."""
        return self._cluster

    @property
    def ubra(self) -> Any:
        """The REST API of the exchange: the given `ubra_manager`, or an object with its methods."""
        return self._ubra

    @property
    def ubwa(self) -> Any:
        """An API for the state of the streams."""
        return self._ubwa

    # --- caches -------------------------------------------------------------------------------

    def create_depthcache(
        self, markets: str | list[str] | None = None, refresh_interval: float | None = None
    ) -> bool:
        """Create caches; returns at once. Existing ones are left alone. Returns False for None.

        `markets`: one name or any iterable of names, in any case. `refresh_interval`: seconds between
        refreshes; None takes the default of the constructor. Raises InvalidArgument for an impossible
        symbol, and DepthCacheAlreadyStopped after `stop_manager`.
        """
        if markets is None:
            return False
        interval = parse_interval("refresh_interval", refresh_interval) or self._default_refresh
        self._books.create(_listed(markets), interval)
        if self._restarts is not None:
            self._restarts.start()
        return True

    def create_depth_cache(
        self, markets: str | list[str] | None = None, refresh_interval: float | None = None
    ) -> bool:
        """Deprecated name of `create_depthcache`."""
        logs.deprecated_name(old="create_depth_cache()", new="create_depthcache()")
        return self.create_depthcache(markets, refresh_interval)

    def _add_depthcache(self, market: str | None = None, refresh_interval: float | None = None) -> bool:
        """Create one cache, as `create_depthcache`; False without a market. For old tests and programs."""
        return isinstance(market, str) and bool(market) and self.create_depthcache(market, refresh_interval)

    @staticmethod
    def _select_from_depthcache(
        items: Mapping[str, float],
        limit_count: int | None = None,
        reverse: bool = False,
        threshold_volume: float | None = None,
    ) -> list[list[float]]:
        """Apply the rules of `get_asks` (with `reverse`, `get_bids`) to a mapping of prices to quantities."""
        return select_from(items, limit_count, reverse, threshold_volume)

    def get_asks(
        self,
        market: str | None = None,
        limit_count: int | None = None,
        threshold_volume: float | None = None,
    ) -> list[list[float]]:
        """Asks as `[price, quantity]`, best (lowest) first, at most 1,000.

        `limit_count`: most levels to return; a negative number is the end of a slice. `threshold_volume`:
        return levels while the sum of their values in the quote asset does not exceed it, but at least the
        first one. Raises DepthCacheNotFound, DepthCacheOutOfSync and DepthCacheAlreadyStopped, checked in
        this order.
        """
        return self._books.known(market).read("asks", limit_count, threshold_volume)

    def get_bids(
        self,
        market: str | None = None,
        limit_count: int | None = None,
        threshold_volume: float | None = None,
    ) -> list[list[float]]:
        """Bids, best (highest) first; otherwise like `get_asks`."""
        return self._books.known(market).read("bids", limit_count, threshold_volume)

    def is_depth_cache_synchronized(self, market: str | None = None) -> bool:
        """Whether the cache is synchronized; False once it is stopped. Raises DepthCacheNotFound."""
        return self._books.known(market).is_synced

    def get_last_update_time(self, market: str | None = None) -> int | None:
        """System time of the last update or snapshot in milliseconds; None before the first.

        Raises DepthCacheNotFound.
        """
        return self._books.known(market).last_update_ms

    def get_last_restart_time(self, market: str | None = None) -> float | None:
        """When the connection of the cache was last replaced after a loss, in seconds since 1970.

        None if it never was. Raises DepthCacheNotFound, also for a stopped cache.
        """
        return self._books.running(market).restarted_at

    def get_restart_count(self, market: str | None = None) -> int:
        """How often the connection of the cache was replaced after a loss. Raises DepthCacheNotFound, also
        for a stopped cache."""
        return self._books.running(market).restarts

    def get_dc_stream_id(self, market: str | None = None) -> str | None:
        """The key in `dc_streams` of the stream of the cache; without a `market`, of one with free capacity.

        None for an unknown or stopped market, and while there is no stream.
        """
        cache = None if market is None else self._books.get(market)
        carried = market is None or (cache is not None and not cache.stopped)
        return self._stream_id if carried and self._books.running_since else None

    def set_refresh_request(self, markets: str | list[str] | None = None) -> bool:
        """Compare these caches with new snapshots and merge them. The caches stay in sync and readable.

        Returns False for None. Raises DepthCacheNotFound without doing anything.
        """
        if markets is None:
            logs.nothing_given(method="set_refresh_request()")
            return False
        for cache in [self._books.known(market) for market in _listed(markets)]:
            cache.book.refresh()
        return True

    def set_resync_request(self, market: str | None = None, unsubscribe: bool = True) -> bool:
        """Rebuild a cache from a new snapshot. It is out of sync until the snapshot arrives.

        The subscription is kept. Returns `unsubscribe`, like the old library. Raises InvalidArgument (a
        ValueError) for None, and DepthCacheNotFound.
        """
        if market is None:
            raise InvalidArgument(name="market", value=market, allowed="the name of a cache")
        self._books.known(market).book.resync()
        return bool(unsubscribe)

    def set_credentials(self, api_key: str | None = None, api_secret: str | None = None) -> None:
        """Replace `ubra` by an object with these keys. Books need no keys.

        A given `ubra_manager` is no longer used, but not stopped.
        """
        if self._owns_ubra:
            self._ubra.stop_manager()
        self._owns_ubra, self._snapshot_ubra = True, None
        self._ubra = apis.make_ubra(self, api_key=api_key, api_secret=api_secret)

    def stop_depthcache(self, markets: str | list[str] | None = None) -> bool:
        """Stop caches and their subscriptions. Returns False for None. Raises DepthCacheNotFound."""
        if markets is None:
            logs.nothing_given(method="stop_depthcache()")
            return False
        for market in _listed(markets):
            self._books.stop(market)
        return True

    def stop_depth_cache(self, markets: str | list[str] | None = None) -> bool:
        """Deprecated name of `stop_depthcache`."""
        logs.deprecated_name(old="stop_depth_cache()", new="stop_depthcache()")
        return self.stop_depthcache(markets)

    def get_list_of_depthcaches(self) -> list[str]:
        """The lower-case names of all caches that are not stopped, in sync or not."""
        return [cache.market for cache in self._books if not cache.stopped and not cache.unknown]

    def get_list_of_depth_caches(self) -> list[str]:
        """Deprecated name of `get_list_of_depthcaches`."""
        logs.deprecated_name(old="get_list_of_depth_caches()", new="get_list_of_depthcaches()")
        return self.get_list_of_depthcaches()

    def is_stop_request(self, market: str | None = None) -> bool:
        """Whether the manager, or the cache of `market`, was stopped; False for an unknown market."""
        cache = None if market is None else self._books.get(market)
        return self.stop_request or (cache is not None and cache.stopped)

    def stop_manager(self, close_api_session: bool = True) -> bool:
        """Stop all caches, connections and threads, but not a given `ubra_manager`. Safe to call again."""
        self._books.close()
        if self._owns_ubra:
            self._ubra.stop_manager()
        if self._cluster is not None:
            self._cluster.close()
        return True

    # --- what belongs to other libraries -------------------------------------------------------

    def get_ubra_manager(self) -> Any:
        """The same as `ubra`."""
        return self._ubra

    def get_ubwa_manager(self) -> Any:
        """The same as `ubwa`."""
        return self._ubwa

    @staticmethod
    def get_latest_release_info() -> dict[str, Any] | None:
        """Information about the newest release; None if it cannot be retrieved."""
        return Releases.latest_release_info()

    def get_latest_version(self) -> str | None:
        """The newest release; None if it cannot be retrieved."""
        return self._releases.latest_version()

    def is_update_available(self) -> bool:
        """Whether there is a newer release; False if that cannot be retrieved."""
        return self._releases.is_update_available()

    @staticmethod
    def get_version() -> str:
        """The version of this package."""
        return __version__

    @staticmethod
    def get_user_agent() -> str:
        """Name, version and Python version, such as `depthcache_0.1.0-python_3.11.7`."""
        return f"{_NAME}_{__version__}-python_{platform.python_version()}"

    def print_summary(
        self, add_string: str | None = None, footer: str | None = None, title: str | None = None
    ) -> None:
        """Print the state of the caches and their streams."""
        summary.print_summary(self, add_string=add_string, footer=footer, title=title)

    def print_summary_to_png(
        self,
        print_summary_export_path: str | None = None,
        height_per_row: float = 12.5,
        add_string: str | None = None,
        footer: str | None = None,
        title: str | None = None,
    ) -> None:
        """Write the summary as text and pictures into a folder."""
        summary.print_summary_to_png(
            self,
            print_summary_export_path=print_summary_export_path,
            height_per_row=height_per_row,
            add_string=add_string,
            footer=footer,
            title=title,
        )

    def stats(self) -> Stats:
        """Counters, ages and delays of books, connections and budgets. Not in the old library."""
        return self._books.stats()


def _source_of_snapshots(ubra: Any) -> Any:
    """The snapshot source for a `ubra_manager`; None for that of this drop-in: the client does it itself."""
    return None if isinstance(ubra, BinanceRestApiManager) else ubra


def _listed(markets: object) -> list[str]:
    """One name or several as a list. Raises InvalidArgument for anything else."""
    if isinstance(markets, str):
        return [markets]
    if not _is_listing(markets):
        raise InvalidArgument(name="markets", value=markets, allowed="a symbol, or a list of symbols")
    return list(markets)


def _is_listing(value: object) -> TypeGuard[Iterable[str]]:
    return hasattr(value, "__iter__") and not isinstance(value, Mapping | bytes)
