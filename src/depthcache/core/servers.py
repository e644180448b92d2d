"""Book servers: which one a connection uses next, and what their responses mean.

Each connection has one server. When it fails, the next server takes over at once; one that failed is left
alone for a while, longer each time. A stream that a server does not hold moves to a connection to another one
(`connections.pool`). All venues of a client have the same servers. The client does not switch back: the first
server is no better than the others.
"""

from __future__ import annotations

from collections.abc import Callable

from depthcache.core import reasons

__all__ = ["NOT_HELD", "Attempts", "Servers", "is_access_refused", "is_end_of_symbol", "server_hint"]

NOT_HELD = 100
"""The code of a stream of a symbol that the server does not hold (`crates/server/src/exchange/states.rs`)."""


class Servers:
    """What all connections of a client know of its servers, by their numbers.

    Attributes:
        current: the server of the next new connection, and of requests that concern no book.
        has_token: whether the client sends a token.
    """

    def __init__(self, *, has_token: bool = True) -> None:
        self.current: int = 0
        self.has_token: bool = has_token
        self._refusals: dict[int, str] = {}

    def on_opened(self, number: int) -> None:
        """A connection to that server is open."""
        self._refusals.pop(number, None)

    def on_failed(self, number: int, count: int, *, refusal: str = "") -> str:
        """A connection to one of `count` servers was lost or could not be made.

        `refusal`: why, if the server refuses the token or its certificate is rejected. Returns it if no
        server accepts the client, else an empty text.
        """
        if number == self.current:
            self.current = (number + 1) % count
        self._refusals.pop(number, None)
        if refusal:
            self._refusals[number] = refusal
        return refusal if len(self._refusals) == count else ""

    def refused(self, count: int) -> str:
        """Why the last attempt at each of `count` servers was refused; empty unless all were."""
        return next(reversed(self._refusals.values())) if 0 < count == len(self._refusals) else ""


class Attempts:
    """The failures in a row of each server, as one connection slot has seen them; of an exchange, of one."""

    def __init__(self, count: int) -> None:
        self._failures = [0] * max(1, count)
        self._free_ns = [0] * max(1, count)

    def on_stable(self, number: int) -> None:
        """A connection lasted."""
        self._failures[number] = 0

    def is_first(self, number: int) -> bool:
        """Whether the next failure of a server is the first one in a row."""
        return not self._failures[number]

    def slow_down(self, number: int, failures: int) -> None:
        """Pause at least as after this many failures."""
        self._failures[number] = max(self._failures[number], failures)

    def on_failed(self, number: int, pause_ns: Callable[[int], int], now_ns: int) -> None:
        """A connection failed. `pause_ns`: the pause after a number of earlier failures in a row."""
        self._free_ns[number] = now_ns + pause_ns(self._failures[number])
        self._failures[number] += 1

    def next(
        self, number: int, now_ns: int, *, holds: Callable[[int], bool], stays: bool = False
    ) -> tuple[int, int]:
        """The server that may be tried first, and when; among equals the next one after `number`.

        `holds`: whether a server may hold any of the streams; one that may not is the last choice.
        `stays`: keep to `number`.
        """
        if stays:
            return number, max(now_ns, self._free_ns[number])
        count = len(self._free_ns)
        in_turn = [(number + step) % count for step in range(1, count + 1)]
        chosen = min(in_turn, key=lambda each: (not holds(each), max(now_ns, self._free_ns[each])))
        return chosen, max(now_ns, self._free_ns[chosen])


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


def is_access_refused(status: int | None, reason: str) -> bool:
    """Whether a connection failed because of the token or the certificate, as the next one will.

    `status`: of the refused handshake. `reason`: the words of the transport.
    """
    return status in (401, 403) or reasons.CERTIFICATE_REJECTED in reason


def is_end_of_symbol(reason: str) -> bool:
    """Whether the server closed its book because the symbol ended, and not because the server ends."""
    ends = (reasons.unknown_symbol(""), reasons.ended(""), reasons.not_listed(""))
    return any(words in reason for words in ends)
