"""TCP connections to servers on this machine that are slow: late both ways, and of little bandwidth."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

_PIECE = 1 << 14


class SlowLink:
    """Takes connections at `host:port` and passes them on to `to_host` at the same port.

    `connects`: how many there were.
    """

    def __init__(self, host: str, port: int, *, to_host: str, one_way_s: float, bytes_per_s: float) -> None:
        self._host, self._port, self._to_host = host, port, to_host
        self._one_way_s, self._bytes_per_s = one_way_s, bytes_per_s
        self._tasks: set[asyncio.Task[None]] = set()
        self.connects = 0

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._on_connect, self._host, self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connects += 1
        task = asyncio.get_running_loop().create_task(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2 * self._one_way_s)  # of the TCP handshake
        try:
            far_reader, far_writer = await asyncio.open_connection(self._to_host, self._port)
        except OSError:
            writer.transport.abort()
            return
        try:
            await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))
        finally:
            writer.transport.abort()
            far_writer.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Each piece leaves when the one before has left, and arrives `one_way_s` later."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        task = loop.create_task(self._deliver(queue, writer))
        free_at = loop.time()
        try:
            while True:
                data = await reader.read(_PIECE)
                free_at = max(free_at, loop.time()) + len(data) / self._bytes_per_s
                queue.put_nowait((free_at + self._one_way_s, data))
                if not data:
                    await task
                    return
        finally:
            task.cancel()

    async def _deliver(self, queue: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            while True:
                at, data = await queue.get()
                await asyncio.sleep(at - loop.time())
                if not data:
                    writer.close()
                    return
                writer.write(data)
