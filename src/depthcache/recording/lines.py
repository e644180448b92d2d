"""The lines of a file, compressed or not, with their numbers, one at a time.

Compression is recognised by its first bytes, never by the name. Not here: what a line means.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from depthcache.errors import UnreadableRecording

__all__ = ["DamageError", "numbered_lines"]

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"PK\x03\x04": "zip"}
_LONGEST = 64 * 1024 * 1024
"""Bytes. The longest lines seen are exchangeInfo bodies of about 3 MB (2023)."""


class DamageError(Exception):
    """The file cannot be read on after `line`; what came before is good."""

    line: int
    what: str

    def __init__(self, line: int, what: str) -> None:
        self.line, self.what = line, what
        super().__init__(what)


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(number from 1, line without its end) of every line that is not blank.

    Raises UnreadableRecording when the file cannot be opened, DamageError where it breaks off.
    """
    number = 0
    with _opened(path) as (file, can_be_cut):
        try:
            while line := file.readline(_LONGEST):
                number += 1
                if len(line) == _LONGEST:
                    raise DamageError(number, f"a line of more than {_LONGEST // 2**20} MiB")
                is_cut = can_be_cut and not line.endswith((b"\n", b"}"))
                line = line.strip()
                if line and not is_cut:
                    yield number, line
        except EOFError:
            raise DamageError(number, "the gzip stream breaks off: the file was cut") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise DamageError(number, f"the gzip stream is broken: {error}") from None
        except zstandard.ZstdError as error:
            raise DamageError(number, f"the zstd stream is broken: {error}") from None
        except OSError as error:
            raise UnreadableRecording(path=path, line=number, reason=_words(error)) from None


@contextmanager
def _opened(path: Path) -> Generator[tuple[BinaryIO, bool]]:
    """The file, unpacked, and whether its last line may be half a one and that means nothing."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise UnreadableRecording(path=path, line=None, reason=_words(error)) from None
    with file:
        start = file.peek(8)
        for magic, name in _OTHERS.items():
            if start.startswith(magic):
                reason = f"compressed with {name}: only gzip, zstd and plain text are read"
                raise UnreadableRecording(path=path, line=None, reason=reason)
        if start.startswith(_GZIP):
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield cast("BinaryIO", unpacked), False
        elif start.startswith(_ZSTD):
            # A writer that was killed leaves its last block open: what was flushed before it is read.
            reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
            with BufferedReader(cast("RawIOBase", reader)) as lines:
                yield cast("BinaryIO", lines), True
        else:
            yield file, False


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
