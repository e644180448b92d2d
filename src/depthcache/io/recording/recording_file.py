"""The file that a client records to, as its user sees it: a path that knows what was lost."""

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
    """The path of the newest file of a recording, and whether the recording is complete. A constant.

    Attributes:
        files: every file of this client, oldest first; writing goes on in a new file after an error.
        lost: lines (frames, snapshots, events) that could not be written.
        lost_from_ns: when the first of them may have been received, nanoseconds since 1970; None: none lost.
        lost_to_ns: when the last of them was; None: none lost.
        error: why nothing can be written right now, in words; empty while all is well.
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
        """The file at `path`, with `files`, `lost`, `lost_from_ns`, `lost_to_ns` and `error` as given."""
        made = cls(path)
        made.files, made.lost, made.error = files, lost, error
        made.lost_from_ns, made.lost_to_ns = lost_from_ns, lost_to_ns
        return made

    def with_segments(self, *segments: str | PathLike[str]) -> Path:
        """Paths made from this one are plain paths."""
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
