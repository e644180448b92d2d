"""Recordings of a client on an exchange moved by hand: the file has everything, and verifies."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

import depthcache
from depthcache import InvalidArgument, Status
from depthcache.events import TappedLines
from depthcache.io.recording import files, recorder
from depthcache.recording import Break, Frame, Problems, Record, RecordedSnapshot, read, verify
from depthcache.recording.lines import numbered_lines
from tests.support.by_hand import LEVELS, ByHand

DEADLINE_S = 20.0


def connect(folder: Path, *symbols: str) -> depthcache.Books:
    settings = depthcache.Settings(record_to=folder)
    return depthcache.connect("binance.com", list(symbols or ["BTCUSDT"]), depth=100, settings=settings)


def records(path: Path) -> list[Record]:
    problems = Problems()
    found = list(read([path], problems))
    assert problems.lines() == []
    return found


def texts(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for _, line in numbered_lines(path)]


def events(path: Path) -> list[str]:
    return [line["event"] for line in texts(path) if "event" in line]


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


async def test_frames_and_snapshots_are_in_the_file_as_received(
    exchange: list[ByHand], tmp_path: Path
) -> None:
    async with connect(tmp_path / "made" / "anew") as books:
        await books.wait_synced(timeout=DEADLINE_S)
        exchange[0].diff("BTCUSDT", 11, 12, bids=[["1.15", "2.0"]])
        exchange[0].raw(b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","s":"BTCUSDT","U":13,'
                        b'"u":13,"E":1,"b":[["1.0", "0.00"]],"a":[]}}')  # fmt: skip
        path = books.recording
    assert [path] == files_in(tmp_path / "made" / "anew")
    found = [record for record in records(path) if not isinstance(record, Break)]  # how it ended
    assert [type(record) for record in found] == [Frame, RecordedSnapshot, Frame, Frame]
    snapshot, first, second = found[1:]
    assert isinstance(snapshot, RecordedSnapshot)
    assert (snapshot.symbol, snapshot.limit, snapshot.venue) == ("BTCUSDT", 500, "spot")
    assert snapshot.body == json.dumps({"lastUpdateId": 10, **LEVELS}).encode()
    assert isinstance(first, Frame)
    assert isinstance(second, Frame)
    assert second.payload.endswith(b'"b":[["1.0", "0.00"]],"a":[]}}')
    times = [record.time_ns or 0 for record in found]
    assert times == sorted(times)
    assert times[0] > 1_700_000_000_000_000_000
    report = verify([path])
    assert (report.faults, report.breaks) == ([], 0)
    assert (report.rows[0].final_u, report.rows[0].final_bids) == (13, 2)


async def test_a_reconnect_is_a_record_and_no_gap(exchange: list[ByHand], tmp_path: Path) -> None:
    async with connect(tmp_path) as books:
        await books.wait_synced(timeout=DEADLINE_S)
        exchange[0].diff("BTCUSDT", 11, 12)
        exchange[0].default = {"lastUpdateId": 30, **LEVELS}
        exchange[0].cut(1006, "the cable")
        assert books["BTCUSDT"].status is not Status.SYNCED
        await books.wait_synced(timeout=DEADLINE_S)
        exchange[0].diff("BTCUSDT", 29, 31)
        held = books["BTCUSDT"].last_update_id
        path = books.recording
    assert path is not None
    closed = next(line for line in texts(path) if line.get("event") == "closed")
    assert (closed["code"], closed["reason"]) == (1006, "the cable")
    assert events(path).count("opened") == 2
    assert "status" in events(path)
    report = verify([path])
    assert (report.faults, report.breaks, report.rows[0].gaps) == ([], 1, 0)
    assert report.rows[0].final_u == held == 31


async def test_a_gap_is_a_record_and_verify_finds_it_itself(exchange: list[ByHand], tmp_path: Path) -> None:
    async with connect(tmp_path) as books:
        await books.wait_synced(timeout=DEADLINE_S)
        exchange[0].diff("BTCUSDT", 11, 12)
        exchange[0].default = {"lastUpdateId": 20, **LEVELS}
        exchange[0].diff("BTCUSDT", 15, 16)
        await books.wait_synced(timeout=DEADLINE_S)
        path = books.recording
    assert path is not None
    assert events(path).count("gap") == 1
    report = verify([path])
    assert report.faults == ["BTCUSDT (spot) has 1 gap"]
    assert report.rows[0].final_u == 20


@pytest.mark.parametrize("rubbish", [b"{\xff}", b"no object", b'{"a":1}\n{"b":2}', b""])
async def test_frames_that_are_no_json_are_kept_too(
    exchange: list[ByHand], tmp_path: Path, rubbish: bytes
) -> None:
    async with connect(tmp_path) as books:
        await books.wait_synced(timeout=DEADLINE_S)
        exchange[0].raw(rubbish)
        path = books.recording
    assert path is not None
    (line,) = (line for line in texts(path) if "hex" in line)
    assert bytes.fromhex(line["hex"]) == rubbish
    assert any(isinstance(record, Break) for record in records(path))


async def test_what_the_writer_cannot_follow_is_counted_as_lost_and_the_books_go_on(
    exchange: list[ByHand], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "_MOST_BYTES", 4_000)
    monkeypatch.setattr(recorder, "_FLUSH_S", 3_600)  # written at the end
    async with connect(tmp_path) as books:
        await books.wait_synced(timeout=DEADLINE_S)
        for number in range(11, 111):
            exchange[0].diff("BTCUSDT", number, number)
        assert books["BTCUSDT"].last_update_id == 110
        path = books.recording
    assert path is not None
    (lost,) = (line for line in texts(path) if line.get("event") == "lost")
    kept = sum(isinstance(record, Frame) for record in records(path)) - 1  # the acknowledgement
    assert 0 < lost["frames"] == 100 - kept
    report = verify([path])
    assert (report.breaks, report.rows[0].gaps) == (1, 0)


async def test_a_count_of_lost_frames_is_written_without_any_line(
    exchange: list[ByHand], tmp_path: Path
) -> None:
    async with connect(tmp_path) as books:
        writer = books._client._recorder
        assert writer is not None
        writer._write(TappedLines(b"", 3))
        path = books.recording
    assert path is not None
    assert [line["frames"] for line in texts(path) if line.get("event") == "lost"] == [3]


async def test_an_error_of_the_disk_ends_neither_books_nor_recording(
    exchange: list[ByHand], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(self: files.Journal, lines: bytes) -> None:
        monkeypatch.undo()
        raise OSError(28, "No space left on device")

    async with connect(tmp_path) as books:
        await books.wait_synced(timeout=DEADLINE_S)
        writer = books._client._recorder
        assert writer is not None
        monkeypatch.setattr(files.Journal, "append", full)
        with caplog.at_level(logging.ERROR, logger="depthcache"):
            writer._write(TappedLines(b'{"time":1,"event":"x"}\n', 0))
        assert "No space left" in caplog.text
        writer._write(TappedLines(b'{"time":2,"event":"y"}\n', 0))
        writer._retry_ns = 0
        exchange[0].diff("BTCUSDT", 11, 12)
        assert books["BTCUSDT"].last_update_id == 12
        writer._write(TappedLines(b'{"time":3,"event":"z"}\n', 0))
        second = books.recording
    assert second is not None
    assert len(files_in(tmp_path)) == 2
    assert [line["frames"] for line in texts(second) if line.get("event") == "lost"] == [2]
    assert "z" in events(second)


async def test_a_file_after_an_error_tells_whose_its_frames_are(
    exchange: list[ByHand], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing in a frame tells binance.us from binance.com."""
    settings = depthcache.Settings(record_to=tmp_path)
    async with depthcache.connect("binance.us", ["BTCUSDT"], depth=100, settings=settings) as books:
        await books.wait_synced(timeout=DEADLINE_S)
        writer = books._client._recorder
        assert writer is not None
        exchange[0].diff("BTCUSDT", 11, 12)
        writer._write(writer._router.take_tapped())  # type: ignore[union-attr]
        with monkeypatch.context() as patch:
            patch.setattr(files.Journal, "append", refuse)
            writer._write(TappedLines(b'{"time":1,"event":"x"}\n', 0))
        writer._retry_ns = 0
        exchange[0].diff("BTCUSDT", 13, 14)
    recording = books.recording
    assert recording is not None
    assert len(recording.files) == 2
    assert [row.venue for row in verify(recording.files).rows] == ["us"]
    assert [row.venue for row in verify(recording.files[1:]).rows] == ["us"]


