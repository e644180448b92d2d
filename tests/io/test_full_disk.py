"""A full or failing disk: recording continues when it can, and every report names the loss."""

from __future__ import annotations

import errno
import json
import logging
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from depthcache import InvalidArgument
from depthcache._native import Router
from depthcache.events import TappedLines
from depthcache.io.recording import files, flight_dumps
from depthcache.io.recording.recorder import Recorder
from depthcache.recording import Break, Problems, RecordingFile, read, verify
from depthcache.recording.lines import Lines
from tests.io.disks import Disk, disk
from tests.recording import make

__all__ = ["disk"]

OPEN = b'{"time":%d,"event":"open","connection":1,"exchange":"binance.com"}\n'
START_NS = 1_700_000_000_000_000_000


class Tape:
    """A recorder fed by hand: diffs of one symbol whose ids chain, a second apart."""

    def __init__(self, folder: Path) -> None:
        self.recorder = Recorder(folder, {})
        self.number = 10
        self.time_ns = START_NS
        names = b'"exchange":"binance.com","symbol":"ABCUSDT","limit":100,"snapshot":'
        self.write(OPEN % self.time_ns + self._line(names + make.snapshot(10)))

    def _line(self, content: bytes) -> bytes:
        self.time_ns += 1_000_000_000
        return b'{"time":%d,%s}\n' % (self.time_ns, content)

    def diffs(self, count: int = 20) -> None:
        """Write so many diffs, of which no two compress well together."""
        lines = []
        for _ in range(count):
            self.number += 1
            bids = [(f"0.{int.from_bytes(os.urandom(3)):08d}", "1")]
            lines.append(
                self._line(b'"connection":1,"frame":' + make.diff(self.number, self.number, bids=bids))
            )
        self.write(b"".join(lines))

    def write(self, lines: bytes) -> None:
        self.recorder._write(TappedLines(lines, 0))

    def try_again(self) -> None:
        """The pause after an error is over."""
        self.recorder._retry_ns = 0


def texts(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for _, line in Lines(path)]


def losses(path: Path) -> list[dict[str, Any]]:
    return [line for line in texts(path) if line.get("event") == "lost"]


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_after_an_error_it_goes_on_in_a_new_file_and_tells_the_loss(
    disk: Disk, tmp_path: Path, error: int, caplog: pytest.LogCaptureFixture
) -> None:
    tape = Tape(tmp_path)
    tape.diffs()
    disk.room, disk.error = 300, error
    tape.diffs(60)  # a part of it is written, then nothing more
    tape.diffs(5)
    recording = tape.recorder.recording
    assert (recording.lost, recording.error) == (65, os.strerror(error))
    disk.room = None
    tape.try_again()
    with caplog.at_level(logging.WARNING, logger="depthcache"):
        tape.diffs(10)
    tape.recorder.close()
    recording = tape.recorder.recording
    assert (recording.lost, recording.error) == (65, "")
    assert recording.lost_from_ns is not None
    assert recording.lost_to_ns is not None
    assert recording.lost_from_ns <= recording.lost_to_ns
    first, second = recording.files
    assert [first, second] == files_in(tmp_path)
    assert recording == second
    assert f"continues in {second}; 65 lines were lost" in caplog.text
    (told,) = losses(second)
    assert (told["frames"], told["reason"]) == (65, os.strerror(error))
    assert told["from"] <= told["to"]
    report = verify([first, second])
    assert not report.right
    assert report.lost == 65
    assert report.faults[0].startswith("65 lines were lost while recording, first at ")
    assert report.rows[0].applied == 20
    assert report.rows[0].gaps == 0  # the hole is told, so it is no gap of the exchange


def test_a_disk_that_stays_full_is_noted_in_the_file(disk: Disk, tmp_path: Path) -> None:
    tape = Tape(tmp_path)
    tape.diffs()
    tape.diffs()
    disk.room = 60
    for _ in range(3):
        tape.diffs()
        tape.try_again()
    tape.recorder.close()
    (path,) = files_in(tmp_path)
    assert tape.recorder.recording.lost >= 60
    assert tape.recorder.recording.error == os.strerror(errno.ENOSPC)
    report = verify([path])
    assert report.lost > 0
    assert not report.right
    assert report.problems.total == 0
    assert report.rows[0].applied in (20, 40)


