"""Readers of every kind, which a cluster must never fail: each counts what it compared and notes every fault.

Readers other than depthcache's own client stand behind a load balancer, as far as it matters here: they go to
the next node when a connection ends or falls silent, and know which nodes are down. Anything else is a fault.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from itertools import zip_longest
from typing import Any
from urllib.parse import urlencode

import aiohttp

import depthcache
from depthcache import Status, Update
from depthcache.simulator import Truth, differences
from tests.cluster.processes import DEADLINE_S, SPOT, NodeProcess, Processes

LEVELS = 5
SILENT_S = 2.5
"""For how long a load balancer waits for a message of a busy book. A node that follows it from one that is
frozen is silent for up to 2 s. Times `Processes.patience`."""
_MOST_FAULTS = 20
_LOST = (aiohttp.ClientError, ConnectionError, TimeoutError, EOFError)


def wrong_levels(sides: Sequence[Sequence[Sequence[Any]]], truth: Truth, update_id: int) -> int:
    """How many of the best levels are not the exchange's at that id."""
    expected = [side[:LEVELS] for side in truth.book_at(update_id)]
    ours = [[(Decimal(price), Decimal(quantity)) for price, quantity in side[:LEVELS]] for side in sides]
    pairs = (zip_longest(*both) for both in zip(ours, expected, strict=True))
    return sum(level != other for both in pairs for level, other in both)


class Reader:
    """One reader of some books of a cluster."""

    stays = False
    """Whether it stays at one node as long as it can."""

    def __init__(self, cluster: Processes, symbols: Sequence[str], first: int = 0) -> None:
        """`first`: the number of the node to which it goes first."""
        self.cluster, self.symbols, self.first = cluster, tuple(symbols), first
        self.compared: Counter[str] = Counter()
        """Answers and messages that were compared with the exchange, by symbol."""
        self.moved = 0
        """Times that it went to the next node."""
        self.faults: list[str] = []
        self._turn = itertools.count(first)

    @property
    def name(self) -> str:
        return f"{type(self).__name__} {self.first}"

    async def run(self) -> None:
        """Read for ever."""
        raise NotImplementedError

    def fault(self, text: str) -> None:
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append(f"{self.name}: {text}")

    def compare(self, symbol: str, sides: Sequence[Sequence[Sequence[Any]]], update_id: int) -> None:
        """A synced book of at least LEVELS levels a side, exact."""
        wrong = wrong_levels(sides, self.cluster.truth(symbol), update_id)
        if wrong:
            self.fault(f"{symbol}: {wrong} wrong levels at id {update_id}")
        self.compared[symbol] += 1

    async def moving(self, follow: Callable[[NodeProcess], Any]) -> None:
        """Follow a node until its connection is lost, then the next one that is up, for ever."""
        while True:
            node = self._next()
            was_up, error = not node.is_down, "it ended"
            try:
                await follow(node)
            except _LOST as lost:
                error = f"{type(lost).__name__}: {lost}"
            self.moved += 1
            if was_up and not node.is_down:
                self.fault(f"a connection to a node that is up was lost: {error}")
            await asyncio.sleep(0)

    def _next(self) -> NodeProcess:
        up = self.cluster.up
        return up[next(self._turn) % len(up)]


@asynccontextmanager
async def session(cluster: Processes) -> AsyncIterator[aiohttp.ClientSession]:
    """Requests that trust the cluster's authority."""
    trust = ssl.create_default_context(cafile=cluster.authority)
    headers = {"Authorization": f"Bearer {cluster.read_token}"}
    connector = aiohttp.TCPConnector(ssl=trust, limit=0)
    silent_s = SILENT_S * cluster.patience
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=silent_s, sock_read=silent_s)
    async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as made:
        yield made


