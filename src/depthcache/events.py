"""Events of an engine, and the values that its calls return.

Both engines (the native module and `reference`) create objects of these classes, so consumers match events by
type. What users see is in `model`, the calls of an engine are in `engine`.
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
    "upstream",
]
"""Why a market changed.

`refreshed`: a waiting snapshot was merged when the book reached it. `upstream`: a book server reported the
state of its own book.
"""

StrayKind: TypeAlias = Literal["unknown_stream", "malformed", "overflow"]
"""Why a frame belongs to no market.

`overflow`: the ring of control messages was full, so the connection must be closed.
"""


# --- values that calls return -------------------------------------------------------------------------


class Comparison(NamedTuple):
    """The comparison of a book with a snapshot at one update id, both sides together.

    Attributes:
        update_id: the update id of the comparison.
        checked: prices held by at least one of the two.
        differing: prices held by both, with different quantities.
        missing: prices that only the exchange had.
        extra: prices that only the book had.
    """

    update_id: int
    checked: int
    differing: int
    missing: int
    extra: int

    @property
    def wrong(self) -> int:
        """The number of wrong prices in the book."""
        return self.differing + self.missing + self.extra


class RefreshOutcome(StrEnum):
    """The outcome of a snapshot for the refresh of a live book."""

    MERGED = "merged"
    """Compared and merged."""
    WAITING = "waiting"
    """Ahead of the book; merged when the book reaches it, as a `MarketChange` reports (`refreshed`)."""
    TOO_OLD = "too_old"
    """Behind the book; not merged."""
    NOT_LIVE = "not_live"
    """The book is not live, or no refresh was started; nothing was done."""
    OTHER_BOOK = "other_book"
    """`settle_refresh`: the waiting snapshot differs from the book and was dropped."""
    NONE_WAITING = "none_waiting"
    """`settle_refresh`: no snapshot was waiting; it was merged or dropped before."""


class RefreshResult(NamedTuple):
    """The outcome of `refresh` or `settle_refresh`.

    Attributes:
        outcome: what happened to the snapshot.
        comparison: its result; None unless it was merged.
    """

    outcome: RefreshOutcome
    comparison: Comparison | None = None


class FeedInfo(NamedTuple):
    """One connection that carries the diffs of a market.

    Attributes:
        connection: its number.
        is_joined: whether its last diff continued the book; meaningful only with several connections.
        heard_ns: when its last diff arrived; None before one.
    """

    connection: int
    is_joined: bool
    heard_ns: int | None


class Traffic(NamedTuple):
    """The traffic of a connection.

    Attributes:
        frames: the number of frames of any kind.
        received_bytes: their total size.
        last_data_ns: when the last useful frame arrived: a diff for a market, or a frame of a stream with a
            listener; None before one.
        last_diff_ns: when the last diff for a market arrived; None before one.
    """

    frames: int
    received_bytes: int
    last_data_ns: int | None
    last_diff_ns: int | None


class HeardDiff(NamedTuple):
    """The newest diff of a market, or the last one applied.

    Attributes:
        received_ns: when it was received.
        event_time_us: the exchange's event time; None if it had none.
    """

    received_ns: int
    event_time_us: int | None


class LateMarket(NamedTuple):
    """A market whose newest diff was late.

    Attributes:
        market: its number.
        late_us: the delay of the diff, in microseconds.
        received_ns: when it was received.
    """

    market: int
    late_us: int
    received_ns: int


class ShallowMarket(NamedTuple):
    """A live book that is not deep enough.

    Attributes:
        market: its number.
        covered_levels: the lower number of levels inside the complete range of a side; None if both sides are
            whole.
        asked_levels: the most levels that a reader requested.
    """

    market: int
    covered_levels: int | None
    asked_levels: int


class DelayHistogram(NamedTuple):
    """The delays of updates.

    Attributes:
        counts: entry `i` counts delays above 2**(i-1) and up to 2**i microseconds; the last entry counts all
            longer ones as well.
        sum_us: the sum of all delays, in microseconds.
    """

    counts: tuple[int, ...]
    sum_us: int


class WatchTick(NamedTuple):
    """The result of one check of the clock.

    Attributes:
        pauses: the number of pauses of the machine or process so far.
        has_events: whether `take_events` has events.
    """

    pauses: int
    has_events: bool


class TappedLines(NamedTuple):
    """The lines kept by the tap of a router since the last call.

    Attributes:
        lines: complete lines of JSON.
        lost_frames: the number of frames after them that were lost for lack of room.
    """

    lines: bytes
    lost_frames: int


class FlightFrame(NamedTuple):
    """A frame in the flight recorder of a market.

    Attributes:
        received_ns: when it was received.
        frame: its bytes.
    """

    received_ns: int
    frame: bytes


class FlightSnapshot(NamedTuple):
    """The last snapshot in the flight recorder of a market.

    Attributes:
        after_frames: how many of the frames came before it.
        installed_ns: when it was installed.
        limit: the limit of its request; None if unknown.
        body: its bytes.
    """

    after_frames: int
    installed_ns: int
    limit: int | None
    body: bytes


# --- events of a router -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketChange:
    """What happened to a market since the last `take_events`, coalesced; check `status` first.

    Attributes:
        market: its number.
        causes: what happened.
        status: the state of the book, without conditions: empty, buffering, bridging, synced or crossed.
        reason: why it has this state; empty if synced and confirmed.
        at_ns: when the last of the causes was received.
        comparison: the result of a waiting snapshot that was merged; None without the cause `refreshed`.
    """

    market: int
    causes: frozenset[Cause]
    status: Status
    reason: str
    at_ns: int
    comparison: Comparison | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlMessage:
    """A frame without market data: a response, an error, `serverShutdown`.

    Attributes:
        connection: the number of its connection.
        payload: the raw frame.
        at_ns: when it was received.
    """

    connection: int
    payload: bytes
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFrame:
    """The newest frame of a stream with a listener (`Router.listen`); at most one between two `take_events`.

    Attributes:
        connection: the number of its connection.
        stream: the name of the stream.
        frame: the raw frame, including its wrapper.
        skipped: how many older frames of the stream were dropped.
        at_ns: when it was received.
    """

    connection: int
    stream: str
    frame: bytes
    skipped: int
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StrayFrame:
    """Frames that belong to no market, counted by kind, connection and stream.

    Attributes:
        connection: the number of their connection.
        what: why they belong to no market.
        detail: the name of the stream, or the fault and the first bytes.
        count: how many.
        at_ns: when the last of them was received.
    """

    connection: int
    what: StrayKind
    detail: str
    count: int
    at_ns: int


class FollowerReady(NamedTuple):
    """A follower has items; not repeated before `Follower.take` has returned None.

    Attributes:
        follower: its number.
    """

    follower: int


CoreEvent: TypeAlias = MarketChange | ControlMessage | StreamFrame | StrayFrame
"""Events that the core acts on."""

Event: TypeAlias = CoreEvent | FollowerReady
"""The events of `Router.take_events`."""


# --- events of a transport ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOpened:
    """A connection is open.

    Attributes:
        connection: its number.
    """

    connection: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionAlive:
    """A connection has answered a ping from this side.

    Attributes:
        connection: its number.
    """

    connection: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionClosed:
    """A connection ended, or could not be made; its number is not used again.

    Attributes:
        connection: its number.
        code: the WebSocket close code; None if there was none.
        reason: why, as one printable line of at most 300 characters.
        status: the HTTP status of a refused handshake; None otherwise.
        retry_after, date: raw headers of that response; None if absent.
    """

    connection: int
    code: int | None
    reason: str
    status: int | None
    retry_after: str | None
    date: str | None


@dataclass(frozen=True, slots=True)
class TransportResumed:
    """The machine or process was paused until now."""


@dataclass(frozen=True, slots=True)
class TransportStopped:
    """The thread of the transport is about to end; no event follows."""


TransportEvent: TypeAlias = (
    ConnectionOpened | ConnectionAlive | ConnectionClosed | TransportResumed | TransportStopped
)
"""The events of `Transport.take_events`."""
