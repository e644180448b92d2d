"""Replay recordings through the client's own book and report whether it comes out right.

Every diff of a symbol goes to one `Book`. The first snapshot is loaded at its position in the recording, and
the book buffers, bridges, skips and detects gaps as it does in a live client. After each applied diff, its
best prices are compared with the exchange's bookTicker (`oracle`). After a gap, the book waits for a later
snapshot of the recording, and further gaps in the ids are counted. Without a snapshot only the ids can be
checked (`Row.checked`).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import msgspec

from depthcache.errors import (
    BookNotSynced,
    DepthCacheError,
    MalformedFrame,
    MalformedSnapshot,
    SymbolMismatch,
)
from depthcache.model import Best, Outcome, SnapshotOutcome
from depthcache.recording.digest import sha256_of
from depthcache.recording.formats import RECORDING_ENDED
from depthcache.recording.oracle import Oracle
from depthcache.recording.origin import LIKE_SPOT, origin_of_exchange, venue_of_origin
from depthcache.recording.problems import Problems
from depthcache.recording.progress import OnProgress
from depthcache.recording.reading import as_paths, read
from depthcache.recording.records import Break, Diff, Frame, HeldBook, Record, RecordedSnapshot, Ticker

__all__ = ["NewBook", "Report", "Row", "verify"]

MOST_DIFFERENT = 0.05
"""Share of all comparisons that may differ: the exchange's own messages disagree briefly now and then (14 of
174,742 in recordings of 2021 to 2024)."""
_FIRST_MICROSECONDS = 10**14
MOST_DIFFERENT_OF_ONE_BOOK = 0.10
"""The same share for a single book, whose recording may be short (9 of 171, COIN-M BTCUSD_210924, 2021)."""


_TROUBLE = (DepthCacheError, ValueError, ArithmeticError, msgspec.MsgspecError)


class ReplayBook(Protocol):
    """The part of `depthcache.Book` that a replay uses; the book of the reference engine has it as well."""

    @property
    def last_update_id(self) -> int | None: ...
    @property
    def counters(self) -> dict[str, int]: ...
    @property
    def exact(self) -> Any: ...
    def load_snapshot(
        self, body: bytes, *, limit: int | None = None, latest_us: int | None = None
    ) -> SnapshotOutcome:
        """Load a snapshot."""
        ...

    def freeze(self, levels: int | None = None, *, on_stale: Any = None) -> Any:
        """A constant copy of the book; `on_stale="serve"` returns the last known one."""
        ...

    def apply(self, frame: bytes) -> Outcome:
        """Apply a frame."""
        ...


NewBook = Callable[..., ReplayBook]
"""Makes a book: `new_book(exchange, symbol=…)`."""


@dataclass(slots=True)
class Row:
    """The outcome for one symbol. Without a snapshot, only `diffs_total` and `gaps` are set.

    Attributes:
        venue, symbol: the market; the venue is its origin: spot, usdm, coinm, options, us, tr, or an
            exchange name.
        snapshot_lastUpdateId: update id of the first snapshot.
        snapshot_bids, snapshot_asks: number of its levels.
        diffs_total: number of recorded diffs.
        stale_dropped: old diffs, at or before the update id of the book; normal after a snapshot.
        applied: diffs that were applied to the book.
        gaps: sequence gaps in the ids of the diffs.
        final_u: update id of the final book.
        final_bids, final_asks: number of its levels.
        best_bid, best_ask: [price, quantity] of the final book, as strings.
        sha256_full, sha256_top20: digests of all its levels and of the best 20 a side, to compare runs.
        oracle_equal, oracle_different: how often the best prices equalled, or differed from, those of the
            bookTicker at the same update id.
    """

    venue: str
    symbol: str
    snapshot_lastUpdateId: int | None = None  # noqa: N815 - the exchange's word
    snapshot_bids: int | None = None
    snapshot_asks: int | None = None
    diffs_total: int = 0
    stale_dropped: int | None = None
    applied: int | None = None
    final_u: int | None = None
    final_bids: int | None = None
    final_asks: int | None = None
    best_bid: list[str] | None = None
    best_ask: list[str] | None = None
    sha256_full: str | None = None
    sha256_top20: str | None = None
    gaps: int | None = None
    oracle_equal: int | None = None
    oracle_different: int | None = None

    @property
    def name(self) -> str:
        """The market as messages name it, such as `BTCUSDT (spot)`."""
        return f"{self.symbol} ({self.venue})"

    @property
    def checked(self) -> tuple[str, ...]:
        """What the diffs were checked against: `snapshot`, `bookTicker`, `ids`; empty if nothing.

        `snapshot`: the diffs were applied to a recorded snapshot. `bookTicker`: its best prices were
        compared. `ids` alone: there is no snapshot, and only the sequence of the update ids was checked.
        """
        if self.snapshot_lastUpdateId is None:
            return ("ids",) if self.diffs_total > 1 else ()
        if not self.applied:
            return ()
        judged = (self.oracle_equal or 0) + (self.oracle_different or 0)
        return ("snapshot", "bookTicker") if judged else ("snapshot",)

    def as_dict(self) -> dict[str, Any]:
        """The row as a dictionary for JSON."""
        return asdict(self)


@dataclass(slots=True)
class Report:
    """The outcome of all symbols, and the lines that could not be used."""

    rows: list[Row]
    problems: Problems
    breaks: int = 0
    """Interruptions that the recording itself notes, such as reconnects and overflows."""
    lost: int = 0
    """Lines that the recorder could not write, because the disk was full or too slow."""
    faults: list[str] = field(default_factory=list)
    """Everything that is wrong, one sentence each; empty if every book came out right."""

    @property
    def right(self) -> bool:
        """Whether there are no faults: no gap, no line unused or lost, and few enough differences.

        `Row.checked` tells how much that proves.
        """
        return not self.faults


def verify(
    paths: Sequence[str | PathLike[str]] | str | PathLike[str],
    *,
    exchange: str | None = None,
    new_book: NewBook | None = None,
    on_progress: OnProgress | None = None,
) -> Report:
    """Replay recordings and report on every symbol that has diffs or a snapshot.

    Args:
        paths: one file or several; several are merged by their receive times.
        exchange: the exchange of the recording (an exchange name or spot, usdm, coinm, us, tr); None takes
            it from the recorded hosts, or else from the payloads.
        new_book: makes the books; None takes `depthcache.Book`.
        on_progress: called with a `Progress` after every piece of a file.

    Raises UnreadableRecording and UnknownExchange.
    """
    origin = None if exchange is None else origin_of_exchange(exchange)
    make = new_book or _public_book()
    files = as_paths(paths)
    report = _verify(files, origin, {}, make, on_progress)
    moved = {} if origin else _named_elsewhere(report.rows)
    return _verify(files, origin, moved, make, on_progress) if moved else report


def _verify(
    paths: Sequence[str | PathLike[str]],
    origin: str | None,
    moved: Mapping[tuple[str, str], str],
    make: NewBook,
    on_progress: OnProgress | None,
) -> Report:
    """`moved`: the origin of markets whose payloads suggest a different one."""
    problems = Problems()
    replays: dict[tuple[str, str], _Replay] = {}
    losses: list[Break] = []
    breaks = 0
    pending: list[list[_Replay] | None] = []
    for record in read(paths, problems, on_progress=on_progress):
        if isinstance(record, Break):
            hit = [each for each in replays.values() if each.is_hit(record)]
            for each in hit:
                each.on_break()
            if record.connection is None:
                breaks += 1
            elif hit:
                # The end of one file among others interrupts only the symbols that another file continues.
                pending.append(hit if record.reason is RECORDING_ENDED else None)
            losses += [record] if record.lost else []
            continue
        symbol = _symbol(record)
        if symbol is None:
            continue
        told = record.venue or "spot"
        key = (origin or moved.get((told, symbol), told), symbol)
        try:
            replay = replays.get(key) or replays.setdefault(key, _Replay(*key, make, problems))
            if pending:
                breaks += len(pending)
                pending = [each for each in pending if each is not None and replay not in each]
                breaks -= len(pending)
            replay.on(record)
        except _TROUBLE as error:  # one bad symbol or line must not end the replay of the others
            problems.add(record.position, str(error))
    return _report([replays[key] for key in sorted(replays)], problems, breaks, losses)


def _public_book() -> NewBook:
    from depthcache import Book  # deferred: other uses of this file need no native module

    return Book


def _symbol(record: Record) -> str | None:
    if isinstance(record, Frame):
        return None if record.about is None else record.about.symbol
    return record.symbol if isinstance(record, RecordedSnapshot | HeldBook) else None


def _report(
    replays: Sequence[_Replay], problems: Problems, breaks: int, losses: Sequence[Break] = ()
) -> Report:
    told: dict[object, int] = {}
    for number, loss in enumerate(losses):
        key = (number,) if loss.lost_from_ns is None else loss.lost_from_ns
        told[key] = max(told.get(key, 0), loss.lost)
    lost = sum(told.values())
    rows = [replay.finish() for replay in replays if replay.has_book]
    report = Report(rows, problems, breaks, lost)
    if losses:
        first = losses[0]
        report.faults.append(
            f"{lost:,} lines were lost while recording, first at {first.position} ({first.reason})"
        )
    for replay in replays:
        report.faults += replay.unlike
        if replay.is_broken:
            report.faults.append(f"{replay.name} ends out of sync: no snapshot after the last interruption")
    equal = sum(row.oracle_equal or 0 for row in report.rows)
    different = sum(row.oracle_different or 0 for row in report.rows)
    for row in report.rows:
        name = row.name
        if row.gaps:
            where = " in its ids" if row.snapshot_lastUpdateId is None else ""
            report.faults.append(f"{name} has {row.gaps:,} gap{'s' if row.gaps > 1 else ''}{where}")
        elif row.snapshot_lastUpdateId is not None and row.sha256_full is None:
            report.faults.append(f"{name} ends crossed: best bid and best ask overlap")
        judged = (row.oracle_equal or 0) + (row.oracle_different or 0)
        if row.oracle_different and row.oracle_different > MOST_DIFFERENT_OF_ONE_BOOK * judged:
            report.faults.append(
                f"{name} differs from bookTicker after {row.oracle_different:,} of {judged:,} updates"
            )
    report.faults += _unmatched(report.rows)
    if different > MOST_DIFFERENT * (equal + different):
        report.faults.append(f"{different:,} of {equal + different:,} comparisons with bookTicker differ")
    if problems.total:
        report.faults.append(f"{problems.total:,} line{'s' if problems.total > 1 else ''} could not be used")
    return report


def _named_elsewhere(rows: Sequence[Row]) -> dict[tuple[str, str], str]:
    """Markets whose diffs look like spot, but whose snapshot came from a URL of Binance.US or TR."""
    alone = {
        row.symbol: row.venue for row in rows if row.snapshot_lastUpdateId is not None and not row.diffs_total
    }
    return {
        (row.venue, row.symbol): alone[row.symbol]
        for row in rows
        if row.venue == "spot" and row.snapshot_lastUpdateId is None and alone.get(row.symbol) in LIKE_SPOT
    }


def _unmatched(rows: Sequence[Row]) -> list[str]:
    """Faults for symbols that have a snapshot on one venue and diffs on another."""
    alone = {row.symbol: row for row in rows if row.snapshot_lastUpdateId is not None and not row.diffs_total}
    return [
        f"{alone[row.symbol].name} has a snapshot but no updates, {row.name} has updates but no snapshot: "
        "name their exchange (--exchange, or exchange=)"
        for row in rows
        if row.snapshot_lastUpdateId is None and row.diffs_total and row.symbol in alone
    ]


class _Replay:
    """One symbol: its book, its oracle and its counters. Call `on` for every record, then `finish`."""

    def __init__(self, origin: str, symbol: str, new_book: NewBook, problems: Problems) -> None:
        self._venue = venue_of_origin(origin)
        self._new_book, self._problems = new_book, problems
        self._row = Row(origin, symbol)
        self._book = self._fresh_book()
        self._oracle = Oracle()
        self._applied = self._stale = self._gaps = 0
        self._waiting = True
        """No snapshot yet, or a gap since the last one: the book buffers the diffs."""
        self._kept: list[tuple[Diff, bytes]] = []
        """The diffs that the book buffers, for the comparison one by one after the snapshot."""
        self._let_go = array("q")
        """Final ids of the diffs that the book dropped because its buffer was full."""
        self._buffers_dropped = 0
        self.connection: int | None = None
        """The connection of the newest diff."""
        self._broken = False
        """The recording was interrupted since the last applied diff: missing ids are no fault."""
        self.unlike: list[str] = []
        """Faults: the recorded book of the client differs from the replayed one."""
        self._ahead_ns = 0
        """How far event times were ahead of the recorder's clock: it is behind by at least that."""
        self._last: Diff | None = None
        """The newest diff since the gap, to detect further gaps."""
        self._chain: Diff | None = None
        """The newest diff before the first snapshot, to check the sequence of ids until then."""
        self._holes = array("q")
        """Final ids of the diffs in that sequence that do not follow their predecessor."""
        self._file: Path | None = None
        """The file of that connection: every file numbers its connections from the start."""

    @property
    def has_book(self) -> bool:
        """Whether there is anything besides tickers."""
        return self._row.diffs_total > 0 or self._row.snapshot_lastUpdateId is not None

    @property
    def is_broken(self) -> bool:
        """Whether an interruption that the recording notes was never bridged."""
        return self._broken and self._waiting and self._row.snapshot_lastUpdateId is not None

    @property
    def name(self) -> str:
        """The market as messages name it."""
        return self._row.name

    def is_hit(self, broken: Break) -> bool:
        """Whether this interruption may have lost frames of this symbol."""
        if broken.connection is None:
            return True
        return (broken.connection, broken.position.file) == (self.connection, self._file)

    def on(self, record: Record) -> None:
        """Replay the next record of this symbol."""
        if isinstance(record, RecordedSnapshot):
            self._on_snapshot(record)
        elif isinstance(record, HeldBook):
            self._on_held(record)
        elif isinstance(record, Frame):
            if isinstance(record.about, Ticker):
                self._oracle.on_ticker(record.about)
            elif record.about is not None:
                self._on_diff(record, record.about)

    def on_break(self) -> None:
        """The recording notes an interruption: ids that are missing from here on are no gap."""
        self._broken, self._last, self._chain = True, None, None

    def _on_held(self, held: HeldBook) -> None:
        book = self._book
        if held.last_update_id is None or book.last_update_id != held.last_update_id or _best(book) is None:
            return  # a crossed book is reported as its own fault
        exact = book.freeze(on_stale="serve").exact
        for name, own, theirs in (("bids", exact.bids, held.bids), ("asks", exact.asks, held.asks)):
            made = {(Decimal(price), Decimal(quantity)) for price, quantity in own[:]}
            kept = {(Decimal(price), Decimal(quantity)) for price, quantity in theirs}
            if made != kept:
                self.unlike.append(
                    f"{self.name} at update id {held.last_update_id}: the replayed book "
                    f"and the recorded one differ in {len(made ^ kept):,} {name}"
                )

    def _on_diff(self, frame: Frame, diff: Diff) -> None:
        self.connection, self._file = frame.connection, frame.position.file
        self._compare_clocks(frame, diff)
        try:
            outcome = self._book.apply(frame.payload)
        except MalformedFrame as error:
            self._problems.add(frame.position, str(error))
            return
        self._row.diffs_total += 1
        if self._row.snapshot_lastUpdateId is None:
            self._follow_chain(diff)
        if self._waiting:
            self._keep(diff, frame.payload)
        elif outcome is Outcome.GAP:
            self._gaps += not self._broken
            self._waiting, self._last = True, None
            self._keep(diff, frame.payload)
        else:
            self._broken = self._broken and outcome is not Outcome.APPLIED
            self._count(self._book, outcome, diff)

    def _follow_chain(self, diff: Diff) -> None:
        last = self._chain
        began_anew = last is not None and _is_reset(last, diff)
        if last is not None and (began_anew or self._hole(last, diff)):
            self._holes.append(diff.final_update_id)
        if last is None or began_anew or diff.final_update_id > last.final_update_id:
            self._chain = diff

    def _keep(self, diff: Diff, payload: bytes) -> None:
        if self._row.snapshot_lastUpdateId is not None:
            self._gaps += self._last is not None and self._hole(self._last, diff)
            if self._last is None or diff.final_update_id > self._last.final_update_id:
                self._last = diff
        if self._book.counters["dropped_buffers"] > self._buffers_dropped:
            self._buffers_dropped = self._book.counters["dropped_buffers"]
            self._let_go.extend(kept.final_update_id for kept, _ in self._kept)
            self._kept.clear()
        self._kept.append((diff, payload))

    def _on_snapshot(self, snapshot: RecordedSnapshot) -> None:
        first = self._row.snapshot_lastUpdateId is None
        if self._broken and not self._waiting and snapshot.last_update_id >= (self._book.last_update_id or 0):
            self._book, self._waiting = self._fresh_book(), True
        if not self._waiting:
            return
        try:
            outcome = self._load(self._book, snapshot)
        except (MalformedSnapshot, SymbolMismatch) as error:
            self._problems.add(snapshot.position, str(error))
            return
        if first:
            self._note(snapshot)
        if outcome is SnapshotOutcome.TOO_OLD:
            self._gaps += first
            return
        self._step_through(snapshot)

    def _load(self, book: ReplayBook, snapshot: RecordedSnapshot) -> SnapshotOutcome:
        """Load a snapshot with its receive time. Raises MalformedSnapshot and SymbolMismatch."""
        latest_us = None if snapshot.time_ns is None else (snapshot.time_ns + self._ahead_ns) // 1_000
        return book.load_snapshot(snapshot.body, limit=snapshot.limit, latest_us=latest_us)

    def _compare_clocks(self, frame: Frame, diff: Diff) -> None:
        if frame.time_ns is not None and diff.event_time is not None:
            is_micro = diff.event_time >= _FIRST_MICROSECONDS
            made_ns = diff.event_time * (1_000 if is_micro else 1_000_000)
            self._ahead_ns = max(self._ahead_ns, made_ns - frame.time_ns)

    def _note(self, snapshot: RecordedSnapshot) -> None:
        head = msgspec.json.decode(snapshot.body, type=_Sides)
        self._row.snapshot_lastUpdateId = snapshot.last_update_id
        self._row.snapshot_bids, self._row.snapshot_asks = len(head.bids), len(head.asks)
        self._stale += sum(u <= snapshot.last_update_id for u in self._let_go)
        # The book itself detects gaps after the snapshot's id.
        self._gaps += sum(u <= snapshot.last_update_id for u in self._holes)

    def _step_through(self, snapshot: RecordedSnapshot) -> None:
        """Repeat one by one what the book just applied at once, to compare after each diff."""
        book = self._fresh_book()
        self._load(book, snapshot)
        kept, self._kept, self._waiting, self._broken = self._kept, [], False, False
        for index, (diff, payload) in enumerate(kept):
            outcome = book.apply(payload)
            if outcome is Outcome.GAP:
                self._gaps += 1
                self._waiting, self._last, self._kept = True, None, kept[index:]
                break
            self._count(book, outcome, diff)
        if book.last_update_id != self._book.last_update_id or _best(book) != _best(self._book):
            what = "applying the updates at once or one by one gives different books"
            self._problems.add(snapshot.position, what)

    def _count(self, book: ReplayBook, outcome: Outcome, diff: Diff) -> None:
        if outcome is Outcome.APPLIED:
            self._applied += 1
            self._oracle.on_applied(diff.final_update_id, _best(book))
        elif diff.final_update_id <= (self._row.snapshot_lastUpdateId or 0):
            self._stale += 1

    def finish(self) -> Row:
        """The row of this symbol. Call once, after the last record."""
        row, book = self._row, self._book
        self._oracle.on_end()
        if row.snapshot_lastUpdateId is None:
            row.gaps = len(self._holes) if row.diffs_total else None
            return row
        row.stale_dropped, row.applied, row.gaps = self._stale, self._applied, self._gaps
        row.oracle_equal, row.oracle_different = self._oracle.equal, self._oracle.different
        row.final_u = book.last_update_id
        if row.final_u is None or _best(book) is None:
            return row
        frozen = book.freeze(on_stale="serve")
        best = frozen.exact.best.to_dict()
        row.final_bids, row.final_asks = len(frozen.bids), len(frozen.asks)
        row.best_bid, row.best_ask = best["bid"], best["ask"]
        row.sha256_full, row.sha256_top20 = sha256_of(frozen), sha256_of(frozen, levels=20)
        return row

    def _fresh_book(self) -> ReplayBook:
        return self._new_book(self._venue.name, symbol=self._row.symbol)

    def _hole(self, last: Diff, diff: Diff) -> bool:
        if self._venue.continuity == "chained":
            return (diff.previous_final_update_id or 0) > last.final_update_id
        return diff.first_update_id > last.final_update_id + 1


def _is_reset(last: Diff, diff: Diff) -> bool:
    """Whether the ids restarted: the diff is later than the last one by event time, but its ids are lower."""
    times = (last.event_time, diff.event_time)
    if times[0] is None or times[1] is None:
        return False
    return times[1] > times[0] and diff.final_update_id < last.first_update_id


class _Sides(msgspec.Struct):
    bids: list[msgspec.Raw]
    asks: list[msgspec.Raw]


def _best(book: ReplayBook) -> Best[Decimal] | None:
    """The exact best prices of the last known book; None if it is crossed."""
    try:
        best: Best[Decimal] = book.freeze(1, on_stale="serve").exact.best
    except BookNotSynced:
        return None
    return best
