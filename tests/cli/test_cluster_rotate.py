"""`depthcache cluster rotate`: what it replaces, what it waits for, and where new secrets go."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from depthcache.cli.cluster_client import NodeClient, NodeRefused
from depthcache.cluster.authority import pem_blocks
from depthcache.cluster.core.access_tokens import Role
from tests.cli.test_cluster import Commands, served
from tests.cluster.managed import NEW_TOKEN, FakeAdmission, FakeNode
from tests.cluster.processes import DEADLINE_S, SYMBOLS, Processes, running
from tests.cluster.readers import OwnClient, RestReader, SocketReader, reading
from tests.server.asking import ADMIN

AUTHORITY = "5" * 64
"""What the doubles have: the one before, and after."""


@pytest.fixture
def admission(monkeypatch: pytest.MonkeyPatch) -> FakeAdmission:
    made = FakeAdmission()
    monkeypatch.setattr("tests.cluster.managed.FakeAdmission", lambda: made)
    return made


@pytest.fixture
def commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], admission: FakeAdmission
) -> Iterator[Commands]:
    found = Commands(FakeNode("b2", "c3"), tmp_path, capsys)
    for name in ("a1", "b2", "c3"):
        found.node.report_key(name)
    with served(found.node, tmp_path / "server") as found.url:
        yield found


def test_new_tokens_are_not_printed_and_the_command_keeps_its_access(
    commands: Commands, admission: FakeAdmission, tmp_path: Path
) -> None:
    (tmp_path / "admin").chmod(0o600)
    code, out, err = commands.run("rotate", "--tokens")
    assert (code, err) == (0, "")
    assert NEW_TOKEN not in out
    assert ADMIN not in out
    assert out.startswith("tokens: new ones are in read.token, exchange.token, admin.token of every node")
    assert admission.rotated == [Role.READ, Role.EXCHANGE, Role.MANAGE], "last the one that it uses"
    assert (tmp_path / "admin").read_text() == f"{NEW_TOKEN}\n"
    assert (tmp_path / "admin").stat().st_mode & 0o777 == 0o600


def test_a_token_file_that_cannot_be_written_changes_nothing(
    commands: Commands, admission: FakeAdmission, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda _, mode: mode != os.W_OK)
    for words in ("--tokens", "--all"):
        code, out, err = commands.run("rotate", words)
        assert (code, out) == (2, "")
        assert "the new admin token has to go there: nothing was changed" in err
    assert (admission.rotated, admission.authorities) == ([], 0)


def test_certificates_are_renewed_and_each_node_that_is_not_done_is_named(
    commands: Commands, admission: FakeAdmission
) -> None:
    assert commands.run("rotate", "--certificates") == (0, "certificates: 3 of 3 nodes done\n", "")
    assert admission.renewals == 1
    wanted = commands.node.core.wanted
    report = replace(wanted.certificates()["a1"], certificate="old")
    wanted.report_certificate(report, wall_ms=2**41)
    wanted.replace_certificates(wall_ms=2**41 + 1)
    code, out, _ = commands.run("rotate", "--certificates", "--timeout", "0.01")
    assert (code, out.splitlines()) == (
        1,
        [
            "certificates: 2 of 3 nodes done",
            "  a1: it has no new certificate yet",
            "nodes go on by themselves; repeat the command to see how far they are",
        ],
    )
    wanted.report_certificate(replace(report, certificate="new"), wall_ms=2**41 + 2)
    assert commands.json("rotate", "--certificates")["waits"] == {}


def test_an_authority_is_replaced_and_one_that_is_under_way_goes_on(
    commands: Commands, admission: FakeAdmission
) -> None:
    code, out, _ = commands.run("rotate", "--authority")
    assert (code, admission.authorities) == (0, 1)
    assert out.splitlines() == [
        "the authority and certificates: 3 of 3 nodes done",
        "clients of other machines need the new authority.pem of any node",
    ]
    commands.node.core.wanted.trust("pem", hash_="6" * 64, signature="x", wall_ms=2**41)
    code, out, err = commands.run("rotate", "--authority", "--timeout", "0.01")
    assert (code, admission.authorities) == (1, 1), "no second one is begun"
    assert "the authority is being replaced already" in err
    assert "  b2: it does not trust the new authority yet" in out


def test_all_is_the_authority_and_then_the_tokens(commands: Commands, admission: FakeAdmission) -> None:
    found = commands.json("rotate", "--all")
    assert (found["authority"], found["waits"]) == (AUTHORITY, {})
    assert sorted(found["tokens"]) == ["exchange", "manage", "read"]
    assert (admission.authorities, admission.renewals, len(admission.rotated)) == (1, 0, 3)


def test_nothing_to_replace_is_an_error(commands: Commands) -> None:
    assert "say what: --tokens, --certificates" in commands.run("rotate")[2]


def test_an_authority_without_a_key_that_is_up_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Commands(FakeNode("b2"), tmp_path, capsys)
    with served(found.node, tmp_path / "server") as found.url:
        code, _, err = found.run("rotate", "--authority")
    assert (code, err) == (2, "depthcache: no node that is up has the authority's key\n")


def test_an_older_node_is_named(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise NodeRefused(status=404, code="not_found", message="no")

    monkeypatch.setattr(NodeClient, "ask", refuse)
    code, _, err = commands.run("rotate", "--certificates")
    assert code == 2
    assert "the node runs an older release: use `depthcache cluster token` and `rotate-ca`" in err


async def rotate(cluster: Processes, *words: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "depthcache", "cluster", "rotate", *words),
        env=cluster.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    async with asyncio.timeout(4 * DEADLINE_S):
        out, _ = await process.communicate()
    return process.returncode, out.decode()


@pytest.mark.slow
@pytest.mark.processes
async def test_readers_notice_no_rotation(tmp_path: Path) -> None:
    """From a node without the authority's key, and from another machine."""
    async with running(tmp_path, "abc") as cluster:
        remote = tmp_path / "remote"
        remote.mkdir()
        for name, mode in (("authority.pem", 0o644), ("admin.token", 0o600)):
            (remote / name).write_bytes((cluster["b"].folder / name).read_bytes())
            (remote / name).chmod(mode)
        before = {each.id: each.folder.joinpath("node.pem").read_text() for each in cluster.up}
        there = ["--server", cluster["b"].url, "--ca", str(remote / "authority.pem")]
        there += ["--token-file", str(remote / "admin.token")]
        async with reading(cluster, SYMBOLS, (OwnClient, RestReader, SocketReader)) as readers:
            local = ["--data-dir", str(cluster["b"].folder), "--timeout", "100"]
            assert await rotate(cluster, "--certificates", *local) == (0, "certificates: 3 of 3 nodes done\n")
            for each in cluster.up:
                assert each.folder.joinpath("node.pem").read_text() != before[each.id]
            code, out = await rotate(cluster, "--all", *there, "--timeout", "100")
            assert code == 0, out
            new = pem_blocks(cluster["c"].authority.read_text())
            assert len(new) == 1
            assert new[0] in (remote / "authority.pem").read_text()
            given = (remote / "admin.token").read_text().strip()
            async with asyncio.timeout(DEADLINE_S):
                while cluster["c"].secret("admin") != given:  # noqa: ASYNC110 - a file of another process
                    await asyncio.sleep(0.05)
            code, out = await rotate(cluster, "--tokens", *there)
            assert code == 0, out
            await readers.progress()
            assert readers.faults == []
