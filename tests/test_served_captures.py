"""Real data on real sockets: recordings served as exchanges to the real client.

After the last diff, the client's books must equal the golden books byte for byte.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import Any

import pytest

import depthcache
from depthcache import simulator
from depthcache.recording.digest import sha256_of
from depthcache.recording.origin import venue_of_origin
from tests.captures.directories import Golden, golden, needs_captures

pytestmark = [pytest.mark.captures, pytest.mark.slow, needs_captures]

DEADLINE_S = 120
SHORT = 5_000
"""Recordings of so many diffs are also served with pauses, fifty times as fast as recorded."""


def captures() -> list[Any]:
    found = [(each, math.inf) for each in golden()]
    found += [(each, 50.0) for each in golden() if each.diffs < SHORT]
    return [pytest.param(each, speed, id=f"{each.name} at {speed:g}") for each, speed in found]


@pytest.mark.parametrize("transport", ["native", "aiohttp"])
@pytest.mark.parametrize(("capture", "speed"), captures())
async def test_the_client_ends_with_the_golden_books(capture: Golden, speed: float, transport: str) -> None:
    rows = {row["symbol"]: row for row in capture.rows}
    exchange = venue_of_origin(capture.rows[0]["venue"]).name
    with simulator.serve(files=capture.files, speed=speed) as server:
        settings = replace(server.settings, transport=transport)
        async with (
            asyncio.timeout(DEADLINE_S),
            depthcache.connect(exchange, list(rows), depth=1000, settings=settings) as books,
        ):
            await books.wait_synced(timeout=DEADLINE_S)
            await asyncio.gather(*(until(book, rows[book.symbol]["final_u"]) for book in books))
            for book in books:
                judge(book, rows[book.symbol])


async def until(book: depthcache.LiveBook, update_id: int) -> None:
    """The last diff was applied. The loop turns in between, so this waits for events, not for time."""
    while (book.last_update_id or 0) < update_id:  # noqa: ASYNC110
        await asyncio.sleep(0)


def judge(book: depthcache.LiveBook, row: dict[str, Any]) -> None:
    frozen = book.freeze()
    best = frozen.exact.best.to_dict()
    found = {
        "final_u": frozen.last_update_id,
        "final_bids": len(frozen.bids),
        "final_asks": len(frozen.asks),
        "best_bid": best["bid"],
        "best_ask": best["ask"],
        "sha256_top20": sha256_of(frozen, levels=20),
        "sha256_full": sha256_of(frozen),
        "applied": book.counters["applied"],
        "gaps": book.counters["gaps"],
        "snapshots": book.counters["snapshots"],
        "resets": book.counters["resets"],
    }
    expected = {name: row.get(name) for name in found} | {"snapshots": 1, "resets": 0}
    assert found == expected
