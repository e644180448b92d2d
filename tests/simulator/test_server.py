"""The embedded exchange on real sockets: paths, responses, closed clients, shutdown."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from time import monotonic, monotonic_ns, time
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientSession, WSMsgType

import depthcache
from depthcache import simulator
from depthcache.errors import InvalidArgument, UnknownExchange, UsageError
from depthcache.simulator.interface import Close, Cut, Exchange, HttpResponse, Ping, Sent, Session, Text
from depthcache.simulator.server import Server
from tests.simulator.recordings import Writer

DEADLINE_S = 20.0
MS = 1_000_000


class Talk(Session):
    """A session moved by its test, through what the client says."""

    is_dead = False

    def __init__(self) -> None:
        self.out: list[Sent] = []
        self.heard: list[object] = []

    def on_text(self, text: str, now_ns: int) -> None:
        self.heard.append(text)
        match text.split(":", 1):
            case ["echo", said]:
                self.out.append(Text(said))
            case ["ping", payload]:
                self.out.append(Ping(payload.encode()))
            case ["close", code]:
                self.out += [Text("last"), Close(int(code), "as asked"), Text("never")]
            case ["cut", _]:
                self.out += [Cut(), Text("never")]
            case ["flood", size]:
                self.out += [Text("x" * 1000)] * (int(size) // 1000)
            case ["surrogate", _]:
                self.out.append(Text("\ud800"))
            case ["fail", _]:
                raise RuntimeError("planted")

    def on_pong(self, payload: bytes, now_ns: int) -> None:
        self.out.append(Text(f"pong {payload.decode()}"))

    def on_ping(self, payload: bytes, now_ns: int) -> None:
        self.heard.append(payload)

    def on_close(self, now_ns: int) -> None:
        self.heard.append("closed")

    def take(self) -> list[Sent]:
        out, self.out = self.out, []
        return out


class Scripted(Exchange):
    """An exchange whose every word a test chooses."""

    def __init__(self, *names: str) -> None:
        self.names = names or ("binance.com", "binance.com-futures")
        self.asked: list[tuple[str, str]] = []
        self.sessions: list[Talk] = []
        self.response = HttpResponse(200, b"{}")
        self.due_ns: int | None = None
        self.advanced: list[int] = []
        self.on_advance: Callable[[], None] = lambda: None

    def venues(self) -> tuple[str, ...]:
        return self.names

    def symbols(self, venue: str) -> tuple[str, ...]:
        return ("BTCUSDT",)

    def request(self, venue: str, target: str, now_ns: int, *, client: str = "client") -> HttpResponse:
        self.asked.append((venue, target))
        return self.response

    def accept(
        self, venue: str, target: str, now_ns: int, *, client: str = "client"
    ) -> Session | HttpResponse:
        self.asked.append((venue, target))
        if "refused" in target:
            return HttpResponse(503, b"no")
        self.sessions.append(Talk())
        return self.sessions[-1]

    def advance(self, now_ns: int) -> None:
        self.advanced.append(now_ns)
        if self.due_ns is not None and now_ns >= self.due_ns:
            self.due_ns = None
            self.on_advance()

    def next_ns(self) -> int | None:
        return self.due_ns


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Any:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@pytest.fixture
async def http() -> Any:
    async with asyncio.timeout(DEADLINE_S), ClientSession() as session:
        yield session


async def until(happened: Callable[[], object]) -> None:
    """What happens on the server's thread is looked for in every turn of the loop, never waited a time."""
    while not happened():  # noqa: ASYNC110
        await asyncio.sleep(0)


async def text_of(line: aiohttp.ClientWebSocketResponse[bool]) -> str:
    message = await line.receive(timeout=DEADLINE_S)
    assert message.type is WSMsgType.TEXT, message
    return str(message.data)


