"""What the core asks the runner to do. Effects as values: the core returns them, never acts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["CloseConnection", "Command", "Fetch", "OpenConnection", "Send"]


@dataclass(frozen=True, slots=True)
class OpenConnection:
    """Open a WebSocket; the response is `on_open` or `on_closed`."""

    connection: int
    url: str


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Close a WebSocket; the response is `on_closed`."""

    connection: int


@dataclass(frozen=True, slots=True)
class Send:
    """Send one text frame."""

    connection: int
    text: str


@dataclass(frozen=True, slots=True)
class Fetch:
    """GET a URL: a snapshot, the exchange's time, its list of symbols; the response is `on_response`."""

    request: int
    url: str
    timeout_s: float


Command: TypeAlias = OpenConnection | CloseConnection | Send | Fetch
