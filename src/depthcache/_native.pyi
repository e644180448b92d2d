"""Types and documentation of the native part: bytes in, correct books out; and the sockets they come from.

Times called `*_ns` are the caller's monotonic clock in nanoseconds, `now_ns` in live clients (virtual in
tests); times called `*_at` are the system's clock as datetimes in UTC; `event_time` and times called `*_us`
(microseconds since 1970) are the exchange's clock. Every call keeps the interpreter lock except snapshots and
bulk exports; a book's lock is waited for without it.
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
    "_nothing",
    "_on_fork",
    "_pretend",
    "_restored_book",
    "_restored_columns",
    "_restored_update",
    "_texts_snapshot",
    "now_ns",
]

Price: TypeAlias = float | Decimal
"""A price that users give: a float counts as the shortest text that means it, as `repr` writes it."""

Amount: TypeAlias = float | Decimal
"""A size or a distance that users give, as exactly as a `Price`."""

Frame: TypeAlias = bytes | bytearray | memoryview | str

@final
class Side(Generic[N_co]):
    """One side of a book, best price first. Each call is one atomic read of its own.

    `side[:20]` reads at most twenty levels, of a book of any size. A loop runs over the levels as they
    were when it began. Every read raises `BookNotSynced` (or `BookClosed`) like the book's own.
    """

    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, key: SupportsIndex, /) -> Level[N_co]: ...
    @overload
    def __getitem__(self, key: slice, /) -> Levels[N_co]: ...
    def __iter__(self) -> Iterator[Level[N_co]]: ...
    def up_to_value(self, quote: Amount) -> Levels[N_co]:
        """The best levels that together are worth at most `quote`, in price times quantity; the best always.

        The first level that does not fit ends it, as `threshold_volume` of unicorn-binance-local-depth-cache
        does; here the sums are exact. Refused on COIN-M, where quantities are contracts. Raises
        InvalidArgument, BookNotSynced, BookClosed.
        """
    def to_numpy(
        self, n: int | None = None, *, low: Price | None = None, high: Price | None = None
    ) -> NDArray[np.float64]:
        """The best `n` levels (all when None) as a new float64 array of shape (levels, 2).

        `low`, `high`: only prices in between, both inclusive; `n` then counts from the best of those.

        Column 0 is the price in the quote asset, column 1 the quantity (base asset, or contracts
        on COIN-M), each the float nearest to what the exchange sent, also from an exact book. Row
        0 is the best level. The array is the caller's own and holds no reference to the book.
        The interpreter lock is released while it is made.
        """
    def to_integers(
        self, n: int | None = None, *, low: Price | None = None, high: Price | None = None
    ) -> Integers:
        """The same levels as exact integers, for counting without rounding; `n`, `low` and `high` as there.

        Raises NumberTooWide when a number does not fit 64 bits at the side's decimals; floats and
        Decimals always can be had. The interpreter lock is released while it is made.
        """
    def _repr_html_(self) -> str:
        """What notebooks show: the state of the book and the best levels of this side. Never raises."""

@disjoint_base
class BookReader(Generic[N_co]):
    """The reading surface shared by live books, frozen books and `Book`.

    Reads of levels raise `BookNotSynced` (or `BookClosed`) unless the status is `synced` or the
    reader serves stale data, and `BookTooOld` where a `max_age` was given. `status`, `reason`, the times,
    `complete_to`, `coverage`, `last_update_id` and `repr` never raise.

    Three clocks, each with its own names: `…_ns` is the monotonic clock `depthcache.now_ns`, for durations
    and ages; `…_at` is a datetime in UTC of this machine's system clock; `event_time` (and `event_time_us`)
    is the exchange's clock. They are None only while no snapshot was ever installed (and `…_at` of a `Book`
    without a network, which no clock stamps).

    A `BookReader` has floats; `BookReader[Decimal]` is what `exact` returns, and a function that takes
    `BookReader[float | Decimal]` takes both. Subclasses in Python are welcome: `BookReader(router, market)`
    reads a market of a router.
    """

    def __new__(
        cls, router: Router, market: int, *, serve_stale: bool = False, max_age_s: float | None = None
    ) -> Self: ...
    @property
    def exchange(self) -> str:
        """The exchange name, such as `binance.com-futures`."""
    @property
    def symbol(self) -> str:
        """The symbol as the exchange spells it, such as `BTCUSDT`."""
    @property
    def status(self) -> Status:
        """What the book is now, in one word; only `synced` can be trusted."""
    @property
    def reason(self) -> str:
        """Why the status is what it is; empty when synced and confirmed."""
    @property
    def since_ns(self) -> int:
        """Since when the status is what it is, on the clock `depthcache.now_ns`."""
    @property
    def since_at(self) -> datetime | None:
        """`since_ns` as a datetime of the system's clock, in UTC."""
    @property
    def unconfirmed(self) -> bool:
        """Synced from a snapshot alone; the next diff decides."""
    @property
    def last_update_id(self) -> int | None:
        """`u` of the last applied diff, else the snapshot's `lastUpdateId`; None before one."""
    @property
    def event_time_us(self) -> int | None:
        """When the exchange made what the book is, on its clock, in microseconds since 1970.

        `E` of the last applied diff. Before one, the `E` (or `T`) of the snapshot; spot snapshots have
        none, and theirs is the latest time at which they can have been made: when they were received, by the
        estimate of the exchange's clock, or by the system's clock for the first seconds of a client. None
        before a snapshot, and where a hand-fed message has no time.
        """
    @property
    def event_time(self) -> datetime | None:
        """`event_time_us` as a datetime in UTC, of the exchange's clock."""
    @property
    def updated_ns(self) -> int | None:
        """When the last applied update was received, on the clock `depthcache.now_ns`; before one, when the
        snapshot was. None before that."""
    @property
    def updated_at(self) -> datetime | None:
        """`updated_ns` as a datetime of the system's clock, in UTC; None for a `Book` without a network."""
    @property
    def confirmed_ns(self) -> int | None:
        """When the book was last proven to be the exchange's: by an update, or by a comparison.

        On the clock `depthcache.now_ns`; None before a snapshot. A quiet live book is compared every 45 s.
        """
    @property
    def confirmed_at(self) -> datetime | None:
        """`confirmed_ns` as a datetime of the system's clock, in UTC; None for a `Book` without a network."""
    def _wall_time(self, at_ns: int) -> datetime | None:
        """A time of the book's clock on the system's clock, in UTC; None where no clock stamps it."""
    @property
    def best(self) -> Best[N_co]:
        """Both best levels of one update id, in one read; None for a side without levels.

        Raises BookNotSynced while the book cannot be trusted, BookClosed once it is closed, BookTooOld.
        """
    @property
    def best_bid(self) -> Level[N_co]:
        """The highest bid. Raises BookEmpty where there is none, and what `best` raises."""
    @property
    def best_ask(self) -> Level[N_co]:
        """The lowest ask. Raises BookEmpty where there is none, and what `best` raises."""
    @property
    def bids(self) -> Side[N_co]:
        """The buyers' side, highest price first."""
    @property
    def asks(self) -> Side[N_co]:
        """The sellers' side, lowest price first."""
    @property
    def complete_to(self) -> CompleteTo[N_co]:
        """The price of each side as far as which the book is proven to be complete."""
    @property
    def coverage(self) -> Coverage:
        """How many held levels of each side lie inside the complete range."""
    @property
    def exact(self) -> BookReader[Decimal]:
        """The same book with `Decimal` numbers at the width the exchange sends.

        Of a subclass made in Python it is the native class below it.
        """
    def no_older_than(self, seconds: float) -> BookReader[N_co]:
        """The same book, whose reads raise BookTooOld while its last update is older than `seconds`.

        `book.no_older_than(0.5).best`. Composes with `exact`; infinity takes any age. Its age counts from the
        receipt of the last update, or of the snapshot before one. A frozen book is a constant and gets no
        older, and a `Book` without a network has no clock: both return themselves. Of a subclass made in
        Python it is the native class below it. Raises InvalidArgument for seconds that are not above 0.
        """
    def freeze(
        self, levels: int | None = None, *, on_stale: OnStale | None = None, max_age: float | None = None
    ) -> FrozenBook[N_co]:
        """Both sides of one update id, best `levels` a side (all when None), as a constant.

        `on_stale`: `serve` takes the last known book where it is not synced, `raise` and `wait` raise
        BookNotSynced (a call that returns at once cannot wait); None does as all reads of this book.
        `max_age`: how old its last update may be now, in seconds, as for `no_older_than`; None does as all
        reads of this book. Raises BookNotSynced while the book cannot be trusted, BookClosed once it is
        closed, BookTooOld, InvalidArgument for another word or for levels below 0.
        """
    def to_numpy(
        self, levels: int | None = None, *, low: Price | None = None, high: Price | None = None
    ) -> BookArrays:
        """Both sides of one update id as float64 arrays of shape (levels, 2), the caller's own.

        `levels`: the best so many of each side, all when None. `low`, `high`: only prices in between,
        both inclusive; `levels` then counts from the best of those. Column 0 is the price in the quote
        asset, column 1 the quantity (base asset, or contracts on COIN-M), each the float nearest to what
        the exchange sent, also from an exact book. Raises InvalidArgument. The interpreter lock is
        released while they are made.
        """
    def to_integers(
        self, levels: int | None = None, *, low: Price | None = None, high: Price | None = None
    ) -> BookIntegers:
        """The same levels as exact int64, each side with its decimals.

        Arguments as `depthcache.BookReader.to_numpy`. Raises NumberTooWide when one does not fit.
        """
    def to_arrow(
        self,
        levels: int | None = None,
        *,
        low: Price | None = None,
        high: Price | None = None,
        exact: bool = False,
    ) -> Columns:
        """The same levels as columns that every Arrow library takes without a copy: `Columns`.

        `levels`, `low`, `high`: which, as for `to_numpy`. `exact`: prices and quantities as
        decimal128(38, 18) instead of float64; always so of an exact book.
        """
    def to_pandas(
        self,
        levels: int | None = None,
        *,
        low: Price | None = None,
        high: Price | None = None,
        exact: bool = False,
    ) -> pd.DataFrame:
        """The same as a DataFrame of pandas, with arguments as `depthcache.BookReader.to_arrow`.

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
        """The same as a DataFrame of polars, with arguments as `depthcache.BookReader.to_arrow`.

        Raises PackageMissing (an ImportError) without polars.
        """
    @property
    def mid(self) -> N_co:
        """(best bid + best ask) / 2, in the quote asset: a number.

        Whether the best levels are proven: `complete` of a `freeze(1)`. Raises BookEmpty where a side has no
        level, BookNotSynced, BookClosed, BookTooOld.
        """
    @property
    def microprice(self) -> N_co:
        """(ask * bid quantity + bid * ask quantity) / (bid quantity + ask quantity), of the best levels.

        The mid weighted by the quantities of the other side: more bids draw it to the ask. Stoikov (2018)
        calls this the weighted mid and his own estimator, which needs a market's history, the micro-price.
        Raises what `mid` raises.
        """
    @property
    def spread(self) -> N_co:
        """Best ask - best bid, in the quote asset. Raises what `mid` raises."""
    @property
    def spread_bps(self) -> N_co:
        """The spread in basis points of the mid: 10,000 * spread / mid. Raises what `mid` raises."""
    def imbalance(self, levels: int | None = None, *, bps: Amount | None = None) -> Imbalance[N_co]:
        """(B - A) / (B + A) of the quantities of bids and asks, from -1 (asks alone) to 1 (bids alone).

        Of the best `levels` of each side (the best one when neither is given), or of all levels at most
        `bps` basis points from the mid. Cartea, Jaimungal, Penalva (2015), chapter 12. Raises
        InvalidArgument, BookNotSynced, BookClosed.
        """
    def depth_within(self, bps: Amount) -> DepthWithin[N_co]:
        """What rests at most `bps` basis points from the mid, both ends inclusive: base and quote, per side.

        Raises InvalidArgument, BookNotSynced, BookClosed.
        """
    def fill(
        self, side: Literal["buy", "sell"], *, base: Amount | None = None, quote: Amount | None = None
    ) -> Fill[N_co]:
        """What a market order would get: average and worst price, slippage against the mid, what is left.

        `side`: `buy` walks the asks, `sell` the bids. The size is given in the base asset (`base`) or in the
        quote asset (`quote`), one of them; it is above 0. On COIN-M `base` counts contracts and `quote` is
        refused, because a book does not know what a contract is worth. Fees are no part of it. Raises
        InvalidArgument, BookNotSynced, BookClosed.
        """
    def size_to_move(self, side: Literal["buy", "sell"], bps: Amount) -> SizeToMove[N_co]:
        """How much a market order must take until the best price of its side has moved by `bps` basis points.

        `side`: `buy` takes all asks below best * (1 + bps / 10,000), `sell` all bids above best *
        (1 - bps / 10,000). Raises InvalidArgument, BookNotSynced, BookClosed.
        """
    def grouped(self, size: Amount | str, levels: int | None = None) -> GroupedBook[N_co]:
        """The best `levels` groups of each side (all when None), at multiples of `size`.

        Bids count at the multiple at or below their price, asks at the one at or above. Groups that hold
        nothing are left out. `size` is exact: a float counts as the text that `repr` writes. Raises
        InvalidArgument, BookNotSynced, BookClosed.
        """
    def plot(
        self,
        *,
        ax: Axes | None = None,
        levels: int | None = None,
        bps: float | None = None,
        cumulative: Literal["base", "quote"] = "base",
    ) -> Axes:
        """Draw a depth chart of this moment with matplotlib, and return its Axes.

        It shows the cumulative size by price, one step a level, and hatches what is not proven.

        `ax`: the Axes to draw into; None makes a new figure with pyplot. No window opens before
        `pyplot.show()`. `bps`: how far from the mid, in basis points; `levels`: how many levels a side. With
        neither, it is 100 bps (1 %), or twice as far as the book is complete where that is less, and at least
        the best 20 levels of each side. `cumulative`: `base` sums up quantities, `quote` price times
        quantity; `quote` is refused on COIN-M. Of a one-sided book the distance counts from its best price.

        Raises BookEmpty for a book without any level, BookNotSynced, BookClosed, BookTooOld, InvalidArgument,
        and PackageMissing (an ImportError) without matplotlib.
        """
    def _repr_html_(self) -> str:
        """What notebooks show: the state and the best levels of both sides. Never raises."""
    @property
    def counters(self) -> dict[str, int]:
        """What happened to the book since it was made; counts only grow.

        `applied`: diffs applied. `old`: diffs at or before the id of the book, dropped. `gaps`: holes in ids.
        `resets`: times the exchange reset its update ids. `crossed`: best prices that touched or crossed.
        `malformed`: frames that could not be read. `dropped_buffers`: buffered diffs given up because there
        was no more room. `snapshots`: snapshots installed. `refreshes`: snapshots merged into the live book.
        `corrections`: prices that were wrong and are right again. `levels_changed`: levels set or deleted by
        diffs.
        """
    @property
    def memory_bytes(self) -> int:
        """Bytes of memory that the levels of both sides and the kept diffs take.

        16 bytes a level, and the room that makes changing them cheap; without the flight recorder and
        without what the allocator adds.
        """

@disjoint_base
class FrozenBook(BookReader[N_co]):
    """A constant copy of a book: the same reading surface, never changing, any thread.

    It pickles with every digit, and is equal to a copy with the same state, numbers and exactness.
    """

    def __new__(cls, *args: Never, **kwargs: Never) -> Self:
        """Raises TypeError: a frozen book comes from `freeze`."""
    @property
    def exact(self) -> FrozenBook[Decimal]:
        """The same book with `Decimal` numbers at the width the exchange sends."""
    def no_older_than(self, seconds: float) -> Self:
        """This book itself: a constant gets no older. Raises InvalidArgument."""
    @property
    def complete(self) -> bool:
        """Whether every level asked of `freeze` is proven on both sides."""
    def to_dict(self, *, counters: bool = False) -> dict[str, Any]:
        """The book as plain dicts, lists, numbers and text: the message that `to_json` encodes.

        Levels are `[price, quantity]`: floats, or text with every digit for an exact book. `depthcache.wire`
        describes keys and units. `counters`: whether to include the counters.
        """
    def to_json(self, *, counters: bool = False) -> bytes:
        """The same as compact JSON in UTF-8, written natively. `counters`: as for `to_dict`."""
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: object) -> Self: ...

@final
class Update(FrozenBook[N_co]):
    """One item of a followed book: a frozen book, and what lies between it and the item before.

    Where `status` is not `synced` the item reports a loss of sync: reads of its levels raise
    BookNotSynced (BookClosed for the last item of all), or give the last known levels with
    `on_stale="serve"`. Each update of a book is brought by one item that is not fresh, or counted in
    `skipped` of the next one: never both.
    """

    def __new__(cls, *args: Never, **kwargs: Never) -> Self:
        """Raises TypeError: an update comes from following a book."""
    @property
    def exact(self) -> Update[Decimal]:
        """The same item with `Decimal` numbers at the width the exchange sends, its changes, too."""
    @property
    def skipped(self) -> int:
        """Updates of this book since its last item that no item brought."""
    @property
    def is_fresh(self) -> bool:
        """Start over from this book: the first item, after a loss of sync, after a snapshot that changed
        held levels, or after updates were lost because the consumer was too slow (mode `every`)."""
    @property
    def changes(self) -> Changes[N_co] | None:
        """Mode `every`: the levels of both sides that this update changed; None where the item is fresh,
        or reports a loss of sync, and in all other modes."""
    def to_dict(self, *, counters: bool = False) -> dict[str, Any]:
        """The item as plain dicts, lists, numbers and text: the message that `to_json` encodes.

        The book, `skipped`, `is_fresh` and `changes`; `bids` and `asks` are None where the levels may not be
        read. `counters`: as for `FrozenBook.to_dict`.
        """
    def to_json(self, *, counters: bool = False) -> bytes:
        """The same as compact JSON in UTF-8, written natively. `counters`: as for `to_dict`."""

@final
class Follower:
    """One consumer's view of some markets of a router; made by `Router.follow`.

    Letting it go leaves nothing in the markets. One thread takes at a time. In a forked child it is empty.
    """

    @property
    def number(self) -> int: ...
    @property
    def markets(self) -> int:
        """How many markets are followed; without those whose last item was taken."""
    @property
    def held_items(self) -> int:
        """Items that wait for the consumer (mode `every`)."""
    @property
    def held_bytes(self) -> int:
        """Their bytes, about."""
    @property
    def due_ns(self) -> int | None:
        """When `take` is to be called again though nothing else happens; None for never."""
    @property
    def is_over(self) -> bool:
        """Whether everything was given and nothing comes any more."""
    def add(self, router: Router, market: int) -> None:
        """Follow a market, too; what there is of it already is not announced. Raises KeyError."""
    def remove(self, market: int) -> None:
        """Follow a market no longer; what was kept of it is still given."""
    def take(self, now_ns: int) -> Update | None:
        """The next item; None while there is none."""
    def wait(self, timeout_s: float) -> None:
        """Wait without the interpreter until there may be something. Ctrl-C is noticed within 0.1 s."""
    def finish(self) -> None:
        """Nothing comes after what is there."""
    def close(self) -> None:
        """Leave all markets and forget what was kept."""

@disjoint_base
class Book(BookReader[N_co]):
    """A book without any network: snapshots and frames in, a correct book out."""

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
        """`inverse`: quantities count contracts of a fixed value in the quote asset. `serve_stale`: reads
        give the last known book where it is not synced, instead of raising."""
    @property
    def exact(self) -> Book[Decimal]:
        """The same book with `Decimal` numbers at the width the exchange sends."""
    def no_older_than(self, seconds: float) -> Self:
        """This book itself: no clock stamps what you feed it. Raises InvalidArgument."""
    def load_snapshot(
        self, body: Frame, *, limit: int | None = None, latest_us: int | None = None
    ) -> SnapshotOutcome:
        """Install the bytes of a REST depth response requested with `limit` (None: unknown).

        `latest_us`: when it was made at the latest, on the exchange's clock; None for the time in its body.
        Kept diffs newer than it are applied at once. A snapshot that is older than the book, or than the kept
        diffs allow, changes nothing (`TOO_OLD`). Raises MalformedSnapshot or SymbolMismatch; nothing is
        changed then.
        """
    def apply(self, frame: Frame) -> Outcome:
        """Apply one WebSocket frame, raw or wrapped.

        Raises MalformedFrame or SymbolMismatch; nothing is changed then. After `GAP` diffs are kept, and
        reads raise BookNotSynced, until `load_snapshot` brings a newer snapshot.
        """

@final
class Columns:
    """Levels of one book or of many as columns, one row a level; constant, and never an object a level.

    `Columns(books, levels=20)` takes any books: live, frozen, offline. Rows come book by book, bids before
    asks, best first; each book is read at one update id, in one moment of its own.

    | column | type | what it says |
    |---|---|---|
    | exchange, symbol | dictionary of text | the book |
    | side | dictionary of text | `bid` or `ask` |
    | level | int32 | the place in its side, 0 for the best |
    | price | float64 or decimal128(38, 18) | in the quote asset |
    | quantity | float64 or decimal128(38, 18) | in the base asset, or contracts on COIN-M |
    | proven | bool | whether the level lies inside the complete range |
    | update_id | int64 | the id to which the book had come |
    | event_time | timestamp[us, UTC] | when the exchange made it; missing where that is unknown |
    | updated_ns | int64 | when it was received, on the clock `now_ns`, ns; missing before a snapshot |
    | status | dictionary of text | `synced`, or what the book was instead where stale data is served |

    Arrow libraries take it as it is, by the Arrow PyCapsule interface (`__arrow_c_schema__`,
    `__arrow_c_array__`, `__arrow_c_stream__`): `pyarrow.table(columns)`, `polars.DataFrame(columns)`,
    `duckdb.from_arrow(columns)`. They share its memory, which lives as long as any of them uses it.
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
        """The best `levels` of each side of each book (all when None), of prices between `low` and `high`.

        `exact`: decimal128 instead of float64, also where one of the books is exact. `missing`: what a book
        does that cannot be read: `raise` (the default) BooksNotSynced with all of them, BookClosed where
        none will come back, or `skip`, which leaves them out and names them in `missing`. Raises
        InvalidArgument. The interpreter lock is released while the levels are copied.
        """
    def __len__(self) -> int:
        """How many levels there are."""
    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
    @property
    def missing(self) -> tuple[MissingBook, ...]:
        """The books that were left out, and why."""
    def to_numpy(self) -> dict[str, NDArray[np.generic]]:
        """One array a column, by its name. Numbers are shared with this object and read-only; texts are
        fixed-width, times are datetime64[us] in UTC with NaT for missing ones, `updated_ns` has -1 there.
        Exact numbers cannot be had so: raises InvalidArgument."""
    def to_pandas(self) -> pd.DataFrame:
        """A DataFrame of its own: texts are categories, `event_time` datetime64[us, UTC], `updated_ns` Int64,
        exact numbers decimal128 of pyarrow. Raises PackageMissing (an ImportError)."""
    def to_polars(self) -> pl.DataFrame:
        """A DataFrame over the same memory. Raises PackageMissing (an ImportError)."""
    def _repr_html_(self) -> str:
        """What notebooks show: the first rows, the types of the columns, and the books that are missing."""
    def _parts(self) -> list[tuple[str, str, Buffer, Buffer | None, list[str] | None]]: ...
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: object) -> Self: ...
    def __arrow_c_schema__(self) -> CapsuleType: ...
    def __arrow_c_array__(
        self, requested_schema: CapsuleType | None = None
    ) -> tuple[CapsuleType, CapsuleType]:
        """`requested_schema` is ignored: the columns keep their types."""
    def __arrow_c_stream__(self, requested_schema: CapsuleType | None = None) -> CapsuleType:
        """One batch."""

