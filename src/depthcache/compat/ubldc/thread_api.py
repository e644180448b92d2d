"""What the old manager had from `threading.Thread`, which it was without ever being started.

Programs that ask such things get a useful answer. Not here: any thread.
"""

from __future__ import annotations

from threading import Event

from depthcache.pickling import OneProcess

__all__ = ["ThreadApi"]


class ThreadApi(OneProcess):
    """A manager as a thread: alive until it is stopped, and joined by that."""

    _pickle_instead = "pickle the lists of get_asks() and get_bids()"

    name: str = "depthcache"
    daemon: bool = False
    ident: int | None = None
    native_id: int | None = None
    _stopped: Event

    def start(self) -> None:
        """Nothing: a manager works from the moment it is made."""

    def run(self) -> None:
        """Nothing, as `start`."""

    def is_alive(self) -> bool:
        """Whether the manager has not been stopped yet."""
        return not self._stopped.is_set()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the manager is stopped. `timeout`: seconds; None for no end."""
        self._stopped.wait(timeout)

    def isDaemon(self) -> bool:  # noqa: N802 - the name of the standard library
        """Whether `daemon` was set; without effect."""
        return self.daemon

    def setDaemon(self, daemonic: bool) -> None:  # noqa: N802
        """Set `daemon`; without effect: the client never holds up the end of the program."""
        self.daemon = daemonic

    def getName(self) -> str:  # noqa: N802
        """The same as `name`."""
        return self.name

    def setName(self, name: str) -> None:  # noqa: N802
        """Set `name`."""
        self.name = name
