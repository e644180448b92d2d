"""Every log line of this package: one named function each, on the logger `depthcache`.

What a program must react to is an exception or a status, never a line here. A book that loses sync, a
connection that breaks or cannot be made, and a request without a usable response are a WARNING with the host
and the reason; the recovery is INFO, like everything that happens in good order. An internal error of this
package, or an exception in a callback of the program, is an ERROR. Without any logging set up, a program sees
no lines about books and connections. No line is written per frame or read. When hundreds of books lose one
connection, at most a hundred lines of each kind are written in ten seconds, then one with the number that was
suppressed.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from threading import Lock
from time import monotonic

__all__ = [
    "book_ended",
    "book_late",
    "book_lost",
    "book_recovered",
    "book_status",
    "callback_failed",
    "client_of_simulator_failed",
    "connection_broke",
    "connection_closed",
    "connection_failed",
    "connection_open",
    "flight_dump_saved",
    "limit_refused",
    "loop_ended",
    "loop_was_blocked",
    "not_native",
    "not_written",
    "recording_resumed",
    "request_failed",
    "resumed",
    "snapshot_source_failed",
    "unexpected",
]

_LOGGER = logging.getLogger("depthcache")
_MOST, _WINDOW_S = 100, 10.0


class _Limited:
    """Lines of one kind: at most so many in a window; suppressed ones are counted and reported.

    `quiet`: only for programs that set up logging; Python would show warnings of all others on stderr.
    """

    def __init__(self, most: int = _MOST, *, quiet: bool = False) -> None:
        self._lock, self._most, self._quiet = Lock(), most, quiet
        self._began = self._written = self._left_out = 0.0

    def write(self, level: int, text: str, *values: object, error: BaseException | None = None) -> None:
        if not _LOGGER.isEnabledFor(level) or (self._quiet and not _LOGGER.hasHandlers()):
            return
        with self._lock:
            now = monotonic()
            left_out = 0.0
            if now - self._began >= _WINDOW_S:
                left_out, self._left_out = self._left_out, 0.0
                self._began, self._written = now, 0.0
            self._written += 1
            if self._written > self._most:
                self._left_out += 1
                return
        if left_out:
            _write(level, "%d similar lines were suppressed", left_out)
        _write(level, text, *values, error=error)


def _write(level: int, text: str, *values: object, error: BaseException | None = None) -> None:
    """One line. A handler or a filter of the program that raises is no reason to leave anything undone."""
    with suppress(Exception):
        _LOGGER.log(level, text, *values, exc_info=error)


_BOOKS, _LOST_BOOKS, _CONNECTIONS, _LOST_CONNECTIONS, _REQUESTS = (_Limited(quiet=True) for _ in range(5))
_LIMITS, _FLIGHTS, _SOURCES, _RARE, _SIMULATOR = (_Limited() for _ in range(5))
_MISTAKES: dict[tuple[str, type[BaseException]], _Limited] = {}
_MOST_MISTAKES = 5
"""Of one place and kind in ten seconds: each comes with its traceback."""


def book_lost(*, exchange: str, symbol: str, status: str, reason: str) -> None:
    """A book was synced and is not any more; it heals by itself."""
    _LOST_BOOKS.write(logging.WARNING, "%s on %s lost sync and is %s: %s", symbol, exchange, status, reason)


def book_recovered(*, exchange: str, symbol: str, after_s: float) -> None:
    """A book that had lost sync is synced again."""
    _BOOKS.write(logging.INFO, "%s on %s is synced again after %.1f s", symbol, exchange, after_s)


def book_ended(*, exchange: str, symbol: str, reason: str) -> None:
    """The exchange does not know the symbol, or no longer: the book is closed for good."""
    _LOST_BOOKS.write(logging.WARNING, "%s on %s is closed for good: %s", symbol, exchange, reason)


def book_status(*, exchange: str, symbol: str, status: str, reason: str) -> None:
    """A book has another status: on its way to its first sync or back to it, or closed by the program."""
    _BOOKS.write(logging.INFO, "%s on %s is %s%s", symbol, exchange, status, f": {reason}" if reason else "")


def book_late(*, exchange: str, symbol: str, reason: str) -> None:
    """The diffs of a book have been arriving late for 10 s; told once until they arrive in time again."""
    _BOOKS.write(logging.INFO, "%s on %s is late: %s", symbol, exchange, reason)


def callback_failed(*, callback: object, error: BaseException) -> None:
    """A function of the program, called with an update, raised: a bug in it; books are unaffected. Of each
    function and kind of error five in ten seconds: each comes with its traceback."""
    name = getattr(callback, "__qualname__", None) or type(callback).__qualname__
    kind = type(error).__name__
    limited = _MISTAKES.setdefault((f"callback {name}", type(error)), _Limited(_MOST_MISTAKES))
    limited.write(
        logging.ERROR, "the callback %s raised %s; books and callbacks go on", name, kind, error=error
    )


def client_of_simulator_failed(*, did: str, error: Exception) -> None:
    """The embedded exchange raised while it served one request or connection: that one alone is ended."""
    _SIMULATOR.write(logging.ERROR, "the embedded exchange goes on, but could not serve %s", did, error=error)


def connection_open(*, connection: int, host: str) -> None:
    """A WebSocket is open."""
    _CONNECTIONS.write(logging.INFO, "connection %d to %s is open", connection, host)


def connection_closed(*, connection: int, host: str) -> None:
    """A WebSocket was closed by this client."""
    _CONNECTIONS.write(logging.INFO, "connection %d to %s is closed", connection, host)


def connection_broke(*, connection: int, host: str, code: int | None, reason: str) -> None:
    """An open WebSocket that was still needed ended; another is opened."""
    _LOST_CONNECTIONS.write(
        logging.WARNING, "connection %d to %s broke (code %s): %s", connection, host, code, reason
    )


def connection_failed(*, connection: int, host: str, reason: str) -> None:
    """A WebSocket could not be opened: no such name, refused, no response in time; it will be retried."""
    _LOST_CONNECTIONS.write(
        logging.WARNING, "connection %d to %s could not be opened: %s", connection, host, reason
    )


def request_failed(*, request: int, host: str, reason: str) -> None:
    """A request got no response, or none with status 200; what is still needed is requested again."""
    _REQUESTS.write(logging.WARNING, "request %d to %s failed: %s", request, host, reason)


def limit_refused(*, exchange: str, symbol: str, limit: int, instead: int, reason: str) -> None:
    """The exchange refuses a snapshot limit that it documents. Called once per exchange and limit."""
    _LIMITS.write(
        logging.WARNING,
        "%s refuses snapshots of %d levels for %s; requesting %d instead: %s",
        exchange,
        limit,
        symbol,
        instead,
        reason,
    )


def snapshot_source_failed(*, symbol: str, error: BaseException) -> None:
    """The user's own source of snapshots raised something."""
    _SOURCES.write(logging.WARNING, "the snapshot source raised for %s: %r", symbol, error)


