"""REST requests beside live books: to an exchange within the weight budget, or to any other server.

    with depthcache.rest.Rest() as rest:
        answer = http.ask("binance.com", "/api/v3/exchangeInfo", weight=20)
        print(len(answer.json()["symbols"]))

One kept-alive session on a thread of its own, for programs with and without an event loop. Not here:
what is asked, and what an answer means beyond its HTTP status.
"""

from __future__ import annotations

import asyncio
import json
import os
import weakref
from collections.abc import Callable, Coroutine, Mapping
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
        status: the HTTP status.
        headers: header names are lower case.
        body: as it came.
        took_s: seconds from sending to the last byte.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    took_s: float

    def json(self) -> Any:
        """The body read as JSON. Raises RequestRejected where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise _rejected(self) from None


class Rest(OneProcess):
    """A session. Any thread and any event loop may use it; it opens nothing before the first question.

    `settings`: hosts, proxies, authorities, and the share of the weight; None takes
    `Settings.from_environment()`. Raises InvalidArgument where those cannot work. Every method with a
    request has a twin with `_async` for coroutines, where cancelling ends the request.
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

    # --- questions to an exchange ----------------------------------------------------------

    def ask(
        self,
        exchange: str,
        path: str,
        *,
        weight: int,
        query: Mapping[str, object] | None = None,
        timeout: float = 10,
    ) -> RestResponse:
        """GET something of an exchange; waits for its turn in the budget that all clients of this process
        share.

        Args:
            exchange: an exchange name.
            path: such as `/api/v3/exchangeInfo`.
            weight: what the exchange counts for it.
            query: parameters; None values are left out.
            timeout: seconds, for the turn and for the response.

        Raises:
            UnknownExchange: with the names most like it.
            RequestRejected: for every status but 200.
            ConnectionFailed: when nothing came, or there was no turn in time.
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
        """As `depthcache.rest.Rest.ask`."""
        return await self._await(lambda: self._ask(exchange, path, weight, query, timeout))

    def used_weight(self, exchange: str) -> tuple[int, float] | None:
        """The weight that this `exchange` counted last for this address, whoever of this process asked, and
        how many seconds ago; None while that is unknown. Raises UnknownExchange."""
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
        """GET a `url`, or POST it with JSON where something is `posted`. Redirects are not followed.

        `query`: parameters, None values are left out. Every status is a response. Raises ConnectionFailed
        when nothing came within `timeout` seconds, InvalidArgument for a `url` that has a query already.
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
        """As `depthcache.rest.Rest.fetch`."""
        return await self._await(lambda: self._fetch(url, query, posted, timeout))

    def close(self) -> None:
        """End the connections and the thread; requests on their way fail. May be called more than once."""
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
        url = _url(venue.endpoints.rest + path, query)
        budget, policy = shared_budgets().of(venue), self.settings.policy
        ends_ns = now_ns() + to_ns(timeout_s)
        while (at_ns := budget.take(weight, policy, asked_ns := now_ns())) > asked_ns:
            if at_ns >= ends_ns:
                reason = f"the weight budget has no room for it for {(at_ns - asked_ns) / 1e9:.1f} s"
                raise ConnectionFailed(url=url, reason=reason)
            await asyncio.sleep((at_ns - asked_ns) / 1e9)
        try:
            response = await self._fetch(url, None, None, max(0.0, (ends_ns - now_ns()) / 1e9))
        except BaseException:
            budget.on_failure(weight, now_ns())
            raise
        came_ns = now_ns()
        verdict = classify_response(
            response.status, response.headers, response.body, exchange_s=budget.exchange_s(came_ns)
        )
        budget.on_response(weight, verdict, response.headers, came_ns)
        if response.status != 200:
            raise _rejected(response)
        return response

    async def _fetch(
        self, url: str, query: Mapping[str, object] | None, posted: object, timeout_s: float
    ) -> RestResponse:
        from depthcache.io.network import http  # aiohttp is loaded by the first request

        assert self._sessions is not None  # noqa: S101 - this runs on the thread that made them
        timeout_s = _timeout_s(timeout_s)
        url, body = _url(url, query), None if posted is None else json.dumps(posted).encode()
        begun_ns, proxies = now_ns(), self.settings.proxies
        got = await http.fetch(
            self._sessions.open, url, timeout_s=timeout_s, use_proxies=proxies, posted=body
        )
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
        if self._process != os.getpid():  # the child after a fork has neither the thread nor its lock
            self._process, self._lock, self._thread = os.getpid(), Lock(), None
        with self._lock:
            if self._closed:
                raise UsageError(_NOT_RUNNING)
            if self._thread is None:
                self._sessions = _Sessions(self.settings)
                thread = LoopThread(self._sessions, name="depthcache rest")
                thread.start()
                self._thread = thread
                weakref.finalize(self, thread.stop).atexit = False  # the thread looks for that by itself
            return self._thread


class _Sessions:
    """The sessions, open while their loop runs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def __aenter__(self) -> Self:
        from depthcache.io.network.sessions import Sessions

        self.open: Sessions = Sessions(self._settings.ca_file)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.open.aclose()


def _timeout_s(timeout: float) -> float:
    return parse_real(timeout, name="timeout", allowed="seconds, 0 or more", least=0)


def _url(url: str, query: Mapping[str, object] | None) -> str:
    given = {name: value for name, value in (query or {}).items() if value is not None}
    if "?" in url and given:
        raise InvalidArgument(name="url", value=url, allowed="a URL without a query, where one is given")
    return f"{url}?{urlencode(given)}" if given else url


def _response(url: str, got: Response, begun_ns: int) -> RestResponse:
    return RestResponse(url, got.status, got.headers, got.body, (now_ns() - begun_ns) / 1e9)


def _rejected(response: RestResponse) -> RequestRejected:
    code, text = error_in(response.body)
    return RequestRejected(url=response.url, status=response.status, code=code, text=text)


def __dir__() -> list[str]:
    return list(__all__)
