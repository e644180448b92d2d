"""Every log line of this package, one named function each, on the logger `depthcache`.

Anything a program must react to is an exception or a status, never only a log line. Lost sync, a connection
that breaks or cannot be opened, and a failed request are WARNING, with the host and the reason. Recovery and
normal operation are INFO. Internal errors and exceptions in callbacks are ERROR. Lines about books,
connections and requests appear only in programs that configure logging. Lines about a node of a cluster are
on the logger `depthcache.cluster` below it, one for many books; `depthcache cluster` writes them to stderr.
Nothing is logged per frame or per read. The name of a function is the attribute `event` of its log record,
and its arguments are further ones. At most 100 lines of each kind are written within ten seconds; a later
line gives the number suppressed.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from threading import Lock
from time import monotonic

__all__ = [
    "access_tokens_changed",
    "authority_replaced",
    "authority_trusted",
    "book_ended",
    "book_late",
    "book_lost",
    "book_recovered",
    "book_status",
    "books_given_up",
    "books_in_sync_again",
    "books_lost_sync",
    "callback_failed",
    "callback_still_fails",
    "certificate_refused",
    "certificate_renewed",
    "client_of_simulator_failed",
    "connection_broke",
    "connection_closed",
    "connection_failed",
    "connection_open",
    "copies_failed",
    "copy_failed",
    "flight_dump_saved",
    "given_peer_not_reached",
    "limit_refused",
    "loop_ended",
    "loop_was_blocked",
    "message_refused",
    "node_away",
    "node_back",
    "node_certificate_renewed",
    "node_draining",
    "node_housekeeping_failed",
    "node_incompatible",
    "node_joined",
    "node_left",
    "node_refused",
    "node_removed",
    "node_started",
    "node_suspect",
    "node_unseen",
    "not_native",
    "not_written",
    "recording_resumed",
    "replica_refused",
    "request_failed",
    "resumed",
    "shared_secrets_outdated",
    "snapshot_source_failed",
    "take_over_began",
    "take_over_done",
    "take_over_waits",
    "unexpected",
    "wanted_set_not_saved",
    "wanted_set_saved",
]

OF_SINGLE_BOOKS = frozenset(
    {
        "book_ended",
        "book_late",
        "book_lost",
        "book_recovered",
        "book_status",
        "connection_broke",
        "connection_closed",
        "connection_failed",
        "connection_open",
        "copy_failed",
        "request_failed",
    }
)
"""Events of single books, connections and requests: of these, programs without logging see no lines."""
_LOGGER = logging.getLogger("depthcache")
_OF_NODES = logging.getLogger("depthcache.cluster")
_MOST, _WINDOW_S = 100, 10.0
SUPPRESSED = "lines_suppressed"
"""The event of a line that gives the number of others."""
_COUNTING = Lock()
_COUNTS: Counter[str] = Counter(dict.fromkeys(__all__, 0))
"""By event. Those that have not happened are 0: monitoring sees the first one as a change."""


class _Limited:
    """Lines of one kind: at most `most` in each window of ten seconds; the suppressed ones are counted.

    With `quiet`, nothing is written unless the program has configured logging: Python's last-resort handler
    would print warnings on stderr.
    """

    def __init__(self, most: int = _MOST, *, quiet: bool = False, logger: logging.Logger = _LOGGER) -> None:
        self._lock, self._most, self._quiet, self._logger = Lock(), most, quiet, logger
        self._began = self._written = self._left_out = 0.0

    def write(
        self,
        event: str,
        level: int,
        text: str,
        *values: object,
        facts: Mapping[str, object],
        error: BaseException | None = None,
    ) -> None:
        logger = self._logger
        _count(event)
        if not logger.isEnabledFor(level) or (self._quiet and not logger.hasHandlers()):
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
            words, suppressed = "%d similar lines were suppressed", {"suppressed": int(left_out)}
            _log(SUPPRESSED, level, words, left_out, facts=suppressed, logger=logger)
        _log(event, level, text, *values, facts=facts, error=error, logger=logger)


def _write(event: str, level: int, text: str, *values: object, facts: Mapping[str, object]) -> None:
    """Write a line that is too rare to be limited."""
    _count(event)
    _log(event, level, text, *values, facts=facts)


def _count(event: str) -> None:
    with _COUNTING:
        _COUNTS[event] += 1


def counts() -> dict[str, int]:
    """How often each event happened since the process began, by its name: also those whose lines were
    suppressed, or that no program wanted to see."""
    with _COUNTING:
        return dict(_COUNTS)


def _log(
    event: str,
    level: int,
    text: str,
    *values: object,
    facts: Mapping[str, object],
    error: BaseException | None = None,
    logger: logging.Logger = _LOGGER,
) -> None:
    """Write one line, with its event and `facts` as attributes of the record. A logging handler or filter
    that raises must not interrupt the caller."""
    with suppress(Exception):
        # `logging` refuses facts that the program's own record factory sets, such as `host`, with KeyError.
        taken = vars(logging.makeLogRecord({}))
        facts = {"event": event, **facts}
        extra = {name: value for name, value in facts.items() if name not in taken}
        logger.log(level, text, *values, exc_info=error, extra=extra)


_BOOKS, _LOST_BOOKS, _CONNECTIONS, _LOST_CONNECTIONS, _REQUESTS = (_Limited(quiet=True) for _ in range(5))
_LIMITS, _FLIGHTS, _SOURCES, _RARE, _SIMULATOR = (_Limited() for _ in range(5))
_NODES, _NODE_BOOKS, _NODE_UPKEEP = (_Limited(logger=_OF_NODES) for _ in range(3))
_FORGED = _Limited(5, logger=_OF_NODES)
_MISTAKES: dict[tuple[str, type[BaseException]], _Limited] = {}
_MOST_MISTAKES = 5
"""Lines per place and exception type in ten seconds; lower than the rest, because each has a traceback."""


def book_lost(*, exchange: str, symbol: str, status: str, reason: str) -> None:
    """A synced book lost sync. The client resyncs it by itself."""
    _LOST_BOOKS.write(
        "book_lost",
        logging.WARNING,
        "%s on %s lost sync and is %s: %s",
        symbol,
        exchange,
        status,
        reason,
        facts={"exchange": exchange, "symbol": symbol, "status": status, "reason": reason},
    )


def book_recovered(*, exchange: str, symbol: str, after_s: float) -> None:
    """A book that had lost sync is synced again; the time is how long it was not."""
    _BOOKS.write(
        "book_recovered",
        logging.INFO,
        "%s on %s is synced again after %.1f s",
        symbol,
        exchange,
        after_s,
        facts={"exchange": exchange, "symbol": symbol, "after_s": after_s},
    )


def book_ended(*, exchange: str, symbol: str, reason: str) -> None:
    """The exchange does not list the symbol, or no longer does. The book stays closed."""
    _LOST_BOOKS.write(
        "book_ended",
        logging.WARNING,
        "%s on %s is closed for good: %s",
        symbol,
        exchange,
        reason,
        facts={"exchange": exchange, "symbol": symbol, "reason": reason},
    )


def book_status(*, exchange: str, symbol: str, status: str, reason: str) -> None:
    """The status of a book changed on the way to its first sync or back to sync, or the program closed it."""
    _BOOKS.write(
        "book_status",
        logging.INFO,
        "%s on %s is %s%s",
        symbol,
        exchange,
        status,
        f": {reason}" if reason else "",
        facts={"exchange": exchange, "symbol": symbol, "status": status, "reason": reason},
    )


def book_late(*, exchange: str, symbol: str, reason: str) -> None:
    """The updates of a book have been late for 10 s. Logged once until they arrive in time again."""
    _BOOKS.write(
        "book_late",
        logging.INFO,
        "%s on %s is late: %s",
        symbol,
        exchange,
        reason,
        facts={"exchange": exchange, "symbol": symbol, "reason": reason},
    )


def callback_failed(*, callback: object, error: BaseException) -> None:
    """A callback raised an exception: a bug in the callback. It is called again with the next update. Comes
    with a traceback, once per callback and exception type, at most five times in ten seconds for callbacks of
    the same name."""
    name, kind = _callback_name(callback), type(error).__name__
    limited = _MISTAKES.setdefault((f"callback {name}", type(error)), _Limited(_MOST_MISTAKES))
    limited.write(
        "callback_failed",
        logging.ERROR,
        "callback %s raised %s; books and other callbacks are unaffected",
        name,
        kind,
        error=error,
        facts={"callback": name, "error_type": kind},
    )


def callback_still_fails(*, callback: object, error: BaseException, count: int) -> None:
    """A callback raised exceptions of types that were logged before. At most once a minute per callback."""
    name, kind = _callback_name(callback), type(error).__name__
    limited = _MISTAKES.setdefault((f"count of {name}", type(error)), _Limited(_MOST_MISTAKES))
    limited.write(
        "callback_still_fails",
        logging.ERROR,
        "callback %s has raised %d more exceptions, most recently %s",
        name,
        count,
        kind,
        facts={"callback": name, "error_type": kind, "count": count},
    )


def _callback_name(callback: object) -> str:
    return getattr(callback, "__qualname__", None) or type(callback).__qualname__


def client_of_simulator_failed(*, did: str, error: Exception) -> None:
    """The embedded exchange failed to serve one request or connection, and ended it. All others are
    unaffected."""
    _SIMULATOR.write(
        "client_of_simulator_failed",
        logging.ERROR,
        "the embedded exchange failed to serve %s; it keeps running",
        did,
        error=error,
        facts={"did": did, "error_type": type(error).__name__},
    )


def connection_open(*, connection: int, host: str) -> None:
    """A WebSocket opened."""
    _CONNECTIONS.write(
        "connection_open",
        logging.INFO,
        "connection %d to %s is open",
        connection,
        host,
        facts={"connection": connection, "host": host},
    )


def connection_closed(*, connection: int, host: str) -> None:
    """The client closed a WebSocket."""
    _CONNECTIONS.write(
        "connection_closed",
        logging.INFO,
        "connection %d to %s is closed",
        connection,
        host,
        facts={"connection": connection, "host": host},
    )


def connection_broke(*, connection: int, host: str, code: int | None, reason: str) -> None:
    """A WebSocket that was still needed ended. The client opens another."""
    close_code = "no close code" if code is None else f"close code {code}"
    _LOST_CONNECTIONS.write(
        "connection_broke",
        logging.WARNING,
        "connection %d to %s broke (%s), reconnecting: %s",
        connection,
        host,
        close_code,
        reason,
        facts={"connection": connection, "host": host, "code": code, "reason": reason},
    )


def connection_failed(*, connection: int, host: str, reason: str) -> None:
    """A WebSocket could not be opened: host name not found, connection refused, timeout. The client
    retries after a pause that grows up to 30 s."""
    _LOST_CONNECTIONS.write(
        "connection_failed",
        logging.WARNING,
        "connection %d to %s could not be opened, retrying: %s",
        connection,
        host,
        reason,
        facts={"connection": connection, "host": host, "reason": reason},
    )


def request_failed(
    *,
    request: int,
    host: str,
    reason: str,
    resource: str = "",
    symbol: str = "",
    http_status: int | None = None,
    code: int | None = None,
) -> None:
    """A request got no response, or one with a status other than 200. The client repeats it if the data is
    still needed."""
    what = f" ({resource} of {symbol})" if symbol else f" ({resource})" if resource else ""
    _REQUESTS.write(
        "request_failed",
        logging.WARNING,
        "request %d%s to %s failed: %s",
        request,
        what,
        host,
        reason,
        facts={
            "request": request,
            "host": host,
            "reason": reason,
            "resource": resource,
            "symbol": symbol,
            "http_status": http_status,
            "code": code,
        },
    )


def copy_failed(*, exchange: str, symbol: str, host: str, reason: str) -> None:
    """Another node of the cluster did not provide its book; this node asks a further one, or the exchange."""
    _REQUESTS.write(
        "copy_failed",
        logging.INFO,
        "%s on %s could not be copied from %s: %s",
        symbol,
        exchange,
        host,
        reason,
        facts={"exchange": exchange, "symbol": symbol, "host": host, "reason": reason},
    )


def replica_refused(*, exchange: str, symbol: str, error: BaseException) -> None:
    """This node cannot hold a book that the cluster is to keep, such as with a depth that is not allowed."""
    _NODE_BOOKS.write(
        "replica_refused",
        logging.ERROR,
        "this node cannot hold %s on %s: %s",
        symbol,
        exchange,
        error,
        facts={"exchange": exchange, "symbol": symbol, "error_type": type(error).__name__},
    )


def node_removed(*, node: str, reason: str) -> None:
    """This node was removed from its cluster, or runs twice, and serves nobody any more."""
    _NODES.write(
        "node_removed",
        logging.ERROR,
        "node %s ends: %s",
        node,
        reason,
        facts={"node": node, "reason": reason},
    )


def limit_refused(*, exchange: str, symbol: str, limit: int, instead: int, reason: str) -> None:
    """The exchange refused a snapshot limit that it documents. Logged once per exchange and limit."""
    _LIMITS.write(
        "limit_refused",
        logging.WARNING,
        "%s on %s: the exchange refused a snapshot of %d levels, requesting %d instead: %s",
        symbol,
        exchange,
        limit,
        instead,
        reason,
        facts={"exchange": exchange, "symbol": symbol, "limit": limit, "instead": instead, "reason": reason},
    )


def snapshot_source_failed(*, symbol: str, error: BaseException) -> None:
    """The program's own snapshot source raised an exception. The client treats it as a failed request."""
    _SOURCES.write(
        "snapshot_source_failed",
        logging.WARNING,
        "the snapshot source failed for %s: %r",
        symbol,
        error,
        facts={"symbol": symbol, "error_type": type(error).__name__},
    )


