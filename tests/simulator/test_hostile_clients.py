"""Hostile clients on raw sockets: none of them harms another client.

After every attempt, a new request still gets a response, and an earlier client still receives its market. For
simulated markets and for recordings.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import socket
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from depthcache import simulator
from depthcache.simulator.server import Server
from tests.simulator.recordings import Writer
from tests.simulator.test_server import Scripted

DEADLINE_S = 20.0
HOST = "127.0.0.1"
SPOT = "binance.com"
HANDSHAKE = (
    b"GET %b HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture(params=["invented", "recorded"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    if request.param == "invented":
        with simulator.serve(seed=1, symbols={SPOT: ["BTCUSDT"]}) as serving:
            yield serving
        return
    writer = Writer()
    writer.diff(0, 9, 10, "BTCUSDT")
    writer.snapshot(0, 10)
    for number in range(11, 2_000):
        writer.diff(0.01 * (number - 10), number, number, "BTCUSDT")
    path = writer.write(tmp_path / "recording")
    with simulator.serve(files=[path], exchange=SPOT) as serving:
        yield serving


def port_of(server: Server) -> int:
    return int(server.url.rsplit(":", 1)[1])


def connected(server: Server) -> socket.socket:
    return socket.create_connection((HOST, port_of(server)), timeout=DEADLINE_S)


def asked(server: Server, request: bytes) -> tuple[int, bytes]:
    """Status and body of one request on a connection of its own; 0 where it was closed without any."""
    with closing(connected(server)) as line:
        line.sendall(request)
        return answer_of(line)


def answer_of(line: socket.socket) -> tuple[int, bytes]:
    got = b""
    with contextlib.suppress(ConnectionError):
        while b"\r\n\r\n" not in got:
            part = line.recv(65_536)
            if not part:
                return 0, got
            got += part
    head, _, body = got.partition(b"\r\n\r\n")
    found = re.search(rb"(?i)content-length: *(\d+)", head)
    while found is not None and len(body) < int(found[1]) and (part := line.recv(65_536)):
        body += part
    return int(head.split()[1]), body


def get(server: Server, target: str | bytes, method: str = "GET") -> tuple[int, bytes]:
    target = target if isinstance(target, bytes) else target.encode()
    return asked(
        server, method.encode() + b" " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )


def shaken(server: Server, target: bytes = b"/ws") -> socket.socket:
    """A WebSocket without a library between the test and TCP."""
    line = connected(server)
    line.sendall(HANDSHAKE % target)
    got = b""
    while b"\r\n\r\n" not in got:
        part = line.recv(1)
        assert part, got
        got += part
    assert got.startswith(b"HTTP/1.1 101"), got
    return line


def framed(payload: bytes, first: int = 0x81) -> bytes:
    """A masked frame, the mask being zero."""
    if len(payload) < 126:
        head = struct.pack(">BB", first, 0x80 | len(payload))
    elif len(payload) < 1 << 16:
        head = struct.pack(">BBH", first, 0x80 | 126, len(payload))
    else:
        head = struct.pack(">BBQ", first, 0x80 | 127, len(payload))
    return head + bytes(4) + payload


def frame_of(line: socket.socket) -> tuple[int, bytes]:
    """First byte and payload of the next frame; (0, b"") at the end of the connection."""
    try:
        head = exactly(line, 2)
        size = head[1] & 0x7F
        if size >= 126:
            size = int.from_bytes(exactly(line, 2 if size == 126 else 8), "big")
        return head[0], exactly(line, size)
    except ConnectionError:
        return 0, b""


def exactly(line: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        part = line.recv(size - len(got))
        if not part:
            raise ConnectionError
        got += part
    return got


def reply_of(line: socket.socket) -> dict[str, Any]:
    """The next frame that is no market data."""
    while True:
        first, payload = frame_of(line)
        if first == 0x81 and b'"depthUpdate"' not in payload:
            return json.loads(payload)
        assert first in (0x81, 0x89), (first, payload)


@contextmanager
def unhurt(server: Server) -> Iterator[None]:
    """A listener from before hears its market go on, and whatever is asked anew is answered."""
    with closing(shaken(server, b"/ws/btcusdt@depth@100ms")) as listener:
        assert frame_of(listener)[0] == 0x81
        assert is_served(server)
        yield
        listener.sendall(framed(b'{"method":"LIST_SUBSCRIPTIONS","id":1}'))
        assert reply_of(listener) == {"result": ["btcusdt@depth@100ms"], "id": 1}
        first, payload = frame_of(listener)
        assert (first, b"depthUpdate" in payload) == (0x81, True)
        assert is_served(server)


def is_served(server: Server) -> bool:
    return get(server, "/api/v3/depth?symbol=BTCUSDT&limit=5")[0] in (200, 400)  # a recording may know fewer


# --- requests ---------------------------------------------------------------------------------

DEEP = "[" * 1_100
TARGETS = {
    "brackets": "/api/v3/exchangeInfo?symbols=" + DEEP,
    "escaped brackets": "/api/v3/exchangeInfo?symbols=" + "%5B" * 1_100,
    "closed brackets": "/api/v3/exchangeInfo?symbols=" + "[" * 1_100 + "]" * 1_100,
    "objects": "/api/v3/exchangeInfo?symbols=" + '{"a":'.replace('"', "%22") * 600,
    "a number": "/api/v3/exchangeInfo?symbols=7",
    "a text": "/api/v3/exchangeInfo?symbols=%22BTCUSDT%22",
    "null": "/api/v3/exchangeInfo?symbols=null",
    "no list": "/api/v3/exchangeInfo?symbols={}",
    "numbers": "/api/v3/exchangeInfo?symbols=[1,2]",
    "lists": "/api/v3/exchangeInfo?symbols=[[%22BTCUSDT%22]]",
    "objects in it": "/api/v3/exchangeInfo?symbols=[{}]",
    "a surrogate": "/api/v3/exchangeInfo?symbols=[%22%5Cud800%22]",
    "not a number": "/api/v3/exchangeInfo?symbols=[NaN]",
    "many digits": "/api/v3/exchangeInfo?symbols=" + "9" * 5_000,
    "both": "/api/v3/exchangeInfo?symbol=BTCUSDT&symbols=[%22BTCUSDT%22]",
    "nothing": "/api/v3/exchangeInfo?symbols=",
    "no symbol": "/api/v3/exchangeInfo?symbol=",
    "negative": "/api/v3/depth?symbol=BTCUSDT&limit=-1",
    "huge": "/api/v3/depth?symbol=BTCUSDT&limit=" + "9" * 5_000,
    "other digits": "/api/v3/depth?symbol=BTCUSDT&limit=%D9%A3",
    "zero": "/api/v3/depth?symbol=BTCUSDT&limit=0",
    "a fraction": "/api/v3/depth?symbol=BTCUSDT&limit=1.5",
    "no such symbol": "/api/v3/depth?symbol=" + "X" * 5_000,
    "a lone byte": "/api/v3/depth?symbol=%FF",
    "half an escape": "/api/v3/depth?symbol=%&limit=%zz",
    "a null byte": "/api/v3/depth?symbol=%00",
}


def test_a_bad_request_is_refused_alone(server: Server) -> None:
    is_recording = isinstance(server.exchange, simulator.RecordedExchange)
    with unhurt(server):
        for name, target in TARGETS.items():
            status, body = get(server, target)
            if is_recording and "exchangeInfo" in target:
                assert status == 200, name  # a recording tells all that it has, whatever is asked
            else:
                assert status == 400, (name, body)
                assert json.loads(body)["code"] in (-1100, -1102, -1105, -1121, -1128, -1130), (name, body)
            assert is_served(server), name


STRANGE = {
    "an address in the path": b"/binance.com//[x/api/v3/ping",
    "half an address": b"//[::1/api/v3/ping",
    "an odd host": b"//\xe2\x84\x80/api/v3/ping",
    "other encodings": b"/api/v3/exchangeInfo?symbol=\xff\xfe",
    "an odd path": b"/api/\xff\xfe",
    "no path": b"*",
    "a whole address": b"http://[/api/v3/ping",
    "a fragment": b"/api/v3/ping#x",
    "an unknown path": b"/api/v3/nothing",
    "a long one": b"/api/v3/ping?" + b"a&" * 100_000,
    "many slashes": b"/" * 8_000,
    "dots": b"/api/v3/../../etc/passwd",
    "a semicolon": b"/api/v3/ping;x=1?y=2",
}


def test_a_strange_target_harms_no_other_client(server: Server) -> None:
    with unhurt(server):
        for name, target in STRANGE.items():
            assert get(server, target)[0] in (0, 200, 400, 404, 414), name
            request = b"GET " + target + b" HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"
            assert asked(server, request)[0] in (0, 400, 404, 414), name
            assert is_served(server), name


def test_what_is_no_question_is_not_allowed(server: Server) -> None:
    with unhurt(server):
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
            assert get(server, "/api/v3/ping", method)[0] == 405
            assert get(server, "/nowhere", method)[0] == 404
        for method in ("CONNECT", "BREW", "G\xffT"):
            assert get(server, "/api/v3/ping", method)[0] in (0, 400, 404, 405)


def test_a_head_request_is_a_question_without_its_answer(server: Server) -> None:
    with unhurt(server):
        with closing(connected(server)) as line:
            line.sendall(b"HEAD /api/v3/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            got = b""
            while part := line.recv(1_000):
                got += part
        assert got.startswith(b"HTTP/1.1 200")
        assert got.endswith(b"\r\n\r\n")


NO_HTTP = {
    "a greeting of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "zeros": bytes(20_000),
    "two lengths": b"GET /api/v3/ping HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a wrong chunk": b"POST /api/v3/ping HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    "a huge header": b"GET /api/v3/ping HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    "many headers": b"GET /api/v3/ping HTTP/1.1\r\n" + b"X: y\r\n" * 50_000 + b"\r\n",
    "an odd expectation": b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n\r\n",
    "no version": b"GET /api/v3/ping\r\n\r\n",
}


def test_invalid_http_harms_no_other_client(server: Server) -> None:
    with unhurt(server):
        for name, said in NO_HTTP.items():
            with contextlib.suppress(ConnectionError):
                assert asked(server, said)[0] in (0, 200, 400, 405, 417, 431), name
            assert is_served(server), name


BAD_HANDSHAKES = {
    "no key": b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n",
    "a short key": b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n",
    "another version": b"Connection: Upgrade\r\nSec-WebSocket-Version: 99\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
    "no connection": b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
    "odd bytes": b"Connection: Upgrade\r\nSec-WebSocket-Key: \xff\xfe\r\n",
}


def test_a_bad_handshake_is_refused_alone(server: Server) -> None:
    with unhurt(server):
        for name, headers in BAD_HANDSHAKES.items():
            request = b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n" + headers + b"\r\n"
            assert asked(server, request)[0] in (0, 400, 426), name
            assert is_served(server), name


# --- messages ---------------------------------------------------------------------------------

LIST = '{"method":"LIST_SUBSCRIPTIONS","id":%s}'
MESSAGES = {
    "brackets": "[" * 1_100,
    "more brackets": "[" * 300_000,
    "a deep subscription": '{"method":"SUBSCRIBE","id":1,"params":' + "[" * 100_000,
    "a deep subscription that ends": '{"method":"SUBSCRIBE","id":1,"params":' + "[" * 900 + "]" * 900 + "}",
    "a deep method": '{"id":1,"method":' + "[" * 950 + "]" * 950 + "}",
    "a deep id": '{"method":"SUBSCRIBE","params":["a"],"id":' + "[" * 960 + "]" * 960 + "}",
    "a deep property": '{"method":"GET_PROPERTY","id":1,"params":' + "[" * 970 + "]" * 970 + "}",
    "many streams": json.dumps({"method": "SUBSCRIBE", "params": ["x"] * 200_000, "id": 1}),
    "many other streams": json.dumps(
        {"method": "UNSUBSCRIBE", "params": [str(i) for i in range(90_000)], "id": 1}
    ),
    "a huge id": LIST % ("9" * 100_000),
    "an id of text": LIST % ('"' + "x" * 100_000 + '"'),
    "a surrogate as an id": LIST % '"\\ud800"',
    "a surrogate in a stream": '{"method":"SUBSCRIBE","params":["\\udfff@depth"],"id":1}',
    "a surrogate as a method": '{"method":"\\ud800","id":1}',
    "an id that is no number": LIST % "NaN",
    "an endless id": LIST % "Infinity",
    "an id that is a list": LIST % "[1]",
    "an id that is an object": LIST % '{"a":1}',
    "a fraction": LIST % "1.5",
    "true": LIST % "true",
    "streams that are objects": '{"method":"SUBSCRIBE","params":[{}],"id":1}',
    "an object": '{"method":"SUBSCRIBE","params":{"a":1},"id":1}',
    "null": "null",
    "nothing": "",
    "a null byte": '{"method":"SUBSCRIBE","params":["\\u0000"],"id":1}',
}


@pytest.mark.parametrize("path", [b"/ws", b"/stream"])
def test_a_message_of_any_shape_is_answered_and_the_connection_goes_on(server: Server, path: bytes) -> None:
    with unhurt(server):
        for name, text in MESSAGES.items():
            with closing(shaken(server, path)) as line:
                line.sendall(framed(text.encode()))
                response = reply_of(line)
                assert response.keys() in ({"result", "id"}, {"error", "id"}), name
                if response.get("error", {}).get("code") != 4:  # too many streams are the end
                    line.sendall(framed(b'{"method":"LIST_SUBSCRIPTIONS","id":77}'))
                    assert reply_of(line)["id"] == 77, name
            assert is_served(server), name


FRAMES = {
    "bytes": framed(b"\x00\xff", 0x82),
    "no utf-8": framed(b"\xff\xfe"),
    "an unknown kind": framed(b"x", 0x83),
    "reserved bits": framed(b"x", 0xF1),
    "a long ping": framed(b"x" * 200, 0x89),
    "a strange pong": framed(b"x" * 125, 0x8A),
    "a piece of nothing": framed(b"x", 0x80),
    "an endless message": framed(b"x", 0x01) + framed(b"x" * 60_000, 0x00) * 20,
    "too much": framed(b"x" * 2_000_000),
    "a length that lies": b"\x81\xff" + b"\xff" * 8,
    "a strange close": framed(b"\x00", 0x88),
    "a close of no code": framed(struct.pack(">H", 9), 0x88),
    "pings": framed(b"x" * 100, 0x89) * 1_000,
}


def test_a_frame_of_any_kind_harms_no_other_client(server: Server) -> None:
    with unhurt(server):
        for name, said in FRAMES.items():
            with closing(shaken(server)) as line, contextlib.suppress(ConnectionError):
                line.sendall(said)
            assert is_served(server), name


def test_streams_of_any_name_in_a_url_can_be_listed(server: Server) -> None:
    targets = (b"/ws/%FF@depth", b"/stream?streams=%ff/%", b"/ws/" + b"a/" * 3_000, b"/ws/%00")
    with unhurt(server):
        for target in targets:
            with closing(shaken(server, target)) as line:
                line.sendall(framed(b'{"method":"LIST_SUBSCRIPTIONS","id":1}'))
                assert reply_of(line)["id"] == 1


# --- connections ------------------------------------------------------------------------------


def test_resets_at_any_moment_harm_no_other_client(server: Server) -> None:
    subscribe = framed(b'{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms"],"id":1}')
    hello = HANDSHAKE % b"/ws/btcusdt@depth"
    with unhurt(server):
        for said in (b"", b"GET", hello[:-2], hello, hello + subscribe, hello + subscribe[:9]):
            line = connected(server)
            line.sendall(said)
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            line.close()


def test_clients_that_never_finish_a_request_delay_no_other_client(server: Server) -> None:
    with contextlib.ExitStack() as open_ones, unhurt(server):
        for number in range(100):
            line = open_ones.enter_context(closing(connected(server)))
            line.sendall((b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\nX-A: ", b"G", b"")[number % 3])


@pytest.mark.slow
def test_a_thousand_connections_are_served_or_refused_without_harm_to_others() -> None:
    """Three hundred handshakes in five minutes are allowed; the others are refused, or ask nothing."""
    with (
        simulator.serve(seed=1, symbols={SPOT: ["BTCUSDT"]}) as server,
        unhurt(server),
        contextlib.ExitStack() as open_ones,
    ):
        lines = [open_ones.enter_context(closing(connected(server))) for _ in range(1_000)]
        for line in lines[:400]:
            line.sendall(HANDSHAKE % b"/ws/btcusdt@depth@100ms")
        statuses = [answer_of(line)[0] for line in lines[:400]]
    assert statuses == [101] * 299 + [429] * 101


@pytest.mark.slow
def test_a_client_that_reads_nothing_not_even_the_close_frame_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("depthcache.simulator.http_server._CLOSE_S", 0.05)
    exchange = Scripted()
    with Server(exchange, buffer_bytes=1_000_000) as server, closing(shaken(server)) as line:
        while "closed" not in exchange.sessions[0].heard:
            with contextlib.suppress(ConnectionError):
                line.sendall(framed(b"flood:900000"))
            assert (
                get(server, "/api/v3/ping")[0] == 200
            )  # what is said is written meanwhile, until all is full
        ends = monotonic() + DEADLINE_S
        while open_sockets(server):
            assert monotonic() < ends


def open_sockets(server: Server) -> int:
    """How many connections the server's side holds."""
    return server.on_exchange(lambda: len(server._http_server._runner.server.connections))


