"""Types and documentation of the native module: books, columns, followers, router and transport.

Times in `*_ns` are nanoseconds of the caller's monotonic clock, `now_ns` in live clients (virtual in tests).
Times in `*_at` are UTC datetimes of the system's clock. `event_time` and times in `*_us` (microseconds since
1970) are the exchange's clock. Calls keep the interpreter lock, except snapshots and bulk exports, and while
they wait for the lock of a book.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from os import PathLike
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    Literal,
    Never,
    Self,
    SupportsIndex,
    TypeAlias,
    final,
    overload,
)

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer, CapsuleType, disjoint_base

from depthcache.engine import Condition, Mode
from depthcache.events import (
    DelayHistogram,
    Event,
    FeedInfo,
    FlightFrame,
    FlightSnapshot,
    HeardDiff,
    LateMarket,
    RefreshResult,
    ShallowMarket,
    TappedLines,
    Traffic,
    TransportEvent,
    WatchTick,
)
from depthcache.model import (
    Best,
    BookArrays,
    BookIntegers,
    Changes,
    CompleteTo,
    Continuity,
    Coverage,
    DepthWithin,
    Fill,
    GroupedBook,
    Imbalance,
    Integers,
    Level,
    Levels,
    MissingBook,
    N_co,
    OnStale,
    Outcome,
    SizeToMove,
    SnapshotOutcome,
    Status,
)

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped, unused-ignore]
    import polars as pl
    from matplotlib.axes import Axes

__all__ = [
    "_FORKED",
    "Book",
    "BookReader",
    "BookServer",
    "Columns",
    "FlightLog",
    "Follower",
    "FrozenBook",
    "Router",
    "Side",
    "Transport",
    "Update",
    "_Probe",
    "_columns_alive",
    "_decoded",
    "_depth_snapshot",
    "_encoded_best",
    "_encoded_status",
    "_level_lines",
    "_make_certificate",
    "_nothing",
    "_on_fork",
    "_pretend",
    "_restored_book",
    "_restored_columns",
    "_restored_levels",
    "_restored_update",
    "_server_routes",
    "_texts_snapshot",
    "now_ns",
]

Price: TypeAlias = float | Decimal
"""A price passed by the user; a float means its shortest decimal text, as written by `repr`."""

Amount: TypeAlias = float | Decimal
"""A size or distance passed by the user, read as exactly as a `Price`."""

Frame: TypeAlias = bytes | bytearray | memoryview | str

@final
class Side(Generic[N_co]):
    """One side of a book, best price first. Each call is a separate atomic read.

    `side[:20]` returns at most twenty levels, however large the book. Iteration yields the levels as they
    were when it started. Reads raise `BookNotSynced` or `BookClosed` as those of the book do.
    """

    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, key: SupportsIndex, /) -> Level[N_co]: ...
    @overload
    def __getitem__(self, key: slice, /) -> Levels[N_co]: ...
    def __iter__(self) -> Iterator[Level[N_co]]: ...
    def pairs(self, n: int | None = None) -> tuple[tuple[N_co, N_co], ...]:
        """The best `n` levels (all when None) as a tuple of plain tuples `(price, quantity)`.

        Python takes plain tuples apart twice as fast as a `Level`: for loops that touch every level. The
        numbers are those of `side[:n]`, which also says whether they are the whole truth. Raises
        InvalidArgument, BookNotSynced, BookClosed, BookTooOld.
        """
    def up_to_value(self, quote: Amount) -> Levels[N_co]:
        """Return the best levels with a total value (price times quantity) of at most `quote`.

        The best level is always included.

        It stops at the first level that does not fit, like `threshold_volume` of
        unicorn-binance-local-depth-cache, but with exact sums. Not available on COIN-M, where quantities are
        contracts. Raises InvalidArgument, BookNotSynced, BookClosed.
        """
    def to_numpy(
        self, n: int | None = None, *, low: Price | None = None, high: Price | None = None
    ) -> NDArray[np.float64]:
        """Return the best `n` levels (None for all) as a new float64 array of shape (levels, 2).

        `low`, `high`: only prices in this range, both inclusive; `n` counts from the best of them.

        Column 0 holds prices in the quote asset, column 1 quantities in the base asset, or contracts on
        COIN-M. Numbers are the floats nearest to what the exchange sent, also from an exact book. Row 0 is
        the best level. The array is a copy. More than 2,000 levels are
        copied without the interpreter lock.
        """
    def to_integers(
        self, n: int | None = None, *, low: Price | None = None, high: Price | None = None
    ) -> Integers:
        """Return the best `n` levels (None for all) as exact integers.

        `low`, `high`: as for `to_numpy`. Raises NumberTooWide if a number does not fit into 64 bits with the
        decimals of this side; use floats or Decimals then. More than 2,000 levels are
        copied without the interpreter lock.
        """
    def _repr_html_(self) -> str:
        """The HTML for notebooks: the status of the book and the best levels of this side. Never raises."""

@disjoint_base
class BookReader(Generic[N_co]):
    """The read methods shared by live books, frozen books and the offline `Book`.

    Reads of levels raise `BookNotSynced` or `BookClosed` unless the status is `synced` or the reader serves
    stale data, and `BookTooOld` if a `max_age` is exceeded. `status`, `reason`, the times, `complete_to`,
    `coverage`, `last_update_id` and `repr` never raise.

    There are three clocks: names in `…_ns` use the monotonic clock `depthcache.now_ns`, for durations and
    ages; names in `…_at` are UTC datetimes of this machine's system clock; `event_time` and `event_time_us`
    use the exchange's clock. Times are None before the first snapshot; the `…_at` times of an offline `Book`
    are always None.

    `BookReader` returns floats; `BookReader[Decimal]` is the type of `exact`; annotate `BookReader[float |
    Decimal]` to accept both. You may subclass it: `BookReader(router, market)` reads a market of a router.
    """

    def __new__(
        cls, router: Router, market: int, *, serve_stale: bool = False, max_age_s: float | None = None
    ) -> Self: ...
    @property
    def exchange(self) -> str:
        """The name of the exchange, such as `binance.com-futures`."""
    @property
    def symbol(self) -> str:
        """The symbol in the exchange's spelling, such as `BTCUSDT`."""
    @property
    def status(self) -> Status:
        """The current status of the book; only a `synced` book can be trusted."""
    @property
    def reason(self) -> str:
        """Why the book has this status; empty if it is synced and confirmed."""
    @property
    def since_ns(self) -> int:
        """The start of the current status, in nanoseconds of the clock `depthcache.now_ns`."""
    @property
    def since_at(self) -> datetime | None:
        """`since_ns` as a UTC datetime of the system's clock."""
    @property
    def unconfirmed(self) -> bool:
        """Whether the book is synced from a snapshot alone; the next diff confirms it or reveals a gap."""
    @property
    def last_update_id(self) -> int | None:
        """The update id of the book; None before the first snapshot.

        It is `u` of the last applied diff, or `lastUpdateId` of the snapshot if none followed it.
        """
    @property
    def event_time_us(self) -> int | None:
        """The exchange's time of the current book, in microseconds since 1970.

        It is `E` of the last applied diff or, if none followed the snapshot, `E` or `T` of the snapshot. Spot
        snapshots carry no time; theirs is the latest possible time: when the response was received, by an
        estimate of the exchange's clock, or by the system's clock during the first seconds of a client. None
        before the first snapshot, and for hand-fed messages without a time.
        """
    @property
    def event_time(self) -> datetime | None:
        """`event_time_us` as a UTC datetime, on the exchange's clock."""
    @property
    def updated_ns(self) -> int | None:
        """When the last applied update was received, on the clock `depthcache.now_ns`.

        The time of the snapshot if no update followed it; None before the first snapshot.
        """
    @property
    def updated_at(self) -> datetime | None:
        """`updated_ns` as a UTC datetime of the system's clock; None for an offline `Book`."""
    @property
    def confirmed_ns(self) -> int | None:
        """When an update or a comparison with a snapshot last confirmed the book.

        On the clock `depthcache.now_ns`; None before the first snapshot. A live book without updates is
        compared every 45 s.
        """
    @property
    def confirmed_at(self) -> datetime | None:
        """`confirmed_ns` as a UTC datetime of the system's clock; None for an offline `Book`."""
    def _wall_time(self, at_ns: int) -> datetime | None:
        """Convert a time of the book's clock to the system's clock, in UTC; None for an offline `Book`."""
    @property
    def best(self) -> Best[N_co]:
        """The best bid and best ask at one update id; None for an empty side.

        Raises BookNotSynced while the book cannot be trusted, BookClosed after it was closed, BookTooOld.
        """
    @property
    def best_bid(self) -> Level[N_co]:
        """The highest bid. Raises BookEmpty if there are no bids, and whatever `best` raises."""
    @property
    def best_ask(self) -> Level[N_co]:
        """The lowest ask. Raises BookEmpty if there are no asks, and whatever `best` raises."""
    @property
    def bids(self) -> Side[N_co]:
        """The bid side, highest price first."""
    @property
    def asks(self) -> Side[N_co]:
        """The ask side, lowest price first."""
    @property
    def complete_to(self) -> CompleteTo[N_co]:
        """The price on each side up to which the book is proven complete."""
    @property
    def coverage(self) -> Coverage:
        """The number of levels inside the complete range, per side."""
    @property
    def exact(self) -> BookReader[Decimal]:
        """The same book with `Decimal` numbers, with the digits that the exchange sends.

        For a Python subclass this is its native base class.
        """
    def no_older_than(self, seconds: float) -> BookReader[N_co]:
        """Return the same book, whose reads raise BookTooOld if its last update is older than `seconds`.

        Example: `book.no_older_than(0.5).best`. It can be combined with `exact`; infinity allows any age. The
        age is measured from the receipt of the last update, or of the snapshot if no update followed it. A
        frozen book does not age and an offline `Book` has no clock: both return themselves. For a Python
        subclass this is its native base class. Raises InvalidArgument if `seconds` is not above 0.
        """
    def freeze(
        self, levels: int | None = None, *, on_stale: OnStale | None = None, max_age: float | None = None
    ) -> FrozenBook[N_co]:
        """Copy the best `levels` of each side (None for all) at one update id into a constant book.

        `on_stale`: `raise` BookNotSynced, or `serve` the last known book; `wait` raises as well, since this
        call returns immediately. None uses the setting of this book. `max_age`: the highest age allowed, in
        seconds, as for `no_older_than`; None uses the setting of this book. Raises BookNotSynced while the
        book cannot be trusted, BookClosed after it was closed, BookTooOld, and InvalidArgument for another
        `on_stale` or negative levels.
        """
    def to_numpy(
        self, levels: int | None = None, *, low: Price | None = None, high: Price | None = None
    ) -> BookArrays:
        """Return both sides at one update id as new float64 arrays of shape (levels, 2).

        `levels`: the best levels per side; None for all. `low`, `high`: only prices in this range, both
        inclusive; `levels` counts from the best of them. Column 0 holds prices in the quote asset, column 1
        quantities in the base asset, or contracts on COIN-M. Numbers are the floats nearest to what the
        exchange sent, also from an exact book. Raises InvalidArgument. More than 2,000 levels a side are
        copied without the interpreter lock.
        """
    def to_integers(
        self, levels: int | None = None, *, low: Price | None = None, high: Price | None = None
    ) -> BookIntegers:
        """Return both sides at one update id as exact int64 arrays, each side with its own decimals.

        Arguments as for `depthcache.BookReader.to_numpy`. Raises NumberTooWide if a number does not fit.
        """
    def to_arrow(
        self,
        levels: int | None = None,
        *,
        low: Price | None = None,
        high: Price | None = None,
        exact: bool = False,
    ) -> Columns:
        """Return both sides at one update id as `Columns`, which Arrow libraries read without a copy.

        `levels`, `low`, `high`: as for `to_numpy`. `exact`: prices and quantities as decimal128(38, 18)
        instead of float64; always the case for an exact book.
        """
    def to_pandas(
        self,
        levels: int | None = None,
        *,
        low: Price | None = None,
        high: Price | None = None,
        exact: bool = False,
    ) -> pd.DataFrame:
        """Return both sides as a pandas DataFrame; arguments as for `depthcache.BookReader.to_arrow`.

        Raises PackageMissing (an ImportError) without pandas.
        """
    def to_polars(
        self,
        levels: int | None = None,
        *,
        low: Price | None = None,
        high: Price | None = None,
        exact: bool = False,
    ) -> pl.DataFrame:
        """Return both sides as a polars DataFrame; arguments as for `depthcache.BookReader.to_arrow`.

        Raises PackageMissing (an ImportError) without polars.
        """
    @property
    def mid(self) -> N_co:
        """(best bid + best ask) / 2, in the quote asset.

        Use `complete` of `freeze(1)` to see whether the best levels are proven. Raises BookEmpty if a side is
        empty, BookNotSynced, BookClosed, BookTooOld.
        """
    @property
    def microprice(self) -> N_co:
        """(ask * bid quantity + bid * ask quantity) / (bid quantity + ask quantity), of the best levels.

        The mid weighted by the quantity on the other side: a larger bid pulls it towards the ask.
        Stoikov (2018) calls this the weighted mid, and uses micro-price for an estimator based on market
        history. Raises whatever `mid` raises.
        """
    @property
    def spread(self) -> N_co:
        """Best ask - best bid, in the quote asset. Raises whatever `mid` raises."""
    @property
    def spread_bps(self) -> N_co:
        """The spread in basis points of the mid: 10,000 * spread / mid. Raises whatever `mid` raises."""
    def imbalance(self, levels: int | None = None, *, bps: Amount | None = None) -> Imbalance[N_co]:
        """Compute (B - A) / (B + A) from the quantities of bids B and asks A.

        It ranges from -1 (only asks) to 1 (only bids) and covers the best `levels` of each side, or all
        levels within `bps` basis points of the mid; with neither, the best level only. See Cartea, Jaimungal,
        Penalva (2015), chapter 12. Raises InvalidArgument, BookNotSynced, BookClosed.
        """
    def depth_within(self, bps: Amount) -> DepthWithin[N_co]:
        """Sum the levels within `bps` basis points of the mid, inclusive: base and quote amounts per side.

        Raises InvalidArgument, BookNotSynced, BookClosed.
        """
    def fill(
        self, side: Literal["buy", "sell"], *, base: Amount | None = None, quote: Amount | None = None
    ) -> Fill[N_co]:
        """Compute the fill of a market order: average and worst price, slippage, unfilled size.

        `side`: `buy` takes asks, `sell` takes bids. Pass the size, above 0, either in the base asset (`base`)
        or in the quote asset (`quote`). On COIN-M, `base` counts contracts, and `quote` is not allowed
        because a book does not know the contract size. Fees are not included. Raises InvalidArgument,
        BookNotSynced, BookClosed.
        """
    def size_to_move(self, side: Literal["buy", "sell"], bps: Amount) -> SizeToMove[N_co]:
        """Compute the size of a market order that moves the best price of a side by `bps` basis points.

        `side`: `buy` takes all asks below best * (1 + bps / 10,000), `sell` all bids above best * (1 - bps /
        10,000). Raises InvalidArgument, BookNotSynced, BookClosed.
        """
    def grouped(self, group: Amount | str, levels: int | None = None) -> GroupedBook[N_co]:
        """Return the best `levels` price groups per side (None for all), at multiples of `group`.

        A bid belongs to the multiple at or below its price, an ask to the multiple at or above it. Empty
        groups are left out. `group` is read exactly: a float means its shortest decimal text, as written by
        `repr`. Raises InvalidArgument, BookNotSynced, BookClosed.
        """
    def plot(
        self,
        *,
        ax: Axes | None = None,
        levels: int | None = None,
        bps: float | None = None,
        cumulative: Literal["base", "quote"] = "base",
        on_stale: OnStale | None = None,
        max_age: float | None = None,
    ) -> Axes:
        """Draw a depth chart of the current book with matplotlib, and return its Axes.

        The chart shows the cumulative size by price, one step per level; levels that are not proven are
        hatched.

        `ax`: the Axes to draw into; None creates a new figure with pyplot. No window opens before
        `pyplot.show()`. `bps`: the distance from the mid, in basis points. `levels`: the number of levels per
        side. With neither, the distance is 100 bps (1 %), or twice the complete range if that is less, and at
        least the best 20 levels per side are shown. `cumulative`: `base` sums quantities, `quote` sums price
        times quantity and is not available on COIN-M. In a one-sided book the distance is measured from the
        best price. `on_stale`, `max_age`: as for `freeze`; `on_stale="serve"` draws the last known book while
        it is not synced, and the title says so.

        Raises BookEmpty for a book without levels, BookNotSynced, BookClosed, BookTooOld, InvalidArgument,
        and PackageMissing (an ImportError) without matplotlib.
        """
    def _repr_html_(self) -> str:
        """The HTML for notebooks: the status and the best levels of both sides. Never raises."""
    @property
    def counters(self) -> dict[str, int]:
        """Counts of events since the book was created; they only grow.

        `applied`: diffs applied. `old`: diffs skipped because they were at or before the update id. `gaps`:
        sequence gaps. `resets`: resets of the update ids by the exchange. `crossed`: times best bid and best
        ask touched or crossed. `malformed`: frames that could not be read. `dropped_buffers`: buffers of
        diffs dropped because they were full. `snapshots`: snapshots installed. `refreshes`: snapshots merged
        into the live book. `corrections`: wrong prices that were corrected. `levels_changed`: levels set or
        deleted by diffs.
        """
    @property
    def memory_bytes(self) -> int:
        """The memory used by the levels of both sides and by buffered diffs, in bytes.

        16 bytes per level plus reserve for changes; excludes the flight recorder and the overhead of the
        allocator.
        """

