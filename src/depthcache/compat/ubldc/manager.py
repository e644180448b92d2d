"""The manager of the old library: its names, arguments and results, and nothing but those.

Not here: what they do. Caches are in `books`, what reads return in `reads`, the restarts in `restarts`,
and what prints, asks the exchange, looks for releases or talks to a cluster in the files named after it.
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
"""Of this package, as `get_latest_version` tells of it; the interface is that of 2.14.0."""
_NAME = "depthcache"


class BinanceLocalDepthCacheManager(ThreadApi):
    """Depth caches of one exchange, by the interface of the old library. Any thread may use it.

    Making one opens nothing: the client begins with the first cache. Intended differences are listed in
    docs/how-to/coming-from-unicorn.md.

    Args:
        exchange: an exchange name, such as `binance.com` or `binance.com-futures`.
        default_refresh_interval: seconds; how often caches are refreshed that name nothing themselves.
        depth_cache_update_interval: milliseconds between updates; None for the bare stream of the exchange.
        on_restart: called with a lower-case market and a time (seconds since 1970) when the connection that
            carries it was replaced after a loss; on a thread of its own, where every method may be called.
        ubdcc_address, ubdcc_port: of a cluster, which is then `cluster`.
        ubra_manager: brings the snapshots; never stopped here.
        warn_on_update: True looks for a newer release in the background and says so on the logger; the
            default, which is nobody's choice, does not.
        settings: other hosts, proxies, patience, as of `depthcache.connect`; new here.

    The others are accepted and have no effect. Raises UnknownExchange, InvalidArgument, and
    DepthCacheClusterNotReachableError for an address where nothing answers.
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
        """Stop the manager; an exception is logged and goes on."""
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
        """Every cache by its lower-case name, as it is now; read-only."""
        return view_of_caches(self._books)

    @property
    def dc_streams(self) -> Mapping[str, Mapping[str, object]]:
        """The streams by the id of `get_dc_stream_id`, as they are now; read-only."""
        return view_of_streams(self.get_dc_stream_id(), self._books)

    @property
    def cluster(self) -> Cluster | None:
        """The cluster at `ubdcc_address`; None without one."""
        return self._cluster

    @property
    def ubra(self) -> Any:
        """What asks the exchange's REST interface: the given object, or a API with its calls."""
        return self._ubra

    @property
    def ubwa(self) -> Any:
        """A API with the state of the streams."""
        return self._ubwa

    # --- caches -------------------------------------------------------------------------------

    def create_depthcache(
        self, markets: str | list[str] | None = None, refresh_interval: float | None = None
    ) -> bool:
        """Begin caches; returns at once. None gives False; a market that is there goes on as it is.

        `markets`: one name or any iterable of names, in any case. `refresh_interval`: seconds, as the
        constructor's default. Raises InvalidArgument for what cannot be a symbol, DepthCacheAlreadyStopped
        after `stop_manager`.
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
        """The old name of `create_depthcache`."""
        logs.deprecated_name(old="create_depth_cache()", new="create_depthcache()")
        return self.create_depthcache(markets, refresh_interval)

    def _add_depthcache(self, market: str | None = None, refresh_interval: float | None = None) -> bool:
        """One cache, as `create_depthcache`; False without a market. Old tests and programs call it."""
        return isinstance(market, str) and bool(market) and self.create_depthcache(market, refresh_interval)

    @staticmethod
    def _select_from_depthcache(
        items: Mapping[str, float],
        limit_count: int | None = None,
        reverse: bool = False,
        threshold_volume: float | None = None,
    ) -> list[list[float]]:
        """The rules of `get_asks` (`reverse`: of `get_bids`) over a plain mapping of prices to quantities."""
        return select_from(items, limit_count, reverse, threshold_volume)

    def get_asks(
        self,
        market: str | None = None,
        limit_count: int | None = None,
        threshold_volume: float | None = None,
    ) -> list[list[float]]:
        """Asks as `[price, quantity]`, best (lowest) first, at most 1,000.

        `limit_count`: so many at most; negative as the end of a slice. `threshold_volume`: in the quote
        asset; levels as long as their values together do not exceed it, the first one always. Raises
        DepthCacheNotFound, DepthCacheOutOfSync, DepthCacheAlreadyStopped, in this order.
        """
        return self._books.known(market).read("asks", limit_count, threshold_volume)

    def get_bids(
        self,
        market: str | None = None,
        limit_count: int | None = None,
        threshold_volume: float | None = None,
    ) -> list[list[float]]:
        """Bids, best (highest) first; otherwise as `get_asks`."""
        return self._books.known(market).read("bids", limit_count, threshold_volume)

    def is_depth_cache_synchronized(self, market: str | None = None) -> bool:
        """Whether the cache can be trusted now; False once it is stopped. Raises DepthCacheNotFound."""
        return self._books.known(market).is_synced

    def get_last_update_time(self, market: str | None = None) -> int | None:
        """When the last update or snapshot was received: system time in milliseconds; None before one.

        Raises DepthCacheNotFound.
        """
        return self._books.known(market).last_update_ms

    def get_last_restart_time(self, market: str | None = None) -> float | None:
        """When the connection that carries the cache was last replaced after a loss: seconds since 1970.

        None for never. Raises DepthCacheNotFound, also for a stopped cache.
        """
        return self._books.running(market).restarted_at

    def get_restart_count(self, market: str | None = None) -> int:
        """How often that has happened. Raises DepthCacheNotFound, also for a stopped cache."""
        return self._books.running(market).restarts

    def get_dc_stream_id(self, market: str | None = None) -> str | None:
        """The key in `dc_streams` of the stream that carries the cache; of the one with room for more.

        None for an unknown or stopped market, and while there is no stream.
        """
        cache = None if market is None else self._books.get(market)
        carried = market is None or (cache is not None and not cache.stopped)
        return self._stream_id if carried and self._books.running_since else None

    def set_refresh_request(self, markets: str | list[str] | None = None) -> bool:
        """Have snapshots compared with, and merged into, these caches; they stay in sync and readable.

        None gives False. Raises DepthCacheNotFound, and does nothing then.
        """
        if markets is None:
            logs.nothing_given(method="set_refresh_request()")
            return False
        for cache in [self._books.known(market) for market in _listed(markets)]:
            cache.book.refresh()
        return True

    def set_resync_request(self, market: str | None = None, unsubscribe: bool = True) -> bool:
        """Rebuild a cache from a new snapshot; it is out of sync until the snapshot arrives.

        Its subscription stays: renewing it would gain nothing. Gives `unsubscribe`, as before. Raises
        InvalidArgument (a ValueError) for None, DepthCacheNotFound.
        """
        if market is None:
            raise InvalidArgument(name="market", value=market, allowed="the name of a cache")
        self._books.known(market).book.resync()
        return bool(unsubscribe)

    def set_credentials(self, api_key: str | None = None, api_secret: str | None = None) -> None:
        """Use these keys for requests from now on; `ubra` is another object then. Books need none.

        A given `ubra_manager` is let go, and goes on by itself.
        """
        if self._owns_ubra:
            self._ubra.stop_manager()
        self._owns_ubra, self._snapshot_ubra = True, None
        self._ubra = apis.make_ubra(self, api_key=api_key, api_secret=api_secret)

    def stop_depthcache(self, markets: str | list[str] | None = None) -> bool:
        """End caches and their subscriptions; None gives False. Raises DepthCacheNotFound."""
        if markets is None:
            logs.nothing_given(method="stop_depthcache()")
            return False
        for market in _listed(markets):
            self._books.stop(market)
        return True

    def stop_depth_cache(self, markets: str | list[str] | None = None) -> bool:
        """The old name of `stop_depthcache`."""
        logs.deprecated_name(old="stop_depth_cache()", new="stop_depthcache()")
        return self.stop_depthcache(markets)

    def get_list_of_depthcaches(self) -> list[str]:
        """The lower-case names of all caches that are not stopped, synced or not."""
        return [cache.market for cache in self._books if not cache.stopped and not cache.unknown]

    def get_list_of_depth_caches(self) -> list[str]:
        """The old name of `get_list_of_depthcaches`."""
        logs.deprecated_name(old="get_list_of_depth_caches()", new="get_list_of_depthcaches()")
        return self.get_list_of_depthcaches()

    def is_stop_request(self, market: str | None = None) -> bool:
        """Whether the manager, or that cache, was stopped; False for an unknown market."""
        cache = None if market is None else self._books.get(market)
        return self.stop_request or (cache is not None and cache.stopped)

    def stop_manager(self, close_api_session: bool = True) -> bool:
        """End all caches, connections and threads. A given `ubra_manager` goes on. May be called often."""
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
        """What is told of the newest release; None where it cannot be asked."""
        return Releases.latest_release_info()

    def get_latest_version(self) -> str | None:
        """The newest release; None where it cannot be asked."""
        return self._releases.latest_version()

    def is_update_available(self) -> bool:
        """Whether there is a newer release; False where it cannot be asked."""
        return self._releases.is_update_available()

    @staticmethod
    def get_version() -> str:
        """The version of this package."""
        return __version__

    @staticmethod
    def get_user_agent() -> str:
        """Name, version and Python, as in `depthcache_0.1.0-python_3.11.7`."""
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
        """Write the same as pictures into a folder."""
        summary.print_summary_to_png(
            self,
            print_summary_export_path=print_summary_export_path,
            height_per_row=height_per_row,
            add_string=add_string,
            footer=footer,
            title=title,
        )

    def stats(self) -> Stats:
        """Counters, ages and delays of books, connections and budgets, as `depthcache` has them; new here."""
        return self._books.stats()


def _source_of_snapshots(ubra: Any) -> Any:
    """What brings the snapshots; None for the client itself, as the API of this drop-in would have it do."""
    return None if isinstance(ubra, BinanceRestApiManager) else ubra


def _listed(markets: object) -> list[str]:
    """One name or several. Raises InvalidArgument for what is neither."""
    if isinstance(markets, str):
        return [markets]
    if not _is_listing(markets):
        raise InvalidArgument(name="markets", value=markets, allowed="a symbol, or a list of symbols")
    return list(markets)


def _is_listing(value: object) -> TypeGuard[Iterable[str]]:
    return hasattr(value, "__iter__") and not isinstance(value, Mapping | bytes)
