"""Deadlines, policy and back-off: the small pure parts."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthcache.core import timers
from depthcache.core.policy import Policy, backoff_ns, to_ns
from depthcache.core.timers import Deadlines, Timer
from depthcache.errors import InvalidArgument


def test_every_timer_says_when_in_its_documentation() -> None:
    source = Path(timers.__file__).read_text("utf-8")
    for timer in Timer:
        assert re.search(rf'    {timer.name} = "{timer.value}"\n    """When to \w+', source), timer


@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from(list(Timer)[:3]), st.integers(0, 50) | st.none()))
)
def test_deadlines_come_in_order_and_only_as_last_set(
    steps: list[tuple[int, Timer, int | None]],
) -> None:
    """Whatever is set, replaced and cleared: what is taken is exactly what is pending, earliest first."""
    deadlines, model = Deadlines(), {}
    for owner, timer, at in steps:
        if at is None:
            deadlines.clear(owner, timer)
            model.pop((timer, owner), None)
        else:
            deadlines.set(timer, owner, at)
            model[timer, owner] = at
        assert deadlines.next_ns() == min(model.values(), default=None)
    taken = []
    while key := deadlines.take_due(100):
        taken.append(model.pop(key))
    assert taken == sorted(taken)
    assert model == {}


def test_nothing_is_taken_before_its_time() -> None:
    deadlines = Deadlines()
    deadlines.set(Timer.LIFE, 1, 10)
    assert deadlines.take_due(9) is None
    assert deadlines.take_due(10) == (Timer.LIFE, 1)
    assert deadlines.take_due(10) is None


def test_replaced_deadlines_do_not_pile_up() -> None:
    deadlines = Deadlines()
    for at in range(100_000):
        deadlines.set(Timer.LIFE, at % 3, at)
    assert len(deadlines._heap) < 100


def test_pauses_double_up_to_the_cap_and_half_of_them_is_jitter() -> None:
    pauses = [backoff_ns(attempt, 0.5, 30.0, 0.0) for attempt in range(10)]
    assert pauses == [to_ns(s) for s in (0.25, 0.5, 1, 2, 4, 8, 15, 15, 15, 15)]
    assert backoff_ns(10**6, 0.5, 30.0, 0.999999) <= to_ns(30)
    spread = {backoff_ns(3, 0.5, 30.0, random.Random(seed).random()) for seed in range(50)}
    assert len(spread) == 50


@pytest.mark.parametrize(
    "choice",
    [
        {"limit_share": 0.0},
        {"limit_share": 1.01},
        {"limit_share": -1},
        {"limit_ceiling": 2},
        {"renew_at": 1.5},
        {"silence_s": 0},
        {"silence_s": float("nan")},
        {"silence_s": float("inf")},
        {"retry_cap_s": "30"},
        {"requests_in_flight": True},
        {"crossed_s": None},
    ],
)
def test_choices_that_cannot_work_are_refused_by_name(choice: dict[str, object]) -> None:
    [(name, value)] = choice.items()
    with pytest.raises(InvalidArgument) as caught:
        Policy(**choice)  # type: ignore[arg-type]
    assert (caught.value.name, caught.value.value) == (name, value) or value != value
