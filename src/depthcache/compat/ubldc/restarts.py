"""`on_restart`: tells the program that the connection of a cache was lost and another took its place.

A thread looks a few times a second and calls the program from there, holding nothing: every method of the
manager may be called, a slow callback delays only the next one, and what it raises is logged. Not here:
what is counted (`LiveBook.reconnects`).
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
    """Order of calls: `start` when there are caches, as often as one likes; ends with `stopped`."""

    def __init__(
        self, caches: Iterable[Cache], stopped: Event, callback: Callable[[str, float], object]
    ) -> None:
        self._caches, self._stopped, self._callback = caches, stopped, callback
        self._thread = Thread(target=self._run, name="depthcache on_restart", daemon=True)

    def start(self) -> None:
        """Look from now on."""
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
        except BaseException as error:  # noqa: BLE001 - the program's own mistake must not end the others' news
            logs.callback_failed(market=cache.market, error=error)
