"""The small values that users hold in their hands: levels, the best prices, status words.

They are plain and immutable; the native side builds the tuples of this file itself. Not here:
anything that reads a book (`client.live_book`) or does something.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeAlias

from depthcache.naming import publish
from depthcache.pickling import FixedMapping

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import TypeVar

    # What the numbers of a book are: floats, unless it is an exact one.
    N = TypeVar("N", bound=float | Decimal, default=float)
    N_co = TypeVar("N_co", bound=float | Decimal, default=float, covariant=True)
else:
    from typing import TypeVar

    N, N_co = TypeVar("N"), TypeVar("N_co", covariant=True)

__all__ = [
    "Audit",
    "Best",
    "BookArrays",
    "BookIntegers",
    "Changes",
    "CompleteTo",
    "Continuity",
    "Coverage",
    "Depth",
    "DepthWithin",
    "Family",
    "Fill",
    "GroupedBook",
    "Imbalance",
    "Integers",
    "Lag",
    "Level",
    "Levels",
    "MissingBook",
    "OnStale",
    "Outcome",
    "SizeToMove",
    "SnapshotOutcome",
    "Status",
]

Continuity: TypeAlias = Literal["contiguous", "chained"]
"""How update ids follow each other: `contiguous` (`U == previous u + 1`: spot, US, TR) or
`chained` (`pu == previous u`: USD-M, COIN-M, options)."""

Family: TypeAlias = Literal["spot", "linear", "inverse", "options"]
"""What a venue trades: spot, USD-M futures, COIN-M futures, options."""

OnStale: TypeAlias = Literal["raise", "serve", "wait"]
"""What reading or following a book does while it is not synced."""


def _same_arrays(one: tuple[object, ...], two: object) -> bool:
    """Whether named tuples with arrays are equal: plain tuples refuse to compare arrays."""
    if type(one) is not type(two):
        return False
    others: Any = two
    return all(map(_is_same, one, others))


def _is_same(one: Any, two: Any) -> bool:
    if hasattr(one, "shape"):
        return bool(one.shape == two.shape and (one == two).all())
    return bool(one == two)


def _plain(number: float | Decimal) -> float | str:
    return format(number, "f") if isinstance(number, Decimal) else number


def compact_json(value: object) -> bytes:
    """JSON in UTF-8 without spaces. Raises ValueError for infinity and NaN."""
    import json  # where it is needed: the native module loads this file for every program

    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()


class Audit(NamedTuple):
    """A book compared with a snapshot of the exchange at one update id, inside the range both prove.

    Attributes:
        update_id: the id at which they were compared.
        checked: prices compared, both sides together.
        differing: prices that both hold with different quantities.
        missing: prices that the exchange holds and the book did not.
        extra: prices that the book held and the exchange does not.
        sources: of an audit over some time, how many payloads of each source were compared, and how
            many were not because the book never stood at their update id.
    """

    update_id: int
    checked: int
    differing: int
    missing: int
    extra: int
    sources: Mapping[str, tuple[int, int]] = FixedMapping({})

    @property
    def is_clean(self) -> bool:
        """Whether nothing was wrong."""
        return not (self.differing or self.missing or self.extra)


class Lag(NamedTuple):
    """How late the last update was: from the exchange's event time to its receipt here, in seconds.

    The exchange's clock is known only by estimate: the true lag lies within `error` of `seconds`.

    Attributes:
        seconds: how late, by the best estimate.
        error: how wrong the estimate may be, in seconds.
    """

    seconds: float
    error: float


class Level(NamedTuple, Generic[N_co]):
    """One price level. Floats equal to `float(text)` by default, Decimals from an exact view.

    Attributes:
        price: in the quote asset.
        quantity: in the base asset; contracts on COIN-M and options.
    """

    price: N_co
    quantity: N_co


class Best(NamedTuple, Generic[N_co]):
    """Both best levels of one update id.

    Attributes:
        bid: the highest bid, None where there is none.
        ask: the lowest ask, None where there is none.
        update_id: the id of the book at which both were best.
    """

    bid: Level[N_co] | None
    ask: Level[N_co] | None
    update_id: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values: `bid` and `ask` (`[price, quantity]`, None for an empty side), and `update_id`.

        Floats stay floats, Decimals become their exact text.
        """
        bid, ask = (None if side is None else [_plain(number) for number in side] for side in self[:2])
        return {"bid": bid, "ask": ask, "update_id": self.update_id}

    def to_json(self) -> bytes:
        """The same as compact JSON in UTF-8."""
        return compact_json(self.to_dict())


