"""A network around another one, which takes some of its requests and passes everything else on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from depthcache.io.network.interface import Callbacks, ClosableNetwork, FrameSink, Network

__all__ = ["WrappingNetwork"]


class WrappingNetwork(Network):
    """Passes all calls on. Subclasses answer some calls of `fetch` in tasks of their own (`_spawn`)."""

    def __init__(self, inner: ClosableNetwork) -> None:
        """Create it on the running event loop."""
        self._inner = inner
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def attach(self, router: FrameSink, callbacks: Callbacks) -> None:
        """Called once, before anything else."""
        self._callbacks = callbacks
        self._inner.attach(router, callbacks)

    def now_ns(self) -> int:
        """The clock of the inner network."""
        return self._inner.now_ns()

    def open(self, connection: int, url: str) -> None:
        """Open a connection."""
        self._inner.open(connection, url)

    def send(self, connection: int, text: str) -> None:
        """Send one text frame."""
        self._inner.send(connection, text)

    def close(self, connection: int) -> None:
        """Close a connection."""
        self._inner.close(connection)

    def wake_at(self, at_ns: int | None) -> None:
        """Replace the pending wake-up."""
        self._inner.wake_at(at_ns)

    def fetch(self, request: int, url: str, *, timeout_s: float) -> None:
        """GET a URL."""
        self._inner.fetch(request, url, timeout_s=timeout_s)

    async def aclose(self) -> None:
        """Cancel every request, and close the inner network."""
        self._closed = True
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._inner.aclose()

    def abandon_sessions(self) -> None:
        """Release the HTTP sockets of the inner network."""
        self._inner.abandon_sessions()

    def end_without_loop(self) -> None:
        """Close everything after the event loop has been closed."""
        self._closed = True
        self._inner.end_without_loop()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
