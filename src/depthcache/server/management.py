"""Begin and end books on request: what a book server asks of the program that runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from time import monotonic
from typing import Any, Protocol, cast

from depthcache import logs
from depthcache.errors import BookClosed, InvalidArgument, UnknownExchange, UnknownSymbol
from depthcache.model import Status, compact_json
from depthcache.server.kept_books import KeptBooks

__all__ = ["ManagedBooks", "Management"]


_CLOSED_FOR_S = 60.0
"""How long a book that the exchange closed is not begun again for a client: each attempt costs weight."""


class ManagedBooks(Protocol):
    """The books of a client of either API, as far as they are managed."""

    def add(self, symbol: str, exchange: str | None = None) -> Any:
        """Begin a book, or return the one that is there."""

    def remove(self, symbol: str, exchange: str | None = None) -> None:
        """End a book."""

    def get(self, key: tuple[str, str]) -> Any:
        """The book of these names, or None."""


class Management:
    """Answers the requests of one server. Not thread-safe for an asyncio client: call it on its loop."""

    def __init__(
        self,
        books: ManagedBooks,
        kept: KeptBooks,
        *,
        depth: int,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`depth`: levels a side that the client keeps complete, of every book."""
        self._books, self._kept, self._depth, self._clock = books, kept, depth, clock
        self._asked: set[tuple[str, str]] = set()
        self._refused_until: dict[tuple[str, str], float] = {}

    def answer(self, route: str, exchange: str, symbol: str, body: bytes) -> tuple[int, bytes]:
        """Status and JSON. Never raises: a bug is status 500 and a log line."""
        handlers: dict[str, Callable[[str, str, bytes], tuple[int, bytes]]]
        handlers = {"begin_book": self._begin, "end_book": self._end, "begin_asked_book": self._begin_asked}
        if route not in handlers:
            words = "this server is no node of a cluster: `depthcache cluster start` begins one"
            return _error(HTTPStatus.NOT_FOUND, "no_cluster", words)
        try:
            answer = handlers[route](exchange, symbol, body)
            self._kept.save()
        except UnknownExchange as error:
            return _error(HTTPStatus.NOT_FOUND, "unknown_exchange", str(error), exchange=exchange)
        except UnknownSymbol as error:
            return _error(HTTPStatus.NOT_FOUND, "unknown_book", str(error), exchange=exchange, symbol=symbol)
        except InvalidArgument as error:
            value, allowed = str(error.value), error.allowed
            return _error(
                HTTPStatus.BAD_REQUEST,
                "invalid_parameter",
                str(error),
                name=error.name,
                value=value,
                allowed=allowed,
            )
        except OSError as error:
            logs.unexpected(where="the file of kept books", error=error)
            words = f"done, but a restart will not know it: {error}"
            return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "not_kept", words)
        except BookClosed as error:
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, "draining", str(error))
        except Exception as error:  # noqa: BLE001 - the sender gets a status, the log the error
            logs.unexpected(where="a request of the book server", error=error)
            words = "a bug in the server: its log has the error"
            return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", words)
        return answer

    def _begin(self, exchange: str, symbol: str, body: bytes) -> tuple[int, bytes]:
        wanted = self._wanted_depth(body)
        held = self._books.get((exchange, symbol))
        is_there = held is not None and held.status is not Status.CLOSED
        if wanted is not None and wanted != self._depth:
            if is_there:
                words = f"{symbol} on {exchange} is kept with depth {self._depth}"
                return _error(HTTPStatus.CONFLICT, "exists_otherwise", words, depth=self._depth)
            allowed = f"{self._depth}, the depth of this server"
            raise InvalidArgument(name="depth", value=wanted, allowed=allowed)
        book: Any = held if is_there else self._books.add(symbol, exchange)
        key = (book.exchange, book.symbol)
        if not is_there or key in self._asked:
            self._asked.discard(key)
            self._kept.begin(*key)
        status = HTTPStatus.OK if is_there else HTTPStatus.CREATED
        facts = {"exchange": book.exchange, "symbol": book.symbol, "status": book.status.value}
        return status, compact_json({**facts, "reason": book.reason, "depth": self._depth})

    def _begin_asked(self, exchange: str, symbol: str, body: bytes) -> tuple[int, bytes]:
        """Begin a book for a client of the exchange's protocol; `body`: how many such books there may be."""
        if self._books.get((exchange, symbol)) is not None:
            return HTTPStatus.OK, b""
        self._forget_closed()
        if self._refused_until.get((exchange, symbol), 0.0) > self._clock():
            return _error(HTTPStatus.TOO_MANY_REQUESTS, "closed_lately", f"{symbol} was closed a moment ago")
        if len(self._asked) >= int(body):
            return _error(HTTPStatus.CONFLICT, "too_many_books", f"{body.decode()} books were begun so")
        book = self._books.add(symbol, exchange)
        self._asked.add((book.exchange, book.symbol))
        return HTTPStatus.OK, b""

    def _forget_closed(self) -> None:
        """Symbols that the exchange does not know do not count."""
        now_s = self._clock()
        self._refused_until = {key: until for key, until in self._refused_until.items() if until > now_s}
        for exchange, symbol in tuple(self._asked):
            book = self._books.get((exchange, symbol))
            if book is not None and book.status is Status.CLOSED:
                self._books.remove(symbol, exchange)
                self._refused_until[exchange, symbol] = now_s + _CLOSED_FOR_S
                book = None
            if book is None:
                self._asked.discard((exchange, symbol))

    def _end(self, exchange: str, symbol: str, body: bytes) -> tuple[int, bytes]:
        if body:
            raise InvalidArgument(name="body", value="a body", allowed="no body")
        held = self._books.get((exchange, symbol))
        if held is not None:
            self._books.remove(symbol, exchange)
            self._kept.end(held.exchange, held.symbol)
        return HTTPStatus.NO_CONTENT, b""

    def _wanted_depth(self, body: bytes) -> int | None:
        allowed = 'no body, or JSON such as {"depth": 100}'
        try:
            given: Any = json.loads(body or b"{}")
        except (ValueError, RecursionError):
            raise InvalidArgument(name="body", value="no JSON", allowed=allowed) from None
        if not isinstance(given, dict):
            raise InvalidArgument(name="body", value=type(given).__name__, allowed=allowed)
        wanted = cast("dict[str, Any]", given)
        for name in wanted:
            if name != "depth":
                raise InvalidArgument(name=name, value=wanted[name], allowed="depth alone")
        depth = wanted.get("depth")
        if depth is not None and (isinstance(depth, bool) or not isinstance(depth, int) or depth < 1):
            raise InvalidArgument(name="depth", value=depth, allowed="a whole number, 1 or more")
        return depth


def _error(status: HTTPStatus, code: str, message: str, **facts: object) -> tuple[int, bytes]:
    return status, compact_json({"error": {"code": code, "message": message, **facts}})
