"""REST requests to an exchange within the shared weight budget, or to any other server.

    with depthcache.rest.Rest() as rest:
        response = rest.ask("binance.com", "/api/v3/exchangeInfo", weight=20)
        print(len(response.json()["symbols"]))

Requests share kept-alive connections on a background thread, for programs with and without an event loop.
"""

from __future__ import annotations

import asyncio
import json
import os
import weakref
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlencode

from depthcache._native import now_ns
from depthcache.arguments import parse_real, parse_whole
from depthcache.core.policy import to_ns
from depthcache.core.requests.responses import classify_response, error_in
from depthcache.errors import ConnectionFailed, InvalidArgument, RequestRejected, UsageError
from depthcache.io.budgets import shared_budgets
from depthcache.io.network.interface import Failure, Response
from depthcache.io.network.server_access import parse_access
from depthcache.io.thread import LoopEnded, LoopThread
from depthcache.pickling import OneProcess
from depthcache.settings import Settings

if TYPE_CHECKING:
    from depthcache.io.network.sessions import Sessions

__all__ = ["Rest", "RestResponse"]

T = TypeVar("T")
_Work = Callable[[], Coroutine[Any, Any, T]]

_NOT_RUNNING = "this session is closed: make another with Rest(…)"


@dataclass(frozen=True, slots=True)
class RestResponse:
    """An HTTP response.

    Attributes:
        url: the URL of the request.
        status: the HTTP status code.
        headers: the headers; names are lower case.
        body: the body as received.
        took_s: seconds from sending the request to the last byte of the response.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    took_s: float

    def json(self) -> Any:
        """The body parsed as JSON. Raises RequestRejected if it is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise _rejected(self) from None


