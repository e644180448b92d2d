"""From nothing to 20 synced markets: the old library and the drop-in, on the embedded exchange 20 ms away.

Each in a process and on an exchange of its own. Wall time from making the manager to the moment in which all
markets are synced; imports do not count. The old library mostly waits, for two minutes: `begin` lets it wait
beside other sections; the drop-in has the machine to itself.

    python -m benches.unicorn      (also a section of `make bench`)
"""

from __future__ import annotations

import statistics
import sys
import threading
from concurrent.futures import Future
from dataclasses import replace

from benches.delay import delayed
from benches.measure import Row
from benches.old_library import NotInstalled, Program, python_of_the_old_library
from depthcache import simulator

MARKETS = 20
ROUND_TRIP_S = 0.020
BAR = 1 / 50
"""Of the old library's time."""


def begin() -> Future[float]:
    """Let the old library start; seconds in the end, `NotInstalled` where it is not there."""
    found: Future[float] = Future()

    def work() -> None:
        try:
            found.set_result(start(python_of_the_old_library(), "old"))
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            found.set_exception(error)

    threading.Thread(target=work, name="old library", daemon=True).start()
    return found


def run(old: Future[float], *, rounds: int) -> list[Row]:
    """The rows of the report; one that says why where the old library is not there."""
    try:
        old_s = old.result()
    except NotInstalled as error:
        return [Row("start of 20 markets", str(error))]
    new_s = statistics.median(start(sys.executable, "new") for _ in range(rounds))
    return [
        Row(f"start of {MARKETS} markets, UNICORN 2.14.0", f"{old_s:.1f} s"),
        Row(f"start of {MARKETS} markets, the drop-in", f"{new_s:.3f} s", new_s / old_s, BAR),
        Row("times as fast", f"{old_s / new_s:.0f}"),
    ]


def start(python: str, name: str) -> float:
    """Seconds until all markets are synced, on an exchange of its own."""
    markets = {f"S{number}USDT": replace(simulator.TINY, interval_ms=500) for number in range(MARKETS)}
    with (
        simulator.serve(seed=1, symbols={"binance.com": markets}) as server,  # type: ignore[dict-item]
        delayed(int(server.url.rpartition(":")[2]), round_trip_s=ROUND_TRIP_S) as port,
    ):
        places = (f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}")
        program = Program(python, "start.py", name, *places, *markets)
        program.run(lambda _: None)
    (line,) = program.lines
    return float(line["seconds"])


if __name__ == "__main__":
    for row in run(begin(), rounds=3):
        print(
            row.what, row.figure, "" if row.ratio is None else f"{row.ratio:.4f} (bar {row.bar})", row.verdict
        )
