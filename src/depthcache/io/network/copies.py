"""Copies of books from other nodes of a cluster: a network that sends their requests over its own sessions.

Nodes trust the authority of their cluster alone, and prove themselves with their certificates. Everything
else goes to the network for the exchanges.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

from depthcache.io.network.http import fetch
from depthcache.io.network.interface import Callbacks, ClosableNetwork, FrameSink, Network
from depthcache.io.network.sessions import Sessions

__all__ = ["CopyNetwork"]

_RENEWED_S = 30.0
"""Requests that are under way over the old certificate have ended by then."""


class CopyNetwork(Network):
    """A network with further sessions for the hosts of other nodes."""

    def __init__(
        self, inner: ClosableNetwork, make_sessions: Callable[[], Sessions], is_node: Callable[[str], bool]
    ) -> None:
        """Create it on the running event loop.

        `make_sessions`: called at the first request, and after `renew`. `is_node`: whether a host with its
        port is that of a node."""
        self._inner, self._make_sessions, self._is_node = inner, make_sessions, is_node
        self._loop = asyncio.get_running_loop()
        self._sessions: Sessions | None = None
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
        """GET a URL of an exchange or of a node."""
        if not self._is_node(urlsplit(url).netloc):
            self._inner.fetch(request, url, timeout_s=timeout_s)
            return
        self._spawn(self._fetch(request, url, timeout_s))

    def renew(self) -> None:
        """This node has another certificate: later requests use it."""
        sessions, self._sessions = self._sessions, None
        if sessions is not None:
            self._loop.call_later(_RENEWED_S, lambda: self._spawn(sessions.aclose()))

    async def aclose(self) -> None:
        """Cancel every request and close all sessions."""
        self._closed = True
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._sessions is not None:
            await self._sessions.aclose()
        await self._inner.aclose()

    def abandon_sessions(self) -> None:
        """Release the HTTP sockets at once."""
        if self._sessions is not None:
            self._sessions.abandon()
        self._inner.abandon_sessions()

    def end_without_loop(self) -> None:
        """Close everything after the event loop has been closed."""
        self._closed = True
        self._inner.end_without_loop()

    # --- inside -------------------------------------------------------------------------------

    async def _fetch(self, request: int, url: str, timeout_s: float) -> None:
        if self._sessions is None:
            self._sessions = self._make_sessions()
        response = await fetch(self._sessions, url, timeout_s=timeout_s, use_proxies=False)
        if not self._closed:
            self._callbacks.on_response(request, response)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
