"""Snapshot sources of the user: what happens when they return, raise or hang."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

import depthcache
from depthcache import (
    InvalidArgument,
    RequestRejected,
    SnapshotRequest,
    SnapshotResponse,
    Status,
    UnknownSymbol,
    UsageError,
)
from depthcache.io.network import user_snapshots
from depthcache.io.network.interface import Failure, Response
from depthcache.io.network.user_snapshots import OwnSnapshots
from tests.support.by_hand import DEADLINE_S, ByHand

URL = "https://h/api/v3/depth?symbol=BTCUSDT&limit=100"
BOOK = {"lastUpdateId": 10, "bids": [["1.10", "5.0"]], "asks": [["1.20", "7.0"]]}


class Inner:
    """The network below, and the runner above."""

    def __init__(self) -> None:
        self.fetched: list[str] = []
        self.responses: list[Response | Failure] = []
        self.arrived = asyncio.Event()
        self.closed = False

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.fetched.append(name)

    def fetch(self, request: int, url: str, *, timeout_s: float) -> None:
        self.fetched.append(url)
        self.arrived.set()

    def abandon_sessions(self) -> None:
        pass

    async def aclose(self) -> None:
        self.closed = True

    # --- the runner ---------------------------------------------------------------------------

    def on_response(self, request: int, response: Response | Failure) -> None:
        self.responses.append(response)
        self.arrived.set()


async def ask(source: Callable[[SnapshotRequest], object], *, timeout_s: float = DEADLINE_S) -> Inner:
    inner = Inner()
    network = OwnSnapshots(inner, source, {"https://h/api/v3/depth": "binance.com"})  # type: ignore[arg-type]
    network.attach(object(), inner)  # type: ignore[arg-type]
    network.fetch(1, URL, timeout_s=timeout_s)
    async with asyncio.timeout(DEADLINE_S):
        await inner.arrived.wait()
    await network.aclose()
    assert inner.closed
    return inner


async def test_the_source_gets_the_request_on_another_thread() -> None:
    heard: list[object] = []

    def source(request: SnapshotRequest) -> bytes:
        heard.extend((request, threading.current_thread() is threading.main_thread()))
        return json.dumps(BOOK).encode()

    inner = await ask(source)
    assert heard == [SnapshotRequest("binance.com", "BTCUSDT", 100, DEADLINE_S), False]
    assert inner.responses == [Response(200, {}, json.dumps(BOOK).encode())]
    assert "https://h" not in "".join(inner.fetched)


@pytest.mark.parametrize(
    ("given", "headers"),
    [
        (json.dumps(BOOK), {}),
        (BOOK, {}),
        (SnapshotResponse(BOOK), {}),
        (SnapshotResponse(json.dumps(BOOK), used_weight=1234), {"x-mbx-used-weight-1m": "1234"}),
    ],
)
async def test_a_body_may_be_text_or_parsed_and_tell_the_used_weight(given: object, headers: object) -> None:
    inner = await ask(lambda _: given)
    (response,) = inner.responses
    assert isinstance(response, Response)
    assert json.loads(response.body) == BOOK
    assert response.headers == headers


async def test_none_leaves_the_request_to_the_client() -> None:
    inner = await ask(lambda _: None)
    assert inner.fetched[-1] == URL
    assert inner.responses == []


async def test_a_refusal_of_the_exchange_is_passed_on_as_its_answer() -> None:
    def source(request: SnapshotRequest) -> object:
        raise RequestRejected(url=URL, status=400, code=-1121, text="Invalid symbol.")

    inner = await ask(source)
    assert inner.responses == [Response(400, {}, b'{"code": -1121, "msg": "Invalid symbol."}')]


@pytest.mark.parametrize("error", [OSError("no way"), SystemExit(1), KeyboardInterrupt()])
async def test_whatever_else_a_source_raises_is_a_failure_of_this_request(error: BaseException) -> None:
    def source(request: SnapshotRequest) -> object:
        raise error

    inner = await ask(source)
    assert inner.responses == [Failure(f"the snapshot source raised {type(error).__name__}: {error}")]


async def test_nonsense_is_a_failure_that_names_it() -> None:
    inner = await ask(lambda _: 7)
    assert inner.responses == [Failure("the snapshot source returned int, not a body or None")]


async def test_a_source_that_hangs_holds_up_nothing_and_is_not_called_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(user_snapshots, "_MOST_CALLS", 2)
    release, calls = threading.Event(), []

    def source(request: SnapshotRequest) -> None:
        calls.append(request)
        release.wait(DEADLINE_S)

    inner = Inner()
    network = OwnSnapshots(inner, source, {"https://h/api/v3/depth": "binance.com"})  # type: ignore[arg-type]
    network.attach(object(), inner)  # type: ignore[arg-type]
    for request in range(3):
        network.fetch(request, URL, timeout_s=0.01)
    async with asyncio.timeout(DEADLINE_S):
        while len(inner.responses) < 3:
            inner.arrived.clear()
            await inner.arrived.wait()
    assert len(calls) == 2
    late = "the snapshot source did not return within 0.01 s"
    stuck = "2 calls of the snapshot source have not returned"
    assert sorted(response.reason for response in inner.responses if isinstance(response, Failure)) == [
        stuck,
        late,
        late,
    ]
    await network.aclose()
    release.set()


async def test_everything_but_snapshots_goes_on_as_it_is() -> None:
    inner = Inner()
    network = OwnSnapshots(inner, lambda _: None, {"https://h/api/v3/depth": "binance.com"})  # type: ignore[arg-type]
    network.attach(object(), inner)  # type: ignore[arg-type]
    network.fetch(1, "https://h/api/v3/time", timeout_s=1)
    network.open(1, "wss://h")
    network.send(1, "x")
    network.close(1)
    network.wake_at(5)
    network.now_ns()
    assert inner.fetched == ["attach", "https://h/api/v3/time", "open", "send", "close", "wake_at", "now_ns"]
    await network.aclose()


# --- a whole client ---------------------------------------------------------------------------


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> list[ByHand]:
    made: list[ByHand] = []

    def make(settings: depthcache.Settings) -> ByHand:
        made.append(ByHand(settings))
        return made[-1]

    monkeypatch.setattr("depthcache.client.aio.real_network", make)
    return made


async def test_a_book_begins_from_the_snapshot_of_the_users_own_source(exchange: list[ByHand]) -> None:
    books = depthcache.connect(
        "binance.com",
        ["BTCUSDT", "NOBODY"],
        settings=depthcache.Settings(),
        snapshots=lambda request: _known(request.symbol),
    )
    async with books:
        book = books["BTCUSDT"]
        await book.wait_synced(timeout=DEADLINE_S)
        assert book.best == ((1.1, 5.0), (1.2, 7.0), 10)
        with pytest.raises(UnknownSymbol):
            await books["NOBODY"].wait_synced(timeout=DEADLINE_S)
        assert exchange[0].asked == []
        (budget,) = books.stats().budgets
        assert budget.used >= 5
        exchange[0].cut()
        assert book.status is Status.DISCONNECTED
        await book.wait_synced(timeout=DEADLINE_S)
        assert (book.reconnects, book.reconnected_at is None) == (1, False)


async def test_a_book_is_refreshed_and_rebuilt_on_request_and_only_on_its_own_loop(
    exchange: list[ByHand],
) -> None:
    async with depthcache.connect("binance.com", ["BTCUSDT"], settings=depthcache.Settings()) as books:
        book = books["BTCUSDT"]
        await book.wait_synced(timeout=DEADLINE_S)
        book.refresh()
        book.refresh_every(3600)
        assert book.status is Status.SYNCED
        await book.audit(timeout=DEADLINE_S)  # in line behind it
        assert book.counters["refreshes"] >= 1
        book.resync()
        assert book.status is Status.BUFFERING
        await book.wait_synced(timeout=DEADLINE_S)
        assert book.counters["snapshots"] == 2
        for act in (book.refresh, book.resync, lambda: book.refresh_every(1)):
            with pytest.raises(UsageError, match="another event loop"):
                await asyncio.to_thread(act)
        with pytest.raises(InvalidArgument, match="seconds"):
            book.refresh_every(-1)
    for act in (book.refresh, book.resync):
        act()  # a closed book has nothing to do


def _known(symbol: str) -> object:
    if symbol == "NOBODY":
        raise RequestRejected(url=URL, status=400, code=-1121, text="Invalid symbol.")
    return BOOK


def test_a_source_that_cannot_be_called_is_refused_at_once() -> None:
    with pytest.raises(InvalidArgument, match="snapshots"):
        depthcache.connect("binance.com", [], snapshots=7)  # type: ignore[arg-type]
