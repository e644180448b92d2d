"""A load balancer for plain HTTP: every request goes to the next node, also on one kept-alive connection."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self


class Balancer:
    """Takes requests at `port`; a node that takes no connection, or breaks one off, is passed over.

    `asked`: how many requests each address answered.
    """

    def __init__(self, addresses: Callable[[], Sequence[str]]) -> None:
        """`addresses`: `host:port` of the nodes that are up now."""
        self._addresses = addresses
        self._turn = itertools.count()
        self.asked: dict[str, int] = {}
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        for writer, task in tuple(self._open.items()):
            writer.transport.abort()
            if task is not None:
                await task

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open[writer] = asyncio.current_task()
        with suppress(OSError, EOFError):
            while True:
                request = await _message(reader)
                writer.write(await self._answer(request))
                await writer.drain()
        del self._open[writer]
        writer.close()

    async def _answer(self, request: bytes) -> bytes:
        addresses = self._addresses()
        for _ in addresses:
            address = addresses[next(self._turn) % len(addresses)]
            host, _, port = address.rpartition(":")
            try:
                reader, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                continue
            try:
                writer.write(request)
                answer = await _message(reader)
            except (OSError, EOFError):
                continue
            finally:
                writer.close()
            self.asked[address] = self.asked.get(address, 0) + 1
            return answer
        return b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"


async def _message(reader: asyncio.StreamReader) -> bytes:
    """A request or a response with its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").lower().split("\r\n")
    length = next((int(each.partition(":")[2]) for each in lines if each.startswith("content-length:")), 0)
    return head + await reader.readexactly(length)
