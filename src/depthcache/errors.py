"""All errors that depthcache raises, in one hierarchy, grouped by cause.

    DepthCacheError
    ├── UsageError (ValueError)          the caller: an invalid argument or setting
    │   ├── UnknownExchange              no exchange has this name
    │   ├── UnknownSymbol (LookupError)  the exchange or this client does not have the symbol
    │   ├── InvalidArgument              a value outside the allowed range or type
    │   ├── UnreadableRecording          a file that is not a readable recording
    │   ├── UnreadableMessage            bytes that are not a `depthcache.wire` message
    │   │   └── UnsupportedSchema        a message with a different schema version
    │   ├── SymbolMismatch               a message for a different symbol than the book's
    │   ├── NumberTooWide                a number that does not fit into int64
    │   └── PackageMissing (ImportError) an optional dependency that is not installed
    ├── ExchangeError                    the exchange: it sent something unusable
    │   ├── MalformedMessage             bytes that violate the protocol
    │   │   ├── MalformedFrame           a malformed WebSocket frame
    │   │   └── MalformedSnapshot        a malformed depth snapshot
    │   └── RequestRejected              an HTTP error response
    ├── NetworkError                     the network: no usable response
    │   └── ConnectionFailed             a connection failed or was lost
    └── BookError                        the state of a book
        ├── BookNotSynced                the book cannot be trusted right now
        │   └── BooksNotSynced           at least one of several books cannot be trusted right now
        ├── BookClosed                   the book or its client is closed for good
        ├── BookTooOld                   the last update is older than `max_age` allows
        ├── BookEmpty                    a side has no levels and therefore no best price
        └── SyncTimeout (TimeoutError)   a book did not sync within the timeout

Constructors take keyword arguments only and store them as attributes, except those that only shape the
message. The message states what went wrong, the value, and what is allowed or happens next. Errors, including
your own subclasses, keep their message and attributes when they are pickled or copied.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any, Literal, Self, TypeAlias

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
_BookKind: TypeAlias = Literal["live", "offline", "frozen"]
_BOOKS_SHOWN = 5
_LONGEST_VALUE = 200


def _shown(value: object) -> str:
    """Format a caller's value as one line of limited length, without credentials."""
    return clean(without_credentials(_begin(value)), most=_LONGEST_VALUE)


def _begin(value: object) -> str:
    if isinstance(value, str | bytes) and len(value) > _LONGEST_VALUE:
        return f"{value[:_LONGEST_VALUE]!r}… ({len(value):,} long)"
    return repr(value)


def _either(names: tuple[str, ...]) -> str:
    """`'A', 'B' or 'C'`."""
    *first, last = map(repr, names)
    return f"{', '.join(first)} or {last}" if first else last


class DepthCacheError(Exception):
    """Base class of all errors raised by depthcache.

    Two errors are equal if their class, message and attributes are equal. Pickling keeps notes but not the
    cause or traceback; an attribute that cannot be pickled is replaced by its `repr`.
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
    """The caller passed an invalid argument or used the API incorrectly."""


class UnknownExchange(UsageError):
    """No exchange has this name.

    Attributes:
        name: the name that was passed.
        known: all exchange names.
        near: the most similar names, best match first.
        hint: what to use instead, if the name is a known alias for something else; otherwise empty.
    """

    name: str
    known: tuple[str, ...]
    near: tuple[str, ...]
    hint: str

    def __init__(
        self, *, name: str, known: tuple[str, ...], near: tuple[str, ...] = (), hint: str = ""
    ) -> None:
        self.name, self.known, self.near, self.hint = name, known, near, hint
        likely = f"did you mean {_either(near)}? " if near else ""
        instead = f"{hint}; " if hint else ""
        text = f"unknown exchange {_shown(name)}: {instead}{likely}`depthcache exchanges` lists all"
        super().__init__(text)


class UnknownSymbol(UsageError, LookupError):
    """The exchange, or this client, does not have the symbol.

    Attributes:
        symbol: the symbol that was passed.
        exchange: the exchange that was searched; None if no single exchange was named.
        reason: why the symbol is unknown; may be empty.
        near: similar symbols, best match first.
        books: all unknown symbols of a call that names several, each as (exchange, symbol, reason, near). The
            first entry holds the attributes above.
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
        ambiguous: bool = False,
    ) -> None:
        """`others`: further unknown symbols, in the format of `books`. `ambiguous`: several exchanges have
        it."""
        self.symbol, self.exchange, self.reason, self.near = symbol, exchange, reason, near
        self.books = ((exchange, symbol, reason, near), *others)
        listed = [_unknown(*each) for each in self.books[:_BOOKS_SHOWN]]
        if not others:
            super().__init__(f"{'ambiguous' if ambiguous else 'unknown'} symbol {listed[0]}")
            return
        more = f"; and {len(others) + 1 - len(listed):,} more" if len(others) >= len(listed) else ""
        super().__init__(f"{len(others) + 1:,} unknown symbols: {'; '.join(listed)}{more}")