def test_a_file_without_room_for_a_last_line_gives_up_its_last_flush(disk: Disk, tmp_path: Path) -> None:
    tape = Tape(tmp_path)
    tape.diffs()
    tape.diffs()
    disk.room = 0
    tape.diffs()
    assert tape.recorder.recording.lost == 40
    report = verify(files_in(tmp_path))
    assert (report.lost, report.rows[0].applied) == (20, 20)  # the last flush was not known to be lost yet
    assert not report.right


def test_tries_to_write_leave_no_files_behind(disk: Disk, tmp_path: Path) -> None:
    tape = Tape(tmp_path)
    tape.diffs()
    disk.room = 0
    for _ in range(5):
        tape.diffs()
        tape.try_again()
        disk.room = 90  # room for a head, not for what follows it
    assert len(disk.opened) > 3
    assert len(files_in(tmp_path)) == 1
    assert tape.recorder.recording.files == tuple(files_in(tmp_path))


def test_tries_are_further_and_further_apart(disk: Disk, tmp_path: Path) -> None:
    tape = Tape(tmp_path)
    disk.room = 0
    pauses = []
    for _ in range(9):
        tape.diffs()
        pauses.append(tape.recorder._pause_ns // 10**9)
        tape.try_again()
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30, 30]
    tape.recorder._retry_ns = 1 << 62
    opened = len(disk.opened)
    tape.diffs()
    assert len(disk.opened) == opened


def test_short_writes_are_finished(disk: Disk, tmp_path: Path) -> None:
    disk.most_at_once = 7
    tape = Tape(tmp_path)
    tape.diffs()
    tape.recorder.close()
    report = verify(files_in(tmp_path))
    assert (report.faults, report.rows[0].applied, report.problems.notes) == ([], 20, [])


def test_a_limit_of_a_file_begins_a_new_one_without_any_loss(disk: Disk, tmp_path: Path) -> None:
    tape = Tape(tmp_path)
    disk.most_of_file = 900
    for _ in range(6):
        tape.diffs()
    tape.recorder.close()
    assert len(files_in(tmp_path)) > 2
    assert tape.recorder.recording.lost == 0
    report = verify(files_in(tmp_path))
    assert (report.faults, report.rows[0].applied, report.problems.notes) == ([], 120, [])


def test_a_disk_that_becomes_read_only_leaves_what_was_flushed(disk: Disk, tmp_path: Path) -> None:
    tape = Tape(tmp_path)
    tape.diffs()
    disk.is_read_only = True
    tape.diffs()
    tape.recorder.close()
    assert tape.recorder.recording.lost == 20
    assert tape.recorder.recording.error == os.strerror(errno.EROFS)
    report = verify(files_in(tmp_path))
    assert report.rows[0].applied == 20
    assert "has no proper end: its writer was stopped" in report.problems.notes[0]


def test_a_deleted_folder_is_noticed_and_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    tape = Tape(folder)
    tape.diffs()
    (only,) = files_in(folder)
    only.unlink()
    folder.rmdir()
    tape.diffs()
    assert tape.recorder.recording.error == "the file was deleted while it was being written"
    tape.try_again()
    tape.diffs(5)
    tape.recorder.close()
    (path,) = files_in(folder)
    recording = tape.recorder.recording
    assert recording.files == (path,)
    assert recording.lost == 42  # what was in the deleted file, too
    assert [each["frames"] for each in losses(path)] == [42]


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.EACCES])
def test_a_new_file_that_cannot_be_opened_is_tried_again(disk: Disk, tmp_path: Path, error: int) -> None:
    tape = Tape(tmp_path)
    tape.diffs()
    disk.room, disk.refuses_to_open = 0, error
    tape.diffs()
    tape.try_again()
    tape.diffs()
    assert tape.recorder.recording.error == os.strerror(error)
    disk.room, disk.refuses_to_open = None, 0
    tape.try_again()
    tape.diffs()
    tape.recorder.close()
    assert [each["frames"] for each in losses(tape.recorder.recording)] == [tape.recorder.recording.lost]


def test_a_file_that_cannot_be_closed_is_a_loss(disk: Disk, tmp_path: Path) -> None:
    tape = Tape(tmp_path)
    tape.diffs()
    disk.fails_at_close = True
    tape.recorder.close()
    assert tape.recorder.recording.lost == 1
    assert tape.recorder.recording.error == os.strerror(errno.EDQUOT)