@disjoint_base
class FrozenBook(BookReader[N_co]):
    """A constant copy of a book, with the same read methods; safe to use from any thread.

    It can be pickled without losing digits. Two frozen books are equal if state, numbers and exactness are
    equal.
    """

    def __new__(cls, *args: Never, **kwargs: Never) -> Self:
        """Raises TypeError: use `freeze` to create a frozen book."""
    @property
    def exact(self) -> FrozenBook[Decimal]:
        """The same book with `Decimal` numbers, with the digits that the exchange sends."""
    def no_older_than(self, seconds: float) -> Self:
        """Return this book: a constant does not age. Raises InvalidArgument."""
    @property
    def complete(self) -> bool:
        """Whether all levels requested from `freeze` are proven on both sides."""
    def to_dict(self, *, counters: bool = False) -> dict[str, Any]:
        """Convert to plain dicts, lists, numbers and text: the message that `to_json` encodes.

        Levels are `[price, quantity]`: floats, or text with all digits for an exact book. Keys and units are
        described in `depthcache.wire`. `counters`: whether to include the counters.
        """
    def to_json(self, *, counters: bool = False) -> bytes:
        """Encode the same as compact JSON in UTF-8. `counters`: as for `to_dict`."""
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: object) -> Self: ...

@final
class Update(FrozenBook[N_co]):
    """One item of a followed book: a frozen book, and its relation to the previous item.

    If `status` is not `synced`, the item reports a loss of sync, or the end of the book: reads of its levels
    raise BookNotSynced (BookClosed for the last item), or return the last known levels with
    `on_stale="serve"`. Every update of a book is either delivered by one item that is not fresh, or counted
    in `skipped` of a later item.
    """

    def __new__(cls, *args: Never, **kwargs: Never) -> Self:
        """Raises TypeError: updates come from following a book."""
    @property
    def exact(self) -> Update[Decimal]:
        """The same item with `Decimal` numbers, including its changes."""
    @property
    def skipped(self) -> int:
        """The number of updates since the previous item that were not delivered."""
    @property
    def is_fresh(self) -> bool:
        """Whether to start over from this book, because `changes` do not continue the previous item.

        True for the first item, after a loss of sync, after a snapshot that changed held levels, and after
        updates were lost because the consumer was too slow (mode `every`).
        """
    @property
    def changes(self) -> Changes[N_co] | None:
        """The levels that this update changed, in mode `every`.

        None if the item is fresh or reports a loss of sync, and in all other modes.
        """
    def to_dict(self, *, counters: bool = False) -> dict[str, Any]:
        """Convert to plain dicts, lists, numbers and text: the message that `to_json` encodes.

        It holds the book, `skipped`, `is_fresh` and `changes`; `bids` and `asks` are None if the levels
        cannot be read. `counters`: as for `FrozenBook.to_dict`.
        """
    def to_json(self, *, counters: bool = False) -> bytes:
        """Encode the same as compact JSON in UTF-8. `counters`: as for `to_dict`."""

