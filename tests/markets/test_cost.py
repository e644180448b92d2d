"""The cost of a frame, counted and not timed: one native call, and no Python."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from depthcache._native import Router
from tests.engine import encode, payload, snapshot

BOOKS, ROUNDS = 500, 4


def test_a_frame_of_any_of_500_books_costs_one_native_call_and_no_python() -> None:
    router = Router()
    router.open_connection(1)
    for number in range(BOOKS):
        router.add_market(number, "binance.com", f"S{number}USDT", "contiguous")
        router.route(1, f"s{number}usdt@depth@100ms", number)
        router.install_snapshot(number, snapshot(10), limit=100, live=True, now_ns=0)
    frames = [
        encode(
            {
                "stream": f"s{number}usdt@depth@100ms",
                "data": payload(10 + turn, 10 + turn, [("98", str(turn))]) | {"s": f"S{number}USDT"},
            }
        )
        for turn in range(1, ROUNDS + 1)
        for number in range(BOOKS)
    ]
    for frame in frames[:BOOKS]:
        router.feed(1, frame, 1)
    router.take_events()
    steady, feed = frames[BOOKS:], router.feed
    seen: dict[str, int] = {}
    told = 0

    def count(_frame: FrameType, event: str, _arg: Any) -> None:
        seen[event] = seen.get(event, 0) + 1

    sys.setprofile(count)
    try:
        for frame in steady:
            told += feed(1, frame, 2)
    finally:
        sys.setprofile(None)
    # The end of the profile is one native call more.
    assert seen == {"c_call": len(steady) + 1, "c_return": len(steady)}
    assert told == 0
    assert all(router.reader(number).last_update_id == 10 + ROUNDS for number in range(BOOKS))
