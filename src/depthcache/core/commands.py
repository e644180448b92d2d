"""Commands of the core to the runner: effects as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["CloseConnection", "Command", "Fetch", "OpenConnection", "Send"]


@dataclass(frozen=True, slots=True)
class OpenConnection:
    """Open a WebSocket; reported by `on_open` or `on_closed`."""

    connection: int
    url: str


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Close a WebSocket; reported by `on_closed`."""

    connection: int


@dataclass(frozen=True, slots=True)
class Send:
    """Send one text frame."""

    connection: int
    text: str


@dataclass(frozen=True, slots=True)
class Fetch:
    """GET a URL: a snapshot, the exchange's time, or its list of symbols.

    Reported by `on_response` or `on_failure`.
    """

    request: int
    url: str
    timeout_s: float


Command: TypeAlias = OpenConnection | CloseConnection | Send | Fetch