def loop_was_blocked(*, late_s: float, books_were_late: bool) -> None:
    """Code of the program blocked the event loop on which the client runs. Books are late only with
    `transport="aiohttp"`, which reads frames on that loop."""
    effect = "books were late by as much" if books_were_late else "books were not affected"
    _RARE.write(
        "loop_was_blocked",
        logging.INFO,
        "the event loop was blocked for about %.1f s; %s",
        late_s,
        effect,
        facts={"late_s": late_s, "books_were_late": books_were_late},
    )


def loop_ended(*, reason: str) -> None:
    """The event loop ended before the client on it was closed, which closes all its books."""
    _write(
        "loop_ended", logging.INFO, "all books of a client were closed: %s", reason, facts={"reason": reason}
    )


def resumed() -> None:
    """The machine slept, or the process was suspended. No book is served as current until an update or a
    snapshot confirms it."""
    _write(
        "resumed",
        logging.INFO,
        "the machine or this process paused; books are stale until they are confirmed",
        facts={},
    )


def flight_dump_saved(*, exchange: str, symbol: str, reason: str, path: str) -> None:
    """The flight recorder of a book was saved to a file."""
    _FLIGHTS.write(
        "flight_dump_saved",
        logging.INFO,
        "flight dump of %s on %s saved to %s: %s",
        symbol,
        exchange,
        path,
        reason,
        facts={"exchange": exchange, "symbol": symbol, "reason": reason, "path": path},
    )


