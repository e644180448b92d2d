"""A remote book equals the truth whenever it says synced, and never says so while no server's book is synced.

Schedules of faults upstream of the servers, between them and their reader, and both, on a virtual clock,
each determined by one number. One in 250 of SCHEDULES (5,000) runs here; one in ten of them also on
the reference engine.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from depthcache import reference
from depthcache._native import Router
from depthcache.model import Status
from tests.properties.remote_schedules import run
from tests.support.relayed import Server

SCHEDULES = max(1, int(os.environ.get("SCHEDULES", "5000")) // 250)
FIRST_SEED = int(os.environ.get("SCHEDULES_SEED", "1"))
BATCH = 10
ON_REFERENCE_EVERY = 10


@pytest.mark.slow
@pytest.mark.parametrize("first", range(FIRST_SEED, FIRST_SEED + SCHEDULES, BATCH))
def test_remote_books_are_true_and_lost_ones_come_back(first: int) -> None:
    last = min(first + BATCH, FIRST_SEED + SCHEDULES)
    checks = 0
    for seed in range(first, last):
        engines: list[Any] = [Router, reference.Router][: 2 if seed % ON_REFERENCE_EVERY == 0 else 1]
        for engine in engines:
            outcome = run(seed, engine)
            assert outcome.wrong is None, f"seed {seed} on {engine}: {outcome.wrong}"
            checks += outcome.checks
    assert checks > 10 * (last - first)


def test_the_same_seed_does_the_same_on_both_engines() -> None:
    assert run(4) == run(4, reference.Router)


def test_a_state_that_does_not_travel_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    say = Server._say

    def say_only_good_news(self: Server, book: Any, readers: Any) -> None:
        if book.market.status()[0] is Status.SYNCED:
            say(self, book, readers)

    monkeypatch.setattr(Server, "_say", say_only_good_news)
    assert any("synced while its servers say" in (run(seed).wrong or "") for seed in range(1, 12))
