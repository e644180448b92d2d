"""Books that this node does not hold but follows for its readers, fed by the nodes that hold them.

The first subscription begins such a book, as `connect(server=…)` would. It is served like any other and ends
some time after its last reader. It is no replica: the core of the node does not know it. When the node's own
replica of the book is synced, it takes over from the followed one: readers miss no update and get none twice.

One client serves all books that begin while the same nodes are there. When nodes come or go, the next book
begins a new client; the former ends with its last book.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from depthcache import logs
from depthcache.client.aio import Books
from depthcache.client.live_book import LiveBook
from depthcache.cluster.core.placement import BookKey
from depthcache.errors import DepthCacheError
from depthcache.model import Status, compact_json

__all__ = ["LINGER_S", "Following"]

LINGER_S = 30.0
"""How long a book is followed after its last reader."""
UNFED_S = 2.0
"""After so long without sync a book is begun again from the nodes that hold it now. Its client moves to
another node in less, and continues."""
LOST_S = 1.0
"""After so long without sync the node's own book takes its place even if readers must start over."""
EXACT_S = 2.0
"""For so long, the own book takes over only when both are at the same update id. After that, any id that is
not behind will do: two connections may cut their updates at different ids and never meet."""


class Shown(Protocol):
    """The server that serves books of this client and of others."""

    def show(self, key: BookKey, book: LiveBook) -> None:
        """Serve a book of another client."""

    def hide(self, key: BookKey) -> None:
        """Serve it no longer; the node's own one at once, where there is one."""

    def take_over(self, key: BookKey, *, is_exact: bool) -> bool:
        """Serve the node's own book instead if no reader misses anything; whether that was done. `is_exact`:
        only while both are at one update id."""
        ...

    def readers(self, key: BookKey) -> int:
        """How many connections follow a book."""
        ...


@dataclass(slots=True)
class _Followed:
    books: Books
    book: LiveBook
    idle_s: float = 0.0
    """For how long nobody has read it."""
    unfed_s: float = 0.0
    """For how long it has not been synced."""
    held_s: float = 0.0
    """For how long the node's own book has been synced."""