def not_written(*, path: str, error: Exception) -> None:
    """A recording or a flight dump could not be written, for example because the disk is full. A recording
    is continued in a new file as soon as that is possible."""
    _RARE.write(
        "not_written",
        logging.ERROR,
        "could not write %s; books are unaffected: %s",
        path,
        error,
        facts={"path": path, "error_type": type(error).__name__},
    )


def recording_resumed(*, path: str, lost: int) -> None:
    """A recording continues in a new file after an error; the lines in between are lost."""
    _write(
        "recording_resumed",
        logging.WARNING,
        "recording continues in %s; %d lines were lost",
        path,
        lost,
        facts={"path": path, "lost": lost},
    )


def not_native(*, host: str, proxy: str) -> None:
    """A connection uses aiohttp, because the native transport does not support this kind of proxy."""
    _RARE.write(
        "not_native",
        logging.INFO,
        "connecting to %s with aiohttp: the native transport does not support the proxy %s",
        host,
        proxy,
        facts={"host": host, "proxy": proxy},
    )


def certificate_renewed(*, path: str, fingerprint: str) -> None:
    """The files of a book server's certificate were replaced; new connections get the new certificate."""
    _write(
        "certificate_renewed",
        logging.INFO,
        "the certificate %s was replaced; new connections get it: SHA-256 %s",
        path,
        fingerprint,
        facts={"path": path, "fingerprint": fingerprint},
    )


