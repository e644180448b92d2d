"""The page about streams: its messages have the keys of those that a server sends; its JavaScript runs."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from depthcache import Book, _native, server
from tests.server.asking import DEADLINE_S, READ, book, diff, serving
from tests.server.following import Levels, connected, expected
from tests.support.cable import Cable

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "stream.md").read_text(encoding="utf-8")
SHOWN = {message["type"]: message for message in map(json.loads, re.findall(r"```text\n(\{.+\})\n```", PAGE))}


def shape(message: Any) -> Any:
    """Keys in their order, and the kinds of their values; null counts as any."""
    if isinstance(message, dict):
        return {key: shape(value) for key, value in message.items()}
    if isinstance(message, list):
        return [shape(value) for value in message[:1]]
    return "null" if message is None else type(message).__name__


def agree(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(agree(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return not one or not other or agree(one[0], other[0])
    return one == other or "null" in (one, other)


async def test_the_page_shows_messages_as_they_are() -> None:
    sent: dict[str, Any] = {}
    with serving(heartbeat_s=0.1) as native:
        held = book()
        native.add("binance.com", "BTCUSDT", held)
        async with connected(native.port) as client:
            sent["error"] = await client.ask_as({"op": "subscribe", "symbols": ["BTCUSDT"], "levels": "0"})
            await client.subscribe("BTCUSDT", levels=2)
            sent["snapshot"] = await client.until("snapshot")
            held.apply(diff("BTCUSDT", 101, 102, [["999.99", "7.5"]]))
            sent["update"] = await client.until("update")
            sent["heartbeat"] = await client.until("heartbeat")
            held.apply(diff("BTCUSDT", 900, 901, []))
            sent["state"] = await client.until("state")
    assert SHOWN.keys() == sent.keys()
    for kind, message in sent.items():
        assert agree(shape(message), shape(SHOWN[kind])), (message, SHOWN[kind])
    assert sent["snapshot"]["bids"] == SHOWN["snapshot"]["bids"]
    assert sent["snapshot"]["asks"] == SHOWN["snapshot"]["asks"]
    assert sent["update"]["bids"] == SHOWN["update"]["bids"]
    assert sent["error"]["error"] == SHOWN["error"]["error"]


async def test_the_page_names_the_defaults() -> None:
    config = server.ServerConfig()
    assert f"(`messages_per_second`) | {config.messages_per_second} |" in PAGE
    assert f"| {config.subscriptions:,} and 10,000 |" in PAGE
    assert (config.heartbeat_s, config.idle_s) == (5, 30)
    stream = next(route for route in _native._server_routes() if route["name"] == "stream_books")
    for parameter in stream["parameters"]:
        assert f"`{parameter['name']}`" in PAGE


# --- the mirror in JavaScript -----------------------------------------------------------------------

SHOWS = "  console.log(message.type, id, book);\n"
SHOWS_ALL = (
    "  console.log(JSON.stringify("
    "{ type: message.type, id, status: book.status, bids: [...book.bids], asks: [...book.asks] }));\n"
)
RETRY = "setTimeout(connect, 1000)"


def mirror() -> str:
    """The program of the page; it prints whole books, and connects again sooner."""
    [program] = re.findall(r"```javascript\n(.+?)```", PAGE, re.DOTALL)
    assert (program.count(SHOWS), program.count(RETRY)) == (1, 1)
    return str(program).replace(SHOWS, SHOWS_ALL).replace(RETRY, "setTimeout(connect, 20)")


async def node() -> list[str]:
    """A node that has WebSocket, with the option that it needs."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("the mirror in JavaScript was not tested: install node")
    for options in ([], ["--experimental-websocket"]):
        command = [program, *options]
        asked = await asyncio.create_subprocess_exec(*command, "-e", "WebSocket", stderr=PIPE)
        await asked.communicate()
        if asked.returncode == 0:
            return command
    pytest.skip("the mirror in JavaScript was not tested: this node has no WebSocket, install node 22")


