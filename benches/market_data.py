"""The market data of the benchmarks: recorded, else made by the simulator, or recordings of the user's own.

Everything that measures with market data takes it from here, and its section says which data it was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import depthcache
from benches import captures, made
from benches.captures import RECORDINGS, Capture
from depthcache.errors import DepthCacheError
from depthcache.recording.origin import venue_of_origin
from depthcache.recording.problems import Problems
from depthcache.recording.reading import read
from depthcache.recording.records import Diff, Frame, RecordedSnapshot

__all__ = ["FIRST", "RECORDED", "SIMULATED", "UnusableFiles", "load", "own", "source"]

RECORDED = "recorded market data"
SIMULATED = "market data made by the simulator"
FIRST = next(iter(RECORDINGS))
MOST_MARKETS = 4
"""Of the user's own files: those with the most diffs."""
MOST_BEFORE = 1_000
"""Diffs kept ahead of a snapshot."""
FEWEST = 100
"""Diffs below which a time per frame tells nothing."""


class UnusableFiles(Exception):
    """Files that cannot be measured, with the reason."""


def source() -> str:
    """Which market data `load` returns."""
    return RECORDED if captures.available() else SIMULATED


def load(title: str) -> Capture:
    """The recording of that title, or, where the recordings are missing, market data like it."""
    return captures.load(title) if captures.available() else made.load(title)


def shortened(capture: Capture, diffs: int) -> Capture:
    """The first diffs of market data; its expected result no longer applies."""
    return captures.shortened(capture, diffs)


def own(paths: Sequence[str | PathLike[str]]) -> tuple[list[Capture], list[str]]:
    """The markets of the user's recordings, those with the most diffs first; and what was left out, in words.

    A market begins with its first snapshot and ends at its first gap. Raises UnusableFiles.
    """
    markets: dict[tuple[str, str], _Market] = {}
    problems = Problems()
    try:
        for record in read(paths, problems):
            if isinstance(record, RecordedSnapshot) and record.symbol is not None:
                _market(markets, record.venue, record.symbol).on_snapshot(record)
            elif isinstance(record, Frame) and isinstance(record.about, Diff):
                origin = record.venue or record.about.venue
                _market(markets, origin, record.about.symbol).on_diff(record, record.about)
    except (DepthCacheError, OSError) as error:
        raise UnusableFiles(str(error)) from error
    left_out = [f"{problems.total} lines could not be used"] if problems.total else []
    left_out += [f"{each.title}: {why}" for each in markets.values() if (why := each.why_unusable())]
    usable = [each for each in markets.values() if not each.why_unusable()]
    usable.sort(key=lambda each: -len(each.after))
    left_out += [
        f"{each.title}: only the {MOST_MARKETS} markets with the most diffs are measured"
        for each in usable[MOST_MARKETS:]
    ]
    found = []
    for each in usable[:MOST_MARKETS]:
        try:
            found.append(each.capture())
        except ValueError as error:
            left_out.append(f"{each.title}: {error}")
    if not found:
        names = ", ".join(str(path) for path in paths)
        why = "; ".join(left_out) or "they hold neither snapshots nor diffs"
        raise UnusableFiles(f"no market of {names} can be measured: {why}")
    return found, left_out


def _market(markets: dict[tuple[str, str], _Market], origin: str | None, symbol: str) -> _Market:
    key = (origin or "spot", symbol)
    if key not in markets:
        markets[key] = _Market(venue_of_origin(key[0]).name, symbol)
    return markets[key]


@dataclass(slots=True)
class _Market:
    """One symbol of the user's recordings, as it is read."""

    exchange: str
    symbol: str
    before: deque[bytes] = field(default_factory=lambda: deque(maxlen=MOST_BEFORE))
    after: list[bytes] = field(default_factory=list)
    snapshot: RecordedSnapshot | None = None
    book: depthcache.Book | None = None
    ended: bool = False

    @property
    def title(self) -> str:
        """As the rows call it."""
        return f"{self.symbol} ({self.exchange})"

    def on_snapshot(self, snapshot: RecordedSnapshot) -> None:
        """The first one counts."""
        if self.snapshot is None:
            self.snapshot = snapshot
            self.book = depthcache.Book(self.exchange, self.symbol)
            for frame in self.before:
                self.book.apply(frame)
            self.book.load_snapshot(snapshot.body, limit=snapshot.limit)

    def on_diff(self, record: Frame, about: Diff) -> None:
        """Kept until the first gap, without duplicates, in the combined form, which other clients read.

        A diff that bridges the snapshot counts as received before it: python-binance takes none afterwards.
        """
        frame = record.payload
        if b'"stream"' not in frame[:40]:
            stream = record.stream or f"{self.symbol.lower()}@depth"
            frame = b'{"stream":"%s","data":%s}' % (stream.encode(), frame)
        if self.book is None or self.snapshot is None:
            self.before.append(frame)
        elif not self.ended:
            outcome = self.book.apply(frame)
            self.ended = outcome is depthcache.GAP
            if outcome is depthcache.APPLIED:
                bridges = about.first_update_id <= self.snapshot.last_update_id
                (self.before if bridges else self.after).append(frame)

    def why_unusable(self) -> str:
        """Why it cannot be measured; empty where it can."""
        if self.snapshot is None or self.book is None:
            return "no snapshot"
        if len(self.after) < FEWEST:
            until = " before its first gap" if self.ended else ""
            return f"{len(self.after)} diffs after its snapshot{until}, {FEWEST} are needed"
        if not self.ended and self.book.status != "synced":
            return f"its book is {self.book.status} in the end"
        return ""

    def capture(self) -> Capture:
        """In the form of the recordings."""
        assert self.snapshot is not None
        return captures.expected(
            self.title,
            self.exchange,
            self.symbol,
            snapshot=self.snapshot.body,
            before=list(self.before),
            after=self.after,
            limit=self.snapshot.limit,
        )


def names(paths: Sequence[str]) -> str:
    """The recordings of the user, as a section tells them."""
    return f"recordings: {', '.join(Path(path).name for path in paths)}"
