"""The connections that bring the diffs of one market: one nearly always, two in transition or for safety.

Theory of operation. Whichever brings a diff first, wins; the other's is old by then. A line whose diffs
continue what the book holds is joined. A diff that leaves a hole means that its line is ahead of the
others, or that it has lost something: while another line is joined, that one is given time to fill the
hole, and the diff is dropped. Only where no other line can help is the hole a gap.

Not here: with a single line nothing of this happens (`market`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from depthcache.exchange_figures import ARBITRATION_PATIENCE_NS

__all__ = ["PATIENCE_NS", "Feed", "Feeds"]

PATIENCE_NS = ARBITRATION_PATIENCE_NS
"""How long another line may take to fill a hole, as nothing else comes."""


@dataclass(slots=True)
class Feed:
    """One connection of a market."""

    connection: int
    heard_ns: int | None = None
    joined: bool = False
    apart_ns: int | None = None


class Feeds:
    """All connections of a market."""

    def __init__(self) -> None:
        self._lines: dict[int, Feed] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[Feed]:
        return iter(self._lines.values())

    def add(self, connection: int, updated_ns: int | None) -> None:
        """One more; without effect where it is there. A line that was alone until now is the one that kept
        the book: it is joined. `updated_ns`: when the book's last diff was received."""
        if len(self) == 1 and connection not in self._lines:
            (alone,) = self
            alone.joined, alone.apart_ns = True, None
            alone.heard_ns = alone.heard_ns if updated_ns is None else updated_ns
        self._lines.setdefault(connection, Feed(connection))

    def remove(self, connection: int) -> int | None:
        """One less. A time: a line that is left was ahead, and nobody fills the hole before it any more;
        when that line was heard last."""
        self._lines.pop(connection, None)
        if any(line.joined for line in self):
            return None
        return max((line.heard_ns or 0 for line in self if line.apart_ns is not None), default=None)

    def on_kept(self, connection: int, at_ns: int) -> None:
        """A diff came that is kept: nothing is known of holes before the next snapshot."""
        if line := self._lines.get(connection):
            line.heard_ns = at_ns

    def on_joined(self, connection: int, at_ns: int) -> None:
        """A diff came that continued the book, or was in it already."""
        if line := self._lines.get(connection):
            line.heard_ns, line.joined, line.apart_ns = at_ns, True, None

    def on_ahead(self, connection: int, at_ns: int, updated_ns: int | None) -> bool:
        """A diff came that leaves a hole. True: another line may fill it, this diff can be dropped."""
        line = self._lines.get(connection)
        if line is None:
            return False
        helped = any(other.joined for other in self if other is not line)
        line.heard_ns, line.joined = at_ns, False
        if line.apart_ns is None:
            line.apart_ns = at_ns
        lately = updated_ns is not None and updated_ns > line.apart_ns
        return helped and (at_ns - line.apart_ns < PATIENCE_NS or lately)

    def on_installed(self) -> None:
        """A snapshot was installed: what was heard so far is in the book."""
        for line in self:
            line.joined, line.apart_ns = line.heard_ns is not None, None
