"""CPU time of fresh interpreters, in turns: one that does nothing, and those that import the package."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

from benches.measure import Row, estimate

ROUNDS = 15
THRESHOLD = 5.0
BARE = "nothing"
PROGRAMS = {
    BARE: "pass",
    "import depthcache": "import depthcache",
    "… and make a Book": "import depthcache; depthcache.Book('binance.com')",
    "… and a live client": "import depthcache; depthcache.blocking.connect",
}
WITH_THRESHOLD = "import depthcache"


def cpu_s(code: str) -> float:
    """CPU seconds of one interpreter, user and system."""
    process = subprocess.Popen([sys.executable, "-I", "-c", code])
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise AssertionError(f"{code!r} failed")
    return used.ru_utime + used.ru_stime


def run() -> list[Row]:
    """One row per program."""
    spent: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(ROUNDS):
        for name, code in PROGRAMS.items():
            spent[name].append(cpu_s(code))
    return [
        Row.of(
            name,
            f"{statistics.median(values) * 1000:.0f} ms",
            estimate(each / bare for each, bare in zip(values, spent[BARE], strict=True)),
            THRESHOLD if name == WITH_THRESHOLD else None,
        )
        for name, values in spent.items()
    ]