@final
class Follower:
    """One consumer's view of some markets of a router; created by `Router.follow`.

    Dropping it removes it from its markets. Only one thread at a time may take items. In a forked child it is
    empty.
    """

    @property
    def number(self) -> int: ...
    @property
    def markets(self) -> int:
        """The number of markets followed; a market whose last item was taken no longer counts."""
    @property
    def held_items(self) -> int:
        """The number of items waiting for the consumer (mode `every`)."""
    @property
    def held_bytes(self) -> int:
        """The approximate size of these items, in bytes."""
    @property
    def due_ns(self) -> int | None:
        """When to call `take` again if nothing else happens; None for never."""
    @property
    def is_over(self) -> bool:
        """Whether all items were taken and none will follow."""
    def add(self, router: Router, market: int) -> None:
        """Follow one more market; its current state is not announced. Raises KeyError."""
    def remove(self, market: int) -> None:
        """Stop following a market; items that are waiting are still delivered."""
    def take(self, now_ns: int) -> Update | None:
        """Return the next item; None if there is none."""
    def wait(self, timeout_s: float) -> None:
        """Wait for items without holding the interpreter lock. Ctrl-C interrupts it within 0.1 s."""
    def finish(self) -> None:
        """Accept no further items; those that are waiting are still delivered."""
    def close(self) -> None:
        """Stop following all markets and drop waiting items."""

