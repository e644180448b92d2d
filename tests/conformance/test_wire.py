"""Everything that a server can do to a socket, byte by byte: each transport survives and reports it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import socket as sockets
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from depthcache.io.network.interface import Closed
from tests.support.peers import Listening

TEXT, BINARY, CLOSE, PING, PONG, MORE = 0x1, 0x2, 0x8, 0x9, 0xA, 0x0


def frame(
    opcode: int, payload: bytes, *, last: bool = True, masked: bool = False, reserved: int = 0
) -> bytes:
    """RFC 6455, 5.2."""
    first = (0x80 if last else 0) | reserved | opcode
    size, mask = len(payload), 0x80 if masked else 0
    if size < 126:
        head = struct.pack(">BB", first, mask | size)
    elif size < 1 << 16:
        head = struct.pack(">BBH", first, mask | 126, size)
    else:
        head = struct.pack(">BBQ", first, mask | 127, size)
    return head + (b"\0\0\0\0" if masked else b"") + payload


class Wire:
    """The server's end of a connection after the handshake."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))
        await self.writer.drain()

    async def receive(self) -> tuple[int, bytes]:
        """The next frame of the client: opcode and payload, unmasked."""
        first, second = await self.reader.readexactly(2)
        assert second & 0x80, "a client masks its frames"
        size = second & 0x7F
        if size >= 126:
            width = 2 if size == 126 else 8
            size = int.from_bytes(await self.reader.readexactly(width), "big")
        mask = await self.reader.readexactly(4)
        payload = await self.reader.readexactly(size)
        return first & 0x0F, bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))

    async def until_gone(self) -> None:
        with suppress(ConnectionError):
            while await self.reader.read(65_536):
                pass

    def reset(self) -> None:
        """TCP's RST instead of an end."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Talk = Callable[[Wire], Awaitable[None]]


@asynccontextmanager
async def wired(talk: Talk, *, together: bytes = b"") -> AsyncIterator[str]:
    """A server that does what `talk` does; `together`: bytes in the same packet as the handshake."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            key = next(
                line[19:] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key: ")
            )
            digest = hashlib.sha1(
                key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False
            ).digest()
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n" + together
            )
            try:
                await talk(Wire(reader, writer))
            finally:
                writer.close()
                await writer.wait_closed()

    tasks: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/stream"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def fate(listening: Listening, talk: Talk, **options: float) -> tuple[Closed, list[bytes]]:
    """How a connection ends on which the server does that, and which frames came before."""
    async with wired(talk) as url, listening(**options) as (network, listener):
        network.open(1, url)
        closed = await listener.closing_of(1)
        assert listener.strays == []
        return closed, [payload for _, payload, _ in listener.frames]


async def test_frames_in_the_packet_of_the_handshake_are_not_lost(listening: Listening) -> None:
    early = frame(TEXT, b'{"id":1}') + frame(TEXT, b'{"id":2}')
    async with wired(Wire.until_gone, together=early) as url, listening() as (network, listener):
        network.open(1, url)
        await listener.until(lambda: len(listener.frames) == 2)
        assert [payload for _, payload, _ in listener.frames] == [b'{"id":1}', b'{"id":2}']


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 4999]
)
async def test_every_close_code_is_reported_and_answered(code: int, listening: Listening) -> None:
    answered: list[tuple[int, bytes]] = []

    async def talk(wire: Wire) -> None:
        await wire.send(frame(CLOSE, struct.pack(">H", code) + "fertig é".encode()))
        answered.append(await wire.receive())

    closed, _ = await fate(listening, talk)
    assert closed == Closed(code, "fertig é")
    opcode, payload = answered[0]
    assert opcode == CLOSE
    assert payload[:2] in (struct.pack(">H", code), struct.pack(">H", 1000))


async def test_a_close_frame_without_a_code_has_none(listening: Listening) -> None:
    closed, _ = await fate(listening, lambda wire: wire.send(frame(CLOSE, b"")))
    assert closed == Closed(None, "closed by the exchange without a reason")


async def test_a_reset_has_no_code_and_loses_nothing_that_came_before(listening: Listening) -> None:
    async def talk(wire: Wire) -> None:
        await wire.send(frame(TEXT, b'{"id":1}'), frame(PING, b"x"))
        await wire.receive()  # the pong: so the frame before it was read
        wire.reset()

    closed, frames = await fate(listening, talk)
    assert closed.code is None
    assert closed.reason
    assert frames == [b'{"id":1}']


