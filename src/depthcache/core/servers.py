"""Book servers: which of several new connections and requests go to, and what their answers mean.

One server is used at a time, the next once a connection to it fails. All venues of a client have the same
servers. A server that works again is not returned to: nothing is better there.
"""

from __future__ import annotations

from depthcache.core import reasons

__all__ = ["NOT_HELD", "Servers", "is_end_of_symbol", "server_hint"]

NOT_HELD = 100
"""The code of a stream of a symbol that the server does not hold (`crates/server/src/exchange/states.rs`)."""


class Servers:
    """The server in use, by its number.

    Attributes:
        current: that number.
        has_token: whether the client sends a token.
    """

    def __init__(self, *, has_token: bool = True) -> None:
        self.current: int = 0
        self.has_token: bool = has_token

    def on_failed(self, number: int, count: int) -> None:
        """A connection to one of `count` servers was lost or could not be made."""
        if number == self.current:
            self.current = (number + 1) % count


def server_hint(status: int | None, *, has_token: bool, reason: str = "") -> str:
    """What may help after a server refused something with that HTTP status, or was not reached for that
    reason; empty for any other."""
    if status is None:
        return reasons.USE_HTTP if reasons.NO_TLS in reason else ""
    match status:
        case 401 | 403:
            return reasons.CHECK_TOKEN if has_token else reasons.NEEDS_TOKEN
        case 404 | 426:
            return reasons.CHECK_URL
        case _:
            return ""


def is_end_of_symbol(reason: str) -> bool:
    """Whether a closed book ended at the exchange, by the server's reason, and not with the server."""
    ends = (reasons.unknown_symbol(""), reasons.ended(""), reasons.not_listed(""))
    return any(words in reason for words in ends)
