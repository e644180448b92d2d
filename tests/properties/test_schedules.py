"""A synced book equals the truth inside its complete range, and every book recovers.

Thousands of schedules of faults run on a virtual clock, each determined by one number. SCHEDULES sets their
number (5,000), SCHEDULES_SEED the first one. One in forty also runs on the reference engine.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from time import perf_counter
from typing import Any

import pytest

from depthcache import reference
from depthcache._native import Router
from depthcache.reference import market as reference_market
from depthcache.reference.book import BookSide
from depthcache.reference.sequence import SequenceCheck, check_sequence
from tests.properties.schedules import run

SCHEDULES = int(os.environ.get("SCHEDULES", "5000"))
FIRST_SEED = int(os.environ.get("SCHEDULES_SEED", "1"))
BATCH = 50
ON_REFERENCE_EVERY = 40


@pytest.mark.slow
@pytest.mark.parametrize("first", range(FIRST_SEED, FIRST_SEED + SCHEDULES, BATCH))
def test_synced_books_are_true_and_lost_ones_come_back(first: int) -> None:
    last = min(first + BATCH, FIRST_SEED + SCHEDULES)
    print(f"schedules {first} to {last - 1}")
    checks = gaps = 0
    begun = perf_counter()
    for seed in range(first, last):
        engines: dict[str, Any] = {"native": Router}
        if seed % ON_REFERENCE_EVERY == 0:
            engines["reference"] = reference.Router
        for engine, router in engines.items():
            outcome = run(seed, router)
            again = f"SCHEDULES=1 SCHEDULES_SEED={seed} pytest -m slow tests/properties/test_schedules.py"
            assert outcome.wrong is None, (
                f"seed {seed} on the {engine} engine: {outcome.wrong}\nagain: {again}"
            )
            checks += outcome.checks
            gaps += outcome.gaps
    per_minute = 60 * (last - first) / (perf_counter() - begun)
    print(f"{checks} books compared, {gaps} gaps healed, {per_minute:,.0f} schedules a minute")
    assert checks > 20 * (last - first)


def test_a_few_schedules() -> None:
    outcomes = [run(seed) for seed in range(3)]
    assert [outcome.wrong for outcome in outcomes] == [None] * 3


def test_the_same_seed_does_the_same_on_both_engines() -> None:
    assert run(4) == run(4, reference.Router)


# --- planted bugs: each must be seen by the same check ------------------------------------------------


def ignores_gaps(*args: Any, **kwargs: Any) -> SequenceCheck:
    verdict = check_sequence(*args, **kwargs)
    return SequenceCheck.NEXT if verdict is SequenceCheck.GAP else verdict


def allows_one_lost_id(continuity: Any, held_id: int, update: Any, *, has_diff: bool) -> SequenceCheck:
    verdict = check_sequence(continuity, held_id, update, has_diff=has_diff)
    if verdict is SequenceCheck.GAP and continuity == "contiguous" and update.first_update_id <= held_id + 8:
        return SequenceCheck.NEXT
    return verdict


def applies_old_ones(*args: Any, **kwargs: Any) -> SequenceCheck:
    verdict = check_sequence(*args, **kwargs)
    return SequenceCheck.NEXT if verdict is SequenceCheck.OLD else verdict


def forgets_deletes(side: BookSide, levels: Any, apply: Callable[..., int] = BookSide.apply) -> int:
    return apply(side, [level for level in levels if level[1].value])


def claims_whole_sides(
    side: BookSide, levels: Any, _limit: int | None, install: Callable[..., None] = BookSide.install
) -> None:
    install(side, levels, 10**9)


@pytest.mark.parametrize(
    ("place", "name", "bug"),
    [
        (reference_market, "check_sequence", ignores_gaps),
        (reference_market, "check_sequence", allows_one_lost_id),
        (reference_market, "check_sequence", applies_old_ones),
        (BookSide, "apply", forgets_deletes),
        (BookSide, "install", claims_whole_sides),
    ],
)
def test_planted_bugs_are_found(place: Any, name: str, bug: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, name, bug)
    assert any(run(seed, reference.Router).wrong for seed in range(1, 40))
