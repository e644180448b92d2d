"""The methods of `threading.Thread` that the old manager inherited, although it was never started.

They return useful values without a thread.
"""

from __future__ import annotations

from threading import Event

from depthcache.pickling import OneProcess

__all__ = ["ThreadApi"]


class ThreadApi(OneProcess):
    """A manager with the interface of a thread: alive until it is stopped."""

    _pickle_instead = "pickle the lists of get_asks() and get_bids()"

    name: str = "depthcache"
    daemon: bool = False
    ident: int | None = None
    native_id: int | None = None
    _stopped: Event

    def start(self) -> None:
        """Do nothing: a manager works from its creation."""

    def run(self) -> None:
        """Do nothing, like `start`."""

    def is_alive(self) -> bool:
        """Whether the manager has not been stopped yet."""
        return not self._stopped.is_set()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the manager is stopped. `timeout`: seconds; None waits without a limit."""
        self._stopped.wait(timeout)

    def isDaemon(self) -> bool:  # noqa: N802 - the name of the standard library
        """Whether `daemon` was set. Has no effect."""
        return self.daemon

    def setDaemon(self, daemonic: bool) -> None:  # noqa: N802
        """Set `daemon`. Has no effect: the client never delays the exit of the program."""
        self.daemon = daemonic

    def getName(self) -> str:  # noqa: N802
        """The same as `name`."""
        return self.name

    def setName(self, name: str) -> None:  # noqa: N802
        """Set `name`."""
        self.name = name
