"""Every log line of this package: one named function each, on the logger `depthcache`.

What a program must react to is an exception or a status, never a line here. So everything that
can happen in good order is INFO or DEBUG, and a program that sets up no logging hears nothing; only
a mistake of this package itself is an ERROR. Nothing here is called for a frame or a read.
"""

from __future__ import annotations

import logging

__all__ = [
    "book_status",
    "connection_closed",
    "connection_open",
    "flight_saved",
    "loop_was_blocked",
    "not_native",
    "not_written",
    "request_failed",
    "unexpected",
]

_LOGGER = logging.getLogger("depthcache")


def book_status(*, exchange: str, symbol: str, status: str, reason: str) -> None:
    """A book has another status."""
    _LOGGER.info("%s on %s is %s%s", symbol, exchange, status, f": {reason}" if reason else "")


def connection_open(*, connection: int) -> None:
    """A WebSocket is open."""
    _LOGGER.info("connection %d is open", connection)


def connection_closed(*, connection: int, code: int | None, reason: str) -> None:
    """A WebSocket ended, or could not be opened."""
    _LOGGER.info("connection %d is closed (code %s): %s", connection, code, reason)


def request_failed(*, request: int, reason: str) -> None:
    """A snapshot request got no answer, or none with status 200."""
    _LOGGER.info("request %d failed: %s", request, reason)


def loop_was_blocked(*, late_s: float, books_were_late: bool) -> None:
    """The event loop that carries the client stood still."""
    meant = "books were late by as much" if books_were_late else "books were not touched by it"
    _LOGGER.info("the event loop was blocked for about %.1f s; %s", late_s, meant)


def flight_saved(*, exchange: str, symbol: str, reason: str, path: str) -> None:
    """The flight recorder of a book was written to a file."""
    _LOGGER.info("the flight of %s on %s is saved to %s: %s", symbol, exchange, path, reason)


def not_written(*, path: str, error: Exception) -> None:
    """A recording or a flight could not be written, such as to a full disk."""
    _LOGGER.error("%s could not be written, the client goes on: %s", path, error)


def not_native(*, url: str, proxy: str) -> None:
    """A connection is made by aiohttp, because the native transport does not know such proxies."""
    _LOGGER.info("%s is reached by aiohttp: the native transport cannot use the proxy %s", url, proxy)


def unexpected(*, where: str, error: BaseException) -> None:
    """A mistake of this package; the client goes on. Called once per place and kind of error."""
    _LOGGER.error("unexpected error in %s; the client goes on; please report this", where, exc_info=error)
