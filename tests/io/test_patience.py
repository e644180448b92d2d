"""How long a peer has for a pong; the native transport has the same test."""

from __future__ import annotations

import pytest

from depthcache.io.network.websocket import patience_s


@pytest.mark.parametrize(
    ("given_s", "took_s", "expected_s"), [(0.7, 0.01, 0.7), (0.7, 1.8, 3.6), (0.7, 60, 5), (8, 60, 8)]
)
def test_a_far_peer_has_more_time_for_a_pong(given_s: float, took_s: float, expected_s: float) -> None:
    assert patience_s(given_s, took_s) == expected_s
