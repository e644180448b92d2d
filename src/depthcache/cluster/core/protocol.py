"""The versions of the protocol between nodes, and which one two nodes use.

| version | what it has |
|---|---|
| 1 | the messages of `messages`, without those below; a node does not say which versions it speaks |
| 2 | a node says its versions and its build; `messages.GroupedReports` replace `messages.Reports` |

A node speaks a range of versions, and says it with its facts (`members.Node`) and when it joins. Two nodes
use the highest version that both speak. Two nodes without a common one are *incompatible*: neither counts the
other as a member, so neither sends it books or edits of the wanted set. The one whose process started later
ends; the other one goes on.

Rules for a new version:

* A build speaks the version of the release before it, too. So nodes can be replaced one after another, and
  back.
* Whatever an older node could not read is sent only to nodes that speak the version which adds it. That also
  goes for the requests under `/v1` that nodes send each other: a server refuses parameters it does not know.
* New fields of messages have defaults, and need no new version: older nodes ignore them.
* New kinds of entries and new fields of entries of the wanted set need no new version: nodes keep and pass on
  what they do not know, on disk, too. Values are texts, numbers, booleans or null; anything else is written
  as text.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FIRST", "GROUPED_REPORTS", "SPOKEN", "ProtocolRange"]


class ProtocolRange(NamedTuple):
    """The versions that a node speaks, both ends included."""

    oldest: int
    newest: int

    def common(self, other: ProtocolRange) -> int | None:
        """The highest version that both speak; None if there is none."""
        highest = min(self.newest, other.newest)
        return highest if highest >= max(self.oldest, other.oldest) else None

    def __str__(self) -> str:
        return f"{self.oldest}" if self.oldest == self.newest else f"{self.oldest} to {self.newest}"


FIRST = ProtocolRange(1, 1)
"""Of nodes that do not say which versions they speak."""
SPOKEN = ProtocolRange(1, 2)
"""Of this build."""
GROUPED_REPORTS = 2
"""Since this version, `messages.GroupedReports` are understood."""
