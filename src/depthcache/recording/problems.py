"""Lines of a recording that could not be used: counted all, kept a few, never silent.

Not here: what makes a whole file unusable; that raises UnreadableRecording.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from depthcache.recording.records import SourcePosition

__all__ = ["Problem", "Problems"]

_KEPT = 20
_EXCERPT_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """One line that could not be used.

    Attributes:
        position: where it is.
        what: why it could not be used, in words.
        excerpt: its first 60 characters.
    """

    position: SourcePosition
    what: str
    excerpt: str

    def __str__(self) -> str:
        shown = f": {self.excerpt!r}" if self.excerpt else ""
        return f"{self.position}: {self.what}{shown}"


class Problems:
    """All problems of one reading. `total` counts every one, `first` keeps the first 20.

    `notes` says what else is worth knowing about the files, such as that one has no end.
    """

    def __init__(self) -> None:
        self.total: int = 0
        self.first: list[Problem] = []
        self.notes: list[str] = []

    def add(self, position: SourcePosition, what: str, line: bytes = b"") -> None:
        """Count one problem: `what` is wrong at that `position`, and `line` is what is there."""
        self.total += 1
        if len(self.first) < _KEPT:
            excerpt = line[:_EXCERPT_CHARACTERS].decode("utf-8", "backslashreplace")
            self.first.append(Problem(position, what, excerpt))

    def note(self, text: str) -> None:
        """Keep a `text` about a file that is no fault."""
        if len(self.notes) < _KEPT:
            self.notes.append(text)

    def lines(self) -> list[str]:
        """One text line a kept problem, and one that counts the rest."""
        texts = [str(problem) for problem in self.first]
        if self.total > len(self.first):
            texts.append(f"… and {self.total - len(self.first):,} more")
        return texts

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__: ClassVar[None] = None  # type: ignore[assignment] # it changes