class CompleteTo(NamedTuple, Generic[N_co]):
    """The price down to (bids) and up to (asks) which the book is provably complete, inclusive.

    0.0 for bids and infinity for asks mean that the whole side is known; None means that
    nothing of the side is proven.

    Attributes:
        bids: every bid at or above this price is held.
        asks: every ask at or below this price is held.
    """

    bids: N_co | None
    asks: N_co | None

    def to_dict(self) -> dict[str, float | str | None]:
        """Plain values: `bids` and `asks`, each a price, `"all"` if the whole side is known, None if nothing
        of it is proven. Floats stay floats, Decimals become their exact text.
        """
        edges = {"bids": 0, "asks": float("inf")}
        return {
            name: price if price is None else "all" if price == edges[name] else _plain(price)
            for name, price in self._asdict().items()
        }


class Coverage(NamedTuple):
    """How many held levels lie inside the complete range.

    Attributes:
        bids: on the side of the buyers.
        asks: on the side of the sellers.
    """

    bids: int
    asks: int


class Changes(NamedTuple, Generic[N]):
    """The levels that one update changed, best price first; quantity 0: the level is gone.

    `bids` and `asks` hold only what really changed: no quantity that was held already, no delete of a price
    that was not held.
    """

    bids: list[Level[N]]
    asks: list[Level[N]]


class Integers(NamedTuple):
    """Levels as exact 64-bit integers: a price is `levels[i, 0] / 10**price_decimals`.

    Attributes:
        levels: an int64 array of shape (levels, 2), the caller's own; column 0 prices, 1 quantities.
        price_decimals, quantity_decimals: how many digits of each column stand behind the point.
    """

    levels: NDArray[np.int64]
    price_decimals: int
    quantity_decimals: int

    def __eq__(self, other: object) -> bool:
        return _same_arrays(self, other)

    def __ne__(self, other: object) -> bool:
        return not _same_arrays(self, other)

    def __hash__(self) -> int:
        return hash(tuple(self))  # which refuses: arrays may change


class BookArrays(NamedTuple):
    """Both sides of one update id as arrays.

    Attributes:
        bids, asks: float64 arrays of shape (levels, 2), the caller's own; column 0 prices, 1 quantities,
            row 0 the best of the requested levels.
        complete: whether every requested level is proven on both sides.
        update_id: the id to which both belong.
    """

    bids: NDArray[np.float64]
    asks: NDArray[np.float64]
    complete: bool
    update_id: int

    def __eq__(self, other: object) -> bool:
        return _same_arrays(self, other)

    def __ne__(self, other: object) -> bool:
        return not _same_arrays(self, other)

    def __hash__(self) -> int:
        return hash(tuple(self))  # which refuses: arrays may change


class BookIntegers(NamedTuple):
    """The same as exact integers.

    Attributes:
        bids, asks: `Integers`, each side with its own decimals.
        complete: whether every requested level is proven on both sides.
        update_id: the id to which both belong.
    """

    bids: Integers
    asks: Integers
    complete: bool
    update_id: int

    def __eq__(self, other: object) -> bool:
        return _same_arrays(self, other)

    def __ne__(self, other: object) -> bool:
        return not _same_arrays(self, other)

    def __hash__(self) -> int:
        return hash(tuple(self))  # which refuses: arrays may change


class MissingBook(NamedTuple):
    """A book that was to be read together with others and could not be.

    Attributes:
        exchange, symbol: the book.
        status: what it is instead of synced.
        reason: why, in words.
    """

    exchange: str
    symbol: str
    status: Status
    reason: str


class Levels(list[Level[N]], Generic[N]):
    """A list of levels, best price first, that knows whether it is the whole truth.

    Attributes:
        complete: True when every requested level is proven: the levels lie inside the complete
            range, or the whole side is known.
        update_id: the id of the book to which the levels belong.
    """

    __slots__ = ("_reason", "complete", "update_id")
    _reason: str
    complete: bool
    update_id: int

    @property
    def reason(self) -> str:
        """Why there are fewer levels than requested, or why not all are proven; empty otherwise."""
        return getattr(self, "_reason", "")


class Imbalance(NamedTuple, Generic[N_co]):
    """How the quantities of both sides compare.

    Attributes:
        ratio: (bids - asks) / (bids + asks), from -1 (asks alone) to 1 (bids alone); None where nothing
            rests on either side.
        bids, asks: the quantities, in the base asset, in contracts on COIN-M.
        complete: whether both sums are proven.
        update_id: the id of the book.
    """

    ratio: N_co | None
    bids: N_co
    asks: N_co
    complete: bool
    update_id: int


class Depth(NamedTuple, Generic[N_co]):
    """What rests in a part of one side.

    Attributes:
        base: the sum of the quantities, in the base asset, in contracts on COIN-M.
        quote: the sum of price times quantity, in the quote asset; not a number (NaN) on COIN-M.
        levels: how many levels.
        complete: whether all of the part is proven.
    """

    base: N_co
    quote: N_co
    levels: int
    complete: bool


