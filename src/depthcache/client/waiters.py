"""Waiting until books are synced: one, some, all, or any of them.

Whoever waits is told by the notices of the core and looks again, so nothing is polled. Not here: following
books (`follow`), and which books there are (`client`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from depthcache import venues
from depthcache._native import BookReader, FrozenBook
from depthcache.client.config import parse_timeout
from depthcache.core.notices import Ending, StatusChanged
from depthcache.errors import BookClosed, BookNotSynced, SyncTimeout, UnknownSymbol
from depthcache.model import Status

__all__ = ["Waiting", "too_late"]

B = TypeVar("B", bound=BookReader)


@dataclass(slots=True, eq=False)
class _Waiter:
    """Somebody waits until all `pending` markets are synced, or any of its markets has ended; with
    `looks_itself` until anything happened to one of them."""

    concerned: frozenset[int]
    pending: set[int]
    done: asyncio.Future[None]
    looks_itself: bool = False

    def on_notice(self, notice: StatusChanged) -> None:
        if notice.market not in self.concerned:
            return
        if notice.status is Status.SYNCED:
            self.pending.discard(notice.market)
        else:
            self.pending.add(notice.market)
        enough = self.looks_itself or not self.pending or notice.status is Status.CLOSED
        if enough and not self.done.done():
            self.done.set_result(None)


class Waiting:
    """Who waits in a client. `find` gives the books meant, by number, whenever somebody looks again."""

    def __init__(self, check_loop: Callable[[], None]) -> None:
        """`check_loop` raises UsageError anywhere but on the client's event loop."""
        self._check_loop = check_loop
        self._waiters: dict[_Waiter, None] = {}
        """In the order in which they came, which is that in which they are told."""
        self._endings: dict[int, StatusChanged] = {}

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiters)

    def on_notice(self, notice: StatusChanged) -> None:
        """A book has another status."""
        for waiter in tuple(self._waiters):
            waiter.on_notice(notice)
        if notice.ending is not None:
            self._endings[notice.market] = notice

    async def until_synced(
        self, find: Callable[[], Mapping[int, BookReader]], *, timeout_s: float | None
    ) -> None:
        """Until all are synced at the same moment. Raises SyncTimeout, BookClosed or UnknownSymbol."""
        timeout_s = parse_timeout(timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                while pending := self._pending(books := find()):
                    await self._until_notice(frozenset(books), pending)
        except TimeoutError:
            late = [book for book in find().values() if book.status is not Status.SYNCED]
            if late:
                raise too_late(late, timeout_s or 0.0) from None

    async def until_any(self, find: Callable[[], Mapping[int, B]], *, timeout_s: float | None) -> list[B]:
        """Until one or more are synced; those that are, none where none is meant. Raises SyncTimeout, and
        BookClosed or UnknownSymbol when all of them have ended."""
        timeout_s = parse_timeout(timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                while not (synced := _synced(books := find())):
                    alive = {market for market, book in books.items() if book.status is not Status.CLOSED}
                    if not alive:
                        self._pending(books)  # raises why
                        return []
                    await self._until_notice(frozenset(alive), set(), looks_itself=True)
        except TimeoutError:
            synced = _synced(books := find())
            if not synced:
                raise too_late(list(books.values()), timeout_s or 0.0) from None
        return synced

    async def read(
        self, market: int, book: BookReader, levels: int | None, *, timeout_s: float | None
    ) -> FrozenBook:
        """A frozen book as soon as it is synced. Raises what `until_synced` raises."""
        timeout_s = parse_timeout(timeout_s)
        time = asyncio.get_running_loop().time
        ends_at = None if timeout_s is None else time() + timeout_s
        while True:
            with suppress(BookNotSynced):
                return book.freeze(levels, on_stale="raise")
            left_s = None if ends_at is None else max(0.0, ends_at - time())
            await self.until_synced(lambda: {market: book}, timeout_s=left_s)

    def _pending(self, books: Mapping[int, BookReader]) -> set[int]:
        return {market for market, book in books.items() if not self._is_synced(market, book)}

    async def _until_notice(
        self, concerned: frozenset[int], pending: set[int], *, looks_itself: bool = False
    ) -> None:
        self._check_loop()
        done = asyncio.get_running_loop().create_future()
        waiter = _Waiter(concerned, pending, done, looks_itself)
        self._waiters[waiter] = None
        try:
            await waiter.done
        finally:
            del self._waiters[waiter]

    def _is_synced(self, market: int, book: BookReader) -> bool:
        status = book.status
        if status is Status.CLOSED:
            told = self._endings.get(market)
            if told is not None and told.ending is Ending.UNKNOWN_SYMBOL:
                raise _unknown(book, told.near)
            raise BookClosed(exchange=book.exchange, symbol=book.symbol, reason=book.reason)
        return status is Status.SYNCED


def _unknown(book: BookReader, near: tuple[str, ...]) -> UnknownSymbol:
    """With the exchange and the symbol that are meant, where the spelling tells, else what looks like it."""
    exchange, symbol, reason = book.exchange, book.symbol, book.reason
    found = venues.meant(symbol, venues.venue(exchange))
    if found is not None and found[0] == exchange:
        near = (found[1], *(each for each in near if each != found[1]))[:3]
    elif found is not None:
        reason, near = f"{reason}; did you mean {found[1]!r} on {found[0]!r}?".lstrip("; "), ()
    return UnknownSymbol(symbol=symbol, exchange=exchange, reason=reason, near=near)


def _synced(books: Mapping[int, B]) -> list[B]:
    return [book for book in books.values() if book.status is Status.SYNCED]


def too_late(late: Sequence[BookReader], timeout_s: float) -> SyncTimeout:
    """What is raised when books were not synced in time; the first is named."""
    first = late[0]
    reason = first.reason or "no reason is known"
    if len(late) > 1:
        reason = f"{reason}; {len(late) - 1:,} other books are not synced either"
    return SyncTimeout(
        exchange=first.exchange,
        symbol=first.symbol,
        timeout_s=timeout_s,
        status=first.status.value,
        reason=reason,
    )
