"""`on_restart`: notify the program that the connection of a cache was lost and replaced.

A thread checks `LiveBook.reconnects` several times a second and calls the program without holding a lock. The
callback may call every method of the manager. A slow one delays only the next call, and its exceptions are
logged.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread
from typing import TYPE_CHECKING

from depthcache.compat.ubldc import logs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from depthcache.compat.ubldc.books import Cache

__all__ = ["Restarts"]

_LOOK_S = 0.2


class Restarts:
    """The notifications of one manager. Call `start` once there are caches; they end with `stopped`."""

    def __init__(
        self, caches: Iterable[Cache], stopped: Event, callback: Callable[[str, float], object]
    ) -> None:
        self._caches, self._stopped, self._callback = caches, stopped, callback
        self._thread = Thread(target=self._run, name="depthcache on_restart", daemon=True)

    def start(self) -> None:
        """Start the thread, unless it is running."""
        if self._thread.ident is None:
            self._thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(_LOOK_S):
            for cache in self._caches:
                if not cache.stopped and cache.restarts > cache.restarts_told:
                    cache.restarts_told = cache.restarts
                    self._tell(cache)

    def _tell(self, cache: Cache) -> None:
        at = cache.restarted_at
        try:
            self._callback(cache.market, 0.0 if at is None else at)
        except BaseException as error:  # noqa: BLE001 - a bug in the callback must not end the notifications
            logs.callback_failed(market=cache.market, error=error)
