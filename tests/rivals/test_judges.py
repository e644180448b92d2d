"""Other people's clients sync against the embedded exchange: they judge that it is one.

One smoke of each kind here; `make judges` runs all of them, for longer. Their books, kept by their own code
over real sockets, must equal the exchange's truth at the update ids they hold.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

import pytest

from benches import environments
from depthcache import blocking, server, simulator
from tests.rivals import judging
from tests.rivals.judging import Finding, Judge, Unavailable

pytestmark = [pytest.mark.rivals, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

ALL = judging.judges()
SMOKE = [judge for judge in ALL if judge.smoke]


@pytest.mark.parametrize("judge", SMOKE, ids=lambda judge: judge.name)
def test_a_client_keeps_right_books(judge: Judge) -> None:
    try:
        found = judging.find(judge, updates=5, looks=2)
    except Unavailable as error:
        pytest.skip(str(error))
    assert [each.exchange for each in found] == list(judge.books)
    assert [each.differences for each in found] == [0] * len(found)
    assert sum(each.books for each in found) == sum(map(len, judge.books.values()))


@pytest.mark.parametrize("name", ["python_binance", "sdk_usds_futures"])
def test_a_client_keeps_right_books_of_a_book_server(name: str) -> None:
    """Over TLS, through a gap, a cut and a ban at the exchange: a depth cache of spot, and an SDK of futures,
    whose book is strict about the bridge. `make judges` runs the others."""
    judge = next(judge for judge in SMOKE if judge.name == name)
    try:
        found = judging.find(judge, updates=3, looks=3, served=True, faults=True)
    except Unavailable as error:
        pytest.skip(str(error))
    assert [each.differences for each in found] == [0] * len(found)
    assert sum(each.faults for each in found) >= 3


ROW = """
import asyncio, json, sys
import ccxt.pro


async def main():
    scope = {"ccxt": ccxt}
    for line in json.loads(sys.argv[1]):
        exec(line, scope)
    exchange, asked = scope["exchange"], []
    fetch = exchange.fetch

    def fetch_and_note(url, *rest):
        asked.append(url)
        return fetch(url, *rest)

    exchange.fetch = fetch_and_note
    try:
        book = await exchange.watch_order_book(sys.argv[2], 10)
        print(json.dumps([len(book["bids"]), *asked, *exchange.clients]))
    finally:
        await exchange.close()


asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("row", "exchange", "symbol"),
    [("spot", "binance.com", "BTC/USDT"), ("USD-M", "binance.com-futures", "BTC/USDT:USDT")],
)
def test_the_row_of_ccxt_in_the_documents_asks_the_server_alone(
    row: str, exchange: str, symbol: str, tmp_path: Path
) -> None:
    [ccxt] = [judge for judge in ALL if judge.name == "ccxt"]
    try:
        python = judging.environment(ccxt)
    except Unavailable as error:
        pytest.skip(str(error))
    page = (judging.ROOT / "docs" / "how-to" / "serve-exchange-protocol.md").read_text("utf-8")
    [shown] = [line for line in page.splitlines() if line.startswith(f"| ccxt, {row} |")]
    lines = [code for code in re.findall(r"`([^`]+)`", shown) if " = " in code]
    assert len(lines) == 3
    with (
        simulator.serve(seed=11, symbols={exchange: ["BTCUSDT"]}) as simulated,
        blocking.connect(exchange, ["BTCUSDT"], settings=simulated.settings) as books,
        server.serve(books, server.ServerConfig(port=0, data_dir=tmp_path)) as running,
    ):
        books.wait_synced()
        host = running.url.removeprefix("http://")
        settings = json.dumps([line.replace("127.0.0.1:42081", host) for line in lines])
        command = [python, "-c", ROW, settings, symbol]
        proxies = {name: "" for name in os.environ if name.lower().endswith("_proxy")}
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, env=os.environ | proxies
        )
    assert ran.returncode == 0, ran.stderr
    levels, *asked = json.loads(ran.stdout.splitlines()[-1])
    assert levels == 10
    assert [url for url in asked if host not in url] == []
    assert len(asked) >= 3


