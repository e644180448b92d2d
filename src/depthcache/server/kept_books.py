"""The books that requests began, in a file: a restart begins them again."""

from __future__ import annotations

import json
import os
import sys
import weakref
from io import FileIO
from pathlib import Path
from typing import Any

from depthcache.errors import InvalidArgument
from depthcache.model import compact_json

__all__ = ["KeptBooks"]

_ALLOWED = "the file that the server wrote; without it the server begins no further books"

Key = tuple[str, str]
"""Exchange and symbol."""
_OPEN: weakref.WeakSet[KeptBooks] = weakref.WeakSet()


class KeptBooks:
    """Which books requests began and did not end. Without a file nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        """Read the file, if it is there. Raises OSError, InvalidArgument for a file of something else, and
        for one that another server writes."""
        self._path = path
        self._lock = None if path is None else _locked(path)
        self._held: dict[Key, None] = {}
        self._is_saved = True
        _OPEN.add(self)
        try:
            if path is not None and path.exists():
                self._held = dict.fromkeys(_read(path))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Leave the file to another server."""
        if self._lock is not None:
            self._lock.close()

    def all(self) -> list[Key]:
        """In the order in which they were begun."""
        return list(self._held)

    def begin(self, exchange: str, symbol: str) -> None:
        """A request began a book."""
        self._is_saved = self._is_saved and (exchange, symbol) in self._held
        self._held[exchange, symbol] = None

    def end(self, exchange: str, symbol: str) -> None:
        """A request ended a book."""
        if (exchange, symbol) in self._held:
            del self._held[exchange, symbol]
            self._is_saved = False

    def save(self) -> None:
        """Write what changed, so that a crash afterwards loses none of it. Raises OSError."""
        if self._path is None or self._is_saved:
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        with draft.open("wb") as file:
            file.write(compact_json({"schema": 1, "books": [list(key) for key in self._held]}))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        if os.name == "posix":
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        self._is_saved = True


def _locked(path: Path) -> FileIO | None:
    """A lock that ends with this process: what two servers write would replace each other. None where the
    system has none."""
    if sys.platform == "win32":
        return None
    import fcntl

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileIO(os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600), "r+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        allowed = "a folder of its own for each server that keeps books: another one uses this folder"
        raise InvalidArgument(name="data_dir", value=str(path.parent), allowed=allowed) from None
    except OSError:  # a file system without locks
        pass
    return lock


def _read(path: Path) -> list[Key]:
    try:
        content: Any = json.loads(path.read_bytes())
        found = [(exchange, symbol) for exchange, symbol in content["books"]]
        is_right = content["schema"] == 1 and all(isinstance(each, str) for key in found for each in key)
    except (ValueError, TypeError, LookupError, RecursionError):
        is_right, found = False, []
    if not is_right:
        raise InvalidArgument(name="file of kept books", value=str(path), allowed=_ALLOWED)
    return found


def _close_locks() -> None:
    """In a forked child: its copy of a lock would outlive the server."""
    for kept in list(_OPEN):
        kept.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_locks)
