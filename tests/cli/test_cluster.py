"""`depthcache cluster`: what its commands ask and print, on a node without network and on real ones."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from rich.cells import cell_len

from depthcache import simulator
from depthcache.cli import main
from depthcache.cli.cluster_client import NodeClient
from depthcache.cli.cluster_look import look
from depthcache.cli.cluster_node import _address_towards, _check_ports
from depthcache.cli.cluster_status import is_whole, status_lines
from depthcache.cluster.core.members import MemberState, Node
from depthcache.cluster.core.ownership import ReplicaState
from depthcache.cluster.data_folder import DataFolder, NodeOptions
from depthcache.cluster.moves import Move
from depthcache.cluster.zenoh_network import ZenohNetwork
from depthcache.errors import ConnectionFailed, UsageError
from tests.cli.programs import running
from tests.cli.test_completion import completed
from tests.cluster.managed import BTC, ETH, JOIN_TOKEN, NEW_TOKEN, WALL_MS, FakeNode, serving
from tests.server.asking import ADMIN, DEADLINE_S, READ, ask

SPOT = "binance.com"


class Commands:
    """Commands that ask one node, which runs on another thread."""

    def __init__(self, node: FakeNode, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.node, self._folder, self._capsys = node, folder, capsys
        for name, secret in (("read", READ), ("admin", ADMIN)):
            (folder / name).write_text(f"{secret}\n")
        self.url = ""

    def where(self, by: str = "admin") -> list[str]:
        """The options that name the node."""
        return ["--server", self.url, "--token-file", str(self._folder / by)]

    def run(self, *words: str, by: str = "admin") -> tuple[int, str, str]:
        """Exit code, output and errors of a command."""
        code = main(["cluster", *words, *self.where(by)])
        return (code, *self._capsys.readouterr())

    def json(self, *words: str) -> Any:
        """What it prints with --json."""
        code, out, err = self.run(*words, "--json")
        assert (code, err) == (0, "")
        assert out.count("\n") == 1
        return json.loads(out)


@contextmanager
def served(node: FakeNode, folder: Path) -> Iterator[str]:
    """The URL of the node while it is served."""
    urls: list[str] = []
    is_ready, is_over = threading.Event(), threading.Event()

    async def run() -> None:
        async with serving(folder, node) as running:
            urls.append(running.url)
            is_ready.set()
            await asyncio.to_thread(is_over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        assert is_ready.wait(DEADLINE_S)
        yield urls[0]
    finally:
        is_over.set()
        thread.join()


@pytest.fixture
def commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Commands]:
    found = Commands(FakeNode("b2", "c3"), tmp_path, capsys)
    with served(found.node, tmp_path / "server") as found.url:
        yield found


def test_a_node_is_drained_until_its_next_start(commands: Commands) -> None:
    """What a hook before the end of a process does: books that nobody can get hold it up in no way."""
    commands.node.core.create(BTC, ETH, replicas=3, settings={}, now_ns=0, wall_ms=WALL_MS)
    commands.node.core.take_commands(0)
    for peer in ("b2", "a1"):
        commands.node.report(peer, BTC, ReplicaState.SYNCED)
    code, out, _ = commands.run("drain", "--self", "--timeout", "0.01")
    assert (code, out) == (1, "node a1 is being drained, until it starts again\n")
    assert commands.node.core.wanted.drained_runs() == {"a1": 1}
    commands.node.report("c3", BTC, ReplicaState.SYNCED)
    assert commands.run("drain", "--self")[:2] == (0, "node a1 holds no book, until it starts again\n")
    assert commands.run("drain", "--self", "--undo")[:2] == (0, "node a1 can hold books again\n")
    assert commands.node.core.wanted.draining() == frozenset()
    for words in (("drain",), ("drain", "a1", "--self")):
        code, _, err = commands.run(*words)
        assert (code, "name a node, or give --self" in err) == (2, True)


# --- shared secrets ---------------------------------------------------------------------------


def test_secrets_are_made_and_what_comes_next_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "secrets"
    assert main(["cluster", "secrets", str(path), "--name", "amber-fox"]) == 0
    out, _ = capsys.readouterr()
    assert f"kubectl create secret generic amber-fox --from-file={path}\n" in out
    assert f"depthcache cluster start --secrets {path}" in out
    secrets = {(path / name).read_text().strip() for name in ("read.token", "admin.token", "authority.key")}
    assert not any(each.splitlines()[-1] in out for each in secrets)
    assert main(["cluster", "secrets", str(path)]) == 2
    assert f"{path}: is not empty: choose a new or an empty folder" in capsys.readouterr().err
    assert main(["cluster", "secrets", str(tmp_path / "b"), "--name", "Bad Name"]) == 2
    assert "--name" in capsys.readouterr().err
    assert main(["cluster", "secrets", str(tmp_path / "b"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["dir"] == str(tmp_path / "b")
    assert sorted(found["files"]) == sorted(each.name for each in (tmp_path / "b").iterdir())
    assert found["cluster"] == (tmp_path / "b" / "cluster").read_text().strip()
    assert len(found["authority"]) == 64


def test_a_node_that_has_not_met_the_others_does_not_call_itself_ready() -> None:
    from depthcache.cli.cluster_node import headline

    assert headline("opal-owl", 2, of=3, not_ready="") == 'depthcache cluster "opal-owl", node 2 of 3, ready'
    apart = headline("opal-owl", 1, of=1, not_ready="no other node was reached yet at b\x1b[2J")
    assert apart.startswith(
        'depthcache cluster "opal-owl", node 1 of 1, not ready: no other node was reached'
    )
    assert "\x1b" not in apart


def test_the_secrets_of_a_node_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = NodeOptions(port=0, node_port=0)
    folder = DataFolder.create(tmp_path / "node", options, cluster="opal-owl")  # it runs, and has its lock
    words = ["cluster", "secrets", str(tmp_path / "s"), "--from"]
    try:
        assert main([*words, str(tmp_path / "node")]) == 0
        assert (tmp_path / "s" / "admin.token").read_text() == folder.token("admin")
        assert main([*words, str(tmp_path / "node"), "--name", "x"]) == 2
        assert main([*words, str(tmp_path / "none")]) == 2
        assert "node.json" in capsys.readouterr().err
    finally:
        folder.close()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--peer", "b"), "--peer needs --secrets DIR"),
        (("--ephemeral",), "--ephemeral needs --secrets DIR"),
        (("--secrets", "none"), "none: there is no such folder: `depthcache cluster secrets DIR` makes one"),
        (("--secrets", "s", "--peer", "b:0"), "--peer"),
        (("--secrets", "s", "--peer", "http://b"), "HOST or HOST:PORT, such as node1.example"),
        (
            ("--secrets", "s", "--cluster", "opal-owl"),
            "the secrets of cluster amber-fox, not of opal-owl",
        ),
        (
            ("--secrets", "s", "--data-dir", "owl"),
            "amber-fox, and owl is the folder of a node of cluster",
        ),
        (("--handover", "-1"), "--handover"),
    ],
)
def test_a_start_with_secrets_that_cannot_be_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    reason: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    assert main(["cluster", "secrets", "s", "--name", "amber-fox"]) == 0
    DataFolder.create(Path("owl"), NodeOptions(port=0, node_port=0), cluster="opal-owl").close()
    assert main(["cluster", "start", *words]) == 2
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "home").exists()


# --- books -----------------------------------------------------------------------------------


def test_books_are_added_changed_and_removed(commands: Commands) -> None:
    assert commands.run("add", "btcusdt", "ETHUSDT") == (0, "2 books added\n", "")
    assert {key: book.replicas for key, book in commands.node.core.wanted.books().items()} == {BTC: 2, ETH: 2}
    words = "1 book added, 1 there already (`depthcache cluster set` changes them)\n"
    assert commands.run("add", "BTCUSDT", "BNBUSDT", "--depth", "500", "--replicas", "1") == (0, words, "")
    assert commands.run("set", "BTCUSDT", "--replicas", "3", "--speed-ms", "100")[:2] == (
        0,
        "1 book changed\n",
    )
    book = commands.node.core.wanted.books()[BTC]
    assert (book.replicas, book.settings) == (3, (("speed_ms", 100),))
    code, out, _ = commands.run("remove", "BTCUSDT", "NOUSDT")
    assert (code, out) == (1, "1 book removed, not kept: NOUSDT\n")
    assert BTC not in commands.node.core.wanted.books()


def test_every_change_prints_one_json_object(commands: Commands) -> None:
    found = commands.json("add", "BTCUSDT", "--replicas", "4")
    assert (found["created"], found["existing"]) == (["BTCUSDT"], [])
    assert found["note"].startswith("4 replicas are wanted and 3 nodes can hold books")
    assert commands.json("set", "BTCUSDT", "--replicas", "1") == {"changed": ["BTCUSDT"]}
    assert commands.json("remove", "BTCUSDT") == {"stopped": ["BTCUSDT"], "missing": []}
    assert commands.json("remove", "--node", "b2") == {"node": "b2", "removed": True}
    assert commands.json("drain", "c3") == {"node": "c3", "draining": True, "empty": True}
    assert commands.json("token", "join")["command"][-1] == JOIN_TOKEN


def test_many_symbols_go_in_several_requests(commands: Commands) -> None:
    """A body has at most 64 KiB."""
    symbols = [f"AVERYLONGSYMBOLWITHOUTEND{number}" for number in range(2_500)]
    assert commands.run("add", *symbols)[:2] == (0, "2500 books added\n")
    assert len(commands.node.core.wanted.books()) == 2_500
    assert commands.run("remove", *symbols)[:2] == (0, "2500 books removed\n")


def test_add_waits_until_books_are_synced_as_often_as_they_can_be(commands: Commands) -> None:
    code, out, _ = commands.run("add", "BTCUSDT", "--replicas", "2", "--timeout", "0.01")
    assert code == 1
    assert out.startswith("1 book added, not all synced after 0.01 s\nBTCUSDT: ")
    for peer in ("b2", "c3"):
        commands.node.report(peer, BTC, ReplicaState.SYNCED)
    code, out, _ = commands.run("add", "BTCUSDT", "--timeout", "30")
    assert code == 0
    assert out.endswith(", all synced\n")


# --- nodes and tokens ------------------------------------------------------------------------


def test_a_node_is_drained_until_it_holds_no_book(commands: Commands) -> None:
    commands.run("add", "BTCUSDT")
    commands.node.report("b2", BTC, ReplicaState.SYNCED)
    code, out, _ = commands.run("drain", "b", "--timeout", "0.01")
    assert (code, out) == (1, "node b2 is being drained\n")
    commands.node.core.books.on_report("b2", BTC, None, 0)
    assert commands.run("drain", "b2")[:2] == (0, "node b2 holds no book\n")
    assert commands.node.core.wanted.draining() == {"b2"}
    assert commands.run("drain", "b2", "--undo")[:2] == (0, "node b2 can hold books again\n")
    assert commands.node.core.wanted.draining() == frozenset()


def test_a_node_is_asked_to_leave(commands: Commands) -> None:
    assert commands.run("leave", "--timeout", "0.01")[:2] == (1, "node a1 is leaving\n")
    assert commands.node.is_leaving


def test_tokens_go_to_stdout_and_words_to_stderr(commands: Commands) -> None:
    code, out, err = commands.run("token", "join")
    assert (code, out) == (0, f"depthcache cluster join 10.0.0.1:42080 {JOIN_TOKEN}\n")
    assert err == "depthcache: for one node, within 30 minutes; add options as `cluster join --help` says\n"
    for role, file in (("read", "read"), ("manage", "admin"), ("exchange", "exchange")):
        code, out, err = commands.run("token", role)
        assert (code, out) == (0, f"{NEW_TOKEN}\n")
        words = f"depthcache: this is now in {file}.token of every node; earlier ones end at "
        assert err.startswith(words)


def test_another_authority_takes_over(commands: Commands) -> None:
    code, out, _ = commands.run("rotate-ca")
    assert (code, out) == (
        0, f"the authority {'5' * 16}… takes over; clients of other machines need the new authority.pem\n"
    )  # fmt: skip
    assert commands.json("rotate-ca") == {"authority": "5" * 64}


# --- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("drain", "zz"), "no node has the id 'zz': the nodes are a1, b2, c3"),
        (("set", "BTCUSDT", "--replicas", "1"), "the cluster does not keep BTCUSDT on binance.com"),
        (("add", "BTC USDT"), "invalid symbol"),
        (("add", "BTCUSDT", "--speed-ms", "7"), "invalid speed_ms 7"),
        (("remove", "--node", "a1"), "a node cannot remove itself"),
        (("drain", "../../books"), "no node has the id"),
    ],
)
def test_what_a_node_refuses_is_one_line(commands: Commands, words: tuple[str, ...], said: str) -> None:
    code, out, err = commands.run(*words)
    assert (code, out) == (2, "")
    assert err.startswith(f"depthcache: {said}")
    assert err.count("\n") == 1


def test_a_read_token_reads_and_changes_nothing(commands: Commands) -> None:
    assert commands.run("status", by="read")[0] == 0
    code, _, err = commands.run("add", "BTCUSDT", by="read")
    assert (code, err) == (2, "depthcache: this needs the admin token: --token-file admin.token\n")


def test_a_token_of_another_cluster_is_named_as_that(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("dcr_of-another-cluster")
    code, _, err = commands.run("status", by="other")
    words = f"{commands.url} does not know this token: is it of this cluster, and the newest one?"
    assert (code, err) == (2, f"depthcache: {words}\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data-dir", "/nonexistent"], "there is no node in /nonexistent: "),
        (["--cluster", "red-fox"], "there is no node of red-fox on this machine: "),
        ([], "there is no node of a cluster on this machine: "),
        (["--server", "https://127.0.0.1:1"], "--server needs --token-file FILE"),
        (["--token-file", "x"], "--token-file needs --server URL"),
        (["--ca", "x"], "--ca needs --server URL"),
        (["--server", "https://h:1", "--cluster", "red-fox"], "name a node by --server, or by --data-dir"),
        (["--server", "https://h:1/x", "--token-file", "TOKEN"], "invalid --server 'https://h:1/x'"),
        (["--server", "h:1", "--token-file", "TOKEN", "--ca", "nowhere"], "invalid --ca 'nowhere'"),
        (["--server", "h:1", "--token-file", "TOKEN", "--ca", "TOKEN"], "invalid --ca "),
        (
            ["--server", "127.0.0.1:1", "--token-file", "TOKEN"],
            "connection to http://127.0.0.1:1 failed: no node answers there: does it run?",
        ),
        (["--server", "http://10.0.0.1:1", "--token-file", "TOKEN"], "invalid --server 'http://10.0.0.1:1'"),
        (["--server", "https://u:p@h:1", "--token-file", "TOKEN"], "invalid --server"),
        (["--server", "https://h:99999", "--token-file", "TOKEN"], "invalid --server"),
        (
            ["--server", "http://127.0.0.1:1", "--token-file", "TOKEN"],
            "connection to http://127.0.0.1:1 failed",
        ),
        (["--server", "http://127.0.0.1:1", "--token-file", "EMPTY"], "invalid token file"),
    ],
)
def test_a_node_that_cannot_be_asked_is_one_line(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (tmp_path / "token").write_text(READ)
    (tmp_path / "empty").write_text("")
    files = {"TOKEN": str(tmp_path / "token"), "EMPTY": str(tmp_path / "empty")}
    code = main(["cluster", "status", *(files.get(word, word) for word in words)])
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.startswith(f"depthcache: {said}")
    assert err.count("\n") == 1


def test_a_program_that_is_no_book_server_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_text(READ)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<html>\x1b[31m")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        code = main(["cluster", "status", "--server", url, "--token-file", str(tmp_path / "token")])
        thread.join()
    assert (code, capsys.readouterr().err) == (
        2,
        f"depthcache: {url} answers with status 200, and is no book server\n",
    )


# --- status ----------------------------------------------------------------------------------


def test_the_status_says_what_is_wrong_and_exits_with_1(commands: Commands) -> None:
    commands.run("add", "BTCUSDT", "--replicas", "3")
    assert commands.run("status", by="read")[0] == 1
    for peer in ("b2", "c3"):
        commands.node.report(peer, BTC, ReplicaState.SYNCED)
    commands.node.report("a1", BTC, ReplicaState.STALE)
    commands.node.reasons.reasons[BTC] = "gap: updates 5 to 9 are missing"
    commands.node.history = [Move(WALL_MS, "a1", *BTC, "began", source="exchange", why="created or changed")]
    code, out, _ = commands.run("status", by="read")
    assert code == 1
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == "cluster amber-fox: 3 of 3 nodes up, 1 book, 1 not synced as wanted"
    assert "a1* alive 1 0 older (1) 10.0.0.161:42081 -" in lines
    assert "BTCUSDT binance.com 2 of 3 gap: updates 5 to 9 are missing" in lines
    assert "- binance.com 120 6,000" in lines
    assert "00:53:20 a1 BTCUSDT began exchange created or changed" in lines
    commands.node.report("a1", BTC, ReplicaState.SYNCED)
    code, out, _ = commands.run("status", by="read")
    assert code == 0
    assert out.startswith("cluster amber-fox: 3 of 3 nodes up, 1 book, all synced\n")
    commands.node.see("b2", MemberState.SUSPECT)
    code, out, _ = commands.run("status", by="read")
    assert code == 1, "a node is not there"
    assert "2 of 3 node b2 is suspect" in " ".join(out.split())


def test_nodes_that_may_hold_no_book_are_not_missed(commands: Commands) -> None:
    """A book on every node that may hold one is as wanted, even if more replicas were asked for."""
    commands.run("add", "BTCUSDT", "--replicas", "3")
    commands.node.report("c3", BTC, ReplicaState.SYNCED)
    commands.node.report("b2", BTC, ReplicaState.SYNCED)
    assert "1 not synced as wanted" in commands.run("status")[1]
    commands.run("drain", "a1", "--timeout", "0")
    code, out, _ = commands.run("status")
    assert code == 0
    assert "1 book, all synced, 1 lacks replicas\n" in out


def test_a_cluster_that_nobody_can_join_says_so(commands: Commands) -> None:
    words = "no node that is up has the authority's key: none can join or renew certificates"
    assert words in commands.run("status")[1].splitlines()
    commands.node.report_key()
    assert words not in commands.run("status")[1]
    nodes = {each["id"]: each["has_authority_key"] for each in commands.json("status")["nodes"]}
    assert nodes == {"a1": True, "b2": False, "c3": False}


def test_the_status_as_json_has_the_moves(commands: Commands) -> None:
    found = commands.json("status")
    assert (found["cluster"], found["node"], found["moves"]) == ("amber-fox", "a1", [])


def status(books: int = 1, **changes: Any) -> dict[str, Any]:
    """The status of two nodes with long names."""
    ids = ["3f2a91bc00000001", "a0b1c2d3e4f50002"]
    address = "a-very-long-host-name-of-a-rack.example.internal:42081"
    nodes = [{"id": each, "state": "draining", "address": address, "zone": "zone-" * 9} for each in ids]
    nodes.append({"id": "9" * 16, "state": "away", "address": None})
    book = {
        "exchange": "binance.com-coin_futures",
        "symbol": "币安人生" * 6,
        "replicas": 2,
        "holders": {ids[0]: "synced", ids[1]: "starting"},
        "synced": 0,
        "reasons": {ids[1]: "snapshot refused: HTTP 418 until 2026-11-30 20:00:00 " * 3},
    }
    weight = {"egress": "frankfurt-nat-gateway-7", "pool": "binance.com-futures spot", "limit": 2_400}
    return {
        "cluster": "amber-fox",
        "node": ids[0],
        "nodes": nodes,
        "books": [{**book, **changes} for _ in range(books)],
        "weight": [{**weight, "used": 1, "exchange_used": None}],
    }


def moves(count: int) -> list[dict[str, Any]]:
    move = {"node": "3f2a91bc00000001", "exchange": SPOT, "symbol": "币安人生" * 6, "what": "began"}
    more = {"source": "a0b1c2d3e4f50002", "why": "node a0b1c2d3e4f50002 is dead " * 3, "took_s": 0.0}
    return [{"at_ms": WALL_MS + at * 1_000, **move, **more} for at in range(count)]


def test_a_status_fits_80_columns_whatever_it_says() -> None:
    lines = status_lines(status(), moves(9))
    assert max(map(cell_len, lines)) <= 80
    assert any(line.endswith("…") for line in lines), "what does not fit is cut with a mark"
    assert sum("began" in line for line in lines) == 5, "the newest moves"
    assert any("a0b1c2d3  node a0b1c2d3 is dead" in line for line in lines), "ids as in the table of nodes"


def test_an_upgrade_that_is_under_way_and_a_node_that_is_kept_out_are_shown() -> None:
    found = status(symbol="BTCUSDT")
    for node, version, protocol in zip(found["nodes"], ("3.1.0", None), ([1, 2], [1, 1]), strict=False):
        node |= {"version": version, "protocol": protocol}
    reason = "node 9999999999999999 (depthcache 9.0.0) speaks version 8 to 9, this node 1 to 2"
    found["nodes"][2] |= {"state": "incompatible", "reason": reason}
    found["versions"] = [None, "3.1.0"]
    lines = status_lines(found, [])
    assert max(map(cell_len, lines)) <= 80
    assert lines[0].endswith(", 2 versions")
    columns = [" ".join(line.split()[:5]) for line in lines if line.startswith(("3f2a", "a0b1"))]
    assert columns[0].endswith("3.1.0")
    assert columns[1].endswith("older")
    said = " ".join(lines)
    assert "node 99999999 is kept out: node 99999999 (depthcache 9.0.0) speaks version 8 to 9" in said
    assert not is_whole(found)


def test_only_so_many_books_are_shown_and_the_others_counted() -> None:
    lines = status_lines(status(30, symbol="BTCUSDT"), [])
    assert sum(line.startswith("BTCUSDT") for line in lines) == 20
    assert "… and 10 more: --books shows all" in lines
    assert (
        sum(
            line.startswith("BTCUSDT")
            for line in status_lines(status(30, symbol="BTCUSDT"), [], shows_all=True)
        )
        == 30
    )


def test_where_no_reason_is_known_the_states_of_the_replicas_are_shown() -> None:
    [line] = [
        each for each in status_lines(status(symbol="BTCUSDT", reasons={}), []) if each.startswith("BTC")
    ]
    assert line.endswith("a0b1c2d3 starting")


def test_what_a_node_says_cannot_move_the_cursor() -> None:
    lines = status_lines(status(symbol="A\x1b[2J", reasons={"a": "\x1b]0;x\x07"}), [])
    assert not any("\x1b" in line or "\x07" in line for line in lines)


def test_reasons_weight_and_moves_come_from_all_nodes_that_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    node = FakeNode("b2", "c3")
    asyncio.run(node.fake.create(BTC, replicas=3, settings={}))
    node.report("b2", BTC, ReplicaState.SYNCED)
    node.report("c3", BTC, ReplicaState.STARTING)
    assert node.status()["books"][0]["holders"]["a1"] == "starting"
    addresses = {f"https://{each['address']}": each["id"] for each in node.status()["nodes"]}

    def move(name: str, at_ms: int) -> dict[str, Any]:
        return {"node": name, "at_ms": at_ms}

    def answer(client: NodeClient, _method: str, path: str) -> Any:
        name = addresses[client.url]
        if name == "c3":
            raise ConnectionFailed(url=client.url, reason="refused")
        if path:
            return {"moves": [move(name, 1 if name == "b2" else 2), move(name, 3)]}
        status = json.loads(json.dumps(node.status()))
        status["node"] = name
        status["books"][0]["reason"] = f"of {name}"
        status["weight"][0]["exchange_used"] = 500 if name == "b2" else None
        return status

    monkeypatch.setattr(NodeClient, "ask", answer)
    url = f"https://{node.identity.node.address}"
    found, moves = look(NodeClient(url=url, token=READ, authority=Path("authority.pem")))
    assert found["books"][0]["reasons"] == {"a1": "of a1"}, "b2 is synced, c3 does not answer"
    assert [each["exchange_used"] for each in found["weight"]] == [500]
    assert [(each["at_ms"], each["node"]) for each in moves] == [(1, "b2"), (2, "a1"), (3, "a1"), (3, "b2")]
    found, moves = look(NodeClient(url=url, token=READ))
    assert len(moves) == 2, "without the authority no other node can be checked"


def test_a_program_that_only_takes_connections_is_no_node() -> None:
    """Another one uses the port, or the node is frozen: that is clear long before a response is late."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        node = NodeClient(url=url, token=READ, connect_s=0.01, timeout_s=2 * DEADLINE_S)
        with pytest.raises(ConnectionFailed, match=r"no connection within 0\.01 s: does another program"):
            node.ask("GET", "")
    assert node.connect_s < NodeClient(url=url, token=READ).connect_s < 10