@disjoint_base
class Book(BookReader[N_co]):
    """An offline book: you feed it snapshots and frames."""

    def __new__(
        cls,
        exchange: str,
        symbol: str | None,
        continuity: Continuity,
        *,
        inverse: bool = False,
        buffer_bytes: int = ...,
        serve_stale: bool = False,
    ) -> Self:
        """`inverse`: quantities count contracts of a fixed value in the quote asset.

        `serve_stale`: reads return the last known book while it is not synced, instead of raising.
        """
    @property
    def exact(self) -> Book[Decimal]:
        """The same book with `Decimal` numbers, with the digits that the exchange sends."""
    def no_older_than(self, seconds: float) -> Self:
        """Return this book: an offline book has no clock. Raises InvalidArgument."""
    def load_snapshot(
        self, body: Frame, *, limit: int | None = None, latest_us: int | None = None
    ) -> SnapshotOutcome:
        """Install the bytes of a REST depth response requested with `limit` (None if unknown).

        `latest_us`: the latest time at which it was made, on the exchange's clock; None for the time in its
        body. Buffered diffs newer than it are applied immediately. A snapshot older than the book, or than
        the buffered diffs allow, changes nothing (`TOO_OLD`). Raises MalformedSnapshot or SymbolMismatch; the
        book is then unchanged.
        """
    def apply(self, frame: Frame) -> Outcome:
        """Apply one WebSocket frame, raw or wrapped.

        After `GAP`, diffs are buffered and reads raise BookNotSynced, until `load_snapshot` installs a newer
        snapshot. Raises MalformedFrame or SymbolMismatch; the book is then unchanged.
        """

@final
class Columns:
    """Levels of one or more books as columns, one row per level; constant, with no Python object per level.

    `Columns(books, levels=20)` takes books of any kind: live, frozen or offline. Rows are ordered by book,
    bids before asks, best first. Each book is read atomically at one update id, one book after another.

    | column | type | content |
    |---|---|---|
    | exchange, symbol | dictionary of text | the book |
    | side | dictionary of text | `bid` or `ask` |
    | level | int32 | the position in its side, 0 for the best |
    | price | float64 or decimal128(38, 18) | in the quote asset |
    | quantity | float64 or decimal128(38, 18) | in the base asset, or contracts on COIN-M |
    | proven | bool | whether the level lies inside the complete range |
    | update_id | int64 | the update id of the book |
    | event_time | timestamp[us, UTC] | the exchange's time of the book; null if unknown |
    | updated_ns | int64 | when it was received, on the clock `now_ns`, in ns; null before a snapshot |
    | status | dictionary of text | `synced`, or another status if stale data is served |

    Arrow libraries read it without a copy through the Arrow PyCapsule interface (`__arrow_c_schema__`,
    `__arrow_c_array__`, `__arrow_c_stream__`): `pyarrow.table(columns)`, `polars.DataFrame(columns)`,
    `duckdb.from_arrow(columns)`. The memory is shared and lives as long as any of them uses it.
    """

    def __new__(
        cls,
        books: Iterable[BookReader[float | Decimal]],
        levels: int | None = None,
        *,
        low: Price | None = None,
        high: Price | None = None,
        exact: bool = False,
        missing: Literal["raise", "skip"] | None = None,
    ) -> Self:
        """Read the best `levels` of each side of each book; None for all.

        `books`: any iterable of books. `low`, `high`: only prices in this range, both inclusive. `exact`:
        decimal128 instead of float64, also used if one of the books is exact. `missing`: for books that
        cannot be read: `raise` (the default) raises BooksNotSynced, which names them all, or BookClosed if
        they are all closed for good; `skip` leaves them out and lists them in `missing`. Raises
        InvalidArgument. The interpreter lock is released during the copy.
        """
    def __len__(self) -> int:
        """The number of levels."""
    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
    @property
    def missing(self) -> tuple[MissingBook, ...]:
        """The books that were left out, each with its status and reason."""
    def to_numpy(self) -> dict[str, NDArray[np.generic]]:
        """Return a dict of arrays, one per column.

        Number arrays are read-only views of this object. Text is fixed-width; times are datetime64[us] in
        UTC, NaT if missing; a missing `updated_ns` is -1. Raises InvalidArgument for exact numbers, which
        numpy cannot hold.
        """
    def to_pandas(self) -> pd.DataFrame:
        """Return a pandas DataFrame with its own memory.

        Text columns are categories, `event_time` is datetime64[us, UTC], `updated_ns` is Int64, and exact
        numbers are pyarrow decimal128. Raises PackageMissing (an ImportError) without pandas.
        """
    def to_polars(self) -> pl.DataFrame:
        """Return a polars DataFrame that shares this memory.

        Raises PackageMissing (an ImportError) without polars.
        """
    def _repr_html_(self) -> str:
        """The HTML for notebooks: the first rows, the column types, and the missing books."""
    def _parts(self) -> list[tuple[str, str, Buffer, Buffer | None, list[str] | None]]: ...
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: object) -> Self: ...
    def __arrow_c_schema__(self) -> CapsuleType: ...
    def __arrow_c_array__(
        self, requested_schema: CapsuleType | None = None
    ) -> tuple[CapsuleType, CapsuleType]:
        """`requested_schema` is ignored: the columns keep their types."""
    def __arrow_c_stream__(self, requested_schema: CapsuleType | None = None) -> CapsuleType:
        """Export as a stream of one batch."""