@pytest.mark.parametrize(
    "part", [b"\x81", frame(TEXT, b'{"id":1}')[:-1], frame(TEXT, b"x" * 70_000)[:40_000]]
)
async def test_a_server_that_goes_away_in_the_middle_of_a_frame(part: bytes, listening: Listening) -> None:
    closed, frames = await fate(listening, lambda wire: wire.send(part))
    assert closed.code is None
    assert closed.reason
    assert frames == []


async def test_a_frame_that_drips_in_byte_by_byte_is_one_frame(listening: Listening) -> None:
    text = json.dumps({"id": 1, "text": "币" * 30}).encode()

    async def talk(wire: Wire) -> None:
        wire.writer.get_extra_info("socket").setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
        for byte in frame(TEXT, text):
            await wire.send(bytes([byte]))
            await asyncio.sleep(0)
        await wire.send(frame(CLOSE, struct.pack(">H", 1000)))
        await wire.until_gone()

    _, frames = await fate(listening, talk)
    assert frames == [text]


async def test_a_message_that_never_ends_is_noticed_like_silence(listening: Listening) -> None:
    async def talk(wire: Wire) -> None:
        await wire.send(frame(TEXT, b"x" * 1_000)[:100])
        await wire.until_gone()

    closed, frames = await fate(listening, talk, quiet_s=0.05, pong_s=0.05)
    assert closed.code is None
    assert closed.reason.startswith("half-open: silent for 0.05 s, no pong within ")  # more on a slow machine
    assert frames == []


async def test_fragments_are_put_together_with_control_frames_between_them(listening: Listening) -> None:
    pongs: list[bytes] = []

    async def talk(wire: Wire) -> None:
        await wire.send(
            frame(TEXT, b'{"id"', last=False), frame(PING, b"between"), frame(MORE, b":", last=False)
        )
        pongs.append((await wire.receive())[1])
        await wire.send(frame(MORE, b"1}"), frame(BINARY, b'{"id"', last=False), frame(MORE, b":2}"))
        await wire.send(frame(CLOSE, struct.pack(">H", 1000)))
        await wire.until_gone()

    _, frames = await fate(listening, talk)
    assert frames == [b'{"id":1}', b'{"id":2}']
    assert pongs == [b"between"]


BROKEN = {
    "a masked frame": frame(TEXT, b'{"id":1}', masked=True),
    "a reserved bit": frame(TEXT, b'{"id":1}', reserved=0x40),
    "an unknown opcode": frame(0x3, b""),
    "a long ping": frame(PING, b"x" * 126),
    "a ping in fragments": frame(PING, b"x", last=False),
    "a continuation of nothing": frame(MORE, b"x"),
    "a message inside another": frame(TEXT, b"{", last=False) + frame(TEXT, b"}"),
    "no frame at all": b"HTTP/1.1 400 Bad Request\r\n\r\n" + b" " * 100,
}
AIOHTTP_TAKES = {"a masked frame"}
"""aiohttp's reader unmasks what a server must not mask (RFC 6455, 5.1), and goes on."""


@pytest.mark.parametrize("what", BROKEN)
async def test_frames_against_the_rules_end_the_connection_with_their_code(
    what: str, listening: Listening, transport: str
) -> None:
    async def talk(wire: Wire) -> None:
        await wire.send(BROKEN[what], frame(CLOSE, struct.pack(">H", 1000)))
        await wire.until_gone()

    closed, frames = await fate(listening, talk)
    if transport == "aiohttp" and what in AIOHTTP_TAKES:
        assert (closed.code, frames) == (1000, [b'{"id":1}'])
        return
    assert closed.code == 1002
    assert closed.reason.startswith("invalid WebSocket data: ")
    assert frames == []


async def test_text_that_is_not_utf_8_never_reaches_a_book_as_good(
    listening: Listening, transport: str
) -> None:
    async def talk(wire: Wire) -> None:
        await wire.send(frame(TEXT, b'{"id":"\xff"}'), frame(CLOSE, struct.pack(">H", 1000)))
        await wire.until_gone()

    async with wired(talk) as url, listening() as (network, listener):
        network.open(1, url)
        closed = await listener.closing_of(1)
        assert listener.frames == []
        if transport == "native":
            assert closed.code == 1007
        else:  # handed on as bytes, refused by the router
            assert [stray.what for stray in listener.strays] == ["malformed"]