def refuse(_: files.Journal, __: bytes) -> None:
    raise OSError(28, "No space left on device")


def test_a_file_cut_anywhere_is_read_up_to_its_last_flush(tmp_path: Path) -> None:
    """What is left after kill -9, at every byte."""
    written = files.Journal(tmp_path / "whole", kind="recording")
    flushed = [(tmp_path / "whole").stat().st_size]
    for number in range(30):
        noise = os.urandom(50).hex()
        written.append(files.line(time=number, event="note", number=number, noise=noise) + b"\n")
        if number % 10 == 9:
            written.flush()
            flushed.append((tmp_path / "whole").stat().st_size)
    content = (tmp_path / "whole").read_bytes()
    written.close()
    cut = tmp_path / "cut"
    for size in range(flushed[0], len(content) + 1):
        cut.write_bytes(content[:size])
        problems = Problems()
        numbers = [line["number"] for line in texts(cut) if "number" in line]
        assert list(read([cut], problems)) == []
        assert problems.lines() == []
        assert numbers == list(range(len(numbers)))
        assert len(numbers) >= 10 * sum(size >= each for each in flushed[1:])


def test_half_a_line_at_the_end_of_a_cut_file_is_no_problem(tmp_path: Path) -> None:
    """Blocks end where they are full, which is within a line."""
    written = files.Journal(tmp_path / "cut", kind="recording")
    lines = [files.line(time=number, event="note", noise=os.urandom(200).hex()) for number in range(5_000)]
    written.append(b"\n".join(lines) + b"\n")
    (tmp_path / "left").write_bytes((tmp_path / "cut").read_bytes())
    written.close()
    problems = Problems()
    assert list(read([tmp_path / "left"], problems)) == []
    assert problems.lines() == []
    kept = [line for _, line in numbered_lines(tmp_path / "left")][1:]
    assert 0 < len(kept) < 5_000
    assert kept == lines[: len(kept)]


@pytest.mark.parametrize("name", ["record_to", "flight_dumps_to"])
async def test_a_folder_that_cannot_be_used_is_refused_before_anything_starts(
    exchange: list[ByHand], tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").write_text("here")
    settings = depthcache.Settings(**{name: tmp_path / "file"})  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="a writable folder"):
        async with depthcache.connect("binance.com", ["BTCUSDT"], settings=settings):
            pass
    assert exchange[0].closed


async def test_without_the_setting_nothing_is_written(exchange: list[ByHand], tmp_path: Path) -> None:
    async with depthcache.connect("binance.com", ["BTCUSDT"], settings=depthcache.Settings()) as books:
        assert books.recording is None


async def test_every_start_has_its_own_file(exchange: list[ByHand], tmp_path: Path) -> None:
    for _ in range(3):
        async with connect(tmp_path) as books:
            await books.wait_synced(timeout=DEADLINE_S)
    assert len(files_in(tmp_path)) == 3
    assert verify(files_in(tmp_path)).faults == []
