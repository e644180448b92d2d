"""The interface between an embedded exchange, simulated or recorded, and its transport.

Sans-I/O: time is an argument (`now_ns` of any monotonic clock), and everything that an exchange sends is
returned. The transports are `server` (real sockets) and `pair` (virtual clock). `target` is path and query as
the venue sees them ("/api/v3/depth?symbol=BTCUSDT"); transports remove the "/<exchange name>" before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

__all__ = ["Close", "Cut", "Exchange", "HttpResponse", "Ping", "Sent", "Session", "Text", "split_target"]


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An HTTP response, sent `delay_ns` after the request. Header names are spelled as at the exchange."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    delay_ns: int = 0


@dataclass(frozen=True, slots=True)
class Text:
    """One text frame. `drip_ns`: send its bytes one by one over this time; everything else waits."""

    text: str
    drip_ns: int = 0


@dataclass(frozen=True, slots=True)
class Ping:
    """A ping frame; the pong of the client has the same payload."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """A close frame. Nothing follows it."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection breaks without a close frame. Nothing follows it."""


Sent: TypeAlias = Text | Ping | Close | Cut


def split_target(target: str) -> tuple[str, str]:
    """Path and query of any target. (`urlsplit` would take "//…" for a host, and raises for some.)"""
    path, _, query = target.partition("#")[0].partition("?")
    return path, query


class Session(Protocol):
    """One WebSocket connection of the exchange."""

    is_dead: bool
    """Half-open: transports let nothing through, not even their own pongs."""

    def on_text(self, text: str, now_ns: int) -> None:
        """The client sent a text frame."""

    def on_pong(self, payload: bytes, now_ns: int) -> None:
        """The client answered a ping."""

    def on_ping(self, payload: bytes, now_ns: int) -> None:
        """The client sent a ping. Transports answer it; this only counts it."""

    def on_close(self, now_ns: int) -> None:
        """The client has disconnected."""

    def take(self) -> list[Sent]:
        """The messages to send now, in order."""
        ...


class Exchange(Protocol):
    """An embedded exchange. Call `advance` before any other method with the same `now_ns`."""

    @property
    def is_over(self) -> bool:
        """Whether everything has been played; never for simulated markets."""
        return False

    def venues(self) -> tuple[str, ...]:
        """The exchange names that are served."""
        ...

    def symbols(self, venue: str) -> tuple[str, ...]:
        """The symbols of a venue."""
        ...

    def request(self, venue: str, target: str, now_ns: int, *, client: str = "client") -> HttpResponse:
        """Answer a GET. `client`: the address that is charged. Never raises: errors are responses."""
        ...

    def accept(
        self, venue: str, target: str, now_ns: int, *, client: str = "client"
    ) -> Session | HttpResponse | Cut:
        """Answer a handshake: a session, a response that refuses it, or a reset without a response."""
        ...

    def advance(self, now_ns: int) -> None:
        """Process everything that is due."""

    def next_ns(self) -> int | None:
        """Time of the next event for `advance`; None if none is scheduled."""
