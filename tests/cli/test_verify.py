"""`depthcache verify`: exit codes, the report on every market, progress."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from depthcache.cli import cli, main
from depthcache.cli.verify import told_every
from depthcache.recording import Progress
from tests.recording import make


def run(tmp_path: Path, lines: Sequence[bytes], *options: str) -> Result:
    path = make.write(tmp_path / "file", lines)
    return CliRunner().invoke(cli, ["verify", str(path), *options], standalone_mode=False)


SYNCED = [make.snapshot(10), make.diff(11, 11), make.ticker(11), make.diff(12, 12)]


def test_a_proven_book_is_right(tmp_path: Path) -> None:
    ran = run(tmp_path, SYNCED)
    assert ran.return_value == 0
    assert "RIGHT: 1 book, 2 updates applied without a gap; best prices equal bookTicker" in ran.output
    assert "snapshot + bookTicker" in ran.output


def test_ids_alone_prove_no_book(tmp_path: Path) -> None:
    ran = run(tmp_path, [make.diff(n, n) for n in range(1, 6)])
    assert ran.return_value == 0
    assert "RIGHT" not in ran.output
    assert "ids only" in ran.output
    assert (
        "IDS ONLY: 1 book without a snapshot; the ids of 5 updates have no gap, prices and quantities were "
        "not checked."
    ) in ran.output


def test_a_book_without_a_snapshot_beside_a_proven_one(tmp_path: Path) -> None:
    more = [make.diff(n, n, symbol="XYZ") for n in (5, 6)]
    line = b'{"snapshot":%s,"symbol":"ABCUSDT"}' % make.snapshot(10)
    ran = run(tmp_path, [line, *SYNCED[1:], *more])
    assert ran.return_value == 0
    assert "RIGHT: 1 book" in ran.output
    assert "IDS ONLY: 1 book" in ran.output


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([make.diff(1, 1), make.diff(122, 122)], "WRONG: ABCUSDT (spot) has 1 gap in its ids."),
        ([*SYNCED, b'{"foo":1}'], "WRONG: 1 line could not be used."),
        ([b'{"foo":1}'], "WRONG: 1 line could not be used."),
        ([make.diff(1, 1, symbol="A/B"), *SYNCED], "an impossible symbol 'A/B'"),
    ],
)
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_what_was_not_read_or_has_a_hole_is_wrong(
    tmp_path: Path, lines: Sequence[bytes], words: str, options: Sequence[str]
) -> None:
    ran = run(tmp_path, lines, *options)
    assert ran.return_value == 1
    assert "RIGHT" not in ran.output
    assert words.removeprefix("WRONG: ").removesuffix(".") in ran.output


def test_a_snapshot_alone_proves_nothing(tmp_path: Path) -> None:
    ran = run(tmp_path, [b'{"snapshot":%s,"symbol":"ABCUSDT"}' % make.snapshot(10)])
    assert ran.return_value == 0
    assert "RIGHT" not in ran.output
    assert "NOT CHECKED: 1 book without an update that follows a snapshot or another update." in ran.output


def test_lines_that_the_recording_lost_are_wrong(tmp_path: Path) -> None:
    lost = b'{"time":2,"event":"lost","frames":7,"from":1,"to":2,"reason":"No space left on device"}'
    ran = run(tmp_path, [b'{"depthcache":1,"kind":"recording"}', lost])
    assert ran.return_value == 1
    assert "7 lines were lost while recording, first at " in ran.output
    assert "No space left on device" in ran.output


def test_progress_is_reported_at_intervals(capsys: pytest.CaptureFixture[str]) -> None:
    now = 100.0
    tell = told_every(5.0, clock=lambda: now)
    progress = Progress(total_bytes=1_000, read_bytes=250, unpacked_bytes=3_000_000_000, lines=3_000_000)
    for _ in range(26):
        tell(progress)
        now += 0.5
    told = capsys.readouterr().err.splitlines()
    assert told == ["depthcache: 25 % of the files read: 3,000 MB of text, 3,000,000 lines"] * 2


def test_an_error_of_the_system_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def too_many(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("depthcache.recording.verify", too_many)
    assert main(["verify", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        "depthcache: [Errno 24] Too many open files; `ulimit -n` shows and raises the limit\n"
    )
