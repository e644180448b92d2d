"""A short run of the soak of the book server (`make soak`), and what it would notice."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from benches import server_soak
from benches.server_soak import Mirror, Usage, leaks
from depthcache import simulator

SEED = 1


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="it reads /proc")
def test_clients_that_break_off_leave_nothing_behind() -> None:
    with simulator.serve(seed=SEED) as exchange:
        assert server_soak.break_off(dict(exchange.environment), connects=100, seed=SEED) == []


@pytest.mark.slow
def test_readers_go_on_with_the_right_books_after_kill_9() -> None:
    with simulator.serve(seed=SEED) as exchange:
        environment = dict(exchange.environment)
        assert asyncio.run(server_soak.survive(exchange, environment, kills=1)) == []


def test_what_is_left_behind_is_told() -> None:
    warm = Usage(files=20, threads=6, bytes=50 << 20)
    assert leaks(warm, Usage(files=22, threads=6, bytes=55 << 20)) == []
    found = leaks(warm, Usage(files=23, threads=7, bytes=60 << 20))
    assert found == [
        "3 descriptors are left behind",
        "1 threads are left behind",
        "memory grew by 10.0 MiB",
    ]


class OneBid:
    """A market that always has this book."""

    def book_at(self, update_id: int) -> tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
        return [(Decimal("9.0"), Decimal(update_id))], []


def test_a_follower_with_a_wrong_book_is_noticed() -> None:
    mirror = Mirror("BTCUSDT")
    mirror.apply({"type": "snapshot", "id": 1, "status": "synced", "bids": [[9.0, 1.0]], "asks": []})
    assert mirror.wrong(OneBid()) == 0
    mirror.apply({"type": "update", "id": 2, "previous": 1, "bids": [], "asks": [[10.0, 1.0]]})
    assert mirror.wrong(OneBid()) == 2
    with pytest.raises(AssertionError, match="3 follows 2"):
        mirror.apply({"type": "update", "id": 4, "previous": 3, "bids": [], "asks": []})
    with pytest.raises(KeyError):
        mirror.apply({"type": "update", "id": 3, "previous": 2, "bids": [[8.0, 0.0]], "asks": []})
