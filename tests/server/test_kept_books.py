"""Books that requests began outlive the process, where the owner wants that."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from depthcache import Settings, blocking, server, simulator
from depthcache.errors import InvalidArgument
from depthcache.server import ServerConfig
from depthcache.server.kept_books import KeptBooks
from tests.server.asking import ask

ETH = "/v1/books/binance.com/ethusdt"


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    with simulator.serve(seed=3) as exchange:
        yield exchange.settings


class Run:
    """One life of a server."""

    def __init__(self, running: server.BookServer, books: Any) -> None:
        self.running, self._books = running, books

    @property
    def symbols(self) -> list[str]:
        return [held.symbol for held in self._books]

    def manage(self, method: str, path: str) -> Any:
        return ask(self.running.port, path, method=method, token=self.running.admin_token)

    def old(self, path: str) -> Any:
        port = int(self.running.compat_urls[0].rpartition(":")[2])
        return ask(port, path, token=None).json


@pytest.fixture
def lives(settings: Settings, tmp_path: Path) -> Iterator[Any]:
    """Each `next` ends the life before and begins another one."""

    def run() -> Iterator[Run]:
        while True:
            config = ServerConfig(
                port=0,
                data_dir=tmp_path,
                keep_books=True,
                compat_listen="127.0.0.1:0",
                compat_manage=True,
                exchange_symbols="any",
            )
            with (
                blocking.connect("binance.com", ["BTCUSDT"], settings=settings) as books,
                server.serve(books, config) as running,
            ):
                yield Run(running, books)

    generator = run()
    yield generator
    generator.close()  # type: ignore[attr-defined]


def test_books_of_the_exchanges_clients_are_kept_once_they_are_put(lives: Iterator[Run]) -> None:
    depth = "/binance.com/api/v3/depth?symbol=ETHUSDT"
    first = next(lives)
    assert ask(first.running.port, depth, token=None).status == 200
    assert sorted(first.symbols) == ["BTCUSDT", "ETHUSDT"]
    second = next(lives)
    assert second.symbols == ["BTCUSDT"], "its client asks for it again"
    assert ask(second.running.port, depth, token=None).status == 200
    assert second.manage("PUT", ETH).status == 200
    assert sorted(next(lives).symbols) == ["BTCUSDT", "ETHUSDT"]


def test_c12_what_was_begun_is_begun_again_and_what_was_ended_is_not(lives: Iterator[Run]) -> None:
    first = next(lives)
    assert first.manage("PUT", ETH).status == 201
    created = "/create_depthcaches?exchange=binance.com&markets=BNBUSDT,SOLUSDT"
    assert first.old(created)["result"] == "OK"
    assert first.old("/stop_depthcache?exchange=binance.com&market=SOLUSDT")["result"] == "OK"
    second = next(lives)
    assert second.symbols == ["BTCUSDT", "ETHUSDT", "BNBUSDT"]
    assert len(second.running) == 3
    assert second.manage("DELETE", ETH).status == 204
    assert next(lives).symbols == ["BTCUSDT", "BNBUSDT"]


def test_what_is_answered_is_on_the_disk(lives: Iterator[Run], tmp_path: Path) -> None:
    first = next(lives)
    first.manage("PUT", ETH)
    assert json.loads((tmp_path / "books.json").read_bytes())["books"] == [["binance.com", "ETHUSDT"]]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_disk_that_takes_nothing_is_said(lives: Iterator[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    first = next(lives)

    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    answer = first.manage("PUT", ETH)
    assert (answer.status, answer.error["code"]) == (500, "not_kept")
    assert first.old("/create_depthcache?exchange=binance.com&market=BNBUSDT")["error_id"] == "#9000"


def test_without_the_option_nothing_is_written(settings: Settings, tmp_path: Path) -> None:
    config = ServerConfig(port=0, data_dir=tmp_path)
    with (
        blocking.connect("binance.com", [], settings=settings) as books,
        server.serve(books, config) as running,
    ):
        assert Run(running, books).manage("PUT", ETH).status == 201
    assert not (tmp_path / "books.json").exists()


def test_a_book_of_an_unknown_exchange_keeps_no_server_from_starting(
    lives: Iterator[Run], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listed = [["gone.example", "BTCUSDT"], ["binance.com", "ETHUSDT"]]
    (tmp_path / "books.json").write_text(json.dumps({"schema": 1, "books": listed}))
    assert next(lives).symbols == ["BTCUSDT", "ETHUSDT"]
    assert "gone.example" in caplog.text


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"schema":2,"books":[]}', '{"schema":1,"books":[["a"]]}']
)
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "books.json").write_text(content)
    with pytest.raises(InvalidArgument, match="file of kept books"):
        KeptBooks(tmp_path / "books.json")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")
def test_two_servers_do_not_write_the_same_file(tmp_path: Path) -> None:
    """What one of them keeps would replace what the other does."""
    first = KeptBooks(tmp_path / "books.json")
    with pytest.raises(InvalidArgument, match="another one uses this folder"):
        KeptBooks(tmp_path / "books.json")
    first.close()
    KeptBooks(tmp_path / "books.json").close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_a_forked_child_does_not_hold_the_file(tmp_path: Path) -> None:
    held = KeptBooks(tmp_path / "books.json")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, b"x")
        signal.pause()
    try:
        assert os.read(read, 1) == b"x"
        held.close()
        KeptBooks(tmp_path / "books.json").close()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read)
        os.close(write)
