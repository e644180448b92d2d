"""Hostile responses to a handshake: bounded in time, and reported in one printable line."""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from functools import partial

import pytest

from depthcache import logs
from depthcache.io.network.interface import Closed
from tests.hostile.socket_peer import CLOSE, TEXT, Script, Wire, frame, peer
from tests.support.peers import NETWORKS, Listening
from tests.support.peers import listening as _listening

MOST = 320
"""Characters of a reason."""
ESCAPES = "\x1b[2J\x1b]0;owned\x07\r\n2026-01-01 forged line\u202e\x9b"


@pytest.fixture(params=NETWORKS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(name="listening")
def _of_transport(transport: str) -> Listening:
    return partial(_listening, transport, connect_s=5.0)


def answering(*parts: bytes) -> Script:
    def script(wire: Wire) -> None:
        wire.head()
        wire.send(*parts)
        wire.raw.shutdown(1)
        wire.read_on()

    return script


def refusing(status: str, body: bytes = b"", *headers: bytes) -> Script:
    lines = [f"HTTP/1.1 {status}".encode(), b"Content-Length: %d" % len(body), *headers, b"", body]
    return answering(b"\r\n".join(lines))


async def ending(listening: Listening, script: Script, *, scheme: str = "ws") -> Closed:
    """How a connection ends on which the peer does that; told in one printable line, and logged as one."""
    with peer(script) as host:
        async with listening() as (network, listener):
            network.open(1, f"{scheme}://{host}/stream")
            closed = await listener.closing_of(1)
    told = closed.reason
    assert told
    assert told.isprintable(), repr(told)
    assert len(told) <= MOST, told
    assert "\n" not in told
    return closed


GARBAGE: dict[str, bytes] = {
    "another protocol": b"SSH-2.0-OpenSSH_9.9\r\n" + b"\xff" * 60_000,
    "noise": bytes(range(256)) * 300,
    "one line without an end": b"HTTP/1.1 101 " + b"x" * 70_000,
    "a megabyte of headers": b"HTTP/1.1 101 Switching Protocols\r\n" + b"X-A: " + b"b" * 1_000_000,
    "many headers": b"HTTP/1.1 101 Switching Protocols\r\n" + b"X: y\r\n" * 5_000 + b"\r\n",
    "a status that is none": b"HTTP/1.1 999999 no\r\n\r\n",
    "HTTP 0.9": b"<html>hello</html>",
    "escapes": b"\x1b[2J\x1b]0;owned\x07\r\n\r\n",
    "a response without the key": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\n\r\n",
    "a wrong key": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("what", GARBAGE)
async def test_an_invalid_handshake_is_reported_in_one_line(what: str, listening: Listening) -> None:
    closed = await ending(listening, answering(GARBAGE[what]))
    assert closed.code is None


async def test_a_refusal_tells_its_status_its_headers_and_what_it_says(
    listening: Listening, transport: str
) -> None:
    headers = (b"Retry-After: 120", b"Date: Sun, 29 Nov 2026 12:00:00 GMT")
    said = b'{"code":-1003,"msg":"Way too much request weight used"}'
    closed = await ending(listening, refusing("418 I'm a teapot", said, *headers))
    assert "HTTP 418" in closed.reason
    assert (closed.status, closed.retry_after) == (418, "120")
    assert closed.date == "Sun, 29 Nov 2026 12:00:00 GMT"
    if transport == "native":
        assert said.decode() in closed.reason


async def test_a_refusal_without_such_headers_has_none_and_its_body_may_come_late() -> None:
    def script(wire: Wire) -> None:
        wire.head()
        wire.send(b"HTTP/1.1 503 Service Unavailable\r\nTransfer-Encoding: chunked\r\n\r\n")
        wire.over.wait(0.02)
        wire.send(b"b;x=y\r\nback at ten\r\n0\r\n\r\n")
        wire.raw.shutdown(1)
        wire.read_on()

    closed = await ending(partial(_listening, "native"), script)
    assert (closed.status, closed.retry_after, closed.date) == (503, None, None)
    assert closed.reason.endswith("HTTP 503 (Service Unavailable): back at ten")


async def test_a_connection_that_was_open_tells_no_status(listening: Listening) -> None:
    def script(wire: Wire) -> None:
        wire.shake(frame(CLOSE, struct.pack(">H", 1001)))
        wire.until_close_frame()

    closed = await ending(listening, script)
    assert (closed.status, closed.retry_after, closed.date) == (None, None, None)


@pytest.mark.parametrize(
    "script",
    [
        refusing("403 Forbidden", (ESCAPES * 50).encode()),
        refusing("302 Found", b"", b"Location: http://x/\xe9\xff" + b"y" * 5_000),
        refusing("429 " + "\x1b[2J" * 10, b"\xff\xfe\xed\xa0\x80" * 1_000),
        refusing("429 Too Many", b"", b"Retry-After: \xff\xfe" + b"9" * 5_000, b"Date: " + b"d" * 5_000),
    ],
    ids=["body", "location", "reason", "headers"],
)
async def test_foreign_text_of_a_refusal_is_one_short_printable_line(
    script: Script, listening: Listening
) -> None:
    await ending(listening, script)


@pytest.mark.slow
@pytest.mark.parametrize(
    "act",
    [
        Wire.wait,
        lambda wire: (wire.head(), wire.wait()),
        lambda wire: (wire.head(), wire.drip(b"HTTP/1.1 101 Switching\r\n" * 99, every_s=0.01)),
        lambda wire: (wire.head(), wire.flood(b"X-A: b\r\n")),
    ],
    ids=["reads nothing", "says nothing", "drips", "floods"],
)
async def test_a_handshake_that_never_ends_is_given_up(act: Callable[[Wire], object], transport: str) -> None:
    closed = await ending(partial(_listening, transport, connect_s=0.3), lambda wire: void(act(wire)))
    assert closed.code is None


@pytest.mark.parametrize("said", [b"", b"hello\r\n" * 5_000, b"\x16\x03\x01\xff\xff" + b"\0" * 70_000])
async def test_invalid_tls_is_reported_in_one_line(said: bytes, listening: Listening) -> None:
    def script(wire: Wire) -> None:
        wire.raw.recv(1)
        wire.send(said)
        wire.raw.shutdown(1)
        wire.read_on()

    await ending(listening, script, scheme="wss")


CLOSES: dict[str, bytes] = {
    "escapes": struct.pack(">H", 1008) + ESCAPES.encode()[:100],
    "no text": struct.pack(">H", 1008) + b"\xff\xfe\xed\xa0\x80",
    "half a code": b"\x03",
    **{
        f"code {code}": struct.pack(">H", code)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
    },
    "too long": struct.pack(">H", 1000) + b"x" * 200,
}


@pytest.mark.parametrize("what", CLOSES)
async def test_an_odd_close_frame_ends_the_connection_in_one_line(what: str, listening: Listening) -> None:
    def script(wire: Wire) -> None:
        wire.shake(frame(CLOSE, CLOSES[what]))
        wire.until_close_frame()

    closed = await ending(listening, script)
    assert closed.code is None or 1000 <= closed.code < 5000


@pytest.mark.parametrize(
    "frames",
    [
        frame(TEXT, b"{}", reserved=0x40),
        frame(TEXT, b"{}", reserved=0x20),
        frame(TEXT, b"\xff\xfe"),
        frame(TEXT, b"{", last=False) + frame(TEXT, b"}"),
        struct.pack(">BBQ", 0x81, 127, (1 << 63) + 5),
        struct.pack(">BBQ", 0x82, 127, (16 << 20) + 1),
        bytes(range(256)) * 40,
    ],
    ids=["compressed", "reserved", "no UTF-8", "mixed", "2^63 bytes", "above 16 MiB", "noise"],
)
async def test_rubbish_right_behind_the_handshake(frames: bytes, listening: Listening) -> None:
    def script(wire: Wire) -> None:
        wire.shake(frames + frame(CLOSE, struct.pack(">H", 1000)))
        wire.until_close_frame()

    await ending(listening, script)


def test_a_connection_is_closed_in_one_log_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="depthcache"):
        logs.connection_failed(connection=1, host="x", reason=Closed(None, ESCAPES * 1_000).reason)
    (line,) = caplog.messages
    assert line.isprintable()
    assert len(line) < MOST + 60


def void(_: object) -> None:
    pass