def loop_was_blocked(*, late_s: float, books_were_late: bool) -> None:
    """The event loop that carries the client was blocked."""
    meant = "books were late by as much" if books_were_late else "books were not touched by it"
    _RARE.write(logging.INFO, "the event loop was blocked for about %.1f s; %s", late_s, meant)


def loop_ended(*, reason: str) -> None:
    """The event loop of a client ended before the client was closed."""
    _LOGGER.info("the books of a client are closed: %s", reason)


def resumed() -> None:
    """The machine slept, or the process was suspended."""
    _LOGGER.info("the machine or this process paused: books are stale until they are proven again")


def flight_dump_saved(*, exchange: str, symbol: str, reason: str, path: str) -> None:
    """The flight recorder of a book was written to a file."""
    _FLIGHTS.write(logging.INFO, "flight dump of %s on %s saved to %s: %s", symbol, exchange, path, reason)


def not_written(*, path: str, error: Exception) -> None:
    """A recording or a flight dump could not be written, such as to a full disk."""
    _RARE.write(logging.ERROR, "%s could not be written, the client goes on: %s", path, error)


def recording_resumed(*, path: str, lost: int) -> None:
    """A recording goes on in a new file after an error."""
    _LOGGER.warning("the recording goes on in %s; %d lines were lost before", path, lost)


def not_native(*, host: str, proxy: str) -> None:
    """A connection is made by aiohttp, because the native transport does not know such proxies."""
    _RARE.write(
        logging.INFO, "%s is reached by aiohttp: the native transport cannot use the proxy %s", host, proxy
    )


def unexpected(*, where: str, error: BaseException) -> None:
    """An internal error; the client goes on. Lines are limited per place and kind of error."""
    limited = _MISTAKES.setdefault((where, type(error)), _Limited(_MOST_MISTAKES))
    limited.write(
        logging.ERROR, "unexpected error in %s; the client goes on; please report this", where, error=error
    )
