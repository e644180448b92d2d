"""The protocols of an engine, implemented by both the native module and `reference`.

The core, the runner and the simulator's `Pair` use an engine only through these. Times in `*_ns` are the
caller's monotonic clock; times in `*_us` are the exchange's clock, since 1970. What an engine reports is in
`events`; what only live clients need, such as the tap and the flight recorder, is in `_native`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, Protocol, TypeAlias

from depthcache.events import Event, FeedInfo, HeardDiff, LateMarket, RefreshResult, ShallowMarket, Traffic
from depthcache.model import Continuity, OnStale, SnapshotOutcome, Status

__all__ = [
    "Condition",
    "Follower",
    "FrozenLevels",
    "Mode",
    "Reader",
    "Router",
]

Condition: TypeAlias = Literal["stale", "halted", "disconnected", "closed"]
"""An external condition on top of the state of a book."""

Mode: TypeAlias = Literal["every", "latest", "interval", "best", "levels", "status"]
"""When a follower gets an item; the values of `depthcache.FollowMode`."""


class FrozenLevels(Protocol):
    """Both sides at one update id, constant."""

    @property
    def last_update_id(self) -> int | None:
        """The update id of both sides."""

    @property
    def bids(self) -> Iterable[tuple[float | Decimal, float | Decimal]]:
        """Price and quantity, highest price first."""
        ...

    @property
    def asks(self) -> Iterable[tuple[float | Decimal, float | Decimal]]:
        """Price and quantity, lowest price first."""
        ...


class Reader(Protocol):
    """The part of a book that the core reads."""

    @property
    def status(self) -> Status:
        """The status that users see."""
        ...

    @property
    def reason(self) -> str:
        """Why the book has this status; empty if synced and confirmed."""
        ...

    @property
    def updated_ns(self) -> int | None:
        """When the last applied update was received, or the snapshot if none followed it; None before one."""

    @property
    def last_update_id(self) -> int | None:
        """The update id of the book; None before a snapshot."""

    @property
    def confirmed_ns(self) -> int | None:
        """When an update or a comparison last confirmed the book; None before that."""

    @property
    def counters(self) -> Mapping[str, int]:
        """Counts since the book was created."""
        ...

    def freeze(self, levels: int | None = None, /) -> FrozenLevels:
        """Copy the best `levels` per side (None for all). Raises BookNotSynced, BookClosed."""
        ...


class Follower(Protocol):
    """One consumer's view of some markets of a router; see `depthcache._native.Follower`."""

    @property
    def number(self) -> int:
        """The number in `FollowerReady`."""
        ...

    @property
    def due_ns(self) -> int | None:
        """When to call `take` again if nothing else happens; None for never."""

    @property
    def markets(self) -> int:
        """The number of markets followed; an ended one no longer counts."""
        ...

    @property
    def held_items(self) -> int:
        """The number of items waiting for the consumer (mode `every`)."""
        ...

    @property
    def held_bytes(self) -> int:
        """The approximate size of these items, in bytes."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether all items were taken and none will follow."""
        ...

    def add(self, router: Any, market: int, /) -> None:
        """Follow one more market of the router that made this follower. Raises KeyError."""

    def take(self, now_ns: int, /) -> Any:
        """The next item, an `Update` of the same engine; None if there is none."""

    def wait(self, timeout_s: float, /) -> None:
        """Wait for items."""

    def finish(self) -> None:
        """Accept no further items."""

    def close(self) -> None:
        """Stop following all markets and drop waiting items."""