class Rest(OneProcess):
    """A session for REST requests, for any thread and any event loop. It connects on the first request.

    `settings`: hosts, proxies, trusted certificates and the share of the weight; None takes
    `Settings.from_environment()`, which raises InvalidArgument for a wrong value. `ask` and `fetch` block;
    `ask_async` and `fetch_async` are for coroutines, and cancelling them ends the request.
    """

    _pickle_instead = "pickle its settings, and make a Rest(settings) there"

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings: Settings = Settings.from_environment() if settings is None else settings
        self._lock = Lock()
        self._process = os.getpid()
        self._thread: LoopThread | None = None
        self._sessions: _Sessions | None = None
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- requests to an exchange -----------------------------------------------------------

    def ask(
        self,
        exchange: str,
        path: str,
        *,
        weight: int,
        query: Mapping[str, object] | None = None,
        timeout: float = 10,
    ) -> RestResponse:
        """GET a path of an exchange, within the weight budget that all clients of this process share.

        Waits until the budget has room for the request.

        Args:
            exchange: an exchange name or alias.
            path: the path, such as `/api/v3/exchangeInfo`.
            weight: the request weight that the exchange charges for it.
            query: query parameters; those with the value None are left out.
            timeout: seconds for the whole call, including the wait for the budget.

        Raises:
            UnknownExchange: the name is unknown; the error suggests the closest ones.
            RequestRejected: the status is not 200.
            ConnectionFailed: no response, or no room in the budget, within `timeout`.
        """
        return self._call(lambda: self._ask(exchange, path, weight, query, timeout))

    async def ask_async(
        self,
        exchange: str,
        path: str,
        *,
        weight: int,
        query: Mapping[str, object] | None = None,
        timeout: float = 10,  # noqa: ASYNC109
    ) -> RestResponse:
        """As `depthcache.rest.Rest.ask`, for coroutines."""
        return await self._await(lambda: self._ask(exchange, path, weight, query, timeout))

    def used_weight(self, exchange: str) -> tuple[int, float] | None:
        """The request weight that `exchange` last counted for this address, and how many seconds ago.

        It comes from the newest response to any request of this process; None before the first. Raises
        UnknownExchange.
        """
        count = shared_budgets().of(self.settings.venue(exchange)).count
        return None if count is None else (count[0], (now_ns() - count[1]) / 1e9)

    # --- requests to other servers --------------------------------------------------------

    def fetch(
        self,
        url: str,
        *,
        query: Mapping[str, object] | None = None,
        posted: object = None,
        timeout: float = 10,
    ) -> RestResponse:
        """GET `url`, or POST `posted` to it as JSON. Redirects are not followed.

        `query`: query parameters; those with the value None are left out. A response of any status is
        returned. Raises ConnectionFailed without a response within `timeout` seconds, and InvalidArgument
        for a `query` together with a `url` that already has one.
        """
        return self._call(lambda: self._fetch(url, query, posted, timeout))

    async def fetch_async(
        self,
        url: str,
        *,
        query: Mapping[str, object] | None = None,
        posted: object = None,
        timeout: float = 10,  # noqa: ASYNC109
    ) -> RestResponse:
        """As `depthcache.rest.Rest.fetch`, for coroutines."""
        return await self._await(lambda: self._fetch(url, query, posted, timeout))

    def close(self) -> None:
        """Close the connections and end the thread. Pending requests fail. Safe to call more than once."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop()

    # --- inside ----------------------------------------------------------------------------

    async def _ask(
        self, exchange: str, path: str, weight: int, query: Mapping[str, object] | None, timeout_s: float
    ) -> RestResponse:
        venue = self.settings.venue(exchange)
        weight = parse_whole(weight, name="weight", allowed="a whole number, 0 or more", least=0)
        timeout_s = _timeout_s(timeout_s)
        urls = [_url(each.rest + path, query) for each in venue.servers or (venue.endpoints,)]
        url = urls[0]
        budget, policy = shared_budgets().of(venue), self.settings.policy
        ends_ns = now_ns() + to_ns(timeout_s)
        while (at_ns := budget.take(weight, policy, asked_ns := now_ns())) > asked_ns:
            if at_ns >= ends_ns:
                wait_s = (at_ns - asked_ns) / 1e9
                reason = f"the weight budget has no room for this request for another {wait_s:.1f} s"
                raise ConnectionFailed(url=url, reason=reason)
            await asyncio.sleep((at_ns - asked_ns) / 1e9)
        try:
            response = await self._fetch_first(urls, ends_ns)
        except BaseException:
            budget.on_failure(weight, now_ns())
            raise
        came_ns = now_ns()
        verdict = classify_response(
            response.status,
            response.headers,
            response.body,
            exchange_s=budget.exchange_s(came_ns),
            is_served=bool(venue.servers),
        )
        budget.on_response(weight, verdict, response.headers, came_ns)
        if response.status != 200:
            raise _rejected(response)
        return response

    async def _fetch_first(self, urls: Sequence[str], ends_ns: int) -> RestResponse:
        """The response of the first server that can be reached. Raises ConnectionFailed of the last one."""
        for left in range(len(urls), 1, -1):
            share_s = max(0.0, (ends_ns - now_ns()) / left / 1e9)
            with suppress(ConnectionFailed):
                return await self._fetch(urls[-left], None, None, share_s, of_exchange=True)
        timeout_s = max(0.0, (ends_ns - now_ns()) / 1e9)
        return await self._fetch(urls[-1], None, None, timeout_s, of_exchange=True)

    async def _fetch(
        self,
        url: str,
        query: Mapping[str, object] | None,
        posted: object,
        timeout_s: float,
        *,
        of_exchange: bool = False,
    ) -> RestResponse:
        from depthcache.io.network import http  # deferred: imports aiohttp

        assert self._sessions is not None  # noqa: S101 - this runs on the thread that made them
        timeout_s = _timeout_s(timeout_s)
        url, body = _url(url, query), None if posted is None else json.dumps(posted).encode()
        begun_ns, proxies = now_ns(), self.settings.proxies
        sessions = self._sessions.exchanges if of_exchange else self._sessions.others
        got = await http.fetch(sessions, url, timeout_s=timeout_s, use_proxies=proxies, posted=body)
        if isinstance(got, Failure):
            raise ConnectionFailed(url=url, reason=got.reason)
        return _response(url, got, begun_ns)

    def _call(self, work: _Work[T]) -> T:
        try:
            return self._running().call(work)
        except LoopEnded:
            raise UsageError(_NOT_RUNNING) from None

    async def _await(self, work: _Work[T]) -> T:
        try:
            return await asyncio.wrap_future(self._running().submit(work))
        except LoopEnded:
            raise UsageError(_NOT_RUNNING) from None

    def _running(self) -> LoopThread:
        if self._process != os.getpid():  # a forked child has neither the thread nor its lock
            self._process, self._lock, self._thread = os.getpid(), Lock(), None
        with self._lock:
            if self._closed:
                raise UsageError(_NOT_RUNNING)
            if self._thread is None:
                self._sessions = _Sessions(self.settings)
                thread = LoopThread(self._sessions, name="depthcache rest")
                thread.start()
                self._thread = thread
                weakref.finalize(self, thread.stop).atexit = False  # the thread notices the exit itself
            return self._thread


class _Sessions:
    """The HTTP sessions, open while their event loop runs.

    Only those of exchanges know the token and the fingerprint of a book server; no other host gets the token.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def __aenter__(self) -> Self:
        from depthcache.io.network.sessions import Sessions

        access, ca_file = parse_access(self._settings, None), self._settings.ca_file
        self.others: Sessions = Sessions(ca_file)
        self.exchanges: Sessions = self.others if access is None else Sessions(ca_file, access)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.exchanges.aclose()
        await self.others.aclose()


def _timeout_s(timeout: float) -> float:
    return parse_real(timeout, name="timeout", allowed="seconds, 0 or more", least=0)


def _url(url: str, query: Mapping[str, object] | None) -> str:
    given = {name: value for name, value in (query or {}).items() if value is not None}
    if "?" in url and given:
        raise InvalidArgument(name="url", value=url, allowed="a URL without a query when `query` is given")
    return f"{url}?{urlencode(given)}" if given else url


def _response(url: str, got: Response, begun_ns: int) -> RestResponse:
    return RestResponse(url, got.status, got.headers, got.body, (now_ns() - begun_ns) / 1e9)


def _rejected(response: RestResponse) -> RequestRejected:
    code, text = error_in(response.body)
    return RequestRejected(url=response.url, status=response.status, code=code, text=text)


def __dir__() -> list[str]:
    return list(__all__)
