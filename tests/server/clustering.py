"""Native servers of one process as the nodes of a cluster, with books that are fed by hand."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from depthcache import Book
from depthcache.cluster.authority import Authority, make_node_key
from tests.server.asking import DEADLINE_S, Answer, ask, book, serving

EXCHANGE = "binance.com"


@dataclass(frozen=True, slots=True)
class NodeCertificate:
    """A certificate of a node, and its key."""

    certificate: str
    key: str


def issue(authority: Authority, node: str) -> NodeCertificate:
    made = make_node_key(node)
    issued = authority.issue(made.request, node=node, hosts=["127.0.0.1"], now=datetime.now(UTC))
    return NodeCertificate(issued, made.key)


class Node:
    """A node: its server and what it is called."""

    def __init__(self, name: str, native: Any) -> None:
        self.name, self.native = name, native
        self.port: int = native.port
        self.books: dict[str, Book] = {}

    @property
    def holder(self) -> tuple[str, str]:
        return self.name, f"127.0.0.1:{self.port}"

    def hold(self, symbol: str, exchange: str = EXCHANGE) -> Book:
        """Serve a synced book."""
        made = book(symbol, exchange)
        self.books[symbol] = made
        self.native.add(exchange, symbol, made)
        return made

    def follow(self, symbol: str, exchange: str = EXCHANGE) -> Book:
        """Serve a synced book that other nodes hold, for readers."""
        made = book(symbol, exchange)
        self.books[symbol] = made
        self.native.add_followed(exchange, symbol, made)
        return made

    def knows(self, symbol: str, *nodes: Node, exchange: str = EXCHANGE, **facts: str) -> None:
        """Say which nodes hold a book."""
        self.native.set_holders(exchange, symbol, [node.holder for node in nodes], **facts)

    def ask(self, path: str, **changes: Any) -> Answer:
        return ask(self.port, path, **changes)

    def counts(self) -> Any:
        """What it counts of other nodes."""
        return self.ask("/v1/stats").json["cluster"]

    def reads(self, route: str) -> int:
        """How many requests of a route it answered, whatever became of them."""
        return sum(self.ask("/v1/stats").json["responses"].get(route, {}).values())


class Cluster:
    """Nodes of one authority."""

    def __init__(self) -> None:
        self.authority = Authority.create("amber-fox", now=datetime.now(UTC))
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def node(self, name: str, **changes: Any) -> Node:
        proof = issue(self.authority, name)
        cluster = {
            "node": name,
            "authority": self.authority.certificate,
            "certificate": proof.certificate,
            "key": proof.key,
        }
        return Node(name, self._stack.enter_context(serving(cluster=cluster, **changes)))

    def nodes(self, *names: str, **changes: Any) -> list[Node]:
        return [self.node(name, **changes) for name in names]

    def silent(self, name: str) -> tuple[str, str]:
        """A holder whose host takes connections and never answers, as a frozen process does."""
        frozen = self._stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
        return name, f"127.0.0.1:{frozen.getsockname()[1]}"

    def frozen(self, name: str) -> tuple[tuple[str, str], Callable[[], None]]:
        """The same, and a call that waits until it is connected to."""
        listener = self._stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
        listener.settimeout(DEADLINE_S)

        def accepted() -> None:
            self._stack.enter_context(listener.accept()[0])

        return (name, f"127.0.0.1:{listener.getsockname()[1]}"), accepted

    def dead(self, name: str) -> tuple[str, str]:
        """A holder whose host refuses connections, as after a crash."""
        with socket.create_server(("127.0.0.1", 0)) as gone:
            return name, f"127.0.0.1:{gone.getsockname()[1]}"


@contextmanager
def as_node(port: int, proof: NodeCertificate, folder: Path) -> Iterator[http.client.HTTPSConnection]:
    """A connection that proves a certificate; whom it reaches is not checked."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    chain, key = folder / "node.pem", folder / "node.key"
    chain.write_text(proof.certificate)
    key.write_text(proof.key)
    context.load_cert_chain(chain, key)
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=DEADLINE_S, context=context)
    try:
        yield connection
    finally:
        connection.close()


class Owner:
    """Begins followed books on a thread of its own, as the program that runs a server does."""

    def __init__(self, node: Node, *, status: int = 200, waits_for: threading.Event | None = None) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.was_asked = threading.Event()
        self._node, self._status, self._waits_for = node, status, waits_for
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._node.native.drain(0)
        self._thread.join(DEADLINE_S)

    def _run(self) -> None:
        native = self._node.native
        while not native.is_over:
            request = native.take_request(0.2)
            if request is None:
                continue
            number, route, exchange, symbol, _ = request
            self.asked.append((route, exchange, symbol))
            self.was_asked.set()
            if self._waits_for is not None:
                self._waits_for.wait(DEADLINE_S)
            if self._status == 200:
                self._node.hold(symbol, exchange)
            elif self._status == 201:
                self._node.follow(symbol, exchange)
            native.respond(number, self._status, b"")


def names(books: Sequence[Any]) -> list[str]:
    return [f"{each['exchange']}/{each['symbol']}" for each in books]
