"""The old library in an environment of its own, and programs (`twins/`) that run under either library.

Not here: what is compared (`startup`, and the tests in tests/rivals).
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
    """A program in a process of its own, which tells what it sees line by line."""

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
        """Until it ends; what it asks for is done before it goes on."""
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
    script: str, places: tuple[str, str], do: Callable[[str], None] = lambda _: None, *arguments: str
) -> dict[str, list[dict[str, Any]]]:
    """What the lines of a program are under the old library and under the drop-in, run side by side.

    `places`: REST and WebSocket URL of an embedded exchange. Raises NotInstalled.
    """
    pythons = {"old": python_of_the_old_library(), "new": sys.executable}
    programs = {name: Program(python, script, name, *places, *arguments) for name, python in pythons.items()}
    run_together(programs, do)
    return {name: program.lines for name, program in programs.items()}


def places_of(server: simulator.Server) -> tuple[str, str]:
    """Where the old library finds spot: it knows no prefix."""
    return server.url, server.url.replace("http", "ws", 1)


def run_together(programs: dict[str, Program], do: Callable[[str], None]) -> None:
    """Run programs side by side; what all ask for together is done once."""
    barrier = Barrier(len(programs))
    errors: list[BaseException] = []

    def run(program: Program) -> None:
        def on_ask(what: str) -> None:
            if barrier.wait(PROGRAM_S) == 0:
                do(what)
            barrier.wait(PROGRAM_S)

        try:
            program.run(on_ask)
        except BaseException as error:  # noqa: BLE001 - raised by who started the threads
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
