"""Recordings of this package: the meaning of their lines for a book, on both engines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from depthcache.recording import Break, Frame, HeldBook, Problems, RecordedSnapshot, Report, read, verify
from depthcache.recording.verify import NewBook
from tests.recording import make

NS = 1_700_000_000_000_000_000
HEAD = b'{"depthcache":1,"kind":"recording"}'


class Tape:
    """Lines with rising times."""

    def __init__(self, start_ns: int = NS) -> None:
        self.lines = [HEAD]
        self._start_ns = start_ns

    def frame(self, frame: bytes, connection: int = 1) -> Tape:
        return self._add(b'"connection":%d,"frame":%s' % (connection, frame))

    def diff(self, first: int, final: int, connection: int = 1) -> Tape:
        return self.frame(make.diff(first, final, bids=[("1.05", "2")]), connection)

    def snapshot(self, last: int) -> Tape:
        names = b'"exchange":"binance.com","symbol":"ABCUSDT","limit":100,'
        return self._add(names + b'"snapshot":' + make.snapshot(last))

    def event(self, event: str, **values: Any) -> Tape:
        return self._add(json.dumps({"event": event, **values})[1:-1].encode())

    def _add(self, content: bytes) -> Tape:
        self.lines.append(b'{"time":%d,%s}' % (self._start_ns + len(self.lines), content))
        return self

    def report(self, new_book: NewBook, folder: Path) -> Report:
        return verify([make.write(folder / "file", self.lines)], new_book=new_book)


def start() -> Tape:
    return Tape().event("open", connection=1, exchange="binance.com").diff(10, 11).snapshot(11).diff(12, 12)


def test_every_kind_of_line(tmp_path: Path) -> None:
    tape = start().event("closed", connection=1, code=1006, reason="cut").event("status", status="stale")
    tape.event("lost", frames=3).event("book", symbol="ABCUSDT", last_update_id=12, bids=[], asks=[])
    tape._add(b'"connection":1,"hex":"ff00"')
    problems = Problems()
    found = list(read([make.write(tmp_path / "file", tape.lines)], problems))
    assert problems.lines() == []
    assert [type(each) for each in found] == [Frame, RecordedSnapshot, Frame, Break, Break, HeldBook, Break]
    assert [each.connection for each in found if isinstance(each, Frame | Break)] == [1, 1, 1, None, 1]
    assert [each.reason for each in found if isinstance(each, Break)] == [
        "cut",
        "3 frames were not recorded",
        "a frame that could not be read",
    ]


def test_after_an_interruption_the_next_snapshot_starts_over(new_book: NewBook, tmp_path: Path) -> None:
    tape = start().event("closed", connection=1).diff(20, 21, 2).snapshot(21).diff(22, 22, 2)
    report = tape.report(new_book, tmp_path)
    assert (report.faults, report.breaks) == ([], 1)
    assert (report.rows[0].gaps, report.rows[0].final_u) == (0, 22)


def test_the_snapshot_may_come_before_the_first_diff(new_book: NewBook, tmp_path: Path) -> None:
    tape = start().event("closed", connection=1).snapshot(21).diff(20, 22, 2)
    report = tape.report(new_book, tmp_path)
    assert (report.faults, report.rows[0].final_u) == ([], 22)


def test_a_hole_after_the_interruption_was_mended_is_a_gap(new_book: NewBook, tmp_path: Path) -> None:
    tape = start().event("closed", connection=1).diff(20, 21, 2).snapshot(21).diff(23, 23, 2)
    report = tape.report(new_book, tmp_path)
    assert report.faults == ["ABCUSDT (spot) has 1 gap"]


def test_a_connection_that_another_replaces_in_time_interrupts_nothing(
    new_book: NewBook, tmp_path: Path
) -> None:
    tape = start().diff(12, 12, 2).diff(13, 13, 2).event("closed", connection=1).diff(14, 14, 2)
    report = tape.report(new_book, tmp_path)
    assert (report.faults, report.breaks, report.rows[0].final_u) == ([], 0, 14)


def test_lost_frames_without_a_snapshot_after_them_are_said(new_book: NewBook, tmp_path: Path) -> None:
    report = start().event("lost", frames=2).diff(15, 15).diff(16, 16).report(new_book, tmp_path)
    assert report.faults == [
        f"2 lines were lost while recording, first at {tmp_path / 'file'}:6 (2 frames were not recorded)",
        "ABCUSDT (spot) ends out of sync: no snapshot after the last interruption",
    ]
    assert (report.breaks, report.rows[0].gaps, report.lost) == (1, 0, 2)


@pytest.mark.parametrize(
    "line",
    [
        b'{"time":1,"connection":1,"frame":}',
        b'{"time":1,"connection":1,"frame":{"a":}}',
        b'{"time":"x","event":"open"}',
        b'{"time":1,"event":',
        b'{"time":1,"symbol":"ABCUSDT","snapshot":{"bids":1}}',
        b"[]",
        b'{"time":1}',
        b'{"foo":1}',
        b'{"time":1,"connection":1,"frame":{"foo":1}}',
    ],
)
def test_a_line_that_means_nothing_is_a_problem_and_the_rest_is_read(tmp_path: Path, line: bytes) -> None:
    tape = start()
    tape.lines.insert(3, line)
    problems = Problems()
    found = list(read([make.write(tmp_path / "file", tape.lines)], problems))
    assert (problems.total, len(found)) == (1, 3)
    assert f"{tmp_path / 'file'}:4" in problems.lines()[0]


def test_recordings_put_one_behind_the_other_are_an_interruption(new_book: NewBook, tmp_path: Path) -> None:
    tape = start()
    tape.lines.append(HEAD)
    report = tape.diff(20, 21).snapshot(21).diff(22, 22).report(new_book, tmp_path)
    assert (report.faults, report.breaks, report.rows[0].final_u) == ([], 1, 22)


def test_the_reason_of_a_loss_reaches_no_terminal_raw(new_book: NewBook, tmp_path: Path) -> None:
    report = start().event("lost", frames=2, reason="\x1b[2J\nRIGHT").report(new_book, tmp_path)
    assert report.faults[0].endswith("(2 frames were not recorded: ?[2J?RIGHT)")


def test_lines_before_the_head_are_counted(new_book: NewBook, tmp_path: Path) -> None:
    tape = start()
    tape.lines.insert(0, b"rubbish")
    assert tape.report(new_book, tmp_path).faults == ["1 line could not be used"]


def test_connections_of_another_file_interrupt_nothing(new_book: NewBook, tmp_path: Path) -> None:
    """Two clients number their connections alike; a hole behind the other's reconnect is a gap."""
    mine = make.write(tmp_path / "mine", start().diff(15, 15).lines)
    other = make.write(tmp_path / "other", [HEAD, b'{"time":%d,"event":"closed","connection":1}' % (NS + 5)])
    report = verify([mine, other], new_book=new_book)
    assert report.faults == ["ABCUSDT (spot) has 1 gap"]


