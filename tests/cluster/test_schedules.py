"""After any schedule of faults: every book is held, no stored change is lost, nothing false is synced."""

from __future__ import annotations

import os

import pytest

from tests.cluster.schedules import CALM_STEPS, Schedule

COUNT = int(os.environ.get("CLUSTER_SCHEDULES", "60"))
FIRST = int(os.environ.get("SCHEDULES_SEED", "1"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_a_schedule_of_faults_ends_whole(seed: int) -> None:
    Schedule(seed).run()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT // 3))
def test_joins_and_leaves_never_leave_a_book_unserved(seed: int) -> None:
    Schedule(seed, weights=CALM_STEPS).run()
