"""`depthcache cluster doctor`: what it prints, which node it asks, and its exit codes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from depthcache.cli import cluster_doctor, main
from depthcache.cli.cluster_client import NodeClient
from depthcache.cluster.probing import Port, Probe
from depthcache.errors import ConnectionFailed
from tests.cluster.processes import NodeProcess, running
from tests.cluster.test_diagnosis import facts, node

URL = "https://10.0.0.1:42081"


class Nodes:
    """Answers in the place of nodes; those that are not up do not."""

    def __init__(self) -> None:
        self.up, self.asked = {URL}, list[tuple[str, str, str]]()
        self.report: dict[str, Any] = {}
        self.status: Any = {}
        self.change()

    def change(self, **changes: Any) -> None:
        """What is found."""
        given = facts(**changes)
        self.report = {"cluster": "amber-fox", "node": "a1", "at_ms": given.at_ms, "nodes": list(given.nodes)}
        self.report |= {"tokens": given.tokens, "trusted": given.trusted, "issuers": given.issuers}
        self.status = given.status

    def ask(self, client: NodeClient, method: str, path: str, _body: object = None) -> Any:
        self.asked.append((client.url, method, path))
        if client.url not in self.up:
            raise ConnectionFailed(url=client.url, reason="no node answers there")
        return self.report if path == "/check" else self.status


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Nodes:
    found = Nodes()

    async def probed(port: Port, address: str, **_: object) -> Probe:
        from depthcache.cluster.probing import Reach

        return Probe(port=port, address=address, reach=Reach.REACHED)

    monkeypatch.setattr(NodeClient, "ask", lambda client, *words: found.ask(client, *words))
    monkeypatch.setattr("depthcache.cluster.probing.probe", probed)
    (tmp_path / "admin").write_text("dca_secretsecretsecret")
    return found


@pytest.fixture
def doctor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*words: str) -> tuple[int, str, str]:
        where = ["--server", URL, "--token-file", str(tmp_path / "admin")]
        code = main(["cluster", "doctor", *words, *where])
        return (code, *capsys.readouterr())

    return run


def test_a_cluster_without_a_fault_is_exit_code_0(nodes: Nodes, doctor: Any) -> None:
    code, out, err = doctor()
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "ok   nodes: all 3 nodes are up"
    assert "ok   from here: the port for readers of 3 nodes can be reached" in lines
    assert lines[-1] == "cluster amber-fox: nothing is wrong"


def test_warnings_and_failures_are_exit_code_1_and_say_what_to_do(nodes: Nodes, doctor: Any) -> None:
    nodes.change(issuers=["a1"])
    code, out, _ = doctor()
    assert code == 1
    assert "warn authority's key: only on a1\n      -> copy authority.key" in out
    assert out.endswith("cluster amber-fox: 1 warning\n")
    nodes.change(issuers=[])
    assert doctor()[:2][1].endswith("cluster amber-fox: 1 failure\n")


def test_no_node_is_exit_code_2(nodes: Nodes, doctor: Any) -> None:
    nodes.up.clear()
    code, out, err = doctor()
    assert (code, out) == (2, "")
    assert "no node answers there" in err


def test_json_has_all_findings_on_one_line(nodes: Nodes, doctor: Any) -> None:
    code, out, _ = doctor("--json")
    assert (code, out.count("\n")) == (0, 1)
    found = json.loads(out)
    assert (found["cluster"], found["node"], found["server"]) == ("amber-fox", "a1", URL)
    assert found["findings"][0] == {
        "check": "nodes", "severity": "ok", "measured": "all 3 nodes are up", "advice": ""
    }  # fmt: skip


def test_what_nodes_send_cannot_write_to_the_terminal(nodes: Nodes, doctor: Any) -> None:
    evil = "\x1b[2J\u202e"
    nodes.change(nodes=())
    nodes.report["nodes"] = [node("a1"), node(evil, "alive", check=None, problem=evil)]
    nodes.report["cluster"] = evil
    _, out, _ = doctor()
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_a_report_that_cannot_be_read_is_one_line(nodes: Nodes, doctor: Any) -> None:
    nodes.report.pop("nodes")
    code, out, err = doctor()
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "use the release of the cluster" in err


def test_another_node_is_asked_when_that_of_this_machine_is_down(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = "https://10.0.0.2:42081"
    nodes.up = {other}
    client = NodeClient(url=URL, token="x" * 20, folder=tmp_path)
    monkeypatch.setattr(cluster_doctor, "node_of", lambda *_, **__: client)
    monkeypatch.setattr(cluster_doctor, "_others", lambda _: ["10.0.0.3:42081", "10.0.0.2:42081"])
    assert main(["cluster", "doctor"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("fail node of this machine: no node answers there\n      -> another node answered")
    assert [url for url, _, path in nodes.asked if path == "/check"] == [URL, "https://10.0.0.3:42081", other]


@pytest.mark.slow
async def test_real_nodes_are_checked_and_one_that_was_killed_is_named(tmp_path: Path) -> None:
    async with running(tmp_path, "ab") as cluster:

        async def examine(at: NodeProcess) -> dict[str, Any]:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "depthcache", "cluster", "doctor", "--json"),
                *("--data-dir", str(at.folder)),
                env=cluster.environment,
                stdout=subprocess.PIPE,
            )
            out, _ = await process.communicate()
            for name in ("read", "admin", "exchange"):
                assert at.secret(name).encode() not in out
            return {each["check"]: each for each in json.loads(out)["findings"]}

        one, other = cluster["a"], cluster["b"]
        found = await examine(one)
        assert found["nodes"]["measured"] == "all 2 nodes are up"
        assert found["links"]["measured"].startswith("all 2 links between nodes work on both ports")
        assert found["from here"]["severity"] == "ok"
        await one.kill()
        await other.wait(lambda status: {each["state"] for each in status["nodes"]} == {"alive", "away"})
        found = await examine(one)
        assert found["node of this machine"]["severity"] == "fail"
        lost = found[f"node {one.id[:8]}"]
        assert lost["measured"].startswith("away: its process does not run")
