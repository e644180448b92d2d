"""What an engine tells: events, and the values that its calls return.

Both engines (the native module and `reference`) make the objects of these classes, so consumers match events
by type. Not here: what users see (`model`), and what an engine can be asked (`engine`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple, TypeAlias

from depthcache.model import Status

__all__ = [
    "Cause",
    "Comparison",
    "ConnectionAlive",
    "ConnectionClosed",
    "ConnectionOpened",
    "ControlMessage",
    "CoreEvent",
    "DelayHistogram",
    "Event",
    "FeedInfo",
    "FlightFrame",
    "FlightSnapshot",
    "FollowerReady",
    "HeardDiff",
    "LateMarket",
    "MarketChange",
    "RefreshOutcome",
    "RefreshResult",
    "ShallowMarket",
    "StrayFrame",
    "StrayKind",
    "StreamFrame",
    "TappedLines",
    "Traffic",
    "TransportEvent",
    "TransportResumed",
    "TransportStopped",
    "WatchTick",
]

Cause: TypeAlias = Literal[
    "first_data",
    "synced",
    "confirmed",
    "gap",
    "reset",
    "crossed",
    "uncrossed",
    "malformed",
    "buffer_dropped",
    "refreshed",
    "doubted",
    "proven",
]
"""Why a market changed. `refreshed`: a snapshot that waited was merged when the book reached it."""

StrayKind: TypeAlias = Literal["unknown_stream", "malformed", "overflow"]
"""Why no market takes a frame. `overflow`: the ring of control messages was full, so the connection must be
closed."""


# --- values that calls return -------------------------------------------------------------------------


class Comparison(NamedTuple):
    """A book compared with a snapshot at one update id, both sides together.

    Attributes:
        update_id: the id at which both were compared.
        checked: prices that at least one of both holds.
        differing: prices that both hold with different quantities.
        missing: prices that the exchange holds and the book did not.
        extra: prices that the book held and the exchange does not.
    """

    update_id: int
    checked: int
    differing: int
    missing: int
    extra: int

    @property
    def wrong(self) -> int:
        """How many prices of the book were wrong."""
        return self.differing + self.missing + self.extra


class RefreshOutcome(StrEnum):
    """What became of a snapshot that was to refresh a live book."""

    MERGED = "merged"
    """Compared and merged."""
    WAITING = "waiting"
    """Ahead of the book: merged when the book reaches it; a `MarketChange` then tells (cause `refreshed`)."""
    TOO_OLD = "too_old"
    """Behind the book: nothing was merged."""
    NOT_LIVE = "not_live"
    """The book is not live, or no refresh was begun: nothing was done."""
    OTHER_BOOK = "other_book"
    """`settle_refresh`: the snapshot that waited shows another book and was dropped."""
    NONE_WAITING = "none_waiting"
    """`settle_refresh`: no snapshot waited; it was merged or dropped before."""


class RefreshResult(NamedTuple):
    """The outcome of `refresh` or `settle_refresh`.

    Attributes:
        outcome: what became of the snapshot.
        comparison: what it found; None unless it was merged.
    """

    outcome: RefreshOutcome
    comparison: Comparison | None = None


class FeedInfo(NamedTuple):
    """One connection that brings the diffs of a market.

    Attributes:
        connection: its number.
        is_joined: whether what came last continued the book; told only where there are several.
        heard_ns: when it brought its last diff; None before one.
    """

    connection: int
    is_joined: bool
    heard_ns: int | None


class Traffic(NamedTuple):
    """What came on a connection.

    Attributes:
        frames: frames of any kind.
        received_bytes: their bytes.
        last_data_ns: when the last frame of use came: a diff for a market, or a frame of a stream that is
            listened to; None before one.
        last_diff_ns: when the last diff for a market came; None before one.
    """

    frames: int
    received_bytes: int
    last_data_ns: int | None
    last_diff_ns: int | None


class HeardDiff(NamedTuple):
    """The newest diff of a market, or the last one that was applied.

    Attributes:
        received_ns: when it was received.
        event_time_us: the exchange's event time; None where it had none.
    """

    received_ns: int
    event_time_us: int | None


class LateMarket(NamedTuple):
    """A market whose newest diff was late when it came.

    Attributes:
        market: its number.
        late_us: how late the diff was, in microseconds.
        received_ns: when it was received.
    """

    market: int
    late_us: int
    received_ns: int


class ShallowMarket(NamedTuple):
    """A live book that is not deep enough.

    Attributes:
        market: its number.
        covered_levels: the fewest levels that a side has inside its complete range; None where both sides are
            whole.
        asked_levels: the most levels that a reader asked for.
    """

    market: int
    covered_levels: int | None
    asked_levels: int


class DelayHistogram(NamedTuple):
    """How late updates arrived.

    Attributes:
        counts: how many were at most 2**i microseconds late, one count for each i; the last one counts the
            rest.
        sum_us: the sum of all delays, in microseconds.
    """

    counts: tuple[int, ...]
    sum_us: int


class WatchTick(NamedTuple):
    """What a look at the clock has shown.

    Attributes:
        pauses: how often the machine or the process has paused.
        has_events: whether `take_events` has something to tell.
    """

    pauses: int
    has_events: bool


class TappedLines(NamedTuple):
    """What the tap of a router has kept since the last call.

    Attributes:
        lines: whole lines of JSON.
        lost_frames: frames after them that were lost because there was no room.
    """

    lines: bytes
    lost_frames: int


class FlightFrame(NamedTuple):
    """A frame that the flight recorder of a market holds.

    Attributes:
        received_ns: when it was received.
        frame: its bytes.
    """

    received_ns: int
    frame: bytes


class FlightSnapshot(NamedTuple):
    """The last snapshot that the flight recorder of a market holds.

    Attributes:
        after_frames: how many of the frames came before it.
        installed_ns: when it was installed.
        limit: the limit with which it was asked; None where that is not known.
        body: its bytes.
    """

    after_frames: int
    installed_ns: int
    limit: int | None
    body: bytes


# --- events of a router -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketChange:
    """What happened to a market since the last `take_events`, coalesced; look at `status` first.

    Attributes:
        market: its number.
        causes: why.
        status: the state of the book now, conditions aside: empty, buffering, bridging, synced or crossed.
        reason: why the state is what it is; empty when synced and confirmed.
        at_ns: when the last of the causes was received.
        comparison: what the snapshot found that was merged when the book reached it; None without the cause
            `refreshed`.
    """

    market: int
    causes: frozenset[Cause]
    status: Status
    reason: str
    at_ns: int
    comparison: Comparison | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlMessage:
    """A frame that is not market data: a reply, an error, `serverShutdown`.

    Attributes:
        connection: where it came from.
        payload: the frame as it came.
        at_ns: when it was received.
    """

    connection: int
    payload: bytes
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFrame:
    """The newest frame of a stream that is listened to (`Router.listen`); one between two `take_events`.

    Attributes:
        connection: where it came from.
        stream: the name of the stream.
        frame: the frame as it came, wrapper and all.
        skipped: how many older frames of the stream are gone.
        at_ns: when it was received.
    """

    connection: int
    stream: str
    frame: bytes
    skipped: int
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StrayFrame:
    """Frames that no market takes; those of one kind, connection and stream are counted together, not kept.

    Attributes:
        connection: where they came from.
        what: why no market takes them.
        detail: the stream's name, or what is wrong and the first bytes.
        count: how many.
        at_ns: when the last of them was received.
    """

    connection: int
    what: StrayKind
    detail: str
    count: int
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowerReady:
    """A follower has something for its consumer; not told again before `Follower.take` gave None.

    Attributes:
        follower: its number.
    """

    follower: int


CoreEvent: TypeAlias = MarketChange | ControlMessage | StreamFrame | StrayFrame
"""What the core decides about."""

Event: TypeAlias = CoreEvent | FollowerReady
"""What `Router.take_events` gives."""


# --- events of a transport ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOpened:
    """A connection can be used.

    Attributes:
        connection: its number.
    """

    connection: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionAlive:
    """A connection has answered a ping of this side.

    Attributes:
        connection: its number.
    """

    connection: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionClosed:
    """A connection ended, or could not be made; nothing more comes of its number.

    Attributes:
        connection: its number.
        code: the WebSocket close code; None where there was none.
        reason: why, in words: one line of at most 300 characters that all print.
        status: the HTTP status with which the handshake was refused; None where it was not.
        retry_after, date: the headers of that response as they came; None where they are missing.
    """

    connection: int
    code: int | None
    reason: str
    status: int | None
    retry_after: str | None
    date: str | None


@dataclass(frozen=True, slots=True)
class TransportResumed:
    """The machine or the process paused until now."""


@dataclass(frozen=True, slots=True)
class TransportStopped:
    """The transport's thread is about to end; no event follows."""


TransportEvent: TypeAlias = (
    ConnectionOpened | ConnectionAlive | ConnectionClosed | TransportResumed | TransportStopped
)
"""What `Transport.take_events` gives."""
