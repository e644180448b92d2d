"""The file of `--env-file`: who understands it, who may read it, and what it never replaces."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from depthcache.cli.env_file import env_file
from depthcache.errors import InvalidArgument

VARIABLES = {
    "DEPTHCACHE_BINANCE_COM_REST": "http://127.0.0.1:9000/binance.com",
    "DEPTHCACHE_BINANCE_COM_WEBSOCKET": "ws://127.0.0.1:9000/binance.com",
    "DEPTHCACHE_PROXIES": "false",
}


def as_docker_reads_it(path: Path) -> dict[str, str]:
    """Every line but comments is a name and a value as it is (docker run, --env-file, 2026); systemd reads
    such lines in the same way where a value has neither quotes nor backslashes (systemd.exec)."""
    lines = [line for line in path.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_docker_and_shells_read_the_same(tmp_path: Path) -> None:
    path = tmp_path / "exchange.env"
    with env_file(path, VARIABLES):
        script = 'set -a; . "$0"; env'
        ran = subprocess.run(
            ["sh", "-c", script, str(path)], env={}, capture_output=True, text=True, check=True
        )
        read_by_sh = dict(line.split("=", 1) for line in ran.stdout.splitlines())
        assert {name: read_by_sh[name] for name in VARIABLES} == VARIABLES
        assert as_docker_reads_it(path) == VARIABLES


def test_it_is_there_within_the_block_alone_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "exchange.env"
    with env_file(path, VARIABLES):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [each.name for each in tmp_path.iterdir()] == ["exchange.env"]
    assert list(tmp_path.iterdir()) == []


def test_it_is_removed_after_an_error_too(tmp_path: Path) -> None:
    path = tmp_path / "exchange.env"
    with pytest.raises(KeyError), env_file(path, VARIABLES):
        raise KeyError
    assert not path.exists()


def test_a_file_of_its_own_kind_is_replaced_as_after_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "exchange.env"
    with env_file(path, {"OLD": "1"}):
        with env_file(path, VARIABLES):
            assert as_docker_reads_it(path) == VARIABLES
        assert not path.exists()
    assert not path.exists()


def test_the_file_of_another_is_left_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "exchange.env"
    with env_file(path, VARIABLES):
        path.unlink()
        path.write_text("SECRET=1\n")
    assert path.read_text() == "SECRET=1\n"


@pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling"])
def test_nothing_else_is_ever_replaced(tmp_path: Path, kind: str) -> None:
    path, other = tmp_path / ".env", tmp_path / "other"
    match kind:
        case "file":
            path.write_text("SECRET=1\n")
        case "folder":
            path.mkdir()
        case "link":
            other.write_text("# Written by depthcache simulate")
            path.symlink_to(other)
        case _:
            path.symlink_to(other)
    with pytest.raises(InvalidArgument, match=r"env-file.*nothing is"), env_file(path, VARIABLES):
        pass
    assert path.is_symlink() or path.exists()
    assert not path.is_file() or "SECRET" in path.read_text() or path.is_symlink()


@pytest.mark.parametrize("value", ["a b", "it's", "$HOME", "a\nb", "~", 'a"b', "a\\b"])
def test_a_value_that_readers_take_differently_is_refused(tmp_path: Path, value: str) -> None:
    path = tmp_path / "exchange.env"
    with (
        pytest.raises(InvalidArgument, match="DEPTHCACHE_CA_FILE"),
        env_file(path, {"DEPTHCACHE_CA_FILE": value}),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_without_a_path_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with env_file(None, VARIABLES):
        assert list(tmp_path.iterdir()) == []
