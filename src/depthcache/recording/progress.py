"""The progress of reading recordings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["OnProgress", "Progress"]


@dataclass(slots=True)
class Progress:
    """The progress of one `read` or `verify`, updated in place.

    Attributes:
        total_bytes: total size of all files.
        read_bytes: bytes of the files read so far.
        unpacked_bytes: bytes of text so far; more than `read_bytes` for compressed files.
        lines: lines so far, including blank ones.
    """

    total_bytes: int = 0
    read_bytes: int = 0
    unpacked_bytes: int = 0
    lines: int = 0


OnProgress: TypeAlias = Callable[[Progress], None]
"""A callback, called after every piece of a file (about 128 KiB of text)."""
