"""What the core tells users, as values: a status that changed, a book in trouble, an audit that is done.

Not here: what the core wants done (`commands`), events between its parts, and log lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from depthcache.events import Comparison
from depthcache.model import Status

__all__ = [
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

    REMOVED = "removed"  #               the application removed it
    SHUTDOWN = "shutdown"  #             the whole client was closed
    UNKNOWN_SYMBOL = "unknown_symbol"  # the exchange has no such symbol, or no longer
    DELISTED = "delisted"  #             the exchange had it and has it no more


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """A market has another status now.

    Attributes:
        market: its number.
        status: what users see: the worse of book and connection.
        reason: why, in words; empty when synced.
        at_ns: when, on the caller's clock.
        ending: why it is closed for good; None while it may come back.
    """

    market: int
    status: Status
    reason: str
    at_ns: int
    ending: Ending | None = None
    near: tuple[str, ...] = ()
    """Symbols of the exchange that look like one that it does not know."""


@dataclass(frozen=True, slots=True)
class TroubleFound:
    """A book lost its place, crossed, was wrong or is late: what led to it is worth being kept."""

    market: int
    cause: Literal["gap", "reset", "crossed", "malformed", "differs", "late"]
    reason: str


@dataclass(frozen=True, slots=True)
class RequestRefusal:
    """An HTTP response that is an error: what was asked, status, Binance's code (None without one), words."""

    url: str
    status: int
    code: int | None
    text: str


@dataclass(frozen=True, slots=True)
class AuditDone:
    """A comparison of a book with a snapshot at one update id, which was asked for, has ended."""

    audit: int
    found: Comparison | None
    """None where there was none."""
    reason: str
    """Why there was none."""
    refusal: RequestRefusal | None = None
    """The response that refused it; None where the book ended."""


@dataclass(frozen=True, slots=True)
class LimitRefused:
    """The exchange refused a snapshot limit of its own list; fewer levels are asked from now on."""

    exchange: str
    symbol: str
    limit: int
    instead: int
    reason: str


@dataclass(frozen=True, slots=True)
class FaultCaught:
    """A part of this client raised, which is a mistake of this package; what heals it is armed already."""

    where: str
    error: Exception


Notice: TypeAlias = StatusChanged | TroubleFound | AuditDone | LimitRefused | FaultCaught
