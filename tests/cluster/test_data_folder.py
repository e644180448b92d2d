"""The files of a node: made whole or not at all, for one process, refused where they do not fit together."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from depthcache.cluster import data_folder as module
from depthcache.cluster.authority import Authority, hosts_of, make_node_key, node_of, trusts
from depthcache.cluster.core.access_tokens import Role, role_of
from depthcache.cluster.data_folder import (
    DataFolder,
    NodeOptions,
    check_empty,
    clusters_root,
    find_folder,
)
from depthcache.cluster.errors import DataFolderUnusable, JoinRefused
from depthcache.cluster.wanted_file import WantedFile
from depthcache.errors import InvalidArgument, UsageError

NOW = datetime(2026, 11, 30, tzinfo=UTC)
FREE = NodeOptions(port=0, node_port=0)
ALL = "0.0.0.0"  # noqa: S104


@pytest.fixture(autouse=True)
def _own_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


@pytest.fixture
def path() -> Path:
    folder = DataFolder.create(None, FREE, cluster="amber-fox", now=NOW)
    folder.close()
    return folder.path


def test_a_start_makes_a_cluster_with_a_name_an_authority_and_a_first_node(tmp_path: Path) -> None:
    folder = DataFolder.create(None, FREE, now=NOW)
    given = folder.identity
    assert folder.path == tmp_path / "depthcache" / given.cluster
    assert given.is_issuer
    assert given.node.run == NOW.timestamp()
    assert trusts(given.authority, given.certificate, now=NOW)
    assert node_of(given.certificate) == (given.node.id, NOW + timedelta(days=7))
    assert "127.0.0.1" in hosts_of(given.certificate)
    wanted = folder.load_wanted()
    assert wanted.registered() == {given.node.id}
    assert wanted.listens() == {given.node.id: given.listen}
    for name, role in (("read", Role.READ), ("admin", Role.MANAGE)):
        assert role_of(str(folder.token(name)), wanted.tokens(), wall_ms=1) is role
    folder.close()


def test_all_files_are_for_their_owner_alone(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o700
    files = [each for each in path.iterdir() if each.stat().st_mode & 0o777 != 0o600]
    assert files == []


def test_a_start_from_an_older_copy_is_later_than_the_last_one(path: Path) -> None:
    """As of a backup, or of a virtual machine: other nodes ignore what an earlier run says."""
    older = path.with_name("older")
    shutil.copytree(path, older)
    for _ in range(5):
        folder = DataFolder.open(path, now=NOW)
        last = folder.identity.node.run
        folder.close()
    folder = DataFolder.open(older, now=NOW + timedelta(minutes=1))
    folder.close()
    assert folder.identity.node.run > last


def test_a_restart_keeps_the_id_and_the_ports_and_counts(path: Path) -> None:
    runs = []
    for _ in range(2):
        folder = DataFolder.open(path, now=NOW)
        runs.append(folder.identity)
        folder.close()
    began = int(NOW.timestamp())
    assert [each.node.run for each in runs] == [began + 1, began + 2]
    assert runs[0].node.id == runs[1].node.id
    assert (runs[0].listen, runs[0].node.address) == (runs[1].listen, runs[1].node.address)
    assert runs[0].listen != runs[0].node.address


def test_a_folder_is_used_by_one_process_at_a_time(path: Path) -> None:
    folder = DataFolder.open(path, now=NOW)
    with pytest.raises(DataFolderUnusable, match=f"already, as process {os.getpid()}"):
        DataFolder.open(path, now=NOW)
    folder.close()
    DataFolder.open(path, now=NOW).close()


@pytest.mark.slow
def test_a_killed_process_leaves_no_lock(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from depthcache.cluster.secret_files import FolderLock; "
        "lock = FolderLock(Path(sys.argv[1])); print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(DataFolderUnusable, match=f"as process {process.pid}"):
            DataFolder.open(path, now=NOW)
        process.kill()
        process.wait()
    DataFolder.open(path, now=NOW).close()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version":1}', b"\xff\xfe", b"[" * 100_000])
def test_damaged_facts_are_refused_and_counted_no_start(path: Path, content: bytes) -> None:
    (path / "node.json").write_bytes(content)
    with pytest.raises(DataFolderUnusable, match=r"node\.json: is damaged: restore it"):
        DataFolder.open(path, now=NOW)
    assert (path / "node.json").read_bytes() == content


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("run", "3"),
        ("hosts", "h"),
        ("peers", [1]),
        ("listen", "x"),
        ("cluster", "../x"),
        ("capacity", "much"),
    ],
)
def test_facts_of_a_wrong_kind_are_refused(path: Path, name: str, value: object) -> None:
    facts = json.loads((path / "node.json").read_text())
    (path / "node.json").write_text(json.dumps({**facts, name: value}))
    with pytest.raises(DataFolderUnusable, match="is damaged"):
        DataFolder.open(path, now=NOW)


def test_a_folder_of_a_newer_release_is_refused_as_such(path: Path) -> None:
    facts = json.loads((path / "node.json").read_text())
    (path / "node.json").write_text(json.dumps({**facts, "version": 2}))
    with pytest.raises(DataFolderUnusable, match="newer release"):
        DataFolder.open(path, now=NOW)


def test_what_a_newer_release_added_to_the_facts_is_kept(path: Path) -> None:
    facts = json.loads((path / "node.json").read_text())
    added = {"rack": {"row": 3}, "unknown": ["x"]}
    (path / "node.json").write_text(json.dumps(facts | added))
    DataFolder.open(path, now=NOW).close()
    found = json.loads((path / "node.json").read_text())
    assert {name: found[name] for name in added} == added
    assert found.keys() == facts.keys() | added.keys()


def test_a_journal_with_records_of_a_newer_release_is_refused_as_such_and_stays(path: Path) -> None:
    journal = WantedFile(path / "wanted.journal")
    journal.load()
    journal.append([b'{"type":"packed_content","cells":[]}'])
    before = journal.path.read_bytes()
    with pytest.raises(DataFolderUnusable, match="a newer one wrote it"):
        DataFolder.open(path, now=NOW)
    assert journal.path.read_bytes() == before


def test_files_of_another_cluster_or_node_are_refused_by_name(path: Path) -> None:
    other = DataFolder.create(None, FREE, cluster="red-fox", now=NOW)
    other.close()
    sibling = make_node_key("b2")
    issued = Authority((path / "authority.pem").read_text(), (path / "authority.key").read_text()).issue(
        sibling.request, node="b2", hosts=["h"], now=NOW
    )
    for name, content, reason in (
        ("authority.pem", (other.path / "authority.pem").read_text(), "node.pem: is not of the authority of"),
        ("authority.key", (other.path / "authority.key").read_text(), "is not the key of authority.pem"),
        ("node.pem", (other.path / "node.pem").read_text(), "is not of the authority of cluster amber-fox"),
        ("node.pem", issued, "is the certificate of another node"),
        ("node.pem", "rubbish", "node.pem: is damaged"),
        ("node.key", sibling.key, "is not the key of node.pem"),
        ("node.key", "", "node.key: is damaged"),
        ("credentials", (other.path / "credentials").read_bytes(), "credentials.key is not its key"),
        ("credentials.key", "", "holds no key"),
    ):
        before = (path / name).read_bytes()
        (path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(DataFolderUnusable, match=reason):
            DataFolder.open(path, now=NOW)
        (path / name).write_bytes(before)
    DataFolder.open(path, now=NOW).close()


def test_a_missing_file_is_named(path: Path) -> None:
    (path / "node.key").unlink()
    with pytest.raises(DataFolderUnusable, match=r"node\.key: cannot be read: No such file"):
        DataFolder.open(path, now=NOW)
    with pytest.raises(DataFolderUnusable, match="there is no such folder"):
        DataFolder.open(path / "none", now=NOW)


def test_a_key_that_others_may_read_is_refused(path: Path) -> None:
    (path / "node.key").chmod(0o640)
    with pytest.raises(DataFolderUnusable, match="others may read it"):
        DataFolder.open(path, now=NOW)


def test_an_ended_certificate_is_renewed_by_the_node_that_issues_and_refused_elsewhere(path: Path) -> None:
    late = NOW + timedelta(days=8)
    folder = DataFolder.open(path, now=late)
    assert trusts(folder.identity.authority, folder.identity.certificate, now=late)
    folder.close()
    (path / "authority.key").unlink()
    with pytest.raises(DataFolderUnusable, match="ended on 2026-12-15"):
        DataFolder.open(path, now=late + timedelta(days=8))


def test_other_addresses_get_another_certificate_at_the_node_that_issues(path: Path) -> None:
    options = NodeOptions(listen=ALL, hosts=("host1.example",), zone="rack-1", capacity=2)
    folder = DataFolder.open(path, options, now=NOW)
    assert {"host1.example", "localhost"} <= hosts_of(folder.identity.certificate)
    assert folder.identity.node.address.startswith("host1.example:")
    assert (folder.identity.node.zone, folder.identity.bind) == ("rack-1", ALL)
    folder.close()
    again = DataFolder.open(path, now=NOW)
    assert again.identity.node.zone == "rack-1"
    again.close()


def test_a_certificate_of_another_node_does_not_replace_this_nodes(path: Path) -> None:
    folder = DataFolder.open(path, now=NOW)
    (authority,) = folder.authorities()
    request = make_node_key("b2", key=folder.identity.key).request
    for wrong in (authority.issue(request, node="b2", hosts=["h"], now=NOW), "rubbish"):
        with pytest.raises(JoinRefused, match="not for this node"):
            folder.write_certificate(wrong, now=NOW)
    folder.close()


def test_a_start_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write_facts", full)
    with pytest.raises(DataFolderUnusable, match="cannot be made: No space"):
        DataFolder.create(None, FREE, now=NOW)
    assert list((tmp_path / "depthcache").iterdir()) == []


@pytest.mark.parametrize("has_own_folder", [False, True])
def test_a_folder_that_is_there_becomes_that_of_a_node(
    has_own_folder: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A volume cannot be replaced by a rename, and may have a folder of its file system."""
    rename, volume = Path.rename, tmp_path / "volume"

    def rename_no_volume(self: Path, target: Path) -> Path:
        if target == volume:
            raise OSError(16, "Device or resource busy")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", rename_no_volume)
    volume.mkdir(mode=0o755)
    if has_own_folder:
        (volume / "lost+found").mkdir()
        (volume / ".volume.0a1b2c3d.new").mkdir()  # of a process that was killed while it made the folder
    DataFolder.create(volume, FREE, now=NOW).close()
    folder = DataFolder.open(volume, now=NOW)
    assert folder.identity.is_issuer
    assert volume.stat().st_mode & 0o777 == 0o700
    assert [each.name for each in tmp_path.iterdir()] == ["volume"]
    assert [each for each in volume.iterdir() if each.name.startswith(".")] == []
    folder.close()


