"""What the terminal app adds to a client: CPU time of `depthcache watch` in a terminal of 120 by 40.

Five books of the embedded exchange (its own process), in turns watched and only kept, each in its own
process. The difference is the app: reading a book and drawing what changed, ten times a second.
"""

from __future__ import annotations

import json
import os
import pty
import statistics
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from benches.measure import Row, above

SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "NEXOUSDT")
WIDTH, HEIGHT = 120, 40
WARM_S = 2.5
SECONDS = 2.0
MAX_OF_A_CORE = 0.05
"""Threshold of what the app adds, in units of a core."""

_MEASURE = """
import os, sys, threading, time
def measure():
    time.sleep({warm_s})
    began, cpu = time.monotonic(), time.process_time()
    time.sleep({seconds})
    share = (time.process_time() - cpu) / (time.monotonic() - began)
    os.write({result}, str(share).encode())
threading.Thread(target=measure, daemon=True).start()
"""
_WATCHED = """
from depthcache.cli import main
sys.exit(main(["watch", *{symbols}, "--seconds", "{whole_s}"]))
"""
_KEPT = """
import asyncio, depthcache
async def keep():
    async with depthcache.connect("binance.com", {symbols}, depth=100):
        await asyncio.sleep({whole_s})
asyncio.run(keep())
"""


@contextmanager
def _exchange() -> Iterator[Mapping[str, str]]:
    """The environment of an embedded exchange in a process of its own."""
    code = (
        "import json, sys\nfrom depthcache import simulator\n"
        f"with simulator.serve(seed=1, symbols={{'binance.com': {list(SYMBOLS)!r}}}) as server:\n"
        "    print(json.dumps(dict(server.environment)), flush=True)\n    sys.stdin.read()\n"
    )
    program = [sys.executable, "-c", code]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield json.loads(process.stdout.readline())
        process.stdin.close()


def share_of_a_core(program: str, environment: Mapping[str, str]) -> float:
    """CPU seconds a second of a program that runs in a terminal."""
    import fcntl
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    result, told = os.pipe()
    words = {
        "warm_s": WARM_S,
        "seconds": SECONDS,
        "whole_s": WARM_S + SECONDS + 0.5,
        "result": told,
        "symbols": list(SYMBOLS),
    }
    terminal = {**os.environ, **environment, "TERM": "xterm-256color"}
    with subprocess.Popen(
        [sys.executable, "-c", (_MEASURE + program).format(**words)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=terminal,
        pass_fds=(told,),
        start_new_session=True,
    ) as process:
        os.close(theirs)
        os.close(told)
        threading.Thread(target=_drain, args=(ours,), daemon=True).start()
        process.wait()
    with os.fdopen(result) as file:
        return float(file.read())


def _drain(terminal: int) -> None:
    """Be the terminal: read what is drawn."""
    try:
        while os.read(terminal, 65_536):
            pass
    except OSError:  # the other end is closed
        pass
    os.close(terminal)


def run(*, rounds: int) -> list[Row]:
    """The app's share of a core, against a client without it."""
    with _exchange() as environment:
        pairs = [
            (share_of_a_core(_KEPT, environment), share_of_a_core(_WATCHED, environment))
            for _ in range(rounds)
        ]
    kept, watched = zip(*pairs, strict=True)
    added = above(watched, kept)
    return [
        Row("five books, only kept", f"{100 * statistics.median(kept):.1f} %"),
        Row("five books, watched", f"{100 * statistics.median(watched):.1f} %"),
        Row.of("what the app adds", f"{100 * added.median:.1f} %", added, MAX_OF_A_CORE),
    ]


if __name__ == "__main__":
    for row in run(rounds=1):
        print(f"{row.what}: {row.figure} of a core {row.result}")