@final
class _Probe:
    """Only for benchmarks: how late the frames of a `Transport` are, by their event time (monotonic µs)."""

    def __new__(cls) -> Self: ...
    def take_delays_ns(self) -> list[int]:
        """The delay of every frame since the last call."""

@final
class Transport:
    """WebSockets on a native thread, whose frames go straight into a router.

    It never takes the interpreter's lock. Order of calls: wait on `wake_socket`, `take_events` when it
    is readable; `open` each number once; `stop`, wait for the event `stopped`, `join`. Raises OSError
    when there can be no thread, ValueError for times that are none.
    """

    def __new__(
        cls,
        router: Router | None,
        *,
        quiet_s: float,
        pong_s: float,
        connect_s: float = 15.0,
        ca_file: str | PathLike[str] | None = None,
        _addresses: Mapping[str, Sequence[IPv4Address | IPv6Address]] | None = None,
        _probe: _Probe | None = None,
    ) -> Self:
        """`quiet_s`: after this long without a sign of life a ping is sent; without a response for
        `pong_s` the connection counts as broken. Life is data that a market or a listener takes, or the
        answer to that ping. `connect_s`: how long making a connection may take, from the name to the response
        to the handshake. `ca_file`: PEM file of whom to trust, None for the system's authorities.
        `_addresses`: only for tests, the addresses of names that are not looked up."""
    def wake_socket(self) -> int:
        """File descriptor of a socket that becomes readable when events wait; the caller's to close."""
    @property
    def is_foreign(self) -> bool:
        """Whether this process was forked from the one whose thread this is."""
    def open(
        self,
        connection: int,
        url: str,
        *,
        proxy: tuple[Literal["http", "https", "socks5"], str, int, tuple[str, str] | None] | None = None,
    ) -> None:
        """Connect; ends in the event `open`, or in `closed`. `proxy`: kind (http or socks5), host, port,
        and user with password. Raises ValueError for another kind."""
    def send(self, connection: int, text: str) -> None:
        """Send one text message; without effect when the connection is gone."""
    def close(self, connection: int) -> None:
        """Send a close frame; ends in the event `closed`."""
    def take_events(self) -> list[TransportEvent]:
        """What happened since the last call. Take the router's events afterwards."""
    def stop(self, close_timeout_s: float) -> None:
        """Send close frames everywhere, cut what is not done by then, end the thread; returns at once."""
    def join(self) -> None:
        """Wait for the end of the thread, after `stop`."""