# --- where ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "venue", "target"),
    [
        ("/binance.com/api/v3/depth?symbol=A%20B", "binance.com", "/api/v3/depth?symbol=A%20B"),
        ("/binance.com-futures/fapi/v1/time", "binance.com-futures", "/fapi/v1/time"),
        ("/trbinance.com/api/v3/time", "trbinance.com", "/api/v3/time"),
        ("/binance.tr/api/v3/time", "trbinance.com", "/api/v3/time"),
        ("/api/v3/ping", "binance.com", "/api/v3/ping"),
        ("/fapi/v1/ping", "binance.com-futures", "/fapi/v1/ping"),
        ("/dapi/v1/ping", "binance.com-coin_futures", "/dapi/v1/ping"),
        ("/eapi/v1/ping", "binance.com-vanilla-options", "/eapi/v1/ping"),
        ("/public/anything", "binance.com-futures", "/public/anything"),
    ],
)
async def test_every_venue_has_its_place(http: ClientSession, path: str, venue: str, target: str) -> None:
    names = ("binance.com-vanilla-options", "binance.com", "binance.com-futures", "binance.com-coin_futures")
    exchange = Scripted(*names, "trbinance.com")
    with Server(exchange) as server:
        async with http.get(aiohttp.client.URL(server.url + path, encoded=True)) as response:
            assert (response.status, await response.read()) == (200, b"{}")
            assert response.headers["Content-Type"] == "application/json;charset=UTF-8"
    assert exchange.asked == [(venue, target)]


@pytest.mark.parametrize(
    ("path", "venue", "target"),
    [
        ("/binance.com/stream?streams=a@depth", "binance.com", "/stream?streams=a@depth"),
        ("/binance.com-futures/public/ws", "binance.com-futures", "/public/ws"),
        ("/ws/a@depth", "binance.com", "/ws/a@depth"),
        ("/stream", "binance.com", "/stream"),
        ("/stream?streams=a@depth", "binance.com", "/stream?streams=a@depth"),
        ("/public/stream", "binance.com-futures", "/public/stream"),
        ("/market/ws", "binance.com-futures", "/market/ws"),
    ],
)
async def test_every_socket_has_its_place(http: ClientSession, path: str, venue: str, target: str) -> None:
    exchange = Scripted()
    with Server(exchange) as server:
        async with http.ws_connect(server.url + path) as line:
            await line.send_str("echo:hello")
            assert await text_of(line) == "hello"
    assert exchange.asked == [(venue, target)]


@pytest.mark.parametrize("path", ["/", "/nowhere", "/binance.us/api/v3/ping", "/dapi/v1/ping"])
async def test_what_is_not_served_is_not_found(http: ClientSession, path: str) -> None:
    with Server(Scripted()) as server:
        async with http.get(server.url + path) as response:
            assert response.status == 404


async def test_what_no_exchange_takes_is_refused(http: ClientSession) -> None:
    exchange = Scripted()
    with Server(exchange) as server:
        async with http.post(server.url + "/api/v3/ping") as response:
            assert response.status == 405
        headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
        async with http.get(server.url + "/ws", headers=headers) as response:
            assert response.status == 400
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await http.ws_connect(server.url + "/ws/refused")
        assert caught.value.status == 503


def test_settings_and_environment_lead_to_it() -> None:
    with Server(Scripted("binance.com", "binance.com-coin_futures")) as server:
        environment = dict(server.environment)
        assert environment["DEPTHCACHE_BINANCE_COM_COIN_FUTURES_REST"] == (
            server.url + "/binance.com-coin_futures"
        )
        from_environment = depthcache.Settings.from_environment(environment)
        assert from_environment.endpoints == server.settings.endpoints
        assert server.settings.endpoints["binance.com"].websocket.startswith("ws://127.0.0.1:")
        assert server.settings.proxies is False


# --- what arrives -----------------------------------------------------------------------------


async def test_status_headers_and_body_are_those_of_the_exchange(http: ClientSession) -> None:
    exchange = Scripted()
    exchange.response = HttpResponse(418, b"<html>", {"Retry-After": "120", "Content-Type": "text/html"})
    with Server(exchange) as server:
        async with http.get(server.url + "/api/v3/depth") as response:
            assert (response.status, await response.text()) == (418, "<html>")
            assert response.headers["Retry-After"] == "120"
            assert response.headers["Content-Type"] == "text/html"