async def test_a_frame_that_claims_to_be_huge_is_refused_before_it_is_read(listening: Listening) -> None:
    async def talk(wire: Wire) -> None:
        await wire.send(struct.pack(">BBQ", 0x81, 127, 1 << 40), b"x" * 1_000)
        await wire.until_gone()

    closed, _ = await fate(listening, talk)
    assert closed.code == 1009


async def test_a_storm_of_pings_is_answered_and_tells_of_no_life(listening: Listening) -> None:
    count = 2_000
    pongs: list[bytes] = []

    async def talk(wire: Wire) -> None:
        await wire.send(
            *(frame(PING, str(number).encode()) for number in range(count)), frame(TEXT, b'{"id":1}')
        )
        while pongs[-1:] != [str(count - 1).encode()]:
            opcode, payload = await wire.receive()
            assert opcode == PONG
            pongs.append(payload)
        await wire.send(frame(CLOSE, struct.pack(">H", 1000)))
        await wire.until_gone()

    async with wired(talk) as url, listening() as (network, listener):
        network.open(1, url)
        await listener.closing_of(1)
        assert [payload for _, payload, _ in listener.frames] == [b'{"id":1}']
        assert listener.alive == []
    assert [int(each) for each in pongs] == sorted({int(each) for each in pongs})


@pytest.mark.parametrize("wanted_id", range(3))
async def test_a_thousand_frames_in_one_burst_come_in_their_order(
    wanted_id: int, listening: Listening
) -> None:
    count = 1_000
    texts = [json.dumps({"id": number, "pad": "x" * (number % 300)}).encode() for number in range(count)]

    async def talk(wire: Wire) -> None:
        await wire.receive()
        await wire.send(*(frame(TEXT, text) for text in texts), frame(CLOSE, struct.pack(">H", 1000)))
        await wire.until_gone()

    async with wired(talk) as url, listening() as (network, listener):
        network.open(1, url)
        network.send(1, "go")
        await listener.closing_of(1)
        assert [payload for _, payload, _ in listener.frames] == texts
        stamps = [stamp for _, _, stamp in listener.frames]
        assert stamps == sorted(stamps)
        assert listener.log[-1] == "closed", "what came before the end is told before it"
        assert listener.events < count / 4


async def test_the_server_may_answer_before_and_after_data(listening: Listening) -> None:
    async def talk(wire: Wire) -> None:
        await wire.send(frame(TEXT, b'{"stream":"a@depth","data":{}}'))
        opcode, asked = await wire.receive()
        assert opcode == TEXT
        number = json.loads(asked)["id"]
        await wire.send(frame(TEXT, json.dumps({"result": None, "id": number}).encode()))
        await wire.send(frame(TEXT, b'{"stream":"a@depth","data":{}}'))
        await wire.until_gone()

    async with wired(talk) as url, listening() as (network, listener):
        network.open(1, url)
        network.send(1, '{"method":"SUBSCRIBE","params":["a@depth"],"id":7}')  # before it is open: kept
        await listener.until(lambda: sum(stray.count for stray in listener.strays) >= 2 and listener.frames)
        assert [json.loads(payload)["id"] for _, payload, _ in listener.frames] == [7]


async def test_a_connection_can_be_made_again_and_again_under_new_numbers(listening: Listening) -> None:
    async def talk(wire: Wire) -> None:
        await wire.receive()
        wire.reset()

    async with wired(talk) as url, listening() as (network, listener):
        for number in range(1, 30):
            network.open(number, url)
            network.send(number, "go")
            await listener.closing_of(number)
        assert listener.opened == list(range(1, 30))


async def test_a_peer_that_does_not_read_cannot_hold_up_frames(listening: Listening) -> None:
    """What we send waits in the socket; what the exchange sends is read all the same."""

    async def talk(wire: Wire) -> None:
        await asyncio.sleep(0)
        for number in range(100):
            await wire.send(frame(TEXT, json.dumps({"id": number}).encode()))
        await asyncio.Event().wait()

    async with wired(talk) as url, listening() as (network, listener):
        network.open(1, url)
        for _ in range(200):
            network.send(1, "x" * 100_000)
        await listener.until(lambda: len(listener.frames) == 100)