@final
class FlightLog:
    """What the flight recorder of a market holds, and the book at the same moment."""

    @property
    def frames(self) -> list[FlightFrame]:
        """The newest frames, oldest first."""
    @property
    def snapshot(self) -> FlightSnapshot | None:
        """The last snapshot; None once a frame behind it was let go."""
    @property
    def book(self) -> FrozenBook: ...

@final
class Router:
    """All markets of one client and the way of each frame to its market.

    Order of calls: `add_market`, `open_connection`, `route`, then `feed` for every frame; when
    `feed` says so, `take_events`. Market ids and connection numbers are the caller's small
    integers and are never used twice.
    """

    ARBITRATION_PATIENCE_NS: Final[int]
    """How long another connection may take to bring the diffs that one lacks, as nothing else comes."""

    def __new__(
        cls, *, control_capacity: int = ..., buffer_bytes: int = ..., flight_bytes: int = ...
    ) -> Self: ...
    def add_market(
        self, market: int, exchange: str, symbol: str, continuity: Continuity, *, inverse: bool = False
    ) -> None:
        """Begin an empty market under a number of the caller's.

        `inverse`: quantities count contracts of a fixed value in the quote asset.
        """
    def remove_market(self, market: int, reason: str, now_ns: int) -> None:
        """Forget the market; its readers say `closed` from now on."""
    def reader(self, market: int, *, serve_stale: bool = False) -> BookReader:
        """Another reader of a market; `serve_stale`: it reads the last known book, too."""
    def open_connection(self, connection: int) -> None:
        """Frames of this number are wrapped (`{"stream":…,"data":…}`) from now on."""
    def close_connection(self, connection: int) -> None:
        """Forget the connection and its routes; frames of it are ignored from now on."""
    def route(self, connection: int, stream: str, market: int) -> None:
        """Frames of this stream go to this market. Several connections may bring one market: the
        first copy of a diff wins; a hole is a gap only where no other can fill it."""
    def listen(self, connection: int, stream: str) -> None:
        """Frames of this stream, which no market takes, come as `StreamFrame`, the newest each time."""
    def unroute(self, connection: int, stream: str) -> None:
        """Frames of this stream are strays again."""
    def feeds(self, market: int) -> list[FeedInfo]:
        """The connections of a market. Raises KeyError."""
    def traffic(self, connection: int) -> Traffic:
        """What came on a connection. Raises KeyError for one not open."""
    def feed(self, connection: int, frame: Frame, received_ns: int) -> bool:
        """Take one frame to its book; True when `take_events` has events.

        Never raises for what is in the frame: malformed frames become events.
        """
    def take_events(self) -> list[Event]:
        """What happened since the last call."""
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
        """Install a snapshot requested with `limit`; `live`: the subscription was acknowledged, or
        data had arrived, before the snapshot was requested. `made_us`: between which times it was made, on
        the exchange's clock (0 for an earliest time that is not known); None for the time in its body. Raises
        MalformedSnapshot, SymbolMismatch; nothing is changed then."""
    def date_snapshot(self, market: int, made_us: tuple[int, int]) -> None:
        """The snapshot that is held, and no diff after it, was made between these times: known only now.
        Without effect where its time was known."""
    def begin_refresh(self, market: int) -> bool:
        """Keep what is applied to a live book from now on, for a snapshot that is about to be
        requested; False: it is not live (synced or crossed)."""
    def end_refresh(self, market: int) -> None:
        """Forget a refresh that was begun."""
    def refresh(
        self,
        market: int,
        body: Frame,
        *,
        limit: int | None,
        now_ns: int,
        made_us: tuple[int, int] | None = None,
    ) -> RefreshResult:
        """Roll a snapshot requested with `limit` to the live book's id, compare both, merge; what was found.

        The book never leaves sync. Inside the snapshot's range its levels are taken, beyond it those
        of the book stay; the complete range becomes the wider of both, or, where they differed inside
        both, the snapshot's alone. `MERGED`: done, with its comparison. `WAITING`: the snapshot is ahead
        and is merged when the book reaches it, which a `MarketChange` reports (cause `refreshed`).
        `TOO_OLD`: it is behind the book, or, where it is clearly younger, the exchange reset its update ids,
        and the book has lost its position (cause `reset`). `NOT_LIVE`: there is no live book, or no refresh
        was begun. `made_us` as for `install_snapshot`. Raises MalformedSnapshot, SymbolMismatch; the
        refresh is over then."""
    def settle_refresh(self, market: int, now_ns: int) -> RefreshResult:
        """No diff came for a snapshot that waits. `MERGED`: it shows an equal book, of a venue whose ids
        are shared. `OTHER_BOOK`: it shows another one and is dropped. `NONE_WAITING`."""
    def set_depth_target(self, market: int, levels: int, *, requested: int) -> None:
        """So many complete levels a side are enough while readers ask for at most `requested`; before this
        call no number is. Raises KeyError for a market that is not there."""
    def shallow(self) -> list[ShallowMarket]:
        """The live books that have fewer complete levels than are enough, or whose readers ask for
        more than `set_depth_target` considered."""
    def set_clock_offset(self, market: int, offset_ns: int | None) -> None:
        """From the clock of the frames to the exchange's, for `delays` and `late`."""
    def heard(self, market: int) -> HeardDiff | None:
        """The newest diff that was applied, kept, or is backlog (at or before the held id, and not after a
        reset of the ids); None before one."""
    def last_diff(self, market: int) -> HeardDiff | None:
        """The last diff that was applied since the snapshot; None before one."""
    def late(self, most_us: int) -> list[LateMarket]:
        """The markets whose newest diff was more than `most_us` late when it came; none of those whose
        `set_clock_offset` was not called."""
    def set_virtual_time(self, now_ns: int, wall_ns: int) -> None:
        """It is `now_ns` on a virtual clock, and `wall_ns` nanoseconds since 1970 on the system's: no other
        clock counts for readers of this router from now on."""
    def delays(self, market: int) -> DelayHistogram:
        """How late updates arrived; nothing is counted before `set_clock_offset`."""
    def start_tap(self, most_bytes: int, offset_ns: int) -> None:
        """Keep every frame from now on for `take_tapped`, as lines of JSON; beyond `most_bytes` they are
        counted as lost. `offset_ns`: from the clock of the frames to nanoseconds since 1970."""
    def stop_tap(self) -> None:
        """Keep no more of them; what was not taken is gone."""
    def tap_line(self, line: bytes) -> None:
        """Put a line of the recorder's own, without its end, between the frames."""
    def take_tapped(self) -> TappedLines:
        """What was kept since the last call."""
    def flight_log(self, market: int) -> FlightLog:
        """What the flight recorder of a market holds now."""
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
        """A follower of no market yet.

        `levels`: a side in each item, all when None. `interval_ns`, `start_ns`: times of the mode
        `interval`. `most_items`, `most_bytes`: what is kept for a slow consumer (mode
        `every`, 16 MiB). `announces`: the event `FollowerReady` says when there is an item; else
        the consumer calls `wait`. Raises ValueError.
        """
    def resync(self, market: int, reason: str, now_ns: int) -> None:
        """Back to buffering (kept diffs and old levels stay): the book needs a new snapshot."""
    def restart(self, market: int, reason: str, now_ns: int) -> None:
        """Back to buffering with an empty buffer: the diffs will come from a new connection."""
    def set_condition(self, market: int, condition: Condition | None, reason: str, now_ns: int) -> None:
        """Lay a condition over the machine state, or take it away (None)."""

    def set_stalled(self, reason: str | None, now_ns: int) -> None:
        """The frame source stalled: every book it feeds is stale for that reason, unless its status is
        worse; None: it goes on."""
    def set_time_to_detect(self, market: int, within_ns: int | None) -> None:
        """A book that no update and no comparison has proven for so long is stale, until one does, while the
        event loop does not `attend`; None: never. Raises KeyError."""
    def attend(self, now_ns: int) -> int:
        """The event loop looks after its books at that time. How many pauses there were."""
    def judge_silence(self, now_ns: int) -> None:
        """Doubt books that nothing has proven in time, unless the event loop attended within 3 s (cause
        `doubted`; `proven` ends it)."""
    def start_watch(self) -> None:
        """A thread calls `tick` several times a second from now on; the native transport does so itself."""
    def stop_watch(self) -> None:
        """That thread has ended."""
    def tick(self) -> WatchTick:
        """Look at `now_ns`: after a gap, which is a pause, every book is stale until proven; else
        `judge_silence`. Readers of live books tick themselves after a second without a tick."""
    def pause(self, reason: str, since_ns: int, now_ns: int) -> None:
        """The machine or the process paused for that time: every synced book is stale until an update that
        was made afterwards, or a snapshot, proves it."""
    def close(self, reason: str, now_ns: int) -> None:
        """The event loop has ended: every book is closed for good."""