class OwnClient(Reader):
    """`connect(server=…)` with all nodes."""

    stays = True
    last: dict[str, int]
    unsynced: dict[str, str]
    costly: set[str]

    async def run(self) -> None:
        cluster = self.cluster
        self.last, self.unsynced, self.costly = {}, {}, set()
        urls = cluster.urls[self.first :] + cluster.urls[: self.first]
        async with depthcache.connect(
            SPOT, self.symbols, server=urls, token=cluster.read_token, ca=cluster.authority
        ) as books:
            await books.wait_synced(DEADLINE_S)
            async for update in books.updates("every", levels=None, on_stale="serve"):
                self.on_update(update)
                self.count(update.symbol, books[update.symbol].counters)

    def count(self, symbol: str, counters: Mapping[str, int]) -> None:
        """What a loss of a node must not cost: gaps, resets, and snapshots besides the first."""
        most = {"gaps": 0, "resets": 0, "snapshots": 1}
        costs = {name: counters[name] for name, few in most.items() if counters[name] > few}
        if costs and symbol not in self.costly:
            self.costly.add(symbol)
            self.fault(f"{symbol}: {costs}")

    def on_update(self, update: Update) -> None:
        """No update is lost or comes twice, and what says synced is true."""
        symbol = update.symbol
        if update.status is Status.CLOSED:
            self.fault(f"{symbol} is closed: {update.reason}")
        if "gap" in update.reason:
            self.fault(f"{symbol}: {update.reason}")
        if update.status is not Status.SYNCED:
            self.unsynced[symbol] = f"{update.status.value}: {update.reason}"
            return
        was_unsynced = self.unsynced.pop(symbol, None)
        update_id, before = update.last_update_id or 0, self.last.get(symbol, 0)
        if update_id < before or (update.changes is not None and update_id == before):
            self.fault(f"{symbol}: {update_id} after {before}")
        if update.skipped and was_unsynced is None:  # those of a silence come as one
            self.fault(f"{symbol}: {update.skipped} updates were skipped")
        self.last[symbol] = update_id
        wrong = differences(update, self.cluster.truth(symbol))
        if wrong:
            self.fault(f"{symbol}: {wrong} wrong levels at id {update_id}")
        self.compared[symbol] += 1


class RestReader(Reader):
    """GET requests to all nodes in turns, kept alive."""

    path = f"/v1/books/{SPOT}/{{symbol}}?levels={LEVELS}"

    async def run(self) -> None:
        async with session(self.cluster) as asked:
            for symbol in itertools.cycle(self.symbols):
                await self._read(asked, symbol)
                await asyncio.sleep(0.005)

    async def _read(self, asked: aiohttp.ClientSession, symbol: str) -> None:
        while True:
            node = self._next()
            try:
                async with asked.get(self._url(node, symbol)) as response:
                    body = await response.read()
            except _LOST as error:
                self.moved += 1
                if not node.is_down:
                    self.fault(f"{symbol}: a node that is up gave no answer: {type(error).__name__}: {error}")
                continue
            self.on_response(symbol, response.status, body)
            return

    def _url(self, node: NodeProcess, symbol: str) -> str:
        return node.url + self.path.format(symbol=symbol)

    def on_response(self, symbol: str, status: int, body: bytes) -> None:
        """Every answer has a book."""
        if status != 200:
            self.fault(f"{symbol}: status {status}: {body.decode(errors='replace')[:300]}")
            return
        found = json.loads(body)
        if found["status"] != "synced":
            self.fault(f"{symbol}: {found['status']}: {found['reason']}")
        self.compare(symbol, (found["bids"], found["asks"]), found["last_update_id"])


class BatchReader(RestReader):
    """GET requests for all books at once."""

    async def run(self) -> None:
        async with session(self.cluster) as asked:
            while True:
                await self._read(asked, "")
                await asyncio.sleep(0.02)

    def _url(self, node: NodeProcess, symbol: str) -> str:
        return f"{node.url}/v1/books?" + urlencode({"symbols": ",".join(self.symbols), "levels": LEVELS})

    def on_response(self, symbol: str, status: int, body: bytes) -> None:
        """All books are there."""
        found = json.loads(body) if status == 200 else {}
        books = found.get("books", [])
        for book in books:
            self.compare(book["symbol"], (book["bids"], book["asks"]), book["last_update_id"])
        if {book["symbol"] for book in books} != set(self.symbols):
            self.fault(f"status {status}: {body.decode(errors='replace')[-500:]}")


class ExchangeRestReader(RestReader):
    """The exchange's own depth requests."""

    path = f"/{SPOT}/api/v3/depth?symbol={{symbol}}&limit={LEVELS}"

    def on_response(self, symbol: str, status: int, body: bytes) -> None:
        if status != 200:
            self.fault(f"{symbol}: status {status}: {body.decode(errors='replace')[:300]}")
            return
        found = json.loads(body)
        self.compare(symbol, (found["bids"], found["asks"]), found["lastUpdateId"])


class OldReader(RestReader):
    """GET requests of the old cluster's clients, without a token."""

    def _url(self, node: NodeProcess, symbol: str) -> str:
        [url] = node.facts["compat_urls"]
        return f"{url}/get_asks?exchange={SPOT}&market={symbol}&limit_count={LEVELS}"

    def on_response(self, symbol: str, status: int, body: bytes) -> None:
        found = json.loads(body) if status == 200 else {}
        if found.get("result") != "OK" or len(found["asks"]) != LEVELS:
            self.fault(f"{symbol}: status {status}: {body.decode(errors='replace')[:300]}")
        self.compared[symbol] += 1


