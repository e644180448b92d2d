"""Files of recorded market data as this package writes them: JSON lines, compressed with zstd.

One file a start, only ever appended to. Every flush ends a block, so that a file whose writer was
killed can be read up to its last flush. Where the disk refuses, the file is cut back to its last flush
and, where there is room, ends with a line that says so. The first line says what the file is;
`recording.formats` reads it, and describes the lines. Not here: when to write what (`recorder`,
`flight_dumps`).
"""

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from io import RawIOBase
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
import zstandard

from depthcache.errors import InvalidArgument

__all__ = ["Journal", "is_json", "line", "not_writable", "place"]

FORMAT = 1
_LEVEL = 3
"""6 times smaller at 171,000 frames a second (measured on recorded frames, 2026-08)."""
_END_OF_FRAME = b"\x01\x00\x00"
"""The last block of a zstd frame, empty (RFC 8878, 3.1.1.2). A checksum would have to follow, so frames
have none: a file can be ended properly although its last write was refused."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)


def line(**values: Any) -> bytes:
    """One record, without the end of its line. A lone surrogate, which no reader takes, becomes `?`."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def is_json(body: bytes) -> bool:
    """Whether bytes are one JSON value in UTF-8: with spaces for its line breaks it can stand in a line."""
    try:
        body.decode("utf-8")
        msgspec.json.decode(body, type=msgspec.Raw)
    except Exception:  # noqa: BLE001 - nested too deeply, no UTF-8, cut off …
        return False
    return True


class _Flush(NamedTuple):
    """How far a file can be read whatever happens."""

    size: int
    lines: int


class Journal:
    """One file. Order of calls: `append` and `flush`, then `close` or `give_up`; one thread at a time."""

    def __init__(self, path: Path, *, kind: str, **about: Any) -> None:
        """Begin a file that does not exist yet, with its first line. Raises FileExistsError, OSError; then
        there is no file."""
        self.path = path
        self._file = _open(path)
        self._packed = zstandard.ZstdCompressor(level=_LEVEL).compressobj()
        self._size = self._lines = self._written = 0
        self._flushes = [_Flush(0, 0)]
        self._is_deleted = False
        try:
            self.append(line(depthcache=FORMAT, kind=kind, **about) + b"\n")
            self.flush()
        except BaseException:
            self.give_up()
            raise

    @property
    def written(self) -> int:
        """How many lines were ever flushed to it, the first one aside."""
        return max(0, self._written - 1)

    def append(self, lines: bytes) -> None:
        """Add whole lines."""
        self._lines += lines.count(b"\n")
        self._write(self._packed.compress(lines))

    def flush(self) -> None:
        """What was appended can be read from now on, whatever becomes of this process.

        Raises OSError, also where the file was deleted meanwhile: then nobody will ever read it.
        """
        self._write(self._packed.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))
        if os.fstat(self._file.fileno()).st_nlink == 0 and not self.path.exists():
            self._flushes, self._is_deleted = [_Flush(0, 0)], True
            raise OSError(errno.ENOENT, "the file was deleted while it was written")
        self._flushes = [self._flushes[-1], _Flush(self._size, self._lines)]
        self._written = self._lines

    def close(self) -> None:
        """End the file. Raises OSError; what was flushed can be read even then."""
        try:
            self._write(self._packed.flush())
        except OSError:
            self.give_up()
            raise
        self._file.close()

    def give_up(self, last_line: bytes = b"") -> int:
        """End the file at its last flush after an error, with `last_line` where there is room for it.

        Never raises. Returns how many flushed lines had to be given up to make that room. Without
        `last_line`, a file without any line of use is removed.
        """
        newest = kept = self._flushes[-1]
        if self._file.closed:
            return 0
        if newest.lines > 1 or last_line:
            text = zstandard.ZstdCompressor().compress(last_line + b"\n") if last_line else b""
            kept = self._ended(_END_OF_FRAME + text, self._flushes if last_line else [newest])
        with suppress(OSError):
            self._file.close()
        if newest.lines <= 1 and not last_line and not self._is_deleted:
            with suppress(OSError):
                self.path.unlink()
        return newest.lines - kept.lines

    def _ended(self, end: bytes, flushes: list[_Flush]) -> _Flush:
        """Cut back to the last of these flushes behind which `end` can be written."""
        kept = flushes[-1]
        for flush in reversed(flushes):
            if flush.lines == 0:
                break
            kept = flush
            try:
                self._cut(flush)
                self._write(end)
            except OSError as error:
                with suppress(OSError):
                    self._cut(flush)
                if error.errno in _NO_ROOM:
                    continue
            break
        return kept

    def _cut(self, flush: _Flush) -> None:
        self._file.truncate(flush.size)
        self._file.seek(flush.size)

    def _write(self, data: bytes) -> None:
        """All of it: a nearly full disk takes a part and says so only by the count."""
        rest = memoryview(data)
        while rest:
            written = self._file.write(rest)
            if not written:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            rest = rest[written:]
            self._size += written


def _open(path: Path) -> RawIOBase:
    return cast("RawIOBase", path.open("xb", buffering=0))


def place(folder: Path, name: str, *, setting: str = "folder") -> Path:
    """A new file of the folder, named after the present time and this process.

    Raises InvalidArgument, naming `setting`, when the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_writable(folder, error, setting=setting) from None
    if not os.access(folder, os.W_OK):
        raise not_writable(folder, PermissionError(errno.EACCES, os.strerror(errno.EACCES)), setting=setting)
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    names = (f"{name}-{now}-{os.getpid()}{number or ''}.jsonl.zst" for number in count())
    return next(path for each in names if not (path := folder / each).exists())


def not_writable(folder: Path, error: OSError, *, setting: str) -> InvalidArgument:
    """The error that says which setting names a folder in which no file can be made, and why."""
    why = error.strerror or str(error)
    more = "; `ulimit -n` shows and raises the limit" if error.errno in _TOO_MANY_FILES else ""
    allowed = f"a folder that can be written, made where it is missing (no file could be made: {why}{more})"
    return InvalidArgument(name=setting, value=str(folder), allowed=allowed)
