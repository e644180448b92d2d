"""Followers of the books of a client: registration, notification and timing.

The native followers collect the updates. This file knows the consumer of each, adds books that are opened
later to followers of all books, and keeps the due times of followers with an interval, by the client's clock.
Thread-safe. `client.follow` implements how a consumer waits.
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
"""How long closing a client waits for a running callback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowSpec:
    """What a consumer wants of a book. The caller has checked the values.

    Attributes:
        mode: when to deliver an item.
        levels: levels a side in each item; None for all.
        interval_ns: nanoseconds between two items of a book in mode `interval`.
        on_stale: what to deliver for a book that is not synced.
        buffer, buffer_bytes: most items and bytes to keep for a slow consumer in mode `every`.
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
    """All followers of one client. Call `attach` once, then `follow` and `forget` at any time, `end` once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._entries: dict[int, _Entry] = {}
        self._due: dict[int, int] = {}
        self._gone: deque[int] = deque()
        """Numbers of followers to remove; garbage collection may call `forget` while the lock is held."""
        self._ended = False

    def attach(self, router: Router, now_ns: Callable[[], int]) -> None:
        """Set the router whose books are followed, and the clock of the client."""
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
        """A new follower of these markets; with `every_book`, also of all that are opened later.

        `tell` is called on the client's loop when an item arrives after `take` returned None, and at the end.
        Without `announces` it is called at the end only, for consumers that block in `Follower.wait`. Raises
        UsageError in a forked process, where no item would ever arrive.
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
                # Only now: a book that is opened meanwhile is either in the list or comes by `on_market`.
                for market in markets():
                    self._add(follower, market)
                return follower
        follower.finish()
        return follower

    def forget(self, follower: Follower) -> None:
        """Remove a follower without a consumer. Safe to call from garbage collection at any point."""
        self._gone.append(follower.number)
        follower.close()

    def on_market(self, market: int) -> None:
        """Add a new book to the followers of all books."""
        for entry in self._all():
            if entry.every_book:
                self._add(entry.follower, market)
                entry.tell()

    def on_ready(self, number: int) -> None:
        """The router reports that a follower has an item, now or when its interval is over."""
        entry = self._entries.get(number)
        if entry is None:
            return
        due_ns = entry.follower.due_ns
        if due_ns is not None:
            self._due[number] = due_ns
        entry.tell()

    def next_ns(self) -> int | None:
        """Time of the next call of `on_wake`; None if none is due."""
        return min(self._due.values()) if self._due else None

    def on_wake(self, now_ns: int) -> None:
        """Notify the followers whose interval is over."""
        for number in [number for number, due_ns in self._due.items() if due_ns <= now_ns]:
            del self._due[number]
            if entry := self._entries.get(number):
                entry.tell()

    def end(self) -> None:
        """The client closes: pending items can still be taken, and no more follow."""
        with self._lock:
            self._ended = True
        self._due.clear()
        for entry in self._all():
            entry.follower.finish()
            with suppress(RuntimeError):  # the consumer's loop may be closed already
                entry.tell()

    def _all(self) -> list[_Entry]:
        with self._lock:
            while self._gone:
                self._entries.pop(self._gone.popleft(), None)
            return list(self._entries.values())

    def _add(self, follower: Follower, market: int) -> None:
        with suppress(KeyError):  # the market was removed meanwhile
            follower.add(self._router, market)
