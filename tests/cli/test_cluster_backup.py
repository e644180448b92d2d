"""`depthcache cluster backup` and `restore`, and how commands go on when a node is lost."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from depthcache.cli.cluster_client import NodeClient, NodeRefused
from depthcache.cli.cluster_nodes import AnyNode
from depthcache.cluster.backup import Backup
from depthcache.cluster.core.ownership import ReplicaState
from depthcache.errors import ConnectionFailed
from tests.cli.test_cluster import Commands, served
from tests.cluster.managed import BTC, ETH, FakeNode
from tests.server.asking import ADMIN, READ


@pytest.fixture
def commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Commands]:
    found = Commands(FakeNode("b2", "c3"), tmp_path, capsys)
    with served(found.node, tmp_path / "server") as found.url:
        yield found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "books.json"


def kept(commands: Commands) -> dict[str, tuple[int, dict[str, Any]]]:
    books = commands.node.core.wanted.books().values()
    return {each.key.symbol: (each.replicas, dict(each.settings)) for each in books}


def fill(commands: Commands) -> None:
    commands.run("add", "BTCUSDT", "--depth", "500", "--replicas", "3")
    commands.run("add", "ETHUSDT")


def test_what_is_backed_up_is_restored_into_another_cluster(commands: Commands, file: Path) -> None:
    fill(commands)
    before = kept(commands)
    words = f"2 books of cluster amber-fox written to {file}\n"
    assert commands.run("backup", str(file), by="read") == (0, words, "")
    assert READ not in file.read_text()
    assert ADMIN not in file.read_text()
    commands.run("remove", "BTCUSDT", "ETHUSDT")
    file.write_text(file.read_text().replace("amber-fox", "green-owl"))
    assert commands.run("restore", str(file), "--edited") == (0, "2 books added\n", "")
    assert kept(commands) == before
    assert commands.run("restore", str(file), "--edited") == (0, "2 as in the backup\n", "")


def test_a_restore_changes_what_differs_exactly_and_leaves_the_rest(commands: Commands, file: Path) -> None:
    fill(commands)
    commands.run("backup", str(file))
    commands.run("remove", "BTCUSDT")
    commands.run("set", "ETHUSDT", "--depth", "20", "--replicas", "1")
    commands.run("add", "BNBUSDT")
    code, out, _ = commands.run("restore", str(file), "--dry-run", by="read")
    assert (code, out.splitlines()) == (
        1,
        [
            "+ BTCUSDT on binance.com: 3 replicas, depth 500",
            "~ ETHUSDT on binance.com: 1 replica, depth 20 -> 2 replicas",
            "1 book to add, 1 book to change, 1 not in the backup, left alone",
        ],
    )
    assert kept(commands) == {"ETHUSDT": (1, {"depth": 20}), "BNBUSDT": (2, {})}
    words = "1 book added, 1 book changed, 1 not in the backup, left alone\n"
    assert commands.run("restore", str(file)) == (0, words, "")
    assert kept(commands) == {"BTCUSDT": (3, {"depth": 500}), "ETHUSDT": (2, {}), "BNBUSDT": (2, {})}


def test_exact_also_removes_but_not_without_a_yes(commands: Commands, file: Path) -> None:
    fill(commands)
    commands.run("backup", str(file))
    commands.run("add", "BNBUSDT")
    code, out, _ = commands.run("restore", str(file), "--exact", "--dry-run")
    assert (code, out.splitlines()[0]) == (1, "- BNBUSDT on binance.com: 2 replicas")
    code, _, err = commands.run("restore", str(file), "--exact")
    assert code == 2
    assert "--exact would remove 1 book: add --yes" in err
    assert len(kept(commands)) == 3
    found = commands.json("restore", str(file), "--exact", "--yes")
    assert [each["symbol"] for each in found["removed"]] == ["BNBUSDT"]
    assert (found["same"], found["left"], found["dry_run"]) == (2, 0, False)
    assert sorted(kept(commands)) == ["BTCUSDT", "ETHUSDT"]
    assert commands.run("restore", str(file), "--exact", "--yes")[:2] == (0, "2 as in the backup\n")


@pytest.mark.parametrize(("answer", "left"), [("n\n", 2), ("y\n", 1)])
def test_a_terminal_is_asked_before_books_are_removed(
    commands: Commands, file: Path, monkeypatch: pytest.MonkeyPatch, answer: str, left: int
) -> None:
    commands.run("add", "BTCUSDT")
    commands.run("backup", str(file))
    commands.run("add", "BNBUSDT")
    typed = io.StringIO(answer)
    typed.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdin", typed)
    code, _, _ = commands.run("restore", str(file), "--exact")
    assert (code == 0) == (left == 1)
    assert len(kept(commands)) == left


def test_both_streams_can_take_the_place_of_the_file(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(commands)
    code, out, err = commands.run("backup", "-")
    assert (code, err) == (0, "")
    commands.run("remove", "ETHUSDT")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(out.encode())))
    assert commands.run("restore", "-")[:2] == (0, "1 book added, 1 as in the backup\n")
    assert "leave out --json" in commands.run("backup", "-", "--json")[2]


def test_a_backup_without_a_name_gets_one_of_cluster_and_time(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = commands.json("backup")
    assert found["file"].startswith("amber-fox-20")
    assert Backup.parse((tmp_path / found["file"]).read_bytes(), name="x").books == ()
    assert not list(tmp_path.glob(".*.new"))


def test_a_backup_that_cannot_be_written_leaves_the_one_before(commands: Commands, tmp_path: Path) -> None:
    code, out, err = commands.run("backup", str(tmp_path / "no" / "books.json"))
    assert (code, out) == (2, "")
    assert "cannot write" in err
    (tmp_path / "taken").mkdir()
    assert commands.run("backup", str(tmp_path / "taken"))[0] == 2
    assert not list(tmp_path.glob(".*.new"))


@pytest.mark.parametrize("content", ["", "{", '{"version": 9}'])
def test_a_file_that_is_no_backup_changes_nothing(commands: Commands, file: Path, content: str) -> None:
    fill(commands)
    before = kept(commands)
    file.write_text(content)
    code, out, err = commands.run("restore", str(file), "--exact", "--yes")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "nothing was changed" in err
    assert kept(commands) == before
    assert "cannot read" in commands.run("restore", str(file.with_name("no")))[2]


def test_a_restore_that_fails_in_the_middle_is_completed_by_the_next(commands: Commands, file: Path) -> None:
    """Books of one kind go in one request; the second one finds a full disk."""
    fill(commands)
    commands.run("backup", str(file))
    commands.run("remove", "BTCUSDT", "ETHUSDT")
    before = commands.node.fake._stored
    calls: list[int] = []

    async def stored() -> int:
        calls.append(1)
        commands.node.fake.is_full = len(calls) == 2
        return await before()

    commands.node.fake._stored = stored  # type: ignore[method-assign]
    code, _, err = commands.run("restore", str(file))
    assert code == 2
    assert err.startswith("depthcache: 1 of 2 changes are done: the change is on 0 of 1 disks")
    assert "repeat the command" in err
    assert commands.run("restore", str(file))[0] == 0
    assert len(kept(commands)) == 2


@pytest.mark.slow
def test_5000_books_are_backed_up_and_restored(commands: Commands, file: Path) -> None:
    symbols = [f"SYM{number}USDT" for number in range(5_000)]
    commands.run("add", *symbols[:2_500])
    commands.run("add", *symbols[2_500:], "--depth", "1000")
    before = kept(commands)
    assert commands.json("backup", str(file))["books"] == 5_000
    commands.run("remove", *symbols)
    assert commands.run("restore", str(file))[:2] == (0, "5,000 books added\n")
    assert kept(commands) == before


def test_a_restore_waits_and_names_what_is_not_synced(commands: Commands, file: Path) -> None:
    fill(commands)
    commands.run("backup", str(file))
    for peer in ("b2", "c3"):
        commands.node.report(peer, ETH, ReplicaState.SYNCED)
    code, out, _ = commands.run("restore", str(file), "--timeout", "0.01")
    assert code == 1
    assert out.splitlines()[0] == "2 as in the backup, 1 not synced after 0.01 s"
    assert out.splitlines()[1].startswith("BTCUSDT on binance.com: ")
    for peer in ("b2", "c3"):
        commands.node.report(peer, BTC, ReplicaState.SYNCED)
    commands.run("set", "BTCUSDT", "--replicas", "2")
    commands.run("backup", str(file))
    assert commands.run("restore", str(file), "--timeout", "30")[:2] == (
        0,
        "2 as in the backup, all synced\n",
    )


# --- another node goes on --------------------------------------------------------------------


class Wire:
    """Nodes by URL: what each answers, or None for one that is lost."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.up: dict[str, Any] = {"https://a": 1, "https://b": 2, "https://c": 3}
        monkeypatch.setattr(NodeClient, "ask", lambda client, *_: self.answer(client.url))

    def answer(self, url: str) -> Any:
        found = self.up.get(url)
        if found is None:
            raise ConnectionFailed(url=url, reason=f"{url} is lost")
        if isinstance(found, Exception):
            raise found
        return found


