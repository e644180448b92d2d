"""The path of a recording, with the number of lines that were lost."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

__all__ = ["RecordingFile"]

if TYPE_CHECKING:
    _Path = Path
else:
    _Path = type(Path())  # before Python 3.12, the class of paths of this system is the one to derive from


class RecordingFile(_Path):
    """The path of the newest file of a recording, and whether the recording is complete. Immutable.

    Attributes:
        files: all files of the recording, oldest first; after an error it continues in a new file.
        lost: number of lines (frames, snapshots, events) that could not be written; 0 if complete.
        lost_from_ns: earliest receive time of a lost line in nanoseconds since 1970; None if none was lost.
        lost_to_ns: latest receive time of a lost line; None if none was lost.
        error: the reason why nothing can be written at the moment; empty if writing works.
    """

    files: tuple[Path, ...] = ()
    lost: int = 0
    lost_from_ns: int | None = None
    lost_to_ns: int | None = None
    error: str = ""

    @classmethod
    def of(
        cls,
        path: str | PathLike[str],
        *,
        files: tuple[Path, ...] = (),
        lost: int = 0,
        lost_from_ns: int | None = None,
        lost_to_ns: int | None = None,
        error: str = "",
    ) -> RecordingFile:
        """The value for the file at `path` with `files`, `lost`, `lost_from_ns`, `lost_to_ns` and `error`."""
        made = cls(path)
        made.files, made.lost, made.error = files, lost, error
        made.lost_from_ns, made.lost_to_ns = lost_from_ns, lost_to_ns
        return made

    def with_segments(self, *segments: str | PathLike[str]) -> Path:
        """A path derived from this one; a plain `Path`."""
        return Path(*segments)

    def __reduce__(self) -> tuple[Callable[..., RecordingFile], tuple[Any, ...]]:
        about = (self.files, self.lost, self.lost_from_ns, self.lost_to_ns, self.error)
        return _made, (str(self), *about)

    def __repr__(self) -> str:
        lost = f", lost={self.lost}" if self.lost else ""
        error = f", error={self.error!r}" if self.error else ""
        return f"{type(self).__name__}({str(self)!r}{lost}{error})"


def _made(
    path: str, files: tuple[Path, ...], lost: int, from_ns: int | None, to_ns: int | None, error: str
) -> RecordingFile:
    return RecordingFile.of(path, files=files, lost=lost, lost_from_ns=from_ns, lost_to_ns=to_ns, error=error)
