"""Notices of the core to users: a status change, a book in trouble, the end of an audit.

Commands to the runner are in `commands`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from depthcache.events import Comparison
from depthcache.model import Status

__all__ = [
    "AccessRefused",
    "AuditDone",
    "Ending",
    "FaultCaught",
    "LimitRefused",
    "Notice",
    "RequestRefusal",
    "StatusChanged",
    "TroubleFound",
]


class Ending(StrEnum):
    """Why a market is closed for good."""

    REMOVED = "removed"  #               by the application
    SHUTDOWN = "shutdown"  #             the client was closed
    UNKNOWN_SYMBOL = "unknown_symbol"  # the exchange does not know the symbol
    DELISTED = "delisted"  #             the exchange no longer has the symbol


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """The status of a market has changed.

    Attributes:
        market: its number.
        status: the status that users see: the worse of book and connection.
        reason: why; empty if synced.
        at_ns: when, on the caller's clock.
        ending: why it is closed for good; None if it may recover.
    """

    market: int
    status: Status
    reason: str
    at_ns: int
    ending: Ending | None = None
    near: tuple[str, ...] = ()
    """Symbols of the exchange similar to an unknown one."""


@dataclass(frozen=True, slots=True)
class TroubleFound:
    """A book lost sync, crossed, was wrong or is late: the frames before it are worth keeping."""

    market: int
    cause: Literal["gap", "reset", "crossed", "malformed", "differs", "late"]
    reason: str


@dataclass(frozen=True, slots=True)
class RequestRefusal:
    """An HTTP error response: URL, status, Binance's code (None if absent), message."""

    url: str
    status: int
    code: int | None
    text: str


@dataclass(frozen=True, slots=True)
class AuditDone:
    """A requested comparison of a book with a snapshot has ended."""

    audit: int
    found: Comparison | None
    """The comparison; None if there was none."""
    reason: str
    """Why there was no comparison."""
    refusal: RequestRefusal | None = None
    """The error response; None if the book was closed."""


@dataclass(frozen=True, slots=True)
class CopyFailed:
    """A book server did not give the book that was to be copied; it is asked again after a pause, or another
    source is."""

    market: int
    copied_from: str
    """Its base URL."""
    reason: str


@dataclass(frozen=True, slots=True)
class AccessRefused:
    """No book server accepts the client: its token is refused, or their certificates are rejected."""

    reason: str


@dataclass(frozen=True, slots=True)
class LimitRefused:
    """The exchange refused a snapshot limit from its own list; fewer levels are requested from now on."""

    exchange: str
    symbol: str
    limit: int
    instead: int
    reason: str


@dataclass(frozen=True, slots=True)
class FaultCaught:
    """A part of this client raised: a bug in depthcache. Its recovery is already scheduled."""

    where: str
    error: Exception


Notice: TypeAlias = (
    StatusChanged | TroubleFound | AuditDone | AccessRefused | CopyFailed | LimitRefused | FaultCaught
)
