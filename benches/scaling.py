"""How reads scale with the cores on free-threaded Python, with one book per thread.

    FREE_THREADED=python3.14t tools/free_threaded.sh     creates the environment
    build/free-threaded-env/bin/python -m benches.scaling

Threads that read the same book take turns at its lock, which scales on no interpreter.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path

import depthcache
from benches.depth import snapshot
from benches.measure import Row, estimate

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / "build" / "free-threaded-env" / "bin" / "python"
SECONDS, ROUNDS, LEVELS = 1.0, 3, 1_000
WHAT = "reads on all cores of free-threaded Python"
MOST = 1.25
"""Threshold: perfect scaling divided by what was measured."""


def row() -> Row:
    """The result of the free-threaded interpreter, or why there is none."""
    if not ENVIRONMENT.exists():
        return Row(WHAT, "not measured: no free-threaded interpreter was found")
    done = subprocess.run(
        [str(ENVIRONMENT), "-m", "benches.scaling"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        why = done.stderr.strip().rpartition("\n")[2][:100]
        return Row(WHAT, f"not measured: {why}")
    found = json.loads(done.stdout)
    return Row.of(
        f"reads on {found['cores']} threads of free-threaded Python {found['python']}, ideal over measured",
        f"{found['all'] / 1e6:.2f} million a second against {found['one'] / 1e6:.2f} on one thread",
        estimate(found["cores"] * one / every for one, every in found["pairs"]),
        MOST,
    )


def measured() -> dict[str, object]:
    """Reads a second on one thread and on one per core; medians over rounds, in turns."""
    cores = os.cpu_count() or 1
    pairs = [(_rate(1), _rate(cores)) for _ in range(ROUNDS)]
    one, every = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {"cores": cores, "python": sys.version.split()[0], "one": one, "all": every, "pairs": pairs}


def _rate(threads: int) -> float:
    counts, stop = [0] * threads, threading.Event()

    def read(index: int) -> None:
        book = depthcache.Book("binance.com", "BTCUSDT")
        book.load_snapshot(snapshot(LEVELS))
        ready.wait()
        while not stop.is_set():
            for _ in range(50):
                book.best  # noqa: B018
                book.freeze(20)
            counts[index] += 100

    ready = threading.Barrier(threads + 1)
    running = [threading.Thread(target=read, args=(index,)) for index in range(threads)]
    for thread in running:
        thread.start()
    ready.wait()
    begin = time.perf_counter()
    time.sleep(SECONDS)
    stop.set()
    for thread in running:
        thread.join()
    return sum(counts) / (time.perf_counter() - begin)


if __name__ == "__main__":
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        sys.exit("this interpreter is not free-threaded")
    sys.stdout.write(json.dumps(measured()))
