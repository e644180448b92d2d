"""Book servers: which one new connections and requests use, and what their responses mean.

One server is in use at a time; when a connection to it fails, the next one takes over. All venues of a client
have the same servers. The client does not switch back: the first server is no better than the others.
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
    """What the user can do about a refused request or handshake, or a failed connect; empty if unknown."""
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
    """Whether the server closed its book because the symbol ended, and not because the server ends."""
    ends = (reasons.unknown_symbol(""), reasons.ended(""), reasons.not_listed(""))
    return any(words in reason for words in ends)