def certificate_refused(*, path: str, error: Exception) -> None:
    """The new files of a book server's certificate cannot be used; the server keeps the previous one."""
    _write(
        "certificate_refused",
        logging.ERROR,
        "the new certificate %s cannot be used; the server keeps the previous one: %s",
        path,
        error,
        facts={"path": path, "error_type": type(error).__name__},
    )


def node_housekeeping_failed(*, what: str, error: Exception) -> None:
    """A node of a cluster could not renew its certificate, save secrets, or follow what the cluster agreed
    on. It tries again. Logged once a minute as long as the reason is the same."""
    _NODE_UPKEEP.write(
        "node_housekeeping_failed",
        logging.WARNING,
        "%s failed on this node of a cluster; it is tried again: %s",
        what,
        error,
        facts={"what": what, "error_type": type(error).__name__},
    )


def given_peer_not_reached(*, address: str, reason: str) -> None:
    """A node that this one was told of with `--peer` was not reached. It is tried again. Logged once for each
    reason of an address; a name that is not known, and a port that is closed, only after 10 s."""
    _NODES.write(
        "given_peer_not_reached",
        logging.WARNING,
        "no node of this cluster was reached at %s, it is tried again: %s",
        address,
        reason,
        facts={"address": address, "reason": reason},
    )


