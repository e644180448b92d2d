"""The history of moves: which books began and ended on this node, from where, and why; bounded, in a file.

A line that cannot be written is lost: no decision depends on the history.
"""

from __future__ import annotations

import json
import os
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

__all__ = ["Move", "Moves"]

_MOST = 10_000
"""Lines that are kept; the file is rewritten when it has twice as many."""


@dataclass(frozen=True, slots=True)
class Move:
    """One step of a book on this node.

    Attributes:
        at_ms: the system's clock, in milliseconds since 1970.
        node: this node.
        exchange, symbol: the book.
        what: `began`, `synced` (for the first time since it began) or `ended`.
        source: the exchange (`exchange`), or the id of the node from which the book was copied; empty at the
            end.
        why: what made this node hold the book, or hold it no longer.
        took_s: seconds since it began, of `synced`; 0.0 otherwise.
    """

    at_ms: int
    node: str
    exchange: str
    symbol: str
    what: str
    source: str = ""
    why: str = ""
    took_s: float = 0.0


class Moves:
    """The newest moves of one node, in memory and in a file."""

    def __init__(self, path: Path | None) -> None:
        """`path`: None for memory alone. What cannot be read is left out."""
        self._path = path
        self._moves: deque[Move] = deque(maxlen=_MOST)
        self._lines = self._added = 0
        if path is not None:
            with suppress(OSError):
                for line in path.read_bytes().splitlines():
                    self._lines += 1
                    with suppress(ValueError, TypeError):
                        self._moves.append(_read(line))
        self._added = len(self._moves)

    @property
    def count(self) -> int:
        """How many there were, those that are no longer kept included: the number of the newest one."""
        return self._added

    def after(self, number: int, most: int) -> tuple[Move, ...]:
        """The moves that follow the one of a number, oldest first, so many at most."""
        first = max(0, number - (self._added - len(self._moves)))
        return tuple(islice(self._moves, first, first + most))

    def all(self) -> tuple[Move, ...]:
        """The newest moves, oldest first."""
        return tuple(self._moves)

    def add(self, move: Move) -> None:
        """One more."""
        self._moves.append(move)
        self._added += 1
        if self._path is None:
            return
        with suppress(OSError):
            if self._lines >= 2 * _MOST:
                self._rewrite(self._path)
            else:
                with open(self._path, "a", encoding="utf-8", opener=_private) as file:
                    file.write(_line(move))
                self._lines += 1

    def _rewrite(self, path: Path) -> None:
        draft = path.with_name(f".{path.name}.new")
        with open(draft, "w", encoding="utf-8", opener=_private) as file:
            file.writelines(map(_line, self._moves))
        draft.replace(path)
        self._lines = len(self._moves)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _read(line: bytes) -> Move:
    """Without fields that only newer releases know. Raises ValueError, TypeError."""
    found = json.loads(line)
    return Move(**{name: found[name] for name in Move.__dataclass_fields__ if name in found})


def _line(move: Move) -> str:
    return json.dumps(asdict(move), ensure_ascii=False) + "\n"