def _unknown(exchange: str | None, symbol: str, reason: str, near: tuple[str, ...]) -> str:
    where = f" on {exchange}" if exchange else ""
    why = f": {reason.removesuffix('.') if near else reason}" if reason else ""
    hint = f"; did you mean {_either(near)}?" if near else ""
    return f"{_shown(symbol)}{where}{why}{hint}"


class InvalidArgument(UsageError):
    """An argument or setting has a value that is not allowed.

    Attributes:
        name: the argument or setting.
        value: the value that was passed.
        allowed: a description of the allowed values.
    """

    name: str
    value: object
    allowed: str

    def __init__(self, *, name: str, value: object, allowed: str, text: str | None = None) -> None:
        """`text`: the message where the value does not say what is wrong, such as a missing argument."""
        self.name, self.value, self.allowed = name, value, allowed
        super().__init__(f"invalid {name} {_shown(value)}: expected {allowed}" if text is None else text)


class UnreadableRecording(UsageError):
    """A file cannot be read, or is not a recording in a supported format.

    Attributes:
        path: the file.
        line: the line at which reading stopped, counted from 1; None if nothing was read.
        reason: why it cannot be read.
    """

    path: PurePath
    line: int | None
    reason: str

    def __init__(self, *, path: PurePath, line: int | None, reason: str) -> None:
        self.path, self.line, self.reason = path, line, reason
        place = escaped(str(path)) if line is None else f"{escaped(str(path))}:{line}"
        super().__init__(f"cannot read {place}: {clean(reason)}")


class UnreadableMessage(UsageError):
    """Bytes that `depthcache.wire.decode` cannot read: not a message, or an inconsistent one.

    Attributes:
        what: what is wrong.
        excerpt: the first bytes of the message.
    """

    what: str
    excerpt: bytes

    def __init__(self, *, what: str, excerpt: bytes) -> None:
        self.what, self.excerpt = what, excerpt
        super().__init__(f"not a depthcache message: {clean(what)}; starts with {_shown(excerpt)}")


class UnsupportedSchema(UnreadableMessage):
    """A message has a schema version that this release does not support.

    Attributes:
        received: the schema version of the message.
        supported: the schema version that this release reads and writes.
        excerpt: the first bytes of the message.
    """

    received: int
    supported: int

    def __init__(self, *, received: int, supported: int, excerpt: bytes) -> None:
        self.received, self.supported = received, supported
        what = f"schema version {received}, but this release reads version {supported}"
        super().__init__(what=what, excerpt=excerpt)


class SymbolMismatch(UsageError):
    """A frame or snapshot belongs to a different symbol than the book.

    Attributes:
        expected: the symbol of the book.
        received: the symbol in the message.
    """

    expected: str
    received: str

    def __init__(self, *, expected: str, received: str) -> None:
        self.expected, self.received = expected, received
        super().__init__(
            f"message for {_shown(received)} applied to the book of {_shown(expected)}; the book is unchanged"
        )


class NumberTooWide(UsageError):
    """A price or quantity does not fit into a 64-bit integer.

    Attributes:
        symbol: the symbol of the book.
        scale: the number of decimal places of that side.
    """

    symbol: str
    scale: int

    def __init__(self, *, symbol: str, scale: int) -> None:
        self.symbol, self.scale = symbol, scale
        super().__init__(
            f"a number of {symbol!r} does not fit into 64 bits with {scale} decimals; use floats or Decimals"
        )


class PackageMissing(UsageError, ImportError):
    """The call needs an optional dependency that is not installed.

    Attributes:
        package: the name of the missing package.
        wanted_for: the call that needs it.
    """

    package: str
    wanted_for: str

    def __init__(self, *, package: str, wanted_for: str) -> None:
        self.package, self.wanted_for = package, wanted_for
        super().__init__(f"{wanted_for} needs the package {package}: {_pip_install(package)}")


