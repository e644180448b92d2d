"""Which release is the newest: asked only when a program asks, never while a manager is made.

Not here: anything that blocks without an end.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Releases"]


class Releases:
    """What is known of releases newer than `version`. Any thread may use it."""

    def __init__(self, version: str) -> None:
        self._version = version

    @staticmethod
    def latest_release_info() -> dict[str, Any] | None:
        """What the project's host tells of its newest release; None where it cannot be asked."""
        raise NotImplementedError

    def latest_version(self) -> str | None:
        """The newest release; None where it cannot be asked."""
        raise NotImplementedError

    def is_update_available(self) -> bool:
        """Whether there is a newer release than `version`."""
        raise NotImplementedError

    def look(self) -> None:
        """Look in the background and say on the logger that there is a newer one; returns at once."""
        raise NotImplementedError
