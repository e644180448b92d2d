"""Write files of recorded market data: JSON lines, compressed with zstd.

A file is only appended to. Every flush ends a zstd block, so that the file is readable up to its last flush
if the writer is killed. After a disk error, the file is truncated to its last flush and, if there is space,
ends with a line that notes the loss. `recording.formats` describes and reads the lines.
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
"""A compression ratio of 6 at 171,000 frames per second (recorded frames, 2026-08)."""
_END_OF_FRAME = b"\x01\x00\x00"
"""An empty last block of a zstd frame (RFC 8878, 3.1.1.2). Frames have no checksum, which would have to
follow it, so that a file can be ended properly even after a failed write."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)


def line(**values: Any) -> bytes:
    """One record without its line end. A lone surrogate, which readers refuse, becomes `?`."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def is_json(body: bytes) -> bool:
    """Whether the bytes are one JSON value in UTF-8, which fits on a line once line breaks are replaced."""
    try:
        body.decode("utf-8")
        msgspec.json.decode(body, type=msgspec.Raw)
    except Exception:  # noqa: BLE001 - nested too deeply, not UTF-8, truncated …
        return False
    return True


class _Flush(NamedTuple):
    """A position up to which a file is readable after any failure."""

    size: int
    lines: int


class Journal:
    """One file. Call `append` and `flush`, then `close` or `give_up`, from one thread at a time."""

    def __init__(self, path: Path, *, kind: str, **about: Any) -> None:
        """Create a file with its first line. Raises FileExistsError and OSError, and then leaves no file."""
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
        """Number of lines flushed so far, without the first one."""
        return max(0, self._written - 1)

    def append(self, lines: bytes) -> None:
        """Add whole lines."""
        self._lines += lines.count(b"\n")
        self._write(self._packed.compress(lines))

    def flush(self) -> None:
        """Make all appended lines readable, even if this process is killed.

        Raises OSError, also if the file was deleted meanwhile.
        """
        self._write(self._packed.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))
        if os.fstat(self._file.fileno()).st_nlink == 0 and not self.path.exists():
            self._flushes, self._is_deleted = [_Flush(0, 0)], True
            raise OSError(errno.ENOENT, "the file was deleted while it was being written")
        self._flushes = [self._flushes[-1], _Flush(self._size, self._lines)]
        self._written = self._lines

    def close(self) -> None:
        """End the file. Raises OSError; flushed lines are readable even then."""
        try:
            self._write(self._packed.flush())
        except OSError:
            self.give_up()
            raise
        self._file.close()

    def give_up(self, last_line: bytes = b"") -> int:
        """End the file at its last flush after an error, with `last_line` if there is space for it.

        Never raises. Returns the number of flushed lines that were dropped to make that space. Without
        `last_line`, a file that has no line besides the first is removed.
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
        """Truncate to the last of these flushes after which there is space for `end`."""
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
        """Write all of it: on a nearly full disk, `write` may accept only a part without an error."""
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
    """The path of a new file in the folder, named after the current time and this process.

    Raises InvalidArgument for `setting` if the folder cannot be created or written.
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
    """The error for a folder in which no file can be created, with the name of its setting and the cause."""
    why = error.strerror or str(error)
    more = "; `ulimit -n` shows and raises the limit" if error.errno in _TOO_MANY_FILES else ""
    allowed = f"a writable folder, created if missing (creating a file failed: {why}{more})"
    return InvalidArgument(name=setting, value=str(folder), allowed=allowed)
