"""Clients of `/v1/ws`, and mirrors of books made of nothing but messages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

import aiohttp
import msgpack

from depthcache import Book
from tests.server.asking import DEADLINE_S, READ

JSON, MESSAGE_PACK = "depthcache.v1.json", "depthcache.v1.msgpack"
HANDSHAKE = (
    "GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    f"Authorization: Bearer {READ}\r\n\r\n"
).encode()
Levels = list[tuple[Decimal, Decimal]]


class Mirror:
    """A book by its messages: a snapshot resets it, an update continues it, deletes are of what is there."""

    def __init__(self) -> None:
        self.id: int | None = None
        self.status = "unknown"
        self.bids: dict[Any, Any] = {}
        self.asks: dict[Any, Any] = {}

    def apply(self, message: dict[str, Any]) -> None:
        if message["type"] == "state":
            self.status = message["status"]
            return
        if message["type"] == "snapshot":
            self.status = message["status"]
            self.bids, self.asks = dict(message["bids"]), dict(message["asks"])
            assert (len(self.bids), len(self.asks)) == (len(message["bids"]), len(message["asks"]))
        else:
            assert message["type"] == "update"
            assert message["previous"] == self.id, "an update continues what is held"
            for held, changes in ((self.bids, message["bids"]), (self.asks, message["asks"])):
                for price, quantity in changes:
                    if Decimal(quantity) == 0:
                        del held[price]
                    else:
                        assert held.get(price) != quantity, "only what changed is sent"
                        held[price] = quantity
        self.id = message["id"]

    @property
    def sides(self) -> tuple[Levels, Levels]:
        """Both sides, best first."""

        def sort(side: dict[Any, Any], *, reverse: bool) -> Levels:
            return sorted(((Decimal(p), Decimal(q)) for p, q in side.items()), reverse=reverse)

        return sort(self.bids, reverse=True), sort(self.asks, reverse=False)


def expected(book: Book, levels: int | str, group: str | None) -> tuple[Levels, Levels]:
    """The same view of the book itself."""
    count = None if levels == "all" else int(levels)
    bids, asks = (
        [(level.price, level.quantity) for level in side[:]] for side in (book.exact.bids, book.exact.asks)
    )
    if group is not None:
        step = Decimal(group)
        bids = summed(bids, lambda price: (price / step).to_integral_value(ROUND_FLOOR) * step)
        asks = summed(asks, lambda price: (price / step).to_integral_value(ROUND_CEILING) * step)
    return bids[:count], asks[:count]


def summed(levels: Levels, multiple: Any) -> Levels:
    found: dict[Decimal, Decimal] = {}
    for price, quantity in levels:
        at = multiple(price)
        found[at] = found.get(at, Decimal(0)) + quantity
    return list(found.items())


class Client:
    """One socket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.packed = socket.protocol == MESSAGE_PACK
        self.requests = 0
        self.mirrors: dict[tuple[str, str, str], Mirror] = {}

    async def send(self, **fields: Any) -> None:
        await self.put(fields)

    async def put(self, fields: dict[str, Any]) -> None:
        """Send any object."""
        if self.packed:
            await self.socket.send_bytes(msgpack.packb(fields))
        else:
            await self.socket.send_str(json.dumps(fields))

    async def receive(self) -> dict[str, Any]:
        """The next message; mirrors follow."""
        async with asyncio.timeout(DEADLINE_S):
            received = await self.socket.receive()
        if received.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            raise EOFError(received.data, received.extra)
        assert (received.type is aiohttp.WSMsgType.BINARY) == self.packed
        message: dict[str, Any] = msgpack.unpackb(received.data) if self.packed else json.loads(received.data)
        if message["type"] in ("snapshot", "update", "state"):
            self.mirror(message).apply(message)
        return message

    def mirror(self, message: dict[str, Any]) -> Mirror:
        key = (message["exchange"], message["symbol"], message["view"])
        return self.mirrors.setdefault(key, Mirror())

    async def until(self, kind: str) -> dict[str, Any]:
        """The next message of a type."""
        while (message := await self.receive())["type"] != kind:
            pass
        return message

    async def ask(self, **fields: Any) -> dict[str, Any]:
        """Send, and return the reply."""
        return await self.ask_as(fields)

    async def ask_as(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The same with a request of its own name, if it has one."""
        self.requests += 1
        await self.put({"request": self.requests, **fields})
        while "request" not in (message := await self.receive()):
            pass
        assert message["request"] == (None if "request" in fields else self.requests)
        return message

    async def subscribe(self, *symbols: str, **fields: Any) -> dict[str, Any]:
        reply = await self.ask(op="subscribe", symbols=list(symbols), **fields)
        assert reply["type"] == "subscribed", reply
        return reply

    async def closed(self) -> tuple[int | None, str]:
        """Read to the end: code and reason."""
        try:
            while True:
                await self.receive()
        except EOFError as end:
            return self.socket.close_code, str(end.args[1] or "")


@asynccontextmanager
async def session(**options: Any) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=DEADLINE_S), **options) as made:
        yield made


@asynccontextmanager
async def connected(
    port: int,
    *,
    token: str | None = READ,
    protocol: str | None = None,
    headers: dict[str, str] | None = None,
    **options: Any,
) -> AsyncIterator[Client]:
    """An open socket."""
    given = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with (
        session() as made,
        made.ws_connect(
            f"ws://127.0.0.1:{port}/v1/ws",
            headers={**given, **(headers or {})},
            protocols=[protocol] if protocol else [],
            max_msg_size=0,
            **options,
        ) as socket,
    ):
        yield Client(socket)