def shared_secrets_outdated(*, path: str) -> None:
    """A node was started with secrets from before the authority was replaced. It has newer ones in its data
    folder; a node with an empty folder could not join with these."""
    _NODE_UPKEEP.write(
        "shared_secrets_outdated",
        logging.WARNING,
        "the secrets in %s are older than the authority of the cluster: this node uses those of its data "
        "folder, and a new node could not join with them; `depthcache cluster secrets` writes newer ones",
        path,
        facts={"path": path},
    )


def node_started(*, node: str, cluster: str, nodes: int, books: int) -> None:
    """A node of a cluster runs; the numbers are those that the cluster knows."""
    _NODES.write(
        "node_started",
        logging.INFO,
        "node %s of the cluster %s runs; registered nodes: %d, wanted books: %d",
        node,
        cluster,
        nodes,
        books,
        facts={"node": node, "cluster": cluster, "nodes": nodes, "books": books},
    )


def node_joined(*, peer: str) -> None:
    """Another node was let into the cluster."""
    _NODES.write(
        "node_joined",
        logging.INFO,
        "node %s has joined the cluster",
        peer,
        facts={"peer": peer},
    )


def node_left(*, peer: str) -> None:
    """Another node has left the cluster for good."""
    _NODES.write(
        "node_left",
        logging.INFO,
        "node %s has left the cluster for good",
        peer,
        facts={"peer": peer},
    )


def node_refused(*, peer: str) -> None:
    """Another node was removed from the cluster. Nothing of it is accepted any more."""
    _NODES.write(
        "node_refused",
        logging.WARNING,
        "node %s was removed from the cluster and is refused from now on",
        peer,
        facts={"peer": peer},
    )


