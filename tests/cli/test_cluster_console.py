"""The console of `depthcache cluster status --watch`: what it draws, its keys, and a real terminal."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from depthcache.cli import cluster_look
from depthcache.cli.terminal.cluster_console import ClusterConsole, picture
from depthcache.cli.terminal.lines import cells, text_of
from depthcache.cluster.core.members import MemberState
from depthcache.cluster.core.ownership import ReplicaState
from depthcache.errors import ConnectionFailed
from tests.cli.test_cluster import Commands, served
from tests.cluster.managed import BTC, ETH, FakeNode

URL = "https://10.0.0.1:42081"


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def book(symbol: str, synced: int = 2, *, replicas: int = 2, why: str = "") -> dict[str, Any]:
    names = ["a1aaaaaaaaaaaaaa", "b2bbbbbbbbbbbbbb"]
    holders = {name: "synced" if number < synced else "starting" for number, name in enumerate(names)}
    reasons = {names[1]: why} if why else {}
    return {"symbol": symbol, "exchange": "binance.com", "replicas": replicas, "synced": synced,
            "holders": holders, "reasons": reasons}  # fmt: skip


def status(*books: dict[str, Any], **changes: Any) -> dict[str, Any]:
    nodes = [
        {"id": "a1aaaaaaaaaaaaaa", "state": "alive", "address": "10.0.0.1:42081", "zone": "rack1"},
        {"id": "b2bbbbbbbbbbbbbb", "state": "alive", "address": "10.0.0.2:42081", "zone": ""},
        {"id": "c3cccccccccccccc", "state": "away", "address": None},
    ]
    weight = [
        {"egress": "office", "pool": "binance.com spot", "limit": 6_000, "used": 40, "exchange_used": 3_000}
    ]
    found = {"cluster": "amber-fox", "node": "a1aaaaaaaaaaaaaa", "nodes": nodes, "books": list(books)}
    return found | {"weight": weight} | changes


def move(at_s: int, symbol: str = "BTCUSDT") -> dict[str, Any]:
    facts = {"at_ms": 1_796_000_000_000 + at_s * 1_000, "node": "b2bbbbbbbbbbbbbb", "symbol": symbol}
    return facts | {"what": "synced", "source": "exchange", "why": "", "took_s": 2.5}


def console(*books: dict[str, Any], clock: Clock | None = None, **changes: Any) -> ClusterConsole:
    made = ClusterConsole(url=URL, now_s=clock or Clock())
    made.update(status(*books, **changes), [move(-100), move(0, "ETHUSDT"), move(7)])
    return made


def screen(shown: ClusterConsole, width: int = 100, height: int = 30) -> list[str]:
    lines = picture(shown, width, height)
    assert len(lines) == height
    assert {cells(text_of(line)) for line in lines} == {width}
    return [text_of(line).rstrip() for line in lines]


def press(shown: ClusterConsole, *names: str) -> None:
    for name in names:
        assert shown.press(name, name if len(name) == 1 else None) is None


def test_everything_that_an_operator_follows_is_on_the_screen() -> None:
    lines = screen(console(book("BTCUSDT"), book("ETHUSDT", 1, why="waits for request weight")))
    text = "\n".join(lines)
    assert lines[0] == (
        " amber-fox: 2 of 3 nodes up, 2 books, 1 not synced as wanted".ljust(100 - 30)
        + "  from https://10.0.0.1:42081"
    )
    assert "c3cccccc   away" in lines[2], "what is wrong comes first"
    assert "a1aaaaaa*  alive              2          2  10.0.0.1:42081" in text
    assert "██████████··········   3,000 / 6,000" in text
    assert "WHY (2 in a minute)" in text
    assert "b2bbbbbb  BTCUSDT           synced  exchange  after 2.5 s" in text
    assert "ETHUSDT               binance.com             1 of 2    waits for request weight" in text
    assert "BTCUSDT               binance.com             2 of 2" not in text, "it is as wanted"
    assert lines[-1] == " q quit  b all books  / filter  Space pause  ↑ ↓ scroll"


def test_b_lists_all_books_and_again_those_that_are_not_as_wanted() -> None:
    shown = console(book("BTCUSDT"), book("ETHUSDT", 1))
    assert "NOT AS WANTED" in "\n".join(screen(shown))
    press(shown, "b")
    text = "\n".join(screen(shown))
    assert "BTCUSDT               binance.com             2 of 2" in text
    assert "1-2 of 2" in text
    press(shown, "b")
    assert len(shown.books()) == 1


def test_a_filter_is_typed_kept_and_cleared() -> None:
    shown = console(book("BTCUSDT", 1), book("ETHUSDT", 1), book("QTUMUSDT", 1))
    press(shown, "slash", "q")
    assert [each["symbol"] for each in shown.books()] == ["QTUMUSDT"], "q is a letter now"
    assert screen(shown)[-1].startswith("/q")
    press(shown, "backspace", "e", "T", "enter")
    assert [each["symbol"] for each in shown.books()] == ["ETHUSDT"]
    assert "of 1 matching 'eT'" in "\n".join(screen(shown))
    press(shown, "slash", "x")
    assert "no book matches" in "\n".join(screen(shown))
    press(shown, "escape")
    assert len(shown.books()) == 3


def test_space_pauses_the_screen_and_shows_the_newest_afterwards() -> None:
    shown = console(book("BTCUSDT", 1))
    press(shown, "space")
    shown.update(status(book("BTCUSDT")), [])
    lines = screen(shown)
    assert "PAUSED" in lines[0]
    assert "1 not synced as wanted" in lines[0]
    press(shown, "space")
    lines = screen(shown)
    assert "PAUSED" not in lines[0]
    assert "all synced" in lines[0]


@pytest.mark.slow
def test_5000_books_scroll_to_the_end_and_no_further() -> None:
    shown = console(*(book(f"SYM{number}USDT", 1) for number in range(5_000)))
    screen(shown)
    press(shown, "down", "pagedown")
    assert any(line.startswith("SYM11USDT") for line in screen(shown))
    press(shown, "end")
    lines = screen(shown)
    assert lines[-2].startswith("SYM4999USDT")
    assert "of 5,000" in "\n".join(lines)
    press(shown, "pageup", "home")
    assert any(line.startswith("SYM0USDT") for line in screen(shown))
    press(shown, "end")
    shown.update(status(book("BTCUSDT", 1)), [])
    assert any(line.startswith("BTCUSDT") for line in screen(shown)), "the list has become shorter"


def test_another_source_and_its_loss_are_in_the_header() -> None:
    clock = Clock()
    shown = console(book("BTCUSDT"), clock=clock)
    shown.change_source("https://10.0.0.2:42081", "no node answers there")
    lines = screen(shown)
    assert "from https://10.0.0.2:42081" in lines[0]
    assert lines[1] == " no node answers there: asking https://10.0.0.2:42081"
    clock.now_s = 20.0
    shown.update(status(book("BTCUSDT")), [])
    assert "asking" not in screen(shown)[1]
    shown.fail("no answer within 30 s")
    assert screen(shown)[1] == " no node answers (no answer within 30 s); trying again"
    shown.update(status(book("BTCUSDT")), [])
    clock.now_s = 29.0
    assert screen(shown)[1] == " no answer for 9 s"


@pytest.mark.parametrize("height", [1, 2, 3, 5, 8, 24, 60])
@pytest.mark.parametrize("width", [1, 7, 40, 80, 200])
def test_every_size_is_filled_exactly(width: int, height: int) -> None:
    nodes = [{"id": f"{number:016x}", "state": "alive", "address": None} for number in range(1, 40)]
    many = console(*(book(f"SYM{number}", 1) for number in range(100)), nodes=nodes)
    for shown in (many, console(), ClusterConsole(url=URL, now_s=Clock())):
        screen(shown, width, height)
    assert picture(many, 0, 5) == picture(many, 5, 0) == []


def test_what_nodes_send_cannot_write_to_the_terminal() -> None:
    evil = "\x1b[2J\u202e"
    shown = console(book(evil, 1, why=evil), cluster=evil)
    shown.fail(evil)
    text = "\n".join(screen(shown))
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_quit_and_suspend_are_left_to_the_app() -> None:
    shown = console()
    assert [shown.press(name) for name in ("q", "ctrl+c", "ctrl+z")] == ["quit", "quit", "suspend"]


# --- elsewhere, and in a terminal ------------------------------------------------------------


@pytest.fixture
def commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Commands]:
    found = Commands(FakeNode("b2", "c3"), tmp_path, capsys)
    with served(found.node, tmp_path / "server") as found.url:
        yield found


def test_without_a_terminal_blocks_are_appended_and_a_lost_node_is_told_once(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second look fails; the third is that of another node."""
    from depthcache.cli import cluster_watch

    commands.run("add", "BTCUSDT")
    real, looks = cluster_look.look, list[int]()

    def look(client: Any) -> Any:
        looks.append(1)
        if len(looks) == 2:
            raise ConnectionFailed(url=client.url, reason="lost")
        if len(looks) == 4:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)
        return real(client)

    monkeypatch.setattr(cluster_look, "look", look)
    monkeypatch.setattr(cluster_watch, "_EVERY_S", 0.01)
    code, out, err = commands.run("status", "--watch", "--json")
    assert code == 0
    lines = out.splitlines()
    assert len(lines) >= 3
    assert all(json.loads(line)["cluster"] == "amber-fox" for line in lines)
    assert err.count("lost") == 1


