"""The outside world as the runner sees it: one interface, many networks.

A network opens sockets, makes requests and wakes the runner; it decides nothing. Frames do not
pass through the runner: the network gives each to `feed` of the router, on whatever thread it
likes, and, when that returns True, calls `on_events` once. The one on a virtual clock is
`simulator.memory_network`.

Everything else is called on one thread (or one virtual clock), never re-entrantly: a network reports
the result of `open`, `fetch` and `close` in a later step, not from inside the call.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from depthcache.events import Traffic
from depthcache.foreign_text import clean

__all__ = [
    "Callbacks",
    "ClosableNetwork",
    "Closed",
    "Failure",
    "FrameSink",
    "Network",
    "Response",
    "lacks_descriptors",
]

_LONGEST_HEADER = 8_190
"""Characters: what HTTP clients take (aiohttp 3.14)."""


def lacks_descriptors(error: BaseException) -> str:
    """What to do, where a process has no file descriptor left; empty for every other error."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return (
            f"no file descriptor is left ({os.strerror(error.errno)}); `ulimit -n` shows and raises the limit"
        )
    return ""


class FrameSink(Protocol):
    """Where frames go (the router)."""

    def feed(self, connection: int, frame: bytes, received_ns: int, /) -> bool:
        """True when the router has events to take."""
        ...

    def traffic(self, connection: int, /) -> Traffic:
        """What came on a connection. Raises KeyError for one that is not open."""
        ...


@dataclass(frozen=True, slots=True)
class Closed:
    """Why a connection ended. Foreign text in `reason` is cleaned here, for every network.

    Attributes:
        code: the WebSocket close code, None where there was none.
        reason: in words.
        status: the HTTP status with which the exchange refused the handshake; None where it did not, and for
            what a proxy on the way said.
        retry_after, date: the headers of that answer as they came; None where they are missing.
    """

    code: int | None
    reason: str
    status: int | None = None
    retry_after: str | None = None
    date: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", clean(self.reason))


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response of any status. Header names are lower case; names and values are cleaned here."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __post_init__(self) -> None:
        headers = {
            clean(name, most=_LONGEST_HEADER): clean(value, most=_LONGEST_HEADER)
            for name, value in self.headers.items()
        }
        object.__setattr__(self, "headers", headers)


@dataclass(frozen=True, slots=True)
class Failure:
    """No HTTP response: refused, reset, timed out. `reason` is cleaned here, as in `Closed`."""

    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", clean(self.reason))


class Callbacks(Protocol):
    """What a network reports (the runner implements it)."""

    def on_open(self, connection: int) -> None:
        """A connection can be used."""

    def on_closed(self, connection: int, closed: Closed) -> None:
        """A connection ended, or could not be made; nothing more comes from its number."""

    def on_alive(self, connection: int) -> None:
        """A ping of this side was answered (frames count by themselves)."""

    def on_response(self, request: int, response: Response | Failure) -> None:
        """A request ended; exactly once for each."""

    def on_events(self) -> None:
        """`feed` returned True since the last call."""

    def on_wake(self) -> None:
        """The time given to `wake_at` has come."""

    def on_loop_ended(self) -> None:
        """The event loop ended before the network was closed. Called on another thread, at most once, after
        everything else: there is no loop on which anything could happen."""


class Network(Protocol):
    """What the runner asks for. Numbers are the caller's and never used twice."""

    def attach(self, router: FrameSink, callbacks: Callbacks) -> None:
        """Called once before anything else."""

    def now_ns(self) -> int:
        """The clock that stamps everything in this network: monotonic, and it counts the time the machine
        sleeps (`depthcache.now_ns`)."""
        ...

    def open(self, connection: int, url: str) -> None:
        """Connect; ends in `on_open`, or in `on_closed` when it fails."""

    def send(self, connection: int, text: str) -> None:
        """Send one text frame; silently dropped when the connection is gone."""

    def close(self, connection: int) -> None:
        """Close; ends in `on_closed`, unless that was already reported."""

    def fetch(self, request: int, url: str, *, timeout_s: float) -> None:
        """GET; ends in exactly one `on_response`."""

    def wake_at(self, at_ns: int | None) -> None:
        """Replace the one pending wake-up; None takes it away."""


class ClosableNetwork(Network, Protocol):
    """A network that has an end."""

    async def aclose(self) -> None:
        """Leave nothing behind; nothing is reported once it began."""

    def abandon_sessions(self) -> None:
        """Let go of the sockets of HTTP at once; requests on their way fail."""

    def end_without_loop(self) -> None:
        """The same where the event loop is closed on which it would run; from any thread."""
