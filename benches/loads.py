"""Loads of the main thread while books are live: nothing, pure Python, or sorts that hold the interpreter
lock for tens of milliseconds.

    python -m benches.loads "75 ms sorts" 2
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable

Load = Callable[[float], None]

_SORT_S = 0.075


def idle(seconds: float) -> None:
    """Nothing."""
    time.sleep(seconds)


def pure(seconds: float) -> None:
    """A loop in pure Python."""
    end = time.perf_counter() + seconds
    total = 0
    while time.perf_counter() < end:
        for number in range(1_000):
            total += number * number


def sorts(seconds: float) -> None:
    """`sorted` in a loop, of so many floats that each call holds the interpreter lock for 75 ms."""
    generator = random.Random(1)
    numbers = [generator.random() for _ in range(100_000)]
    begin = time.perf_counter()
    sorted(numbers)
    times = max(1, round(_SORT_S / (time.perf_counter() - begin)))
    numbers += [generator.random() for _ in range((times - 1) * len(numbers))]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        sorted(numbers)


LOADS: dict[str, Load] = {"idle": idle, "a pure-Python loop": pure, "75 ms sorts": sorts}


if __name__ == "__main__":
    LOADS[sys.argv[1]](float(sys.argv[2]))