@pytest.mark.slow
def test_on_a_terminal_it_follows_the_cluster_takes_keys_and_gives_the_terminal_back(
    commands: Commands,
) -> None:
    pytest.importorskip("pyte")
    from tests.cli.test_terminal_pty import terminal

    commands.run("add", "BTCUSDT", "ETHUSDT")
    commands.node.report("b2", BTC, ReplicaState.SYNCED)
    words = ("cluster", "status", "--watch", *commands.where("read"))
    with terminal(*words, environment={}, size=(100, 30)) as shown:
        shown.until("3 of 3 nodes up, 2 books, 2 not synced as wanted")
        shown.until("all books")
        for peer in ("b2", "c3"):
            for key in (BTC, ETH):
                commands.node.report(peer, key, ReplicaState.SYNCED)
        shown.until("2 books, all synced")
        shown.until("every book is synced as wanted")
        shown.type(b"b")
        shown.until("2 of 2")
        commands.node.see("c3", MemberState.SUSPECT)
        shown.until("suspect")
        shown.type(b"/eth")
        shown.until("matching 'eth'")
        shown.type(b"\r")
        shown.until("quit")
        shown.resize(60, 12)
        shown.read(lambda: "quit" in shown.lines[11])
        shown.type(b"q")
        assert shown.rest() == 0
        assert shown.is_as_before()
    after = shown.raw.decode().rpartition("\x1b[?1049l")[2]
    assert "cluster amber-fox: 3 of 3 nodes up" in after
    assert threading.active_count() < 20