def test_refused_requests_without_end_are_noted_within_bounds() -> None:
    exchange = simulator.SimulatedExchange({SPOT: {"BTCUSDT": simulator.TINY}})
    for _ in range(1_100 + 6_000 // 250):
        exchange.request(SPOT, "/api/v3/depth?symbol=BTCUSDT&limit=5000&x=" + "x" * 5_000, 0)
    assert len(exchange.breaches) == 1_000
    assert max(map(len, exchange.breaches)) == 200


# --- what nobody foresaw ----------------------------------------------------------------------


class Broken(Scripted):
    """An exchange that raises where it is told to."""

    def request(self, venue: str, target: str, now_ns: int, *, client: str = "client") -> Any:
        if "broken" in target:
            raise RecursionError("planted")
        return super().request(venue, target, now_ns, client=client)

    def accept(self, venue: str, target: str, now_ns: int, *, client: str = "client") -> Any:
        if "broken" in target:
            raise ZeroDivisionError("planted")
        return super().accept(venue, target, now_ns, client=client)


def test_whatever_one_request_raises_is_its_own_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with Server(Broken()) as server, closing(shaken(server)) as listener:
        status, body = get(server, "/api/v3/broken")
        assert (status, json.loads(body)["code"]) == (500, -1000)
        request = b"GET /ws/broken HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        assert asked(server, request)[0] == 500
        assert get(server, "/api/v3/ping") == (200, b"{}")
        listener.sendall(framed(b"echo:still here"))
        assert frame_of(listener) == (0x81, b"still here")
    told = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == 2
    assert "/api/v3/broken" in told[0].getMessage()
    assert "planted" in caplog.text


def test_whatever_one_message_raises_ends_that_connection_alone(caplog: pytest.LogCaptureFixture) -> None:
    with Server(Scripted()) as server, closing(shaken(server)) as listener:
        for said in (b"fail:now", b"echo:\xed\xa0\x80"):
            with closing(shaken(server)) as line:
                line.sendall(framed(said))
                first, payload = frame_of(line)
                assert (first, payload[:2]) in (
                    (0x88, struct.pack(">H", 1011)),
                    (0x88, struct.pack(">H", 1007)),
                )
        listener.sendall(framed(b"echo:still here"))
        assert frame_of(listener) == (0x81, b"still here")
    assert "planted" in caplog.text


def test_a_text_that_cannot_be_sent_ends_that_connection_alone(caplog: pytest.LogCaptureFixture) -> None:
    with Server(Scripted()) as server, closing(shaken(server)) as listener:
        with closing(shaken(server)) as line:
            line.sendall(framed(b"surrogate:"))
            assert frame_of(line)[1][:2] == struct.pack(">H", 1011)
        listener.sendall(framed(b"echo:still here"))
        assert frame_of(listener) == (0x81, b"still here")
    assert "UnicodeEncodeError" in caplog.text
