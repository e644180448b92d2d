"""The interface between the runner and a network.

A network opens sockets, makes requests and wakes the runner; it makes no decisions. Frames bypass the runner:
the network passes each one to `feed` of the router, on any thread, and calls `on_events` once if that returns
True. `simulator.memory_network` implements it on a virtual clock.

All other calls happen on one thread (or one virtual clock) and are never re-entrant: a network reports the
result of `open`, `fetch` and `close` in a later step, never from inside the call.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
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
    "ServerAccess",
    "lacks_descriptors",
]

_LONGEST_HEADER = 8_190
"""Most characters of a header; HTTP clients accept as many (aiohttp 3.14)."""


def lacks_descriptors(error: BaseException) -> str:
    """Advice if the process has no file descriptors left; empty for every other error."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return (
            f"no file descriptor is left ({os.strerror(error.errno)}); `ulimit -n` shows and raises the limit"
        )
    return ""


@dataclass(frozen=True, slots=True)
class ServerAccess:
    """How a client proves itself to a book server, and knows it.

    Attributes:
        token: sent with every request and handshake; None for a server that asks for none. Never shown.
        fingerprint: SHA-256 of the only certificate to trust; None for those of known authorities.
        certificate: PEM files of the certificate and key of this side, for a server that asks; None for none.
        is_one_of_several: whether another server can take over, so that a silent one is left soon.
    """

    token: str | None = field(default=None, repr=False)
    fingerprint: bytes | None = None
    certificate: tuple[str | os.PathLike[str], str | os.PathLike[str]] | None = None
    is_one_of_several: bool = False


class FrameSink(Protocol):
    """The receiver of frames (the router)."""

    def feed(self, connection: int, frame: bytes, received_ns: int, /) -> bool:
        """Process a frame. True if the router has events to take."""
        ...

    def traffic(self, connection: int, /) -> Traffic:
        """What a connection has received. Raises KeyError for one that is not open."""
        ...


@dataclass(frozen=True, slots=True)
class Closed:
    """Why a connection ended. Text from peers in `reason` is cleaned here for every network.

    Attributes:
        code: the WebSocket close code; None if there was none.
        reason: the cause as text.
        status: the HTTP status with which the exchange refused the handshake; None if it did not, or if a
            proxy did.
        retry_after, date: these headers of that response as received; None if missing.
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
    """An HTTP response of any status. Header names are lower case; the headers are cleaned here."""

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
    """The reports of a network, implemented by the runner."""

    def on_open(self, connection: int) -> None:
        """A connection is open."""

    def on_closed(self, connection: int, closed: Closed) -> None:
        """A connection ended or could not be opened. No more reports follow for its number."""

    def on_alive(self, connection: int) -> None:
        """The exchange answered a ping. Frames count as signs of life without this."""

    def on_response(self, request: int, response: Response | Failure) -> None:
        """A request ended. Called exactly once per request."""

    def on_events(self) -> None:
        """`feed` has returned True since the last call."""

    def on_wake(self) -> None:
        """The time given to `wake_at` has come."""

    def on_loop_ended(self) -> None:
        """The event loop ended before the network was closed.

        Called at most once, on another thread, after all other reports.
        """


class Network(Protocol):
    """What the runner needs of a network. The caller chooses the numbers and never reuses one."""

    def attach(self, router: FrameSink, callbacks: Callbacks) -> None:
        """Called once, before anything else."""

    def now_ns(self) -> int:
        """The clock of this network in nanoseconds: monotonic, and it includes the time the machine sleeps
        (`depthcache.now_ns`)."""
        ...

    def open(self, connection: int, url: str) -> None:
        """Open a connection. Reports `on_open`, or `on_closed` on failure."""

    def send(self, connection: int, text: str) -> None:
        """Send a text frame. Dropped without an error if the connection is gone."""

    def close(self, connection: int) -> None:
        """Close a connection. Reports `on_closed`, unless that has been reported."""

    def fetch(self, request: int, url: str, *, timeout_s: float) -> None:
        """GET a URL. Reports exactly one `on_response`."""

    def wake_at(self, at_ns: int | None) -> None:
        """Replace the pending wake-up; None cancels it."""


class ClosableNetwork(Network, Protocol):
    """A network that can be closed."""

    async def aclose(self) -> None:
        """Close everything. Nothing is reported once it has started."""

    def abandon_sessions(self) -> None:
        """Release the HTTP sockets at once; pending requests fail."""

    def end_without_loop(self) -> None:
        """Close everything after the event loop has been closed; from any thread."""
