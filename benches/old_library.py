"""The old library in its own environment, and programs (`twins/`) that run on either library.

Not here: what is compared (`unicorn`, and the tests in tests/rivals).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

from depthcache import simulator

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / "build" / "old-library"
PROGRAM_S = 600


class NotInstalled(Exception):
    """The old library cannot be installed here."""


def python_of_the_old_library() -> str:
    """Its interpreter. Raises NotInstalled."""
    made = subprocess.run(
        [ROOT / "tools" / "old_library.sh", ENVIRONMENT],
        capture_output=True,
        text=True,
        check=False,
        timeout=PROGRAM_S,
        env=os.environ | {"PYTHON": sys.executable},
    )
    if made.returncode:
        raise NotInstalled(f"the old library cannot be installed: {made.stderr.strip().splitlines()[-1:]}")
    return str(ENVIRONMENT / "bin" / "python")


class Program:
    """A program in its own process, which prints JSON lines."""

    def __init__(self, python: str, script: str, *arguments: str) -> None:
        self.lines: list[dict[str, Any]] = []
        self._process = subprocess.Popen(
            [python, str(ROOT / "benches" / "twins" / script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def run(self, on_ask: Callable[[str], None]) -> None:
        """Read its lines until it ends. Each `ask` calls `on_ask`, then lets it continue."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            for text in stdout:
                if not text.startswith("{"):
                    continue  # the old library prints
                line = json.loads(text)
                if line.get("end"):
                    break
                if "ask" in line:
                    on_ask(line["ask"])
                    stdin.write("\n")
                    stdin.flush()
                else:
                    self.lines.append(line)
        finally:
            self._process.kill()  # the old library does not always end by itself
            self._process.wait()
            stdin.close()
            stdout.close()


def run_both(
    script: str, urls: tuple[str, str], do: Callable[[str], None] = lambda _: None, *arguments: str
) -> dict[str, list[dict[str, Any]]]:
    """The lines of a program on the old library and on the drop-in, run side by side.

    `urls`: REST and WebSocket URL of an embedded exchange. Raises NotInstalled.
    """
    pythons = {"old": python_of_the_old_library(), "new": sys.executable}
    programs = {name: Program(python, script, name, *urls, *arguments) for name, python in pythons.items()}
    run_together(programs, do)
    return {name: program.lines for name, program in programs.items()}


def urls_of(server: simulator.Server) -> tuple[str, str]:
    """REST and WebSocket URL of spot for the old library, which takes no path prefix."""
    return server.url, server.url.replace("http", "ws", 1)


def run_together(programs: dict[str, Program], do: Callable[[str], None]) -> None:
    """Run programs side by side; what all of them ask for is done once."""
    barrier = Barrier(len(programs))
    errors: list[BaseException] = []

    def run(program: Program) -> None:
        def on_ask(what: str) -> None:
            if barrier.wait(PROGRAM_S) == 0:
                do(what)
            barrier.wait(PROGRAM_S)

        try:
            program.run(on_ask)
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)
        finally:
            barrier.abort()

    threads = [Thread(target=run, args=(program,)) for program in programs.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
