"""The reasons of a book's status, as users read them; the native engine uses the same texts.

A test compares each of them with the sources of the native engine. Reasons of policies are in `core.reasons`,
faults of frames in `messages`.
"""

from __future__ import annotations

__all__ = [
    "FEED_LOST",
    "FROM_SNAPSHOT",
    "NOTHING_ARRIVED",
    "NOT_PROVEN",
    "RESET",
    "WAITING_FOR_BRIDGE",
    "WAITING_FOR_SNAPSHOT",
    "WAITING_FOR_STATE",
    "crossed",
    "gap",
    "malformed",
    "proven_to",
    "server_ahead",
    "server_below",
    "server_rebuilt",
    "silent",
    "whole_side",
]

# --- the book ------------------------------------------------------------------------------

NOTHING_ARRIVED = "nothing has arrived yet"
WAITING_FOR_SNAPSHOT = "waiting for a snapshot"
WAITING_FOR_BRIDGE = "waiting for the update that confirms the snapshot"
FROM_SNAPSHOT = "from a snapshot, not yet confirmed by an update"
RESET = "the exchange reset its update ids"
FEED_LOST = "sequence gap: the connection that could have filled it is gone"


def gap(held: int | None, follows: int | None) -> str:
    """Updates are missing before a diff."""
    return f"sequence gap: the book is at {held}, but the next update follows {follows}"


def malformed(what: str) -> str:
    """A frame could not be read."""
    return f"malformed frame: {what}"


def crossed(bid: str, ask: str) -> str:
    """The best prices touch or cross."""
    return f"best bid {bid} is at or above best ask {ask}"


def silent(seconds: int) -> str:
    """Nothing confirmed the book, and the event loop judged no silence."""
    return f"no update for {seconds} s while the event loop is blocked"


# --- a book that a server relays -----------------------------------------------------------

WAITING_FOR_STATE = "waiting for the state of the server's book"


def server_rebuilt(server: str) -> str:
    """The diffs of the server do not lead to its current levels."""
    return f"{server}: its book was rebuilt"


def server_ahead(server: str, held: int, reached: int) -> str:
    """The server sent updates that did not arrive."""
    return f"{server}: updates are missing: the book is at {held}, the server's at {reached}"


def server_below(server: str, reached: int, held: int) -> str:
    """The server's book does not reach this one."""
    return f"{server}: the server's book is at {reached}, below {held} of this one"


# --- levels of a read ----------------------------------------------------------------------

NOT_PROVEN = "no level of this side is proven"


def whole_side(held: int) -> str:
    """A side has fewer levels than requested."""
    return f"the whole side has fewer levels than requested: {held}"


def proven_to(count: int, way: str, edge: str) -> str:
    """Not all levels are proven."""
    return f"only the best {count} levels are proven, {way} to {edge}"
