"""The hostile peers, and limits on what they may cost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def http_peer() -> Iterator[Callable[[str], str]]:
    """Starts a hostile HTTP server in front of a backend; gives `host:port`."""
    running: dict[str, tuple[subprocess.Popen[str], str]] = {}

    def start(backend: str = "") -> str:
        if backend not in running:
            command = [sys.executable, "-m", "tests.hostile.http_peer", backend]
            process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            assert process.stdout is not None
            running[backend] = process, f"127.0.0.1:{int(process.stdout.readline())}"
        return running[backend][1]

    yield start
    for process, _ in running.values():
        process.communicate(timeout=20)
