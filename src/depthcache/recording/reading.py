"""Merge several files into one stream of records, in the order in which they were received.

Records with receive times are merged by time over all files; ties keep the order of the files. Records
without times keep the order of the files. A snapshot that does not name its symbol gets it from the diffs
around it. Memory is bounded by a short look-ahead.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from depthcache.errors import InvalidArgument
from depthcache.recording.formats import RECORDING_ENDED, records
from depthcache.recording.origin import venue_of_origin
from depthcache.recording.prices import priced_alike
from depthcache.recording.problems import Problems
from depthcache.recording.progress import OnProgress, Progress
from depthcache.recording.records import Break, Diff, Frame, HeldBook, Record, RecordedSnapshot
from depthcache.venues.symbols import parse_symbol

__all__ = ["as_paths", "read"]

_LOOK_AHEAD = 5_000
_LOOK_BACK = 1_000
"""Records after and diffs before a snapshot that are searched for its symbol."""


def read(
    paths: Sequence[str | PathLike[str]] | str | PathLike[str],
    problems: Problems,
    *,
    on_progress: OnProgress | None = None,
) -> Iterator[Record]:
    """Yield every record of the files at `paths`, which may be a single path.

    A file without receive times keeps its position among the others, and a file that is given twice is read
    once. Lines that cannot be used, or have an impossible symbol, go to `problems`, and reading continues.
    `on_progress` is called after every piece of a file.

    Raises UnreadableRecording at once for files that are not recordings, and InvalidArgument for no files.
    """
    paths = as_paths(paths)
    if not paths:
        raise InvalidArgument(name="files", value=[], allowed="at least one recording")
    files = _different(paths, problems)
    progress = Progress(total_bytes=sum(map(_size, files)))
    streams = [
        _started(_located(records(path, problems, on_progress=on_progress, progress=progress)))
        for path in files
    ]
    return _usable(_located(_joined(chain.from_iterable(_runs(streams)))), problems)


def as_paths(paths: Sequence[str | PathLike[str]] | str | PathLike[str]) -> list[str | PathLike[str]]:
    """One path or several as a list."""
    return [paths] if isinstance(paths, str | PathLike) else list(paths)


def _different(paths: Sequence[str | PathLike[str]], problems: Problems) -> list[Path]:
    found: dict[object, Path] = {}
    for path in map(Path, paths):
        try:
            about = path.stat()
            key: object = (about.st_dev, about.st_ino) if about.st_ino else path.resolve()
        except OSError:
            key = path  # opening it raises with the reason
        if found.setdefault(key, path) is not path:
            problems.note(f"{path} was given twice and is read once")
    return list(found.values())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _usable(stream: Iterator[Record], problems: Problems) -> Iterator[Record]:
    """The records without those of unknown or impossible symbols, which become problems."""
    known: set[tuple[str, str | None]] = set()
    for record in stream:
        if isinstance(record, Frame) and (
            record.about is None or (record.about.symbol, record.venue) in known
        ):
            yield record  # the usual case
            continue
        symbol, body = _symbol_of(record)
        if symbol is None and isinstance(record, RecordedSnapshot):
            problems.add(record.position, "no update near this snapshot identifies its symbol", record.body)
            continue
        if symbol is not None:
            spelled = _spelled(symbol, getattr(record, "venue", None))
            if spelled is None or (spelled != symbol and isinstance(record, Frame)):
                problems.add(record.position, f"an impossible symbol {symbol[:50]!r}", body)
                continue
            if isinstance(record, RecordedSnapshot | HeldBook):
                record = record._replace(symbol=spelled)
            elif isinstance(record, Frame):
                known.add((symbol, record.venue))
        yield record


def _symbol_of(record: Record) -> tuple[str | None, bytes]:
    if isinstance(record, Frame):
        return None if record.about is None else record.about.symbol, record.payload
    if isinstance(record, RecordedSnapshot):
        return record.symbol, record.body
    return (record.symbol if isinstance(record, HeldBook) else None), b""


def _spelled(symbol: str, origin: str | None) -> str | None:
    """The symbol as the exchange spells it in a frame; None if it is not a possible symbol."""
    try:
        return parse_symbol(symbol, venue_of_origin(origin or "spot"))
    except InvalidArgument:
        return None


def _started(stream: Iterator[Record]) -> tuple[Record | None, Iterator[Record]]:
    """The first record, and the stream including it."""
    first = next(stream, None)
    return first, stream if first is None else chain((first,), stream)


def _runs(streams: Iterable[tuple[Record | None, Iterator[Record]]]) -> Iterator[Iterator[Record]]:
    """Merge runs of adjacent files with times; a file without times is a run by itself."""
    timed: list[Iterator[Record]] = []
    for first, stream in streams:
        if first is not None and first.time_ns is not None:
            timed.append(stream)
            continue
        if timed:
            yield heapq.merge(*timed, key=_time)
            timed = []
        yield stream
    yield heapq.merge(*timed, key=_time)


def _joined(stream: Iterator[Record]) -> Iterator[Record]:
    """The same records; the end of a recording is a break only if records of another file follow."""
    ended: list[Record] = []
    for record in stream:
        if not isinstance(record, Break):
            yield from ended
            ended.clear()
        elif record.reason is RECORDING_ENDED:
            ended.append(record)
            continue
        yield record


def _time(record: Record) -> int:
    return record.time_ns or 0


class _Near(NamedTuple):
    """A diff near a snapshot, with its venue and its frame."""

    diff: Diff
    venue: str | None
    payload: bytes


def _located(stream: Iterator[Record]) -> Iterator[Record]:
    """The same records; snapshots without symbol or venue get them from the diffs near them.

    Applied to each file first, because its own diffs are the best evidence, and then to all files together.
    """
    ahead: deque[Record] = deque()
    before: deque[_Near] = deque(maxlen=_LOOK_BACK)
    while True:
        record = ahead.popleft() if ahead else next(stream, None)
        if record is None:
            return
        if isinstance(record, Frame):
            if type(record.about) is Diff:
                before.append(_Near(record.about, record.venue, record.payload))
        elif isinstance(record, RecordedSnapshot) and (record.symbol is None or record.venue is None):
            while len(ahead) < _LOOK_AHEAD and (following := next(stream, None)) is not None:
                ahead.append(following)
            record = _completed(record, [*before, *_diffs(ahead)])
        yield record


def _diffs(ahead: Iterable[Record]) -> Iterator[_Near]:
    for record in ahead:
        if isinstance(record, Frame) and type(record.about) is Diff:
            yield _Near(record.about, record.venue, record.payload)


def _completed(snapshot: RecordedSnapshot, near: Sequence[_Near]) -> RecordedSnapshot:
    """The snapshot with the only market near it, or the only one that fits its id, or else its prices."""
    fitting = [
        each
        for each in near
        if snapshot.symbol in (None, each.diff.symbol) and snapshot.venue in (None, each.venue)
    ]
    markets = {_market(each) for each in fitting}
    if len(markets) > 1:
        fitting = [each for each in fitting if _brackets(each.diff, snapshot.last_update_id)]
        markets = {_market(each) for each in fitting}
    if len(markets) > 1:  # such as USD-M, whose symbols share their ids
        markets = priced_alike(
            snapshot.body, ((market, each.payload) for each in near if (market := _market(each)) in markets)
        )
    if len(markets) != 1:
        return snapshot
    symbol, venue = markets.pop()
    return snapshot._replace(symbol=symbol, venue=venue)


def _market(near: _Near) -> tuple[str, str | None]:
    return near.diff.symbol, near.venue


def _brackets(diff: Diff, last_update_id: int) -> bool:
    before = diff.first_update_id - 1
    if diff.previous_final_update_id is not None:
        before = min(before, diff.previous_final_update_id)
    return before <= last_update_id <= diff.final_update_id
