"""Reads against those of other libraries, in one process, on the same bytes: `benches/twins/peer_reads.py`.

Unchanged: the read is repeated. First: the first read after an update. The libraries get an environment of
their own (`environments`), or are those of the interpreter that `PEERS_PYTHON` names. Libraries that are not
there are named.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import depthcache
from benches.captures import Capture
from benches.environments import Unavailable, python_with
from benches.measure import Row, estimate, ratio_of

LIBRARIES = [
    "ccxt==4.5.90",
    "nautilus_trader==1.221.0",
    "order_book==0.6.1",
    "python-binance==1.0.37",
    "sortedcontainers==2.4.0",
]
NEEDED = ["msgspec==0.23.0", "numpy==2.4.6", "orjson==3.13.0"]
"""What depthcache and the script need there."""
SCRIPT = Path(__file__).parent / "twins" / "peer_reads.py"
EMPTY = "an empty native call"
MOST_UNCHANGED, MOST_FIRST, MOST_TOGETHER = 1.0, 1.5, 0.1
"""Of the fastest other library: a repeated read, a first read, and an update with the first read after it."""
THROUGH_LEVELS = "all of 40 levels used, by attributes or unpacking"
MOST_THROUGH_LEVELS = 2.0
MOST_FRAMES = 3_000
"""Enough for 150 first reads of each kind; two of the libraries take a millisecond for some."""


def run(capture: Capture) -> list[Row]:
    """Rows for each read: repeated, first after an update, and together with the update."""
    try:
        python = os.environ.get("PEERS_PYTHON") or python_with("reads", [*LIBRARIES, *NEEDED])
    except Unavailable as why:
        return [Row("reads against other libraries", f"skipped: {why}")]
    measured = measure(capture, python)
    rows = [
        Row(f"{name} is missing ({why}): its reads were not measured", "skipped")
        for name, why in measured["missing"].items()
    ]
    for read, spent in measured["unchanged"].items():
        if read != EMPTY:
            most = MOST_THROUGH_LEVELS if read == THROUGH_LEVELS else MOST_UNCHANGED
            rows.append(row(f"{read}, unchanged book", spent, most))
    for read, by_name in measured["first"].items():
        if read != EMPTY:
            most = MOST_THROUGH_LEVELS if read == THROUGH_LEVELS else MOST_FIRST
            together, alone = (
                {name: [each[part] for each in times] for name, times in by_name.items()} for part in (0, 1)
            )
            rows.append(row(f"{read}, first after an update", alone, most))
            rows.append(row(f"{read}, with the update before", together, MOST_TOGETHER))
    return rows


def row(what: str, spent: dict[str, list[float]], most: float) -> Row:
    """A read against the fastest other library that has it; `spent`: nanoseconds, the same turns of each."""
    ours = estimate(spent["depthcache"])
    figure = f"{ours.median:,.0f} ns ({ours.low:,.0f} to {ours.high:,.0f})"
    others = {name: statistics.median(rounds) for name, rounds in spent.items() if name != "depthcache"}
    if not others:
        return Row(what, figure)
    fastest = min(others, key=lambda name: others[name])
    ratio = ratio_of(spent["depthcache"], spent[fastest])
    return Row.of(f"{what}; {fastest} {others[fastest]:,.0f} ns", figure, ratio, most)


def measure(capture: Capture, python: str) -> Any:
    """What the script prints: the nanoseconds of each turn, by read and library."""
    messages = {
        "exchange": capture.exchange,
        "symbol": capture.symbol,
        "snapshot": bytes(capture.snapshot).decode(),
        "frames": [bytes(frame).decode() for frame in (*capture.before, *capture.after)][:MOST_FRAMES],
    }
    with tempfile.TemporaryDirectory() as folder:
        # Only this package: its neighbours here would take precedence over the libraries there.
        packages = Path(folder) / "packages"
        packages.mkdir()
        (packages / "depthcache").symlink_to(Path(depthcache.__file__).parent)
        path = Path(folder) / "messages.json"
        path.write_text(json.dumps(messages), "utf-8")
        done = subprocess.run(
            [python, str(SCRIPT), str(path)],
            env=os.environ | {"PYTHONPATH": str(packages)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return json.loads(done.stdout)