class Following:
    """The followed books of one node; answers the route `follow` of its server."""

    def __init__(
        self,
        shown: Shown,
        *,
        servers_of: Callable[[BookKey], tuple[str, ...]],
        connect: Callable[[tuple[str, ...]], Awaitable[Books]],
        is_held: Callable[[BookKey], bool],
    ) -> None:
        """`servers_of`: URLs of the nodes that have a book, the best first, then of all others. `connect`:
        makes and starts a client of these. `is_held`: whether the node holds a book itself."""
        self._shown, self._servers_of, self._connect, self._is_held = shown, servers_of, connect, is_held
        self._clients: dict[frozenset[str] | tuple[str, ...], Books] = {}
        self._former: list[Books] = []
        """Clients of an earlier certificate, or without books."""
        self._followed: dict[BookKey, _Followed] = {}
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    # --- getters ---------------------------------------------------------------------------

    def keys(self) -> tuple[BookKey, ...]:
        """The books that are followed now."""
        return tuple(self._followed)

    # --- the route of the server -------------------------------------------------------------

    def answers(self, route: str) -> bool:
        """Whether a route is the one of this class."""
        return route == "follow"

    async def answer(self, route: str, first: str, second: str, body: bytes) -> tuple[int, bytes]:
        """Follow the book `second` of the exchange `first`: status 201 as soon as it is served, 200 if the
        node holds it itself."""
        del route, body
        try:
            async with self._lock:
                is_there = await self._follow(BookKey(first, second))
        except DepthCacheError as error:
            return _refused(str(error))
        if not is_there:
            return _refused("no other node has the book now")
        is_followed = BookKey(first, second) in self._followed
        return HTTPStatus.CREATED if is_followed else HTTPStatus.OK, b""

    # --- running ---------------------------------------------------------------------------

    async def close(self) -> None:
        """End all books."""
        for key in tuple(self._followed):
            self._end(key)
        clients, self._clients = (*self._clients.values(), *self._former), {}
        await asyncio.gather(*self._tasks, *(each.aclose() for each in clients), return_exceptions=True)

    def renew(self) -> None:
        """The node has another certificate: new books use it, others once their feed ends."""
        self._former += self._clients.values()
        self._clients = {}

    def look(self, passed_s: float) -> None:
        """So much time has passed: end books without readers."""
        for key, followed in tuple(self._followed.items()):
            is_over = followed.book.status is Status.CLOSED or self._is_cut_off(followed)
            followed.idle_s = 0.0 if self._shown.readers(key) else followed.idle_s + passed_s
            if is_over or followed.idle_s >= LINGER_S or (followed.idle_s and self._is_held(key)):
                self._end(key)
        used = {id(each.books) for each in self._followed.values()}
        for servers, books in tuple(self._clients.items()):
            if id(books) not in used:
                del self._clients[servers]
                self._former.append(books)
        for books in tuple(self._former):
            if id(books) not in used:
                self._former.remove(books)
                self._spawn(books)

    def check(self, passed_s: float) -> None:
        """So much time has passed: let the node's own books take over, and begin books again whose feed has
        ended."""
        for key, followed in tuple(self._followed.items()):
            is_fed = followed.book.status is Status.SYNCED
            followed.unfed_s = 0.0 if is_fed else followed.unfed_s + passed_s
            if self._is_held(key):
                followed.held_s += passed_s
                is_exact = is_fed and followed.held_s < EXACT_S
                if self._shown.take_over(key, is_exact=is_exact):
                    self._drop(key)
                elif followed.unfed_s >= LOST_S:
                    self._end(key)
                continue
            followed.held_s = 0.0
            if followed.unfed_s >= UNFED_S:
                followed.unfed_s = 0.0
                self._run(self._begin_again(key, followed))

    # --- helpers ---------------------------------------------------------------------------

    async def _begin_again(self, key: BookKey, former: _Followed) -> None:
        async with self._lock:
            servers = self._servers_of(key)
            if (
                self._followed.get(key) is not former
                or not servers
                or self._clients.get(servers) is former.books
            ):
                return
            try:
                self._followed[key] = begun = await self._begin(key, servers, servers)
            except DepthCacheError as error:
                logs.unexpected(where="following a book of other nodes", error=error)
                return
            begun.idle_s = former.idle_s
            former.books.remove(key.symbol, key.exchange)

    def _is_cut_off(self, followed: _Followed) -> bool:
        """Whether a client of an earlier certificate is cut off: readers begin the book again."""
        return followed.books in self._former and followed.book.status is Status.DISCONNECTED

    async def _follow(self, key: BookKey) -> bool:
        found = self._followed.get(key)
        if found is not None and found.book.status is not Status.CLOSED:
            found.idle_s = 0.0
            return True
        if found is not None:
            self._end(key)
        if self._is_held(key):
            return True
        servers = self._servers_of(key)
        if not servers:
            return False
        self._followed[key] = await self._begin(key, servers, frozenset(servers))
        return True

    async def _begin(
        self, key: BookKey, servers: tuple[str, ...], client: frozenset[str] | tuple[str, ...]
    ) -> _Followed:
        """Follow a book, and show it. `client`: which one follows it; that of a tuple asks in this order."""
        books = self._clients.get(client)
        if books is None:
            books = self._clients[client] = await self._connect(servers)
        book = books.add(key.symbol, key.exchange)
        self._shown.show(key, book)
        return _Followed(books, book)

    def _end(self, key: BookKey) -> None:
        self._shown.hide(key)
        self._drop(key)

    def _drop(self, key: BookKey) -> None:
        """It is served no longer."""
        followed = self._followed.pop(key)
        if (key.exchange, key.symbol) in followed.books:
            followed.books.remove(key.symbol, key.exchange)

    def _spawn(self, books: Books) -> None:
        self._run(books.aclose())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _refused(why: str) -> tuple[int, bytes]:
    error = {"code": "not_followed", "message": why}
    return HTTPStatus.SERVICE_UNAVAILABLE, compact_json({"error": error})
