"""The contract of every transport with the runner, with and without sockets, on the same exchange."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from depthcache import venues
from depthcache.io.network.interface import Failure, Network, Response
from depthcache.simulator.http_server import HttpServer
from depthcache.simulator.interface import Close, Cut, Exchange, HttpResponse, Ping, Sent, Session, Text
from depthcache.simulator.memory_network import MemoryNetwork
from tests.support.peers import NETWORKS, NetworkLog

VENUE = "binance.com"


class Scripted(Session):
    """A session that does what the client's texts say."""

    def __init__(self, exchange: Script) -> None:
        self.exchange = exchange
        self.out: list[Sent] = list(exchange.greeting)

    def on_text(self, text: str, now_ns: int) -> None:
        self.exchange.heard.append(text)
        self.out += self.exchange.when.get(text, ())

    def on_pong(self, payload: bytes, now_ns: int) -> None:
        self.exchange.heard.append(payload)
        self.out.append(control(len(payload)))

    def on_ping(self, payload: bytes, now_ns: int) -> None:
        pass

    def on_close(self, now_ns: int) -> None:
        self.exchange.heard.append("gone")

    def take(self) -> list[Sent]:
        out, self.out = self.out, []
        return out


@dataclass
class Script(Exchange):
    """An exchange of one venue: what it says at first, and to what."""

    when: Mapping[str, list[Sent]] = field(default_factory=dict)
    greeting: list[Sent] = field(default_factory=list)
    refusal: HttpResponse | None = None
    heard: list[object] = field(default_factory=list)

    def venues(self) -> tuple[str, ...]:
        return (VENUE,)

    def symbols(self, venue: str) -> tuple[str, ...]:
        return ("BTCUSDT",)

    def request(self, venue: str, target: str, now_ns: int, *, client: str = "client") -> HttpResponse:
        return HttpResponse(200, target.encode())

    def accept(
        self, venue: str, target: str, now_ns: int, *, client: str = "client"
    ) -> Session | HttpResponse:
        return Scripted(self) if self.refusal is None else self.refusal

    def advance(self, now_ns: int) -> None:
        pass

    def next_ns(self) -> int | None:
        return None


@dataclass
class Stage:
    network: Network
    listener: NetworkLog
    websocket: str
    rest: str

    async def until(self, happened: Callable[[], object]) -> None:
        if not isinstance(self.network, MemoryNetwork):
            await self.listener.until(happened)
            return
        while not happened():
            next_ns = self.network.next_ns()
            assert next_ns is not None, "nothing will happen any more"
            self.network.step(next_ns)


@asynccontextmanager
async def playing(transport: str, exchange: Script) -> AsyncIterator[Stage]:
    listener = NetworkLog()
    if transport == "memory":
        ends = venues.venue(VENUE).endpoints
        memory = MemoryNetwork(exchange)
        memory.attach(listener.router, listener)
        yield Stage(memory, listener, f"{ends.websocket}/stream", ends.rest)
        return
    async with HttpServer(exchange, port=0) as http_server:
        network = NETWORKS[transport](use_proxies=False)
        network.attach(listener.router, listener)
        place = f"127.0.0.1:{http_server.port}/{VENUE}"
        try:
            yield Stage(network, listener, f"ws://{place}/stream", f"http://{place}")
        finally:
            await network.aclose()


pytestmark = pytest.mark.parametrize("transport", ["native", "aiohttp", "memory"])


def control(number: int) -> Text:
    return Text(json.dumps({"result": None, "id": number}))


async def test_a_connection_opens_talks_and_is_closed_by_us(transport: str) -> None:
    exchange = Script(when={"a": [control(1)], "b": [control(2), control(3)]})
    async with playing(transport, exchange) as stage:
        stage.network.open(1, stage.websocket)
        await stage.until(lambda: stage.listener.opened == [1])
        stage.network.send(1, "a")
        stage.network.send(1, "b")
        await stage.until(lambda: len(stage.listener.frames) == 3)
        stage.network.close(1)
        stage.network.close(1)
        await stage.until(lambda: stage.listener.closed)
        stage.network.send(1, "into the void")
        assert [json.loads(each)["id"] for _, each, _ in stage.listener.frames] == [1, 2, 3]
        assert stage.listener.log == ["open", "frame", "frame", "frame", "closed"]
    assert exchange.heard[:3] == ["a", "b", "gone"]


