"""Who follows which books of a client, and who is to be told when a follower has something.

The native followers do the work; this knows which consumer waits for which, adds books that begin later
to those that follow all, and keeps the times at which a follower with an interval is due, on the client's
clock. Any thread may call. Not here: how a consumer waits (`client.follow`), and what it is told (native).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock

from depthcache.engine import Follower, Mode, Router
from depthcache.io.forks import HomeProcess
from depthcache.model import OnStale

__all__ = ["CALLBACK_DRAIN_S", "FollowSpec", "Followers"]

CALLBACK_DRAIN_S = 5.0
"""How long the end of a client waits for a callback that is running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowSpec:
    """What a consumer wants to be told; checked by who makes it.

    Attributes:
        mode: when there is an item.
        levels: a side in each item; None for all.
        interval_ns: between two items of a book in the mode `interval`.
        on_stale: what a book that is not synced yields.
        buffer, buffer_bytes: items and bytes kept for a consumer that does not come (mode `every`).
    """

    mode: Mode
    levels: int | None
    interval_ns: int
    on_stale: OnStale
    buffer: int
    buffer_bytes: int


@dataclass(frozen=True, slots=True)
class _Entry:
    follower: Follower
    tell: Callable[[], None]
    every_book: bool


class Followers:
    """Order of calls: `attach` once, then `follow` and `forget` at any time, `end` once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._entries: dict[int, _Entry] = {}
        self._due: dict[int, int] = {}
        self._gone: deque[int] = deque()
        """Numbers of the forgotten: a garbage collection may forget while this thread holds the lock."""
        self._ended = False

    def attach(self, router: Router, now_ns: Callable[[], int]) -> None:
        """The router whose books are followed, and the client's clock."""
        self._router, self._now_ns, self._home = router, now_ns, HomeProcess()

    def follow(
        self,
        markets: Callable[[], Iterable[int]],
        spec: FollowSpec,
        tell: Callable[[], None],
        *,
        every_book: bool,
        announces: bool,
    ) -> Follower:
        """A follower of these markets, and of all that begin later (`every_book`).

        `tell` is called on the client's loop when there is something after `take` gave None, and at the
        end. Without `announces` at the end only: then somebody waits with `Follower.wait`. Raises UsageError
        in a forked process, where nothing brings anything.
        """
        self._home.check()
        follower = self._router.follow(
            spec.mode,
            levels=spec.levels,
            interval_ns=spec.interval_ns,
            start_ns=self._now_ns(),
            on_stale=spec.on_stale,
            most_items=spec.buffer,
            most_bytes=spec.buffer_bytes,
            announces=announces,
        )
        with self._lock:
            if not self._ended:
                self._entries[follower.number] = _Entry(follower, tell, every_book)
                # Asked only now: a book that begins meanwhile is there, or comes by `on_market`.
                for market in markets():
                    self._add(follower, market)
                return follower
        follower.finish()
        return follower

    def forget(self, follower: Follower) -> None:
        """Nobody takes from it any more. May be called by a garbage collection, in the middle of anything."""
        self._gone.append(follower.number)
        follower.close()

    def on_market(self, market: int) -> None:
        """A book begins."""
        for entry in self._all():
            if entry.every_book:
                self._add(entry.follower, market)
                entry.tell()

    def on_ready(self, number: int) -> None:
        """The router says that a follower has something, now or at a time of its interval."""
        entry = self._entries.get(number)
        if entry is None:
            return
        due_ns = entry.follower.due_ns
        if due_ns is not None:
            self._due[number] = due_ns
        entry.tell()

    def next_ns(self) -> int | None:
        """When to call `on_wake`; None for never."""
        return min(self._due.values()) if self._due else None

    def on_wake(self, now_ns: int) -> None:
        """Tell those whose time has come."""
        for number in [number for number, due_ns in self._due.items() if due_ns <= now_ns]:
            del self._due[number]
            if entry := self._entries.get(number):
                entry.tell()

    def end(self) -> None:
        """The client ends: what is there is still given, nothing comes after it."""
        with self._lock:
            self._ended = True
        self._due.clear()
        for entry in self._all():
            entry.follower.finish()
            with suppress(RuntimeError):  # the loop of who waits may be closed: it waits no more
                entry.tell()

    def _all(self) -> list[_Entry]:
        with self._lock:
            while self._gone:
                self._entries.pop(self._gone.popleft(), None)
            return list(self._entries.values())

    def _add(self, follower: Follower, market: int) -> None:
        with suppress(KeyError):  # it ended meanwhile
            follower.add(self._router, market)
