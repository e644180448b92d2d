"""The wanted set on disk: a journal that survives crashes, torn writes and full disks.

The file is a sequence of records: length and CRC-32 of the payload, four bytes each, big-endian, then the
payload. `append` returns once its records are on disk (fsync). A record that a crash left incomplete at the
end was never acknowledged, and is cut off when the file is read. Damage before the end loses the records
after it; the damaged file is kept aside, and other nodes send what is missing. `rewrite` replaces the file
atomically with one record.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

__all__ = ["WantedFile", "payloads_in"]

_HEADER = struct.Struct(">II")
_MOST_BYTES = 64 << 20
_REWRITE_BYTES = 256 << 10


class WantedFile:
    """The journal of one node. Not for two processes at once."""

    def __init__(self, path: Path) -> None:
        """Does not read yet: call `load`."""
        self.path: Path = path
        self.needs_rewrite: bool = False
        """Whether the file lacks something, or is much longer than its content: call `rewrite` next."""
        self._end = 0
        self._rewritten = 0

    def load(self) -> list[bytes]:
        """The payloads of all whole records, in order. Raises OSError."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return []
        payloads, self._end = _read(content)
        if self._end < len(content):
            self._cut_off(content)
        self._rewritten = self._end
        return payloads

    def append(self, payloads: Sequence[bytes]) -> None:
        """Write records and wait until they are on disk. Raises OSError; then the file is as before."""
        records = b"".join(_HEADER.pack(len(each), zlib.crc32(each)) + each for each in payloads)
        is_new = not self.path.exists()
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            _write_all(descriptor, records, at=self._end)
            os.fsync(descriptor)
        except OSError:
            self.needs_rewrite = True
            os.ftruncate(descriptor, self._end)
            raise
        finally:
            os.close(descriptor)
        if is_new:
            _sync_folder(self.path.parent)
        self._end += len(records)
        self.needs_rewrite = self.needs_rewrite or self._end > _REWRITE_BYTES + 4 * self._rewritten

    def rewrite(self, payload: bytes) -> None:
        """Replace the file by one record, on disk at the return. Raises OSError; then it is as before."""
        draft = self.path.with_name(f".{self.path.name}.new")
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        record = _HEADER.pack(len(payload), zlib.crc32(payload)) + payload
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            _write_all(descriptor, record, at=0)
            os.fsync(descriptor)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        draft.replace(self.path)
        _sync_folder(self.path.parent)
        self._end = self._rewritten = len(record)
        self.needs_rewrite = False

    def _cut_off(self, content: bytes) -> None:
        """Keep what cannot be read aside, and go on after the last whole record."""
        self.path.with_name(f"{self.path.name}.damaged").write_bytes(content)
        self.needs_rewrite = True
        with self.path.open("r+b") as file:
            file.truncate(self._end)
            os.fsync(file.fileno())


def payloads_in(path: Path) -> list[bytes]:
    """The payloads of the whole records of a journal, perhaps one that a process writes. Raises OSError."""
    return _read(path.read_bytes())[0]


def _read(content: bytes) -> tuple[list[bytes], int]:
    """The payloads, and where the last whole record ends."""
    payloads: list[bytes] = []
    at = 0
    while at + _HEADER.size <= len(content):
        size, checksum = _HEADER.unpack_from(content, at)
        payload = content[at + _HEADER.size : at + _HEADER.size + size]
        if size == 0 or size > _MOST_BYTES or len(payload) < size or zlib.crc32(payload) != checksum:
            break
        payloads.append(payload)
        at += _HEADER.size + size
    return payloads, at


def _write_all(descriptor: int, content: bytes, *, at: int) -> None:
    written = 0
    while written < len(content):
        written += os.pwrite(descriptor, content[written:], at + written)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
