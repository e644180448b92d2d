"""The lines of a file, compressed or not, with their numbers, one at a time.

Compression is recognised by its first bytes, never by the name. Text is unpacked piece by piece, so memory
is bounded by the longest line that is read, and runs of blank lines cost next to nothing. Not here: what a
line means.
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
"""A zstd frame without data, such as pzstd puts first (RFC 8878, 3.1.2)."""
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"PK\x03\x04": "zip", b"\x04\x22\x4d\x18": "lz4"}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_WIDE_TEXT = re.compile(rb"(?:[\t-~]\x00){2}|(?:\x00[\t-~]){2}|\x00{3}[\t-~]|[\t-~]\x00{3}")
_PIECE = 128 * 1024
_LONGEST = 64 * 1024 * 1024
"""Bytes. The longest lines seen are exchangeInfo bodies of about 3 MB (2023)."""
_EXCERPT = 100
_SPACE = re.compile(rb"\s*")
_LINE_ENDS = b"\n" * _PIECE


class DamageError(Exception):
    """The file cannot be read on after `line`; what came before is good."""

    line: int
    what: str

    def __init__(self, line: int, what: str) -> None:
        self.line, self.what = line, what
        super().__init__(what)


class LongLine(bytes):
    """The beginning of a line that is too long to be read; the rest of it was skipped."""


class Lines:
    """The lines of one file, to be iterated once.

    Attributes:
        is_cut: whether a zstd file ended within a frame: its writer was killed, or the file was cut. Known
            at the end. The unfinished last line is left out.
    """

    def __init__(
        self, path: Path, *, on_progress: OnProgress | None = None, progress: Progress | None = None
    ) -> None:
        """`progress` is updated and handed to `on_progress` as the file is read."""
        self.is_cut: bool = False
        self._path = path
        self._on_progress = on_progress
        self._progress = Progress() if progress is None else progress
        self._number = 0

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """(number from 1, line without its end) of every line that is not blank.

        A line of more than 64 MiB comes as a `LongLine`. Raises UnreadableRecording when the file cannot
        be opened, DamageError where it breaks off.
        """
        with _opened(self._path) as (file, read, is_zstd):
            try:
                yield from self._lines(file, read, is_zstd)
            except EOFError:
                raise DamageError(self._number, "the gzip stream breaks off: the file was cut") from None
            except (gzip.BadGzipFile, zlib.error) as error:
                raise DamageError(self._number, f"the gzip stream is broken: {error}") from None
            except zstandard.ZstdError as error:
                raise DamageError(self._number, f"the zstd stream is broken: {error}") from None
            except OSError as error:
                raise UnreadableRecording(path=self._path, line=self._number, reason=_words(error)) from None

    def _lines(
        self, file: BufferedReader, read: Callable[[int], bytes], is_zstd: bool
    ) -> Iterator[tuple[int, bytes]]:
        begun: list[bytes] = []  # pieces of a line whose end was not reached
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
            reason = "UTF-16 or UTF-32 text: only UTF-8 is read (`iconv -f UTF-16 -t UTF-8` converts it)"
            raise UnreadableRecording(path=self._path, line=None, reason=reason)

    def _after_blank(self, piece: bytes, start: int) -> int:
        """Where the first line at or after `start` begins that is not blank; counts the blank ones."""
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
    """The same as iterating over `Lines(path)`."""
    return iter(Lines(path))


def _joined(pieces: list[bytes], size: int) -> bytes:
    return LongLine(pieces[0][:_EXCERPT]) if size > _LONGEST else b"".join(pieces)


def _clean(line: bytes) -> bytes:
    """Without space and byte order marks at its ends: concatenated files have marks in their middle."""
    if type(line) is LongLine:
        return line
    line = line.strip()
    while line.startswith(_BYTE_ORDER_MARK):
        line = line[len(_BYTE_ORDER_MARK) :].strip()
    return line


@contextmanager
def _opened(path: Path) -> Generator[tuple[BufferedReader, Callable[[int], bytes], bool]]:
    """The file, how to read its text, and whether it is compressed with zstd."""
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
                reason = f"compressed with {name}: only gzip, zstd and plain text are read"
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