@final
class _Probe:
    """For benchmarks: how many frames a `Transport` receives, and, with `times`, how late each of them
    is by its event time (µs since 1970). Counting alone costs nothing that could be measured."""

    def __new__(cls, *, times: bool = True) -> Self: ...
    def frames(self) -> int:
        """How many frames came."""
    def set_times(self, times: bool) -> None:
        """Measure delays from now on, or no more."""
    def take_delays_ns(self) -> list[int]:
        """The delays of all frames since the last call."""

@final
class Transport:
    """WebSocket connections on a native thread, which passes frames directly to a router.

    It never takes the interpreter lock. Usage: wait until `wake_socket` is readable, then call `take_events`;
    `open` each connection number once; to end it, call `stop`, wait for the event `stopped`, then `join`.
    Raises OSError if no thread can be started, ValueError for invalid times.
    """

    def __new__(
        cls,
        router: Router | None,
        *,
        quiet_s: float,
        pong_s: float,
        connect_s: float = 15.0,
        ca_file: str | PathLike[str] | None = None,
        fingerprint: bytes | None = None,
        certificate: tuple[str | PathLike[str], str | PathLike[str]] | None = None,
        token: str | None = None,
        _addresses: Mapping[str, Sequence[IPv4Address | IPv6Address]] | None = None,
        _probe: _Probe | None = None,
    ) -> Self:
        """Start the thread. All times are in seconds.

        `quiet_s`: send a ping after this long without a sign of life. `pong_s`: the connection counts as
        broken if no response follows within this time. A sign of life is data for a market or a listener, or
        the response to that ping. `connect_s`: the timeout for connecting, from the name lookup to the
        response to the handshake. `ca_file`: a PEM file of trusted authorities; None for those of the system.
        `fingerprint`: SHA-256 of the only certificate to trust instead, 32 bytes. `certificate`: PEM files of
        the certificate and key with which this side proves itself; read for every connection. `token`: sent
        with every handshake. `_addresses`: for tests, addresses of names that are not looked up.
        """
    def wake_socket(self) -> int:
        """The file descriptor of a socket that is readable while events wait; the caller must close it."""
    @property
    def is_foreign(self) -> bool:
        """Whether this process is a fork of the one that runs the thread."""
    def open(
        self,
        connection: int,
        url: str,
        *,
        proxy: tuple[Literal["http", "https", "socks5"], str, int, tuple[str, str] | None] | None = None,
    ) -> None:
        """Connect; results in the event `open` or `closed`.

        `proxy`: kind (http or socks5), host, port, and user with password. Raises ValueError for another
        kind.
        """
    def send(self, connection: int, text: str) -> None:
        """Send one text message; no effect if the connection is gone."""
    def close(self, connection: int) -> None:
        """Send a close frame; results in the event `closed`."""
    def take_events(self) -> list[TransportEvent]:
        """Return the events since the last call. Take the router's events afterwards."""
    def stop(self, close_timeout_s: float) -> None:
        """Send close frames on all connections, and return immediately.

        After the timeout, the thread drops what is still open and ends.
        """
    def join(self) -> None:
        """Wait for the thread to end, after `stop`."""