class DepthWithin(NamedTuple, Generic[N_co]):
    """What rests within a distance of the mid.

    Attributes:
        bids, asks: `Depth` of each side.
        mid: from where the distance counts; None where a side is empty, and both depths are then empty.
        update_id: the id of the book.
    """

    bids: Depth[N_co]
    asks: Depth[N_co]
    mid: N_co | None
    update_id: int

    @property
    def complete(self) -> bool:
        """Whether both sides are proven as far as the distance reaches."""
        return self.bids.complete and self.asks.complete


class Fill(NamedTuple, Generic[N_co]):
    """What a market order of a size would get from the book as it is, without fees.

    Attributes:
        average: the average price, `quote / base` (on COIN-M contracts by the coins they are
            worth, as the exchange reports it); None where nothing is filled.
        worst: the price of the last level that was touched; None where there is none.
        slippage_bps: how much worse than the mid the average is, in basis points of the mid, above 0 for
            buyers and sellers alike; None where nothing is filled or a side is empty.
        base: what is filled, in the base asset, in contracts on COIN-M.
        quote: what is filled, in the quote asset; not a number (NaN) on COIN-M.
        unfilled: what the book is not enough for, in the unit of the size.
        levels: how many levels were touched.
        complete: whether every level that was touched is proven and, where something is unfilled, that the
            side has no more.
        update_id: the id of the book.
    """

    average: N_co | None
    worst: N_co | None
    slippage_bps: N_co | None
    base: N_co
    quote: N_co
    unfilled: N_co
    levels: int
    complete: bool
    update_id: int


class SizeToMove(NamedTuple, Generic[N_co]):
    """How much it takes to move the best price of a side by a distance.

    Attributes:
        base: the sum of the quantities that must be taken, in the base asset, in contracts on COIN-M.
        quote: the sum of price times quantity; not a number (NaN) on COIN-M.
        price: where the best price of the side then stands; None where the side is empty by then.
        levels: how many levels are taken.
        complete: whether these levels, and the one where the price then stands, are proven.
        update_id: the id of the book.
    """

    base: N_co
    quote: N_co
    price: N_co | None
    levels: int
    complete: bool
    update_id: int


class GroupedBook(NamedTuple, Generic[N_co]):
    """The book in coarser steps: levels summed up to multiples of a group size, best first.

    Attributes:
        bids: each at the multiple at or below the prices it sums up.
        asks: each at the multiple at or above the prices it sums up.
        size: the group size.
        update_id: the id of the book.
    """

    bids: Levels[N_co]
    asks: Levels[N_co]
    size: N_co
    update_id: int

    @property
    def complete(self) -> bool:
        """Whether every requested group is proven on both sides."""
        return self.bids.complete and self.asks.complete


class Status(StrEnum):
    """What a book is, in one word; only `SYNCED` can be trusted. Worst last."""

    SYNCED = "synced"
    """Right as far as it says, and up to date."""
    CROSSED = "crossed"
    """Bid >= ask after a whole event: not served; resync if it lasts 1 s."""
    BRIDGING = "bridging"
    """A snapshot is installed, the diff that confirms it is awaited."""
    BUFFERING = "buffering"
    """Diffs are kept while a snapshot is on its way."""
    EMPTY = "empty"
    """Nothing has arrived yet."""
    STALE = "stale"
    """A watchdog doubts that data still flows."""
    HALTED = "halted"
    """The exchange halted the symbol."""
    DISCONNECTED = "disconnected"
    """The connection that carries the book is down."""
    CLOSED = "closed"
    """Removed, delisted or shut down; it will not come back."""


class Outcome(StrEnum):
    """What one frame did to a book."""

    APPLIED = "applied"
    """The book moved to the frame's final update id."""
    OLD = "old"
    """At or before the book's id: nothing changed, nothing is wrong."""
    WAITING = "waiting"
    """No snapshot yet: the frame is kept until one is loaded."""
    GAP = "gap"
    """Updates are missing: the book stays as it is until load_snapshot."""
    IGNORED = "ignored"
    """Not a diff of this kind of book (ticker, trade, partial depth, reply)."""


class SnapshotOutcome(StrEnum):
    """What one snapshot did to a book."""

    SYNCED = "synced"
    """Installed and current."""
    BRIDGING = "bridging"
    """Installed; the next diff decides."""
    TOO_OLD = "too_old"
    """Older than the first kept diff: not installed, the diffs are kept."""
    GAP = "gap"
    """Installed, but the kept diffs have a hole: a newer snapshot is needed."""


publish(
    "depthcache",
    Audit,
    Best,
    BookArrays,
    BookIntegers,
    Changes,
    CompleteTo,
    Coverage,
    Depth,
    DepthWithin,
    Fill,
    GroupedBook,
    Imbalance,
    Integers,
    Lag,
    Level,
    Levels,
    MissingBook,
    Outcome,
    SizeToMove,
    SnapshotOutcome,
    Status,
)
