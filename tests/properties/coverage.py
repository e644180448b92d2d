"""The coverage of schedules: pairs of state and event of the market machine, and boundaries of ids.

It observes the reference engine, which follows its transition table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from depthcache.model import SnapshotOutcome, Status
from depthcache.reference import market, refresh
from depthcache.reference.messages import DepthUpdate
from depthcache.reference.sequence import RESET_AFTER_US, SequenceCheck, check_sequence, looks_reset
from depthcache.reference.transitions import Event, follow

__all__ = ["Visits", "watched"]

Pair = tuple[Status, Event]
Border = tuple[str, str, str]
"""Continuity, when it was judged, and where the ids were."""


class Visits:
    """What was visited, and how often."""

    def __init__(self) -> None:
        self.pairs: Counter[Pair] = Counter()
        self.borders: Counter[Border] = Counter()
        self.phase = "live"


@contextmanager
def watched() -> Iterator[Visits]:
    """Everything that readable markets do meanwhile."""
    visits = Visits()
    install = market.Market.install

    def following(state: Status, event: Event) -> Status:
        visits.pairs[state, event] += 1
        return follow(state, event)

    def judging(continuity: Any, held_id: int, update: DepthUpdate, *, has_diff: bool) -> SequenceCheck:
        phase = visits.phase if visits.phase != "live" else "confirmed" if has_diff else "unconfirmed"
        visits.borders[continuity, phase, where(continuity, held_id, update)] += 1
        return check_sequence(continuity, held_id, update, has_diff=has_diff)

    def rolling(continuity: Any, held_id: int, update: DepthUpdate, *, has_diff: bool) -> SequenceCheck:
        phase = "rolled, confirmed" if has_diff else "rolled"
        visits.borders[continuity, phase, where(continuity, held_id, update)] += 1
        return check_sequence(continuity, held_id, update, has_diff=has_diff)

    def resetting(update: DepthUpdate, base_time_us: int | None) -> bool:
        visits.borders["both", "old", since(update, base_time_us)] += 1
        return looks_reset(update, base_time_us)

    def installing(self: market.Market, snapshot: Any, **options: Any) -> SnapshotOutcome:
        visits.phase = "kept"
        try:
            return install(self, snapshot, **options)
        finally:
            visits.phase = "live"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(market, "follow", following)
        patch.setattr(market, "check_sequence", judging)
        patch.setattr(market, "looks_reset", resetting)
        patch.setattr(refresh, "check_sequence", rolling)
        patch.setattr(market.Market, "install", installing)
        yield visits


def where(continuity: str, held_id: int, update: DepthUpdate) -> str:
    """Where the ids of an update are, seen from the id that is held."""
    first, last, before = update.first_update_id, update.final_update_id, update.previous_final_update_id
    if last < held_id:
        return "u < id"
    if last == held_id:
        return "u == id"
    if continuity == "contiguous":
        if first == held_id + 1:
            return "U == u == id + 1" if last == first else "U == id + 1 < u"
        names = {held_id: "U == id < u", held_id + 2: "U == id + 2"}
        return names.get(first, "U < id < u" if first < held_id else "U > id + 2")
    assert before is not None
    if before == held_id:
        return "pu == id"
    if before > held_id:
        return "pu == id + 1" if before == held_id + 1 else "pu > id + 1"
    return "pu < U <= id < u" if first <= held_id else "pu < id < U"


def since(update: DepthUpdate, base_time_us: int | None) -> str:
    """How much later than the base an old update is."""
    if base_time_us is None:
        return "no base"
    later_us = update.event_time_us - base_time_us - RESET_AFTER_US
    return "E == base + 5 s" if not later_us else "E > base + 5 s" if later_us > 0 else "E < base + 5 s"