def now_ns() -> int:
    """The clock that stamps updates and statuses (`updated_ns`, `since_ns`), in nanoseconds.

    It begins where `time.monotonic_ns()` is when the package is imported, steps of the system's clock do not
    move it, and unlike `time.monotonic_ns()` of Linux and macOS it counts the time the machine sleeps.
    """

def _pretend(passed_ns: int, *, slept_ns: int = 0) -> None:
    """For tests: let `now_ns` jump as if so much time had passed, of which the machine slept through a
    part."""

_FORKED: str
"""What is said in a forked child."""

def _on_fork() -> None:
    """To be called in the child after a fork: live books of the parent are closed there."""

def _restored_book(state: bytes, exact: bool) -> FrozenBook[float | Decimal]:
    """The frozen book of a pickled state. Raises InvalidArgument for bytes that are none."""

def _restored_update(
    state: bytes, exact: bool, skipped: int, is_fresh: bool, changes: bytes | None
) -> Update[float | Decimal]:
    """The update of a pickled state. Raises InvalidArgument for bytes that are none."""

def _restored_columns(state: bytes, missing: tuple[MissingBook, ...]) -> Columns:
    """The columns of a pickled state. Raises InvalidArgument for bytes that are none."""

def _encoded_best(book: BookReader[float | Decimal]) -> bytes:
    """Both best levels as a message of `depthcache.wire`. Raises BookNotSynced, BookClosed."""

def _encoded_status(book: BookReader[float | Decimal]) -> bytes:
    """The status as a message of `depthcache.wire`."""

def _decoded(
    message: Frame,
) -> FrozenBook | Update | dict[str, Any]:
    """A message of `depthcache.wire`; a dict of facts for `best` and `status`. Raises UnreadableMessage,
    UnsupportedSchema."""

def _depth_snapshot(book: FrozenBook[float | Decimal], head: tuple[str, str, int, int, int]) -> bytes:
    """A frozen book as a REST depth response. `head`: family, symbol, update id, `E`, `T`. Raises ValueError
    for another family."""

def _texts_snapshot(
    bids: Sequence[Sequence[str]], asks: Sequence[Sequence[str]], head: tuple[str, str, int, int, int]
) -> bytes:
    """The same of prices and quantities as text. Raises ValueError for what is no number."""

def _level_lines(book: FrozenBook[float | Decimal]) -> bytes:
    """A frozen book as lines of text."""

def _columns_alive() -> tuple[int, int]:
    """For tests of leaks: tables of columns, and structures lent to Arrow libraries, that are alive."""

def _nothing() -> None:
    """An empty call: the yardstick of benchmarks."""
