"""What the core asks the runner to do. Effects as values: the core returns them, never acts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["CloseConnection", "Command", "Fetch", "OpenConnection", "Send", "TellAudit", "TellTrouble"]


@dataclass(frozen=True, slots=True)
class OpenConnection:
    """Open a WebSocket; the answer is `on_open` or `on_closed`."""

    connection: int
    url: str


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Close a WebSocket; the answer is `on_closed`."""

    connection: int


@dataclass(frozen=True, slots=True)
class Send:
    """Send one text frame."""

    connection: int
    text: str


@dataclass(frozen=True, slots=True)
class Fetch:
    """GET a URL: a snapshot, the exchange's time, its list of symbols; the answer is `on_response`."""

    request: int
    url: str
    timeout_s: float


@dataclass(frozen=True, slots=True)
class TellTrouble:
    """A book lost its place or crossed: what led to it is worth being kept."""

    market: int
    cause: str
    """gap, reset, crossed, malformed, differs or late."""
    reason: str


@dataclass(frozen=True, slots=True)
class TellAudit:
    """A comparison of a book with a snapshot at one update id, which somebody asked for, is done."""

    audit: int
    found: tuple[int, int, int, int, int] | None
    """Update id, prices checked, differing, missing, extra; None where there was none."""
    reason: str
    """Why there was none."""


Command: TypeAlias = OpenConnection | CloseConnection | Send | Fetch | TellTrouble | TellAudit
