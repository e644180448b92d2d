"""`depthcache cluster rebalance`: what it says when there is nothing to do, and when there is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from depthcache.cluster.core.ownership import ReplicaState
from tests.cli.test_cluster import Commands, served
from tests.cluster.managed import BTC, FakeNode


@pytest.fixture
def commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Commands]:
    found = Commands(FakeNode("b2", "c3"), tmp_path, capsys)
    with served(found.node, tmp_path / "server") as found.url:
        yield found


def hold(commands: Commands, *peers: str) -> None:
    for peer in peers:
        commands.node.report(peer, BTC, ReplicaState.SYNCED)


def test_a_cluster_that_is_settled_has_nothing_to_rebalance_and_says_why(commands: Commands) -> None:
    code, out, err = commands.run("rebalance", by="read")
    assert (code, err) == (0, "")
    assert "nothing to rebalance: books are placed by a function" in out
    assert "restart the node: `depthcache cluster start --capacity N --zone NAME`" in out


def test_a_book_that_has_not_moved_is_named_and_waited_for(commands: Commands) -> None:
    commands.run("add", "BTCUSDT")
    owners = commands.node.core.books.owners(BTC)
    [other] = {"a1", "b2", "c3"} - set(owners)
    first = next(peer for peer in owners if peer != "a1")
    hold(commands, first)
    if other != "a1":
        hold(commands, other)
    code, out, _ = commands.run("rebalance", "--timeout", "0.01")
    assert code == 1
    assert "\nBTCUSDT: " in out
    assert "1 book has not moved yet, which goes on by itself" in out
    found = commands.run("rebalance", "--json")
    assert found[0] == 1
    assert '"symbol": "BTCUSDT"' in found[1]


def test_what_a_change_would_move_is_shown_and_nothing_changes(commands: Commands) -> None:
    symbols = [f"SYM{number}USDT" for number in range(60)]
    commands.run("add", *symbols)
    before = {key: commands.node.core.books.owners(key) for key in commands.node.core.wanted.books()}
    code, out, _ = commands.run("rebalance", "--add", "1", by="read")
    assert code == 0
    assert "would move; nothing was changed" in out
    assert "\nnew node 1  " in out
    row = next(line.split() for line in out.splitlines() if line.startswith("new node 1"))
    assert row[-3] == row[-2] != "0"
    found = commands.json("rebalance", "--without", "b2", "--capacity", "c=3", "--zone", "a1=rack 1")
    rows = {each["node"]: each for each in found["nodes"]}
    assert (rows["b2"]["then"], rows["c3"]["capacity"], rows["a1"]["zone"]) == (0, 3.0, "rack 1")
    assert rows["b2"]["losses"] == rows["b2"]["now"]
    assert {key: commands.node.core.books.owners(key) for key in before} == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--without", "zz"), "invalid --without 'zz'"),
        (("--capacity", "b2"), "expected NODE=VALUE, such as 3f2a91bc=2"),
        (("--capacity", "b2=much"), "invalid --capacity 'b2=much'"),
        (("--capacity", "b2=-1"), "NODE=N with N above 0"),
        (("--zone", "q=x"), "invalid --zone 'q'"),
        (("--without", "a1", "--without", "b2", "--without", "c3"), "no node would be left"),
    ],
)
def test_a_change_that_cannot_be_is_named(commands: Commands, words: tuple[str, ...], said: str) -> None:
    code, out, err = commands.run("rebalance", *words)
    assert (code, out) == (2, "")
    assert said in err
