"""Lines of a recording that could not be used; an unusable file raises UnreadableRecording."""

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
        position: the file and line number.
        what: why it could not be used.
        excerpt: the first 60 characters of the line.
    """

    position: SourcePosition
    what: str
    excerpt: str

    def __str__(self) -> str:
        shown = f": {self.excerpt!r}" if self.excerpt else ""
        return f"{self.position}: {self.what}{shown}"


class Problems:
    """All problems of reading a recording: `total` counts them, `first` keeps the first 20.

    `notes` are remarks about the files that are no problem, such as a missing end.
    """

    def __init__(self) -> None:
        self.total: int = 0
        self.first: list[Problem] = []
        self.notes: list[str] = []

    def add(self, position: SourcePosition, what: str, line: bytes = b"") -> None:
        """Count a problem: `what` is wrong with the `line` at `position`."""
        self.total += 1
        if len(self.first) < _KEPT:
            excerpt = line[:_EXCERPT_CHARACTERS].decode("utf-8", "backslashreplace")
            self.first.append(Problem(position, what, excerpt))

    def note(self, text: str) -> None:
        """Keep a remark (`text`) about a file that is no problem."""
        if len(self.notes) < _KEPT:
            self.notes.append(text)

    def lines(self) -> list[str]:
        """One line of text per kept problem, and one with the number of the others."""
        texts = [str(problem) for problem in self.first]
        if self.total > len(self.first):
            texts.append(f"… and {self.total - len(self.first):,} more")
        return texts

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__: ClassVar[None] = None  # type: ignore[assignment] # it changes
