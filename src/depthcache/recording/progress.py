"""How far the reading of recordings has come, for whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["OnProgress", "Progress"]


@dataclass(slots=True)
class Progress:
    """How far the reading has come; one value per reading, updated in place.

    Attributes:
        total_bytes: size of all files together.
        read_bytes: how much of them was read.
        unpacked_bytes: how much text came out so far; more than `read_bytes` where files are compressed.
        lines: lines so far, blank ones included.
    """

    total_bytes: int = 0
    read_bytes: int = 0
    unpacked_bytes: int = 0
    lines: int = 0


OnProgress: TypeAlias = Callable[[Progress], None]
"""Called after every piece of a file (about 128 KiB of text), from within the reading."""
