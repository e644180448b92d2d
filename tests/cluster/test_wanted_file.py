"""The journal of the wanted set: whatever was acknowledged is read again."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from depthcache.cluster.wanted_file import WantedFile

PAYLOADS = [b"one", b"two" * 9, b"three"]


@pytest.fixture
def file(tmp_path: Path) -> WantedFile:
    found = WantedFile(tmp_path / "node" / "wanted.journal")
    assert found.load() == []
    return found


def again(file: WantedFile) -> WantedFile:
    return WantedFile(file.path)


def test_what_was_written_is_read_in_order(file: WantedFile) -> None:
    file.append(PAYLOADS[:2])
    file.append(PAYLOADS[2:])
    assert again(file).load() == PAYLOADS


def test_every_write_is_synced_before_it_returns(file: WantedFile, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (synced.append(descriptor), fsync(descriptor)))
    file.append(PAYLOADS)
    assert len(synced) == 2, "the file, and its new name in the folder"
    file.rewrite(b"all")
    assert len(synced) == 4


def test_a_file_torn_at_any_byte_keeps_all_whole_records(
    file: WantedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    ends = []
    for payload in PAYLOADS:
        file.append([payload])
        ends.append(file.path.stat().st_size)
    content = file.path.read_bytes()
    for size in range(len(content) + 1):
        file.path.write_bytes(content[:size])
        torn = again(file)
        assert torn.load() == PAYLOADS[: sum(end <= size for end in ends)]
        torn.append([b"later"])
        assert again(file).load()[-1] == b"later"


def test_a_damaged_record_is_noticed_and_the_file_is_kept_aside(file: WantedFile) -> None:
    file.append(PAYLOADS)
    content = bytearray(file.path.read_bytes())
    content[12 + len(PAYLOADS[0])] ^= 1
    file.path.write_bytes(bytes(content))
    damaged = again(file)
    assert damaged.load() == PAYLOADS[:1]
    assert damaged.needs_rewrite
    assert file.path.with_name("wanted.journal.damaged").read_bytes() == bytes(content)


def test_a_full_disk_leaves_the_file_as_it_was(file: WantedFile, monkeypatch: pytest.MonkeyPatch) -> None:
    file.append(PAYLOADS[:1])
    pwrite = os.pwrite

    def half(descriptor: int, content: bytes, at: int) -> int:
        pwrite(descriptor, content[: len(content) // 2], at)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", half)
    with pytest.raises(OSError, match="No space"):
        file.append(PAYLOADS[1:])
    assert file.needs_rewrite
    with pytest.raises(OSError, match="No space"):
        file.rewrite(b"all")
    assert again(file).load() == PAYLOADS[:1]
    assert [path.name for path in file.path.parent.iterdir()] == ["wanted.journal"]
    monkeypatch.undo()
    file.rewrite(b"all")
    assert again(file).load() == [b"all"]


def test_a_file_that_grows_asks_to_be_rewritten(file: WantedFile) -> None:
    while not file.needs_rewrite:
        file.append([b"x" * 10_000] * 10)
    assert file.path.stat().st_size < 400_000
    file.rewrite(b"short")
    assert not file.needs_rewrite


def test_only_the_owner_may_read_it(file: WantedFile) -> None:
    file.append(PAYLOADS)
    file.rewrite(b"all")
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_hostile_lengths_are_refused(file: WantedFile) -> None:
    file.path.parent.mkdir(parents=True)
    for header in (b"\xff" * 8, b"\0" * 8, b"\0\0\0\1"):
        file.path.write_bytes(header + b"x")
        assert again(file).load() == []