@final
class BookServer:
    """HTTP reads of live books on native threads, which never need the interpreter.

    Order of calls: `add` and `remove` books, `take_request` and `respond` on any thread, then `drain`. Raises
    OSError when the address is not to be had, ValueError for a certificate or an option that cannot be used.
    """

    def __new__(
        cls,
        host: str,
        port: int,
        *,
        workers: int,
        tokens: Sequence[tuple[str, str]],
        hosts: Sequence[str],
        documents: Mapping[str, tuple[str, bytes]],
        gzipped: Mapping[str, bytes] | None = None,
        tls: tuple[str, str] | None = None,
        limits: Mapping[str, float] | None = None,
        compat: Sequence[tuple[str, int, str, Sequence[str], bool]] | None = None,
        access_log: str | None = None,
        exchange: str | None = None,
        cluster: Mapping[str, str] | None = None,
    ) -> Self:
        """`host`: an address. `tokens`: role (`read` or `manage`) and secret. `hosts`: names of hosts that
        requests may be for, beside addresses and `localhost`. `documents`: media type and content by path.
        `gzipped`: the same content compressed, of some of them. `tls`: certificate chain and key in PEM.
        `limits`: `connections`, `connections_per_address`, `requests_per_second` (0: any number),
        `header_bytes`, `body_bytes`, `idle_s`, `delegation_s`; others have their defaults. `compat`:
        listeners for old clients, each with its address, port, the name that its clients look for, the
        networks it takes, and whether it manages. `access_log`: a file for one JSON line a request; `-` for
        standard error. `exchange`: how the exchange's own protocol is spoken, as JSON; None for not at
        all. `cluster`: for a node of a cluster, instead of `tls`: `node`, its id as its certificate names it,
        and `authority`, `certificate` and `key` in PEM. A node also takes plain HTTP from its own host."""
    @property
    def port(self) -> int:
        """The port that it listens on."""
    @property
    def is_foreign(self) -> bool:
        """Whether this process was forked from the one whose threads serve."""
    @property
    def compat_ports(self) -> list[int]:
        """Where it listens for old clients, in the order they were given."""
    @property
    def listeners(self) -> list[int]:
        """Descriptors of the listening sockets, for a forked child to close; none at the end, and where there
        are no forks."""
    def add(self, exchange: str, symbol: str, book: BookReader[float | Decimal]) -> None:
        """Serve a live book, or a `Book` that is fed by hand, under these names. Raises ValueError for a
        frozen one."""
    def set_aliases(self, aliases: dict[str, str]) -> None:
        """Replace the other names of exchanges: the name of the exchange by each of them."""
    def add_followed(self, exchange: str, symbol: str, book: BookReader[float | Decimal]) -> None:
        """Serve a followed book, which other nodes hold, to readers but to no node. A book from `add` with
        these names is hidden behind it: nodes get that one, and its updates are kept for readers. Raises
        ValueError for a frozen one."""
    def take_over(self, exchange: str, symbol: str, *, is_exact: bool) -> bool:
        """Let the hidden book take the place of the followed one, so that each reader gets every update once.

        `is_exact`: only while both are at one update id, so that readers of views need no new snapshot.
        Returns whether that was done; not while the hidden book is not synced or is behind, or where
        the updates since the followed one's last are not kept."""
    def remove_followed(self, exchange: str, symbol: str) -> bool:
        """Serve a followed book no longer; whether it was served. The hidden one takes its place at once, and
        readers start over."""
    def remove(self, exchange: str, symbol: str) -> bool:
        """Serve a book from `add` no longer; whether it was served."""
    def __len__(self) -> int:
        """How many books are served."""
    def take_request(self, timeout_s: float) -> tuple[int, str, str, str, bytes] | None:
        """The next request that Python is to answer: number, route, exchange, symbol, body.

        Other paths have their parameters in the place of exchange and symbol. None after so long, and at
        the end. Waits without the interpreter."""
    def replace_certificate(self, certificate: str, key: str, authority: str | None = None) -> None:
        """Give new connections another certificate; open connections keep theirs. A node uses it for its own
        connections to other nodes, too.

        `certificate`, `key`: the chain and the private key, in PEM. `authority`: what a node trusts from now
        on, one or several certificates in PEM; None for what it trusts already. Raises ValueError for those
        that cannot be used."""
    def set_holders(
        self,
        exchange: str,
        symbol: str,
        holders: Sequence[tuple[str, str]],
        *,
        status: str = "synced",
        reason: str = "",
    ) -> None:
        """Which nodes hold a book of the cluster: each with its id and `host:port` of its server, the best to
        ask first. They are asked while this server does not hold the book in a state that can be read, so
        they may also be set for a book that it holds. Without nodes the book is forgotten.

        `status`, `reason`: those of its best replica, for the list of books. Raises ValueError for a status
        that does not exist, and for a server that is no node."""
    def set_nodes(self, addresses: Sequence[str]) -> None:
        """The servers of all nodes, this one included, for clients that can move to another one. `addresses`:
        `host:port` each. Raises ValueError for a server that is no node."""
    def set_not_ready(self, reason: str) -> None:
        """Why `/readyz` says that this node is not ready; empty if it is. Until the first call, it counts
        books as on a server that is no node. Raises ValueError for a server that is no node."""
    def set_denied(self, nodes: Sequence[str]) -> None:
        """The nodes that are refused from now on, and no others; their open connections end. `nodes`: their
        ids. Raises ValueError for a server that is no node."""
    def readers(self, exchange: str, symbol: str) -> int:
        """Connections that follow a book, counted for each of its streams and views."""
    def keep_for_readers(self, exchange: str, symbol: str, is_kept: bool) -> None:
        """Keep an own book only for its present readers, because other nodes hold it now, or serve it as a
        replica again (`is_kept` False). Each call tells the readers that can move which nodes hold the book,
        and new ones are sent there. Raises ValueError for a server that is no node."""
    def set_authority(self, authority: str) -> None:
        """Show nodes that want to join the certificates of the cluster's authority, in PEM, and let them ask.

        `join_cluster` and `renew_node_certificate` come from `take_request`.
        """
    def set_tokens(self, tokens: Sequence[tuple[str, bytes, int | None]]) -> None:
        """Take these tokens from now on, and no others: role (`read`, `manage`, or `exchange` for keys of the
        exchange's protocol), SHA-256 of the secret, and when it ends, in milliseconds since 1970 (None:
        never). Connections that were opened with a token end with it. Raises ValueError."""
    def set_metrics(self, text: bytes) -> None:
        """What `/metrics` says beside what the server knows itself: text of Prometheus, of other families."""
    def set_versions(self, running: str, installed: str) -> None:
        """The versions of the program that run and are installed, for `/v1/stats`."""
    def set_recording(self, has_ended: bool) -> None:
        """The books are of a recording, which plays or has ended, for `/v1/stats`."""
    def delegate_lists(self) -> None:
        """Let Python list the books for old clients: those of a whole cluster, through `take_request`."""
    @property
    def followers(self) -> int:
        """WebSockets and streams of events that are open."""
    @property
    def metrics_reads(self) -> int:
        """How often `/metrics` was asked for."""
    @property
    def is_over(self) -> bool:
        """Whether `take_request` gives nothing any more."""
    def is_waiting(self, number: int) -> bool:
        """Whether somebody still waits for the answer to a request."""
    def respond(self, number: int, status: int, body: bytes) -> bool:
        """Answer a request with a status and JSON; False where nobody waits for it any more."""
    def drain(self, timeout_s: float) -> bool:
        """Take no connection any more, answer what was asked, and end; cut what is not done by then.

        Whether all was done. Waits without the interpreter."""

@final
class FlightLog:
    """The contents of a market's flight recorder, and the book at the same moment."""

    @property
    def frames(self) -> list[FlightFrame]:
        """The newest frames, oldest first."""
    @property
    def snapshot(self) -> FlightSnapshot | None:
        """The last snapshot; None after a frame that follows it was dropped."""
    @property
    def book(self) -> FrozenBook: ...

