"""Slow, oversized and too many senders: each is ended, and the others are served meanwhile."""

from __future__ import annotations

import gc
import os
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from time import monotonic
from typing import Any

import pytest

from depthcache import _native
from tests.server.asking import ADMIN, DEADLINE_S, PATH, ask, book, own_address, raw, serving

IDLE_S = 0.15


@pytest.fixture(scope="module")
def native() -> Iterator[Any]:
    with serving(idle_s=IDLE_S, body_bytes=1_000, header_bytes=8_192, delegation_s=0.01) as made:
        made.add("binance.com", "BTCUSDT", book())
        yield made


def dial(native: Any) -> socket.socket:
    return socket.create_connection(("127.0.0.1", native.port), timeout=DEADLINE_S)


def head(*headers: str, method: str = "GET", path: str = PATH) -> bytes:
    own = ("Host: 127.0.0.1", f"Authorization: Bearer {ADMIN}", *headers)
    return "\r\n".join([f"{method} {path} HTTP/1.1", *own, "", ""]).encode()


@pytest.mark.parametrize(
    "sent", [b"", b"P", b"PRI * HTTP/2.0\r\n", b"GET / HTTP/1.1\r\n", head()[:-2]], ids=repr
)
def test_a_sender_that_stops_in_the_middle_of_a_head_is_ended(native: Any, sent: bytes) -> None:
    assert raw(native.port, sent).split(b"\r\n")[0] in (b"", b"HTTP/1.1 408 Request Timeout")


def test_a_connection_without_another_request_is_ended(native: Any) -> None:
    with dial(native) as connection:
        connection.sendall(head())
        found = b""
        while part := connection.recv(1 << 16):
            found += part
    assert found.startswith(b"HTTP/1.1 200 OK")
    assert found.count(b"HTTP/1.1") == 1


def test_a_body_that_stops_in_the_middle_is_refused(native: Any) -> None:
    sent = head("Content-Length: 100", "Content-Type: application/json", method="PUT") + b'{"depth"'
    assert raw(native.port, sent).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    "headers", [["Content-Length: 1001"], ["Transfer-Encoding: chunked"]], ids=["length", "chunked"]
)
def test_a_body_that_is_too_large_is_refused(native: Any, headers: list[str]) -> None:
    body = b"x" * 1_001 if "Length" in headers[0] else b"3e9\r\n" + b"x" * 1_001 + b"\r\n0\r\n\r\n"
    sent = head(*headers, "Connection: close", method="PUT") + body
    assert raw(native.port, sent).startswith(b"HTTP/1.1 413")


def test_a_body_of_another_type_than_json_is_refused(native: Any) -> None:
    answer = ask(
        native.port, PATH, method="PUT", token=ADMIN, body=b"{}", headers={"Content-Type": "text/plain"}
    )
    assert (answer.status, answer.error["name"]) == (400, "Content-Type")


@pytest.mark.parametrize(
    "sent",
    [
        head(f"X-Long: {'a' * 10_000}"),
        head(*(f"X-{n}: 1" for n in range(101))),
        head(path="/" + "a" * 10_000),
    ],
    ids=["one header", "many headers", "the path"],
)
def test_a_head_that_is_too_large_is_refused(native: Any, sent: bytes) -> None:
    assert raw(native.port, sent).split(b"\r\n")[0] in (
        b"HTTP/1.1 431 Request Header Fields Too Large",
        b"HTTP/1.1 414 URI Too Long",
    )


OLD = ("127.0.0.1", 0, "ubdcc-restapi", [], True)


@pytest.fixture(scope="module")
def old() -> Iterator[Any]:
    limits = {"idle_s": IDLE_S, "body_bytes": 1_000, "header_bytes": 8_192, "delegation_s": 0.01}
    with serving(compat=[OLD], **limits) as made:
        yield made


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        (b"", b""),
        (b"GET /test HTTP/1.1\r\n", b""),
        (b"GET /test HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"a" * 10_000 + b"\r\n\r\n", b"431"),
        (
            head("Content-Length: 1001", method="POST", path="/create_depthcache") + b"x" * 1_001,
            b"1000 bytes",
        ),
        (
            head("Content-Length: 100", method="POST", path="/create_depthcache") + b"{",
            b"did not come in time",
        ),
        (head(method="GET", path="/create_depthcache?exchange=x&market=y"), b"#1014"),
    ],
    ids=["nothing", "half a head", "a long head", "a long body", "half a body", "a silent program"],
)
def test_old_clients_have_the_same_limits(old: Any, sent: bytes, found: bytes) -> None:
    """What is not refused as HTTP is an error of their contract."""
    assert found in raw(old.compat_ports[0], sent)
    assert ask(old.compat_ports[0], "/test", token=None).json["result"] == "OK"


def test_a_reader_that_takes_nothing_is_ended_and_delays_nobody(native: Any) -> None:
    with dial(native) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        request = head(path="/metrics") * 2_000
        slow.settimeout(DEADLINE_S)

        def send_without_end() -> None:
            while True:
                slow.sendall(request)

        with pytest.raises(OSError, match=r"reset|pipe"):
            send_without_end()
        assert ask(native.port, PATH).status == 200


def test_more_connections_than_allowed_are_closed_at_once() -> None:
    with serving(connections=5) as native, ExitStack() as stack:
        held = [stack.enter_context(dial(native)) for _ in range(5)]
        for connection in held:  # each is served before the next one more comes
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
        assert raw(native.port, b"") == b""
        held[0].close()
        stack.callback(lambda: None)
        assert until_served(native)


def until_served(native: Any) -> bool:
    """The end of a connection is noticed soon, not at once: ask until it is."""
    while True:
        try:
            return ask(native.port, "/healthz").status == 200
        except OSError:
            continue