def message_refused(*, peer: str) -> None:
    """A message in the name of another node was dropped, because that node had not signed it. Somebody with a
    certificate of the cluster, such as a removed node, tries to speak for it. At most five lines in ten
    seconds."""
    _FORGED.write(
        "message_refused",
        logging.WARNING,
        "a message in the name of node %s was dropped: that node has not signed it",
        peer,
        facts={"peer": peer},
    )


def node_draining(*, peer: str, is_draining: bool) -> None:
    """A node, maybe this one, is to hold no books, or can hold books again."""
    _NODES.write(
        "node_draining",
        logging.INFO,
        "node %s %s",
        peer,
        "hands its books over" if is_draining else "can hold books again",
        facts={"peer": peer, "is_draining": is_draining},
    )


def node_suspect(*, peer: str) -> None:
    """The connection to another node broke, or nothing came for a second. It is asked last."""
    _NODES.write(
        "node_suspect",
        logging.WARNING,
        "node %s is suspect: its connection broke, or it is silent",
        peer,
        facts={"peer": peer},
    )


def node_unseen(*, peer: str) -> None:
    """Messages of another node come, but the messaging engine does not show it as alive: a process that ran
    from a copy of its data folder has ended, perhaps. This node opens a new session, which shows it again. At
    most once a minute for a node."""
    _NODES.write(
        "node_unseen",
        logging.WARNING,
        "node %s is heard, but not seen: this node opens a new session",
        peer,
        facts={"peer": peer},
    )


def node_away(*, peer: str, reason: str) -> None:
    """Another node is not up any more. Other nodes own its books until it is back."""
    _NODES.write(
        "node_away",
        logging.WARNING,
        "node %s is away, other nodes own its books: %s",
        peer,
        reason,
        facts={"peer": peer, "reason": reason},
    )


def node_incompatible(*, peer: str, reason: str) -> None:
    """Another node speaks no version of the protocol between nodes that this one speaks. It gets no books and
    no changes, and ends if it started later. See "Upgrade" in the how-to of clusters."""
    _NODES.write(
        "node_incompatible",
        logging.ERROR,
        "node %s is kept out: %s",
        peer,
        reason,
        facts={"peer": peer, "reason": reason},
    )


def node_back(*, peer: str, address: str) -> None:
    """Another node is up, for the first time since this one started, or again."""
    _NODES.write(
        "node_back",
        logging.INFO,
        "node %s is up, its server is at %s",
        peer,
        address,
        facts={"peer": peer, "address": address},
    )


def take_over_began(*, books: int, reason: str) -> None:
    """This node begins to hold books: new ones, those of a node that is away, or its share after nodes
    came."""
    count = _books(books)
    _NODE_BOOKS.write(
        "take_over_began",
        logging.INFO,
        "this node takes %s: %s",
        count,
        reason,
        facts={"books": books, "reason": reason},
    )


def take_over_done(*, books: int, copied: int, took_s: float) -> None:
    """All books that this node took are synced; some were copied from other nodes, which costs no request
    weight."""
    count = _books(books)
    _NODE_BOOKS.write(
        "take_over_done",
        logging.INFO,
        "all that this node took is synced after %.1f s: %s, %d of them copied from other nodes",
        took_s,
        count,
        copied,
        facts={"books": books, "copied": copied, "took_s": took_s},
    )


def take_over_waits(*, books: int, exchange: str, symbol: str, reason: str) -> None:
    """Books that this node took are not synced after a minute, with the reason of one. Logged once for
    each take-over."""
    count = _books(books)
    _NODE_BOOKS.write(
        "take_over_waits",
        logging.WARNING,
        "not synced a minute after this node took them: %s, such as %s on %s: %s",
        count,
        symbol,
        exchange,
        reason,
        facts={"books": books, "exchange": exchange, "symbol": symbol, "reason": reason},
    )


def _books(number: int) -> str:
    return "1 book" if number == 1 else f"{number:,} books"


