"""Which version of depthcache runs, and which is installed.

After an upgrade, a server runs the old one until it is started again. No other host is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from time import monotonic
from typing import Protocol

__all__ = ["Versions", "VersionsTaker"]

_EVERY_S = 60.0


class VersionsTaker(Protocol):
    """What says both versions to others."""

    def set_versions(self, running: str, installed: str) -> None:
        """Take both."""


class Versions:
    """The versions that one server says."""

    def __init__(self, native: VersionsTaker) -> None:
        self._native, self._due_s = native, 0.0
        self._running = version("depthcache")
        self._native.set_versions(self._running, self._running)

    def renew(
        self, clock: Callable[[], float] = monotonic, installed: Callable[[str], str] = version
    ) -> None:
        """Look which version is installed, at most once a minute."""
        if (now_s := clock()) < self._due_s:
            return
        self._due_s = now_s + _EVERY_S
        try:
            self._native.set_versions(self._running, installed("depthcache"))
        except PackageNotFoundError:
            return  # it is being replaced, or gone
