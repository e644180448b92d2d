"""What every embedded exchange offers to its transport: an invented market or a recording.

Sans-I/O: time is an argument (`now_ns`, any monotonic clock, never going back), everything an
exchange sends is returned. The transports are `server` (real sockets) and `pair` (virtual clock).
`target` is path and query as the venue itself would see them ("/api/v3/depth?symbol=BTCUSDT"):
transports take the "/<exchange name>" in front of it away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

__all__ = ["Close", "Cut", "Exchange", "HttpResponse", "Ping", "Sent", "Session", "Text", "split_target"]


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An HTTP response, delivered `delay_ns` after the request. Header names as the exchange sends them."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    delay_ns: int = 0


@dataclass(frozen=True, slots=True)
class Text:
    """One text frame. `drip_ns`: its bytes leave one by one in that time, and all else waits behind it."""

    text: str
    drip_ns: int = 0


@dataclass(frozen=True, slots=True)
class Ping:
    """A ping frame; the client answers with the same payload."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """A close frame; nothing follows it."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection is gone without a close frame; nothing follows it."""


Sent: TypeAlias = Text | Ping | Close | Cut


def split_target(target: str) -> tuple[str, str]:
    """Path and query of a target, whatever it is. `urlsplit` finds hosts in "//…" and raises for some."""
    path, _, query = target.partition("#")[0].partition("?")
    return path, query


class Session(Protocol):
    """One WebSocket connection, as the exchange holds it."""

    is_dead: bool
    """Half open: transports let nothing through, not even their own answers to pings."""

    def on_text(self, text: str, now_ns: int) -> None:
        """The client sent a text frame."""

    def on_pong(self, payload: bytes, now_ns: int) -> None:
        """The client answered a ping."""

    def on_ping(self, payload: bytes, now_ns: int) -> None:
        """The client pinged; transports answer it themselves, this counts it."""

    def on_close(self, now_ns: int) -> None:
        """The client is gone."""

    def take(self) -> list[Sent]:
        """What is to be sent now, in order."""
        ...


class Exchange(Protocol):
    """Order of calls: `advance` before anything else that happens at the same `now_ns`."""

    def venues(self) -> tuple[str, ...]:
        """The exchange names that are served."""
        ...

    def symbols(self, venue: str) -> tuple[str, ...]:
        """The symbols of one of them."""
        ...

    def request(self, venue: str, target: str, now_ns: int, *, client: str = "client") -> HttpResponse:
        """A GET. `client`: who is charged the weight (the address). Never raises: errors are answers."""
        ...

    def accept(
        self, venue: str, target: str, now_ns: int, *, client: str = "client"
    ) -> Session | HttpResponse | Cut:
        """A WebSocket handshake: a session, the response that refuses it, or a reset without any response."""
        ...

    def advance(self, now_ns: int) -> None:
        """Let everything happen that is due."""

    def next_ns(self) -> int | None:
        """When `advance` has something to do next; None: only after something else happened."""
