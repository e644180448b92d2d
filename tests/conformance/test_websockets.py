"""WebSockets of the real network against a server on loopback that behaves like the exchanges."""

from __future__ import annotations

import asyncio
import json
import socket as sockets
import time
from contextlib import closing, suppress

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, web

import depthcache
from depthcache.io.network.interface import Closed
from tests.support.peers import Listening, read_on, serving, talking


async def test_frames_reach_feed_as_the_bytes_that_were_sent_stamped_on_receipt(listening: Listening) -> None:
    frames = ['{"id":1}', '{ "s" : "币安人生USDT"}', '{"e":"x","E":1.50}']

    async def talk(socket: web.WebSocketResponse) -> None:
        for frame in frames:
            await socket.send_str(frame)
        await socket.send_bytes(b'{"id":2}')
        await read_on(socket)

    async with serving({"/stream": talking(talk)}) as host, listening() as (network, listener):
        before_ns = depthcache.now_ns()
        network.open(7, f"ws://{host}/stream")
        await listener.until(lambda: len(listener.frames) == 4)
        assert [frame for _, frame, _ in listener.frames] == [*map(str.encode, frames), b'{"id":2}']
        assert {number for number, _, _ in listener.frames} == {7}
        stamps = [before_ns, *(stamp for _, _, stamp in listener.frames), depthcache.now_ns()]
        assert stamps == sorted(stamps)
        assert listener.opened == [7]


async def test_messages_are_sent_in_their_order_and_after_the_end_dropped(listening: Listening) -> None:
    heard: list[str] = []

    async def talk(socket: web.WebSocketResponse) -> None:
        async for message in socket:
            heard.append(message.data)
            if message.data == "bye":
                await socket.close(code=1000)

    async with serving({"/ws": talking(talk)}) as host, listening() as (network, listener):
        network.open(1, f"ws://{host}/ws")
        await listener.until(lambda: listener.opened)
        for text in [*map(str, range(100)), "bye"]:
            network.send(1, text)
        await listener.closing_of(1)
        network.send(1, "into the void")
        network.send(99, "to nobody")
        network.close(1)
        network.close(99)
    assert heard == [*map(str, range(100)), "bye"]


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, "done"), (1001, ""), (1008, "Too many requests"), (1011, "server error")]
)
async def test_the_close_code_and_reason_of_the_exchange_are_reported(
    code: int, reason: str, listening: Listening
) -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        await socket.close(code=code, message=reason.encode())

    async with serving({"/ws": talking(talk)}) as host, listening() as (network, listener):
        network.open(1, f"ws://{host}/ws")
        closed = await listener.closing_of(1)
        assert closed.code == code
        assert closed.reason == (reason or "closed by the exchange without a reason")


async def test_a_connection_that_breaks_without_a_close_frame_has_no_code(listening: Listening) -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        assert socket._req is not None
        assert socket._req.transport is not None
        socket._req.transport.abort()

    async with serving({"/ws": talking(talk)}) as host, listening() as (network, listener):
        network.open(1, f"ws://{host}/ws")
        closed = await listener.closing_of(1)
        assert closed.code is None
        assert closed.reason


async def test_a_refused_connection_is_reported_and_never_opens(listening: Listening) -> None:
    with closing(sockets.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with listening() as (network, listener):
        network.open(1, f"ws://127.0.0.1:{port}/ws")
        closed = await listener.closing_of(1)
        assert closed.code is None
        assert "refused" in closed.reason.lower() or "Cannot connect" in closed.reason
        assert listener.opened == []


@pytest.mark.parametrize("status", [200, 403, 404, 429, 503])
async def test_a_handshake_with_another_status_is_a_failure_that_names_it(
    status: int, listening: Listening
) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text="<html>no</html>", content_type="text/html")

    async with serving({"/ws": refuse}) as host, listening() as (network, listener):
        network.open(1, f"ws://{host}/ws")
        closed = await listener.closing_of(1)
        assert f"HTTP {status}" in closed.reason
        assert listener.opened == []


