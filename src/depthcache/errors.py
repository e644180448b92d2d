"""Every error that depthcache raises, in one tree, split by who is at fault.

    DepthCacheError
    ├── UsageError (ValueError)          the caller: an argument or a setting
    │   ├── UnknownExchange              no such exchange name
    │   ├── UnknownSymbol (LookupError)  the exchange, or this client, has no such symbol
    │   ├── InvalidArgument              a value outside what is allowed
    │   ├── UnreadableRecording          a file that is no recording
    │   ├── UnreadableMessage            bytes that are not a `depthcache.wire` message
    │   │   └── UnsupportedSchema        ... of another version of its schema
    │   ├── SymbolMismatch               a frame of another symbol than the book's
    │   ├── NumberTooWide                int64 asked of numbers that do not fit it
    │   └── PackageMissing (ImportError) an optional package that is not installed
    ├── ExchangeError                    the exchange: what it sent
    │   ├── MalformedMessage             bytes that are not what the protocol says
    │   │   ├── MalformedFrame           ... of a WebSocket frame
    │   │   └── MalformedSnapshot        ... of a depth snapshot
    │   └── RequestRejected              an HTTP response that is an error
    ├── NetworkError                     the network: nothing usable arrived
    │   └── ConnectionFailed             a connection could not be made or broke
    └── BookError                        the state of a book
        ├── BookNotSynced                the book cannot be trusted right now
        │   └── BooksNotSynced           ... some of several that were read together
        ├── BookClosed                   the book or its client is closed for good
        ├── BookTooOld                   its last update is older than `max_age` allows
        ├── BookEmpty                    a side has no level, so no best price
        └── SyncTimeout (TimeoutError)   waiting for sync took longer than allowed

Facts are attributes (keyword-only in the constructors); the message is built from them and
says what happened, with which value, and what is allowed or happens next. Errors pickle and copy with
all of it, subclasses of programs as well. Not here: log lines.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any, Self

from depthcache.foreign_text import clean, escaped, without_credentials
from depthcache.naming import publish
from depthcache.pickling import attributes, bare, deep, is_same, portable

__all__ = [
    "BookClosed",
    "BookEmpty",
    "BookError",
    "BookNotSynced",
    "BookTooOld",
    "BooksNotSynced",
    "ConnectionFailed",
    "DepthCacheError",
    "ExchangeError",
    "InvalidArgument",
    "MalformedFrame",
    "MalformedMessage",
    "MalformedSnapshot",
    "NetworkError",
    "NumberTooWide",
    "PackageMissing",
    "RequestRejected",
    "SymbolMismatch",
    "SyncTimeout",
    "UnknownExchange",
    "UnknownSymbol",
    "UnreadableMessage",
    "UnreadableRecording",
    "UnsupportedSchema",
    "UsageError",
]

_EXCERPT_BYTES = 120
_BOOKS_SHOWN = 5
_LONGEST_VALUE = 200


def _shown(value: object) -> str:
    """What a caller gave, as one line without passwords and without end."""
    return clean(without_credentials(_begin(value)), most=_LONGEST_VALUE)


def _begin(value: object) -> str:
    if isinstance(value, str | bytes) and len(value) > _LONGEST_VALUE:
        return f"{value[:_LONGEST_VALUE]!r}… ({len(value):,} long)"
    return repr(value)


class DepthCacheError(Exception):
    """Base of every error raised by depthcache.

    Errors of one class with the same text and attributes are equal. They pickle, with their notes and without
    their cause and traceback; an attribute that pickle cannot carry over arrives as its `repr`.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        state = {name: portable(value) for name, value in attributes(self).items()}
        args = tuple(map(portable, self.args))
        return bare, (type(self), *args), {**state, "args": args}

    def __copy__(self) -> Self:
        return self._made({**attributes(self), "args": self.args})

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        facts = {name: deep(value, memo) for name, value in attributes(self).items()}
        return self._made({**facts, "args": tuple(deep(value, memo) for value in self.args)})

    def _made(self, state: dict[str, Any]) -> Self:
        made: Self = bare(type(self), *state["args"])
        made.__setstate__(state)
        return made

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other) or not isinstance(other, DepthCacheError):
            return NotImplemented
        one, two = ({**attributes(error), "__notes__": None} for error in (self, other))
        return self is other or (self.args == other.args and is_same(one, two))

    def __hash__(self) -> int:
        return hash((type(self), str(self)))


# --- the caller ------------------------------------------------------------------------------


class UsageError(DepthCacheError, ValueError):
    """The caller passed something that cannot work."""


