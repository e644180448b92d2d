"""Fork detection: refuse clients and books in a child process.

A forked child has the memory of its parent, but not its threads: nothing updates its books, and locks that
those threads held are never released. Books raise the same error natively (`crates/binding/src/fork.rs`).
"""

from __future__ import annotations

import os

from depthcache._native import _FORKED
from depthcache.errors import UsageError

__all__ = ["HomeProcess", "forked"]


class HomeProcess:
    """Remembers the process that created it."""

    def __init__(self) -> None:
        self._process = os.getpid()

    @property
    def is_here(self) -> bool:
        """Whether the current process is that process, and not a forked child."""
        return os.getpid() == self._process

    def check(self) -> None:
        """Raise UsageError in any other process."""
        if not self.is_here:
            raise forked()


def forked() -> UsageError:
    """The error for a forked child."""
    return UsageError(_FORKED)
