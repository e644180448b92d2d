"""Waiting until books are synced: one, several, all or any of them.

Notices of the core wake each waiter, which then checks its books again; nothing is polled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from depthcache import venues
from depthcache._native import BookReader, FrozenBook
from depthcache.arguments import Missing
from depthcache.client.config import parse_timeout
from depthcache.core.notices import Ending, StatusChanged
from depthcache.errors import BookClosed, BookNotSynced, ServerRefused, SyncTimeout, UnknownSymbol
from depthcache.model import Status

__all__ = ["Waiting", "all_unknown", "sync_timeout"]

B = TypeVar("B", bound=BookReader)


@dataclass(slots=True, eq=False)
class _Waiter:
    """Waits until all `pending` markets are synced, or one of `concerned` has ended.

    With `any_notice`, it waits for the next status change of any of them.
    """

    concerned: frozenset[int]
    pending: set[int]
    done: asyncio.Future[None]
    any_notice: bool = False

    def on_notice(self, notice: StatusChanged) -> None:
        if notice.market not in self.concerned:
            return
        if notice.status is Status.SYNCED:
            self.pending.discard(notice.market)
        else:
            self.pending.add(notice.market)
        enough = self.any_notice or not self.pending or notice.status is Status.CLOSED
        if enough and not self.done.done():
            self.done.set_result(None)


class Waiting:
    """All waiters of a client. `find` returns the books meant, by market number, at each check."""

    def __init__(
        self, check_loop: Callable[[], None], access_refused: Callable[[int], str] = lambda _: ""
    ) -> None:
        """`check_loop`: raises UsageError unless called on the client's event loop.

        `access_refused`: why no server of a market accepts the client; empty if one may.
        """
        self._check_loop, self._access_refused = check_loop, access_refused
        self._waiters: dict[_Waiter, None] = {}
        """In order of arrival, in which they are woken."""
        self._unknown: dict[int, StatusChanged] = {}
        """Of books that are still there: what ended those whose symbol is unknown."""

    def __len__(self) -> int:
        """The number of waiters."""
        return len(self._waiters)

    def on_notice(self, notice: StatusChanged) -> None:
        """The status of a book has changed."""
        for waiter in tuple(self._waiters):
            waiter.on_notice(notice)
        if notice.ending is Ending.UNKNOWN_SYMBOL:
            self._unknown[notice.market] = notice

    def forget(self, market: int) -> None:
        """A book was removed."""
        self._unknown.pop(market, None)

    def on_access_refused(self) -> None:
        """No server accepts the client."""
        for waiter in self._waiters:
            if not waiter.done.done():
                waiter.done.set_result(None)

    async def until_synced(
        self, find: Callable[[], Mapping[int, B]], *, timeout_s: float | None, missing: Missing = "raise"
    ) -> list[B]:
        """Wait until all books are synced at the same moment; return the synced ones.

        Raises SyncTimeout, BookClosed, UnknownSymbol or ServerRefused. With `skip` none of these: closed
        books are not waited for, late ones are left out.
        """
        timeout_s = parse_timeout(timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                while pending := self._pending(books := find(), missing):
                    await self._until_notice(frozenset(books), pending)
        except TimeoutError:
            books = find()
            late = [book for book in books.values() if book.status is not Status.SYNCED]
            if late and missing == "raise":
                raise sync_timeout(late, timeout_s or 0.0, asked=len(books)) from None
        return _synced(books)

    async def until_any(
        self, find: Callable[[], Mapping[int, B]], *, timeout_s: float | None, missing: Missing = "raise"
    ) -> list[B]:
        """Wait until at least one book is synced; return the synced ones.

        Raises SyncTimeout, ServerRefused, and BookClosed or UnknownSymbol if all are closed; with `skip` none
        of these.
        """
        timeout_s = parse_timeout(timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                while not (synced := _synced(books := find())):
                    alive = {market for market, book in books.items() if book.status is not Status.CLOSED}
                    if not alive:
                        if missing == "raise":
                            self._raise_ended(books)
                        return []
                    if missing == "raise":
                        self._raise_refused(alive)
                    await self._until_notice(frozenset(alive), set(), any_notice=True)
        except TimeoutError:
            synced = _synced(books := find())
            if not synced and missing == "raise":
                raise sync_timeout(list(books.values()), timeout_s or 0.0, asked=len(books)) from None
        return synced

    async def read(
        self, market: int, book: BookReader, levels: int | None, *, timeout_s: float | None
    ) -> FrozenBook:
        """Freeze a book as soon as it is synced. Raises what `until_synced` raises."""
        timeout_s = parse_timeout(timeout_s)
        time = asyncio.get_running_loop().time
        ends_at = None if timeout_s is None else time() + timeout_s
        while True:
            with suppress(BookNotSynced):
                return book.freeze(levels, on_stale="raise")
            left_s = None if ends_at is None else max(0.0, ends_at - time())
            await self.until_synced(lambda: {market: book}, timeout_s=left_s)

    def _pending(self, books: Mapping[int, BookReader], missing: Missing) -> set[int]:
        """The markets that are not synced but can still become so."""
        if missing == "raise":
            self._raise_ended(books)
        done = (Status.SYNCED, Status.CLOSED)
        pending = {market for market, book in books.items() if book.status not in done}
        if missing == "raise":
            self._raise_refused(pending)
        return pending

    def _raise_refused(self, markets: Iterable[int]) -> None:
        for market in markets:
            if reason := self._access_refused(market):
                raise ServerRefused(reason=reason)

    async def _until_notice(
        self, concerned: frozenset[int], pending: set[int], *, any_notice: bool = False
    ) -> None:
        self._check_loop()
        done = asyncio.get_running_loop().create_future()
        waiter = _Waiter(concerned, pending, done, any_notice)
        self._waiters[waiter] = None
        try:
            await waiter.done
        finally:
            del self._waiters[waiter]

    def _raise_ended(self, books: Mapping[int, BookReader]) -> None:
        """Raise if any book has ended: UnknownSymbol with all unknown symbols, else BookClosed."""
        ended = {market: book for market, book in books.items() if book.status is Status.CLOSED}
        if not ended:
            return
        unknown = [
            _unknown(book, self._unknown[market].near)
            for market, book in ended.items()
            if market in self._unknown
        ]
        if unknown:
            raise all_unknown(unknown)
        book = next(iter(ended.values()))
        raise BookClosed(exchange=book.exchange, symbol=book.symbol, reason=book.reason)


def all_unknown(errors: Sequence[UnknownSymbol]) -> UnknownSymbol:
    """Combine several errors into one that names all symbols."""
    first, *others = (each for error in errors for each in error.books)
    exchange, symbol, reason, near = first
    return UnknownSymbol(symbol=symbol, exchange=exchange, reason=reason, near=near, others=tuple(others))


def _unknown(book: BookReader, near: tuple[str, ...]) -> UnknownSymbol:
    """The error for one book, with the exchange and symbol that the spelling suggests."""
    exchange, symbol, reason = book.exchange, book.symbol, book.reason
    found = venues.meant(symbol, venues.venue(exchange))
    if found is not None and found[0] == exchange:
        near = (found[1], *(each for each in near if each != found[1]))[:3]
    elif found is not None:
        reason, near = f"{reason}; did you mean {found[1]!r} on {found[0]!r}?".lstrip("; "), ()
    return UnknownSymbol(symbol=symbol, exchange=exchange, reason=reason, near=near)


def _synced(books: Mapping[int, B]) -> list[B]:
    return [book for book in books.values() if book.status is Status.SYNCED]


def sync_timeout(
    late: Sequence[BookReader], timeout_s: float, *, asked: int, awaited: str = ""
) -> SyncTimeout:
    """The error for these late books, out of `asked`. `awaited`: what did not come, if it was not sync."""
    facts = [
        (book.exchange, book.symbol, book.status.value, book.reason or "reason unknown") for book in late
    ]
    exchange, symbol, status, reason = facts[0]
    return SyncTimeout(
        exchange=exchange,
        symbol=symbol,
        timeout_s=timeout_s,
        status=status,
        reason=reason,
        others=tuple(facts[1:]),
        asked=asked,
        awaited=awaited,
    )
