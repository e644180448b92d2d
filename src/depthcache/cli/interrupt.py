"""Wait for Ctrl-C and SIGTERM, so that commands shut down cleanly.

The first signal asks the command to end, and it closes its connections and files. A second Ctrl-C has no
effect, so impatience does no harm; a third raises KeyboardInterrupt.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["Interrupt"]

_MOST_IN_ORDER = 2
"""Ctrl-C presses that leave the command time to shut down cleanly."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LOOK_S = 0.5
"""Polling interval, for platforms where a signal does not wake a waiting thread (Windows)."""


class Interrupt:
    """Signal handlers for the duration of a `with` block on the main thread; see `wait` and `wait_async`."""

    def __init__(self) -> None:
        self._happened = False
        self._wake: SimpleQueue[None] = SimpleQueue()
        """A signal handler may call `put` while `get` runs (docs of `queue`); an Event would deadlock."""
        self._times = 0
        self._before: dict[signal.Signals, Any] = {}
        self._waiting: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        if self.has_happened and self._before[signal.SIGINT] is signal.default_int_handler:
            # Everything is closed: a late Ctrl-C would only change the exit code or print a traceback.
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    @property
    def has_happened(self) -> bool:
        """Whether a signal has asked the command to end."""
        return self._happened

    def end(self) -> None:
        """Ask the command to end, as a signal does. Any thread may call it."""
        self._happened = True
        self._wake.put(None)
        if self._waiting is not None:
            loop, event = self._waiting
            with suppress(RuntimeError):  # the loop is already closed
                loop.call_soon_threadsafe(event.set)

    def wait(self) -> None:
        """Block until a signal asks the command to end."""
        while not self._happened:
            with suppress(Empty):
                self._wake.get(timeout=_LOOK_S)

    async def wait_async(self, timeout_s: float) -> bool:
        """Wait for a signal for at most `timeout_s` seconds; return whether one has arrived."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()
        self._waiting = loop, event
        if not self._happened:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await event.wait()
        return self._happened

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._times += number == signal.SIGINT
        if self._times > _MOST_IN_ORDER and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.end()
