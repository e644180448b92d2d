"""Failing disks: the test controls the free space of recordings, without waiting."""

from __future__ import annotations

import errno
import os
from io import FileIO
from pathlib import Path

import pytest

from depthcache.io.recording import files


class Disk:
    """A disk for all journals created while it is installed. `room`: free bytes; None for no limit."""

    def __init__(self) -> None:
        self.room: int | None = None
        self.error = errno.ENOSPC
        self.most_of_file: int | None = None
        self.most_at_once: int | None = None
        self.refuses_to_open = 0
        """An errno value; 0 for none."""
        self.fails_at_close = False
        self.is_read_only = False
        self.opened: list[Path] = []

    def open(self, path: Path) -> File:
        """Open a new file, as journals do."""
        if self.refuses_to_open:
            raise OSError(self.refuses_to_open, os.strerror(self.refuses_to_open))
        self.opened.append(path)
        return File(path, self)


class File(FileIO):
    """One file of the disk."""

    def __init__(self, path: Path, disk: Disk) -> None:
        super().__init__(path, "xb")
        self._disk = disk

    def write(self, data: bytes | memoryview) -> int:  # type: ignore[override]
        disk, size = self._disk, len(data)
        if disk.is_read_only:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        if disk.most_at_once is not None:
            size = min(size, disk.most_at_once)
        if disk.room is not None:
            size = min(size, disk.room)
        if disk.most_of_file is not None and self.tell() + size > disk.most_of_file:
            size = max(0, disk.most_of_file - self.tell())
            if size == 0:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        if size == 0 and data:
            raise OSError(disk.error, os.strerror(disk.error))
        written = super().write(data[:size])
        if disk.room is not None:
            disk.room -= written
        return written

    def truncate(self, size: int | None = None) -> int:
        if self._disk.is_read_only:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        before = os.fstat(self.fileno()).st_size
        after = super().truncate(size)
        if self._disk.room is not None:
            self._disk.room += before - after
        return after

    def close(self) -> None:
        was_open = not self.closed
        super().close()
        if was_open and self._disk.fails_at_close:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """A disk for every journal of the test."""
    made = Disk()
    monkeypatch.setattr(files, "_open", made.open)
    return made
