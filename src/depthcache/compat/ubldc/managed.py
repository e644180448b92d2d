"""The part of a manager that the APIs and the summary use, without importing it."""

from __future__ import annotations

from typing import Any, Protocol

from depthcache import Settings, Stats

__all__ = ["Managed"]


class Managed(Protocol):
    """A manager of depth caches."""

    @property
    def exchange(self) -> str:
        """The exchange name."""
        ...

    @property
    def settings(self) -> Settings:
        """The settings of its client."""
        ...

    @property
    def depth_cache_update_interval(self) -> int | None:
        """Milliseconds between updates; None for the default stream of the exchange."""

    @property
    def stop_request(self) -> bool:
        """Whether it was stopped."""
        ...

    def stats(self) -> Stats:
        """Stats of its books, connections and budgets."""
        ...

    def stop_manager(self) -> bool:
        """Stop it."""
        ...

    def get_ubra_manager(self) -> Any:
        """The REST API (`ubra`)."""

    def get_ubwa_manager(self) -> Any:
        """The stream API (`ubwa`)."""

    def get_user_agent(self) -> str:
        """Name, version and Python version."""
        ...