async def test_a_late_response_delays_nothing_else(http: ClientSession) -> None:
    exchange = Scripted()
    with Server(exchange) as server:
        exchange.response = HttpResponse(200, b"late", delay_ns=100 * MS)
        begun_ns = monotonic_ns()
        late = asyncio.create_task(http.get(server.url + "/api/v3/depth").__aenter__())
        await until(lambda: exchange.asked)
        exchange.response = HttpResponse(200, b"soon")
        async with http.get(server.url + "/api/v3/depth") as response:
            assert await response.text() == "soon"
        assert not late.done()
        assert await (await late).text() == "late"
        assert monotonic_ns() - begun_ns >= 100 * MS


async def test_the_timer_moves_the_exchange_when_something_is_due(http: ClientSession) -> None:
    exchange = Scripted()
    with Server(exchange) as server:
        async with http.ws_connect(server.url + "/ws") as line:
            exchange.on_advance = lambda: exchange.sessions[0].out.append(Text("due"))
            exchange.due_ns = monotonic_ns() + 20 * MS
            await line.send_str("echo:set")
            assert await text_of(line) == "set"
            assert await text_of(line) == "due"


async def test_pings_go_both_ways(http: ClientSession) -> None:
    exchange = Scripted()
    with Server(exchange) as server:
        async with http.ws_connect(server.url + "/ws", autoping=False) as line:
            await line.send_str("ping:1790000000000")
            message = await line.receive()
            assert (message.type, bytes(message.data)) == (WSMsgType.PING, b"1790000000000")
            await line.pong(message.data)
            assert await text_of(line) == "pong 1790000000000"
            await line.ping(b"are you there")
            message = await line.receive()
            assert (message.type, bytes(message.data)) == (WSMsgType.PONG, b"are you there")
            assert exchange.sessions[0].heard[-1] == b"are you there"


# --- the end of a connection ------------------------------------------------------------------


async def test_a_close_comes_after_what_was_said_and_nothing_after_it(http: ClientSession) -> None:
    exchange = Scripted()
    with Server(exchange) as server:
        async with http.ws_connect(server.url + "/ws") as line:
            await line.send_str("close:4001")
            assert await text_of(line) == "last"
            message = await line.receive()
            assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 4001, "as asked")
        await until(lambda: "closed" in exchange.sessions[0].heard)


