"""The book server in trouble: thousands of clients that break off, and a server that is killed.

    python -m benches.server_soak --connects 10000 --kills 10 [--seed 1]

Clients come in every way and leave in the middle: of a connect, a request, a response, a WebSocket, a stream
of events, a TLS handshake. Descriptors, threads and memory of the server must stay as they were, and its
gauges return to zero. Then `kill -9`: readers of the exchange's protocol and of `/v1/ws` must reconnect
once the server is back on its port, and hold the books of the exchange.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import aiohttp

import depthcache
from depthcache import Endpoints, Settings, simulator

EXCHANGE, SYMBOLS = "binance.com", ("BTCUSDT", "ETHUSDT")
HOST = "127.0.0.1"
DEADLINE_S = 60.0
BATCHES = 10
WARM = 0.3
"""The share of the connects after which memory, descriptors and threads must not grow any more."""
MOST_FILES = 2
MOST_BYTES = 6 << 20
LEVELS = 20
LOOKS = 3
"""Books that are compared with the exchange's after each restart."""
ZERO = ("connections", "sockets", "event_streams", "subscribers")
"""Gauges of the server that are zero without clients."""


# --- a server in its own process --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Usage:
    """The resources of a process."""

    files: int
    threads: int
    bytes: int

    def __str__(self) -> str:
        return f"{self.files} descriptors, {self.threads} threads, {self.bytes / 2**20:.1f} MiB"


