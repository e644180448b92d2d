"""Every test of this folder runs on each transport that opens real sockets."""

from __future__ import annotations

from functools import partial

import pytest

from tests.support.peers import NETWORKS, Listening, listening


@pytest.fixture(params=NETWORKS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(name="listening")
def _listening(transport: str) -> Listening:
    return partial(listening, transport)