class UnknownExchange(UsageError):
    """No exchange of that name.

    Attributes:
        name: the name as given.
        known: all names that exist.
        near: the names that look most like it, best first.
        hint: what to use instead, in words, where the name is known to mean something else.
    """

    name: str
    known: tuple[str, ...]
    near: tuple[str, ...]
    hint: str

    def __init__(
        self, *, name: str, known: tuple[str, ...], near: tuple[str, ...] = (), hint: str = ""
    ) -> None:
        self.name, self.known, self.near, self.hint = name, known, near, hint
        likely = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
        instead = f"{hint}; " if hint else ""
        super().__init__(f"unknown exchange {_shown(name)}: {instead}{likely}known are {', '.join(known)}")


class UnknownSymbol(UsageError, LookupError):
    """The exchange, or this client, has no such symbol.

    Attributes:
        symbol: the symbol as given.
        exchange: where it was looked up; None when the client holds several.
        reason: why it is unknown, in words; may be empty.
        near: symbols that look like it, best first.
        books: every unknown symbol where several were waited for, each with exchange, symbol, reason
            and near; the first is the one above.
    """

    symbol: str
    exchange: str | None
    reason: str
    near: tuple[str, ...]
    books: tuple[tuple[str | None, str, str, tuple[str, ...]], ...]

    def __init__(
        self,
        *,
        symbol: str,
        exchange: str | None,
        reason: str = "",
        near: tuple[str, ...] = (),
        others: tuple[tuple[str | None, str, str, tuple[str, ...]], ...] = (),
    ) -> None:
        """`others`: the other unknown symbols, as in `books`."""
        self.symbol, self.exchange, self.reason, self.near = symbol, exchange, reason, near
        self.books = ((exchange, symbol, reason, near), *others)
        listed = [_unknown(*each) for each in self.books[:_BOOKS_SHOWN]]
        if not others:
            super().__init__(f"unknown symbol {listed[0]}")
            return
        more = f"; and {len(others) + 1 - len(listed):,} more" if len(others) >= len(listed) else ""
        super().__init__(f"{len(others) + 1:,} unknown symbols: {'; '.join(listed)}{more}")


def _unknown(exchange: str | None, symbol: str, reason: str, near: tuple[str, ...]) -> str:
    where = f" on {exchange}" if exchange else ""
    why = f": {reason.removesuffix('.') if near else reason}" if reason else ""
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    return f"{_shown(symbol)}{where}{why}{hint}"


class InvalidArgument(UsageError):
    """A value outside what is allowed.

    Attributes:
        name: the argument or setting.
        value: what was given.
        allowed: what is allowed, in words.
    """

    name: str
    value: object
    allowed: str

    def __init__(self, *, name: str, value: object, allowed: str) -> None:
        self.name, self.value, self.allowed = name, value, allowed
        super().__init__(f"invalid {name} {_shown(value)}: allowed is {allowed}")


class UnreadableRecording(UsageError):
    """A file that cannot be read, or that is no recording of a format known here.

    Attributes:
        path: the file.
        line: where reading stopped, counted from 1; None when nothing was read.
        reason: why, in words.
    """

    path: PurePath
    line: int | None
    reason: str

    def __init__(self, *, path: PurePath, line: int | None, reason: str) -> None:
        self.path, self.line, self.reason = path, line, reason
        place = escaped(str(path)) if line is None else f"{escaped(str(path))}:{line}"
        super().__init__(f"cannot read {place}: {clean(reason)}")


class UnreadableMessage(UsageError):
    """Bytes that `depthcache.wire.decode` cannot read: not a message, or one that contradicts itself.

    Attributes:
        what: what is wrong, in words.
        excerpt: the first bytes.
    """

    what: str
    excerpt: bytes

    def __init__(self, *, what: str, excerpt: bytes) -> None:
        self.what, self.excerpt = what, excerpt
        super().__init__(f"not a depthcache message: {clean(what)}; it begins with {_shown(excerpt)}")


class UnsupportedSchema(UnreadableMessage):
    """A message with another schema version: another release wrote it.

    Attributes:
        received: the version of the message.
        supported: the version that this release reads and writes.
        excerpt: the first bytes.
    """

    received: int
    supported: int

    def __init__(self, *, received: int, supported: int, excerpt: bytes) -> None:
        self.received, self.supported = received, supported
        what = f"its schema is {received}, this release reads schema {supported}"
        super().__init__(what=what, excerpt=excerpt)


class SymbolMismatch(UsageError):
    """A frame of another symbol was applied to a book.

    Attributes:
        expected: the symbol of the book.
        received: the symbol in the frame.
    """

    expected: str
    received: str

    def __init__(self, *, expected: str, received: str) -> None:
        self.expected, self.received = expected, received
        super().__init__(
            f"a frame of {_shown(received)} was applied to the book of {_shown(expected)}; "
            "the book is unchanged"
        )