def books_given_up(*, books: int, reason: str) -> None:
    """This node holds books no longer."""
    count = _books(books)
    _NODE_BOOKS.write(
        "books_given_up",
        logging.INFO,
        "this node gave up %s: %s",
        count,
        reason,
        facts={"books": books, "reason": reason},
    )


def copies_failed(*, books: int, host: str, reason: str) -> None:
    """Another node did not give its books; further nodes are asked, or the exchange."""
    count = _books(books)
    _NODE_BOOKS.write(
        "copies_failed",
        logging.WARNING,
        "%s could not be copied from %s: %s",
        count,
        host,
        reason,
        facts={"books": books, "host": host, "reason": reason},
    )


def books_lost_sync(*, books: int, of: int, exchange: str, symbol: str, reason: str) -> None:
    """Books of this node lost sync, with the reason of one. They resync by themselves. Logged again when
    they have doubled."""
    _NODE_BOOKS.write(
        "books_lost_sync",
        logging.WARNING,
        "%d of %d books of this node are not synced any more, such as %s on %s: %s",
        books,
        of,
        symbol,
        exchange,
        reason,
        facts={"books": books, "of": of, "exchange": exchange, "symbol": symbol, "reason": reason},
    )


def books_in_sync_again(*, after_s: float) -> None:
    """All books of this node that had lost sync are synced again."""
    _NODE_BOOKS.write(
        "books_in_sync_again",
        logging.INFO,
        "all books of this node that had lost sync are synced again after %.1f s",
        after_s,
        facts={"after_s": after_s},
    )


def node_certificate_renewed(*, until: str) -> None:
    """A node of a cluster has a new certificate; the time is when it ends."""
    _NODE_UPKEEP.write(
        "node_certificate_renewed",
        logging.INFO,
        "this node has a new certificate, which ends at %s",
        until,
        facts={"until": until},
    )


def access_tokens_changed(*, roles: str) -> None:
    """New access tokens of a cluster are accepted; earlier ones of these roles end within the hour."""
    _NODE_UPKEEP.write(
        "access_tokens_changed",
        logging.INFO,
        "there are new access tokens of the cluster, roles: %s",
        roles,
        facts={"roles": roles},
    )


def authority_trusted(*, authority: str) -> None:
    """A new authority of the cluster, by its hash, begins to take over. Certificates of it are accepted."""
    _NODE_UPKEEP.write(
        "authority_trusted",
        logging.INFO,
        "this node trusts a further authority, which takes over: %s",
        authority,
        facts={"authority": authority},
    )


def authority_replaced(*, authority: str) -> None:
    """A new authority of the cluster, by its hash, has taken over. Certificates of the earlier one are
    refused."""
    _NODE_UPKEEP.write(
        "authority_replaced",
        logging.INFO,
        "the authority %s has taken over; the earlier one is trusted no longer",
        authority,
        facts={"authority": authority},
    )


def wanted_set_not_saved(*, reason: str) -> None:
    """The wanted set could not be written, for example because the disk is full. Changes are refused with
    this reason; it is written as soon as that is possible. Logged once."""
    _NODE_UPKEEP.write(
        "wanted_set_not_saved",
        logging.ERROR,
        "what the cluster keeps cannot be saved on this node: %s",
        reason,
        facts={"reason": reason},
    )


def wanted_set_saved(*, after_s: float) -> None:
    """The wanted set could not be written for so long, and now it is saved."""
    _NODE_UPKEEP.write(
        "wanted_set_saved",
        logging.INFO,
        "what the cluster keeps is saved again on this node after %.1f s",
        after_s,
        facts={"after_s": after_s},
    )


def unexpected(*, where: str, error: BaseException) -> None:
    """An internal error. Comes with a traceback, at most five times in ten seconds per place and exception
    type."""
    limited = _MISTAKES.setdefault((where, type(error)), _Limited(_MOST_MISTAKES))
    limited.write(
        "unexpected",
        logging.ERROR,
        "internal error in %s; the client keeps running; please report this",
        where,
        error=error,
        facts={"where": where, "error_type": type(error).__name__},
    )
