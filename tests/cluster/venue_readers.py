"""Readers of books of all families, in every encoding; books are named `EXCHANGE/SYMBOL`."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgpack

import depthcache
from depthcache import Status, Update, blocking, simulator
from depthcache.simulator import PROFILES, TINY, Profile, differences
from tests.cluster.processes import DEADLINE_S, SPOT, NodeProcess, Processes
from tests.cluster.readers import (
    LEVELS,
    SILENT_S,
    BatchReader,
    Mirror,
    OwnClient,
    RestReader,
    SocketReader,
    session,
    wrong_levels,
)  # fmt: skip

UM, CM, OPTIONS = "binance.com-futures", "binance.com-coin_futures", "binance.com-vanilla-options"
QUICK = {"interval_ms": 100}

DEEP = "DEEPUSDT"
MARKETS: Mapping[str, Mapping[str, Profile]] = {
    SPOT: {
        "SYM0USDT": replace(TINY, **QUICK),
        "币安人生USDT": replace(PROFILES["spot"]["币安人生USDT"], **QUICK),
        DEEP: replace(TINY, levels=5_000, interval_ms=1_000),
    },
    UM: {
        "BTCUSDT": replace(PROFILES["linear"]["BTCUSDT"], levels=60, body_ticks=60, **QUICK),
        "ETHUSDT": replace(PROFILES["linear"]["ETHUSDT"], levels=60, body_ticks=60, **QUICK),
        "币安人生USDT": replace(PROFILES["linear"]["币安人生USDT"], **QUICK),
    },
    CM: {"BTCUSD_PERP": replace(PROFILES["inverse"]["BTCUSD_PERP"], levels=60, body_ticks=60, **QUICK)},
    OPTIONS: {
        name: replace(PROFILES["options"][name], **QUICK)
        for name in ("BTC-261225-126000-C", "ETH-261225-4000-C")
    },
}
"""Every market changes at least once a second."""
SETTINGS = {
    DEEP: {"depth": 5_000, "speed_ms": 1_000},
    "ETHUSDT": {"speed_ms": 250},
    "BTCUSD_PERP": {"speed_ms": 500},
}
"""Of a book in the cluster, by symbol; without one it has the fastest stream of its exchange."""
BOOKS = tuple(f"{exchange}/{symbol}" for exchange, markets in MARKETS.items() for symbol in markets)


def by_exchange(books: Sequence[str]) -> dict[str, list[str]]:
    """The symbols of each exchange."""
    found: dict[str, list[str]] = {}
    for book in books:
        exchange, symbol = book.split("/")
        found.setdefault(exchange, []).append(symbol)
    return found


class _AnyBooks:
    """Of a `Reader`: names with the exchange."""

    cluster: Processes

    def fault(self, text: str) -> None:
        raise NotImplementedError

    def compare_book(self, book: str, sides: Any, update_id: int) -> None:
        """As `Reader.compare`, with the digits that there are."""
        wrong = wrong_levels(sides, self.cluster.exchange.truth(*book.split("/")), update_id)
        if wrong:
            self.fault(f"{book}: {wrong} wrong levels at id {update_id}")
        self.compared[book] += 1  # type: ignore[attr-defined]


class AllBooksClient(OwnClient):
    """`connect(server=…)` of all nodes, books of several exchanges."""

    async def run(self) -> None:
        cluster = self.cluster
        self.last, self.unsynced = {}, {}
        urls = cluster.urls[self.first :] + cluster.urls[: self.first]
        async with depthcache.connect(
            by_exchange(self.symbols), server=urls, token=cluster.read_token, ca=cluster.authority, depth=5
        ) as books:
            await books.wait_synced(DEADLINE_S)
            async for update in books.updates("every", levels=None, on_stale="serve"):
                self.on_named(f"{update.exchange}/{update.symbol}", update)

    def on_named(self, book: str, update: Update) -> None:
        """As `OwnClient.on_update`: no update is lost or comes twice, and what says synced is true."""
        if update.status is Status.CLOSED or "gap" in update.reason:
            self.fault(f"{book} is {update.status}: {update.reason}")
        if update.status is not Status.SYNCED:
            return
        update_id, before = update.last_update_id or 0, self.last.get(book, 0)
        if update_id < before:
            self.fault(f"{book}: {update_id} after {before}")
        self.last[book] = update_id
        wrong = differences(update, self.cluster.exchange.truth(*book.split("/")))
        if wrong:
            self.fault(f"{book}: {wrong} wrong levels at id {update_id}")
        self.compared[book] += 1


class BlockingClient(AllBooksClient):
    """The same with the blocking client, in a thread."""

    async def run(self) -> None:
        self.last, over = {}, threading.Event()
        try:
            await asyncio.to_thread(self._run, over)
        finally:
            over.set()

    def _run(self, over: threading.Event) -> None:
        cluster = self.cluster
        with blocking.connect(
            by_exchange(self.symbols),
            server=cluster.urls,
            token=cluster.read_token,
            ca=cluster.authority,
            depth=5,
        ) as books:
            books.wait_synced(DEADLINE_S)
            for update in books.updates("every", levels=None, on_stale="serve"):
                self.on_named(f"{update.exchange}/{update.symbol}", update)
                if over.is_set():
                    return


class PackedReader(_AnyBooks, SocketReader):
    """`/v1/ws` in MessagePack, resumed by the ids it has."""

    async def run(self) -> None:
        self.mirrors = {book: Mirror() for book in self.symbols}
        self._server = None
        async with session(self.cluster) as asked:
            await self.moving(lambda node: self._follow(asked, node))

    async def _follow(self, asked: aiohttp.ClientSession, node: NodeProcess) -> None:
        subscribe = {"op": "subscribe", "symbols": list(self.symbols), "mode": "every", "levels": LEVELS}
        known = {name: each.id for name, each in self.mirrors.items() if each.id is not None}
        if known:
            subscribe |= {"resume": known, "server": self._server}
        url = f"{node.url.replace('http', 'ws', 1)}/v1/ws"
        async with asked.ws_connect(url, max_msg_size=0, protocols=["depthcache.v1.msgpack"]) as socket:
            await socket.send_bytes(msgpack.packb(subscribe))
            while True:
                async with asyncio.timeout(SILENT_S):
                    received = await socket.receive()
                if received.type is not aiohttp.WSMsgType.BINARY:
                    raise EOFError(received.type.name, socket.close_code, received.extra)
                self.on_packed(msgpack.unpackb(received.data))

    def on_packed(self, message: dict[str, Any]) -> None:
        if message["type"] in ("snapshot", "update"):
            book = f"{message['exchange']}/{message['symbol']}"
            mirror = self.mirrors[book]
            if wrong := mirror.apply(message):
                self.fault(f"{book}: {wrong}")
            elif message.get("status", "synced") == "synced":
                self.compare_book(book, mirror.levels(), message["id"])
        else:
            self.on_message(message)


class ArrowReader(_AnyBooks, BatchReader):
    """GET requests for all books at once, as a stream of Arrow."""

    async def _read(self, asked: aiohttp.ClientSession, symbol: str) -> None:
        asked.headers["Accept"] = "application/vnd.apache.arrow.stream"
        await RestReader._read(self, asked, symbol)

    def on_response(self, symbol: str, status: int, body: bytes) -> None:
        """All books are there."""
        import pyarrow as pa

        if status != 200:
            self.fault(f"status {status}: {body.decode(errors='replace')[-500:]}")
            return
        table = pa.ipc.open_stream(io.BytesIO(body)).read_all()
        books: dict[str, Any] = {}
        for row in table.to_pylist():
            sides, _ = books.setdefault(f"{row['exchange']}/{row['symbol']}", (([], []), row["update_id"]))
            sides[row["side"] == "ask"].append((row["price"], row["quantity"]))
        for book, (sides, update_id) in books.items():
            self.compare_book(book, sides, update_id)
        if set(books) != set(self.symbols):
            self.fault(f"missing: {table.schema.metadata[b'depthcache.missing']!r}")


class NamedBatchReader(_AnyBooks, BatchReader):
    """The same in JSON."""

    def on_response(self, symbol: str, status: int, body: bytes) -> None:
        found = json.loads(body) if status == 200 else {}
        names = set()
        for book in found.get("books", []):
            names.add(name := f"{book['exchange']}/{book['symbol']}")
            self.compare_book(name, (book["bids"], book["asks"]), book["last_update_id"])
        if names != set(self.symbols):
            self.fault(f"status {status}: {body.decode(errors='replace')[-500:]}")


class NamedRestReader(_AnyBooks, RestReader):
    """One book at a time."""

    def _url(self, node: NodeProcess, symbol: str) -> str:
        exchange, name = symbol.split("/")
        return f"{node.url}/v1/books/{exchange}/{name}?{urlencode({'levels': LEVELS})}"

    def on_response(self, symbol: str, status: int, body: bytes) -> None:
        if status != 200:
            self.fault(f"{symbol}: status {status}: {body.decode(errors='replace')[:300]}")
            return
        found = json.loads(body)
        self.compare_book(symbol, (found["bids"], found["asks"]), found["last_update_id"])


KINDS = (AllBooksClient, BlockingClient, PackedReader, ArrowReader, NamedBatchReader, NamedRestReader)


def exchange() -> simulator.Server:
    """An exchange on loopback with all families."""
    return simulator.Server(simulator.SimulatedExchange(MARKETS, seed=7))


@asynccontextmanager
async def running(
    folder: Path,
    names: str = "abc",
    books: Sequence[str] = BOOKS,
    *,
    policy: Mapping[str, str] | None = None,
) -> AsyncIterator[Processes]:
    """A cluster that keeps these books twice. `policy`: variables of its nodes."""
    with exchange() as server:
        cluster = Processes(folder, server)
        cluster.environment |= dict(policy or {})
        try:
            await cluster.start(names[0])
            for name in names[1:]:
                await cluster.join(name, issuer=names[0])
            for book in books:
                of, symbol = book.split("/")
                body = {"exchange": of, "symbols": [symbol], "replicas": 2}
                await cluster[names[0]].ask("POST", "/books", body | {"settings": SETTINGS.get(symbol, {})})
            await cluster.settled()
            yield cluster
        except AssertionError:
            for name, node in cluster.nodes.items():
                print(f"--- {name}\n{node.log}")
            raise
        finally:
            cluster.end()
