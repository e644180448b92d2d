"""Binance's own procedure (buffer, snapshot, replay) on recorded market data has no gap, on both engines."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from depthcache import Outcome
from depthcache.recording.origin import venue_of_origin
from depthcache.recording.problems import Problems
from depthcache.recording.reading import read
from depthcache.recording.records import Diff, Frame, RecordedSnapshot
from tests.captures.directories import golden, needs_captures
from tests.engine import Engine

pytestmark = [pytest.mark.captures, pytest.mark.slow, needs_captures]

MOST_DIFFS = 400
"""Of each symbol: the backlog and what follows it."""


@cache
def recorded() -> list[tuple[str, RecordedSnapshot, list[tuple[Diff, bytes]]]]:
    """Of every symbol: its first snapshot and its first diffs, those of before the snapshot, too."""
    found: list[tuple[str, RecordedSnapshot, list[tuple[Diff, bytes]]]] = []
    for recording in golden():
        snapshots: dict[str, RecordedSnapshot] = {}
        frames: dict[str, list[tuple[Diff, bytes]]] = {}
        for record in read(recording.files, Problems()):
            if isinstance(record, RecordedSnapshot) and record.symbol:
                snapshots.setdefault(record.symbol, record)
            elif isinstance(record, Frame) and isinstance(record.about, Diff):
                kept = frames.setdefault(record.about.symbol, [])
                if len(kept) < MOST_DIFFS:
                    kept.append((record.about, record.payload))
        found += [(recording.name, each, frames.get(symbol, [])) for symbol, each in snapshots.items()]
    return found


def test_the_snapshot_first_and_then_everything_that_was_kept(engine: Engine) -> None:
    longest_ms = 0
    for name, snapshot, kept in recorded():
        old = [diff.event_time or 0 for diff, _ in kept if diff.final_update_id <= snapshot.last_update_id]
        longest_ms = max([longest_ms, *(time - old[0] for time in old)])
        family = kept[0][0].venue if kept else "spot"
        book: Any = engine.book(venue_of_origin(family).continuity, snapshot.symbol)
        book.load_snapshot(snapshot.body)
        outcomes = [book.apply(frame) for _, frame in kept]
        assert Outcome.GAP not in outcomes, f"{name} {snapshot.symbol}: {book.reason}"
    assert len(recorded()) > 40
    assert longest_ms > 4_500, "the longest backlog, COIN-M in 2021"