class NumberTooWide(UsageError):
    """A number of the book does not fit into the integers of 64 bits that a call returns.

    Attributes:
        symbol: the book.
        scale: the decimals the side holds.
    """

    symbol: str
    scale: int

    def __init__(self, *, symbol: str, scale: int) -> None:
        self.symbol, self.scale = symbol, scale
        super().__init__(
            f"a number of {symbol!r} does not fit 64 bits at {scale} decimals; ask for floats or decimals"
        )


class PackageMissing(UsageError, ImportError):
    """The call needs a package that is an optional dependency of depthcache.

    Attributes:
        package: its name.
        wanted_for: the call that needs it.
    """

    package: str
    wanted_for: str

    def __init__(self, *, package: str, wanted_for: str) -> None:
        self.package, self.wanted_for = package, wanted_for
        super().__init__(f"{wanted_for} needs the package {package}: pip install {package}")


# --- the exchange ----------------------------------------------------------------------------


class ExchangeError(DepthCacheError):
    """The exchange sent something that cannot be used."""


class MalformedMessage(ExchangeError):
    """Bytes that are not what the protocol says; nothing was changed by them.

    Attributes:
        what: what is wrong, in words.
        position: the byte at which it was noticed.
        excerpt: the first bytes of the message.
        stream: the stream name, where the message is wrapped and it could be read.
    """

    what: str
    position: int
    excerpt: bytes

    kind = "message"
    stream: str | None = None

    def __init__(self, *, what: str, position: int, excerpt: bytes) -> None:
        self.what, self.position, self.excerpt = what, position, bytes(excerpt[:_EXCERPT_BYTES])
        shown = self.excerpt.decode("utf-8", "backslashreplace")
        super().__init__(
            f"malformed {self.kind}: {what} at byte {position}; nothing was changed; it begins {shown!r}"
        )


class MalformedFrame(MalformedMessage):
    """A WebSocket frame that is not what the protocol says."""

    kind = "frame"


class MalformedSnapshot(MalformedMessage):
    """A depth snapshot that is not what the protocol says."""

    kind = "snapshot"


class RequestRejected(ExchangeError):
    """The exchange rejected a request.

    Attributes:
        url: the URL of the request.
        status: the HTTP status.
        code: Binance's own code (`-1121` and the like), None where the body has none.
        text: Binance's own message, or the start of a body that is not JSON.
    """

    url: str
    status: int
    code: int | None
    text: str

    def __init__(self, *, url: str, status: int, code: int | None, text: str) -> None:
        self.url, self.status, self.code, self.text = url, status, code, text
        detail = f" code {code}" if code is not None else ""
        super().__init__(f"HTTP {status}{detail} for {clean(url)}: {text}")


# --- the network -----------------------------------------------------------------------------


class NetworkError(DepthCacheError):
    """Nothing usable arrived."""


class ConnectionFailed(NetworkError):
    """A connection could not be made, or broke.

    Attributes:
        url: the other end.
        reason: what happened, in words.
    """

    url: str
    reason: str

    def __init__(self, *, url: str, reason: str) -> None:
        self.url, self.reason = url, reason
        super().__init__(f"connection to {clean(url)} failed: {reason}")


# --- the state of a book ---------------------------------------------------------------------


class BookError(DepthCacheError):
    """The state of the book does not allow the call; `message` says why.

    Attributes:
        exchange, symbol: the book.
    """

    exchange: str
    symbol: str

    def __init__(self, message: str, *, exchange: str, symbol: str) -> None:
        self.exchange, self.symbol = exchange, symbol
        super().__init__(message)


def _named(symbol: str) -> str:
    """The symbol of a book; an offline book has none before its first message."""
    return symbol or "a book without a symbol"


class BookNotSynced(BookError):
    """The book cannot be trusted right now; it heals by itself where that is possible.

    Attributes:
        exchange, symbol: the book.
        status: the status it has instead of `synced`.
        reason: why, in words.
        since_ns: since when, on the clock `depthcache.now_ns`.
    """

    status: str
    reason: str
    since_ns: int

    def __init__(self, *, exchange: str, symbol: str, status: str, reason: str, since_ns: int) -> None:
        self.status, self.reason, self.since_ns = status, reason, since_ns
        super().__init__(
            f"{_named(symbol)} on {exchange} is {status}, not synced: {clean(reason)}; "
            f"wait_synced() waits for a live book, load_snapshot() restores a Book, "
            f'on_stale="serve" reads the last known book',
            exchange=exchange,
            symbol=symbol,
        )


