"""After any schedule of faults: every book is held, no stored change is lost, nothing false is synced.

Schedules of joins, leaves, kills, freezes, cuts, full disks and changes run on a virtual clock, each
determined by one number. One in 80 of SCHEDULES (5,000) runs here, SCHEDULES_SEED the first; a third of them
once more without faults, and with nodes that have the secrets of the cluster.
"""

from __future__ import annotations

import os

import pytest

from tests.cluster.schedules import CALM_STEPS, Schedule

COUNT = max(1, int(os.environ.get("SCHEDULES", "5000")) // 80)
FIRST = int(os.environ.get("SCHEDULES_SEED", "1"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_a_schedule_of_faults_ends_whole(seed: int) -> None:
    Schedule(seed).run()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FIRST, FIRST + max(1, COUNT // 3)))
def test_a_schedule_of_nodes_that_register_themselves_ends_whole(seed: int) -> None:
    Schedule(seed, has_secrets=True).run()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FIRST, FIRST + max(1, COUNT // 3)))
def test_joins_and_leaves_never_leave_a_book_unserved(seed: int) -> None:
    Schedule(seed, weights=CALM_STEPS).run()