_EXTRAS = {
    "cryptography": "cluster",
    "eclipse-zenoh": "cluster",
    "matplotlib": "plot",
    "prometheus-client": "prometheus",
    "textual": "tui",
    "trustme": "tls",
}


def _pip_install(package: str) -> str:
    extra = _EXTRAS.get(package)
    if extra is None:
        return f"pip install {package}"
    return f'pip install "depthcache[{extra}]" (in a checkout: pip install ".[{extra}]")'


# --- the exchange ----------------------------------------------------------------------------


class ExchangeError(DepthCacheError):
    """The exchange sent something that cannot be used."""


class MalformedMessage(ExchangeError):
    """The bytes of a message violate the protocol; the book is unchanged.

    Attributes:
        what: what is wrong.
        position: the byte offset of the fault; 0 for the message as a whole, such as a missing key.
        excerpt: the first bytes of the message.
        stream: the stream name of a wrapped frame; None if there is none or it could not be read.
    """

    what: str
    position: int
    excerpt: bytes

    kind = "message"
    stream: str | None = None

    def __init__(self, *, what: str, position: int, excerpt: bytes) -> None:
        self.what, self.position, self.excerpt = what, position, bytes(excerpt[:_EXCERPT_BYTES])
        shown = self.excerpt.decode("utf-8", "backslashreplace")
        where = f" at byte {position}" if position else ""
        super().__init__(
            f"malformed {self.kind}: {what}{where}; the book is unchanged; starts with {shown!r}"
        )


class MalformedFrame(MalformedMessage):
    """A WebSocket frame that violates the protocol."""

    kind = "frame"


class MalformedSnapshot(MalformedMessage):
    """A depth snapshot that violates the protocol."""

    kind = "snapshot"


class RequestRejected(ExchangeError):
    """The exchange answered a request with an HTTP error.

    Attributes:
        url: the URL of the request.
        status: the HTTP status code.
        code: Binance's error code, such as `-1121`; None if the body has none.
        text: Binance's error message, or the start of a body that is not JSON.
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
    """The network delivered no usable response."""


class ConnectionFailed(NetworkError):
    """A connection could not be made, or was lost.

    Attributes:
        url: the URL of the connection.
        reason: why it failed.
    """

    url: str
    reason: str

    def __init__(self, *, url: str, reason: str) -> None:
        self.url, self.reason = url, reason
        super().__init__(f"connection to {clean(url)} failed: {reason}")


class ServerRefused(NetworkError):
    """No book server accepts this client: a wrong or missing token, or a certificate that is not trusted.

    The client goes on trying, and its books recover once a server accepts it.

    Attributes:
        reason: what the last server answered, with its name, and what to do.
    """

    reason: str

    def __init__(self, *, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


# --- the state of a book ---------------------------------------------------------------------


class BookError(DepthCacheError):
    """Base class of errors caused by the state of a book; `message` is the error text.

    Attributes:
        exchange, symbol: the book.
    """

    exchange: str
    symbol: str

    def __init__(self, message: str, *, exchange: str, symbol: str) -> None:
        self.exchange, self.symbol = exchange, symbol
        super().__init__(message)


def _named(symbol: str) -> str:
    """The symbol for messages; an offline book has none before its first message."""
    return symbol or "a book without a symbol"


class BookNotSynced(BookError):
    """The book cannot be trusted right now.

    A live book resyncs by itself: call `wait_synced`, or read with `on_stale="wait"`. A `Book` needs
    `load_snapshot`. With `on_stale="serve"` you can read the last known levels instead.

    Attributes:
        exchange, symbol: the book.
        status: its status, anything but `synced`.
        reason: why it has this status.
        since_ns: the start of this status, in nanoseconds of the clock `depthcache.now_ns`.
    """

    status: str
    reason: str
    since_ns: int

    def __init__(
        self,
        *,
        exchange: str,
        symbol: str,
        status: str,
        reason: str,
        since_ns: int,
        kind: _BookKind = "live",
        is_known: bool = False,
    ) -> None:
        """`kind`: what the book is, which decides what helps. `is_known`: whether `on_stale="serve"` would
        read it."""
        self.status, self.reason, self.since_ns = status, reason, since_ns
        super().__init__(
            f"{_named(symbol)} on {exchange} is {status}, not synced: {clean(reason)}"
            f"{_remedy(kind, status, is_known=is_known)}",
            exchange=exchange,
            symbol=symbol,
        )


def _remedy(kind: _BookKind, status: str, *, is_known: bool) -> str:
    """What helps against a book that is not synced; nothing changes a frozen one."""
    if kind == "frozen":
        return ""
    first = " first" if status == "empty" else ""
    call = f"; call wait_synced(){first}" if kind == "live" else "; call load_snapshot()"
    return call + (', or pass on_stale="serve" to read the last known book' if is_known else "")


class BooksNotSynced(BookNotSynced):
    """At least one of several books that were read together cannot be trusted right now.

    Attributes:
        books: all books that cannot be trusted, each as (exchange, symbol, status, reason).
        asked: the number of books in the call.
        exchange, symbol, status, reason, since_ns: those of the first entry in `books`.
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
            'call wait_synced(), pass missing="skip" to leave them out, or on_stale="serve" to read the last '
            "known books"
        )
        BookError.__init__(self, text, exchange=exchange, symbol=symbol)


