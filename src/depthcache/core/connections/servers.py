"""Which of several book servers new connections and requests go to: one at a time, the next once it fails.

All venues of a client have the same servers. A server that works again is not returned to: nothing is better
there.
"""

from __future__ import annotations

__all__ = ["Servers"]


class Servers:
    """The server in use, by its number."""

    def __init__(self) -> None:
        self.current: int = 0

    def on_failed(self, number: int, count: int) -> None:
        """A connection to one of `count` servers was lost or could not be made."""
        if number == self.current:
            self.current = (number + 1) % count
