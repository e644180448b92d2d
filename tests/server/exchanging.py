"""Clients of the exchange's own protocol: strict ones, by the exchange's instructions, and raw sockets."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp

from depthcache import Settings, server, venues
from depthcache.server.exchange import exchange_options
from tests.server import asking
from tests.server.asking import DEADLINE_S, own_address

KEY = "dcx_key_of_clients"
Side = dict[Decimal, Decimal]


def options(speed_ms: int | None = None, **changes: Any) -> str:
    """What a native server must know; `speed_ms`: of its books; `changes`: of `ServerConfig`."""
    made = exchange_options(server.ServerConfig(**changes), Settings(), speed_ms, KEY)
    assert made is not None
    return made


def beyond() -> dict[str, Any]:
    """The configuration of a server for other machines: TLS, and a key."""
    return {"listen": "0.0.0.0", "tls": True, "hosts": (own_address(),)}  # noqa: S104


def serving(exchange: str | None = None, **limits: float) -> AbstractContextManager[Any]:
    """A native server without books that speaks the exchange's protocol."""
    return asking.serving(exchange=exchange or options(), **limits)


@asynccontextmanager
async def session(trusted: object = None) -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP session that trusts a certificate."""
    context = True if trusted is None else ssl.create_default_context(cafile=str(trusted))
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector, trust_env=False) as made:
        yield made


class Socket:
    """A WebSocket whose messages are JSON; every wait has a deadline."""

    def __init__(self, inner: aiohttp.ClientWebSocketResponse) -> None:
        self.inner = inner

    async def text(self) -> str:
        message = await self.inner.receive(timeout=DEADLINE_S)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        return str(message.data)

    async def json(self) -> Any:
        return json.loads(await self.text())

    async def ask(self, method: str, *params: object, number: object = 1) -> Any:
        """Send a command; the reply, past data that comes before it."""
        await self.inner.send_json({"method": method, "params": list(params), "id": number})
        return await self.reply()

    async def reply(self) -> Any:
        while True:
            message = await self.json()
            if "id" in message:
                return message

    async def closed(self) -> tuple[int, str]:
        """Code and reason of the end, past data that comes before it."""
        while True:
            message = await self.inner.receive(timeout=DEADLINE_S)
            if message.type is aiohttp.WSMsgType.CLOSE:
                return message.data, message.extra
            assert message.type is aiohttp.WSMsgType.TEXT, message


@asynccontextmanager
async def connected(
    target: Any, path: str, *, headers: Mapping[str, str] | None = None, receive_bytes: int | None = None
) -> AsyncIterator[Socket]:
    """A WebSocket to a native server or to a URL."""
    url = target if isinstance(target, str) else f"ws://127.0.0.1:{target.port}"
    async with session() as http:
        if receive_bytes is not None:
            http._connector._socket_factory = _small(receive_bytes)  # type: ignore[union-attr]
        async with http.ws_connect(url + path, headers=headers, autoping=True) as inner:
            yield Socket(inner)


def _small(receive_bytes: int) -> Any:
    def make(info: Any) -> socket.socket:
        family, kind, protocol, *_ = info
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        return made

    return make


class Strict:
    """A client that keeps one book by the letter of the exchange's instructions.

    "How to manage a local order book correctly". Futures (2026-05): drop events with u < lastUpdateId; the
    first must have U <= lastUpdateId <= u; then pu must be the last u, or everything begins anew. Spot
    (2025-11): drop u <= lastUpdateId; the first must have U <= lastUpdateId + 1 <= u; then U must be the last
    u + 1.
    """

    def __init__(self, exchange: str, symbol: str, *, trusted: object = None, limit: int = 1_000) -> None:
        self.venue, self.symbol, self._trusted, self._limit = venues.venue(exchange), symbol, trusted, limit
        self.restarts = self.refused = 0
        self.update_id = 0
        self.sides: tuple[Side, Side] = ({}, {})
        self.events: list[str] = []
        self.began = asyncio.Event()

    async def follow(self, ends: Any, stream: str, updates: int) -> None:
        """Keep the book for so many updates since its last snapshot."""
        url = f"{ends.websocket}/ws/{stream}"
        async with session(self._trusted) as http, http.ws_connect(url) as inner:
            await asyncio.wait_for(self._follow(http, ends, Socket(inner), updates), DEADLINE_S)

    async def _follow(self, http: aiohttp.ClientSession, ends: Any, inner: Socket, updates: int) -> None:
        waiting: list[Any] = []
        while True:
            await self._load(http, ends)
            applied = await self._apply(inner, waiting, updates)
            if applied is None:
                return
            waiting = [applied]
            self.restarts += 1

    async def _load(self, http: aiohttp.ClientSession, ends: Any) -> None:
        url = f"{ends.rest}{self.venue.depth_path}"
        while True:
            query = {"symbol": self.symbol, "limit": str(self._limit)}
            async with http.get(url, params=query) as response:
                body = await response.json()
            if response.status == 200:
                break
            assert response.status == 503, body
            assert body["code"] == -1001
            self.refused += 1
            await asyncio.sleep(0.02)
        self.update_id = body["lastUpdateId"]
        self.sides = ({}, {})
        for side, levels in zip(self.sides, (body["bids"], body["asks"]), strict=True):
            side.update({Decimal(price): Decimal(quantity) for price, quantity in levels})

    async def _apply(self, inner: Socket, waiting: list[Any], updates: int) -> Any:
        """None when done; the event at which the chain broke."""
        chained, is_first, count = self.venue.continuity == "chained", True, 0
        while count < updates:
            event = waiting.pop(0) if waiting else await self._event(inner)
            first, last, held = event["U"], event["u"], self.update_id
            if last < held or (not chained and last == held):
                continue
            if is_first:
                follows = first <= held <= last if chained else first <= held + 1 <= last
            else:
                follows = event["pu"] == held if chained else first == held + 1
            if not follows:
                return event
            for side, levels in zip(self.sides, (event["b"], event["a"]), strict=True):
                for price, quantity in levels:
                    side[Decimal(price)] = Decimal(quantity)
            self.update_id, is_first = last, False
            self.began.set()
            count += 1
        return None

    async def _event(self, inner: Socket) -> Any:
        text = await inner.text()
        self.events.append(text)
        return json.loads(text)

    def top(self, levels: int) -> tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
        """The best levels of both sides."""
        bids, asks = ({price: held for price, held in side.items() if held} for side in self.sides)
        return sorted(bids.items(), reverse=True)[:levels], sorted(asks.items())[:levels]


def truth(exchange: Any, client: Strict, levels: int) -> Any:
    """The best levels of the simulated exchange at the update id that a client holds."""
    bids, asks = exchange.truth(client.venue.name, client.symbol).book_at(client.update_id)
    both = (sorted(bids, reverse=True)[:levels], sorted(asks)[:levels])
    return tuple([(Decimal(str(price)), Decimal(str(held))) for price, held in side] for side in both)