class BooksNotSynced(BookNotSynced):
    """Some of several books that were read together cannot be trusted right now.

    Attributes:
        books: all of those, each with exchange, symbol, status and reason.
        asked: how many were to be read.
        exchange, symbol, status, reason, since_ns: of the first of them.
    """

    status: str
    reason: str
    since_ns: int
    books: tuple[tuple[str, str, str, str], ...]
    asked: int

    def __init__(
        self,
        *,
        books: tuple[tuple[str, str, str, str], ...],
        asked: int,
        exchange: str,
        symbol: str,
        status: str,
        reason: str,
        since_ns: int,
    ) -> None:
        self.books, self.asked = books, asked
        self.status, self.reason, self.since_ns = status, reason, since_ns
        listed = [f"{each[1]} on {each[0]} is {each[2]} ({each[3]})" for each in books]
        more = f" and {len(books) - _BOOKS_SHOWN} more" if len(books) > _BOOKS_SHOWN else ""
        text = (
            f"{len(books)} of {asked} books cannot be read: {', '.join(listed[:_BOOKS_SHOWN])}{more}; "
            'wait_synced() waits for them, missing="skip" leaves them out, on_stale="serve" reads the last '
            "known books"
        )
        BookError.__init__(self, text, exchange=exchange, symbol=symbol)


class BookClosed(BookError):
    """The book was removed, its client was closed, or its symbol ended; it will not come back.

    Attributes:
        exchange, symbol: the book.
        reason: why, in words.
    """

    def __init__(self, *, exchange: str, symbol: str, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"{symbol} on {exchange} is closed: {clean(reason)}", exchange=exchange, symbol=symbol
        )


class BookTooOld(BookError):
    """The last update of the book was received longer ago than `max_age` allows; the book itself is synced.

    A quiet market has an old book that is right: `status` says whether it can be trusted.

    Attributes:
        exchange, symbol: the book.
        age_s: how long ago its last update (or its snapshot, before the first) was received, in seconds.
        max_age_s: what was allowed, in seconds.
    """

    age_s: float
    max_age_s: float

    def __init__(self, *, exchange: str, symbol: str, age_s: float, max_age_s: float) -> None:
        self.age_s, self.max_age_s = age_s, max_age_s
        super().__init__(
            f"{symbol} on {exchange} is {age_s:.3f} s old, max_age is {max_age_s:g} s: no update came since; "
            "it can be read again after its next update, or with a larger max_age",
            exchange=exchange,
            symbol=symbol,
        )


class BookEmpty(BookError):
    """A side of the book has no level, so there is no best price of it; the book can be read all the same.

    Attributes:
        exchange, symbol: the book.
        side: `bids` or `asks`.
    """

    side: str

    def __init__(self, *, exchange: str, symbol: str, side: str) -> None:
        self.side = side
        super().__init__(
            f"{_named(symbol)} on {exchange} has no {side}: `best` has None there, and `{side}` is empty, "
            "until an update brings a level",
            exchange=exchange,
            symbol=symbol,
        )


class SyncTimeout(BookError, TimeoutError):
    """Waiting for a book, or for several, to be synced took longer than allowed.

    Attributes:
        exchange, symbol: the book; of several late ones the first.
        timeout_s: how long was waited, in seconds.
        status, reason: what the book was instead.
        books: all that were late, each with exchange, symbol, status and reason.
        asked: how many were waited for.
    """

    timeout_s: float
    status: str
    reason: str
    books: tuple[tuple[str, str, str, str], ...]
    asked: int

    def __init__(
        self,
        *,
        exchange: str,
        symbol: str,
        timeout_s: float,
        status: str,
        reason: str,
        others: tuple[tuple[str, str, str, str], ...] = (),
        asked: int = 1,
    ) -> None:
        """`others`: the other late books, as in `books`."""
        self.timeout_s, self.status, self.reason, self.asked = timeout_s, status, reason, asked
        self.books = ((exchange, symbol, status, reason), *others)
        if asked == 1:
            text = f"{symbol} on {exchange} is not synced after {timeout_s:g} s: it is {status} ({reason})"
        else:
            listed = [f"{each[1]} on {each[0]} is {each[2]} ({each[3]})" for each in self.books]
            more = f" and {len(listed) - _BOOKS_SHOWN:,} more" if len(listed) > _BOOKS_SHOWN else ""
            text = (
                f"{len(listed):,} of {asked:,} books are not synced after {timeout_s:g} s: "
                f'{", ".join(listed[:_BOOKS_SHOWN])}{more}; missing="skip" goes on with the others'
            )
        super().__init__(text, exchange=exchange, symbol=symbol)


publish(
    "depthcache",
    BookClosed,
    BookEmpty,
    BookError,
    BookNotSynced,
    BookTooOld,
    BooksNotSynced,
    ConnectionFailed,
    DepthCacheError,
    ExchangeError,
    InvalidArgument,
    MalformedFrame,
    MalformedMessage,
    MalformedSnapshot,
    NetworkError,
    NumberTooWide,
    PackageMissing,
    RequestRejected,
    SymbolMismatch,
    SyncTimeout,
    UnknownExchange,
    UnknownSymbol,
    UnreadableMessage,
    UnreadableRecording,
    UnsupportedSchema,
    UsageError,
)


def __dir__() -> list[str]:
    return list(__all__)
