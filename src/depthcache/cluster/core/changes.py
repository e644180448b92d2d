"""When a change of the wanted set counts as made: once two nodes have it on disk, or one that is alone.

It is said to be made a little later, once every node that is alive has it: the next request of the same
program may reach another node. A node that does not answer is waited for until it is suspect, or until its
time is over.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from depthcache.cluster.core.commands import ChangeDone
from depthcache.cluster.core.members import Membership

__all__ = ["Changes"]


@dataclass(slots=True)
class _Change:
    payload: bytes
    asked: set[str]
    """Other nodes that it was sent to."""
    stored: set[str] = field(default_factory=set)
    pending: set[str] = field(default_factory=set)
    """Nodes, this one included, that have not answered yet."""
    reason: str = ""


class Changes:
    """The changes of one node that are not done. This node's own disk counts like that of any other."""

    __slots__ = ("_changes", "_members")

    def __init__(self, members: Membership) -> None:
        self._members = members
        self._changes: dict[int, _Change] = {}

    def begin(self, change: int, payload: bytes) -> None:
        """A change was made here and is being written to disk. `payload`: what other nodes are asked."""
        self._changes[change] = _Change(payload, set(), pending={self._members.me.id})

    def unasked(self, node: str) -> list[tuple[int, bytes]]:
        """The changes that a node was not asked to store yet; from now on, it was."""
        found = [(number, each) for number, each in self._changes.items() if node not in each.asked]
        for _, each in found:
            each.asked.add(node)
            each.pending.add(node)
        return [(number, each.payload) for number, each in found]

    def on_stored(self, change: int, node: str) -> None:
        """A node has it on disk."""
        found = self._changes.get(change)
        if found is not None:
            found.pending.discard(node)
            found.stored.add(node)

    def on_not_stored(self, change: int, node: str, reason: str) -> None:
        """A node did not answer, or its disk is full."""
        found = self._changes.get(change)
        if found is not None:
            found.pending.discard(node)
            found.reason = reason

    def take_done(self) -> list[ChangeDone]:
        """The changes that are stored, or that have failed."""
        alive = set(self._members.alive())
        done: list[ChangeDone] = []
        for number, each in tuple(self._changes.items()):
            needed = 2 if alive & each.asked else 1
            if len(each.stored) >= needed and not each.pending & alive:
                done.append(ChangeDone(number, len(each.stored), needed, ""))
            elif len(each.stored) < needed and not each.pending:
                done.append(ChangeDone(number, len(each.stored), needed, each.reason or "no node answered"))
            else:
                continue
            del self._changes[number]
        return done
