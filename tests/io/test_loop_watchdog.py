"""A blocked loop makes the books that it feeds stale, and no others, until it runs again."""

from __future__ import annotations

import asyncio
import time

import pytest

import depthcache
from depthcache import Settings, simulator

pytestmark = pytest.mark.slow


def stand_still(book: depthcache.LiveBook, *, seconds: float) -> set[tuple[str, str]]:
    """Keep the event loop busy and look at the book meanwhile."""
    seen = set()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        seen.add((str(book.status), book.reason))
    return seen


@pytest.mark.parametrize(("transport", "notices"), [("aiohttp", True), ("native", False)])
async def test_a_loop_that_stands_still_is_noticed_where_it_carries_frames(
    transport: str, notices: bool
) -> None:
    with simulator.serve(seed=3) as server:
        settings = Settings(endpoints=server.settings.endpoints, proxies=False, transport=transport)  # type: ignore[arg-type]
        async with depthcache.connect("binance.com", ["BTCUSDT"], settings=settings) as books:
            await books.wait_synced()
            book = books["BTCUSDT"]
            seen = stand_still(book, seconds=3.0)
            stale = [reason for status, reason in seen if status == "stale"]
            assert bool(stale) is notices
            assert all("is blocked" in reason for reason in stale)
            if notices:
                with pytest.raises(depthcache.BookNotSynced, match="is blocked"):
                    _ = book.best
            async with asyncio.timeout(10):
                while book.status != "synced":  # noqa: ASYNC110 - the book is looked at as a user would
                    await asyncio.sleep(0.01)
            assert simulator.differences(book, server.truth("binance.com", "BTCUSDT")) == 0
