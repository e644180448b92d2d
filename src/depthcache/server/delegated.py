"""Who answers requests of a book server in the place of its own management: the node of a cluster."""

from __future__ import annotations

from typing import Protocol

__all__ = ["DelegatedRoutes"]


class DelegatedRoutes(Protocol):
    """Answers some routes, on the event loop of the server."""

    def answers(self, route: str) -> bool:
        """Whether a route is one of these."""
        ...

    async def answer(self, route: str, first: str, second: str, body: bytes, /) -> tuple[int, bytes]:
        """Status and JSON. `first`, `second`: the parameters of the path. Never raises."""
        ...
