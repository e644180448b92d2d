"""Threads and descriptors of this process, and waiting for a condition without fixed sleeps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

DEADLINE_S = 20.0


def native_threads() -> int:
    """Number of threads of the process, including those outside Python."""
    return len(list(Path("/proc/self/task").iterdir()))


def open_files() -> int:
    """Number of file descriptors of the process, including sockets."""
    return len(list(Path("/proc/self/fd").iterdir()))


def eventually(happened: Callable[[], object]) -> None:
    """Poll a condition, with a deadline that only a failure reaches."""
    never, end_s = threading.Event(), time.monotonic() + DEADLINE_S
    while not happened():
        assert time.monotonic() < end_s
        never.wait(0.01)
