"""A native server of books that are fed by hand, and requests to it; nothing here waits for an exchange."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

from depthcache import Book, _native

READ, ADMIN = "dcr_read_read_read", "dca_admin_admin_admin"
DEADLINE_S = 30
PATH = "/v1/books/binance.com/BTCUSDT"


@dataclass(frozen=True, slots=True)
class Answer:
    """A response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json["error"]


def ask(
    port: int,
    path: str,
    *,
    method: str = "GET",
    token: str | None = READ,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Answer:
    """One request on a connection of its own."""
    connection = HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    given = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        connection.request(method, path, body=body, headers={**given, **(headers or {})})
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def raw(port: int, data: bytes) -> bytes:
    """Send bytes; all that comes back until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as connection:
        connection.sendall(data)
        found = b""
        try:
            while part := connection.recv(1 << 16):
                found += part
        except ConnectionError:
            pass
        return found


def own_address() -> str:
    """An address of this machine that others can reach, or one of its loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.2"


@contextmanager
def serving(
    *,
    documents: Mapping[str, tuple[str, bytes]] | None = None,
    gzipped: Mapping[str, bytes] | None = None,
    port: int = 0,
    read_token: str = READ,
    compat: Sequence[Any] = (),
    access_log: str | None = None,
    tls: tuple[str, str] | None = None,
    exchange: str | None = None,
    cluster: Mapping[str, str] | None = None,
    host: str = "127.0.0.1",
    **limits: float,
) -> Iterator[Any]:
    """A native server without books."""
    native = _native.BookServer(
        host,
        port,
        workers=1,
        tokens=[("read", read_token), ("manage", ADMIN)],
        hosts=["books.example"],
        documents=documents or {},
        gzipped=gzipped,
        limits=limits,
        compat=compat,
        access_log=access_log,
        tls=tls,
        exchange=exchange,
        cluster=cluster,
    )
    try:
        yield native
    finally:
        native.drain(0)


def snapshot(update_id: int = 100, levels: int = 50) -> bytes:
    """A snapshot with that many levels a side around 1000.00."""
    bids = [[f"{1000 - i / 100:.2f}", f"{1 + i / 8:.8f}"] for i in range(1, levels + 1)]
    asks = [[f"{1000 + i / 100:.2f}", f"{2 + i / 8:.8f}"] for i in range(1, levels + 1)]
    return json.dumps({"lastUpdateId": update_id, "bids": bids, "asks": asks}).encode()


def book(symbol: str = "BTCUSDT", exchange: str = "binance.com") -> Book:
    """A synced book of 50 levels a side."""
    made = Book(exchange, symbol)
    made.load_snapshot(snapshot(), limit=100)
    return made


def diff(
    symbol: str, first_id: int, last_id: int, bids: list[list[str]], asks: list[list[str]] | None = None
) -> bytes:
    """A spot diff."""
    event = {"e": "depthUpdate", "E": 1_700_000_000_000, "s": symbol, "U": first_id, "u": last_id}
    return json.dumps({**event, "b": bids, "a": asks or []}).encode()