@pytest.mark.slow
def test_watch_looks_again_until_ctrl_c(commands: Commands) -> None:
    with running("cluster", "status", "--watch", "--json", *commands.where("read")) as program:
        assert json.loads(program.line())["cluster"] == "amber-fox"
        assert program.end(signal.SIGINT)[0] == 0


# --- completion ------------------------------------------------------------------------------


def test_nodes_and_clusters_are_completed(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offered = completed(
        "cluster", "drain", *commands.where("read"), "c", monkeypatch=monkeypatch, capsys=capsys
    )
    assert offered == ["c3"]
    gone = ["--server", "http://127.0.0.1:1", "--token-file", str(tmp_path / "read")]
    assert completed("cluster", "drain", *gone, "", monkeypatch=monkeypatch, capsys=capsys) == []
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    folder = tmp_path / "depthcache" / "red-fox"
    folder.mkdir(parents=True)
    (folder / "node.json").write_text("{}")
    offered = completed("cluster", "status", "--cluster", "r", monkeypatch=monkeypatch, capsys=capsys)
    assert offered == ["red-fox"]


# --- running nodes ---------------------------------------------------------------------------


def test_what_a_node_cannot_run_with_is_refused_in_the_words_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))

    def refused(*words: str) -> str:
        assert main(["cluster", *words, "--port", "0", "--node-port", "0"]) == 2
        return capsys.readouterr().err

    assert refused("start", "--host", "bad host").startswith("depthcache: invalid --host 'bad host': ")
    assert "--listen 0.0.0.0 and :: need --host: " in refused("start", "--listen", "::")
    assert "192.0.2.77 is not an address of this machine" in refused("start", "--listen", "192.0.2.77")
    said = refused("start", "--compat-listen", "0.0.0.0:1")
    assert "invalid --compat-listen '0.0.0.0:1'" in said
    assert "or --compat-allow with networks" in said
    assert "HOST:PORT comes first" in refused("join", JOIN_TOKEN, "10.0.0.1:42080")
    assert "this is not a join token" in refused("join", "10.0.0.1:42080", "dcr_1")
    monkeypatch.setenv("DEPTHCACHE_SERVER", "https://10.0.0.1:42081")
    assert "unset DEPTHCACHE_SERVER" in refused("start")
    monkeypatch.setitem(sys.modules, "zenoh", None)
    assert "a cluster needs the package eclipse-zenoh" in refused("join", "10.0.0.1:42080", JOIN_TOKEN)
    assert not (tmp_path / "depthcache").exists(), "nothing was made"


