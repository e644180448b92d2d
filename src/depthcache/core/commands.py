"""What the core asks the runner to do. Effects as values: the core returns them, never acts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "CloseConnection",
    "Command",
    "Fetch",
    "OpenConnection",
    "RequestRefusal",
    "Send",
    "TellAudit",
    "TellFault",
    "TellLimit",
    "TellTrouble",
]


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


@dataclass(frozen=True, slots=True)
class TellTrouble:
    """A book lost its place or crossed: what led to it is worth being kept."""

    market: int
    cause: str
    """gap, reset, crossed, malformed, differs or late."""
    reason: str


@dataclass(frozen=True, slots=True)
class TellLimit:
    """The exchange refused a snapshot limit of its own list; fewer levels are asked from now on."""

    exchange: str
    symbol: str
    limit: int
    instead: int
    reason: str


@dataclass(frozen=True, slots=True)
class RequestRefusal:
    """An HTTP response that is an error: what was asked, status, Binance's code (None without one), words."""

    url: str
    status: int
    code: int | None
    text: str


@dataclass(frozen=True, slots=True)
class TellAudit:
    """A comparison of a book with a snapshot at one update id, which somebody asked for, is done."""

    audit: int
    found: tuple[int, int, int, int, int] | None
    """Update id, prices checked, differing, missing, extra; None where there was none."""
    reason: str
    """Why there was none."""
    refusal: RequestRefusal | None = None
    """The response that refused it; None where the book ended."""


@dataclass(frozen=True, slots=True)
class TellFault:
    """A part of this client raised, which is a mistake of this package; what heals it is armed already."""

    where: str
    error: Exception


Command: TypeAlias = (
    OpenConnection | CloseConnection | Send | Fetch | TellTrouble | TellAudit | TellLimit | TellFault
)
