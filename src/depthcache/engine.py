"""What an engine can be asked: the protocols that the native module and `reference` both satisfy.

The core, the runner and the simulator's `Pair` know an engine only through these. Times called `*_ns` are the
caller's monotonic clock, times called `*_us` the exchange's clock since 1970. Not here: what an engine tells
(`events`), and what only live clients need of the native one, such as its tap and its flight recorder
(`_native`).
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
"""What may be laid over the state of a book from outside."""

Mode: TypeAlias = Literal["every", "latest", "interval", "best", "levels", "status"]
"""When a follower is told of a book; the values of `depthcache.FollowMode`."""


class FrozenLevels(Protocol):
    """Both sides of one update id, as a constant."""

    @property
    def last_update_id(self) -> int | None:
        """The id to which both sides belong."""

    @property
    def bids(self) -> Iterable[tuple[float | Decimal, float | Decimal]]:
        """Price and quantity, highest price first."""
        ...

    @property
    def asks(self) -> Iterable[tuple[float | Decimal, float | Decimal]]:
        """Price and quantity, lowest price first."""
        ...


class Reader(Protocol):
    """What the core reads of a book."""

    @property
    def status(self) -> Status:
        """What users see."""
        ...

    @property
    def reason(self) -> str:
        """Why; empty when synced and confirmed."""
        ...

    @property
    def updated_ns(self) -> int | None:
        """When the last applied update was received, or the snapshot before one; None before that."""

    @property
    def confirmed_ns(self) -> int | None:
        """When an update or a comparison last proved the book; None before."""

    @property
    def counters(self) -> Mapping[str, int]:
        """What happened to the book since it was made."""
        ...

    def freeze(self, levels: int | None = None, /) -> FrozenLevels:
        """The best `levels` of each side, all when None. Raises BookNotSynced, BookClosed."""
        ...


class Follower(Protocol):
    """One consumer's view of some markets of a router, as `depthcache._native.Follower` describes it."""

    @property
    def number(self) -> int:
        """What `FollowerReady` calls it."""
        ...

    @property
    def due_ns(self) -> int | None:
        """When `take` is to be called again though nothing else happens; None for never."""

    @property
    def markets(self) -> int:
        """How many markets are followed; one whose end was told is left."""
        ...

    @property
    def held_items(self) -> int:
        """Items that wait for the consumer (mode `every`)."""
        ...

    @property
    def held_bytes(self) -> int:
        """Their bytes, about."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether everything was given and nothing comes any more."""
        ...

    def add(self, router: Any, market: int, /) -> None:
        """Follow a market, too, of the router that made this follower. Raises KeyError."""

    def take(self, now_ns: int, /) -> Any:
        """The next item, an `Update` of the same engine; None while there is none."""

    def wait(self, timeout_s: float, /) -> None:
        """Wait until there may be something."""

    def finish(self) -> None:
        """Nothing comes after what is there."""

    def close(self) -> None:
        """Leave all markets and forget what was kept."""


