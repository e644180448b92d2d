"""Copies of books from other nodes of a cluster: a network that sends their requests over its own sessions.

Nodes trust the authority of their cluster alone, and prove themselves with their certificates. Everything
else goes to the network for the exchanges.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from depthcache.io.network.http import fetch
from depthcache.io.network.interface import ClosableNetwork
from depthcache.io.network.sessions import Sessions
from depthcache.io.network.wrapping import WrappingNetwork

__all__ = ["CopyNetwork"]

_RENEWED_S = 30.0
"""Requests that are under way over the old certificate have ended by then."""


class CopyNetwork(WrappingNetwork):
    """A network with further sessions for the hosts of other nodes."""

    def __init__(
        self, inner: ClosableNetwork, make_sessions: Callable[[], Sessions], is_node: Callable[[str], bool]
    ) -> None:
        """Create it on the running event loop.

        `make_sessions`: called at the first request, and after `renew`. `is_node`: whether a host with its
        port is that of a node."""
        super().__init__(inner)
        self._make_sessions, self._is_node = make_sessions, is_node
        self._sessions: Sessions | None = None

    def fetch(self, request: int, url: str, *, timeout_s: float) -> None:
        """GET a URL of an exchange or of a node."""
        if not self._is_node(urlsplit(url).netloc):
            super().fetch(request, url, timeout_s=timeout_s)
            return
        self._spawn(self._fetch(request, url, timeout_s))

    def renew(self) -> None:
        """This node has another certificate: later requests use it."""
        sessions, self._sessions = self._sessions, None
        if sessions is not None:
            self._loop.call_later(_RENEWED_S, lambda: self._spawn(sessions.aclose()))

    async def aclose(self) -> None:
        """Cancel every request and close all sessions."""
        await super().aclose()
        if self._sessions is not None:
            await self._sessions.aclose()

    def abandon_sessions(self) -> None:
        """Release the HTTP sockets at once."""
        if self._sessions is not None:
            self._sessions.abandon()
        super().abandon_sessions()

    # --- inside -------------------------------------------------------------------------------

    async def _fetch(self, request: int, url: str, timeout_s: float) -> None:
        if self._sessions is None:
            self._sessions = self._make_sessions()
        response = await fetch(self._sessions, url, timeout_s=timeout_s, use_proxies=False)
        if not self._closed:
            self._callbacks.on_response(request, response)
