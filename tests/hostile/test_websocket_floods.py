"""Floods on a WebSocket: memory, time and text stay bounded, and none of it counts as a sign of life.

Each flood is limited in resident memory and process time, and ends with a known reason. A normal run floods
for a moment; HOSTILE_S extends each flood by that many seconds (soak test).
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from functools import partial

import pytest

from tests.hostile.socket_peer import (
    BINARY,
    MORE,
    PING,
    PONG,
    TEXT,
    Growth,
    Script,
    Wire,
    frame,
    peer,
)
from tests.support.peers import NETWORKS, Listening, NetworkLog
from tests.support.peers import listening as _listening

LONGER_S = float(os.environ.get("HOSTILE_S", "0"))
MOST_GROWTH = {"native": 24 << 20, "aiohttp": 48 << 20}
"""asyncio reads 256 kB at once, which are 128,000 messages at most."""
QUIET_S, PONG_S = 0.1, 0.1

STRAY = frame(TEXT, b'{"stream":"nobody@depth","data":{"e":"depthUpdate","E":1}}')
SOAK = pytest.mark.skipif(not LONGER_S, reason="one of many, for soak: HOSTILE_S")
FLOODS = {
    "pings": frame(PING, b"p" * 125) * 500,
    "empty pings": frame(PING) * 20_000,
    "pongs that nobody asked for": frame(PONG, b"p" * 125) * 500,
    "empty pongs": frame(PONG) * 20_000,
    "unknown streams": STRAY * 500,
    "malformed text": frame(TEXT, b'{"stream":"a@depth","data":') * 1_000,
    "empty texts": frame(TEXT) * 20_000,
    "empty binary messages": frame(BINARY) * 20_000,
}

ORDINARY = {"pings", "unknown streams", "empty texts"}


@pytest.fixture(params=NETWORKS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(name="listening")
def _of_transport(transport: str) -> Listening:
    return partial(_listening, transport, quiet_s=30.0, pong_s=30.0)


@pytest.fixture
def hasty(transport: str) -> Listening:
    """Notices soon what is no sign of life."""
    return partial(_listening, transport, quiet_s=QUIET_S + LONGER_S, pong_s=PONG_S)


def shaken(act: Callable[[Wire], None]) -> Script:
    def script(wire: Wire) -> None:
        wire.shake()
        act(wire)

    return script


@pytest.mark.slow
@pytest.mark.parametrize(
    "what", [each if each in ORDINARY else pytest.param(each, marks=SOAK) for each in FLOODS]
)
async def test_a_flood_of_a_peer_that_never_reads_ends_and_costs_little_memory(
    what: str, hasty: Listening, transport: str
) -> None:
    growth = Growth()
    with peer(shaken(lambda wire: wire.flood(FLOODS[what]))) as host:
        async with hasty() as (network, listener):
            network.open(1, f"ws://{host}/stream")
            closed = await listener.closing_of(1)
    assert growth.bytes() < MOST_GROWTH[transport]
    assert closed.code is None
    assert closed.reason.startswith(("half-open: ", "the peer does not read"))
    assert listener.alive == []


@pytest.mark.slow
async def test_fragments_without_an_end_are_no_life(hasty: Listening, transport: str) -> None:
    def act(wire: Wire) -> None:
        wire.send(frame(TEXT, b"{", last=False))
        wire.flood(frame(MORE, last=False) * 20_000)

    growth = Growth()
    with peer(shaken(act)) as host:
        async with hasty() as (network, listener):
            network.open(1, f"ws://{host}/stream")
            closed = await listener.closing_of(1)
    assert growth.bytes() < MOST_GROWTH[transport]
    assert closed.reason.startswith(("half-open: ", "one message does not end"))
    assert (listener.alive, listener.frames) == ([], [])


@pytest.mark.slow
async def test_a_message_that_drips_forever_ends_the_connection(listening: Listening, transport: str) -> None:
    """A peer that answers pings and sends a message that never comes to its end."""
    if transport == "aiohttp":
        pytest.skip("aiohttp does not tell of parts; the silence of the books is judged (tests/core)")
    part = frame(MORE, b"x" * 200, last=False)

    def act(wire: Wire) -> None:
        wire.send(frame(TEXT, b"{", last=False), part)
        while not wire.over.is_set():
            opcode, payload = wire.receive()
            wire.send(frame(PONG, payload) if opcode == PING else b"", part)

    with peer(shaken(act)) as host:
        async with _listening(transport, quiet_s=0.05, pong_s=0.1) as (network, listener):
            network.open(1, f"ws://{host}/stream")
            closed = await listener.closing_of(1)
    assert closed.reason == "one message has been incomplete for 0.6 s"
    assert listener.alive, "it was alive, and of no use"


@pytest.mark.slow
async def test_a_pong_with_another_payload_is_no_answer(hasty: Listening) -> None:
    def act(wire: Wire) -> None:
        while True:
            opcode, payload = wire.receive()
            if opcode == PING:
                wire.send(frame(PONG), frame(PONG, payload[:-1] + b"?"), frame(PONG, payload + b"x"))

    with peer(shaken(act)) as host:
        async with hasty() as (network, listener):
            network.open(1, f"ws://{host}/stream")
            closed = await listener.closing_of(1)
    assert closed.reason.startswith("half-open: ")
    assert listener.alive == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "what", ["unknown streams", *(pytest.param(each, marks=SOAK) for each in ("pings", "empty pongs"))]
)
async def test_a_flood_keeps_no_ping_from_being_sent_and_its_answer_counts(what: str, transport: str) -> None:
    def act(wire: Wire) -> None:
        while not wire.over.is_set():
            opcode, payload = wire.receive()
            if opcode == PING:
                wire.send(FLOODS[what], frame(PONG, payload), FLOODS[what])

    with peer(shaken(act)) as host:
        async with _listening(transport, quiet_s=0.05, pong_s=10.0) as (network, listener):
            network.open(1, f"ws://{host}/stream")
            await listener.until(lambda: len(listener.alive) >= 2 or listener.closed)
            assert listener.closed == {}


@pytest.mark.slow
async def test_twenty_thousand_frames_of_no_use_cost_little_time_and_few_events(listening: Listening) -> None:
    count = 20_000
    burst = STRAY * count + frame(TEXT, b'{"id":1}')

    def act(wire: Wire) -> None:
        wire.send(burst)
        wire.until_close_frame()

    with peer(shaken(act)) as host:
        async with listening() as (network, listener):
            began = time.process_time()
            # The loop takes nothing before all have come: otherwise its turns are counted, not the events.
            listener.takes = False
            network.open(1, f"ws://{host}/stream")
            await listener.until(lambda: listener.router.traffic(1).frames > count)
            listener.takes = True
            listener.on_events()
            await listener.until(lambda: listener.frames)
            assert time.process_time() - began < 3.0  # 0.1 s on an idle machine
    assert sum(stray.count for stray in listener.strays) == count
    assert len(listener.strays) < count / 10


async def test_names_from_outside_are_cut_before_they_are_kept(listening: Listening) -> None:
    names = [bytes([97 + at]) * 1_000_000 for at in range(8)]
    long = b"".join(frame(TEXT, b'{"stream":"%s","data":{"e":"x"}}' % name) for name in names)

    def act(wire: Wire) -> None:
        wire.send(long, frame(TEXT, b'{"id":1}'))
        wire.until_close_frame()

    with peer(shaken(act)) as host:
        async with listening() as (network, listener):
            network.open(1, f"ws://{host}/stream")
            await listener.until(lambda: listener.frames)
    assert [len(stray.detail) for stray in listener.strays] == [120] * len(names)


async def test_deep_and_absurd_messages_are_strays(listening: Listening) -> None:
    absurd = [
        b"[" * 1_000_000,
        b'{"stream":"a@depth","data":' + b'{"x":' * 200_000,
        b'{"stream":"a@depth","data":{"e":"depthUpdate","b":' + b"[" * 500_000,
        b'{"id":' + b"9" * 1_000_000,
        b'{"stream":"a@depth","data":{"e":"depthUpdate","E":1e999,"U":-1,"u":99999999999999999999}}',
        b"\x00" * 1_000,
        b'{"stream":"\\ud800","data":{}}',
        b"",
    ]

    def act(wire: Wire) -> None:
        wire.send(*(frame(TEXT, text) for text in absurd), frame(TEXT, b'{"id":1}'))
        wire.until_close_frame()

    with peer(shaken(act)) as host:
        async with listening() as (network, listener):
            network.open(1, f"ws://{host}/stream")
            await listener.until(lambda: listener.frames or listener.closed)
            assert listener.closed == {}
            assert [json.loads(payload) for _, payload, _ in listener.frames] == [{"id": 1}]
    assert sum(stray.count for stray in listener.strays) == len(absurd)
    assert max(len(stray.detail) for stray in listener.strays) < 300


async def test_unread_control_messages_are_bounded_in_bytes() -> None:
    """The loop is busy, the peer sends replies of a megabyte."""
    listener = NetworkLog()
    text = b'{"id":"%s"}' % (b"x" * 1_000_000)
    growth = Growth()
    for _ in range(200):
        listener.router.feed(1, text, 1)
    assert growth.bytes() < MOST_GROWTH["native"] + (32 << 20)
    listener.on_events()
    assert {(stray.what, stray.count) for stray in listener.strays} == {("overflow", 200 - 33)}
    assert len(listener.frames) == 33


@pytest.mark.slow
async def test_unread_output_is_capped(listening: Listening) -> None:
    text = "x" * (4 << 20)
    with peer(shaken(lambda wire: wire.wait())) as host:
        async with listening() as (network, listener):
            network.open(1, f"ws://{host}/stream")
            await listener.until(lambda: listener.opened)
            for _ in range(12):
                network.send(1, text)
                await asyncio.sleep(0)
            closed = await listener.closing_of(1)
    assert closed.reason == "the output buffer is full because the peer does not read"