class Mirror:
    """A book made of nothing but messages: a snapshot resets it, an update continues it."""

    def __init__(self) -> None:
        self.id: int | None = None
        self.sides: tuple[dict[str, str], dict[str, str]] = ({}, {})

    def apply(self, message: dict[str, Any]) -> str | None:
        """What is wrong with it."""
        update_id, before = message["id"], self.id
        self.id = update_id
        if message["type"] == "snapshot":
            self.sides = ({}, {})
            wrong = before is not None and update_id < before
        else:
            wrong = message["previous"] != before
        for side, levels in zip(self.sides, (message["bids"], message["asks"]), strict=True):
            for price, quantity in levels:
                if Decimal(quantity):
                    side[price] = quantity
                else:
                    side.pop(price, None)
        return f"{message['type']} {message.get('previous')} to {update_id} after {before}" if wrong else None

    def levels(self) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Best first."""
        bids, asks = (sorted(side.items(), key=lambda level: Decimal(level[0])) for side in self.sides)
        return bids[::-1], asks


class SocketReader(Reader):
    """`/v1/ws` of one node after the other, all books, resumed by the ids it has."""

    stays = True

    async def run(self) -> None:
        self.mirrors = {symbol: Mirror() for symbol in self.symbols}
        self.resumed = self.reset = 0
        self._server: str | None = None
        async with session(self.cluster) as asked:
            await self.moving(lambda node: self._follow(asked, node))

    async def _follow(self, asked: aiohttp.ClientSession, node: NodeProcess) -> None:
        subscribe = {"op": "subscribe", "symbols": list(self.symbols), "mode": "every", "levels": LEVELS}
        known = {f"{SPOT}/{name}": each.id for name, each in self.mirrors.items() if each.id is not None}
        if known:
            subscribe |= {"resume": known, "server": self._server}
        url = node.url.replace("http", "ws", 1)
        async with asked.ws_connect(f"{url}/v1/ws", max_msg_size=0) as socket:
            await socket.send_json(subscribe)
            while True:
                async with asyncio.timeout(SILENT_S * self.cluster.patience):
                    received = await socket.receive()
                if received.type is not aiohttp.WSMsgType.TEXT:
                    raise EOFError(received.type.name, socket.close_code, received.extra)
                self.on_message(received.json())

    def on_message(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "subscribed":
            self._server = message["server"]
        elif kind in ("snapshot", "update"):
            mirror = self.mirrors[message["symbol"]]
            if wrong := mirror.apply(message):
                self.fault(f"{message['symbol']}: {wrong}")
            elif message.get("status", "synced") == "synced":
                self.compare(message["symbol"], mirror.levels(), message["id"])
        elif kind == "state":
            self.on_state(message)
        elif kind != "heartbeat":
            self.fault(json.dumps(message)[:300])

    def on_state(self, message: dict[str, Any]) -> None:
        if message["status"] == "closed" or "gap" in message["reason"]:
            self.fault(f"{message['symbol']}: {message['status']}: {message['reason']}")


class EventReader(SocketReader):
    """`/v1/stream` of one node after the other, one book, resumed by `Last-Event-ID`."""

    _last = ""

    def __init__(self, cluster: Processes, symbols: Sequence[str], first: int = 0) -> None:
        super().__init__(cluster, symbols[:1], first)

    async def _follow(self, asked: aiohttp.ClientSession, node: NodeProcess) -> None:
        query = urlencode({"symbols": self.symbols[0], "mode": "every", "levels": LEVELS})
        headers = {"Last-Event-ID": self._last} if self._last else {}
        async with asked.get(f"{node.url}/v1/stream?{query}", headers=headers) as response:
            if response.status != 200:
                self.fault(f"status {response.status}: {(await response.text())[:300]}")
                return
            async for line in response.content:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "id":
                    self._last = value
                elif name == "data":
                    self.on_message(json.loads(value))


class ExchangeStreamReader(Reader):
    """The exchange's diffs and snapshots, as a strict client of the exchange keeps its book."""

    stays = True

    async def run(self) -> None:
        async with session(self.cluster) as asked:
            await self.moving(lambda node: self._follow(asked, node))

    async def _follow(self, asked: aiohttp.ClientSession, node: NodeProcess) -> None:
        books: dict[str, Mirror] = {}
        streams = "/".join(f"{symbol.lower()}@depth@100ms" for symbol in self.symbols)
        url = f"{node.url.replace('http', 'ws', 1)}/{SPOT}/stream?streams={streams}"
        async with asked.ws_connect(url, max_msg_size=0) as socket:
            while True:
                async with asyncio.timeout(SILENT_S * self.cluster.patience):
                    received = await socket.receive()
                if received.type is not aiohttp.WSMsgType.TEXT:
                    raise EOFError(received.type.name, socket.close_code, received.extra)
                diff = received.json()["data"]
                symbol = diff["s"]
                if symbol not in books:
                    books[symbol] = await self._snapshot(asked, node, symbol)
                self._apply(symbol, books[symbol], diff)

    async def _snapshot(self, asked: aiohttp.ClientSession, node: NodeProcess, symbol: str) -> Mirror:
        async with asked.get(f"{node.url}/{SPOT}/api/v3/depth?symbol={symbol}&limit=1000") as response:
            body = await response.text()
        made = Mirror()
        if response.status != 200:
            self.fault(f"{symbol}: a snapshot with status {response.status}: {body[:200]}")
            raise EOFError
        found = json.loads(body)
        made.apply({"type": "snapshot", "id": found["lastUpdateId"], **found})
        return made

    def _apply(self, symbol: str, book: Mirror, diff: dict[str, Any]) -> None:
        assert book.id is not None
        if diff["u"] <= book.id:
            return  # older than the snapshot
        if diff["U"] > book.id + 1:
            self.fault(f"{symbol}: a gap: {diff['U']} after {book.id}")
        book.apply(
            {"type": "update", "previous": book.id, "id": diff["u"], "bids": diff["b"], "asks": diff["a"]}
        )
        self.compare(symbol, book.levels(), diff["u"])