class Served:
    """A `depthcache serve` that is ready."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        line = process.stdout.readline()
        if not line:
            raise AssertionError(f"the server did not start: exit code {process.wait(DEADLINE_S)}")
        facts = json.loads(line)
        self.url: str = facts["url"]
        self.token: str = facts["read_token"]
        self.port = int(self.url.rpartition(":")[2])
        self.old_port = int(facts["compat_urls"][0].rpartition(":")[2])
        self.certificate: str | None = facts.get("certificate_file")

    @property
    def usage(self) -> Usage:
        """Read from /proc."""
        folder = Path(f"/proc/{self.process.pid}")
        pages = int(folder.joinpath("statm").read_text("ascii").split()[1])
        files, threads = (len(list(folder.joinpath(name).iterdir())) for name in ("fd", "task"))
        return Usage(files, threads, pages * os.sysconf("SC_PAGE_SIZE"))

    def gauges(self) -> dict[str, int]:
        """What is open, without the connection that asks."""
        context = None if self.certificate is None else ssl.create_default_context(cafile=self.certificate)
        asked = Request(f"{self.url}/metrics", headers={"Authorization": f"Bearer {self.token}"})  # noqa: S310
        with urlopen(asked, timeout=DEADLINE_S, context=context) as response:  # noqa: S310 - loopback
            text = response.read().decode()
        found = {name: int(re.findall(rf"^depthcache_server_{name} (\d+)$", text, re.M)[0]) for name in ZERO}
        return found | {"connections": found["connections"] - 1}

    def wait_until_idle(self) -> None:
        """Until the server has noticed that all clients left. Raises AssertionError after a while."""
        ends_s = time.monotonic() + DEADLINE_S
        while any((found := self.gauges()).values()):
            assert time.monotonic() < ends_s, f"gauges are not back at zero: {found}"
            time.sleep(0.05)


@contextmanager
def serving(folder: Path, environment: dict[str, str], *options: str, port: int = 0) -> Iterator[Served]:
    """Start one; kill it at the end. `folder`: keeps its tokens and certificate."""
    command = [sys.executable, "-m", "depthcache", "serve", *SYMBOLS, "--json", "--port", str(port)]
    command += ["--data-dir", str(folder), "--compat-listen", f"{HOST}:0", *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    ) as process:
        try:
            yield Served(process)
        finally:
            process.kill()


# --- clients that break off -------------------------------------------------------------------------


class Breaker:
    """Connects in every way and leaves in the middle."""

    def __init__(self, plain: Served, secure: Served, seed: int) -> None:
        self._plain, self._secure = plain, secure
        self.random = random.Random(seed)
        self._trust = ssl._create_unverified_context()  # noqa: S323 - what is trusted is not tested here
        self.kinds: dict[str, Callable[[], None]] = {
            "TCP": self.connect,
            "half a request": self.half_a_request,
            "keep-alive": self.keep_alive,
            "a response not read": self.unread,
            "WebSocket": self.follow,
            "the exchange's WebSocket": self.follow_as_exchange,
            "events": self.events,
            "old client": self.old_client,
            "TLS handshake": self.half_a_handshake,
            "TLS": self.half_a_request_in_tls,
        }

    def run(self, connects: int) -> None:
        """So many of them, of all kinds."""
        names = list(self.kinds)
        for _ in range(connects):
            with suppress(ConnectionError):  # the server may be the first to leave
                self.kinds[self.random.choice(names)]()

    def connect(self) -> None:
        """Nothing is sent."""
        with self._dialed(self._plain.port):
            pass

    def half_a_request(self) -> None:
        """A head, or a part of it."""
        head = self._head("/v1/books")
        with self._dialed(self._plain.port) as client:
            client.sendall(head[: self.random.randrange(len(head))])

    def keep_alive(self) -> None:
        """Some requests, then half of one."""
        head = self._head(f"/v1/books/{EXCHANGE}/BTCUSDT?levels=5")
        with self._dialed(self._plain.port) as client:
            for _ in range(self.random.randint(1, 3)):
                client.sendall(head)
                client.recv(1 << 16)
            client.sendall(head[: self.random.randrange(1, len(head))])

    def unread(self) -> None:
        """A large response."""
        with self._dialed(self._plain.port) as client:
            client.sendall(self._head("/v1/books?symbols=*&levels=all"))

    def follow(self) -> None:
        """A subscription, some messages, perhaps half a frame."""
        with self._dialed(self._plain.port) as client:
            client.sendall(self._upgrade("/v1/ws"))
            client.recv(1 << 16)
            asked = {
                "op": "subscribe",
                "symbols": [self.random.choice(["*", "BTC*", "ETHUSDT"])],
                "mode": self.random.choice(["every", "latest", "best"]),
                "levels": self.random.choice([1, 5, 20]),
            }
            sent = frame(json.dumps(asked).encode())
            client.sendall(sent[: self.random.choice([len(sent), len(sent) // 2])])
            self._read_some(client)

    def follow_as_exchange(self) -> None:
        """A stream of the exchange's protocol."""
        name = self.random.choice(["btcusdt@depth@100ms", "ethusdt@depth5", "btcusdt@bookTicker"])
        with self._dialed(self._plain.port) as client:
            client.sendall(self._upgrade(f"/{EXCHANGE}/ws/{name}"))
            self._read_some(client)

    def events(self) -> None:
        """A stream of events."""
        with self._dialed(self._plain.port) as client:
            client.sendall(self._head("/v1/stream?symbols=*&levels=5"))
            self._read_some(client)

    def old_client(self) -> None:
        """A read of the old cluster's clients."""
        head = self._head(f"/get_asks?exchange={EXCHANGE}&market=BTCUSDT&limit_count=5")
        with self._dialed(self._plain.old_port) as client:
            client.sendall(head[: self.random.choice([len(head), len(head) // 2])])
            client.setblocking(False)
            with suppress(BlockingIOError):
                client.recv(1 << 16)

    def half_a_handshake(self) -> None:
        """The first message of TLS, or a part of it."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        handshake = self._trust.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with suppress(ssl.SSLWantReadError):
            handshake.do_handshake()
        hello = outgoing.read()
        with self._dialed(self._secure.port) as client:
            client.sendall(hello[: self.random.randrange(1, len(hello) + 1)])

    def half_a_request_in_tls(self) -> None:
        """A request, or a part of it; TLS is not ended."""
        head = self._head("/v1/books")
        with (
            self._dialed(self._secure.port) as client,
            self._trust.wrap_socket(client, server_hostname="localhost") as secure,
        ):
            secure.sendall(head[: self.random.randrange(len(head) + 1)])

    @contextmanager
    def _dialed(self, port: int) -> Iterator[socket.socket]:
        """A connection, which ends with or without a word."""
        with socket.create_connection((HOST, port), timeout=DEADLINE_S) as client:
            if self.random.random() < 0.5:  # a reset instead of an end
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            yield client

    def _read_some(self, client: socket.socket) -> None:
        for _ in range(self.random.randrange(3)):
            client.settimeout(0.2)
            with suppress(TimeoutError):
                client.recv(1 << 16)

    def _head(self, path: str) -> bytes:
        lines = (
            f"GET {path} HTTP/1.1",
            f"Host: {HOST}",
            f"Authorization: Bearer {self._plain.token}",
            "",
            "",
        )
        return "\r\n".join(lines).encode()

    def _upgrade(self, path: str) -> bytes:
        more = (
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        )
        return self._head(path)[:-2] + "\r\n".join((*more, "", "")).encode()


def frame(payload: bytes) -> bytes:
    """A text frame of a client, with a mask of zeros."""
    size = len(payload)
    head = bytes([0x81, 0x80 | size]) if size < 126 else bytes([0x81, 0xFE, size >> 8, size & 255])
    return head + bytes(4) + payload


def break_off(environment: dict[str, str], *, connects: int, seed: int) -> list[str]:
    """The faults found, a sentence each."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plain = stack.enter_context(serving(folder, environment))
        secure = stack.enter_context(serving(folder, environment, "--tls"))
        servers = {"plain": plain, "TLS": secure}
        breaker = Breaker(plain, secure, seed)
        done, warm = 0, {name: each.usage for name, each in servers.items()}
        for number in range(1, BATCHES + 1):
            breaker.run(connects * number // BATCHES - done)
            done = connects * number // BATCHES
            for each in servers.values():
                each.wait_until_idle()
            usage = {name: each.usage for name, each in servers.items()}
            said = "; ".join(f"{name}: {each}" for name, each in usage.items())
            print(f"{done:,} connects; {said}", flush=True)
            if number / BATCHES <= WARM:
                warm = usage
        return [
            f"{name}: {what}"
            for name, each in servers.items()
            for what in leaks(warm[name], settled(each, warm[name]))
        ]


def settled(server: Served, warm: Usage) -> Usage:
    """What it uses once its system has closed what its clients left."""
    ends_s = time.monotonic() + 5
    while (found := server.usage).files > warm.files + MOST_FILES and time.monotonic() < ends_s:
        time.sleep(0.05)
    return found


def leaks(warm: Usage, now: Usage) -> list[str]:
    """What grew."""
    found = []
    if now.files > warm.files + MOST_FILES:
        found.append(f"{now.files - warm.files} descriptors are left behind")
    if now.threads > warm.threads:
        found.append(f"{now.threads - warm.threads} threads are left behind")
    if now.bytes > warm.bytes + MOST_BYTES:
        found.append(f"memory grew by {(now.bytes - warm.bytes) / 2**20:.1f} MiB")
    return found


# --- kill -9 ----------------------------------------------------------------------------------------


@dataclass
class Mirror:
    """A book by the messages of `/v1/ws`; `follow` keeps it, also through restarts of the server."""

    symbol: str
    id: int | None = None
    server: str | None = None
    status: str = ""
    sides: tuple[dict[float, float], dict[float, float]] = field(default_factory=lambda: ({}, {}))
    resumed: int = 0
    """Connections that resumed without a snapshot."""
    transport: Any = None

    async def follow(self, url: str, token: str) -> None:
        """Never returns."""
        while True:
            with suppress(aiohttp.ClientError, ConnectionError, EOFError):
                await self._follow(url, token)
            await asyncio.sleep(0.05)

    async def _follow(self, url: str, token: str) -> None:
        asked: dict[str, Any] = {"op": "subscribe", "symbols": [self.symbol], "mode": "every"}
        asked |= {"levels": LEVELS, "exact": False}
        if self.id is not None:
            asked |= {"resume": self.id, "server": self.server}
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession(trust_env=False) as session,
            session.ws_connect(url.replace("http", "ws", 1) + "/v1/ws", headers=headers) as opened,
        ):
            connection = opened._response.connection
            self.transport = None if connection is None else connection.transport
            await opened.send_json(asked)
            is_first = self.id is not None
            async for received in opened:
                message = received.json()
                if message["type"] == "subscribed":
                    self.server = message["server"]
                elif message["type"] in ("snapshot", "update", "state"):
                    self.resumed += is_first and message["type"] == "update"
                    is_first = False
                    self.apply(message)
                else:
                    assert message["type"] == "heartbeat", message
            raise EOFError

    def apply(self, message: dict[str, Any]) -> None:
        """The next message. Raises AssertionError where it does not follow."""
        self.status = message.get("status", self.status)
        if message["type"] == "state":
            return
        if message["type"] == "snapshot":
            self.sides = ({}, {})
        else:
            assert message["previous"] == self.id, f"{message['previous']} follows {self.id}"
        for side, levels in zip(self.sides, (message["bids"], message["asks"]), strict=True):
            for price, quantity in levels:
                if quantity:
                    side[price] = quantity
                else:
                    del side[price]
        self.id = message["id"]

    def wrong(self, truth: simulator.Truth) -> int:
        """Levels that are not the exchange's at the same id."""
        assert self.id is not None
        bids, asks = self.sides
        return wrong_levels(self.id, (sorted(bids.items(), reverse=True), sorted(asks.items())), truth)


def wrong_levels(update_id: int, sides: Sequence[Sequence[Any]], truth: simulator.Truth) -> int:
    """How many of the best levels are not the exchange's at that id."""
    expected = [[(float(p), float(q)) for p, q in side[:LEVELS]] for side in truth.book_at(update_id)]
    ours = [[tuple(level) for level in side] for side in sides]
    pairs = (zip_longest(*both) for both in zip(ours, expected, strict=True))
    return sum(level != other for both in pairs for level, other in both)


async def survive(exchange: simulator.Server, environment: dict[str, str], *, kills: int) -> list[str]:
    """Kill the server so often; the faults found."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        served = await asyncio.to_thread(stack.enter_context, serving(folder, environment))
        rest = f"{served.url}/{EXCHANGE}"
        ends = Endpoints(rest=rest, websocket=rest.replace("http", "ws", 1))
        policy = depthcache.Policy(relapse_base_s=0.1, relapse_cap_s=0.2, connect_cap_s=1.0)  # breaks often
        settings = Settings(endpoints={EXCHANGE: ends}, proxies=False, policy=policy)
        mirror = Mirror(SYMBOLS[0])
        following = asyncio.create_task(mirror.follow(served.url, served.token))
        faults: list[str] = []
        async with depthcache.connect(EXCHANGE, SYMBOLS, settings=settings) as books:
            await books.wait_synced(timeout=DEADLINE_S)
            faults += await compared(exchange, books, mirror, following)
            for number in range(1, kills + 1):
                resumed = mirror.resumed
                mirror.transport.abort()
                faults += await compared(exchange, books, mirror, following)
                if mirror.resumed == resumed:
                    faults.append("after a cut the follower got a snapshot instead of what it missed")
                served.process.kill()
                served.process.wait()
                began_s = time.monotonic()
                again = serving(folder, environment, port=served.port)
                served = await asyncio.to_thread(stack.enter_context, again)
                ready_s = time.monotonic() - began_s
                faults += await compared(exchange, books, mirror, following)
                print(
                    f"kill {number}: ready after {ready_s:.1f} s, both readers are synced after "
                    f"{time.monotonic() - began_s:.1f} s",
                    flush=True,
                )
        following.cancel()
    return faults


async def compared(
    exchange: simulator.Server, books: depthcache.Books, mirror: Mirror, following: asyncio.Task[None]
) -> list[str]:
    """Wait for news of the exchange in both readers and compare their books with its own, some times."""
    faults = []
    async with asyncio.timeout(DEADLINE_S):
        for _ in range(LOOKS):
            now = {name: (books[name].last_update_id or 0) for name in SYMBOLS}
            seen = mirror.id or 0
            while (
                mirror.id is None
                or mirror.id <= seen
                or mirror.status != "synced"
                or not all(
                    books[name].status.value == "synced" and (books[name].last_update_id or 0) > now[name]
                    for name in SYMBOLS
                )
            ):
                if following.done():
                    following.result()
                await asyncio.sleep(0.01)
            faults += [
                f"{name}: {wrong} wrong levels in the client's book"
                for name in SYMBOLS
                if (wrong := simulator.differences(books[name], exchange.truth(EXCHANGE, name)))
            ]
            if wrong := mirror.wrong(exchange.truth(EXCHANGE, mirror.symbol)):
                faults.append(f"{mirror.symbol}: {wrong} wrong levels in the follower's book")
    return faults


def run(*, connects: int, kills: int, seed: int) -> list[str]:
    """Both parts; the faults found."""
    with simulator.serve(seed=seed) as exchange:
        environment = dict(exchange.environment)
        faults = break_off(environment, connects=connects, seed=seed) if connects else []
        return faults + asyncio.run(survive(exchange, environment, kills=kills))


def main(arguments: Sequence[str] | None = None) -> int:
    """1 where anything was left behind or wrong."""
    parser = argparse.ArgumentParser(prog="python -m benches.server_soak")
    parser.add_argument("--connects", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options = parser.parse_args(arguments)
    print(f"{options.connects:,} connects and {options.kills} kills, seed {options.seed}")
    faults = run(connects=options.connects, kills=options.kills, seed=options.seed)
    print("\n".join(faults) or "ok")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
