"""Both ends of a network under test: a scripted server on loopback, and a listener that waits for events.

The listener takes the place of the runner. Frames go to a real router as control messages (JSON objects
without a stream), and are kept as received; anything else is a stray. The listener never waits for a time:
`until` waits for an event, with a deadline that only a failure reaches.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import web

from depthcache._native import Router
from depthcache.events import ControlMessage, StrayFrame
from depthcache.io.network.aiohttp import AiohttpNetwork
from depthcache.io.network.interface import Closed, Failure, Response
from depthcache.io.network.native import NativeNetwork

DEADLINE_S = 20.0
CONNECTIONS = 100
"""Connection numbers of a listener are below this."""

NETWORKS: dict[str, type[AiohttpNetwork]] = {"native": NativeNetwork, "aiohttp": AiohttpNetwork}


@dataclass
class NetworkLog:
    """Records everything that a network reports, and wakes waiters."""

    opened: list[int] = field(default_factory=list)
    closed: dict[int, Closed] = field(default_factory=dict)
    alive: list[int] = field(default_factory=list)
    responses: dict[int, Response | Failure] = field(default_factory=dict)
    frames: list[tuple[int, bytes, int]] = field(default_factory=list)
    strays: list[StrayFrame] = field(default_factory=list)
    events: int = 0
    wakes: int = 0
    takes: bool = True
    """Whether to take events when the network reports them; otherwise they wait in the router."""
    router: Router = field(default_factory=lambda: Router(control_capacity=1_000_000))
    log: list[str] = field(default_factory=list)
    """The reports in order, one word each."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        for number in range(1, CONNECTIONS):
            self.router.open_connection(number)

    def on_open(self, connection: int) -> None:
        self.opened.append(connection)
        self.log.append("open")
        self._changed.set()

    def on_closed(self, connection: int, closed: Closed) -> None:
        assert connection not in self.closed, "a connection ends once"
        self.closed[connection] = closed
        self.log.append("closed")
        self._changed.set()

    def on_alive(self, connection: int) -> None:
        self.alive.append(connection)
        self.log.append("alive")
        self._changed.set()

    def on_response(self, request: int, response: Response | Failure) -> None:
        assert request not in self.responses, "a request is answered once"
        self.responses[request] = response
        self._changed.set()

    def on_events(self) -> None:
        taken = self.router.take_events() if self.takes else []
        self.events += bool(taken)
        for event in taken:
            if isinstance(event, ControlMessage):
                self.frames.append((event.connection, event.payload, event.at_ns))
                self.log.append("frame")
            elif isinstance(event, StrayFrame):
                self.strays.append(event)
        self._changed.set()

    def on_wake(self) -> None:
        self.wakes += 1
        self._changed.set()

    async def until(self, happened: Callable[[], object]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not happened():
                self._changed.clear()
                await self._changed.wait()

    async def closing_of(self, connection: int) -> Closed:
        await self.until(lambda: connection in self.closed)
        return self.closed[connection]

    async def answer_to(self, request: int) -> Response | Failure:
        await self.until(lambda: request in self.responses)
        return self.responses[request]


class Listening(Protocol):
    """Opens a network with a listener, and closes it at the end."""

    def __call__(self, **options: Any) -> AbstractAsyncContextManager[tuple[AiohttpNetwork, NetworkLog]]: ...


@asynccontextmanager
async def listening(
    transport: str = "native", **options: Any
) -> AsyncIterator[tuple[AiohttpNetwork, NetworkLog]]:
    """A network of a transport with a listener, closed at the end."""
    network, listener = NETWORKS[transport](**options), NetworkLog()
    network.attach(listener.router, listener)
    try:
        yield network, listener
    finally:
        await network.aclose()


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Talk = Callable[[web.WebSocketResponse], Awaitable[None]]


@asynccontextmanager
async def serving(
    routes: Mapping[str, Handler], *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[str]:
    """A server with these handlers; yields `host:port`."""
    app = web.Application()
    for path, handler in routes.items():
        app.router.add_route("*", path, handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host, 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"{host}:{port}"
    finally:
        await runner.cleanup()


def talking(talk: Talk, *, autoping: bool = False, autoclose: bool = True) -> Handler:
    """A WebSocket handler that runs `talk`."""

    async def handle(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoping=autoping, autoclose=autoclose, compress=True)
        await socket.prepare(request)
        await talk(socket)
        return socket

    return handle


async def read_on(socket: web.WebSocketResponse) -> None:
    """Read and ignore everything until the client disconnects."""
    async for _ in socket:
        pass