@pytest.mark.parametrize("names_its_ids", [True, False])
def test_a_book_that_is_wrong_is_found(names_its_ids: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One level of one look is another one."""

    def looks(judge: Judge, python: str, ends: Any, *, updates: int, looks: int) -> Any:
        url = f"{ends.rest['binance.com']}/api/v3/depth?symbol=NEXOUSDT&limit=1000"
        for number in range(looks):
            with build_opener(ProxyHandler({})).open(url) as response:
                body = json.load(response)
            if number == 1:
                body["bids"][7][1] = "0.00000123"
            look = {side: body[side][: judging.LEVELS] for side in ("bids", "asks")}
            held = body["lastUpdateId"] if names_its_ids else None
            yield look | {"exchange": "binance.com", "symbol": "NEXOUSDT", "update_id": held, "updates": 1}

    monkeypatch.setattr(judging, "_looks", looks)
    monkeypatch.setattr(judging, "_IDS_SEARCHED", 20)
    monkeypatch.setattr(judging, "environment", lambda judge: sys.executable)
    judge = replace(ALL[0], books={"binance.com": ["NEXOUSDT"]}, tls=False)
    found = judging.find(judge, looks=3)
    assert found == [Finding(exchange="binance.com", books=1, updates=1, looks=3, differences=2)]


def test_the_smoke_is_installed_with_the_tests_and_every_judge_is_pinned() -> None:
    groups = tomllib.loads((judging.ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    assert {each for judge in SMOKE for each in judge.requirements} <= set(groups["rivals"])
    for judge in ALL:
        assert all("==" in each for each in judge.requirements), judge.name
        assert judge.version


def test_faults_come_in_turn_after_every_look_but_the_last() -> None:
    caused: list[str] = []

    class Exchange:
        def __getattr__(self, name: str) -> Any:
            return lambda *_, **__: caused.append(name)

    trouble = judging.Trouble(Exchange(), 3)  # type: ignore[arg-type]
    for symbol in ("A", "B", "A", "B", "A", "B"):
        trouble.after({"exchange": "binance.com", "symbol": symbol})
    assert caused == ["next_diffs", "cut", "next_diffs", "ban", "next_diffs"]
    assert trouble.caused == {"binance.com": 4}


def test_the_table_in_the_documents_has_a_row_for_every_judge() -> None:
    text = (judging.ROOT / "docs" / "concepts" / "judges.md").read_text("utf-8")
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in text.splitlines() if row[:3] == "| `"]
    told = {row[0].strip("`"): (row[2], row[3]) for row in rows}
    assert told == {
        judge.client: ("wss" if judge.tls else "ws", "yes" if judge.smoke else "") for judge in ALL
    }


def refuse(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess(command, 1, "", "ERROR: No matching distribution found\n")


def hang(command: list[str], *, timeout: float, **options: Any) -> subprocess.CompletedProcess[str]:
    raise subprocess.TimeoutExpired(command, timeout)


@pytest.mark.parametrize(
    ("run", "why"),
    [(refuse, "ERROR: No matching distribution"), (hang, "it takes longer than 600 s")],
    ids=["refused", "too slow"],
)
def test_a_judge_that_cannot_be_installed_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run: Any, why: str
) -> None:
    monkeypatch.setattr(judging.subprocess, "run", run)
    nobody = Judge(
        name="nobody",
        path=tmp_path / "judge_nobody.py",
        client="nobody",
        requirements=("nobody==1.0",),
        least_python=(3, 10),
        books={"binance.com": ["BTCUSDT"]},
        tls=False,
        smoke=False,
    )
    with pytest.raises(Unavailable, match=rf"nobody==1\.0 cannot be installed: {why}"):
        judging.find(nobody)


def test_a_judge_whose_python_is_missing_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments.shutil, "which", lambda name: None)
    monkeypatch.setenv("PYENV_ROOT", "/nowhere")
    with pytest.raises(Unavailable, match=r"needs Python 3\.99 or newer"):
        judging.find(replace(ALL[0], least_python=(3, 99)))


def test_installed_packages_need_no_separate_environment() -> None:
    judge = Judge(
        name="pytest",
        path=Path("judge_pytest.py"),
        client="pytest",
        requirements=(f"pytest=={pytest.__version__}",),
        least_python=(3, 10),
        books={},
        tls=False,
        smoke=False,
    )
    assert judging.environment(judge) == sys.executable


def test_the_table_shows_differences_and_ends_with_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find(judge: Judge, **_: object) -> list[Finding]:
        if judge.name == "ccxt":
            raise Unavailable("no registry")
        wrong = 3 if judge.name == "python_binance" else 0
        return [Finding(exchange="binance.com", books=1, updates=50, looks=5, differences=wrong)]

    monkeypatch.setattr(judging, "find", find)
    assert judging.main(["python_binance"]) == 1
    assert judging.main(["sdk_spot", "ccxt"]) == 0
    shown = capsys.readouterr().out
    assert "SKIPPED ccxt: no registry" in shown
    assert "binance-sdk-spot" in shown
