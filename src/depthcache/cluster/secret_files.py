"""Files that only their owner may read. A crash while one is written leaves the old or the new one."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from depthcache.cluster.errors import DataFolderUnusable

__all__ = ["FolderLock", "read_secret", "remove_file", "sync_folder", "write_secret"]

_MOST_BYTES = 1 << 20


def write_secret(path: Path, content: bytes) -> None:
    """Replace a file; it is on disk at the return. Raises OSError; then it is as before."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def read_secret(path: Path) -> bytes:
    """The content of a file that is this user's alone. Raises DataFolderUnusable."""
    try:
        with path.open("rb") as file:
            _check_owner(path, os.fstat(file.fileno()))
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise DataFolderUnusable(path=str(path), reason=f"cannot be read: {error.strerror}") from None
    if len(content) > _MOST_BYTES:
        raise DataFolderUnusable(path=str(path), reason="is larger than any file of a node")
    return content


def remove_file(path: Path) -> None:
    """Remove a file for good; without effect if there is none."""
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on disk."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class FolderLock:
    """One process at a time uses a folder. The system releases it when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        """Raises DataFolderUnusable if another process has it."""
        path = folder / "lock"
        try:
            self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT | _CLOEXEC, 0o600)
        except OSError as error:
            raise DataFolderUnusable(path=str(path), reason=f"cannot be opened: {error.strerror}") from None
        try:
            _lock(self._descriptor)
        except OSError:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            self.release()
            reason = f"a node runs with this folder already, as process {holder or 'unknown'}"
            raise DataFolderUnusable(path=str(folder), reason=reason) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another process have it. Further calls do nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


_CLOEXEC = getattr(os, "O_CLOEXEC", 0)

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # what is locked cannot be read
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _check_owner(path: Path, found: os.stat_result) -> None:
    if os.name != "posix":
        return
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise DataFolderUnusable(
            path=str(path), reason=f"others may read it, and perhaps did: chmod 600 {path}"
        )
    if found.st_uid not in (os.geteuid(), 0):
        raise DataFolderUnusable(path=str(path), reason="it belongs to another user, who knows it")
