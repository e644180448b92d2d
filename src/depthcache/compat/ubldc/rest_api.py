"""The market data methods of UNICORN Binance REST API, which programs with depth caches call.

Requests use the weight budget that all clients of the process share. API keys are accepted and never sent,
because market data needs none. For accounts and orders, install unicorn-binance-rest-api and pass it to the
manager as `ubra_manager`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from time import time
from types import TracebackType
from typing import Any, Self, cast

from depthcache import (
    ExchangeError,
    InvalidArgument,
    RequestRejected,
    Settings,
    UnknownExchange,
    UsageError,
    venues,
)
from depthcache.pickling import OneProcess
from depthcache.rest import Rest

__all__ = ["AlreadyStoppedError", "BinanceAPIException", "BinanceRestApiManager", "UnknownExchange"]

_TIMEOUT_S = 10.0
_DEFAULT_LIMIT: Mapping[venues.Family, int] = {"spot": 100, "linear": 500, "inverse": 500, "options": 100}
"""Levels of a snapshot without a limit (spot docs, 2026-07-21; futures and options docs, 2026-05-28)."""
_TICKERS_WEIGHT = 4
"""Spot docs, rest-api "Symbol price ticker" without a symbol, 2026-07-21."""


class AlreadyStoppedError(UsageError):
    """The API was stopped."""


class BinanceAPIException(ExchangeError):
    """The exchange returned an error.

    Attributes:
        status_code: the HTTP status.
        code: the error code of Binance; 0 if there is none.
        message: the error message of Binance.
    """

    status_code: int
    code: int
    message: str

    def __init__(self, rejected: RequestRejected) -> None:
        self.status_code, self.code, self.message = rejected.status, rejected.code or 0, rejected.text
        super().__init__(f"APIError(code={self.code}): {self.message}")


class BinanceRestApiManager(OneProcess):
    """Market data over REST. Thread-safe; usable in `with`.

    Args:
        api_key, api_secret: accepted, never sent.
        exchange: an exchange name. Methods named `futures_…` and `options_…` use that family in the same
            environment (production, testnet, demo).
        settings: hosts, proxies and trusted certificates; None takes `Settings.from_environment()`. Not in
            the old library.

    All other arguments are accepted and have no effect, except a SOCKS proxy, which belongs in the
    environment. Raises UnknownExchange and InvalidArgument.
    """

    _pickle_instead = "pickle the answers"

    api_key: str | None

    def __init__(
        self,
        api_key: str | None = None,
        api_secret: str | None = None,
        requests_params: Mapping[str, object] | None = None,
        tld: str | None = None,
        warn_on_update: bool = True,
        exchange: str | None = None,
        disable_colorama: bool = False,
        debug: bool = False,
        socks5_proxy_server: str | None = None,
        socks5_proxy_user: str | None = None,
        socks5_proxy_pass: str | None = None,
        socks5_proxy_ssl_verification: bool = True,
        *,
        settings: Settings | None = None,
    ) -> None:
        if socks5_proxy_server is not None:
            allowed = "None; set the proxy in the environment: HTTPS_PROXY=socks5h://user:password@host:port"
            raise InvalidArgument(name="socks5_proxy_server", value=socks5_proxy_server, allowed=allowed)
        named = exchange or ("binance.us" if tld == "us" else "binance.com")
        self.exchange: str = venues.venue(named).name
        self.api_key, self._api_secret = api_key, api_secret
        self._rest = Rest(settings)
        self._weight: dict[str, Any] | None = None
        self._stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_manager()

    def __getattr__(self, name: str) -> Any:
        """Raise AttributeError with advice for methods that do not exist here."""
        if name.startswith("_"):
            raise AttributeError(name)
        instead = "install unicorn-binance-rest-api and pass it to the manager as ubra_manager"
        raise AttributeError(f"this API has only market data and no {name!r}: {instead}")

    # --- what is listed --------------------------------------------------------------------

    def get_exchange_info(self, **params: object) -> Any:
        """exchangeInfo of spot (of the same environment, or of Binance US). Raises BinanceAPIException."""
        return self._info(self._spot(), params)

    def futures_exchange_info(self, **params: object) -> Any:
        """exchangeInfo of USD-M futures."""
        return self._info(self._of("linear"), params)

    def futures_coin_exchange_info(self, **params: object) -> Any:
        """exchangeInfo of COIN-M futures."""
        return self._info(self._of("inverse"), params)

    def options_exchange_info(self) -> Any:
        """exchangeInfo of European options."""
        return self._info(self._of("options"), {})

    def get_symbol_info(self, symbol: str) -> dict[str, Any] | None:
        """The entry of one spot symbol in exchangeInfo; None if it is not listed."""
        wanted = symbol.upper()
        rows = self.get_exchange_info().get("symbols", [])
        return next((dict(row) for row in rows if row.get("symbol") == wanted), None)

    def get_all_tickers(self) -> Any:
        """The last price of every spot symbol: `[{"symbol": …, "price": …}, …]`."""
        return self._ask(self._spot(), "/api/v3/ticker/price", _TICKERS_WEIGHT)

    # --- snapshots -------------------------------------------------------------------------

    def get_order_book(self, **params: object) -> Any:
        """A depth snapshot of spot: `symbol=` and `limit=`."""
        return self._depth(self._spot(), params)

    def futures_order_book(self, **params: object) -> Any:
        """A depth snapshot of USD-M futures."""
        return self._depth(self._of("linear"), params)

    def futures_coin_order_book(self, **params: object) -> Any:
        """A depth snapshot of COIN-M futures."""
        return self._depth(self._of("inverse"), params)

    def options_order_book(self, **params: object) -> Any:
        """A depth snapshot of European options."""
        return self._depth(self._of("options"), params)

    # --- the exchange ----------------------------------------------------------------------

    def ping(self) -> Any:
        """Whether spot answers: `{}`."""
        return self._ask(self._spot(), venues.venue(self._spot()).ping_path, 1)

    def futures_ping(self) -> Any:
        """Whether USD-M futures answer: `{}`."""
        futures = self._of("linear")
        return self._ask(futures, venues.venue(futures).ping_path, 1)

    def get_server_time(self) -> Any:
        """The clock of spot: `{"serverTime": milliseconds}`."""
        return self._ask(self._spot(), venues.venue(self._spot()).time_path, 1)

    def futures_time(self) -> Any:
        """The clock of USD-M futures."""
        futures = self._of("linear")
        return self._ask(futures, venues.venue(futures).time_path, 1)

    def get_used_weight(
        self, cached: bool = False, cached_timeout: float | None = None
    ) -> dict[str, Any] | None:
        """The weight that the exchange counted for this address in this minute, of its own family:
        `{"weight": 17, "timestamp": seconds since 1970, "status_code": 200}`.

        `cached`: what was counted last, without a request, also for the books of this process; None while
        nothing was. `cached_timeout`: seconds; an older value is requested again.
        """
        if cached:
            known = self._seen()
            if known is not None and (cached_timeout is None or time() - known["timestamp"] < cached_timeout):
                return known
            if cached_timeout is None:
                return None
        self._ask(self.exchange, venues.venue(self.exchange).ping_path, 1)
        return self._seen()

    # --- the API --------------------------------------------------------------------------

    def stop_manager(self) -> bool:
        """Close its connections. Later calls raise AlreadyStoppedError."""
        self._stopped = True
        self._rest.close()
        return True

    def _seen(self) -> dict[str, Any] | None:
        counted = self._rest.used_weight(self.exchange)
        if counted is not None:
            weight, age_s = counted
            self._weight = {"status_code": 200, "timestamp": float(int(time() - age_s)), "weight": weight}
        return self._weight

    def _spot(self) -> str:
        return self.exchange if venues.venue(self.exchange).family == "spot" else self._of("spot")

    def _of(self, family: venues.Family) -> str:
        """The exchange name of a family in the same environment, or in production if it has none there."""
        return venues.of_family(family, venues.venue(self.exchange).environment).name

    def _info(self, exchange: str, params: Mapping[str, object]) -> Any:
        venue = venues.venue(exchange)
        return self._ask(exchange, venue.exchange_info_path, venue.exchange_info_weight, params)

    def _depth(self, exchange: str, params: Mapping[str, object]) -> Any:
        venue = venues.venue(exchange)
        limit = params.get("limit")
        number = int(str(limit)) if str(limit).isdecimal() else _DEFAULT_LIMIT[venue.family]
        try:
            weight = venue.snapshot_weight(number)
        except InvalidArgument:
            weight = venue.depth_weights[-1][1]  # a wrong limit: leave the error to the exchange
        return self._ask(exchange, venue.depth_path, weight, params)

    def _ask(self, exchange: str, path: str, weight: int, params: Mapping[str, object] | None = None) -> Any:
        if self._stopped:
            raise AlreadyStoppedError("this API has been stopped: create a new one")
        given = {name: _text(value) for name, value in (params or {}).items()}
        try:
            response = self._rest.ask(exchange, path, weight=weight, query=given, timeout=_TIMEOUT_S)
            return response.json()
        except RequestRejected as rejected:
            raise BinanceAPIException(rejected) from None


def _text(value: object) -> object:
    """A parameter in the format of Binance: booleans in lower case, lists as JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return json.dumps(list(cast("Iterable[object]", value)), separators=(",", ":"))
    return value
