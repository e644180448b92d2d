"""Values that the API returns: levels, best prices, statuses, results of calculations.

All are immutable. The native module builds the tuples in this file itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeAlias, cast, overload

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
"""How the update ids of consecutive diffs are linked: `contiguous` (`U == previous u + 1`: spot, US, TR) or
`chained` (`pu == previous u`: USD-M, COIN-M, options).
"""

Family: TypeAlias = Literal["spot", "linear", "inverse", "options"]
"""The kind of market of a venue: spot, USD-M futures (`linear`), COIN-M futures (`inverse`) or options."""

OnStale: TypeAlias = Literal["raise", "serve", "wait"]
"""What a read or a follower does while the book is not synced."""


def _same_arrays(one: tuple[object, ...], two: object) -> bool:
    """Compare named tuples that hold arrays; plain tuple comparison fails on arrays."""
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
    """Encode `value` as JSON in UTF-8, without spaces. Raises ValueError for infinity and NaN."""
    import json  # here, because every program loads this module

    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()


class Audit(NamedTuple):
    """The result of comparing a book with a snapshot of the exchange at the same update id.

    Prices are compared within the range for which both book and snapshot are complete.

    Attributes:
        update_id: the update id of the comparison.
        checked: the number of prices compared on both sides.
        differing: prices held by both, with different quantities.
        missing: prices that only the exchange had.
        extra: prices that only the book had.
        sources: for an audit over a period: per source, how many payloads were compared and how many were
            skipped because the book never was at their update id. Empty otherwise.
    """

    update_id: int
    checked: int
    differing: int
    missing: int
    extra: int
    sources: Mapping[str, tuple[int, int]] = FixedMapping({})

    @property
    def is_clean(self) -> bool:
        """Whether the comparison found no differences."""
        return not (self.differing or self.missing or self.extra)


class Lag(NamedTuple):
    """The delay of the last update, from the exchange's event time to its receipt here, in seconds.

    The exchange's clock is estimated: the true lag lies within `seconds` ± `error`.

    Attributes:
        seconds: the estimated delay.
        error: the maximum error of the estimate, in seconds.
    """

    seconds: float
    error: float


class Level(NamedTuple, Generic[N_co]):
    """One price level, as floats; as Decimals if it comes from an exact book.

    A float is the one nearest to the text that the exchange sent (`float(text)`).

    Attributes:
        price: the price, in the quote asset.
        quantity: the quantity, in the base asset; in contracts on COIN-M and options.
    """

    price: N_co
    quantity: N_co


class Best(NamedTuple, Generic[N_co]):
    """The best bid and best ask at one update id.

    Attributes:
        bid: the highest bid; None if there are no bids.
        ask: the lowest ask; None if there are no asks.
        update_id: the update id of the book.
    """

    bid: Level[N_co] | None
    ask: Level[N_co] | None
    update_id: int

    def to_dict(self) -> dict[str, Any]:
        """Convert to a dict with `bid` and `ask` (each `[price, quantity]`, or None) and `update_id`.

        Floats stay floats; Decimals become text with all digits.
        """
        bid, ask = (None if side is None else [_plain(number) for number in side] for side in self[:2])
        return {"bid": bid, "ask": ask, "update_id": self.update_id}

    def to_json(self) -> bytes:
        """Encode `to_dict` as compact JSON in UTF-8."""
        return compact_json(self.to_dict())


class CompleteTo(NamedTuple, Generic[N_co]):
    """The last price on each side up to which the book is proven complete, inclusive.

    0.0 for bids or infinity for asks means that the whole side is known; None means that no level of that
    side is proven.

    Attributes:
        bids: all bids at or above this price are held.
        asks: all asks at or below this price are held.
    """

    bids: N_co | None
    asks: N_co | None

    def to_dict(self) -> dict[str, float | str | None]:
        """Convert to a dict with `bids` and `asks`.

        Each is a price, `"all"` if the whole side is known, or None if no level is proven. Floats stay
        floats; Decimals become text with all digits.
        """
        edges = {"bids": 0, "asks": float("inf")}
        return {
            name: price if price is None else "all" if price == edges[name] else _plain(price)
            for name, price in self._asdict().items()
        }


class Coverage(NamedTuple):
    """The number of levels inside the complete range, per side.

    Attributes:
        bids: the number of bids.
        asks: the number of asks.
    """

    bids: int
    asks: int


class Changes(NamedTuple, Generic[N]):
    """The levels that one update changed, best price first; quantity 0 means that the level was deleted.

    `bids` and `asks` hold effective changes only: an update that repeats a quantity, or deletes a price that
    is not held, is left out.
    """

    bids: list[Level[N]]
    asks: list[Level[N]]


class Integers(NamedTuple):
    """Levels as exact 64-bit integers: the price of level `i` is `levels[i, 0] / 10**price_decimals`.

    Attributes:
        levels: a new int64 array of shape (levels, 2): column 0 holds prices, column 1 quantities.
        price_decimals, quantity_decimals: the number of decimal places of each column.
    """

    levels: NDArray[np.int64]
    price_decimals: int
    quantity_decimals: int

    def __eq__(self, other: object) -> bool:
        return _same_arrays(self, other)

    def __ne__(self, other: object) -> bool:
        return not _same_arrays(self, other)

    def __hash__(self) -> int:
        return hash(tuple(self))  # raises TypeError: arrays are mutable


class BookArrays(NamedTuple):
    """Both sides at one update id, as arrays.

    Attributes:
        bids, asks: new float64 arrays of shape (levels, 2): column 0 holds prices, column 1 quantities; row 0
            is the best of the requested levels.
        complete: whether all requested levels are proven on both sides.
        update_id: the update id of the book.
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
        return hash(tuple(self))  # raises TypeError: arrays are mutable