async def test_a_redirected_handshake_is_not_followed(listening: Listening) -> None:
    visited = []

    async def redirect(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/elsewhere")

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        visited.append(request.path)
        return web.Response()

    async with (
        serving({"/ws": redirect, "/elsewhere": elsewhere}) as host,
        listening() as (network, listener),
    ):
        network.open(1, f"ws://{host}/ws")
        closed = await listener.closing_of(1)
        assert closed.reason == "redirected to /elsewhere; redirects are not followed"
    assert visited == []


async def test_a_ping_is_answered_with_its_own_payload_and_is_no_sign_of_life(listening: Listening) -> None:
    pongs: list[bytes] = []

    async def talk(socket: web.WebSocketResponse) -> None:
        for payload in (b"1787602466354", b"", bytes(range(125))):
            await socket.ping(payload)
            message = await socket.receive()
            assert message.type is WSMsgType.PONG
            pongs.append(bytes(message.data))
        await socket.pong(b"unasked")
        await socket.send_str("{}")
        await read_on(socket)

    async with serving({"/ws": talking(talk)}) as host, listening() as (network, listener):
        network.open(1, f"ws://{host}/ws")
        await listener.until(lambda: listener.frames)
    assert pongs == [b"1787602466354", b"", bytes(range(125))]
    assert listener.alive == []


async def test_compression_is_never_offered(listening: Listening) -> None:
    offered: list[str | None] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        offered.append(request.headers.get("Sec-WebSocket-Extensions"))
        return await talking(read_on)(request)

    async with serving({"/ws": handle}) as host, listening() as (network, listener):
        network.open(1, f"ws://{host}/ws")
        await listener.until(lambda: listener.opened)
    assert offered == [None]


async def test_a_message_above_the_limit_ends_the_connection(listening: Listening) -> None:
    most = 16 * 1024 * 1024

    async def talk(socket: web.WebSocketResponse) -> None:
        for size in (most - 1, most + 1):
            await socket.send_str(json.dumps({"id": "x" * (size - len('{"id": ""}'))}))
        await read_on(socket)

    async with serving({"/ws": talking(talk)}) as host, listening() as (network, listener):
        network.open(1, f"ws://{host}/ws")
        closed = await listener.closing_of(1)
        assert closed.code == 1009
        assert "invalid WebSocket data" in closed.reason
        assert [len(frame) for _, frame, _ in listener.frames] == [most - 1]


async def test_bytes_that_are_no_websocket_frames_end_the_connection(listening: Listening) -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        assert socket._req is not None
        assert socket._req.transport is not None
        socket._req.transport.write(b"\xff\xff\xff\xff not a frame")
        await read_on(socket)

    async with serving({"/ws": talking(talk)}) as host, listening() as (network, listener):
        network.open(1, f"ws://{host}/ws")
        closed = await listener.closing_of(1)
        assert closed.code == 1002


async def test_a_half_open_connection_is_noticed_by_the_missing_pong(listening: Listening) -> None:
    pings = asyncio.Event()

    async def talk(socket: web.WebSocketResponse) -> None:  # reads, but never answers
        async for message in socket:
            if message.type is WSMsgType.PING:
                pings.set()

    async with (
        serving({"/ws": talking(talk)}) as host,
        listening(quiet_s=0.05, pong_s=0.05) as (network, listener),
    ):
        network.open(1, f"ws://{host}/ws")
        closed = await listener.closing_of(1)
        assert pings.is_set()
        assert closed.code is None
        # More than 0.05 s on a slow machine.
        assert closed.reason.startswith("half-open: silent for 0.05 s, no pong within ")


async def test_a_quiet_connection_that_answers_pings_stays(listening: Listening) -> None:
    async with (
        serving({"/ws": talking(read_on, autoping=True)}) as host,
        listening(quiet_s=0.01, pong_s=0.5) as (network, listener),
    ):
        network.open(1, f"ws://{host}/ws")
        await listener.until(lambda: len(listener.alive) >= 3)
        assert listener.closed == {}


async def test_closing_says_goodbye_and_is_reported_once(listening: Listening) -> None:
    codes: list[int | None] = []

    async def talk(socket: web.WebSocketResponse) -> None:
        await read_on(socket)
        codes.append(socket.close_code)

    async with serving({"/ws": talking(talk)}) as host, listening() as (network, listener):
        network.open(1, f"ws://{host}/ws")
        await listener.until(lambda: listener.opened)
        network.close(1)
        network.close(1)
        closed = await listener.closing_of(1)
        assert closed == Closed(None, "closed by this client")
    assert codes == [1000]


async def test_closing_while_still_connecting_works(listening: Listening) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        started.set()
        await release.wait()
        return web.Response()

    async with serving({"/ws": slow}) as host, listening() as (network, listener):
        network.open(1, f"ws://{host}/ws")
        network.open(2, f"ws://{host}/ws")
        network.close(2)  # before its first step
        await started.wait()
        network.close(1)
        assert await listener.closing_of(1) == await listener.closing_of(2)
        release.set()
        assert listener.opened == []


async def test_a_server_that_goes_on_sending_cannot_hold_up_the_goodbye(listening: Listening) -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        with suppress(ConnectionError):
            while True:
                await socket.send_str("{}")
                await asyncio.sleep(0)

    async with (
        serving({"/ws": talking(talk, autoclose=False)}) as host,
        listening() as (network, listener),
    ):
        network.open(1, f"ws://{host}/ws")
        await listener.until(lambda: listener.frames)
        network.close(1)
        await listener.closing_of(1)


async def test_events_are_told_of_once_for_a_batch(listening: Listening) -> None:
    count = 500

    async def talk(socket: web.WebSocketResponse) -> None:
        for _ in range(count):
            await socket.send_str("{}")
        await read_on(socket)

    async with serving({"/ws": talking(talk)}) as host, listening() as (network, listener):
        network.open(1, f"ws://{host}/ws")
        await listener.until(lambda: len(listener.frames) == count and listener.events)
        assert listener.events < count / 4


@pytest.mark.slow
async def test_a_blocked_event_loop_loses_no_frame(listening: Listening) -> None:
    """Frames wait in the kernel and in the server's buffers."""
    count = 3_000
    frame = "x" * 1_000

    async def talk(socket: web.WebSocketResponse) -> None:
        for number in range(count):
            await socket.send_str(json.dumps({"id": number, "pad": frame}))
        await read_on(socket)

    loop = asyncio.get_running_loop()
    async with serving({"/ws": talking(talk)}) as host, listening() as (network, listener):
        network.open(1, f"ws://{host}/ws")
        while len(listener.frames) < count:
            loop.call_soon(time.sleep, 0.02)  # the program of a user that computes on the event loop
            seen = len(listener.frames)
            await listener.until(lambda seen=seen: len(listener.frames) > seen)
        assert [json.loads(each)["id"] for _, each, _ in listener.frames] == list(range(count))


async def test_a_blocked_event_loop_is_not_taken_for_a_missing_pong(
    monkeypatch: pytest.MonkeyPatch, listening: Listening
) -> None:
    loop = asyncio.get_running_loop()
    ping = ClientWebSocketResponse.ping

    async def ping_and_block(socket: ClientWebSocketResponse, message: bytes = b"") -> None:
        await ping(socket, message)
        loop.call_soon(time.sleep, 0.06)

    monkeypatch.setattr(ClientWebSocketResponse, "ping", ping_and_block)
    async with (
        serving({"/ws": talking(read_on, autoping=True)}) as host,
        listening(quiet_s=0.01, pong_s=0.02) as (network, listener),
    ):
        network.open(1, f"ws://{host}/ws")
        await listener.until(lambda: len(listener.alive) >= 2 or listener.closed)
        assert listener.closed == {}


async def test_closing_the_network_ends_everything_and_reports_nothing_more(listening: Listening) -> None:
    hold = asyncio.Event()

    async def wait(request: web.Request) -> web.StreamResponse:
        await hold.wait()
        return web.Response()

    async with serving({"/ws": talking(read_on), "/slow": wait}) as host:
        before = asyncio.all_tasks()
        async with listening() as (network, listener):
            network.open(1, f"ws://{host}/ws")
            network.open(2, f"ws://{host}/slow")
            network.fetch(3, f"http://{host}/slow", timeout_s=60.0)
            network.wake_at(network.now_ns() + 10**12)
            await listener.until(lambda: listener.opened == [1])
        assert (listener.closed, listener.responses, listener.wakes) == ({}, {}, 0)
        left = [task for task in asyncio.all_tasks() - before if "tests" not in repr(task.get_coro())]
        assert [task for task in left if "depthcache" in repr(task.get_coro())] == []
        hold.set()


async def test_closing_that_is_itself_cancelled_still_leaves_nothing(listening: Listening) -> None:
    async def talk(socket: web.WebSocketResponse) -> None:  # never answers the goodbye
        await asyncio.Event().wait()

    async with serving({"/ws": talking(talk)}) as host, listening() as (network, listener):
        network.open(1, f"ws://{host}/ws")
        await listener.until(lambda: listener.opened)
        closing_task = asyncio.create_task(network.aclose())
        await asyncio.sleep(0)
        closing_task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing_task
        assert network._sockets == {}
        assert network._sessions._held == {}
