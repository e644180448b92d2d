"""The books of a node: replicas held by a client of the exchanges, and copies of the books of siblings.

`runner.ReplicaHost` over one client. A book that was never synced comes from the source that the core of the
node named. One that lost sync asks `source_of` at every attempt, because a sibling may have it now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from depthcache import logs
from depthcache.client.client import Client, Key
from depthcache.client.live_book import LiveBook
from depthcache.cluster.core.commands import FromSibling, Source
from depthcache.cluster.core.members import Node
from depthcache.cluster.core.ownership import ReplicaState
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.core.wanted_set import WantedBook
from depthcache.cluster.following import LINGER_S
from depthcache.cluster.node_log import NodeLog
from depthcache.cluster.runner import ReplicaSink
from depthcache.core.notices import StatusChanged
from depthcache.errors import DepthCacheError
from depthcache.foreign_text import host_of
from depthcache.model import Status

__all__ = ["BookHost", "BookSettings"]


@dataclass(frozen=True, slots=True)
class BookSettings:
    """The settings of a wanted book that this release knows; None for those of the node.

    Attributes:
        depth: complete levels a side.
        speed_ms: the update speed of its stream.
    """

    depth: int | None = None
    speed_ms: int | None = None

    @classmethod
    def of(cls, book: WantedBook) -> BookSettings:
        """What a book was created with; values of another kind are ignored."""
        given = dict(book.settings)
        depth, speed_ms = given.get("depth"), given.get("speed_ms")
        return cls(_whole(depth), _whole(speed_ms))


@dataclass(slots=True)
class _Replica:
    book: WantedBook
    source: Source
    settings: BookSettings
    was_synced: bool = False
    failed: set[str] = field(default_factory=set[str])
    """Siblings that did not give the book since it was last synced."""
    idle_s: float = 0.0
    """Of a book that is no replica any more: for how long nobody has read it."""
    refused: str = ""
    """Why the client cannot have such a book; empty if it can."""


class BookHost:
    """Holds the replicas of one node. Call `attach` before the client starts, then the methods of
    `runner.ReplicaHost`."""

    def __init__(
        self,
        *,
        sink: Callable[[], ReplicaSink],
        source_of: Callable[[BookKey], Source],
        is_tls: Callable[[], bool],
        readers: Callable[[BookKey], int],
        on_kept: Callable[[BookKey, bool], None],
        on_holders: Callable[[BookKey, tuple[Node, ...], bool], None],
        on_denied: Callable[[frozenset[str]], None],
        on_move: Callable[[BookKey, Source | None], None],
        on_synced: Callable[[BookKey], None],
        log: NodeLog,
    ) -> None:
        """What a host asks and tells.

        `sink`: whom to report to. `source_of`: where a book that was synced is to come from. `is_tls`:
        whether the servers of nodes speak TLS. `readers`: how many connections follow a book here.
        `on_kept`: whether a book is kept for its readers alone; said again for as long as that is so.
        `on_holders`, `on_denied`: as `SetHolders` and `SetDenied`. `on_move`: a replica began from a source,
        or ended (None). `on_synced`: one is synced for the first time.
        `log`: what the node writes.
        """
        self._sink, self._source_of, self._is_tls = sink, source_of, is_tls
        self._readers, self._on_kept = readers, on_kept
        self._on_holders, self._on_denied = on_holders, on_denied
        self._on_move, self._on_synced, self._log = on_move, on_synced, log
        self._replicas: dict[BookKey, _Replica] = {}
        self._to_begin: dict[BookKey, _Replica] = {}
        self._to_end: set[BookKey] = set()
        self._flush: asyncio.Handle | None = None
        self._kept: dict[BookKey, _Replica] = {}
        """Books that are no replicas any more, and have readers."""

    def attach(self, client: Client[LiveBook]) -> None:
        """The client that holds the books; its loop is that of the node."""
        self._client = client
        client.on_status = self._on_status
        client.on_copy_failed = self._on_copy_failed

    # --- getters ---------------------------------------------------------------------------

    def reason(self, key: BookKey) -> str:
        """Why a replica is not synced; empty if it is, or if this node does not hold the book."""
        replica, book = self._replicas.get(key), self._client.books.get((key.exchange, key.symbol))
        if replica is None:
            return ""
        return replica.refused if book is None else book.reason

    def is_hopeless(self, key: BookKey) -> bool:
        """Whether the exchange does not trade a book of this node, so that no node can have it now."""
        replica, book = self._replicas.get(key), self._client.books.get((key.exchange, key.symbol))
        if replica is not None and replica.refused:
            return True
        return book is not None and book.status in (Status.CLOSED, Status.HALTED)

    def keys(self) -> set[BookKey]:
        """The replicas of this node."""
        return set(self._replicas)

    def is_synced(self, key: BookKey) -> bool:
        """Whether this node holds a replica that can be read."""
        book = self._client.books.get((key.exchange, key.symbol))
        return key in self._replicas and book is not None and book.status is Status.SYNCED

    def copy_from(self, exchange: str, symbol: str) -> str | None:
        """As `ClientCore` asks: the base URL to copy a book from; None for the exchange."""
        key = BookKey(exchange, symbol)
        replica = self._replicas.get(key) or self._kept.get(key)
        if replica is None:
            return None
        source = self._source_of(key) if replica.was_synced else replica.source
        if not isinstance(source, FromSibling) or source.node in replica.failed:
            return None
        return f"{'https' if self._is_tls() else 'http'}://{source.address}/{exchange}"

    # --- commands of the core --------------------------------------------------------------

    def start(self, book: WantedBook, source: Source) -> None:
        """As `StartReplica`."""
        key, settings = book.key, BookSettings.of(book)
        self._on_move(key, source)
        replica = self._replicas.get(key)
        if replica is not None:
            replica.book, replica.source = book, source
            replica.failed.clear()
            if key in self._client.books:
                self._client.ask_again(key)
            return
        kept = self._kept.pop(key, None)
        replica = self._replicas[key] = _Replica(book, source, settings)
        if kept is not None:
            self._on_kept(key, False)
        if kept is not None and kept.settings.speed_ms == settings.speed_ms and key in self._client.books:
            self._set_depth(key, settings)
            replica.was_synced = self._client.books[key].status is Status.SYNCED
            if replica.was_synced:
                self._on_synced(key)
                self._log.on_synced(key)
            self._report(replica)
            return
        if kept is not None:
            self._end(key)
        self._begin(replica)

    def update(self, book: WantedBook) -> None:
        """As `UpdateReplica`: another depth is reached without losing sync, another speed by a new book."""
        replica, settings = self._replicas[book.key], BookSettings.of(book)
        before, replica.book, replica.settings = replica.settings, book, settings
        if settings == before:
            return
        if book.key not in self._client.books or settings.speed_ms != before.speed_ms:
            self._end(book.key)
            self._begin(replica)
        else:
            self._set_depth(book.key, settings)

    def stop(self, key: BookKey) -> None:
        """As `StopReplica`. A book with readers stays until they have gone; it is no replica any more."""
        replica = self._replicas.pop(key)
        self._on_move(key, None)
        if key in self._client.books and self._readers(key):
            self._kept[key] = replica
            self._on_kept(key, True)
        else:
            self._end(key)

    def look(self, passed_s: float) -> None:
        """So much time has passed: end books that are no replicas and have no readers any more."""
        for key, replica in tuple(self._kept.items()):
            replica.idle_s = 0.0 if self._readers(key) else replica.idle_s + passed_s
            if replica.idle_s >= LINGER_S:
                del self._kept[key]
                self._end(key)
            elif not replica.idle_s:
                self._on_kept(key, True)

    def set_budget_share(self, share: float) -> None:
        """As `SetBudgetShare`."""
        self._client.set_budget_share(share)

    def set_holders(self, key: BookKey, nodes: tuple[Node, ...], *, is_synced: bool) -> None:
        """As `SetHolders`."""
        self._on_holders(key, nodes, is_synced)

    def set_denied(self, nodes: frozenset[str]) -> None:
        """As `SetDenied`."""
        self._on_denied(nodes)

    # --- what the client reports -----------------------------------------------------------

    def _on_status(self, key: Key, notice: StatusChanged) -> None:
        replica = self._replicas.get(BookKey(*key))
        if replica is None:
            return
        if notice.status is Status.SYNCED:
            if not replica.was_synced:
                self._on_synced(replica.book.key)
            replica.was_synced = True
            replica.failed.clear()
            self._log.on_synced(replica.book.key)
        else:
            self._log.on_not_synced(replica.book.key, notice.reason, was_synced=replica.was_synced)
        self._report(replica)

    def _on_copy_failed(self, key: Key, copied_from: str, reason: str) -> None:
        exchange, symbol = key
        replica = self._replicas.get(BookKey(exchange, symbol))
        if replica is None:
            return
        host = host_of(copied_from)
        logs.copy_failed(exchange=exchange, symbol=symbol, host=host, reason=reason)
        self._log.on_copy_failed(host, reason)
        source = self._source_of(replica.book.key) if replica.was_synced else replica.source
        if not isinstance(source, FromSibling) or source.address not in copied_from:
            return  # there is another source already
        replica.failed.add(source.node)
        if not replica.was_synced:
            asyncio.get_running_loop().call_soon(self._tell_failed, replica, source)

    # --- helpers ---------------------------------------------------------------------------

    def _begin(self, replica: _Replica) -> None:
        self._to_begin[replica.book.key] = replica
        self._flush_soon()

    def _set_depth(self, key: BookKey, settings: BookSettings) -> None:
        depth = self._client.config.depth if settings.depth is None else settings.depth
        try:
            self._client.set_depth(key, depth)
        except DepthCacheError as error:
            logs.replica_refused(exchange=key.exchange, symbol=key.symbol, error=error)

    def _end(self, key: BookKey) -> None:
        self._to_begin.pop(key, None)
        if key in self._client.books:
            self._to_end.add(key)
            self._flush_soon()

    def _flush_soon(self) -> None:
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Begin and end books now, all in one step: thousands move when a node dies."""
        self._flush = None
        ends, begins = self._to_end, self._to_begin
        self._to_end, self._to_begin = set(), {}
        if not self._client.is_running:
            return
        if ends:
            self._client.remove_all(ends)
        if begins:
            asked = [
                (key.exchange, key.symbol, each.settings.depth, each.settings.speed_ms)
                for key, each in begins.items()
            ]
            for (exchange, symbol), error in self._client.begin_all(asked).items():
                begins[BookKey(exchange, symbol)].refused = str(error)
                self._log.on_not_synced(BookKey(exchange, symbol), str(error), was_synced=False)
                logs.replica_refused(exchange=exchange, symbol=symbol, error=error)

    def _report(self, replica: _Replica) -> None:
        asyncio.get_running_loop().call_soon(self._tell, replica)

    def _tell(self, replica: _Replica) -> None:
        """The state as it is now, not as it was when it changed."""
        key = replica.book.key
        book = self._client.books.get((key.exchange, key.symbol))
        if self._replicas.get(key) is replica and book is not None:
            stale = ReplicaState.STALE if replica.was_synced else ReplicaState.STARTING
            is_synced = book.status is Status.SYNCED
            self._sink().on_replica(key, ReplicaState.SYNCED if is_synced else stale)

    def _tell_failed(self, replica: _Replica, source: Source) -> None:
        if self._replicas.get(replica.book.key) is replica and replica.source == source:
            self._sink().on_copy_failed(replica.book.key)


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
