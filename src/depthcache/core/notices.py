"""What the core tells users: each change of a market's status, as a value.

Not here: events between the parts of the core, and log lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from depthcache.model import Status

__all__ = ["Ending", "Notice"]


class Ending(StrEnum):
    """Why a market is closed for good."""

    REMOVED = "removed"  #               the application removed it
    SHUTDOWN = "shutdown"  #             the whole client was closed
    UNKNOWN_SYMBOL = "unknown_symbol"  # the exchange has no such symbol, or no longer
    DELISTED = "delisted"  #             the exchange had it and has it no more


@dataclass(frozen=True, slots=True)
class Notice:
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