@final
class Router:
    """All markets of one client, and the routes of frames to them.

    Usage: `add_market`, `open_connection`, `route`, then `feed` for every frame; when `feed` returns True,
    `take_events`. Market and connection numbers are chosen by the caller and never reused.
    """

    ARBITRATION_PATIENCE_NS: Final[int]
    """How long another connection may take to fill a gap of one connection if nothing else arrives."""

    def __new__(
        cls, *, control_capacity: int = ..., buffer_bytes: int = ..., flight_bytes: int = ...
    ) -> Self: ...
    def add_market(
        self,
        market: int,
        exchange: str,
        symbol: str,
        continuity: Continuity,
        *,
        inverse: bool = False,
        now_ns: int = 0,
    ) -> None:
        """Add an empty market under a number chosen by the caller.

        `inverse`: quantities count contracts of a fixed value in the quote asset. `now_ns`: since when the
        market is empty.
        """
    def relay(self, market: int, now_ns: int) -> None:
        """Take the diffs of a market from book servers; this cannot be undone.

        From now on it is never synced unless a server says, in order with the diffs, that its own book is.
        """
    def upstream(self, market: int) -> tuple[str, str] | None:
        """The status and reason of the servers' book; None before a server has said it. Raises KeyError."""
    def remove_market(self, market: int, reason: str, now_ns: int) -> None:
        """Remove a market; its readers are `closed` from now on."""
    def reader(self, market: int, *, serve_stale: bool = False) -> BookReader:
        """Create a reader of a market. `serve_stale`: whether it also reads the last known book."""
    def open_connection(self, connection: int, *, server: str = "") -> None:
        """Expect wrapped frames (`{"stream":…,"data":…}`) for this connection number.

        `server`: how users know the book server at its other end; empty for the exchange.
        """
    def close_connection(self, connection: int) -> None:
        """Remove a connection and its routes; its frames are ignored from now on."""
    def route(self, connection: int, stream: str, market: int) -> None:
        """Route a stream of a connection to a market.

        Several connections may carry the same market: the first copy of a diff wins, and a gap counts only if
        no other connection can fill it.
        """
    def listen(self, connection: int, stream: str) -> None:
        """Report the newest frame of this stream as `StreamFrame`; the stream belongs to no market."""
    def unroute(self, connection: int, stream: str) -> None:
        """Treat frames of this stream as stray again."""
    def feeds(self, market: int) -> list[FeedInfo]:
        """The connections of a market. Raises KeyError."""
    def traffic(self, connection: int) -> Traffic:
        """The traffic of a connection. Raises KeyError if it is not open."""
    def feed(self, connection: int, frame: Frame, received_ns: int) -> bool:
        """Pass one frame to its book; True if `take_events` has events.

        Never raises because of the frame: malformed frames become events.
        """
    def take_events(self) -> list[Event]:
        """Return the events since the last call."""
    def install_snapshot(
        self,
        market: int,
        body: Frame,
        *,
        limit: int | None,
        live: bool,
        now_ns: int,
        made_us: tuple[int, int] | None = None,
    ) -> SnapshotOutcome:
        """Install a snapshot requested with `limit`.

        `live`: whether the subscription was acknowledged, or data had arrived, before the snapshot was
        requested. `made_us`: the earliest and latest time at which it was made, on the exchange's clock (0 if
        the earliest is unknown); None for the time in its body. Raises MalformedSnapshot, SymbolMismatch; the
        book is then unchanged.
        """
    def date_snapshot(self, market: int, made_us: tuple[int, int]) -> None:
        """Supply the time range in which the held snapshot was made, if no diff followed it.

        No effect if its time was known.
        """
    def begin_refresh(self, market: int) -> bool:
        """Start keeping applied diffs, before the snapshot of a refresh is requested.

        Returns False if the book is not live (synced or crossed).
        """
    def end_refresh(self, market: int) -> None:
        """Cancel a refresh."""
    def refresh(
        self,
        market: int,
        body: Frame,
        *,
        limit: int | None,
        now_ns: int,
        made_us: tuple[int, int] | None = None,
    ) -> RefreshResult:
        """Roll a snapshot requested with `limit` to the update id of the live book, compare and merge it.

        The book stays synced. Inside the range of the snapshot its levels are taken, beyond it those of the
        book are kept. The complete range becomes the wider of the two or, if they differed inside both, that
        of the snapshot alone. `MERGED`: done, with the comparison. `WAITING`: the snapshot is ahead of the
        book and is merged when the book reaches it, which a `MarketChange` reports (cause `refreshed`).
        `TOO_OLD`: it is behind the book; or, if it is clearly newer in time, the exchange has reset its
        update ids and the book has lost its position (cause `reset`). `NOT_LIVE`: there is no live book, or
        no refresh was started. `made_us`: as for `install_snapshot`. Raises MalformedSnapshot,
        SymbolMismatch; the refresh is then over.
        """
    def settle_refresh(self, market: int, now_ns: int) -> RefreshResult:
        """Settle a waiting snapshot for which no diff came.

        `MERGED`: it equals the book, on a venue whose update ids are shared. `OTHER_BOOK`: it differs and is
        dropped. `NONE_WAITING`.
        """
    def set_depth_target(self, market: int, levels: int, *, requested: int) -> None:
        """Set how many complete levels per side are enough while readers request at most `requested`.

        Before this call no number is enough. Raises KeyError for an unknown market.
        """
    def shallow(self) -> list[ShallowMarket]:
        """The live books with fewer complete levels than their target.

        Also those whose readers request more levels than `set_depth_target` assumed.
        """
    def set_clock_offset(self, market: int, offset_ns: int | None) -> None:
        """Set the offset from the clock of the frames to the exchange's, for `delays` and `late`."""
    def heard(self, market: int) -> HeardDiff | None:
        """The newest diff that was applied, buffered or skipped as backlog; None before one.

        Backlog is at or before the update id, and not after a reset of the ids.
        """
    def last_diff(self, market: int) -> HeardDiff | None:
        """The last diff applied since the snapshot; None before one."""
    def late(self, most_us: int) -> list[LateMarket]:
        """The markets whose newest diff was more than `most_us` late on receipt.

        Markets without `set_clock_offset` are left out.
        """
    def set_virtual_time(self, now_ns: int, wall_ns: int) -> None:
        """Set a virtual clock, which readers of this router use from now on.

        `now_ns`: the monotonic time. `wall_ns`: the system's time, in nanoseconds since 1970.
        """
    def delays(self, market: int) -> DelayHistogram:
        """The delays of updates; nothing is counted before `set_clock_offset`."""
    def start_tap(self, most_bytes: int, offset_ns: int) -> None:
        """Start keeping every frame for `take_tapped`, as lines of JSON.

        `most_bytes`: further frames are counted as lost. `offset_ns`: from the clock of the frames to
        nanoseconds since 1970.
        """
    def stop_tap(self) -> None:
        """Stop keeping frames; those not taken are dropped."""
    def tap_line(self, line: bytes) -> None:
        """Insert a line of the recorder, without its line break, between the frames."""
    def take_tapped(self) -> TappedLines:
        """Return the lines kept since the last call."""
    def flight_log(self, market: int) -> FlightLog:
        """The current contents of a market's flight recorder."""
    def follow(
        self,
        mode: Mode,
        *,
        levels: int | None = None,
        interval_ns: int = 0,
        start_ns: int = 0,
        on_stale: OnStale = "raise",
        most_items: int,
        most_bytes: int,
        announces: bool = True,
    ) -> Follower:
        """Create a follower without markets.

        `levels`: per side in each item; None for all. `interval_ns`, `start_ns`: times for mode `interval`.
        `most_items`, `most_bytes`: how much to keep for a slow consumer (mode `every`, 16 MiB). `announces`:
        whether the event `FollowerReady` reports items; otherwise the consumer calls `wait`. Raises
        ValueError.
        """
    def resync(self, market: int, reason: str, now_ns: int) -> None:
        """Return to buffering, keeping buffered diffs and old levels: the book needs a new snapshot."""
    def restart(self, market: int, reason: str, now_ns: int) -> None:
        """Return to buffering with an empty buffer: diffs will come from a new connection."""
    def set_condition(self, market: int, condition: Condition | None, reason: str, now_ns: int) -> None:
        """Set a condition on top of the state of a market, or clear it (None)."""

    def set_stalled(self, reason: str | None, now_ns: int) -> None:
        """Mark the source of frames as stalled, or as running again (`reason` None).

        While stalled, its books are stale for that reason, unless their status is worse.
        """
    def set_time_to_detect(self, market: int, within_ns: int | None) -> None:
        """Set the time after which an unconfirmed book becomes stale, while the event loop does not `attend`.

        None for never. Raises KeyError.
        """
    def attend(self, now_ns: int) -> int:
        """Report that the event loop is attending to its books.

        Returns the number of pauses so far.
        """
    def judge_silence(self, now_ns: int) -> None:
        """Doubt books that were not confirmed in time, unless the event loop attended within 3 s.

        The cause is `doubted`; `proven` ends it.
        """
    def start_watch(self) -> None:
        """Announce a thread that calls `tick` several times a second; the native transport does so itself."""
    def stop_watch(self) -> None:
        """Announce the end of that thread."""
    def tick(self) -> WatchTick:
        """Check the clock: after a pause every book is stale until confirmed; otherwise `judge_silence`.

        Readers of live books do this themselves after a second without a tick.
        """
    def pause(self, reason: str, since_ns: int, now_ns: int) -> None:
        """Report a pause of the machine or process.

        Every synced book is stale until an update made afterwards, or a snapshot, confirms it.
        """
    def close(self, reason: str, now_ns: int) -> None:
        """Close all books for good: the event loop has ended."""

