"""One client connection of a recorded exchange: its subscriptions and its outgoing messages.

A recording has one speed, so every diff depth stream of a symbol (`@depth`, `@depth@100ms`, `@depth@0ms` …)
sends the recorded diffs.
"""

from __future__ import annotations

from collections.abc import Callable
from string import ascii_lowercase, ascii_uppercase
from typing import Final

from depthcache.simulator.commands import Commands, Target, request_ids
from depthcache.simulator.interface import Ping, Sent, Session, Text
from depthcache.venues import Venue

__all__ = ["RecordedSession", "diff_stream", "stream_key"]

StreamKey = str

_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
_UPPER = frozenset(ascii_uppercase)


def diff_stream(symbol: str) -> StreamKey:
    """The key of all diff depth streams of a symbol."""
    return stream_key(f"{symbol}@depth")


def stream_key(stream: str) -> StreamKey:
    """The key of a stream name: ASCII letters in lower case, and diff depth without its speed."""
    symbol, _, kind = stream.partition("@")
    kind = "depth" if kind.startswith("depth@") else kind
    return f"{symbol.translate(_LOWER)}@{kind}"


class RecordedSession(Session):
    """A connection to a recorded exchange. Message limits are not enforced."""

    is_dead = False

    def __init__(
        self, venue: Venue, target: Target, on_change: Callable[[RecordedSession, int], None]
    ) -> None:
        self.venue: Final = venue
        self.is_open: bool = True
        self._on_change = on_change
        self._commands = Commands(
            combined=target.combined,
            streams=target.streams,
            most_streams=venue.streams_per_connection,
            ids=request_ids(venue),
        )
        self._names: dict[StreamKey, list[str]] = {}
        self._out: list[Sent] = []
        self._index()

    # --- getters ------------------------------------------------------------------------------

    @property
    def is_listening(self) -> bool:
        """Whether anything is subscribed."""
        return bool(self._names)

    def wants(self, key: StreamKey) -> bool:
        """Whether a stream of that key is subscribed."""
        return key in self._names

    def take(self) -> list[Sent]:
        """The messages to send now, in order."""
        out, self._out = self._out, []
        return out

    # --- events -------------------------------------------------------------------------------

    def on_text(self, text: str, now_ns: int) -> None:
        """The client sent a text frame."""
        done = self._commands.on_text(text)
        self._out.append(Text(done.reply))
        if done.close is not None:
            self._out.append(done.close)
            self.is_open = False
        if done.subscribed or done.unsubscribed:
            self._index()
        self._on_change(self, now_ns)

    def on_pong(self, payload: bytes, now_ns: int) -> None:
        """The client answered a ping."""

    def on_ping(self, payload: bytes, now_ns: int) -> None:
        """The client sent a ping."""

    def on_close(self, now_ns: int) -> None:
        """The client has disconnected."""
        self.is_open = False
        self._on_change(self, now_ns)

    def on_data(self, key: StreamKey, payload: str) -> bool:
        """Queue a played payload. True if the client subscribes to it; each of several names gets a copy."""
        names = self._names.get(key, ())
        self._out.extend(Text(self._commands.wrap(name, payload)) for name in names)
        return bool(names)

    def on_time_to_ping(self, payload: bytes) -> None:
        """A ping is due."""
        self._out.append(Ping(payload))

    def _index(self) -> None:
        self._names = {}
        for name in self._commands.streams:
            if _UPPER.isdisjoint(name.partition("@")[0]):  # upper case is acknowledged but stays silent
                self._names.setdefault(stream_key(name), []).append(name)