def test_an_address_has_its_own_limit_of_connections() -> None:
    """Only the programs of this machine have none: they would share it."""
    host = own_address()
    is_other = not host.startswith("127.")
    with serving(host="0.0.0.0", connections_per_address=2) as native, ExitStack() as stack:  # noqa: S104

        def open_one(host: str) -> bool:
            connection = socket.create_connection((host, native.port), timeout=DEADLINE_S)
            stack.enter_context(connection)
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            try:
                return connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
            except ConnectionError:
                return False

        assert [open_one("127.0.0.1") for _ in range(4)] == [True] * 4
        refused = 0
        if is_other:  # the end-to-end half of `peers.rs`, where this machine has an address of its own
            assert [open_one(host) for _ in range(3)] == [True, True, False]
            refused = 1
        counts = ask(native.port, "/v1/stats").json["connections"]["refused"]
        assert counts["connections_of_address"] == refused


def test_an_address_that_asks_too_often_is_told_to_wait() -> None:
    with serving(requests_per_second=3) as native:
        answers = [ask(native.port, "/healthz", token=None) for _ in range(20)]
        assert [answer.status for answer in answers[:3]] == [200] * 3
        refused = next(answer for answer in answers if answer.status == 429)
        assert refused.error["code"] == "too_many_requests"
        assert refused.headers["retry-after"] == "1"


def test_clients_that_leave_before_the_answer_to_a_websocket_are_forgotten() -> None:
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    request = head(*upgrade, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", path="/v1/ws")
    with serving() as native:
        for _ in range(200):
            with dial(native) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.sendall(request)
        deadline_s = monotonic() + DEADLINE_S
        while (open_ := ask(native.port, "/v1/stats").json["connections"]["open"]) > 1:
            assert monotonic() < deadline_s, f"{open_} connections are left"


@pytest.mark.parametrize("connects", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_many_connects_leak_nothing(connects: int) -> None:
    with serving() as native:
        native.add("binance.com", "BTCUSDT", book())
        for _ in range(50):  # what is made once is there
            ask(native.port, PATH)
        gc.collect()
        before = open_files()
        memory = resident_bytes()
        for number in range(connects):
            if number % 3 == 0:
                ask(native.port, PATH)
            elif number % 3 == 1:
                dial(native).close()
            else:
                with dial(native) as connection:
                    connection.sendall(head()[: number % 60])
        while (open_ := ask(native.port, "/v1/stats").json["connections"]["open"]) > 1:
            assert open_ <= connects
        after = open_files()
        assert after - before <= 2
        assert resident_bytes() - memory < 8 << 20


@pytest.mark.parametrize("connects", [100, pytest.param(3_000, marks=pytest.mark.slow)])
def test_connects_to_tls_and_of_old_clients_leak_nothing(connects: int) -> None:
    """They break off in the middle of the handshake, or of what it protects."""
    pair = _native._make_certificate(["localhost", "127.0.0.1"])
    context = ssl._create_unverified_context()  # noqa: S323
    with serving(tls=pair, compat=[OLD]) as native:
        native.add("binance.com", "BTCUSDT", book())
        [old] = native.compat_ports

        def connect(number: int) -> None:
            if number % 3 == 0:
                with dial(native) as plain:
                    plain.sendall(b"\x16\x03\x01\x02\x00\x01"[: number % 7])
            elif number % 3 == 1:
                with dial(native) as plain, context.wrap_socket(plain) as agreed:
                    agreed.sendall(head()[: number % 60])
            else:
                ask(old, "/get_asks?exchange=binance.com&market=BTCUSDT", token=None)

        for number in range(60):  # what is made once is there
            connect(number)
        before, memory = open_files(), resident_bytes()
        for number in range(connects):
            connect(number)
        ends_s = monotonic() + DEADLINE_S
        while open_files() - before > 2:
            assert monotonic() < ends_s
        assert resident_bytes() - memory < 8 << 20


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0  # noqa: PTH110, PTH208


def resident_bytes() -> int:
    try:
        with open("/proc/self/statm") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def http2_frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def http2_request(stream: int, path: str) -> bytes:
    """Headers, each a literal without an index."""
    fields = {
        ":method": "GET",
        ":scheme": "http",
        ":authority": "127.0.0.1",
        ":path": path,
        "authorization": f"Bearer {ADMIN}",
    }
    block = b"".join(
        bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in fields.items()
    )
    return http2_frame(1, 5, stream, block)


@pytest.mark.parametrize("window", [0, 1])
def test_a_client_of_http_2_that_opens_no_window_is_ended(native: Any, window: int) -> None:
    slow = ask(native.port, "/v1/stats").json["streams"]["slow"]
    settings = http2_frame(4, 0, 0, (4).to_bytes(2) + window.to_bytes(4))
    stream = 1
    with dial(native) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + http2_request(stream, PATH))
        connection.settimeout(IDLE_S / 3)
        deadline_s = monotonic() + DEADLINE_S
        is_open = True
        while is_open:
            assert monotonic() < deadline_s
            try:
                found = connection.recv(1 << 16)
                is_open = bool(found)
                while len(found) >= 9:
                    size = 9 + int.from_bytes(found[:3])
                    if found[3] == 6 and not found[4]:  # a ping
                        connection.sendall(http2_frame(6, 1, 0, found[9:size]))
                    found = found[size:]
            except TimeoutError:
                stream += 2
                connection.sendall(http2_request(stream, "/v1/books/none"))  # it is not idle
            except OSError:
                is_open = False
    assert ask(native.port, "/v1/stats").json["streams"]["slow"] == slow + 1