def now_ns() -> int:
    """The monotonic clock that stamps updates and statuses (`updated_ns`, `since_ns`), in nanoseconds.

    It starts at `time.monotonic_ns()` when the package is imported. Changes of the system's clock do not
    affect it. Unlike `time.monotonic_ns()` on Linux and macOS, it includes the time that the machine sleeps.
    """

def _pretend(passed_ns: int, *, slept_ns: int = 0) -> None:
    """For tests: advance `now_ns`, as if the machine had slept for part of that time."""

_FORKED: str
"""The reason of books in a forked child."""

def _server_routes() -> list[dict[str, Any]]:
    """Every route of a book server: the source of its OpenAPI document."""

def _make_certificate(names: Sequence[str]) -> tuple[str, str]:
    """A certificate signed by itself for these names and addresses, and its key; both in PEM."""

def _on_fork() -> None:
    """Close the parent's live books; called in the child after a fork."""

def _restored_book(state: bytes, exact: bool) -> FrozenBook[float | Decimal]:
    """The frozen book of a pickled state. Raises InvalidArgument for invalid bytes."""

def _restored_update(
    state: bytes, exact: bool, skipped: int, is_fresh: bool, changes: bytes | None
) -> Update[float | Decimal]:
    """The update of a pickled state. Raises InvalidArgument for invalid bytes."""

def _restored_levels(
    levels: tuple[Level[Any], ...], complete: bool, update_id: int, reason: str
) -> Levels[Any]:
    """The levels of a pickled slice."""

def _restored_columns(state: bytes, missing: tuple[MissingBook, ...]) -> Columns:
    """The columns of a pickled state. Raises InvalidArgument for invalid bytes."""

def _encoded_best(book: BookReader[float | Decimal]) -> bytes:
    """The best levels as a message of `depthcache.wire`. Raises BookNotSynced, BookClosed."""

def _encoded_status(book: BookReader[float | Decimal]) -> bytes:
    """The status as a message of `depthcache.wire`."""

def _decoded(
    message: Frame,
) -> FrozenBook | Update | dict[str, Any]:
    """Decode a message of `depthcache.wire`; a dict for `best` and `status`.

    Raises UnreadableMessage, UnsupportedSchema.
    """

def _depth_snapshot(book: FrozenBook[float | Decimal], head: tuple[str, str, int, int, int]) -> bytes:
    """A frozen book as a REST depth response. `head`: family, symbol, update id, `E`, `T`.

    Raises ValueError for another family.
    """

def _texts_snapshot(
    bids: Sequence[Sequence[str]], asks: Sequence[Sequence[str]], head: tuple[str, str, int, int, int]
) -> bytes:
    """A REST depth response of prices and quantities as text. Raises ValueError for invalid numbers."""

def _level_lines(book: FrozenBook[float | Decimal]) -> bytes:
    """A frozen book as lines of text."""

def _columns_alive() -> tuple[int, int]:
    """For leak tests: the numbers of live column tables, and of structures exported to Arrow libraries."""

def _nothing() -> None:
    """An empty call, as a baseline for benchmarks."""
