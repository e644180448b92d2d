"""The connections that bring the diffs of one market: one nearly always, two in transition or for safety.

Theory of operation. The first copy of a diff wins; the other feed's copy is old by then. A feed whose diffs
continue what the book holds is joined. A diff that leaves a hole means that its feed is ahead of the
others, or that it has lost something: while another feed is joined, that one is given time to fill the
hole, and the diff is dropped. Only where no other feed can help is the hole a gap.

Not here: with a single feed nothing of this happens (`market`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from depthcache.exchange_figures import ARBITRATION_PATIENCE_NS

__all__ = ["PATIENCE_NS", "Feed", "Feeds"]

PATIENCE_NS = ARBITRATION_PATIENCE_NS
"""How long another feed may take to fill a hole, as nothing else comes."""


@dataclass(slots=True)
class Feed:
    """One connection of a market."""

    connection: int
    heard_ns: int | None = None
    joined: bool = False
    ahead_ns: int | None = None


class Feeds:
    """All connections of a market."""

    def __init__(self) -> None:
        self._feeds: dict[int, Feed] = {}

    def __len__(self) -> int:
        return len(self._feeds)

    def __iter__(self) -> Iterator[Feed]:
        return iter(self._feeds.values())

    def add(self, connection: int, updated_ns: int | None) -> None:
        """One more; without effect where it is there. A feed that was alone until now is the one that kept
        the book: it is joined. `updated_ns`: when the book's last diff was received."""
        if len(self) == 1 and connection not in self._feeds:
            (alone,) = self
            alone.joined, alone.ahead_ns = True, None
            alone.heard_ns = alone.heard_ns if updated_ns is None else updated_ns
        self._feeds.setdefault(connection, Feed(connection))

    def remove(self, connection: int) -> int | None:
        """One less. A time: a feed that is left was ahead, and nothing fills the hole before it any more;
        when that feed was heard last."""
        self._feeds.pop(connection, None)
        if any(feed.joined for feed in self):
            return None
        return max((feed.heard_ns or 0 for feed in self if feed.ahead_ns is not None), default=None)

    def on_buffered(self, connection: int, at_ns: int) -> None:
        """A diff came that is buffered: nothing is known of holes before the next snapshot."""
        if feed := self._feeds.get(connection):
            feed.heard_ns = at_ns

    def on_joined(self, connection: int, at_ns: int) -> None:
        """A diff came that continued the book, or was in it already."""
        if feed := self._feeds.get(connection):
            feed.heard_ns, feed.joined, feed.ahead_ns = at_ns, True, None

    def on_ahead(self, connection: int, at_ns: int, updated_ns: int | None) -> bool:
        """A diff came that leaves a hole. True: another feed may fill it, this diff can be dropped."""
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
        """A snapshot was installed: what was heard so far is in the book."""
        for feed in self:
            feed.joined, feed.ahead_ns = feed.heard_ns is not None, None
