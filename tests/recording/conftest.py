"""Books of both engines for the replaying tests."""

from __future__ import annotations

import sys

import pytest

sys.path.insert(0, "/tmp")


@pytest.fixture
def new_book():
    from scratch_engine import B

    return B
