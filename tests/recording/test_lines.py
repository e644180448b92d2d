"""Lines of all kinds of files: which are skipped, which are refused, and the cost."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pytest
import zstandard

from depthcache.errors import UnreadableRecording
from depthcache.recording import Frame, Problems, Progress, RecordedSnapshot, read, verify
from depthcache.recording import lines as lines_module
from depthcache.recording.lines import Lines, LongLine, numbered_lines
from tests.recording import make

MARK = b"\xef\xbb\xbf"


def packed(content: bytes, kind: str) -> bytes:
    if kind == "gzip":
        return gzip.compress(content)
    return zstandard.compress(content) if kind == "zstd" else content


KINDS = ("plain", "gzip", "zstd")


@pytest.mark.parametrize("kind", KINDS)
def test_a_byte_order_mark_is_skipped_wherever_a_file_began(tmp_path: Path, kind: str) -> None:
    day = MARK + make.diff(1, 1) + b"\r\n", MARK + make.snapshot(1) + b"\r\n" + make.diff(2, 2) + b"\n"
    path = tmp_path / "file"
    path.write_bytes(b"".join(packed(part, kind) for part in day))
    problems = Problems()
    found = list(read([path], problems))
    assert problems.lines() == []
    assert [type(each) for each in found] == [Frame, RecordedSnapshot, Frame]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_blank_lines_are_counted_and_left_out(tmp_path: Path, kind: str, end: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(packed(end * 3 + b"a" + end * 2 + b"  \t" + end + b" b " + end + b"c", kind))
    assert list(numbered_lines(path)) == [(4, b"a"), (7, b"b"), (8, b"c")]


@pytest.mark.parametrize("content", [b"\n", b"\r\n", b" \n", b"\n \r\n\n"])
def test_millions_of_blank_lines_cost_no_python_each(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bomb of 3 GB of them is 96 kB of zstd; this one is a fraction of it, with lines on both sides."""
    looked_at: list[bytes] = []
    clean = lines_module._clean
    monkeypatch.setattr(lines_module, "_clean", lambda line: looked_at.append(line) or clean(line))
    count = 10_000_000 // len(content)
    packer = zstandard.ZstdCompressor().compressobj()
    path = tmp_path / "bomb"
    path.write_bytes(packer.compress(b"a\n" + content * count + b"b\n") + packer.flush())
    pieces = 0

    def told(_: Progress) -> None:
        nonlocal pieces
        pieces += 1

    progress = Progress()
    found = list(Lines(path, on_progress=told, progress=progress))
    lines = count * content.count(b"\n")
    assert found == [(1, b"a"), (lines + 2, b"b")]
    assert progress.unpacked_bytes == 4 + count * len(content)
    assert progress.lines == lines + 2
    assert len(looked_at) < 2 * pieces
    assert pieces >= progress.unpacked_bytes // (128 * 1024)


def test_a_line_without_an_end_is_skipped_in_bounded_memory(tmp_path: Path) -> None:
    packer = zstandard.ZstdCompressor().compressobj()
    path = tmp_path / "bomb"
    with path.open("wb") as file:
        file.write(packer.compress(make.diff(1, 1) + b"\n"))
        for _ in range(100):
            file.write(packer.compress(b"x" * 2**20))
        file.write(packer.compress(b"\n" + make.diff(2, 2) + b"\n") + packer.flush())
    tracemalloc.start()
    problems = Problems()
    found = list(read([path], problems))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 2
    assert problems.lines() == [f"{path}:2: a line of more than 64 MiB: {'x' * 60!r}"]
    assert peak < 100 * 2**20


def test_a_long_line_that_is_allowed_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a\n" + b"b" * 1_000_000 + b"\nc")
    found = [line for _, line in numbered_lines(path)]
    assert [len(line) for line in found] == [1, 1_000_000, 1]
    assert not isinstance(found[1], LongLine)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("kind", KINDS)
def test_wide_text_is_refused_by_name(tmp_path: Path, encoding: str, kind: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(packed((make.diff(1, 2).decode() + "\n").encode(encoding), kind))
    with pytest.raises(UnreadableRecording, match="UTF-16 or UTF-32 text; UTF-8 is needed"):
        verify([path])


def test_the_first_bytes_decide_and_not_the_name(tmp_path: Path) -> None:
    names = {"plain": "a.jsonl.zst", "gzip": "b.zst", "zstd": "c.gz"}
    for number, kind in enumerate(KINDS, 1):
        (tmp_path / names[kind]).write_bytes(packed(make.diff(number, number) + b"\n", kind))
    report = verify([tmp_path / names[kind] for kind in KINDS])
    assert (report.faults, report.rows[0].diffs_total) == ([], 3)


@pytest.mark.parametrize("parts", [2, 3])
def test_frames_of_zstd_put_one_behind_the_other_are_one_file(tmp_path: Path, parts: int) -> None:
    path = tmp_path / "file"
    skippable = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"abcd"
    path.write_bytes(
        skippable
        + b"".join(zstandard.compress(make.diff(n, n) + b"\n") + skippable for n in range(1, 1 + parts))
    )
    lines = Lines(path)
    assert len(list(lines)) == parts
    assert not lines.is_cut


def test_a_cut_zstd_file_is_a_fault_except_in_own_recordings_where_it_is_noted(tmp_path: Path) -> None:
    diffs = [make.diff(n, n, bids=[(f"0.{n * 7919 % 99991}", "1")]) for n in range(1, 4_000)]
    other = tmp_path / "other.zst"
    content = zstandard.compress(b"\n".join(diffs))
    other.write_bytes(content[: len(content) // 2])
    report = verify([other])
    assert report.faults == ["1 line could not be used"]
    assert "the zstd stream ends early: the file was cut off" in report.problems.lines()[0]
    own = tmp_path / "own.zst"
    frames = [b'{"time":%d,"connection":1,"frame":%s}' % (10**18 + n, diff) for n, diff in enumerate(diffs)]
    content = zstandard.compress(b"\n".join([b'{"depthcache":1,"kind":"recording"}', *frames]))
    own.write_bytes(content[: len(content) // 2])
    report = verify([own])
    assert report.faults == []
    assert report.problems.notes == [
        f"{own} has no proper end: its writer was stopped; it is complete up to the last flush"
    ]


def test_a_zstd_file_cut_before_its_first_line_says_so(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(zstandard.compress(make.diff(1, 1))[:20])
    with pytest.raises(UnreadableRecording, match="the zstd stream ends before its first line"):
        verify([path])


def test_progress_counts_all_files_together(tmp_path: Path) -> None:
    paths = [make.write(tmp_path / f"{n}", [make.diff(n, n)] * 100, compressed=n == 2) for n in (1, 2)]
    seen: list[tuple[int, int]] = []
    verify(paths, on_progress=lambda progress: seen.append((progress.read_bytes, progress.total_bytes)))
    total = sum(path.stat().st_size for path in paths)
    assert seen[-1] == (total, total)


def test_a_file_that_is_given_twice_is_read_once(tmp_path: Path) -> None:
    path = make.write(tmp_path / "file", [make.snapshot(10), make.diff(11, 11)])
    (tmp_path / "link").symlink_to(path)
    report = verify([path, path, tmp_path / "link"])
    assert report.rows[0].diffs_total == 1
    assert report.problems.notes == [
        f"{path} was given twice and is read once",
        f"{tmp_path / 'link'} was given twice and is read once",
    ]