class BookSeconds(Reader):
    """Notes every moment at which a book can be read synced at no node. Not one of `ALL`."""

    def __init__(self, cluster: Processes, symbols: Sequence[str], first: int = 0) -> None:
        super().__init__(cluster, symbols, first)
        self.lost: Counter[str] = Counter()
        """Samples at which no node had a book, by symbol."""

    async def run(self) -> None:
        async with session(self.cluster) as asked:
            while True:
                found = await self._readable(asked)
                for symbol in self.symbols:
                    if symbol in found:
                        self.compared[symbol] += 1
                    else:
                        self.lost[symbol] += 1
                        self.fault(f"{symbol} can be read at no node")
                await asyncio.sleep(0.2)

    async def _readable(self, asked: aiohttp.ClientSession) -> set[str]:
        query = urlencode({"symbols": ",".join(self.symbols), "levels": 1})
        found: set[str] = set()
        for node in self.cluster.up:
            with suppress(*_LOST):
                async with asked.get(f"{node.url}/v1/books?{query}") as response:
                    body = await response.json() if response.status == 200 else {"books": []}
                found |= {book["symbol"] for book in body["books"] if book["status"] == "synced"}
            if found == set(self.symbols):
                break
        return found


ALL: tuple[type[Reader], ...] = (
    OwnClient, RestReader, BatchReader, ExchangeRestReader, OldReader,
    SocketReader, EventReader, ExchangeStreamReader,
)  # fmt: skip


class Readers:
    """All readers of a cluster, in tasks."""

    def __init__(self, readers: Iterable[Reader]) -> None:
        self.readers = tuple(readers)
        self._tasks = [asyncio.create_task(each.run(), name=each.name) for each in self.readers]

    async def progress(self, count: int = 5) -> None:
        """Wait until each compared so many answers more of each symbol."""
        goals = [
            (each, symbol, each.compared[symbol] + count) for each in self.readers for symbol in each.symbols
        ]
        behind: list[str] = []
        try:
            async with asyncio.timeout(DEADLINE_S):
                while behind := [
                    f"{each.name} {symbol}: {each.compared[symbol]} of {goal}"
                    for each, symbol, goal in goals
                    if each.compared[symbol] < goal
                ]:
                    for task in self._tasks:
                        if task.done():
                            task.result()
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"no progress: {behind}; faults: {self.faults}") from None

    @property
    def faults(self) -> list[str]:
        """Of all of them."""
        return [fault for each in self.readers for fault in each.faults]

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*self._tasks, return_exceptions=True)


async def lose_two(cluster: Processes, readers: Readers) -> None:
    """Node b is killed and comes back, then c is frozen for a while."""
    await cluster["b"].kill()
    await cluster.settled()
    await readers.progress()
    await cluster["b"].restart()
    await cluster.settled()
    cluster["c"].freeze()
    await cluster.settled()
    await readers.progress()
    cluster["c"].thaw()
    await cluster.settled()


@asynccontextmanager
async def reading(
    cluster: Processes, symbols: Sequence[str], kinds: Sequence[type[Reader]] = ALL
) -> AsyncIterator[Readers]:
    """Readers that have begun; at the end none of them has noticed a fault."""
    numbers = range(len(cluster.nodes))
    readers = Readers(
        kind(cluster, symbols, number) for kind in kinds for number in (numbers if kind.stays else (0,))
    )
    try:
        await readers.progress()
        yield readers
        await readers.progress()
    finally:
        await readers.end()
    if readers.faults:
        raise AssertionError("\n".join(readers.faults))
