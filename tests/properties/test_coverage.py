"""Schedules of faults visit every possible pair of state and event, and every boundary of ids.

The result is printed as a table. It runs on the reference engine, whose machine is a table; `test_schedules`
and `test_engines_agree` hold the native engine to it.
"""

from __future__ import annotations

import pytest

from depthcache import reference
from depthcache.model import Status
from depthcache.reference.messages import DepthSnapshot
from depthcache.reference.transitions import BY_HAND, TRANSITIONS, Event, follow
from tests.properties.coverage import Border, watched
from tests.properties.schedules import run

SEEDS = range(1, 161)
SEEDS_OF_OPTIONS = range(1, 161)

ON_SPOT = (
    "u < id", "u == id", "U < id < u", "U == id < u", "U == u == id + 1", "U == id + 1 < u", "U == id + 2",
    "U > id + 2",
)  # fmt: skip
ON_FUTURES = ("u < id", "u == id", "pu < U <= id < u", "pu == id", "pu == id + 1", "pu > id + 1")
IN_A_HOLE = "pu < id < U"
"""Only a snapshot has such an id: that of another symbol."""
ALWAYS: frozenset[Border] = frozenset(
    {("contiguous", phase, name) for phase in ("kept", "confirmed") for name in ON_SPOT}
    | {("contiguous", "unconfirmed", name) for name in ON_SPOT if name != "U == id + 2"}
    | {("chained", phase, name) for phase in ("kept", "confirmed") for name in ON_FUTURES}
    | {("chained", "unconfirmed", name) for name in ON_FUTURES if name != "pu == id + 1"}
    | {("chained", "kept", IN_A_HOLE)}
    | {("both", "old", name) for name in ("no base", "E < base + 5 s", "E == base + 5 s", "E > base + 5 s")}
)
"""Borders that a few hundred schedules are sure to visit; others are only counted."""


@pytest.mark.slow
def test_schedules_visit_every_pair_of_the_machine_and_every_border(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with watched() as visits:
        outcomes = [run(seed, reference.Router) for seed in SEEDS]
        outcomes += [run(seed, reference.Router, options=True) for seed in SEEDS_OF_OPTIONS]
    with capsys.disabled():
        print(f"\n{len(outcomes)} schedules visited")
        for (state, event), after in TRANSITIONS.items():
            note = "  (by hand only)" if (state, event) in BY_HAND else ""
            print(f"{visits.pairs[state, event]:9,}  {state:9} {event.name:9} -> {after}{note}")
        for border in sorted(visits.borders | dict.fromkeys(ALWAYS, 0)):
            print(f"{visits.borders[border]:9,}  {', '.join(border)}")
    assert [outcome.wrong for outcome in outcomes if outcome.wrong] == []
    possible = set(TRANSITIONS) - BY_HAND
    assert possible - set(visits.pairs) == set(), "pairs that can be and were not visited"
    assert set(visits.pairs) - possible == set(), "pairs that only a book without a network should meet"
    assert ALWAYS - set(visits.borders) == set(), "borders that were not visited"


def test_books_without_a_network_meet_the_pairs_that_are_left() -> None:
    with watched() as visits:
        for live in (False, True):
            market = reference.market.Market("x", "S", "contiguous")
            for again in (live, True, True, False, False, True):
                market.install(DepthSnapshot(10, (), ()), limit=5, live=again, now_ns=0)
    assert set(visits.pairs) >= BY_HAND


def test_a_pair_that_cannot_be_raises_and_says_which() -> None:
    with pytest.raises(LookupError, match=r"a diff continues the book \(NEXT\) while buffering"):
        follow(Status.BUFFERING, Event.NEXT)


def test_every_state_that_can_follow_is_a_state_that_something_follows() -> None:
    states = {state for state, _ in TRANSITIONS}
    assert set(TRANSITIONS.values()) == states
    assert {event for _, event in TRANSITIONS} == set(Event)