class BookIntegers(NamedTuple):
    """Both sides at one update id, as exact integers.

    Attributes:
        bids, asks: `Integers`; the two sides may have different decimals.
        complete: whether all requested levels are proven on both sides.
        update_id: the update id of the book.
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
        return hash(tuple(self))  # raises TypeError: arrays are mutable


class MissingBook(NamedTuple):
    """A book that a call over several books left out because it could not be read.

    Attributes:
        exchange, symbol: the book.
        status: its status, anything but `synced`.
        reason: why it has this status.
    """

    exchange: str
    symbol: str
    status: Status
    reason: str


class Levels(Sequence[Level[N_co]], Generic[N_co]):
    """An immutable sequence of levels, best price first, with its update id, and whether it is complete.

    It is equal to a list or a tuple of the same levels; a slice of it is a tuple. Books return a native twin
    of this class. `list(levels)` gives a list that you can change or pass to `json.dumps`.

    Books make them. A test may make its own: `complete`, `update_id` and `reason` are what the properties of
    these names return.
    """

    __slots__ = ("_complete", "_levels", "_reason", "_update_id")

    def __init__(
        self,
        levels: Iterable[Level[N_co]] = (),
        *,
        complete: bool = True,
        update_id: int = 0,
        reason: str = "",
    ) -> None:
        self._levels = tuple(levels)
        self._complete, self._update_id, self._reason = complete, update_id, reason

    @property
    def complete(self) -> bool:
        """Whether all requested levels are proven: they lie inside the complete range, or the whole side is
        known."""
        return self._complete

    @property
    def update_id(self) -> int:
        """The update id of the book."""
        return self._update_id

    @property
    def reason(self) -> str:
        """Why there are fewer levels than requested, or why not all are proven; empty otherwise."""
        return self._reason

    def __len__(self) -> int:
        return len(self._levels)

    @overload
    def __getitem__(self, key: int) -> Level[N_co]: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Level[N_co], ...]: ...
    def __getitem__(self, key: int | slice) -> Level[N_co] | tuple[Level[N_co], ...]:
        return self._levels[key]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (list, tuple, Levels)):
            return self._levels == tuple(cast("Iterable[object]", other))
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._levels)

    def __repr__(self) -> str:
        return repr(list(self._levels))


class Imbalance(NamedTuple, Generic[N_co]):
    """The imbalance of the quantities on both sides.

    Attributes:
        ratio: (bids - asks) / (bids + asks), from -1 (only asks) to 1 (only bids); None if both sides are
            empty.
        bids, asks: the total quantities, in the base asset; in contracts on COIN-M and options.
        complete: whether both totals are proven.
        update_id: the update id of the book.
    """

    ratio: N_co | None
    bids: N_co
    asks: N_co
    complete: bool
    update_id: int


class Depth(NamedTuple, Generic[N_co]):
    """The total quantity and value in part of one side.

    Attributes:
        base: the total quantity, in the base asset; in contracts on COIN-M and options.
        quote: the total of price times quantity, in the quote asset; NaN on COIN-M.
        levels: the number of levels.
        complete: whether that part of the side is proven complete.
    """

    base: N_co
    quote: N_co
    levels: int
    complete: bool


class DepthWithin(NamedTuple, Generic[N_co]):
    """The depth within a distance of the mid.

    Attributes:
        bids, asks: the `Depth` of each side.
        mid: the mid from which the distance is measured; None if a side is empty, and both depths are then
            empty.
        update_id: the update id of the book.
    """

    bids: Depth[N_co]
    asks: Depth[N_co]
    mid: N_co | None
    update_id: int

    @property
    def complete(self) -> bool:
        """Whether both sides are proven complete within the distance."""
        return self.bids.complete and self.asks.complete


class Fill(NamedTuple, Generic[N_co]):
    """What a market order of a given size would get from the current book, before fees.

    Attributes:
        average: the average price, `quote / base`; on COIN-M the contracts divided by their worth in coins,
            as the exchange reports it. None if nothing is filled.
        worst: the price of the last level used; None if nothing is filled.
        slippage_bps: how much worse the average is than the mid, in basis points of the mid; positive for
            buys and sells alike. None if nothing is filled or a side is empty.
        base: the quantity filled, in the base asset; in contracts on COIN-M and options.
        quote: the value filled, in the quote asset; NaN on COIN-M.
        unfilled: the part of the size that the book cannot fill, in the unit of the size.
        levels: the number of levels used.
        complete: whether all levels used are proven and, if something is unfilled, that the side has no
            further levels.
        update_id: the update id of the book.
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
    """The size of a market order that moves the best price of a side by a given distance.

    Attributes:
        base: the quantity to take, in the base asset; in contracts on COIN-M and options.
        quote: the total of price times quantity, in the quote asset; NaN on COIN-M.
        price: the best price after the order; None if the order empties the side.
        levels: the number of levels taken.
        complete: whether these levels, and the new best level, are proven.
        update_id: the update id of the book.
    """

    base: N_co
    quote: N_co
    price: N_co | None
    levels: int
    complete: bool
    update_id: int


