"""Timing for noisy machines: contestants take turns on the same small pieces of work.

Times are CPU time of the thread, not wall time. The figure of a contestant is the median over rounds of
its sum over all pieces; ratios are computed within a round.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

Piece = Callable[[Sequence[bytes]], None]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the report: a figure, and the threshold its ratio must meet."""

    what: str
    figure: str
    ratio: float | None = None
    threshold: float | None = None

    @property
    def result(self) -> str:
        """`met` or `MISSED`; empty without a threshold."""
        if self.ratio is None or self.threshold is None:
            return ""
        return "met" if self.ratio <= self.threshold else "MISSED"


@contextmanager
def quiet() -> Iterator[None]:
    """No garbage collection while measuring."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def take_turns(
    frames: Sequence[bytes], contestants: dict[str, Callable[[], Piece]], *, rounds: int
) -> list[dict[str, float]]:
    """CPU nanoseconds per frame of each contestant, one dict a round.

    Each round creates every contestant afresh; within a round all of them take the same frames in the same
    order, a piece at a time, in turns.
    """
    results = []
    for _ in range(rounds):
        pieces = {name: make() for name, make in contestants.items()}
        spent = dict.fromkeys(pieces, 0)
        with quiet():
            for start in range(0, len(frames), 200):
                part = frames[start : start + 200]
                for name, piece in pieces.items():
                    begin = time.thread_time_ns()
                    piece(part)
                    spent[name] += time.thread_time_ns() - begin
        results.append({name: nanoseconds / len(frames) for name, nanoseconds in spent.items()})
    return results


def median(results: list[dict[str, float]], name: str) -> float:
    """Median nanoseconds of a contestant."""
    return statistics.median(result[name] for result in results)


def ratio(results: list[dict[str, float]], name: str, against: str) -> float:
    """Median over rounds of one contestant's time over another's."""
    return statistics.median(result[name] / result[against] for result in results)


def call_cost(
    functions: dict[str, Callable[[], object]], *, calls: int, rounds: int = 15
) -> dict[str, float]:
    """Nanoseconds per call of each function, without loop overhead; medians over rounds, in turns."""
    spent: dict[str, list[float]] = {name: [] for name in functions}
    empty: list[float] = []
    with quiet():
        for _ in range(rounds):
            begin = time.thread_time_ns()
            for _ in range(calls):
                pass
            empty.append((time.thread_time_ns() - begin) / calls)
            for name, function in functions.items():
                begin = time.thread_time_ns()
                for _ in range(calls):
                    function()
                spent[name].append((time.thread_time_ns() - begin) / calls)
    loop = statistics.median(empty)
    return {name: statistics.median(values) - loop for name, values in spent.items()}