def test_no_room_for_the_end_loses_nothing(disk: Disk, tmp_path: Path) -> None:
    tape = Tape(tmp_path)
    tape.diffs()
    disk.room = 0
    tape.recorder.close()
    report = verify(files_in(tmp_path))
    assert (report.faults, report.rows[0].applied) == ([], 20)


def test_the_writing_thread_survives_whatever_it_meets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(tmp_path, {})
    write = recorder._write

    def broken(tapped: TappedLines) -> None:
        monkeypatch.setattr(recorder, "_write", write)
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(recorder, "_write", broken)
    monkeypatch.setattr("depthcache.io.recording.recorder._FLUSH_S", 3_600)
    recorder.start(Router(flight_bytes=0))
    recorder.note("note", text="lost to the mistake")
    recorder.close()
    assert recorder.recording.lost == 1
    assert "planted" in caplog.text
    assert [each["frames"] for each in losses(recorder.recording)] == [1]


def test_a_disk_that_does_not_answer_does_not_hold_the_end_of_a_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, released, hangs = Recorder(tmp_path, {}), threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        hangs.set()
        released.wait()

    monkeypatch.setattr(recorder, "_write", hang)
    monkeypatch.setattr("depthcache.io.recording.recorder._FLUSH_S", 0.0)
    monkeypatch.setattr("depthcache.io.recording.recorder._CLOSE_S", 0.01)
    recorder.start(Router(flight_bytes=0))
    assert hangs.wait(20)
    recorder.close()
    assert recorder.recording.lost == 1
    assert "the disk has not responded" in recorder.recording.error
    released.set()
    assert recorder._thread is not None
    recorder._thread.join(20)
    assert texts(recorder.recording)[0]["kind"] == "recording"


def test_unread_lines_are_bounded() -> None:
    router = Router(flight_bytes=0)
    router.start_tap(1_000, 0)
    for _ in range(100):
        router.tap_line(b"x" * 99)
    lines, lost = router.take_tapped()
    assert (len(lines), lost) == (2_000, 80)


# --- how it is told -------------------------------------------------------------------------------


def test_the_file_of_a_recording_is_a_path_with_its_losses(tmp_path: Path) -> None:
    made = RecordingFile.of(tmp_path / "x", files=(tmp_path / "x",), lost=3, lost_from_ns=1, lost_to_ns=2)
    assert made == tmp_path / "x"
    assert hash(made) == hash(tmp_path / "x")
    assert isinstance(made, Path)
    assert str(made) == str(tmp_path / "x")
    assert made.parent == tmp_path
    assert "lost=3" in repr(made)
    again = pickle.loads(pickle.dumps(made))  # noqa: S301
    assert (again, again.files, again.lost, again.lost_from_ns, again.lost_to_ns) == (
        made, made.files, 3, 1, 2
    )  # fmt: skip


def test_a_loss_noted_by_two_files_counts_once(tmp_path: Path) -> None:
    lost = b'{"time":%d,"event":"lost","frames":%d,"from":1700000000000000007,"to":1700000005000000000,'
    lost += b'"reason":"No space left on device"}'
    for name, count in (("a", 3), ("b", 5)):
        make.write(tmp_path / name, [b'{"depthcache":1,"kind":"recording"}', lost % (START_NS, count)])
    report = verify([tmp_path / "a", tmp_path / "b"])
    assert report.lost == 5
    when = "from 2023-11-14 22:13:20 to 22:13:25 UTC"
    why = f"(3 frames were not recorded {when}: No space left on device)"
    assert report.faults == [f"5 lines were lost while recording, first at {tmp_path / 'a'}:2 {why}"]
    found = [each for each in read([tmp_path / "a"], Problems()) if isinstance(each, Break)]
    assert [(each.lost, each.lost_from_ns) for each in found] == [(3, START_NS + 7)]


# --- flights --------------------------------------------------------------------------------------


def test_half_a_flight_leaves_no_file(disk: Disk, tmp_path: Path) -> None:
    router = Router(flight_bytes=1 << 16)
    router.add_market(1, "binance.com", "BTCUSDT", "contiguous")
    log = router.flight_log(1)
    disk.room = 100
    with pytest.raises(OSError, match="No space left"):
        flight_dumps.write_flight_dump(tmp_path / "flight", log, "asked for")
    assert files_in(tmp_path) == []
    disk.room = None
    flight_dumps.write_flight_dump(tmp_path / "flight", log, "asked for")
    assert texts(tmp_path / "flight")[0]["reason"] == "asked for"


