"""What time it is for those who read the books of a router: its own clock, and the system's beside it.

The twin of the native `timebase`: the clock of the frames, `time.monotonic_ns` unless a virtual one is set.
"""

from __future__ import annotations

import time

__all__ = ["Timebase"]


class Timebase:
    """The clocks of a router."""

    def __init__(self) -> None:
        self._virtual_ns: int | None = None
        self.wall_offset_ns: int = time.time_ns() - time.monotonic_ns()
        """From the clock of the frames to nanoseconds since 1970 on the system's clock."""

    def now_ns(self) -> int:
        """Now, on the clock of the frames."""
        return time.monotonic_ns() if self._virtual_ns is None else self._virtual_ns

    def set_virtual(self, now_ns: int, wall_ns: int) -> None:
        """It is that time on a virtual clock; no other clock counts from now on."""
        self._virtual_ns, self.wall_offset_ns = now_ns, wall_ns - now_ns
