"""Books as JSON, for web pages, other programs and files.

    message = wire.encode(book, 20)            # compact JSON, exact text: {"schema":1,"type":"book",…}
    frozen = wire.decode(message)              # a FrozenBook again, equal to the original

Each message carries its schema version; `decode` rejects any other version with `UnsupportedSchema`. Within a
version, keys may be added but never changed. All messages start with the same head:

- `schema`, `type`: 1; `book`, `update`, `best` or `status`.
- `exchange`, `symbol`: the book; the symbol is empty until an offline book has received one.
- `inverse`: whether quantities count contracts of a fixed value in the quote asset (COIN-M).
- `status`, `reason`: a value of `Status`, and why; the reason is empty if the book is synced and confirmed.
- `since_ns`, `since_time_us`: the start of this status.
- `unconfirmed`: whether the book is synced from a snapshot alone.
- `last_update_id`: the update id of the book; null before a snapshot.
- `event_time_us`: the exchange's time of the last applied diff, or of the snapshot if none followed it.
- `updated_ns`, `received_time_us`: when that diff or snapshot was received; null before a snapshot.
- `confirmed_ns`, `confirmed_time_us`: when the book was last confirmed; null before a snapshot.

Times in `_us` are microseconds since 1970: `event_time_us` on the exchange's clock, the others on the
writer's system clock; the latter are null for a `Book` that you feed yourself. Times in `_ns` are nanoseconds
of the writer's monotonic clock (`now_ns`); compare them only with times of the same process.

A `status` message is the head alone. A `best` message adds `best` with `bid` and `ask` (each `[price,
quantity]`, or null for an empty side) and `update_id`; `best` is null if the book cannot be read. A `book`
message adds:

- `complete`: whether all requested levels are proven on both sides.
- `complete_to`: `bids` and `asks`, each the price up to which the side is proven complete; `"all"` if the
  whole side is known, null if no level is proven.
- `coverage`: `bids` and `asks`, each the number of levels inside the complete range.
- `bids`, `asks`: `[[price, quantity], …]`, best first; null if the book cannot be read (see `status`).
- `counters`: as `BookReader.counters`; only if requested.

An `update` message has, between the head and the keys of a `book`, the keys `skipped`, `is_fresh` and
`changes` (`bids` and `asks`, where quantity zero deletes the level; or null).

Prices and quantities are text with all digits sent by the exchange (`"61837.63000000"`). `to_json()` and
`to_dict()` of a book that is not exact write floats instead. Infinity and NaN never occur.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, cast, get_args

from depthcache._native import (
    BookReader,
    FrozenBook,
    Update,
    _decoded,
    _depth_snapshot,
    _encoded_best,
    _encoded_status,
    _level_lines,
    _texts_snapshot,
)
from depthcache.errors import InvalidArgument
from depthcache.model import Best, Family, Level, Status

__all__ = [
    "SCHEMA",
    "BookBest",
    "BookStatus",
    "Family",
    "decode",
    "depth_snapshot",
    "depth_snapshot_of",
    "encode",
    "encode_best",
    "encode_status",
    "level_lines",
]

SCHEMA: Final = 1
"""The schema version that this release writes and reads."""

_FAMILIES = get_args(Family)


@dataclass(frozen=True, slots=True, kw_only=True)
class BookStatus:
    """A decoded `status` message: the head that all messages share.

    Attributes:
        exchange, symbol: the book.
        inverse: whether quantities count contracts of a fixed value in the quote asset.
        status, reason: the status of the book, and why.
        since_ns, since_time_us: the start of this status.
        unconfirmed: whether the book is synced from a snapshot alone.
        last_update_id: the update id of the book; None before a snapshot.
        event_time_us: the exchange's time of the last applied diff, or of the snapshot if none followed it.
        updated_ns, received_time_us: when that was received; None before a snapshot.
        confirmed_ns, confirmed_time_us: when the book was last confirmed; None before a snapshot.
    """

    exchange: str
    symbol: str
    inverse: bool
    status: Status
    reason: str
    since_ns: int
    since_time_us: int | None
    unconfirmed: bool
    last_update_id: int | None
    event_time_us: int | None
    updated_ns: int | None
    received_time_us: int | None
    confirmed_ns: int | None
    confirmed_time_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BookBest(BookStatus):
    """A decoded `best` message.

    Attributes:
        exchange, symbol, inverse, status, reason, since_ns, since_time_us, unconfirmed, last_update_id: as in
            `BookStatus`.
        event_time_us, updated_ns, received_time_us, confirmed_ns, confirmed_time_us: as in `BookStatus`.
        best: the best bid and ask, exact; None if the book could not be read.
    """

    best: Best[Decimal] | None


def encode(
    book: BookReader[Any],
    levels: int | None = None,
    *,
    counters: bool = True,
) -> bytes:
    """Encode a book of any kind as a `book` message with all digits; an `Update` as an `update` message.

    `levels`: the best levels per side; None for all. An `Update` shortened to fewer levels becomes a `book`
    message. `counters`: whether to include the counters; without them, `decode` returns a book that is not
    equal to the original. A live book is frozen first, so that both sides belong to one update id. Raises
    BookNotSynced, BookClosed, InvalidArgument.
    """
    is_frozen = hasattr(book, "to_json")  # of either engine
    frozen: FrozenBook[Any] = cast("Any", book) if is_frozen and levels is None else book.freeze(levels)
    return frozen.exact.to_json(counters=counters)


def encode_best(book: BookReader[Any]) -> bytes:
    """Encode the best bid and ask as a `best` message, with all digits.

    Raises BookNotSynced while the book cannot be trusted, BookClosed after it was closed.
    """
    return _encoded_best(book)


def encode_status(book: BookReader[Any]) -> bytes:
    """Encode the status of a book as a `status` message; works for every status."""
    return _encoded_status(book)


def decode(message: bytes | bytearray | memoryview | str) -> FrozenBook | Update | BookBest | BookStatus:
    """Decode a message into a book, an update, or the best prices or status of a book.

    Returns a `FrozenBook` or an `Update` equal to the original, with all digits (`exact`), its complete
    range, status and times; or a `BookBest` or `BookStatus`. If the original book could not be read, reads of
    its levels raise BookNotSynced or BookClosed here as well. Raises UnsupportedSchema for another schema
    version; UnreadableMessage for anything else that is not a valid message, such as one with a missing key,
    a contradiction (a synced book that is crossed, a price of zero) or floats, which may have lost digits
    (`to_json` of a book that is not exact); TypeError for another type.
    """
    decoded = _decoded(message)
    if not isinstance(decoded, dict):
        return decoded
    return BookBest(**decoded) if "best" in decoded else BookStatus(**decoded)


def depth_snapshot(
    book: BookReader[Any],
    levels: int | None = None,
    *,
    family: Family,
    event_time_ms: int = 0,
    transaction_time_ms: int | None = None,
    update_id: int | None = None,
) -> bytes:
    """Encode a book as a depth response of the exchange: `{"lastUpdateId":…,"bids":[["…","…"],…],…}`.

    `levels`: per side; None for all. `family`: the family whose keys to write. `event_time_ms`,
    `transaction_time_ms`: `E` and `T`, for families that have them, in milliseconds since 1970; `T` defaults
    to `E`. `update_id`: `lastUpdateId`; None uses the book's. Raises BookNotSynced, BookClosed,
    InvalidArgument.
    """
    frozen = book.freeze(levels)
    wanted = frozen.last_update_id if update_id is None else update_id
    times = (event_time_ms, event_time_ms if transaction_time_ms is None else transaction_time_ms)
    head = _head(family, frozen.symbol, wanted, times)
    if _is_native(frozen):
        return _depth_snapshot(frozen, head)
    bids, asks = (_texts(side) for side in (frozen.exact.bids, frozen.exact.asks))
    return _texts_snapshot(bids, asks, head)


def depth_snapshot_of(
    bids: Iterable[Level[Decimal] | Sequence[str]],
    asks: Iterable[Level[Decimal] | Sequence[str]],
    *,
    family: Family,
    update_id: int,
    symbol: str = "",
    event_time_ms: int = 0,
    transaction_time_ms: int | None = None,
) -> bytes:
    """Encode levels that belong to no book as a depth response, in the same format.

    `bids`, `asks`: pairs of price and quantity, best first, as Decimals or their text; each number keeps its
    digits. `symbol`: required by COIN-M responses. `update_id`: `lastUpdateId`. `family`, `event_time_ms`,
    `transaction_time_ms`: as for `depthcache.wire.depth_snapshot`. Raises InvalidArgument, and ValueError for
    text that is not a price or quantity.
    """
    times = (event_time_ms, event_time_ms if transaction_time_ms is None else transaction_time_ms)
    return _texts_snapshot(_texts(bids), _texts(asks), _head(family, symbol, update_id, times))


def level_lines(book: BookReader[Any], levels: int | None = None) -> bytes:
    r"""Encode a book as text lines for comparison or hashing.

    One line per level, `b PRICE QUANTITY\n` for bids, then `a PRICE QUANTITY\n` for asks; best first, with
    the digits that the exchange sends. `levels`: per side; None for all. Raises BookNotSynced, BookClosed,
    InvalidArgument.
    """
    frozen = book.freeze(levels)
    if _is_native(frozen):
        return _level_lines(frozen)
    sides = (("b", frozen.exact.bids), ("a", frozen.exact.asks))
    return "".join(
        f"{letter} {' '.join(level)}\n" for letter, side in sides for level in _texts(side)
    ).encode()


def _is_native(frozen: object) -> bool:
    return isinstance(frozen, FrozenBook)


def _head(
    family: str, symbol: str, update_id: int | None, times_ms: tuple[int, int]
) -> tuple[str, str, int, int, int]:
    if family not in _FAMILIES:
        raise InvalidArgument(name="family", value=family, allowed=" or ".join(map(repr, _FAMILIES)))
    return (family, symbol, update_id or 0, *times_ms)


def _texts(levels: Iterable[Any]) -> list[tuple[str, str]]:
    return [(_text(price), _text(quantity)) for price, quantity in levels]


def _text(number: Decimal | str) -> str:
    return number if isinstance(number, str) else format(number, "f")


def __dir__() -> list[str]:
    return list(__all__)