class Mirror:
    """The program as it runs; iterate over the books that it prints."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def next(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            shown: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return shown

    async def lost(self) -> None:
        """Wait until it connects again."""
        assert self._process.stderr is not None
        async with asyncio.timeout(DEADLINE_S):
            while not (await self._process.stderr.readline()).startswith(b"connecting again"):
                pass

    async def until(self, last_id: int) -> dict[str, Any]:
        while (shown := await self.next())["id"] != last_id:
            pass
        return shown


@asynccontextmanager
async def mirroring(url: str, folder: Path) -> AsyncIterator[Mirror]:
    path = folder / "mirror.mjs"
    path.write_text(mirror(), "utf-8")
    command = [*await node(), str(path), url]
    environment = os.environ | {"TOKEN": READ}
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env=environment)
    try:
        yield Mirror(process)
    finally:
        process.kill()
        await process.communicate()


def sides(shown: dict[str, Any]) -> tuple[Levels, Levels]:
    """Both sides of a printed book, best first."""
    bids, asks = (sorted((Decimal(p), Decimal(q)) for p, q in shown[side]) for side in ("bids", "asks"))
    return bids[::-1], asks


def change(held: Book, update_id: int) -> tuple[Levels, Levels]:
    """Delete a level of the view and set one; return the view."""
    first = f"{999.99 - update_id % 3 / 100:.2f}"
    held.apply(diff("BTCUSDT", update_id, update_id, [[first, "0"], ["999.95", f"{update_id}.5"]]))
    return expected(held, 5, None)


@pytest.mark.slow
async def test_the_mirror_in_javascript_survives_cuts_and_a_restart(tmp_path: Path) -> None:
    held = book()
    with serving() as first:
        first.add("binance.com", "BTCUSDT", held)
        port = first.port
        async with Cable(f"http://127.0.0.1:{port}") as cable:
            url = cable.url.replace("http", "ws") + "/v1/ws"
            async with mirroring(url, tmp_path) as program:
                begun = await program.next()
                assert (begun["type"], begun["status"]) == ("snapshot", "synced")
                assert sides(begun) == expected(held, 5, None)
                for update_id in (101, 102, 103):
                    view = change(held, update_id)
                    shown = await program.until(update_id)
                    assert (shown["type"], sides(shown)) == ("update", view)
                cable.cut()
                await program.lost()
                view = change(held, 104)
                shown = await program.until(104)
                assert (shown["type"], sides(shown)) == ("update", view), "it goes on where it was"

                first.drain(0)
                await program.lost()
                await program.lost()  # nobody responds
                restarted = book()
                restarted.apply(diff("BTCUSDT", 101, 300, [["999.99", "0"]]))
                with serving(port=port) as second:
                    second.add("binance.com", "BTCUSDT", restarted)
                    shown = await program.until(300)
                    assert (shown["type"], shown["status"]) == ("snapshot", "synced")
                    assert sides(shown) == expected(restarted, 5, None)
                    view = change(restarted, 301)
                    assert sides(await program.until(301)) == view


@pytest.mark.slow
async def test_the_mirror_in_javascript_forgets_a_book_whose_updates_are_missing(tmp_path: Path) -> None:
    """A server that skips an id; it is asked three times, and must be asked for a snapshot the third time."""
    asked: list[Any] = []

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        assert (await socket.receive_json())["op"] == "auth"
        wanted = await socket.receive_json()
        asked.append((wanted.get("resume"), wanted.get("server")))
        level = {"bids": [["1", "1"]], "asks": [["2", "1"]]}
        await socket.send_json({"type": "subscribed", "server": "a"})
        if "resume" not in wanted:
            await socket.send_json({"type": "snapshot", "status": "synced", "id": 5 * len(asked), **level})
        if len(asked) == 2:
            await socket.send_json({"type": "update", "previous": 6, "id": 7, **level})
        elif len(asked) == 1:
            await socket.close()
        async for _ in socket:
            pass
        return socket

    application = web.Application()
    application.router.add_get("/v1/ws", serve)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with mirroring(f"ws://127.0.0.1:{port}/v1/ws", tmp_path) as program:
            await program.until(15)
    finally:
        await runner.cleanup()
    assert asked == [(None, None), (5, "a"), (None, "a")]