class Router(Protocol):
    """All markets of one client, and the routes of frames to them.

    Usage: `add_market`, `open_connection`, `route`, then `feed` for every frame; when it returns True,
    `take_events`. Market and connection numbers are chosen by the caller and never reused. Unknown numbers
    raise KeyError.
    """

    # --- markets ---------------------------------------------------------------------------------------

    def add_market(
        self,
        market: int,
        exchange: str,
        symbol: str,
        continuity: Continuity,
        /,
        *,
        inverse: bool = False,
        now_ns: int = 0,
    ) -> None:
        """Add a market, empty since `now_ns`. `inverse`: quantities count contracts of a fixed value."""

    def relay(self, market: int, now_ns: int, /) -> None:
        """Take the diffs of a market from book servers, for good.

        From now on it is never synced unless a server says, in order with the diffs, that its own book is.
        """

    def upstream(self, market: int, /) -> tuple[str, str] | None:
        """The status and reason of the servers' book; None before a server has said it."""

    def remove_market(self, market: int, reason: str, now_ns: int, /) -> None:
        """Remove a market; its readers are `closed` from now on."""

    def reader(self, market: int, /, *, serve_stale: bool = False) -> Reader:
        """Create a reader of a market. `serve_stale`: whether it also reads the last known book."""
        ...

    def set_condition(self, market: int, condition: Condition | None, reason: str, now_ns: int, /) -> None:
        """Set a condition on top of the state of a market, or clear it (None)."""

    def resync(self, market: int, reason: str, now_ns: int, /) -> None:
        """Return to buffering; buffered diffs and old levels stay."""

    def restart(self, market: int, reason: str, now_ns: int, /) -> None:
        """Return to buffering with an empty buffer: diffs will come from a new connection."""

    # --- snapshots -------------------------------------------------------------------------------------

    def install_snapshot(
        self,
        market: int,
        body: bytes,
        /,
        *,
        limit: int | None,
        live: bool,
        now_ns: int,
        made_us: tuple[int, int] | None = None,
    ) -> SnapshotOutcome:
        """Install a snapshot requested with `limit`.

        `live`: whether the stream was live before the request. `made_us`: the time range in which it was
        made; None for the time in its body. Raises MalformedSnapshot, SymbolMismatch; the book is then
        unchanged.
        """
        ...

    def date_snapshot(self, market: int, made_us: tuple[int, int], /) -> None:
        """Supply the time range in which the held snapshot was made, if no diff followed it."""

    def begin_refresh(self, market: int, /) -> bool:
        """Start keeping applied diffs, before a snapshot is requested; False if the book is not live."""
        ...

    def end_refresh(self, market: int, /) -> None:
        """Cancel a refresh."""

    def refresh(
        self,
        market: int,
        body: bytes,
        /,
        *,
        limit: int | None,
        now_ns: int,
        made_us: tuple[int, int] | None = None,
    ) -> RefreshResult:
        """Roll a snapshot to the update id of the live book, compare and merge it.

        The outcome is `MERGED`, `WAITING`, `TOO_OLD` or `NOT_LIVE`. Raises MalformedSnapshot, SymbolMismatch;
        the refresh is then over.
        """
        ...

    def settle_refresh(self, market: int, now_ns: int, /) -> RefreshResult:
        """Settle a waiting snapshot for which no diff came.

        The outcome is `MERGED` if it equals the book on a venue with shared ids, else `OTHER_BOOK`; or
        `NONE_WAITING`.
        """
        ...

    # --- depth and lateness ----------------------------------------------------------------------------

    def set_depth_target(self, market: int, levels: int, /, *, requested: int) -> None:
        """Set how many complete levels per side are enough while readers request at most `requested`."""

    def shallow(self) -> Sequence[ShallowMarket]:
        """The live books that are not deep enough."""
        ...

    def set_clock_offset(self, market: int, offset_ns: int | None, /) -> None:
        """Set the offset from the clock of the frames to the exchange's; None if unknown."""

    def heard(self, market: int, /) -> HeardDiff | None:
        """The newest diff that was applied, buffered or skipped as backlog; None before one."""

    def last_diff(self, market: int, /) -> HeardDiff | None:
        """The last diff applied since the snapshot; None before one."""

    def late(self, most_us: int, /) -> Sequence[LateMarket]:
        """The markets whose newest diff was more than `most_us` late on receipt."""
        ...

    # --- connections and frames ------------------------------------------------------------------------

    def open_connection(self, connection: int, /, *, server: str = "") -> None:
        """Expect frames of this number. `server`: how users know the book server at its other end."""

    def close_connection(self, connection: int, /) -> None:
        """Remove a connection and its routes."""

    def route(self, connection: int, stream: str, market: int, /) -> None:
        """Route a stream to a market."""

    def unroute(self, connection: int, stream: str, /) -> None:
        """Treat frames of this stream as stray again."""

    def listen(self, connection: int, stream: str, /) -> None:
        """Report frames of this stream, which belongs to no market, as `StreamFrame`."""

    def feeds(self, market: int, /) -> Sequence[FeedInfo]:
        """The connections of a market."""
        ...

    def traffic(self, connection: int, /) -> Traffic:
        """The traffic of a connection."""
        ...

    def feed(self, connection: int, frame: bytes, received_ns: int, /) -> bool:
        """Pass one frame to its book; True if `take_events` has events. Never raises because of the frame."""
        ...

    def take_events(self) -> Sequence[Event]:
        """Return the events since the last call."""
        ...

    # --- time ------------------------------------------------------------------------------------------

    def set_virtual_time(self, now_ns: int, wall_ns: int, /) -> None:
        """Set a virtual monotonic clock and the system's time (since 1970), used by readers from now on."""

    # --- watching without an event loop ----------------------------------------------------------------

    def attend(self, now_ns: int, /) -> int:
        """Report that the event loop is attending to its books. Returns the number of pauses so far."""
        ...

    def set_time_to_detect(self, market: int, within_ns: int | None, /) -> None:
        """Set the time after which an unconfirmed book becomes stale unless the event loop attends.

        None for never.
        """

    def judge_silence(self, now_ns: int, /) -> None:
        """Doubt books that were not confirmed in time, unless the event loop attends."""

    def pause(self, reason: str, since_ns: int, now_ns: int, /) -> None:
        """Report a pause of the machine or process: every book is stale until confirmed."""

    def set_stalled(self, reason: str | None, now_ns: int, /) -> None:
        """Report that the event loop that feeds frames is blocked (the reason), or running again (None)."""

    def close(self, reason: str, now_ns: int, /) -> None:
        """Close all books for good: the event loop has ended."""

    # --- followers -------------------------------------------------------------------------------------

    def follow(
        self,
        mode: Mode,
        /,
        *,
        levels: int | None = None,
        interval_ns: int = 0,
        start_ns: int = 0,
        on_stale: OnStale = "raise",
        most_items: int,
        most_bytes: int,
        announces: bool = True,
    ) -> Follower:
        """Create a follower without markets."""
        ...
