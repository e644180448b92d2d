"""Iterate over the numbered lines of a file, compressed or not.

Compression is detected by the first bytes, never by the file name. Text is decompressed in pieces, so the
longest line bounds memory, and long runs of blank lines are cheap.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import cast

import zstandard

from depthcache.errors import UnreadableRecording
from depthcache.recording.progress import OnProgress, Progress
from depthcache.recording.zstd_end import has_end

__all__ = ["DamageError", "Lines", "LongLine", "numbered_lines"]

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
"""A skippable zstd frame without data, as pzstd writes at the start (RFC 8878, 3.1.2)."""
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"PK\x03\x04": "zip", b"\x04\x22\x4d\x18": "lz4"}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_WIDE_TEXT = re.compile(rb"(?:[\t-~]\x00){2}|(?:\x00[\t-~]){2}|\x00{3}[\t-~]|[\t-~]\x00{3}")
_PIECE = 128 * 1024
_LONGEST = 64 * 1024 * 1024
"""Longest line in bytes. The longest seen are exchangeInfo bodies of about 3 MB (2023)."""
_EXCERPT = 100
_SPACE = re.compile(rb"\s*")
_LINE_ENDS = b"\n" * _PIECE


class DamageError(Exception):
    """The file is damaged after `line`. Everything before that is valid."""

    line: int
    what: str

    def __init__(self, line: int, what: str) -> None:
        self.line, self.what = line, what
        super().__init__(what)


class LongLine(bytes):
    """The beginning of a line that exceeds the longest allowed; the rest of it was skipped."""


class Lines:
    """The lines of one file. Iterate once.

    Attributes:
        is_cut: whether a zstd file ended in the middle of a frame, because its writer was killed or the file
            was cut off. Known after the last line. An unfinished last line is left out.
    """

    def __init__(
        self, path: Path, *, on_progress: OnProgress | None = None, progress: Progress | None = None
    ) -> None:
        """`progress` is updated while the file is read, and passed to `on_progress`."""
        self.is_cut: bool = False
        self._path = path
        self._on_progress = on_progress
        self._progress = Progress() if progress is None else progress
        self._number = 0

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Yield (number from 1, line without line end) for every line that is not blank.

        A line of more than 64 MiB is a `LongLine`. Raises UnreadableRecording if the file cannot be opened,
        and DamageError where it is damaged or cut off.
        """
        with _opened(self._path) as (file, read, is_zstd):
            try:
                yield from self._lines(file, read, is_zstd)
            except EOFError:
                raise DamageError(self._number, "the gzip stream ends early: the file was cut off") from None
            except (gzip.BadGzipFile, zlib.error) as error:
                raise DamageError(self._number, f"the gzip stream is corrupt: {error}") from None
            except zstandard.ZstdError as error:
                raise DamageError(self._number, f"the zstd stream is corrupt: {error}") from None
            except OSError as error:
                raise UnreadableRecording(path=self._path, line=self._number, reason=_words(error)) from None

    def _lines(
        self, file: BufferedReader, read: Callable[[int], bytes], is_zstd: bool
    ) -> Iterator[tuple[int, bytes]]:
        begun: list[bytes] = []  # pieces of a line whose end has not been read yet
        begun_bytes = 0
        for piece in self._pieces(file, read):
            start = 0 if begun else self._after_blank(piece, 0)
            while (end := piece.find(b"\n", start)) >= 0:
                line = piece[start:end]
                if begun:
                    begun.append(line)
                    begun_bytes += len(line)
                    line = _joined(begun, begun_bytes)
                    begun, begun_bytes = [], 0
                self._number += 1
                if line := _clean(line):
                    yield self._number, line
                start = self._after_blank(piece, end + 1)
            if start < len(piece):
                if begun_bytes <= _LONGEST:
                    begun.append(piece[start:])
                begun_bytes += len(piece) - start
        self.is_cut = is_zstd and not has_end(file)
        if begun and not self.is_cut and (line := _clean(_joined(begun, begun_bytes))):
            self._number += 1
            yield self._number, line

    def _pieces(self, file: BufferedReader, read: Callable[[int], bytes]) -> Iterator[bytes]:
        progress, at = self._progress, 0
        while piece := read(_PIECE):
            if at == 0:
                self._refuse_wide(piece)
            now_at = file.tell()
            progress.read_bytes += now_at - at
            at = now_at
            progress.unpacked_bytes += len(piece)
            before = self._number
            yield piece
            progress.lines += self._number - before
            if self._on_progress is not None:
                self._on_progress(progress)

    def _refuse_wide(self, piece: bytes) -> None:
        if piece.startswith(_WIDE_MARKS) or _WIDE_TEXT.match(piece):
            reason = "UTF-16 or UTF-32 text; UTF-8 is needed (`iconv -f UTF-16 -t UTF-8` converts it)"
            raise UnreadableRecording(path=self._path, line=None, reason=reason)

    def _after_blank(self, piece: bytes, start: int) -> int:
        """The start of the first line at or after `start` that is not blank. Counts the blank ones."""
        if piece[start : start + 1] not in (b"\n", b"\r", b" ", b"\t"):
            return start
        if piece == _LINE_ENDS[: len(piece)]:
            self._number += len(piece) - start
            return len(piece)
        space = _SPACE.match(piece, start)
        end = piece.rfind(b"\n", start, start if space is None else space.end()) + 1
        if end <= start:
            return start
        blank = piece[start:end]
        self._number += len(blank) - len(blank.translate(None, b"\n"))
        return end


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """An iterator over `Lines(path)`."""
    return iter(Lines(path))


def _joined(pieces: list[bytes], size: int) -> bytes:
    return LongLine(pieces[0][:_EXCERPT]) if size > _LONGEST else b"".join(pieces)


def _clean(line: bytes) -> bytes:
    """The line without white space and byte order marks; concatenated files have marks in the middle."""
    if type(line) is LongLine:
        return line
    line = line.strip()
    while line.startswith(_BYTE_ORDER_MARK):
        line = line[len(_BYTE_ORDER_MARK) :].strip()
    return line


@contextmanager
def _opened(path: Path) -> Generator[tuple[BufferedReader, Callable[[int], bytes], bool]]:
    """The open file, a function that reads its text, and whether it is compressed with zstd."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise UnreadableRecording(path=path, line=None, reason=_words(error)) from None
    with file:
        try:
            start = file.peek(8)
        except OSError as error:
            raise UnreadableRecording(path=path, line=None, reason=_words(error)) from None
        for magic, name in _OTHERS.items():
            if start.startswith(magic):
                reason = f"compressed with {name}; only gzip, zstd and plain text can be read"
                raise UnreadableRecording(path=path, line=None, reason=reason)
        if start.startswith(_GZIP):
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield file, unpacked.read1, False
        elif start.startswith(_ZSTD) or _SKIPPABLE.match(start):
            reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=False)
            with reader:
                yield file, cast("Callable[[int], bytes]", reader.read1), True
        else:
            yield file, file.read1, False


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
