"""Why a book is as it is, in the words that users read: the native engine says the very same.

Constants where nothing varies, named functions where something does; a test compares each of them with the
sources of the native engine. Not here: reasons that policy gives (`core.reasons`), what is wrong with a frame
(`messages`).
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
    "crossed",
    "gap",
    "malformed",
    "proven_to",
    "silent",
    "whole_side",
]

# --- the book ------------------------------------------------------------------------------

NOTHING_ARRIVED = "nothing has arrived yet"
WAITING_FOR_SNAPSHOT = "waiting for a snapshot"
WAITING_FOR_BRIDGE = "waiting for the diff that confirms the snapshot"
FROM_SNAPSHOT = "from a snapshot, not yet confirmed by a diff"
RESET = "the exchange reset its update ids"
FEED_LOST = "sequence gap: the connection that could have filled it is gone"


def gap(held: int | None, follows: int | None) -> str:
    """Updates are missing before a diff."""
    return f"sequence gap: the book is at {held}, but the next diff follows {follows}"


def malformed(what: str) -> str:
    """A frame cannot be read."""
    return f"malformed frame: {what}"


def crossed(bid: str, ask: str) -> str:
    """The best prices touch or cross."""
    return f"best bid {bid} is at or above best ask {ask}"


def silent(seconds: int) -> str:
    """Nothing has proven the book, and nothing judges silence."""
    return f"no update for {seconds} s while the event loop is blocked"


# --- levels of a read ----------------------------------------------------------------------

NOT_PROVEN = "no level of this side is proven"


def whole_side(held: int) -> str:
    """A side has fewer levels than were asked for."""
    return f"the whole side has only {held} levels"


def proven_to(count: int, way: str, edge: str) -> str:
    """Not all of the levels are proven."""
    return f"only the best {count} levels are proven, {way} to {edge}"