def test_the_time_of_the_request_of_a_snapshot_is_read(tmp_path: Path) -> None:
    names = b'"exchange":"binance.com","symbol":"ABCUSDT","limit":100,"requested":%d,' % (NS - 7)
    tape = Tape()._add(names + b'"snapshot":' + make.snapshot(11))
    (found,) = read([make.write(tmp_path / "file", tape.lines)], Problems())
    assert isinstance(found, RecordedSnapshot)
    assert (found.requested_ns, found.time_ns) == (NS - 7, NS + 1)


@pytest.mark.parametrize("crashed", [False, True])
def test_a_hole_between_two_starts_of_a_recorder_is_no_gap(
    new_book: NewBook, tmp_path: Path, *, crashed: bool
) -> None:
    first = start()
    if not crashed:
        first.event("status", exchange="binance.com", symbol="ABCUSDT", status="closed")
    files = [make.write(tmp_path / "1", first.lines), make.write(tmp_path / "2", restarted().lines)]
    report = verify(files, new_book=new_book)
    assert report.right, report.faults
    assert (report.rows[0].gaps, report.rows[0].applied, report.breaks) == (0, 2, 1)


def test_a_file_that_ends_before_those_of_other_symbols_interrupts_nothing(
    new_book: NewBook, tmp_path: Path
) -> None:
    longer = start().diff(13, 13).diff(14, 14)
    longer.lines = [line.replace(b"ABCUSDT", b"XYZUSDT") for line in longer.lines]
    files = [make.write(tmp_path / "1", start().lines), make.write(tmp_path / "2", longer.lines)]
    report = verify(files, new_book=new_book)
    assert (report.faults, report.breaks, len(report.rows)) == ([], 0, 2)


def test_a_hole_inside_the_second_file_is_a_gap(new_book: NewBook, tmp_path: Path) -> None:
    later = restarted().diff(30, 31)
    files = [make.write(tmp_path / "1", start().lines), make.write(tmp_path / "2", later.lines)]
    assert verify(files, new_book=new_book).rows[0].gaps == 1


def restarted() -> Tape:
    """A recorder that was started again a minute later."""
    tape = Tape(NS + 60_000_000_000).event("open", connection=1, exchange="binance.com")
    return tape.diff(20, 21).snapshot(21).diff(22, 22)
