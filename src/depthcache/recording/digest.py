"""A digest of a book, to compare two books."""

from __future__ import annotations

import hashlib
from typing import Any

from depthcache import wire

__all__ = ["sha256_of"]


def sha256_of(book: Any, *, levels: int | None = None) -> str:
    """SHA-256 of `wire.level_lines` in hexadecimal: of the best `levels` a side, of all if None."""
    return hashlib.sha256(wire.level_lines(book, levels)).hexdigest()
