"""A process that answers calls over its pipes: one JSON list a line in, one JSON object a line out."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["AskedProcess"]

ROOT = Path(__file__).parents[1]
_LINE_BYTES = 1 << 26


class AskedProcess:
    """One process: `begin` it, ask it, kill or end it.

    Attributes:
        name: what its first line says when it is ready.
    """

    def __init__(self, name: str, *, deadline_s: float, log: Path | None = None) -> None:
        """`deadline_s`: for each answer. `log`: a file for standard error; None for that of this process."""
        self.name: str = name
        self._deadline_s, self._log = deadline_s, log
        self._lock = asyncio.Lock()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    async def begin(self, *command: str, environment: Mapping[str, str]) -> None:
        """Start the process in the root of the repository, and wait until it is ready."""
        log = None if self._log is None else self._log.open("ab")
        self._process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            limit=_LINE_BYTES,
            env=dict(environment),
            cwd=ROOT,
            start_new_session=True,  # Ctrl-C is for the process that asks
        )
        if log is not None:
            log.close()
        assert await self._line() == {"ready": self.name}

    async def ask(self, call: str, *arguments: Any, **named: Any) -> Any:
        """The result of a call."""
        async with self._lock:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps([call, arguments, named]).encode() + b"\n")
            return (await self._line())["result"]

    def signal(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    async def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        await self._process.wait()

    async def end(self) -> None:
        """End the process, whatever its state."""
        if hasattr(self, "_process") and self._process.returncode is None:
            self.signal(signal.SIGCONT)
            await self.kill()

    async def _line(self) -> Any:
        assert self._process.stdout is not None
        async with asyncio.timeout(self._deadline_s):
            line = await self._process.stdout.readline()
        if not line:
            told = "" if self._log is None else f": {self._log.read_text()[-2000:]}"
            raise AssertionError(f"{self.name} has ended{told}")
        return json.loads(line)
