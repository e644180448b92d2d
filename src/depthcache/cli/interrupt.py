"""Ctrl-C and SIGTERM as something to wait for, so that commands end in order.

The first one asks the command to end, which it does in order: connections and files are closed. A second
Ctrl-C, of somebody in a hurry, changes nothing; a third interrupts whatever is still done. Not here: what
ends.
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
"""So many Ctrl-C leave the command time to end in order."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LOOK_S = 0.5
"""Where a wait is not woken by signals (Windows), it is looked for them this often."""


class Interrupt:
    """`with Interrupt() as interrupt:` on the main thread; then `wait` or `wait_async`."""

    def __init__(self) -> None:
        self._happened = False
        self._wake: SimpleQueue[None] = SimpleQueue()
        """Its `put` may interrupt its own `get` (docs of `queue`), where an Event would deadlock."""
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
            # All is closed; a late Ctrl-C would only spoil the exit code, or show a traceback.
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    @property
    def has_happened(self) -> bool:
        """Whether the command was asked to end."""
        return self._happened

    def wait(self) -> None:
        """Until somebody asks the command to end."""
        while not self._happened:
            with suppress(Empty):
                self._wake.get(timeout=_LOOK_S)

    async def wait_async(self, timeout_s: float) -> bool:
        """The same for at most `timeout_s`, on an event loop; whether it has happened."""
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
        self._happened = True
        self._wake.put(None)
        if self._waiting is not None:
            loop, event = self._waiting
            with suppress(RuntimeError):  # the loop has ended by itself
                loop.call_soon_threadsafe(event.set)
