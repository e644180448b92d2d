"""What the apis and the summary use of a manager, so that they need not import it."""

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
        """The settings its caches were made with."""
        ...

    @property
    def depth_cache_update_interval(self) -> int | None:
        """Milliseconds between updates; None for the bare stream of the exchange."""

    @property
    def stop_request(self) -> bool:
        """Whether it was stopped."""
        ...

    def stats(self) -> Stats:
        """What its books, connections and budgets do."""
        ...

    def stop_manager(self) -> bool:
        """Stop it."""
        ...

    def get_ubra_manager(self) -> Any:
        """The REST side."""

    def get_ubwa_manager(self) -> Any:
        """The side of the streams."""

    def get_user_agent(self) -> str:
        """The name and version that the old library would tell."""
        ...
