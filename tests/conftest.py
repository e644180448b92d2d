"""What all tests share: the two engines, how hard Hypothesis tries, what the run says at its head."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests import engine as engines

settings.register_profile("quick", deadline=None, max_examples=60, print_blob=True)
settings.register_profile(
    "soak", deadline=None, max_examples=5_000, print_blob=True, suppress_health_check=list(HealthCheck)
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_report_header() -> str:
    """Which schedules the property tests run."""
    count, first = int(os.environ.get("SCHEDULES", "2000")), int(os.environ.get("SCHEDULES_SEED", "1"))
    return f"schedules of faults: {count:,}, seeds {first} to {first + count - 1} (SCHEDULES, SCHEDULES_SEED)"


@pytest.fixture(params=engines.NAMES)
def engine(request: Any) -> engines.Engine:
    """Each engine in turn."""
    return engines.load(request.param)