def test_a_folder_on_a_full_disk_is_named_and_stays_as_it_is(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", ".node.json.new")

    before = {each.name: each.read_bytes() for each in path.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_secret", full)
        with pytest.raises(DataFolderUnusable, match="cannot be written: No space left on device"):
            DataFolder.open(path, now=NOW)
    assert {each.name: each.read_bytes() for each in path.iterdir() if each.name != "lock"} == {
        name: content for name, content in before.items() if name != "lock"
    }
    DataFolder.open(path, now=NOW).close()


def test_a_start_overwrites_nothing(path: Path) -> None:
    with pytest.raises(DataFolderUnusable, match="has a node"):
        DataFolder.create(path, FREE, now=NOW)


@pytest.mark.parametrize(
    "options",
    [
        {"listen": "host1"},
        {"port": 65_536},
        {"node_port": -1},
        {"capacity": 0},
        {"listen": ALL},
        {"port": 5, "node_port": 5},
        *({"capacity": each} for each in (-1.0, float("nan"), float("inf"))),
        *({"listen": each} for each in ("[::1]", "localhost", "10.0.0.1:42080", "")),
        *({"hosts": (each,)} for each in ("", "a b", "http://x", "x:1", "[::1]", "10.0.0", "-x", "x" * 254)),
        *({name: each} for name in ("zone", "egress") for each in ("a\nb", "\x1b[2J", "z" * 65)),
    ],
    ids=str,
)
def test_options_that_cannot_work_are_refused_before_there_is_a_folder(
    options: dict[str, object], tmp_path: Path
) -> None:
    """A folder that keeps them could never be started again."""
    with pytest.raises(InvalidArgument):
        DataFolder.create(tmp_path / "x", NodeOptions(**options), now=NOW)  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"hosts": ("node-1.example", "10.0.0.1", "::1")},
        {"listen": "::1", "hosts": ("xn--bcher-kva.example", "a_b")},
        {"zone": "Gebäude 3 / rack 7", "egress": ""},
        {"capacity": 0.001},
    ],
    ids=str,
)
def test_odd_options_that_work_are_taken(options: dict[str, object], tmp_path: Path) -> None:
    given: dict[str, Any] = {"port": 0, "node_port": 0, **options}
    with closing(DataFolder.create(tmp_path / "x", NodeOptions(**given), now=NOW)) as folder:
        assert set(options.get("hosts", ())) <= set(folder.identity.hosts)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("file", "is no folder"),
        ("file/below", "cannot be made: "),
        ("full/x", "cannot be made: No space left"),
    ],
)
def test_a_folder_that_cannot_be_made_is_named_before_a_token_is_used_up(
    where: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if where.startswith("full"):
        monkeypatch.setattr(module, "write_secret", full)
    with pytest.raises(DataFolderUnusable, match=words) as raised:
        check_empty(tmp_path / where)
    assert raised.value.path == str(tmp_path / where)
    with pytest.raises(InvalidArgument, match="such as amber-fox"):
        DataFolder.create(None, FREE, cluster="../up", now=NOW)


def test_a_command_finds_the_only_cluster_and_asks_which_of_several(path: Path, tmp_path: Path) -> None:
    assert find_folder(cluster=None, data_dir=None) == path
    assert find_folder(cluster="red-fox", data_dir=None) is None
    assert find_folder(cluster=None, data_dir=tmp_path / "none") is None
    assert find_folder(cluster=None, data_dir=path) == path
    DataFolder.create(None, FREE, cluster="red-fox", now=NOW).close()
    with pytest.raises(UsageError, match="name one of amber-fox, red-fox"):
        find_folder(cluster=None, data_dir=None)
    assert find_folder(cluster="amber-fox", data_dir=None) == path
    assert clusters_root() == tmp_path / "depthcache"
