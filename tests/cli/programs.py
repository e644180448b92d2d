"""Run commands as programs: start them, read lines with a deadline, end them by signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

DEADLINE_S = 60


class Program:
    """One running command."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def line(self) -> str:
        """The next line of stdout; empty at its end. The deadline of the test limits the wait."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def until(self, words: str) -> str:
        """The next line of stdout that contains this text."""
        while words not in (line := self.line()):
            assert self.process.poll() is None or line, f"ended without saying {words!r}"
        return line

    def until_error(self, words: str) -> None:
        """Read stderr up to the line that contains this text."""
        assert self.process.stderr is not None
        lines = []
        while words not in (line := self.process.stderr.readline()):
            lines.append(line)
            assert line, f"ended without saying {words!r}: {''.join(lines)}"

    def end(self, number: int = signal.SIGINT) -> tuple[int, str, str]:
        """Ask it to end; return the exit code and the rest of stdout and stderr."""
        self.process.send_signal(number)
        return self.rest()

    def rest(self) -> tuple[int, str, str]:
        """Wait until it ends by itself."""
        out, err = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, out, err


@contextmanager
def running(
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    first: str = "",
    limits: Mapping[int, int] | None = None,
) -> Iterator[Program]:
    """`depthcache <arguments>`; killed at the end if it still runs.

    `first`: Python that the program runs before anything else. `limits`: of the system, as `resource` names
    them.
    """
    code = f"{first}\nimport sys; from depthcache.cli import main; sys.exit(main())"

    def limit() -> None:
        import resource

        for number, most in (limits or {}).items():
            resource.setrlimit(number, (most, most))

    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        preexec_fn=limit if limits else None,
        env={**os.environ, "PYTHONUNBUFFERED": "", "PYTHONUTF8": "1", **(environment or {})},
    )
    with process:
        try:
            yield Program(process)
        finally:
            process.kill()
