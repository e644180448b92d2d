"""The process in which a client lives.

A forked child has the memory of its parent, but not its threads: nothing there brings anything, and locks
that they held are never let go. Books are told natively (`crates/binding/src/fork.rs`), with the same words.
"""

from __future__ import annotations

import os

from depthcache._native import _FORKED
from depthcache.errors import UsageError

__all__ = ["HomeProcess", "forked"]


class HomeProcess:
    """The process that made this."""

    def __init__(self) -> None:
        self._process = os.getpid()

    @property
    def is_here(self) -> bool:
        """Whether this is that process, and no child of it."""
        return os.getpid() == self._process

    def check(self) -> None:
        """Raises UsageError in every other process."""
        if not self.is_here:
            raise forked()


def forked() -> UsageError:
    """What is raised in a forked child."""
    return UsageError(_FORKED)
