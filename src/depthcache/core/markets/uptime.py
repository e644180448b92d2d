"""How long a book was in sync, how soon its troubles were noticed, how soon it was back.

Not here: what trouble is (`supervisor`).
"""

from __future__ import annotations

from depthcache.model import Status

__all__ = ["Uptime"]


class Uptime:
    """One book, from the first time it was synced. Times in nanoseconds of the caller's clock."""

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
        """How often the book was lost."""
        self.detect_ns: int = 0
        """From the last proof that the book was right to the word that it may not be, all losses together."""
        self.recover_ns: int = 0
        """From that word to the next time in sync, all losses together."""
        self.reconnects: int = 0
        """How often the connection that carried the book was lost and another took its place."""
        self.reconnected_ns: int | None = None
        """When that was last."""
        self._since_ns: int | None = None
        self._lost_ns: int | None = None
        self._synced_ns = 0

    def on_reconnect(self, now_ns: int) -> None:
        """Another connection carries the book: the one before was lost."""
        self.reconnects += 1
        self.reconnected_ns = now_ns

    def on_status(self, status: Status, proven_ns: int | None, now_ns: int) -> None:
        """The book has another status; `proven_ns`: when it was last known to be right."""
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
        """Part of the time since it was first synced in which it was; 0.0 before."""
        if self._since_ns is None or now_ns <= self._since_ns:
            return 0.0
        lost_ns = self.recover_ns + (0 if self._lost_ns is None else now_ns - self._lost_ns)
        return 1.0 - lost_ns / (now_ns - self._since_ns)
