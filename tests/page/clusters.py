"""A cluster of real nodes for tests of the page, which run no event loop of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tests.cluster.processes import SYMBOLS, NodeProcess, Processes, running

__all__ = ["RealCluster", "real_cluster"]

T = TypeVar("T")
_START_S = 240


class RealCluster:
    """Nodes in processes of their own, moved from a thread that has no event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, processes: Processes) -> None:
        self.processes, self._loop = processes, loop

    def __getitem__(self, name: str) -> NodeProcess:
        return self.processes[name]

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for what a node is asked."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_START_S)

    def link(self, name: str) -> str:
        """The page of a node, with the read token."""
        return str(self[name].facts["page"])

    def admin(self, name: str) -> str:
        return self[name].secret("admin")


@contextmanager
def real_cluster(
    folder: Path, names: str = "abc", *, symbols: Sequence[str] = SYMBOLS, options: Sequence[str] = ()
) -> Iterator[RealCluster]:
    """A cluster whose books are synced."""
    made: list[RealCluster] = []
    failed: list[BaseException] = []
    is_ready = threading.Event()
    over: list[asyncio.Event] = []

    async def run() -> None:
        try:
            over.append(asyncio.Event())
            async with running(folder, names, *options, symbols=symbols) as processes:
                made.append(RealCluster(asyncio.get_running_loop(), processes))
                is_ready.set()
                await over[0].wait()
        except BaseException as error:
            failed.append(error)
            raise
        finally:
            is_ready.set()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        assert is_ready.wait(_START_S)
        if failed:
            raise failed[0]
        yield made[0]
    finally:
        if made:
            made[0]._loop.call_soon_threadsafe(over[0].set)
        thread.join()
