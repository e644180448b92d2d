"""Network latency: a TCP proxy on loopback that delivers every byte half a round trip later.

A new connection waits one extra round trip, as its handshake would. Not here: loss, bandwidth.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING

from depthcache.io.thread import LoopThread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HOST = "127.0.0.1"
_CHUNK_BYTES = 256 * 1024


@contextmanager
def delayed(port: int, *, round_trip_s: float) -> Iterator[int]:
    """A port that forwards to `port` with this round trip time."""
    made: list[int] = []
    thread = LoopThread(_serving(port, round_trip_s, made), name="delay")
    thread.start()
    try:
        yield made[0]
    finally:
        thread.stop()


@asynccontextmanager
async def _serving(port: int, round_trip_s: float, made: list[int]) -> AsyncIterator[None]:
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await asyncio.sleep(round_trip_s)
            there, back = await asyncio.open_connection(HOST, port)
            directions = ((reader, back), (there, writer))
            await asyncio.gather(*(_pump(*each, round_trip_s / 2) for each in directions))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            tasks.discard(task)

    server = await asyncio.start_server(handle, HOST, 0)
    made.append(server.sockets[0].getsockname()[1])
    try:
        yield
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    """Forward one direction; every byte has the same delay, however many are in flight."""
    loop = asyncio.get_running_loop()
    in_flight: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        while True:
            at, chunk = await in_flight.get()
            await asyncio.sleep(max(0.0, at - loop.time()))
            if not chunk:
                return
            writer.write(chunk)
            await writer.drain()

    delivering = asyncio.create_task(deliver())
    with suppress(OSError):
        while chunk := await reader.read(_CHUNK_BYTES):
            in_flight.put_nowait((loop.time() + delay_s, chunk))
    in_flight.put_nowait((loop.time() + delay_s, b""))
    with suppress(OSError, asyncio.CancelledError):
        await delivering
    writer.close()
