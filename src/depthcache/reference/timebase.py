"""The clocks for readers of a router's books: its own, and the system's.

The twin of the native `timebase`, which also reads real clocks; this one knows only the time it was given.
"""

from __future__ import annotations

__all__ = ["Timebase"]


class Timebase:
    """The clocks of a router."""

    def __init__(self) -> None:
        self.now_ns: int | None = None
        """The current time on the clock of the frames; None if unknown, and books then have no age."""
        self.wall_offset_ns: int | None = None
        """The offset from that clock to nanoseconds since 1970; None if unknown, and books have no dates."""

    def set_virtual(self, now_ns: int, wall_ns: int) -> None:
        """Set the virtual clock."""
        self.now_ns, self.wall_offset_ns = now_ns, (wall_ns - now_ns) // 1_000 * 1_000

    def wall_us(self, at_ns: int | None) -> int | None:
        """Convert a time of the frames' clock to microseconds since 1970."""
        if at_ns is None or self.wall_offset_ns is None:
            return None
        return (at_ns + self.wall_offset_ns) // 1_000