def test_a_port_that_is_taken_is_named_before_anything_is_made() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        for options, option in (
            (NodeOptions(port=port, node_port=0), "--port"),
            (NodeOptions(port=0, node_port=port), "--node-port"),
        ):
            with pytest.raises(UsageError, match=f"port {port} of 127.0.0.1 is taken.* {option} 0 "):
                _check_ports(options)


def test_a_port_for_old_clients_that_is_taken_is_named_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        words = (
            "--port",
            "0",
            "--node-port",
            "0",
            "--data-dir",
            str(tmp_path / "x"),
            "--compat-listen",
            taken,
        )
        assert main(["cluster", "start", *words]) == 2
    said = capsys.readouterr().err
    assert said.endswith("is taken, perhaps by another node; choose another with --compat-listen\n")
    assert not (tmp_path / "x").exists()


def test_a_wait_without_a_number_of_seconds_is_refused(commands: Commands) -> None:
    code, _, err = commands.run("add", "BTCUSDT", "--timeout", "nan")
    assert code == 2
    assert "nan is no number of seconds" in err


SIGNALS = [(signal.SIGTERM,), (signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT)]


def interrupt(signals: tuple[signal.Signals, ...]) -> None:
    """As a user or a service manager does."""
    for each in signals:
        os.kill(os.getpid(), each)


