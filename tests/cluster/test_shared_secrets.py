"""The secrets that equal nodes start with: their files, what rotations do to them, and nodes in processes."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from depthcache.cli.cluster_client import NodeRefused
from depthcache.cluster import shared_secrets
from depthcache.cluster.authority import Authority, authority_hashes, issuer_of
from depthcache.cluster.core.access_tokens import Role, digest_of
from depthcache.cluster.data_folder import DataFolder
from depthcache.cluster.errors import DataFolderUnusable, SecretsUnusable
from depthcache.cluster.secret_files import remove_file
from depthcache.cluster.shared_secrets import SECRET_FILES, SharedSecrets, export, make, read
from depthcache.errors import InvalidArgument
from tests.cluster.kept_nodes import BEGAN, FREE, KeptCluster, KeptNode
from tests.cluster.nodes import SPOT, SYMBOLS, exchange, until
from tests.cluster.processes import DEADLINE_S, NodeProcess, Processes


@pytest.fixture
def given(tmp_path: Path) -> SharedSecrets:
    return make(tmp_path / "secrets", cluster="amber-fox", now=BEGAN)


@pytest.fixture
def cluster(tmp_path: Path) -> KeptCluster:
    return KeptCluster(tmp_path)


# --- the files ---------------------------------------------------------------------------------


def test_the_files_hold_everything_for_their_owner_alone(given: SharedSecrets) -> None:
    assert {each.name for each in given.path.iterdir()} == set(SECRET_FILES)
    assert given.path.stat().st_mode & 0o777 == 0o700
    assert {each.stat().st_mode & 0o777 for each in given.path.iterdir()} == {0o600}
    assert read(given.path, now=BEGAN) == given
    shown = repr(given)
    assert given.authority.key.splitlines()[1] not in shown
    assert not any(secret in shown for secret in given.tokens.values())


def test_a_mounted_secret_is_read_through_its_links(given: SharedSecrets, tmp_path: Path) -> None:
    """Kubernetes mounts a folder of links, with a mode of its own, and root owns all."""
    mount, hidden = tmp_path / "mount", tmp_path / "mount" / "..2026_12_01"
    hidden.mkdir(parents=True)
    (mount / "..data").symlink_to(hidden.name)
    for name in SECRET_FILES:
        (hidden / name).write_bytes((given.path / name).read_bytes())
        (hidden / name).chmod(0o400)
        (mount / name).symlink_to(Path("..data") / name)
    assert read(mount, now=BEGAN).tokens == given.tokens


def stat(mode: int, owner: int) -> os.stat_result:
    return os.stat_result((0o100_000 | mode, 1, 1, 1, owner, 1000, 10, 0, 0, 0))


@pytest.mark.parametrize(
    ("mode", "owner", "reason"),
    [
        (0o600, "own", ""),
        (0o400, "own", ""),
        (0o440, "root", ""),
        (0o400, "root", ""),
        (0o640, "own", "its group may use it (mode 0640): allowed is mode 0600 or 0400"),
        (0o460, "root", "its group may use it (mode 0460)"),
        (
            0o444,
            "root",
            "all users may use it (mode 0444): allowed is mode 0600 or 0400; or 0440 if",
        ),
        (0o604, "own", "all users may use it"),
        (0o600, "other", "another user owns it (uid 4242)"),
    ],
)
def test_only_files_that_no_stranger_may_read_are_taken(
    monkeypatch: pytest.MonkeyPatch, mode: int, owner: str, reason: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    uid = {"own": 1000, "root": 0, "other": 4242}[owner]
    if not reason:
        shared_secrets._check_access(Path("s/read.token"), stat(mode, uid))
        return
    with pytest.raises(SecretsUnusable, match=re.escape(reason)) as caught:
        shared_secrets._check_access(Path("s/read.token"), stat(mode, uid))
    assert caught.value.path == "s/read.token"


def spoiled(name: str, content: str) -> Callable[[Path], None]:
    return lambda path: (path / name).write_text(content) and None


OTHER = Authority.create("amber-fox", now=BEGAN)
FOREIGN = Authority.create("opal-owl", now=BEGAN)


@pytest.mark.parametrize(
    ("spoil", "file", "reason"),
    [
        (lambda path: remove_file(path / "admin.token"), "", "lacks admin.token"),
        (spoiled("cluster", "Amber Fox\n"), "cluster", "holds no name of a cluster"),
        (spoiled("cluster", "opal-owl\n"), "authority.pem", "is the authority of cluster amber-fox"),
        (spoiled("authority.pem", ""), "authority.pem", "holds 0 certificates"),
        (spoiled("authority.pem", OTHER.certificate * 2), "authority.pem", "holds 2 certificates"),
        (
            spoiled("authority.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "authority.pem",
            "holds no certificate of the authority",
        ),
        (
            spoiled("authority.pem", FOREIGN.certificate),
            "authority.pem",
            "is the authority of cluster opal-owl",
        ),
        (spoiled("authority.key", OTHER.key), "authority.key", "is not the key of authority.pem"),
        (spoiled("authority.key", "no key\n"), "authority.key", "holds no private key"),
        (
            spoiled("read.token", ""),
            "read.token",
            "no token of this kind: allowed is one line with dcr_",
        ),
        (spoiled("read.token", "dca_" + "a" * 32), "read.token", "holds no token of this kind"),
        (spoiled("exchange.token", "dcx_short"), "exchange.token", "dcx_ and 32 to 128 letters"),
        (spoiled("admin.token", "dca_" + "a" * 70_000), "admin.token", "is larger than 64 KiB"),
        (lambda path: (path / "cluster").write_bytes(b"\xff\xfe"), "cluster", "is no text"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(
    given: SharedSecrets, spoil: Callable[[Path], Any], file: str, reason: str
) -> None:
    spoil(given.path)
    with pytest.raises(SecretsUnusable, match=re.escape(reason)) as caught:
        read(given.path, now=BEGAN)
    assert caught.value.path == str(given.path / file if file else given.path)
    assert "dca_aaaa" not in str(caught.value)


def test_a_folder_that_does_not_exist_and_an_authority_that_has_ended_are_named(given: SharedSecrets) -> None:
    with pytest.raises(SecretsUnusable, match="there is no such folder"):
        read(given.path / "none")
    with pytest.raises(SecretsUnusable, match="ended on 2036"):
        read(given.path, now=BEGAN + timedelta(days=4_000))


def test_secrets_are_made_in_a_new_or_empty_folder_alone(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir(mode=0o755)
    assert make(empty).cluster != make(tmp_path / "a" / "b").cluster
    assert empty.stat().st_mode & 0o777 == 0o700
    with pytest.raises(SecretsUnusable, match="is not empty") as caught:
        make(empty)
    assert caught.value.path == str(empty)
    with pytest.raises(SecretsUnusable, match="is no folder"):
        make(empty / "cluster")
    with pytest.raises(InvalidArgument, match="lower-case"):
        make(tmp_path / "bad", cluster="Amber Fox")
    assert not (tmp_path / "bad").exists()


def test_secrets_that_cannot_be_written_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []

    def full(path: Path, content: bytes) -> None:
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(path)
        path.write_bytes(content)

    monkeypatch.setattr(shared_secrets, "write_secret", full)
    with pytest.raises(SecretsUnusable, match="cannot be made: No space left"):
        make(tmp_path / "secrets")
    assert not (tmp_path / "secrets").exists()


# --- the folder of a node ------------------------------------------------------------------------


def test_a_new_node_has_a_certificate_of_its_own_and_all_secrets(
    given: SharedSecrets, tmp_path: Path
) -> None:
    one, two = (DataFolder.begin(tmp_path / name, FREE, given, now=BEGAN) for name in "ab")
    try:
        assert one.identity.node.id != two.identity.node.id
        assert one.identity.authority == two.identity.authority == given.authority.certificate
        assert one.identity.key != two.identity.key
        assert one.identity.is_issuer
        assert {name: one.token(name) for name in given.tokens} == given.tokens
        assert one.load_wanted().registered() == {one.identity.node.id}
        assert [each.hash for each in one.authorities()] == [given.authority.hash]
    finally:
        one.close()
        two.close()


def test_the_secrets_of_another_cluster_are_refused(given: SharedSecrets, tmp_path: Path) -> None:
    DataFolder.begin(tmp_path / "node", FREE, given, now=BEGAN).close()
    owl = make(tmp_path / "owl", cluster="opal-owl", now=BEGAN)
    with pytest.raises(SecretsUnusable, match=r"the secrets of cluster opal-owl, and .* cluster amber-fox"):
        DataFolder.open(tmp_path / "node", secrets=owl, now=BEGAN)
    same = make(tmp_path / "same", cluster="amber-fox", now=BEGAN)
    with pytest.raises(SecretsUnusable, match=r"none that the node of .* has trusted"):
        DataFolder.open(tmp_path / "node", secrets=same, now=BEGAN)
    DataFolder.open(tmp_path / "node", secrets=given, now=BEGAN).close()  # it is not locked or changed


def test_a_node_with_the_secrets_renews_its_own_certificate_after_a_long_time(
    given: SharedSecrets, tmp_path: Path
) -> None:
    DataFolder.begin(tmp_path / "node", FREE, given, now=BEGAN).close()
    late = DataFolder.open(tmp_path / "node", secrets=given, now=BEGAN + timedelta(days=30))
    assert late.was_away
    late.close()
    soon = DataFolder.open(tmp_path / "node", secrets=given, now=BEGAN + timedelta(days=31))
    assert not soon.was_away
    soon.close()


def test_a_folder_of_an_earlier_release_is_opened(given: SharedSecrets, tmp_path: Path) -> None:
    DataFolder.begin(tmp_path / "node", FREE, given, now=BEGAN).close()
    file = tmp_path / "node" / "node.json"
    file.write_text(re.sub(r',\s*"authorities": \[[^]]*\]', "", file.read_text()))
    assert "authorities" not in file.read_text()
    DataFolder.open(tmp_path / "node", now=BEGAN).close()
    assert given.authority.hash in file.read_text()


# --- a running cluster -----------------------------------------------------------------------------


async def three(cluster: KeptCluster, given: SharedSecrets) -> list[KeptNode]:
    nodes = [await cluster.appear(given) for _ in range(3)]
    await cluster.until(lambda: all(len(registered(node)) == 3 for node in nodes))
    await cluster.pass_s(3)
    return nodes


def registered(node: KeptNode) -> frozenset[str]:
    return node.runner.core.wanted.registered()


def accepts(node: KeptNode, secret: str, cluster: KeptCluster) -> bool:
    now_ms = cluster.now().timestamp() * 1_000
    found = [until for _, digest, until in node.tokens if digest.hex() == digest_of(secret)]
    return any(until is None or now_ms < until for until in found)


@pytest.mark.slow
def test_the_end_of_a_token_outlasts_the_secrets_that_nodes_start_with(
    cluster: KeptCluster, given: SharedSecrets
) -> None:
    async def test(cluster: KeptCluster) -> None:
        nodes = await three(cluster, given)
        old = given.tokens["admin"]
        assert all(accepts(node, old, cluster) for node in nodes)
        new = await nodes[1].housekeeping.rotate_token(Role.MANAGE, overlap_s=60)
        await cluster.until(lambda: all(node.folder.token("admin") == new for node in nodes))
        fresh = await cluster.appear(given)  # before the old one has ended
        await cluster.until(lambda: fresh.folder.token("admin") == new)
        assert accepts(fresh, old, cluster)
        await cluster.pass_s(100)
        assert not any(accepts(node, old, cluster) for node in (*nodes, fresh))
        tombstones = nodes[0].runner.core.wanted.map.tombstones
        await cluster.until(lambda: tombstones() == 0)
        later = await cluster.appear(given)  # nobody remembers the old one
        await cluster.until(lambda: later.folder.token("admin") == new)
        await nodes[2].stop()
        again = await restarted(cluster, nodes[2], given)
        await cluster.pass_s(10)
        for node in (*nodes[:2], fresh, later, again):
            assert not accepts(node, old, cluster)
            assert accepts(node, new, cluster)
            assert accepts(node, given.tokens["read"], cluster)
            assert node.folder.token("admin") == new

    cluster.run(test)


async def restarted(cluster: KeptCluster, node: KeptNode, given: SharedSecrets) -> KeptNode:
    cluster.nodes.remove(node)
    return await cluster.appear(given, node.folder.path)


@pytest.mark.slow
def test_a_new_authority_goes_to_all_nodes_with_its_key(
    cluster: KeptCluster, given: SharedSecrets, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(cluster: KeptCluster) -> None:
        nodes = await three(cluster, given)
        new = await nodes[1].housekeeping.rotate_authority()
        with pytest.raises(DataFolderUnusable, match="is being replaced: wait"):
            export(tmp_path / "early", nodes[1].folder.path, cluster="amber-fox")

        def is_done(nodes: list[KeptNode]) -> bool:
            return all([each.hash for each in node.folder.authorities()] == [new] for node in nodes)

        await cluster.until(lambda: is_done(nodes))
        await cluster.pass_s(10)
        for node in nodes:
            assert authority_hashes(node.session.authority) == (new,)
            assert issuer_of(node.session.authority, node.session.certificate) == new
            assert node.housekeeping.issuer() is not None
            names = [each for each in node.folder.credentials.names() if each.startswith("authority")]
            assert names == [f"authority {new}"]
            key = (node.folder.path / "authority.key").read_text()
            assert given.authority.key.splitlines()[1] not in key
        # A node of a folder takes no harm from the secrets of before, and a new one is not let in.
        await nodes[2].stop()
        caplog.clear()
        again = await restarted(cluster, nodes[2], given)
        assert "are older than the authority of the cluster" in caplog.text
        assert [each.hash for each in again.folder.authorities()] == [new]
        present = export(tmp_path / "present", again.folder.path, cluster="amber-fox")
        assert present.authority.hash == new
        assert read(present.path, now=cluster.now()) == present
        fresh = await cluster.appear(present)
        await cluster.until(lambda: len(registered(fresh)) == 4)
        newest = await fresh.housekeeping.rotate_authority()
        everybody = [*nodes[:2], again, fresh]
        await cluster.until(
            lambda: all([each.hash for each in node.folder.authorities()] == [newest] for node in everybody)
        )

    cluster.run(test)


@pytest.mark.slow
def test_two_nodes_that_replace_the_authority_at_once_end_with_one(
    cluster: KeptCluster, given: SharedSecrets
) -> None:
    async def test(cluster: KeptCluster) -> None:
        nodes = await three(cluster, given)
        made = await asyncio.gather(*(node.housekeeping.rotate_authority() for node in nodes[:2]))
        assert made[0] != made[1]

        def is_done() -> bool:
            found = {tuple(each.hash for each in node.folder.authorities()) for node in nodes}
            trusted = {authority_hashes(node.session.authority) for node in nodes}
            return found == trusted and found in ({(made[0],)}, {(made[1],)})

        await cluster.until(is_done, within_s=120)

    cluster.run(test)


def test_a_node_that_joined_by_token_takes_the_secrets_and_the_key(
    cluster: KeptCluster, tmp_path: Path
) -> None:
    """A cluster that was started without shared secrets gets equal nodes."""

    async def test(cluster: KeptCluster) -> None:
        await cluster.start(2)
        first, second = cluster.nodes
        assert second.housekeeping.issuer() is None
        with pytest.raises(DataFolderUnusable, match="does not have the authority's key"):
            export(tmp_path / "no", second.folder.path, cluster="amber-fox")
        given = export(tmp_path / "secrets", first.folder.path, cluster="amber-fox")
        equal = await cluster.appear(given)
        await cluster.until(lambda: len(registered(second)) == 3 and second.housekeeping.issuer() is not None)
        await second.stop()
        again = await restarted(cluster, second, given)
        await cluster.pass_s(10)
        assert registered(again) == registered(equal)
        assert again.stopped == ""

    cluster.run(test)


def test_a_removed_node_ends_although_it_has_the_secrets(cluster: KeptCluster, given: SharedSecrets) -> None:
    async def test(cluster: KeptCluster) -> None:
        nodes = await three(cluster, given)
        await nodes[2].stop()
        await nodes[0].housekeeping.remove(nodes[2].id)
        for node in nodes[:2]:  # they refuse its session
            cluster.wire.cut(nodes[2].id, node.id)
            cluster.wire.cut(node.id, nodes[2].id)
        again = await restarted(cluster, nodes[2], given)
        await cluster.until(lambda: "it was removed" in again.stopped)
        assert registered(nodes[0]) == {nodes[0].id, nodes[1].id}

    cluster.run(test)


# --- processes ------------------------------------------------------------------------------------


def free_ports(count: int) -> list[int]:
    from contextlib import ExitStack
    from socket import socket

    with ExitStack() as stack:
        found = [stack.enter_context(socket()) for _ in range(count)]
        for each in found:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in found]


@pytest.mark.slow
async def test_three_nodes_that_start_at_once_become_one_cluster(tmp_path: Path) -> None:
    secrets = make(tmp_path / "given", cluster="opal-owl")
    with exchange(symbols=SYMBOLS[:2]) as server:
        cluster = Processes(tmp_path, server)
        ports = free_ports(3)
        peers = [word for port in ports for word in ("--peer", f"127.0.0.1:{port}")]
        for name, port in zip("abc", ports, strict=True):
            node = cluster.nodes[name] = NodeProcess(tmp_path / name, cluster.environment)
            node.options = ("--secrets", str(secrets.path), *peers, "--port", "0", "--node-port", str(port))
        try:
            await asyncio.gather(*(node.restart() for node in cluster.nodes.values()))
            assert {node.secret("admin") for node in cluster.nodes.values()} == {secrets.tokens["admin"]}
            await cluster.settled()
            await add_books(cluster["b"], *SYMBOLS[:2])
            await cluster.settled()
            before = cluster["c"].id
            await cluster["c"].kill()
            await cluster["c"].restart()
            assert cluster["c"].id == before
            await cluster.settled()
        finally:
            cluster.end()


@pytest.mark.slow
@pytest.mark.processes
async def test_nodes_are_replaced_as_an_orchestrator_does_it(tmp_path: Path) -> None:
    """Drained and ended with a folder; ended without one; and with secrets from before a rotation."""
    secrets = make(tmp_path / "given", cluster="opal-owl")
    with exchange(symbols=SYMBOLS) as server:
        cluster, ports = Processes(tmp_path, server), free_ports(4)
        peers = [word for port in ports for word in ("--peer", f"localhost:{port}")]

        async def run(name: str, *options: str, given: Path = secrets.path) -> NodeProcess:
            node = cluster.nodes[name] = NodeProcess(tmp_path / name, cluster.environment)
            place = ("--port", "0", "--node-port", str(ports["abcd".index(name[0])]))
            node.options = ("--secrets", str(given), *peers, *place, "--handover", "30", *options)
            await node.restart()
            return node

        try:
            await asyncio.gather(run("a"), run("b"), run("c", "--ephemeral"))
            await cluster.settled()
            await add_books(cluster["a"], *SYMBOLS)
            await cluster.settled()
            # The hook of a pod, and its next process.
            code, _ = await command(cluster, "cluster", "drain", "--self", "--data-dir", str(tmp_path / "b"))
            assert code == 0
            assert not holds(await cluster["a"].status(), cluster["b"].id)
            assert await cluster["b"].terminate() == 0
            await cluster["b"].restart()
            await cluster["a"].wait(lambda status: holds(status, cluster["b"].id))
            # A node that loses its folder.
            gone = cluster.nodes.pop("c")
            assert await gone.terminate() == 0
            assert "left the cluster for good" in cluster["a"].log
            await run("c2", "--ephemeral")
            await cluster.settled()
            nodes = {each["id"] for each in (await cluster["a"].status())["nodes"]}
            assert nodes == {cluster[name].id for name in ("a", "b", "c2")}
            # A new authority: the earlier secrets let nobody in, the present ones do.
            await cluster["b"].ask("POST", "/authority", {})
            await until(
                lambda: "has taken over" in cluster["a"].log and "has taken over" in cluster["c2"].log
            )
            await cluster.settled()
            late = await run("d")
            assert "or the authority was replaced" in late.log
            with pytest.raises(NodeRefused, match="before it has met the other nodes"):
                await late.ask("POST", "/books", {"exchange": SPOT, "symbols": ["XUSDT"]})
            cluster.nodes.pop("d").end()
            folder = str(cluster["c2"].folder)
            code, _ = await command(cluster, "cluster", "secrets", str(tmp_path / "new"), "--from", folder)
            assert code == 0
            await run("d2", given=tmp_path / "new")
            await cluster.settled()
        finally:
            for name, node in cluster.nodes.items():
                print(f"--- {name}\n{node.log}")
            cluster.end()


async def add_books(node: NodeProcess, *symbols: str) -> None:
    """Once the node has met the others: it takes no change before."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                await node.ask("POST", "/books", {"exchange": SPOT, "symbols": list(symbols), "replicas": 2})
            except NodeRefused as error:
                if error.code != "apart":
                    raise
                await asyncio.sleep(0.1)
            else:
                return


def holds(status: dict[str, Any], node: str) -> bool:
    """Whether a node has a synced book."""
    return any(book["holders"].get(node) == "synced" for book in status["books"])


async def command(cluster: Processes, *words: str) -> tuple[int | None, str]:
    """The exit code and the output of a command."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "depthcache", *words),
        env=cluster.environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode()