class BookClosed(BookError):
    """The book is closed for good: it was removed, its client was closed, or its symbol was delisted.

    Attributes:
        exchange, symbol: the book.
        reason: why it was closed.
    """

    def __init__(self, *, exchange: str, symbol: str, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"{symbol} on {exchange} is closed: {clean(reason)}", exchange=exchange, symbol=symbol
        )


class BookTooOld(BookError):
    """The last update of a synced book was received longer ago than `max_age` allows.

    The levels may still be right: a quiet market has an old book. Whether a book can be trusted is its
    `status`.

    Attributes:
        exchange, symbol: the book.
        age_s: seconds since the last update was received, or the snapshot if no update followed it.
        max_age_s: the age allowed, in seconds.
    """

    age_s: float
    max_age_s: float

    def __init__(self, *, exchange: str, symbol: str, age_s: float, max_age_s: float) -> None:
        self.age_s, self.max_age_s = age_s, max_age_s
        super().__init__(
            f"{symbol} on {exchange} is {age_s:.3f} s old, max_age is {max_age_s:g} s: "
            "wait for the next update or pass a larger max_age",
            exchange=exchange,
            symbol=symbol,
        )


class BookEmpty(BookError):
    """A side of the book has no levels and therefore no best price; the rest of the book can be read.

    Attributes:
        exchange, symbol: the book.
        side: the empty side, `bids` or `asks`.
    """

    side: str

    def __init__(self, *, exchange: str, symbol: str, side: str) -> None:
        self.side = side
        super().__init__(
            f"{_named(symbol)} on {exchange} has no {side}: `best` returns None for that side "
            "until an update adds a level",
            exchange=exchange,
            symbol=symbol,
        )


class SyncTimeout(BookError, TimeoutError):
    """One or more books did not sync, or a comparison was not made, within the timeout.

    Attributes:
        exchange, symbol: the book; the first one that is late if several are.
        timeout_s: the timeout in seconds.
        status, reason: the status of that book at the timeout, and its reason.
        books: all late books, each as (exchange, symbol, status, reason).
        asked: the number of books waited for.
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
        awaited: str = "",
    ) -> None:
        """`others`: further late books, in the format of `books`. `awaited`: what did not come, if it was not
        sync."""
        self.timeout_s, self.status, self.reason, self.asked = timeout_s, status, reason, asked
        self.books = ((exchange, symbol, status, reason), *others)
        if asked == 1:
            late = f"is not synced after {timeout_s:g} s: it is {status}" + (f" ({reason})" if reason else "")
            if awaited and status == "synced":
                late = f"is synced, but {awaited} did not come within {timeout_s:g} s"
            text = f"{symbol} on {exchange} {late}"
        else:
            listed = [f"{each[1]} on {each[0]} is {each[2]} ({each[3]})" for each in self.books]
            more = f" and {len(listed) - _BOOKS_SHOWN:,} more" if len(listed) > _BOOKS_SHOWN else ""
            text = (
                f"{len(listed):,} of {asked:,} books are not synced after {timeout_s:g} s: "
                f'{", ".join(listed[:_BOOKS_SHOWN])}{more}; pass missing="skip" to continue with the others'
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
    ServerRefused,
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
