"""From nothing to 20 synced markets: the old library and the drop-in, with a round trip of 20 ms.

Each runs in its own process, on its own embedded exchange. Wall time runs from creating the manager until all
markets are synced, without imports. The old library takes two minutes, mostly waiting: `begin` starts it in
the background of other sections. The drop-in has the machine to itself.

    python -m benches.unicorn      (also a section of `make bench`)
"""

from __future__ import annotations

import statistics
import sys
import threading
from concurrent.futures import Future
from dataclasses import replace

from benches.delay import delayed
from benches.measure import Row, estimate
from benches.old_library import NotInstalled, Program, python_of_the_old_library
from depthcache import simulator

MARKETS = 20
ROUND_TRIP_S = 0.020
THRESHOLD = 1 / 50
"""Of the old library's time."""


def begin() -> Future[float]:
    """Start the old library in the background: seconds, or `NotInstalled` when it is missing."""
    found: Future[float] = Future()

    def work() -> None:
        try:
            found.set_result(start(python_of_the_old_library(), "old"))
        except BaseException as error:  # noqa: BLE001 - the waiting side raises it again
            found.set_exception(error)

    threading.Thread(target=work, name="old library", daemon=True).start()
    return found


def run(old: Future[float], *, rounds: int) -> list[Row]:
    """The rows of the report, or one that says why the old library is missing."""
    try:
        old_s = old.result()
    except NotInstalled as error:
        return [Row("start of 20 markets", str(error))]
    all_s = [start(sys.executable, "new") for _ in range(rounds)]
    new_s = statistics.median(all_s)
    return [
        Row(f"start of {MARKETS} markets, UNICORN 2.14.0", f"{old_s:.1f} s"),
        Row.of(
            f"start of {MARKETS} markets, the drop-in",
            f"{new_s:.3f} s",
            estimate(each / old_s for each in all_s),
            THRESHOLD,
        ),
        Row("times as fast", f"{old_s / new_s:.0f}"),
    ]


def start(python: str, name: str) -> float:
    """Seconds until all markets are synced, on an exchange of its own."""
    markets = {f"S{number}USDT": replace(simulator.TINY, interval_ms=500) for number in range(MARKETS)}
    with (
        simulator.serve(seed=1, symbols={"binance.com": markets}) as server,
        delayed(int(server.url.rpartition(":")[2]), round_trip_s=ROUND_TRIP_S) as port,
    ):
        urls = (f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}")
        program = Program(python, "start.py", name, *urls, *markets)
        program.run(lambda _: None)
    (line,) = program.lines
    return float(line["seconds"])


if __name__ == "__main__":
    for row in run(begin(), rounds=3):
        print(
            row.what,
            row.figure,
            "" if row.ratio is None else f"{row.ratio:.4f} (threshold {row.threshold})",
            row.result,
        )
