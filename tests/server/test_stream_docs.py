"""Every message that the page about streams shows has the keys of those that a server sends."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from depthcache import _native, server
from tests.server.asking import book, diff, serving
from tests.server.following import connected

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
