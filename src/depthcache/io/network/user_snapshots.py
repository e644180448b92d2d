"""Snapshots from the user: a callable replaces the client's own snapshot requests.

A network that wraps the real one and sends snapshot requests to the callable, each on a separate thread. The
callable can block neither the event loop nor the exit of the program: calls that have not returned when the
client ends are abandoned. The core schedules and budgets these requests like its own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Thread
from typing import NamedTuple, TypeAlias
from urllib.parse import parse_qs

from depthcache import logs
from depthcache.errors import RequestRejected
from depthcache.io.network.interface import ClosableNetwork, Failure, Response
from depthcache.io.network.wrapping import WrappingNetwork
from depthcache.naming import publish

__all__ = ["OwnSnapshots", "SnapshotRequest", "SnapshotResponse", "SnapshotSource", "start_on_thread"]

_MOST_CALLS = 64
"""Most unfinished calls; a source with this many is not called again until one returns."""
_OK = 200


class SnapshotRequest(NamedTuple):
    """A depth snapshot that a client needs.

    Attributes:
        exchange, symbol: the book, spelled as in `LiveBook`.
        limit: levels a side. The response must use exactly this limit, because a response with fewer levels
            proves that there are no more.
        timeout_s: seconds after which the client stops waiting for the response.
    """

    exchange: str
    symbol: str
    limit: int
    timeout_s: float


class SnapshotResponse(NamedTuple):
    """A response of the user's own snapshot source.

    Attributes:
        body: the body that the exchange sent: bytes or text of a JSON object, or the parsed mapping.
        used_weight: the exchange's count of the weight used in this minute; None if unknown. With it, the
            client leaves room for other programs behind the same address.
    """

    body: bytes | str | Mapping[str, object]
    used_weight: int | None = None


SnapshotSource: TypeAlias = Callable[
    [SnapshotRequest], SnapshotResponse | bytes | str | Mapping[str, object] | None
]


class OwnSnapshots(WrappingNetwork):
    """A network that sends snapshot requests to the user's callable."""

    def __init__(
        self,
        inner: ClosableNetwork,
        source: SnapshotSource,
        exchanges_by_url: Mapping[str, str],
        *,
        start: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        """Create it on the running event loop.

        `exchanges_by_url`: snapshot URL without a query to exchange name. `start`: starts a call of the
        source; None takes `start_on_thread`."""
        super().__init__(inner)
        self._source, self._exchanges_by_url = source, exchanges_by_url
        self._start = start or start_on_thread
        self._calls = 0

    def fetch(self, request: int, url: str, *, timeout_s: float) -> None:
        """GET a URL, or call the source if it is a snapshot."""
        wanted = self._parse_request(url, timeout_s)
        if wanted is None:
            super().fetch(request, url, timeout_s=timeout_s)
            return
        self._spawn(self._ask(request, url, wanted))

    # --- inside -------------------------------------------------------------------------------

    def _parse_request(self, url: str, timeout_s: float) -> SnapshotRequest | None:
        base_url, _, query = url.partition("?")
        exchange = self._exchanges_by_url.get(base_url)
        if exchange is None:
            return None
        values = parse_qs(query)
        return SnapshotRequest(exchange, values["symbol"][0], int(values["limit"][0]), timeout_s)

    async def _ask(self, number: int, url: str, request: SnapshotRequest) -> None:
        response = await self._response(request)
        if self._closed:
            return
        if response is None:
            self._inner.fetch(number, url, timeout_s=request.timeout_s)
        else:
            self._callbacks.on_response(number, response)

    async def _response(self, request: SnapshotRequest) -> Response | Failure | None:
        if self._calls >= _MOST_CALLS:
            return Failure(f"{self._calls} calls of the snapshot source have not returned")
        done: asyncio.Future[Response | Failure | None] = self._loop.create_future()
        try:
            self._calls += 1
            self._start(lambda: self._call(request, done))
        except RuntimeError as error:  # the system cannot start another thread
            self._calls -= 1
            return Failure(f"the snapshot source could not be called: {error}")
        try:
            async with asyncio.timeout(request.timeout_s):
                return await done
        except TimeoutError:
            return Failure(f"the snapshot source did not return within {request.timeout_s:g} s")

    def _call(self, request: SnapshotRequest, done: asyncio.Future[Response | Failure | None]) -> None:
        """Call the source. Runs on a separate thread."""
        try:
            response = _response(self._source(request))
        except RequestRejected as error:
            body = json.dumps({"code": error.code, "msg": error.text}).encode()
            response = Response(error.status, {}, body)
        except BaseException as error:  # noqa: BLE001 - no error of the source may stop the books
            logs.snapshot_source_failed(symbol=request.symbol, error=error)
            response = Failure(f"the snapshot source raised {_describe_error(error)}")
        with suppress(RuntimeError):  # the loop has ended meanwhile
            self._loop.call_soon_threadsafe(self._returned, done, response)

    def _returned(
        self, done: asyncio.Future[Response | Failure | None], response: Response | Failure | None
    ) -> None:
        self._calls -= 1
        if not done.done():
            done.set_result(response)


def start_on_thread(call: Callable[[], None]) -> None:
    """Run `call` on a new daemon thread. Raises RuntimeError if the system cannot start one."""
    Thread(target=call, name="depthcache snapshot", daemon=True).start()


def _describe_error(error: BaseException) -> str:
    """The type and text of an error, or its type alone if its text cannot be produced."""
    kind = type(error).__name__
    try:
        return f"{kind}: {error}"
    except Exception:  # noqa: BLE001 - an exception class of the program whose __str__ raises
        return kind


def _response(
    given: SnapshotResponse | bytes | str | Mapping[str, object] | None,
) -> Response | Failure | None:
    """The result of the source as a response of the exchange."""
    if given is None:
        return None
    body, used = given if isinstance(given, SnapshotResponse) else (given, None)
    if isinstance(body, Mapping):
        body = json.dumps(body)
    if isinstance(body, str):
        body = body.encode()
    if not isinstance(body, bytes | bytearray | memoryview):
        return Failure(f"the snapshot source returned {type(body).__name__}, not a body or None")
    headers = {} if used is None else {"x-mbx-used-weight-1m": str(used)}
    return Response(_OK, headers, bytes(body))


publish("depthcache", SnapshotResponse, SnapshotRequest)
