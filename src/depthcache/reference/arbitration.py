"""Arbitration: several connections that carry the diffs of one market.

Usually there is one, and two during a handover or for redundancy.

The first copy of a diff wins; later copies are old. A feed is *joined* if its diffs continue the book. If a
diff leaves a gap, its feed is ahead of the others or has lost data. While another feed is joined, that feed
gets time to fill the gap, and the diff is dropped. It is a sequence gap only if no other feed can fill it.

With a single feed none of this applies (see `market`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from depthcache.exchange_figures import ARBITRATION_PATIENCE_NS

__all__ = ["PATIENCE_NS", "Feed", "Feeds"]

PATIENCE_NS = ARBITRATION_PATIENCE_NS
"""How long another feed may take to fill a gap if nothing else arrives."""


@dataclass(slots=True)
class Feed:
    """One connection that carries a market."""

    connection: int
    heard_ns: int | None = None
    joined: bool = False
    ahead_ns: int | None = None


class Feeds:
    """All connections that carry a market."""

    def __init__(self) -> None:
        self._feeds: dict[int, Feed] = {}

    def __len__(self) -> int:
        return len(self._feeds)

    def __iter__(self) -> Iterator[Feed]:
        return iter(self._feeds.values())

    def add(self, connection: int, updated_ns: int | None) -> None:
        """Add a feed; no effect if it exists. A feed that was alone until now kept the book, so it is joined.

        `updated_ns`: when the last diff of the book was received.
        """
        if len(self) == 1 and connection not in self._feeds:
            (alone,) = self
            alone.joined, alone.ahead_ns = True, None
            alone.heard_ns = alone.heard_ns if updated_ns is None else updated_ns
        self._feeds.setdefault(connection, Feed(connection))

    def remove(self, connection: int) -> int | None:
        """Remove a feed. If one of the remaining feeds was ahead, its gap can no longer be filled.

        Returns when that feed was last heard, else None.
        """
        self._feeds.pop(connection, None)
        if any(feed.joined for feed in self):
            return None
        return max((feed.heard_ns or 0 for feed in self if feed.ahead_ns is not None), default=None)

    def on_buffered(self, connection: int, at_ns: int) -> None:
        """A diff was buffered: gaps are unknown until the next snapshot."""
        if feed := self._feeds.get(connection):
            feed.heard_ns = at_ns

    def on_joined(self, connection: int, at_ns: int) -> None:
        """A diff continued the book, or was already in it."""
        if feed := self._feeds.get(connection):
            feed.heard_ns, feed.joined, feed.ahead_ns = at_ns, True, None

    def on_ahead(self, connection: int, at_ns: int, updated_ns: int | None) -> bool:
        """A diff left a gap. Returns whether another feed may fill it, so that this diff can be dropped."""
        feed = self._feeds.get(connection)
        if feed is None:
            return False
        helped = any(other.joined for other in self if other is not feed)
        feed.heard_ns, feed.joined = at_ns, False
        if feed.ahead_ns is None:
            feed.ahead_ns = at_ns
        lately = updated_ns is not None and updated_ns > feed.ahead_ns
        return helped and (at_ns - feed.ahead_ns < PATIENCE_NS or lately)

    def on_installed(self) -> None:
        """A snapshot was installed: everything received so far is in the book."""
        for feed in self:
            feed.joined, feed.ahead_ns = feed.heard_ns is not None, None
