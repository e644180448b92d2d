"""How long a book was in sync, how fast losses were detected, and how fast it recovered."""

from __future__ import annotations

from depthcache.model import Status

__all__ = ["Uptime"]


class Uptime:
    """One book, from its first sync. Times are nanoseconds of the caller's clock."""

    __slots__ = (
        "_lost_ns",
        "_since_ns",
        "_synced_ns",
        "detect_ns",
        "losses",
        "reconnected_ns",
        "reconnects",
        "recover_ns",
    )

    def __init__(self) -> None:
        self.losses: int = 0
        """The number of losses of sync."""
        self.detect_ns: int = 0
        """Total time from the last confirmation of the book to the detection of a loss."""
        self.recover_ns: int = 0
        """Total time from detection to the next sync."""
        self.reconnects: int = 0
        """The number of times the connection was lost and replaced."""
        self.reconnected_ns: int | None = None
        """The time of the last reconnect."""
        self._since_ns: int | None = None
        self._lost_ns: int | None = None
        self._synced_ns = 0

    def on_reconnect(self, now_ns: int) -> None:
        """The connection was lost and replaced."""
        self.reconnects += 1
        self.reconnected_ns = now_ns

    def on_status(self, status: Status, proven_ns: int | None, now_ns: int) -> None:
        """The status has changed. `proven_ns`: when the book was last known to be right."""
        if status is Status.SYNCED:
            if self._since_ns is None:
                self._since_ns = now_ns
            if self._lost_ns is not None:
                self.recover_ns += now_ns - self._lost_ns
                self._lost_ns = None
        elif self._since_ns is not None and self._lost_ns is None:
            self._lost_ns = now_ns
            self.losses += 1
            self.detect_ns += max(0, now_ns - (now_ns if proven_ns is None else proven_ns))

    def share(self, now_ns: int) -> float:
        """The fraction of time in sync since the first sync; 0.0 before."""
        if self._since_ns is None or now_ns <= self._since_ns:
            return 0.0
        lost_ns = self.recover_ns + (0 if self._lost_ns is None else now_ns - self._lost_ns)
        return 1.0 - lost_ns / (now_ns - self._since_ns)
