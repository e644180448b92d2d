"""Timing for noisy machines: contestants take turns on the same small pieces of work.

Times are CPU time of the thread, not wall time. The figure of a contestant is the median over rounds of its
sum over all pieces. Ratios and differences are computed within a round, of contestants that ran next to each
other, and are judged by an interval that holds their true median (`estimate`): a threshold is missed only
where the whole interval lies beyond it.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import comb, isnan, nan

Piece = Callable[[Sequence[bytes]], None]

CONFIDENCE = 0.95
MET, MISSED, WITHIN_NOISE = "met", "MISSED", "within noise"


@dataclass(frozen=True, slots=True)
class Estimate:
    """The median of some measurements, and the interval that holds the true median."""

    median: float
    low: float
    high: float

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends."""
        return self.low, self.high


def estimate(values: Iterable[float]) -> Estimate:
    """The median and its interval at 95 % confidence, which assumes nothing about the distribution.

    The ends are the measurements between which the true median lies by the binomial law of signs. Six
    measurements are the fewest that reach 95 %; fewer give their whole range, which holds it less often
    (five: 94 %, three: 75 %). If one is not a number, like the difference of two infinite delays, neither
    is the estimate.
    """
    ordered = sorted(values)
    if any(map(isnan, ordered)):
        return Estimate(nan, nan, nan)
    count = len(ordered)
    outside, cut = 0, 0
    for rank in range((count + 1) // 2):
        outside += comb(count, rank)
        if 2 * outside > (1 - CONFIDENCE) * 2**count:
            break
        cut = rank
    return Estimate(statistics.median(ordered), ordered[cut], ordered[-1 - cut])


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the report: a figure, and the threshold its ratio must meet.

    `ratio`: None if it was not measured; a threshold is then missed. `interval`: where the true ratio lies;
    None for figures that are exact, such as counts.
    """

    what: str
    figure: str
    ratio: float | None = None
    threshold: float | None = None
    interval: tuple[float, float] | None = None

    @classmethod
    def of(cls, what: str, figure: str, found: Estimate, threshold: float | None = None) -> Row:
        """A row whose ratio was measured several times."""
        return cls(what, figure, found.median, threshold, found.interval)

    @property
    def result(self) -> str:
        """`met`, `MISSED` or `within noise`; empty without a threshold.

        It is missed if the whole interval lies above the threshold or nothing was measured, and met if none
        of the interval lies above it.
        """
        if self.threshold is None:
            return ""
        if self.ratio is None:
            return MISSED
        low, high = self.interval or (self.ratio, self.ratio)
        if high <= self.threshold:
            return MET
        return WITHIN_NOISE if low <= self.threshold else MISSED


def number(value: float | None) -> str:
    """A ratio with three decimals below 10, otherwise one; empty for none."""
    if value is None:
        return ""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def span(interval: tuple[float, float] | None) -> str:
    """Both ends of an interval; empty for none."""
    return "" if interval is None else " to ".join(map(number, interval))


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


def ratio(results: list[dict[str, float]], name: str, against: str) -> Estimate:
    """One contestant's time over another's, estimated from the rounds."""
    return estimate(result[name] / result[against] for result in results)


def ratio_of(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """Ours over theirs, of pairs that were measured next to each other."""
    return estimate(each / other for each, other in zip(ours, theirs, strict=True))


def above(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """Ours minus theirs, of pairs that were measured next to each other."""
    return estimate(each - other for each, other in zip(ours, theirs, strict=True))


def ratio_beside(ours: Sequence[float], before: Sequence[float], after: Sequence[float]) -> Estimate:
    """Ours over a rival that was measured before and after it in every round, which cancels a drift."""
    return estimate(2 * each / sum(beside) for each, *beside in zip(ours, before, after, strict=True))


def above_beside(ours: Sequence[float], before: Sequence[float], after: Sequence[float]) -> Estimate:
    """Ours minus a rival that was measured before and after it in every round, which cancels a drift."""
    return estimate(each - sum(beside) / 2 for each, *beside in zip(ours, before, after, strict=True))


def call_costs(
    functions: dict[str, Callable[[], object]], *, calls: int, rounds: int = 15
) -> dict[str, list[float]]:
    """Nanoseconds per call of each function in each round, without loop overhead; in turns."""
    spent: dict[str, list[float]] = {name: [] for name in functions}
    with quiet():
        for _ in range(rounds):
            begin = time.thread_time_ns()
            for _ in range(calls):
                pass
            loop = time.thread_time_ns() - begin
            for name, function in functions.items():
                begin = time.thread_time_ns()
                for _ in range(calls):
                    function()
                spent[name].append((time.thread_time_ns() - begin - loop) / calls)
    return spent


def call_cost(
    functions: dict[str, Callable[[], object]], *, calls: int, rounds: int = 15
) -> dict[str, float]:
    """The medians of `call_costs`."""
    spent = call_costs(functions, calls=calls, rounds=rounds)
    return {name: statistics.median(values) for name, values in spent.items()}
