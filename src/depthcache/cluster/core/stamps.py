"""Hybrid logical clock: stamps that follow the system's clock, and are later than every stamp seen before.

An edit made after another one was seen has the larger stamp, even on a node whose clock is late (Kulkarni
and others 2014, "Logical Physical Clocks").
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["EARLIEST", "HybridClock", "Stamp"]


class Stamp(NamedTuple):
    """When an edit was made. Stamps are totally ordered and never equal, as every node has its own id."""

    wall_ms: int
    """Milliseconds since 1970 of the node that edited, or of a later stamp it had seen."""
    counter: int
    """Edits of one millisecond."""
    node: str
    """The id of that node."""


EARLIEST = Stamp(0, 0, "")
"""Earlier than every edit."""


class HybridClock:
    """The clock of one node. Call `observe` for every stamp that comes from elsewhere."""

    __slots__ = ("_count", "_node", "_wall_ms")

    def __init__(self, node: str) -> None:
        self._node = node
        self._wall_ms = self._count = 0

    def tick(self, wall_ms: int) -> Stamp:
        """A stamp later than all that were made or observed here. `wall_ms`: the system's clock."""
        if wall_ms > self._wall_ms:
            self._wall_ms, self._count = wall_ms, 0
        else:
            self._count += 1
        return Stamp(self._wall_ms, self._count, self._node)

    def observe(self, stamp: Stamp) -> None:
        """A stamp of another node, or of this one before it was restarted."""
        if (stamp.wall_ms, stamp.counter) > (self._wall_ms, self._count):
            self._wall_ms, self._count = stamp.wall_ms, stamp.counter
