"""A file of `KEY=value` lines that docker --env-file, `set -a; . FILE` and systemd read alike.

The three agree only on values that need no quotes; others are refused. The file appears in full or not at
all, is readable by its owner alone, and replaces nothing but a file of the same kind.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from depthcache.errors import InvalidArgument

__all__ = ["env_file"]

_MARK = "# Written by depthcache simulate"
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./\[\]-]*")
"""No quotes, spaces, dollars, backslashes or tildes."""


@contextmanager
def env_file(path: Path | None, variables: Mapping[str, str]) -> Generator[None]:
    """The file exists within the block; None: there is none. Raises InvalidArgument, and OSError for a folder
    that cannot be written to."""
    if path is None:
        yield
        return
    text = _text(variables)
    _write(path, text)
    try:
        yield
    finally:
        with suppress(OSError):
            if path.read_bytes() == text:  # nobody has replaced it
                path.unlink()


def _text(variables: Mapping[str, str]) -> bytes:
    for name, value in variables.items():
        if not _PLAIN.fullmatch(value):
            allowed = "letters, digits and _@%+=:,./[]-, which no reader of the file takes for anything else"
            raise InvalidArgument(name=f"value of {name} in an env file", value=value, allowed=allowed)
    lines = [f"{_MARK} (process {os.getpid()}), which removes it at its end.\n"]
    lines += [f"{name}={value}\n" for name, value in sorted(variables.items())]
    return "".join(lines).encode()


def _write(path: Path, text: bytes) -> None:
    if not _may_be_replaced(path):
        allowed = "a path where nothing is, or a file that depthcache simulate wrote"
        raise InvalidArgument(name="env-file", value=str(path), allowed=allowed)
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    except OSError as error:  # names the temporary file
        missing = isinstance(error, FileNotFoundError)
        why = "the folder does not exist" if missing else (error.strerror or str(error)).lower()
        raise OSError(f"cannot write {path}: {why}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def _may_be_replaced(path: Path) -> bool:
    if not path.is_symlink() and not path.exists():
        return True
    if path.is_symlink() or not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(len(_MARK)) == _MARK