def any_node(changes: list[tuple[str, str]], authority: Path | None = Path("authority.pem")) -> AnyNode:
    client = NodeClient(url="https://a", token="x", authority=authority)  # noqa: S106
    node = AnyNode(client, on_change=lambda url, why: changes.append((url, why)))
    rows = [("a", "alive"), ("b", "away"), ("c", "suspect"), (None, "alive")]
    node.learn([{"address": address, "state": state} for address, state in rows])
    return node


def test_another_node_goes_on_when_one_is_lost_and_is_asked_from_then_on(monkeypatch: Any) -> None:
    wire, changes = Wire(monkeypatch), list[tuple[str, str]]()
    node = any_node(changes)
    assert node.ask("GET", "") == 1
    wire.up["https://a"] = None
    assert (node.ask("GET", ""), node.ask("GET", "")) == (3, 3)
    assert changes == [("https://c", "https://a is lost")]
    wire.up |= {"https://a": 1, "https://c": None}
    assert node.ask("GET", "") == 1, "the first one is tried again"


def test_no_node_at_all_is_the_failure_of_the_first(monkeypatch: Any) -> None:
    wire = Wire(monkeypatch)
    node = any_node([])
    wire.up.clear()
    with pytest.raises(ConnectionFailed, match="https://a is lost"):
        node.ask("GET", "")


def test_a_refusal_is_no_reason_to_ask_another_node(monkeypatch: Any) -> None:
    wire = Wire(monkeypatch)
    wire.up["https://a"] = NodeRefused(status=400, code="x", message="no")
    with pytest.raises(NodeRefused):
        any_node([]).ask("GET", "")


def test_without_the_authority_no_other_node_is_asked(monkeypatch: Any) -> None:
    wire = Wire(monkeypatch)
    wire.up["https://a"] = None
    with pytest.raises(ConnectionFailed):
        any_node([], authority=None).ask("GET", "")


def test_an_older_node_says_that_it_cannot_restore(commands: Commands, file: Path, monkeypatch: Any) -> None:
    fill(commands)
    commands.run("backup", str(file))
    commands.run("remove", "BTCUSDT")
    ask = NodeClient.ask

    def without_put(client: NodeClient, method: str, *rest: Any) -> Any:
        if method == "PUT":
            raise NodeRefused(status=405, code="method_not_allowed", message="no")
        return ask(client, method, *rest)

    monkeypatch.setattr(NodeClient, "ask", without_put)
    code, _, err = commands.run("restore", str(file))
    assert code == 2
    assert "the nodes run an older release, which cannot restore" in err
