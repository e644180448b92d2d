"""Live books on a display until it is time to end: what `watch` and `demo` share.

All through the public API. Not here: which books (the commands), how they look (`display`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from depthcache import now_ns as clock_ns
from depthcache.cli.display import display
from depthcache.cli.state import Meter
from depthcache.model import Status

if TYPE_CHECKING:
    from depthcache import Books
    from depthcache.cli.interrupt import Interrupt

__all__ = ["show"]

_LOOK_S = 0.5


async def show(
    books: Books,
    interrupt: Interrupt,
    *,
    levels: int,
    seconds: float | None,
    on_look: Callable[[], None] = lambda: None,
) -> None:
    """Show the books until Ctrl-C, for `seconds`, or until none of them will ever be live again.

    `on_look` is called at least twice a second.
    """
    loop = asyncio.get_running_loop()
    end_s = math.inf if seconds is None else loop.time() + seconds
    next_s = 0.0
    meters = [Meter(book) for book in books]
    with display(levels=levels) as shown:
        while True:
            on_look()
            if loop.time() >= min(next_s, end_s):
                next_s = loop.time() + shown.interval_s
                now_ns = clock_ns()
                shown.show([meter.look(now_ns, levels=levels) for meter in meters])
            if loop.time() >= end_s or all(book.status is Status.CLOSED for book in books):
                return
            if await interrupt.wait_async(max(0.0, min(next_s, end_s, loop.time() + _LOOK_S) - loop.time())):
                return
