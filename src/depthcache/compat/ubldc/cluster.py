"""The client of a cluster of depth caches (UBDCC), with the interface of the old library.

Methods return the server's dictionaries, including its errors (`result`, `error_id`, `message`). Without a
response they return `{"error": …}`: the blocking methods with the exception, those with `_async` with its
text. They raise only ValueError, for missing arguments.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self, cast

from depthcache import Settings, UsageError
from depthcache.compat.ubldc.cluster_endpoints import ClusterEndpoints
from depthcache.compat.ubldc.cluster_requests import Question, Requests, cluster_url
from depthcache.compat.ubldc.exceptions import DepthCacheClusterNotReachableError

__all__ = ["Cluster"]

_APP = "ubdcc-restapi"
"""The app name of a cluster's REST API."""
_Dict = dict[str, Any]


class Cluster:
    """A cluster at an address. Any thread and any event loop may use it.

    Args:
        address: a host name, an IP address, or a URL (`https://books.example`).
        port: the port; None and 80 are omitted from the URL.
        exchange: the default exchange of calls that name none.
        settings: proxies and trusted certificates; None takes `Settings.from_environment()`.

    Raises DepthCacheClusterNotReachableError if no cluster responds, and InvalidArgument for a malformed
    address.
    """

    address: str | None
    port: int | None
    exchange: str | None

    def __init__(
        self,
        address: str | None = None,
        port: int | None = None,
        *,
        exchange: str | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.address, self.port, self.exchange = address, port, exchange
        self.endpoints: ClusterEndpoints = ClusterEndpoints()
        self.url: str = cluster_url(address, port)
        self._requests = Requests(self.url, settings)
        if not self.test_connection():
            self.close()
            raise DepthCacheClusterNotReachableError(self.url)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; a later call opens new ones. Dropping the object closes them as well."""
        self._requests.close()

    # --- depth caches ----------------------------------------------------------------------

    def create_depthcache(
        self,
        exchange: str | None = None,
        market: str | None = None,
        desired_quantity: int | None = None,
        update_interval: int | None = None,
        refresh_interval: int | None = None,
        debug: bool = False,
        *,
        markets: str | Iterable[str] | None = None,
    ) -> _Dict:
        """Create a cache in the cluster, or several if `markets` are given.

        `desired_quantity`: number of nodes. `update_interval`: milliseconds between updates.
        `refresh_interval`: seconds between refreshes. Raises ValueError without a `market`.
        """
        options = (desired_quantity, update_interval, refresh_interval, debug)
        return self._requests.send(self._create(exchange, market, markets, *options))

    async def create_depthcache_async(
        self,
        exchange: str | None = None,
        market: str | None = None,
        desired_quantity: int | None = None,
        update_interval: int | None = None,
        refresh_interval: int | None = None,
        debug: bool = False,
        *,
        markets: str | Iterable[str] | None = None,
    ) -> _Dict:
        """As `create_depthcache`."""
        options = (desired_quantity, update_interval, refresh_interval, debug)
        return await self._requests.send_async(self._create(exchange, market, markets, *options))

    def create_depthcaches(
        self,
        exchange: str | None = None,
        markets: str | Iterable[str] | None = None,
        desired_quantity: int | None = None,
        update_interval: int | None = None,
        refresh_interval: int | None = None,
        debug: bool = False,
    ) -> _Dict:
        """Create several caches; existing ones continue. Raises ValueError without `markets`."""
        options = (desired_quantity, update_interval, refresh_interval, debug)
        return self._requests.send(self._create_several(exchange, markets, *options))

    async def create_depthcaches_async(
        self,
        exchange: str | None = None,
        markets: str | Iterable[str] | None = None,
        desired_quantity: int | None = None,
        update_interval: int | None = None,
        refresh_interval: int | None = None,
        debug: bool = False,
    ) -> _Dict:
        """As `create_depthcaches`."""
        options = (desired_quantity, update_interval, refresh_interval, debug)
        return await self._requests.send_async(self._create_several(exchange, markets, *options))

    def get_asks(
        self,
        exchange: str | None = None,
        market: str | None = None,
        limit_count: int | None = None,
        threshold_volume: float | None = None,
        debug: bool = False,
    ) -> _Dict:
        """Asks of a cache, best first: `{"asks": [[price, quantity], …], …}`. Raises ValueError."""
        endpoint = self.endpoints.get_asks
        return self._requests.send(
            self._side(endpoint, exchange, market, limit_count, threshold_volume, debug)
        )

    async def get_asks_async(
        self,
        exchange: str | None = None,
        market: str | None = None,
        limit_count: int | None = None,
        threshold_volume: float | None = None,
        debug: bool = False,
    ) -> _Dict:
        """As `get_asks`."""
        endpoint = self.endpoints.get_asks
        return await self._requests.send_async(
            self._side(endpoint, exchange, market, limit_count, threshold_volume, debug)
        )

    def get_bids(
        self,
        exchange: str | None = None,
        market: str | None = None,
        limit_count: int | None = None,
        threshold_volume: float | None = None,
        debug: bool = False,
    ) -> _Dict:
        """Bids of a cache, best first: `{"bids": [[price, quantity], …], …}`. Raises ValueError."""
        endpoint = self.endpoints.get_bids
        return self._requests.send(
            self._side(endpoint, exchange, market, limit_count, threshold_volume, debug)
        )

    async def get_bids_async(
        self,
        exchange: str | None = None,
        market: str | None = None,
        limit_count: int | None = None,
        threshold_volume: float | None = None,
        debug: bool = False,
    ) -> _Dict:
        """As `get_bids`."""
        endpoint = self.endpoints.get_bids
        return await self._requests.send_async(
            self._side(endpoint, exchange, market, limit_count, threshold_volume, debug)
        )

    def stop_depthcache(
        self, exchange: str | None = None, market: str | None = None, debug: bool = False
    ) -> _Dict:
        """Stop a cache. Raises ValueError."""
        return self._requests.send(self._of_market(self.endpoints.stop_depthcache, exchange, market, debug))

    async def stop_depthcache_async(
        self, exchange: str | None = None, market: str | None = None, debug: bool = False
    ) -> _Dict:
        """As `stop_depthcache`."""
        question = self._of_market(self.endpoints.stop_depthcache, exchange, market, debug)
        return await self._requests.send_async(question)

    def get_depthcache_info(
        self, exchange: str | None = None, market: str | None = None, debug: bool = False
    ) -> _Dict:
        """Location and state of a cache: `{"depthcache_info": {…}, …}`. Raises ValueError."""
        question = self._of_market(self.endpoints.get_depthcache_info, exchange, market, debug)
        return self._requests.send(question)

    async def get_depthcache_info_async(
        self, exchange: str | None = None, market: str | None = None, debug: bool = False
    ) -> _Dict:
        """As `get_depthcache_info`."""
        question = self._of_market(self.endpoints.get_depthcache_info, exchange, market, debug)
        return await self._requests.send_async(question)

    def get_depthcache_list(self, debug: bool = False) -> _Dict:
        """All caches: `{"depthcache_list": {exchange: {market: {…}}}, …}`."""
        return self._requests.send(Question(self.endpoints.get_depthcache_list, debug=debug))

    async def get_depthcache_list_async(self, debug: bool = False) -> _Dict:
        """As `get_depthcache_list`."""
        return await self._requests.send_async(Question(self.endpoints.get_depthcache_list, debug=debug))

    # --- the cluster -----------------------------------------------------------------------

    def get_cluster_info(self, debug: bool = False) -> _Dict:
        """The state of the cluster: `{"db": {…}, "version": …, …}`."""
        return self._requests.send(Question(self.endpoints.get_cluster_info, debug=debug))

    async def get_cluster_info_async(self, debug: bool = False) -> _Dict:
        """As `get_cluster_info`."""
        return await self._requests.send_async(Question(self.endpoints.get_cluster_info, debug=debug))

    def get_test(self) -> _Dict:
        """The test response of the server at the address."""
        return self._requests.send(Question(self.endpoints.test))

    async def get_test_async(self) -> _Dict:
        """As `get_test`."""
        return await self._requests.send_async(Question(self.endpoints.test))

    def test_connection(self) -> bool:
        """Whether a healthy cluster responds at the address."""
        return _is_cluster(self.get_test())

    async def test_connection_async(self) -> bool:
        """As `test_connection`."""
        return _is_cluster(await self.get_test_async())

    # --- credentials -----------------------------------------------------------------------

    def add_credentials(
        self,
        account_group: str | None = None,
        api_key: str | None = None,
        api_secret: str | None = None,
        debug: bool = False,
    ) -> _Dict:
        """Add the API keys of an account group: `{"id": …, …}`. Raises ValueError."""
        return self._requests.send(self._add_credentials(account_group, api_key, api_secret, debug))

    async def add_credentials_async(
        self,
        account_group: str | None = None,
        api_key: str | None = None,
        api_secret: str | None = None,
        debug: bool = False,
    ) -> _Dict:
        """As `add_credentials`."""
        question = self._add_credentials(account_group, api_key, api_secret, debug)
        return await self._requests.send_async(question)

    def remove_credentials(self, credential_id: str | None = None, debug: bool = False) -> _Dict:
        """Remove API keys by the id from `add_credentials`. Raises ValueError."""
        return self._requests.send(self._remove_credentials(credential_id, debug))

    async def remove_credentials_async(self, credential_id: str | None = None, debug: bool = False) -> _Dict:
        """As `remove_credentials`."""
        return await self._requests.send_async(self._remove_credentials(credential_id, debug))

    def get_credentials_list(self, debug: bool = False) -> _Dict:
        """The API keys of the cluster, masked: `{"credentials": [{…}, …], …}`."""
        return self._requests.send(Question(self.endpoints.get_credentials_list, debug=debug))

    async def get_credentials_list_async(self, debug: bool = False) -> _Dict:
        """As `get_credentials_list`."""
        return await self._requests.send_async(Question(self.endpoints.get_credentials_list, debug=debug))

    def submit_license(self, *_: object, **__: object) -> _Dict:
        """Only warn: licences ended with release 2.8.1."""
        warnings.warn("licences ended with release 2.8.1: nothing is sent", DeprecationWarning, stacklevel=2)
        return {"event": "SUBMIT_LICENSE", "result": "OK"}

    async def submit_license_async(self, *_: object, **__: object) -> _Dict:
        """As `submit_license`."""
        return self.submit_license()

    ubdcc_add_credentials = add_credentials
    ubdcc_add_credentials_async = add_credentials_async
    ubdcc_remove_credentials = remove_credentials
    ubdcc_remove_credentials_async = remove_credentials_async
    ubdcc_get_credentials_list = get_credentials_list
    ubdcc_get_credentials_list_async = get_credentials_list_async

    # --- requests --------------------------------------------------------------------------

    def _create(
        self,
        exchange: str | None,
        market: str | None,
        markets: str | Iterable[str] | None,
        desired_quantity: int | None,
        update_interval: int | None,
        refresh_interval: int | None,
        debug: bool,
    ) -> Question:
        options = (desired_quantity, update_interval, refresh_interval, debug)
        if market is None and markets is not None:
            return self._create_several(exchange, markets, *options)
        given = self._required(exchange=exchange, market=market)
        given |= _options(desired_quantity, update_interval, refresh_interval)
        return Question(self.endpoints.create_depthcache, given, posted=True, may_be_got=True, debug=debug)

    def _create_several(
        self,
        exchange: str | None,
        markets: str | Iterable[str] | None,
        desired_quantity: int | None,
        update_interval: int | None,
        refresh_interval: int | None,
        debug: bool,
    ) -> Question:
        listed = [markets] if isinstance(markets, str) else None if markets is None else list(markets)
        given = self._required(exchange=exchange, markets=listed)
        given |= _options(desired_quantity, update_interval, refresh_interval)
        return Question(self.endpoints.create_depthcaches, given, posted=True, may_be_got=True, debug=debug)

    def _side(
        self,
        endpoint: str,
        exchange: str | None,
        market: str | None,
        limit_count: int | None,
        threshold_volume: float | None,
        debug: bool,
    ) -> Question:
        given = self._required(exchange=exchange, market=market)
        given |= {"limit_count": limit_count, "threshold_volume": threshold_volume}
        return Question(endpoint, given, debug=debug)

    def _of_market(self, endpoint: str, exchange: str | None, market: str | None, debug: bool) -> Question:
        return Question(endpoint, self._required(exchange=exchange, market=market), debug=debug)

    def _add_credentials(
        self, account_group: str | None, api_key: str | None, api_secret: str | None, debug: bool
    ) -> Question:
        given = self._required(account_group=account_group, api_key=api_key, api_secret=api_secret)
        return Question(self.endpoints.add_credentials, given, posted=True, debug=debug)

    def _remove_credentials(self, credential_id: str | None, debug: bool) -> Question:
        given = self._required(credential_id=credential_id)
        return Question(
            self.endpoints.remove_credentials, {"id": given["credential_id"]}, posted=True, debug=debug
        )

    def _required(self, **given: object) -> _Dict:
        """The given arguments. Raises ValueError if one of them is missing."""
        if given.get("exchange", "") is None:
            given["exchange"] = self.exchange
        if any(value is None or value == [] for value in given.values()):
            raise UsageError(f"Missing mandatory parameter: {', '.join(given)}")
        return given


def _options(
    desired_quantity: int | None, update_interval: int | None, refresh_interval: int | None
) -> _Dict:
    return {
        "desired_quantity": desired_quantity,
        "update_interval": update_interval,
        "refresh_interval": refresh_interval,
    }


def _is_cluster(response: _Dict) -> bool:
    app = response.get("app")
    return response.get("result") == "OK" and isinstance(app, dict) and cast("_Dict", app).get("name") == _APP