@pytest.mark.parametrize("signals", SIGNALS, ids=str)
def test_a_join_that_waits_for_an_answer_ends_at_a_signal(
    signals: tuple[signal.Signals, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(DEADLINE_S)

        def wait() -> None:
            with silent.accept()[0]:
                interrupt(signals)
                main_thread_is_done.wait(DEADLINE_S)

        main_thread_is_done = threading.Event()
        waiting = threading.Thread(target=wait)
        waiting.start()
        token, folder = f"dcj_{'a' * 64}_{'s' * 32}", tmp_path / "node"
        where = f"127.0.0.1:{silent.getsockname()[1]}"
        ports = ["--port", "0", "--node-port", "0", "--data-dir", str(folder)]
        try:
            assert main(["cluster", "join", where, token, *ports]) == 130
        finally:
            main_thread_is_done.set()
            waiting.join()
    assert not folder.exists()
    said = capsys.readouterr().err
    assert said == "depthcache: interrupted before the node had joined; the token may still be good\n"


@pytest.mark.parametrize("signals", SIGNALS[1:], ids=str)
def test_a_node_that_is_told_to_end_while_it_starts_ends_as_one_that_runs(
    signals: tuple[signal.Signals, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    started = ZenohNetwork._open

    def open_later(network: ZenohNetwork, me: Node) -> None:
        interrupt(signals)
        started(network, me)

    monkeypatch.setattr(ZenohNetwork, "_open", open_later)
    folder = tmp_path / "node"
    assert main(["cluster", "start", "--port", "0", "--node-port", "0", "--data-dir", str(folder)]) == 0
    out, err = capsys.readouterr()
    assert out == "", "it was never ready"
    assert err.endswith("depthcache: ending\n")
    DataFolder.open(folder, NodeOptions()).close()


def test_a_node_that_joins_listens_where_the_other_one_can_reach_it() -> None:
    assert _address_towards("127.0.0.1:42080") == "127.0.0.1"
    assert _address_towards("[::1]:42080") in ("::1", None)
    assert _address_towards("a host\0:1") is None


@pytest.mark.slow
def test_a_cluster_of_two_processes_from_start_to_leave(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    free = ("--port", "0", "--node-port", "0", "--json")

    def asked(folder: str, *words: str) -> Any:
        code = main(["cluster", *words, "--data-dir", str(tmp_path / folder), "--json"])
        out, err = capsys.readouterr()
        assert (code, err) == (0, ""), out
        return json.loads(out)

    with simulator.serve(seed=3) as exchange:
        environment = dict(exchange.environment) | {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
        start = ("cluster", "start", "--data-dir", str(tmp_path / "one"), *free)
        with running(*start, environment=environment) as one:
            ready = json.loads(one.line())
            page, _, token = ready["page"].partition("#token=")
            assert (page[:17], token) == ("http://127.0.0.1:", ready["read_token"]), (
                "browsers know no authority"
            )
            assert b"<html" in ask(urlsplit(page).port or 0, "/", token=None).body
            assert asked("one", "add", "BTCUSDT", "--timeout", "60")["synced"] is True
            join = (*ready["join"], "--data-dir", str(tmp_path / "two"), *free)
            with running(*join, environment=environment) as two:
                joined = json.loads(two.line())
                assert (joined["join"], joined["read_token"]) == (None, ready["read_token"])
                assert asked("one", "drain", ready["node"], "--timeout", "60")["empty"] is True
                [book] = asked("two", "status")["books"]
                assert book["holders"] == {joined["node"]: "synced"}
                asked("one", "drain", ready["node"], "--undo")
                made = asked("two", "token", "read")["token"]
                until(lambda: made in (tmp_path / "one" / "read.token").read_text())
                assert asked("one", "status")["cluster"] == ready["cluster"], "it takes the new token"
                assert asked("two", "leave", "--timeout", "60")["left"] is True
                assert two.rest()[0] == 0
            with running(
                "cluster", "start", "--data-dir", str(tmp_path / "two"), environment=environment
            ) as two:
                code, out, err = two.rest()
                assert (code, out) == (2, "")
                assert err.endswith(
                    f"node {joined['node']} cannot run: it has left the cluster: "
                    "delete its data folder, then the machine can join again\n"
                )
            assert [each["id"] for each in asked("one", "status")["nodes"]] == [ready["node"]]
            code, out, err = one.end(signal.SIGTERM)
    assert (code, out) == (0, "")
    *log, end = err.splitlines()
    assert end == "depthcache: ending"
    assert all(re.match(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ (INFO|WARNING) ", line) for line in log), log
    for said in (
        f"node {joined['node']} has joined the cluster",
        f"node {ready['node']} hands its books over",
        "all that this node took is synced after ",
        "there are new access tokens of the cluster, roles: read",
        f"node {joined['node']} has left the cluster for good",
    ):
        assert said in err
    for path in (tmp_path / "one").glob("*.token"):
        assert path.stat().st_mode & 0o777 == 0o600
    secret = (tmp_path / "one" / "admin.token").read_text().strip()
    assert secret not in json.dumps([ready, joined]), "only the name of its file"


def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    is_over = threading.Event()
    for _ in range(DEADLINE_S * 100):
        if is_so():
            return
        is_over.wait(0.01)
    raise AssertionError("it never became so")