async def test_a_refused_handshake_ends_without_having_been_open(transport: str) -> None:
    async with playing(transport, Script(refusal=HttpResponse(503, b"no"))) as stage:
        stage.network.open(1, stage.websocket)
        await stage.until(lambda: stage.listener.closed)
        assert "HTTP 503" in stage.listener.closed[1].reason
        assert stage.listener.opened == []


@pytest.mark.parametrize("code", [1000, 1001, 1006 + 2, 1011, 1012, 4000])
async def test_a_goodbye_of_the_exchange_comes_after_its_last_frame(code: int, transport: str) -> None:
    exchange = Script(when={"x": [control(1), Close(code, "as asked")]})
    async with playing(transport, exchange) as stage:
        stage.network.open(1, stage.websocket)
        await stage.until(lambda: stage.listener.opened)
        stage.network.send(1, "x")
        await stage.until(lambda: stage.listener.closed)
        closed = stage.listener.closed[1]
        assert (closed.code, closed.reason) == (code, "as asked")
        assert stage.listener.log == ["open", "frame", "closed"]


async def test_a_cut_has_no_code(transport: str) -> None:
    async with playing(transport, Script(when={"x": [Cut()]})) as stage:
        stage.network.open(1, stage.websocket)
        await stage.until(lambda: stage.listener.opened)
        stage.network.send(1, "x")
        await stage.until(lambda: stage.listener.closed)
        assert stage.listener.closed[1].code is None


async def test_pings_are_answered_with_their_payload_and_are_no_sign_of_life(transport: str) -> None:
    exchange = Script(greeting=[Ping(b"1787602466354")])
    async with playing(transport, exchange) as stage:
        stage.network.open(1, stage.websocket)
        await stage.until(lambda: stage.listener.frames)
    assert exchange.heard[0] == b"1787602466354"
    assert stage.listener.alive == []


async def test_a_burst_is_reported_in_order_with_few_wake_ups(transport: str) -> None:
    count = 1_000
    exchange = Script(when={"x": [control(number) for number in range(count)]})
    async with playing(transport, exchange) as stage:
        stage.network.open(1, stage.websocket)
        await stage.until(lambda: stage.listener.opened)
        stage.network.send(1, "x")
        await stage.until(lambda: len(stage.listener.frames) == count)
        assert [json.loads(each)["id"] for _, each, _ in stage.listener.frames] == list(range(count))


async def test_many_connections_live_and_end_each_for_itself(transport: str) -> None:
    exchange = Script(when={"cut": [Cut()], "bye": [Close(1001, "away")], "say": [control(5)]})
    async with playing(transport, exchange) as stage:
        for number in (1, 2, 3):
            stage.network.open(number, stage.websocket)
        await stage.until(lambda: sorted(stage.listener.opened) == [1, 2, 3])
        stage.network.send(1, "cut")
        stage.network.send(2, "bye")
        await stage.until(lambda: set(stage.listener.closed) == {1, 2})
        stage.network.send(3, "say")
        stage.network.open(4, stage.websocket)  # reconnecting takes a new number
        await stage.until(lambda: stage.listener.frames and 4 in stage.listener.opened)
        assert [number for number, _, _ in stage.listener.frames] == [3]


async def test_requests_are_answered_once_and_wake_ups_come_in_time(transport: str) -> None:
    async with playing(transport, Script()) as stage:
        network, listener = stage.network, stage.listener
        network.fetch(1, f"{stage.rest}/api/v3/depth?symbol=BTCUSDT&limit=5", timeout_s=20.0)
        at_ns = network.now_ns() + 5_000_000
        network.wake_at(at_ns)
        await stage.until(lambda: 1 in listener.responses and listener.wakes == 1)
        assert network.now_ns() >= at_ns
        response = listener.responses[1]
        assert not isinstance(response, Failure)
        assert isinstance(response, Response)
        assert response.body == b"/api/v3/depth?symbol=BTCUSDT&limit=5"
