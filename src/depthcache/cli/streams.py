"""The three standard streams of a command: there from its beginning to its end, whatever the shell closed.

Otherwise the first socket would take a descriptor that the shell closed (`>&-`), and output would vanish
without a word. Not here: what is printed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from traceback import walk_tb
from typing import IO

import click

__all__ = [
    "CRASHED",
    "FAILED",
    "SAID",
    "drop",
    "has_speaker",
    "is_of_output",
    "open_streams",
    "speak",
    "tell",
]

SAID, FAILED, CRASHED = "said", "failed", "crashed"
"""The events of lines of a command: what it tells, why it ends with an error, and a fault of its own."""
_speaker: Callable[[str, str, BaseException | None], None] | None = None


def open_streams() -> None:
    """Give each closed descriptor of 0, 1 and 2 a file that can be neither read nor written to any effect."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)  # takes the lowest free descriptor: this one
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def is_of_output(error: OSError) -> bool:
    """Whether the error came from writing what a command prints, not from a file or a socket of its own."""
    last = [frame for frame, _ in walk_tb(error.__traceback__)][-1:]
    writer = last[0].f_globals.get("__name__", "") if last else ""
    return error.filename is None and (writer.startswith(("click.", "rich.")) or writer == "depthcache.cli")


def tell(line: str, *, event: str = SAID, error: BaseException | None = None) -> None:
    """Print a line to stderr, or give it to what `speak` named, with its event and the error behind it. If
    that fails, the line is lost and the command continues: the result and the exit code say what matters."""
    try:
        if _speaker is None:
            click.echo(line, err=True)
        else:
            _speaker(line, event, error)
    except OSError:
        drop(sys.stderr)


def speak(speaker: Callable[[str, str, BaseException | None], None] | None) -> None:
    """Give all further lines to this; None prints them as they are."""
    global _speaker
    _speaker = speaker


def has_speaker() -> bool:
    """Whether lines are given to another than stderr."""
    return _speaker is not None


def drop(stream: IO[str]) -> None:
    """Let what is still waiting to be written go nowhere: the interpreter's own last flush must not fail."""
    with suppress(OSError, ValueError):  # it is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