def test_a_flight_that_is_too_large_for_the_disk_leaves_no_file(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    router = Router(flight_bytes=1 << 16)
    router.add_market(1, "binance.com", "BTCUSDT", "contiguous")
    monkeypatch.setattr(flight_dumps, "_lines", lambda *_: iter([os.urandom(400_000)]))
    disk.room = 10_000
    with pytest.raises(OSError, match="No space left"):
        flight_dumps.write_flight_dump(tmp_path / "flight", router.flight_log(1), "asked for")
    assert files_in(tmp_path) == []


def test_a_flight_without_a_folder_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = flight_dumps.FlightDumps(tmp_path / "flights")
    assert files_in(tmp_path / "flights") == []
    (tmp_path / "flights").rmdir()
    (tmp_path / "flights").write_text("in its place")
    router = Router(flight_bytes=1 << 16)
    router.add_market(1, "binance.com", "BTCUSDT", "contiguous")
    made.save(router.flight_log(1), "a gap")
    assert "could not write" in caplog.text


# --- folders that cannot be used ------------------------------------------------------------------


def folder_of(kind: str, tmp_path: Path) -> Path:
    if kind == "a file":
        (tmp_path / "file").write_text("here")
    return {
        "a file": tmp_path / "file",
        "below a file": tmp_path / "file" / "x" / "y",
        "sysfs": Path("/sys"),
        "procfs": Path("/proc/self"),
        "a device": Path("/dev/null"),
    }[kind]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="folders of Linux")
@pytest.mark.parametrize("kind", ["a file", "below a file", "sysfs", "procfs", "a device"])
@pytest.mark.parametrize("setting", ["record_to", "flight_dumps_to"])
def test_a_folder_that_cannot_be_used_is_named_with_its_setting(
    tmp_path: Path, kind: str, setting: str
) -> None:
    (tmp_path / "file").write_text("here")
    folder = folder_of(kind, tmp_path)
    with pytest.raises(InvalidArgument, match="a writable folder") as caught:
        Recorder(folder, {}) if setting == "record_to" else flight_dumps.FlightDumps(folder)
    assert (caught.value.name, caught.value.value) == (setting, str(folder))
    assert "creating a file failed: " in str(caught.value)


@pytest.mark.parametrize("setting", ["record_to", "flight_dumps_to"])
def test_too_few_file_descriptors_are_named_with_the_setting(
    disk: Disk, tmp_path: Path, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.refuses_to_open = errno.EMFILE
    monkeypatch.setattr(Path, "open", lambda path, *_: disk.open(path))
    with pytest.raises(InvalidArgument, match=r"Too many open files.*ulimit -n") as caught:
        Recorder(tmp_path, {}) if setting == "record_to" else flight_dumps.FlightDumps(tmp_path)
    assert caught.value.name == setting


# --- real limits ----------------------------------------------------------------------------------

REAL = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.io.test_full_disk import Tape, START_NS
tape = Tape(Path({folder!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
for _ in range(8):
    tape.diffs()
    tape.try_again()
tape.recorder.close()
print(tape.recorder.recording.lost, len(tape.recorder.recording.files))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "is_lost"), [(2_000, False), (200, True)])
def test_a_real_limit_of_the_system(tmp_path: Path, limit: int, is_lost: bool) -> None:
    """RLIMIT_FSIZE and its signal: between two lines, or below what one flush needs."""
    pytest.importorskip("resource")
    root = str(Path(__file__).parents[2])
    code = REAL.format(root=root, folder=str(tmp_path), limit=limit)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lost, count = map(int, ran.stdout.split())
    report = verify(files_in(tmp_path))
    assert (lost > 0, report.lost > 0, report.right) == (is_lost, is_lost, not is_lost)
    assert report.problems.total == 0
    assert count == len(files_in(tmp_path))
    assert is_lost or report.rows[0].applied == 160


def test_a_lone_surrogate_in_foreign_text_is_written_as_something_that_can_be_read(tmp_path: Path) -> None:
    tape = Tape(tmp_path)
    tape.write(files.line(time=START_NS, event="closed", reason="odd \udc80 byte") + b"\n")
    tape.recorder.close()
    assert texts(tape.recorder.recording)[-1]["reason"] == "odd ? byte"
    assert verify(files_in(tmp_path)).problems.total == 0