class Router(Protocol):
    """All markets of one client and the way of each frame to its market.

    Order of calls: `add_market`, `open_connection`, `route`, then `feed` for every frame; when it returns
    True, `take_events`. Numbers of markets and connections are the caller's and never used twice. Unknown
    numbers raise KeyError.
    """

    # --- markets ---------------------------------------------------------------------------------------

    def add_market(
        self, market: int, exchange: str, symbol: str, continuity: Continuity, /, *, inverse: bool = False
    ) -> None:
        """Begin an empty market; `inverse`: quantities count contracts of a fixed value."""

    def remove_market(self, market: int, reason: str, now_ns: int, /) -> None:
        """Forget a market; its readers say `closed` from now on."""

    def reader(self, market: int, /, *, serve_stale: bool = False) -> Reader:
        """A reader of a market; `serve_stale`: it also reads the last known book where that is not synced."""
        ...

    def set_condition(self, market: int, condition: Condition | None, reason: str, now_ns: int, /) -> None:
        """Lay a condition over the state of a market, or take it away (None)."""

    def resync(self, market: int, reason: str, now_ns: int, /) -> None:
        """Back to buffering; kept diffs and old levels stay."""

    def restart(self, market: int, reason: str, now_ns: int, /) -> None:
        """Back to buffering with nothing kept: the diffs will come from a new connection."""

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
        """Install a snapshot asked with `limit`. Raises MalformedSnapshot, SymbolMismatch; nothing is changed
        then.

        `live`: the stream was live before the snapshot was asked for. `made_us`: between which times it was
        made; None for what its body tells.
        """
        ...

    def date_snapshot(self, market: int, made_us: tuple[int, int], /) -> None:
        """The snapshot that is held, and no diff after it, was made between these times: known only now."""

    def begin_refresh(self, market: int, /) -> bool:
        """Keep what is applied from now on, for a snapshot that is about to be asked for; False: the book is
        not live."""
        ...

    def end_refresh(self, market: int, /) -> None:
        """Forget a refresh that was begun."""

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
        """Roll a snapshot to the live book's id, compare both, merge: `MERGED`, `WAITING`, `TOO_OLD` or
        `NOT_LIVE`. Raises MalformedSnapshot, SymbolMismatch; the refresh is over then."""
        ...

    def settle_refresh(self, market: int, now_ns: int, /) -> RefreshResult:
        """No diff came for a snapshot that waits: `MERGED` where it shows an equal book of a venue whose ids
        are shared, else `OTHER_BOOK`; `NONE_WAITING`."""
        ...

    # --- depth and lateness ----------------------------------------------------------------------------

    def set_depth_target(self, market: int, levels: int, /, *, requested: int) -> None:
        """So many complete levels a side are enough while readers ask for at most `requested`."""

    def shallow(self) -> Sequence[ShallowMarket]:
        """The live books that are not deep enough."""
        ...

    def set_clock_offset(self, market: int, offset_ns: int | None, /) -> None:
        """From the clock of the frames to the exchange's; None while it is not known."""

    def heard(self, market: int, /) -> HeardDiff | None:
        """The newest diff that was applied, kept, or is backlog; None before one."""

    def last_diff(self, market: int, /) -> HeardDiff | None:
        """The last diff that was applied since the snapshot; None before one."""

    def late(self, most_us: int, /) -> Sequence[LateMarket]:
        """The markets whose newest diff was more than `most_us` late when it came."""
        ...

    # --- connections and frames ------------------------------------------------------------------------

    def open_connection(self, connection: int, /) -> None:
        """Frames of this number are expected from now on."""

    def close_connection(self, connection: int, /) -> None:
        """Forget a connection and its routes."""

    def route(self, connection: int, stream: str, market: int, /) -> None:
        """Frames of this stream go to this market."""

    def unroute(self, connection: int, stream: str, /) -> None:
        """Frames of this stream are strays again."""

    def listen(self, connection: int, stream: str, /) -> None:
        """Frames of this stream, which no market takes, come as `StreamFrame`."""

    def feeds(self, market: int, /) -> Sequence[FeedInfo]:
        """The connections of a market."""
        ...

    def traffic(self, connection: int, /) -> Traffic:
        """What came on a connection."""
        ...

    def feed(self, connection: int, frame: bytes, received_ns: int, /) -> bool:
        """Take one frame to its book; True when `take_events` has something to tell. Nothing in a frame makes
        it raise."""
        ...

    def take_events(self) -> Sequence[Event]:
        """What happened since the last call."""
        ...

    # --- time ------------------------------------------------------------------------------------------

    def set_virtual_time(self, now_ns: int, wall_ns: int, /) -> None:
        """It is that time on a virtual clock, and on the system's, since 1970: no other clock counts for
        readers from now on."""

    # --- watching without an event loop ----------------------------------------------------------------

    def attend(self, now_ns: int, /) -> int:
        """The event loop looks after its books; how many pauses of the machine there were."""
        ...

    def set_time_to_detect(self, market: int, within_ns: int | None, /) -> None:
        """Unless the event loop attends, a book that nothing has proven for so long is stale; None: never."""

    def judge_silence(self, now_ns: int, /) -> None:
        """Doubt books that nothing has proven in time, unless the event loop attends."""

    def pause(self, reason: str, since_ns: int, now_ns: int, /) -> None:
        """The machine or the process paused: every book is stale until proven."""

    def set_stalled(self, reason: str | None, now_ns: int, /) -> None:
        """The event loop that brings the frames stands still (the reason), or goes on (None)."""

    def close(self, reason: str, now_ns: int, /) -> None:
        """The event loop has ended: close every book for good."""

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
        """A follower of no market yet."""
        ...
