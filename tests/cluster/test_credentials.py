"""Shared secrets: encrypted on disk, merged by the newest edit, and never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from depthcache.cluster.credentials import CredentialStore, exported
from depthcache.cluster.errors import DataFolderUnusable, MalformedClusterMessage
from depthcache.errors import InvalidArgument

SECRET = "-".join(("an", "api", "secret"))


def store(folder: Path, node: str = "a1") -> CredentialStore:
    folder.mkdir(exist_ok=True)
    return CredentialStore(folder, node)


def test_secrets_survive_a_restart_and_are_in_no_file_in_the_clear(tmp_path: Path) -> None:
    one = store(tmp_path)
    one.put("binance.com main", {"api_key": "k-123456", "api_secret": SECRET}, wall_ms=5)
    again = store(tmp_path)
    assert again.names() == ("binance.com main",)
    assert again.get("binance.com main")["api_secret"] == SECRET
    for file in tmp_path.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600
        for secret in (SECRET, "k-123456", "binance.com main"):
            assert secret.encode() not in file.read_bytes()
    assert SECRET not in repr(one)


def test_secrets_of_a_newer_release_are_refused_as_such_and_stay(tmp_path: Path) -> None:
    store(tmp_path).put("x", {"v": "1"}, wall_ms=5)
    newer = (tmp_path / "credentials").read_bytes().replace(b"credentials 1\n", b"credentials 2\n")
    (tmp_path / "credentials").write_bytes(newer)
    with pytest.raises(DataFolderUnusable, match="newer release"):
        store(tmp_path)
    assert (tmp_path / "credentials").read_bytes() == newer


def test_the_newest_edit_wins_in_both_orders_and_removals_stay(tmp_path: Path) -> None:
    one, two = store(tmp_path / "1", "a1"), store(tmp_path / "2", "b2")
    one.put("x", {"v": "old"}, wall_ms=5)
    two.put("x", {"v": "new"}, wall_ms=6)
    two.put("y", {"v": "1"}, wall_ms=6)
    assert two.merge(one.export()) is False
    assert one.merge(two.export()) is True
    assert one.get("x") == two.get("x") == {"v": "new"}
    assert one.digest() == two.digest()
    one.remove("y", wall_ms=1)  # with a late clock
    two.merge(one.export())
    assert two.names() == ("x",)
    assert two.get("y") == {}


def test_every_write_has_a_nonce_of_its_own(tmp_path: Path) -> None:
    one, files = store(tmp_path), set[bytes]()
    for number in range(3):
        one.put("x", {"v": "same"}, wall_ms=5)
        files.add((tmp_path / "credentials").read_bytes()[:60])
        assert len(files) == number + 1


@pytest.mark.parametrize("at", [0, 30, -1])
def test_a_changed_file_is_refused(tmp_path: Path, at: int) -> None:
    store(tmp_path).put("x", {"v": SECRET}, wall_ms=5)
    content = bytearray((tmp_path / "credentials").read_bytes())
    content[at] ^= 1
    (tmp_path / "credentials").write_bytes(content)
    with pytest.raises(DataFolderUnusable, match="is damaged"):
        store(tmp_path)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"x":1}', b"[" * 100_000, b"x" * 300_000])
def test_rubbish_of_a_node_changes_nothing_and_is_not_repeated(tmp_path: Path, content: bytes) -> None:
    one = store(tmp_path)
    with pytest.raises(MalformedClusterMessage) as caught:
        one.merge(content)
    assert len(str(caught.value)) < 100
    with pytest.raises(MalformedClusterMessage) as caught:
        one.merge(b'{"x":{"stamp":[1,"a1"],"fields":{"v":' + SECRET.encode() + b"}}}")
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__
    assert one.names() == ()


def test_secrets_are_bounded(tmp_path: Path) -> None:
    one = store(tmp_path)
    with pytest.raises(InvalidArgument) as caught:
        one.put("x", {"v": SECRET * 30_000}, wall_ms=5)
    assert SECRET not in str(caught.value)
    assert one.names() == ()


def test_what_is_exported_for_a_new_node_is_read_by_its_store(tmp_path: Path) -> None:
    one = store(tmp_path)
    one.merge(exported({"token read": {"secret": SECRET}}, node="b2", wall_ms=7))
    assert one.get("token read") == {"secret": SECRET}
