"""Detect zstd files that end in the middle of a frame, by their frame and block headers (RFC 8878, 3.1).

The decompressor accepts the end of a file as the end of its data even there. A recording ends like that if
its writer was killed, and so does a file that was cut off.
"""

from __future__ import annotations

from typing import BinaryIO

__all__ = ["has_end"]

_MAGIC = b"\x28\xb5\x2f\xfd"
_DICTIONARY_BYTES = (0, 1, 2, 4)
_SIZE_BYTES = (0, 2, 4, 8)
_RLE = 1
_CHECKSUM_BYTES = 4


def has_end(file: BinaryIO) -> bool:
    """Whether the last frame of a zstd file is complete. Moves the position in the file."""
    size = file.seek(0, 2)
    at = file.seek(0)
    while at < size:
        magic = file.read(4)
        if magic == _MAGIC:
            at = _end_of_frame(file, size)
        elif len(magic) == 4 and magic[1:] == b"\x2a\x4d\x18":  # a skippable frame: only its length
            at = file.seek(int.from_bytes(file.read(4), "little"), 1)
        else:
            return False
    return at == size


def _end_of_frame(file: BinaryIO, size: int) -> int:
    """The end of the frame whose magic number was just read; beyond the file size if it is incomplete."""
    beyond = size + 1
    descriptor = file.read(1)
    if not descriptor:
        return beyond
    flags = descriptor[0]
    is_single = flags >> 5 & 1
    header = (1 - is_single) + _DICTIONARY_BYTES[flags & 3] + (_SIZE_BYTES[flags >> 6] or is_single)
    file.seek(header, 1)
    while True:
        block = file.read(3)
        if len(block) < 3:
            return beyond
        value = int.from_bytes(block, "little")
        at = file.seek(1 if value >> 1 & 3 == _RLE else value >> 3, 1)
        if at > size:
            return beyond
        if value & 1:
            return file.seek(_CHECKSUM_BYTES if flags >> 2 & 1 else 0, 1)