def raw_socket(server: Server) -> socket.socket:
    """A WebSocket without a library between the test and TCP."""
    line = socket.create_connection(server.url.removeprefix("http://").split(":"), timeout=DEADLINE_S)
    line.sendall(
        b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    response = b""
    while b"\r\n\r\n" not in response:
        response += line.recv(1)
    assert response.startswith(b"HTTP/1.1 101")
    return line


def say(line: socket.socket, text: str) -> None:
    """A masked text frame, the mask being zero."""
    line.sendall(bytes([0x81, 0x80 | len(text)]) + bytes(4) + text.encode())


def test_a_cut_is_a_reset_without_a_close_frame() -> None:
    exchange = Scripted()
    with Server(exchange) as server, raw_socket(server) as line:
        say(line, "cut:")
        with pytest.raises(ConnectionResetError):
            line.recv(100)


@pytest.mark.slow
def test_a_client_that_does_not_read_is_closed_once_its_buffer_is_full() -> None:
    exchange = Scripted()
    with Server(exchange, buffer_bytes=1_000_000) as server, raw_socket(server) as line:
        say(line, "flood:900000")
        got = b""
        while len(got) < 900_000:
            got += line.recv(100_000)
        say(line, "flood:30000000")
        tail = b""
        while part := line.recv(1_000_000):
            tail = (tail + part)[-200:]
        assert b"\x03\xf0too slow" in tail  # 1008


@pytest.mark.slow
async def test_a_paced_exchange_waits_for_its_readers_and_loses_nothing(http: ClientSession) -> None:
    exchange = Scripted()
    total = 300

    def more() -> None:
        exchange.sessions[0].out += [Text("x" * 100_000)]
        sent.append(1)
        exchange.due_ns = monotonic_ns() if len(sent) < total else None

    sent: list[int] = []
    exchange.on_advance = more
    with Server(exchange, paced=True, buffer_bytes=2_000_000) as server:
        async with http.ws_connect(server.url + "/ws") as line:
            exchange.due_ns = monotonic_ns()
            await line.send_str("echo:go")
            got = [await text_of(line) for _ in range(total + 1)]
    assert len(sent) == total
    assert sum(map(len, got)) == 100_000 * total + len("go")


@pytest.mark.slow
async def test_a_paced_exchange_gives_up_on_a_client_that_reads_nothing(
    http: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("depthcache.simulator.http_server._STUCK_NS", 200 * MS)
    monkeypatch.setattr("depthcache.simulator.http_server._LOOK_S", 0.02)
    exchange = Scripted()
    rounds = 300

    def more() -> None:
        for session in exchange.sessions:
            session.out += [Text("x" * 100_000)]
        played.append(1)
        exchange.due_ns = monotonic_ns() if len(played) < rounds else None

    played: list[int] = []
    exchange.on_advance = more
    with Server(exchange, paced=True) as server, raw_socket(server):
        async with http.ws_connect(server.url + "/ws") as reader:
            exchange.due_ns = monotonic_ns()
            await reader.send_str("echo:go")
            got = [await text_of(reader) for _ in range(rounds + 1)]
            await until(lambda: "closed" in exchange.sessions[0].heard)
    assert sum(map(len, got)) == 100_000 * rounds + len("go")


# --- the end of the server --------------------------------------------------------------------


async def test_closing_sends_a_close_frame_to_everybody(http: ClientSession) -> None:
    with Server(Scripted()) as server:
        lines = [await http.ws_connect(server.url + "/ws") for _ in range(3)]
        closing = asyncio.create_task(asyncio.to_thread(server.close))
        for line in lines:
            message = await line.receive()
            assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
        await closing
        server.close()
        with pytest.raises(aiohttp.ClientConnectorError):
            await http.get(server.url + "/api/v3/ping")


def test_a_client_that_ignores_the_close_frame_does_not_hold_it_up() -> None:
    server = Server(Scripted())
    with raw_socket(server):
        begun_ns = monotonic_ns()
        server.close()
        assert monotonic_ns() - begun_ns < 10_000 * MS


def test_a_port_that_is_taken_is_a_clear_error() -> None:
    with Server(Scripted()) as server:
        port = int(server.url.rsplit(":", 1)[1])
        with pytest.raises(InvalidArgument, match="in use") as caught:
            Server(Scripted(), port=port)
        assert (caught.value.name, caught.value.value) == ("port", port)
    Server(Scripted(), port=port).close()


@pytest.mark.parametrize("port", [-1, 65_536, True, "9000", None])
def test_a_port_that_cannot_be_is_refused(port: Any) -> None:
    with pytest.raises(InvalidArgument, match="port"):
        Server(Scripted(), port=port)


async def test_a_failure_of_the_exchange_is_raised_where_it_is_closed(http: ClientSession) -> None:
    exchange = Scripted()

    def fail() -> None:
        raise RuntimeError("planted")

    server = Server(exchange)
    async with http.ws_connect(server.url + "/ws") as line:
        exchange.on_advance, exchange.due_ns = fail, monotonic_ns()
        await line.send_str("echo:hello")
        message = await line.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1011)
    with pytest.raises(RuntimeError, match="planted"):
        await asyncio.to_thread(server.close)


# --- serve ------------------------------------------------------------------------------------


async def test_the_invented_exchange_is_served_wrapped_and_raw(http: ClientSession) -> None:
    with simulator.serve(seed=1, symbols={"binance.com": ["BTCUSDT"]}) as server:
        async with (
            http.ws_connect(server.url + "/stream") as combined,
            http.ws_connect(server.url + "/ws/btcusdt@depth@100ms") as raw,
        ):
            await combined.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@depth@100ms"], "id": 1})
            frames = [json.loads(await text_of(combined)) for _ in range(2)]
            assert {"result": None, "id": 1} in frames
            wrapped = next(frame for frame in frames if "stream" in frame)
            assert wrapped["stream"] == "btcusdt@depth@100ms"
            assert wrapped["data"]["e"] == json.loads(await text_of(raw))["e"] == "depthUpdate"
        async with http.get(server.url + "/api/v3/depth?symbol=BTCUSDT&limit=5") as response:
            body = await response.json()
            assert (len(body["bids"]), len(body["asks"])) == (5, 5)
            assert int(response.headers["X-MBX-USED-WEIGHT-1M"]) == 5


async def test_its_truth_is_told_from_any_thread(http: ClientSession) -> None:
    with simulator.serve(seed=1, symbols={"binance.com": ["BTCUSDT"]}) as server:
        async with http.get(server.url + "/api/v3/depth?symbol=BTCUSDT&limit=5") as response:
            body = await response.json()
        bids, asks = server.truth("binance.com", "BTCUSDT").book_at(body["lastUpdateId"])
        assert [list(map(Decimal, level)) for level in body["bids"]] == [list(level) for level in bids[:5]]
        assert [list(map(Decimal, level)) for level in body["asks"]] == [list(level) for level in asks[:5]]
        with pytest.raises(UnknownExchange):
            server.truth("binance.con", "BTCUSDT")
    with pytest.raises(UsageError, match="closed"):
        server.truth("binance.com", "BTCUSDT").book_at(1)


def test_what_does_not_fit_together_is_refused(tmp_path: Any) -> None:
    with pytest.raises(UsageError):
        simulator.serve(exchange="binance.com")
    with pytest.raises(UsageError):
        simulator.serve(seed=1, files=[tmp_path / "x"])
    with Server(Scripted()) as server, pytest.raises(UsageError, match="no known truth"):
        server.truth("binance.com", "BTCUSDT")


def test_simulated_markets_have_the_clock_of_this_machine_and_the_moves_of_their_seed() -> None:
    with simulator.serve(seed=3, symbols={"binance.com": ["BTCUSDT"]}) as server:
        exchange = server.exchange
        assert isinstance(exchange, simulator.SimulatedExchange)
        assert exchange.epoch_ms / 1e3 + monotonic_ns() / 1e9 == pytest.approx(time(), abs=5)
        told = server.on_exchange(
            lambda: exchange.request("binance.com", "/api/v3/time", monotonic_ns(), client="test")
        )
        assert json.loads(told.body)["serverTime"] / 1e3 == pytest.approx(time(), abs=5)

    def moves(epoch_ms: int) -> object:
        made = simulator.SimulatedExchange({"binance.com": ["BTCUSDT"]}, seed=3, epoch_ms=epoch_ms)
        made.request("binance.com", "/api/v3/depth?symbol=BTCUSDT&limit=5", 0)
        made.advance(5 * 10**9)
        return json.loads(made.request("binance.com", "/api/v3/depth?symbol=BTCUSDT&limit=5", 5 * 10**9).body)

    assert moves(1_700_000_000_000) == moves(1_800_000_000_000)


def test_a_port_in_use_is_said_with_what_to_do() -> None:
    with simulator.serve(seed=1, symbols={"binance.com": ["BTCUSDT"]}) as server:
        port = int(server.url.rpartition(":")[2])
        told = rf"^invalid port {port}: .* in use on 127\.0\.0\.1: choose another, or 0 for any free port$"
        with pytest.raises(InvalidArgument, match=told):
            simulator.serve(seed=1, port=port)


async def test_waiting_for_the_end_of_a_recording_ends_when_the_exchange_fails(
    http: ClientSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("planted")

    writer = Writer()
    writer.diff(0, 11, 12)
    server = simulator.serve(files=writer.write(tmp_path / "recording"), exchange="binance.us")
    monkeypatch.setattr(simulator.RecordedExchange, "advance", fail)
    async with http.get(server.url + "/binance.us/api/v3/ping") as response:
        assert response.status >= 500
    begun_s = monotonic()
    assert not server.wait_ended(DEADLINE_S)
    assert monotonic() < begun_s + DEADLINE_S
    with pytest.raises(RuntimeError, match="planted"):
        server.close()


def test_a_simulated_exchange_has_no_end_to_wait_for() -> None:
    with simulator.serve(seed=1, symbols={"binance.com": ["BTCUSDT"]}) as server:
        assert not server.has_ended
        with pytest.raises(UsageError, match="only a recording ends"):
            server.wait_ended(0)