class GroupedBook(NamedTuple, Generic[N_co]):
    """The book with its levels summed in price groups, best group first.

    Attributes:
        bids: bid groups; each price is the multiple of `group` at or below the levels it contains.
        asks: ask groups; each price is the multiple of `group` at or above the levels it contains.
        group: the distance between the prices of two groups.
        update_id: the update id of the book.
    """

    bids: Levels[N_co]
    asks: Levels[N_co]
    group: N_co
    update_id: int

    @property
    def complete(self) -> bool:
        """Whether all requested groups are proven on both sides."""
        return self.bids.complete and self.asks.complete


class Status(StrEnum):
    """The status of a book; only a `SYNCED` book can be trusted. Ordered from best to worst."""

    SYNCED = "synced"
    """Correct within its complete range, and up to date."""
    CROSSED = "crossed"
    """Best bid at or above best ask after a complete event; not served. Resyncs after 1 s."""
    BRIDGING = "bridging"
    """A snapshot is installed; the book waits for the diff that confirms it."""
    BUFFERING = "buffering"
    """Diffs are buffered until a snapshot arrives."""
    EMPTY = "empty"
    """Nothing has arrived yet."""
    STALE = "stale"
    """Nothing has confirmed the book for too long, or the process was paused."""
    HALTED = "halted"
    """The exchange has halted trading in the symbol."""
    DISCONNECTED = "disconnected"
    """The connection for this book is down."""
    CLOSED = "closed"
    """Removed, delisted, or its client was closed; the book is closed for good."""


class Outcome(StrEnum):
    """The effect of one frame on a book."""

    APPLIED = "applied"
    """The diff was applied; the book is now at its final update id."""
    OLD = "old"
    """The diff is at or before the update id of the book and was skipped. This is normal."""
    WAITING = "waiting"
    """There is no snapshot yet; the diff is buffered until `load_snapshot`."""
    GAP = "gap"
    """Updates are missing; the book is unchanged, and diffs are buffered until `load_snapshot`."""
    IGNORED = "ignored"
    """Not a diff for this kind of book, for example a ticker, trade, partial depth or response."""


class SnapshotOutcome(StrEnum):
    """The effect of one snapshot on a book."""

    SYNCED = "synced"
    """Installed; the book is synced."""
    BRIDGING = "bridging"
    """Installed; the next diff confirms it or reveals a gap."""
    TOO_OLD = "too_old"
    """Older than the book or than the first buffered diff allows: not installed; buffered diffs are kept."""
    GAP = "gap"
    """Installed, but an update is missing among the buffered diffs: a newer snapshot is needed."""


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
