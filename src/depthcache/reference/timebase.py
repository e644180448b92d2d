"""The time for readers of the books of a router: its own clock, and the system's beside it.

The twin of the native `timebase`, without its look at real clocks: it knows the time that it was given.
"""

from __future__ import annotations

__all__ = ["Timebase"]


class Timebase:
    """The clocks of a router."""

    def __init__(self) -> None:
        self.now_ns: int | None = None
        """Now, on the clock of the frames; None while it is unknown: books have no age then."""
        self.wall_offset_ns: int | None = None
        """From that clock to nanoseconds since 1970 on the system's; None: books have no dates."""

    def set_virtual(self, now_ns: int, wall_ns: int) -> None:
        """It is that time on a virtual clock."""
        self.now_ns, self.wall_offset_ns = now_ns, (wall_ns - now_ns) // 1_000 * 1_000

    def wall_us(self, at_ns: int | None) -> int | None:
        """A time of the clock of the frames, in microseconds since 1970."""
        if at_ns is None or self.wall_offset_ns is None:
            return None
        return (at_ns + self.wall_offset_ns) // 1_000
