"""Every file of examples/ runs against the embedded exchange and prints what it promises."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen
from xml.etree import ElementTree as ET

import pytest

from depthcache import simulator
from depthcache.simulator import Pair, SimulatedExchange

EXAMPLES = Path(__file__).parents[1] / "examples"
HOW_TO = EXAMPLES.parent / "docs" / "how-to"
MOST_LINES = 40
MOST_LINES_OF_A_SERVICE = 64
SERVICES = {"fastapi_service", "service"}
"""Run until SIGTERM; the tests below talk to them."""
PRINTS = {
    "audit": r"[1-9][\d,]* prices compared at update id \d+\nright\n",
    "best_bid_ask": r"(\d+: bid \d+\.\d\d, ask \d+\.\d\d\n){5}",
    "chart_loop": r"3 frames drawn\n",
    "columns": (
        r"numpy: \(100, 2\) .*\npandas: \(3,\)\npolars: 60 bids\n"
        r"(duckdb: binance\.com\S* \w+ (ask|bid) [\d.]+\n){6}"
    ),
    "depth_table": r"(?s)BTCUSDT at update id \d+\n.*the 10 levels are proven to be complete\n",
    "stats": r"(?s)BTCUSDT: synced, .*ETHUSDT: synced, .*weight of .* of 3000 .*depthcache_book_synced",
    "flight_dump": r"RecordedSnapshot|Diff|Frame",
    "follow_modes": r"([\w ,]+:\n(  id \d+, skipped \d+, changed (-|\d+)\n){3}){5}",
    "imbalance_signal": r"(\d+: imbalance [+-]\d\.\d\d, signal [+-]\d\.\d\d (up|down|-)\n){10}",
    "many_books": r"4 books synced after .* s\n(\w+: \d+\.\d\d basis points\n){4}",
    "offline_book": r"(?s)waiting .*\nsynced\napplied .*\nold .*\ngap .*\n.*: a newer snapshot",
    "parquet_every_second": r"(levels/\S+\.parquet: (120|240|360) rows of [123] seconds\n)+",
    "quoter": r"(quote \d+\.\d\d / \d+\.\d\d\n){5,}pull quotes: closed, the client was closed\n",
    "record_and_verify": r"BTCUSDT: [1-9]\d+ updates applied, 0 gaps, last update id \d+\nright\n",
    "several_exchanges": r"(?s)(binance.com\S* \w+: Level.*\n){4}<LiveBook BTCUSDT on binance.com-futures",
    "slippage_monitor": r"((buy|sell) [\d,]+: \d+\.\d\d bp, average \d+\.\d\d.*\n){18}",
    "slippage_scan": r"(\d+) of \1 books\n(\w+: \d+\.\d\d bp.*\n)+",
    "spot_futures_spread": r"(spot \d+\.\d\d, futures \d+\.\d\d, spread .* bp\n){5}",
    "spread_monitor": r"(\w+: (\d+\.\d\d bp|no spread, .*)\n){3,}",
    "stale_alert": r"(\w+ has no prices: .*\n){2}(\w+ is back\n){2}",
    "strategy_test": r"[1-9]\d+ quotes, [1-9]\d* pauses in 30\d virtual seconds\n",
    "threads": r"(\w+: \d+% of the quantity is bid\n){3}",
    "wait_for_books": r"first: .*\nall: BTCUSDT, ETHUSDT, BNBUSDT\nnot yet: NEXOUSDT is .*\nthen: NEXOUSDT\n"
    r"synced: BTCUSDT, ETHUSDT, BNBUSDT, NEXOUSDT\n",
}


def test_every_example_is_run_here_and_stays_short() -> None:
    found = {path.stem: path.read_text("utf-8").splitlines() for path in EXAMPLES.glob("*.py")}
    assert found.keys() == PRINTS.keys() | SERVICES
    most = dict.fromkeys(SERVICES, MOST_LINES_OF_A_SERVICE)
    assert [name for name, lines in found.items() if len(lines) > most.get(name, MOST_LINES)] == []


def test_the_page_of_recipes_names_every_example_once() -> None:
    page = (HOW_TO / "recipes.md").read_text("utf-8")
    named = re.findall(r"^\|[^|]+\| `(\w+\.\w+)` \|", page, re.MULTILINE)
    assert sorted(named) == sorted(path.name for path in EXAMPLES.iterdir() if path.is_file())


def test_the_page_of_fastapi_shows_the_example_as_it_is() -> None:
    program = (EXAMPLES / "fastapi_service.py").read_text("utf-8").partition("\n\n")[2]
    assert f"```python\n{program}```\n" in (HOW_TO / "fastapi.md").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", PRINTS)
def test_every_example_runs_against_the_embedded_exchange(
    name: str,
    served_by_the_embedded_exchange: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert re.match(PRINTS[name], printed), printed


@contextmanager
def running(*command: str, says: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A service as a process of its own, and the address that it prints behind `says`; ended by SIGTERM."""
    words = [sys.executable, "-u", *command]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if found := re.search(says + r"\D*(\d+)\s", line):
                    yield process, f"http://127.0.0.1:{found[1]}"
                    break
            else:
                pytest.fail("it ended before it served")
        finally:
            process.kill()


def get(url: str) -> tuple[int, Mapping[str, str], bytes]:
    try:
        with urlopen(url, timeout=30) as response:  # noqa: S310
            return response.status, response.headers, response.read()
    except HTTPError as error:
        return error.code, error.headers, error.read()


@pytest.mark.slow
def test_the_service_becomes_ready_and_ends_on_sigterm(served_by_the_embedded_exchange: None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORT", "0")
        with running(str(EXAMPLES / "service.py"), says="serving on port") as (process, url):
            assert get(f"{url}/healthz")[0] == 200
            deadline = time.monotonic() + 30
            while get(f"{url}/readyz")[0] != 200 and time.monotonic() < deadline:
                pass
            assert get(f"{url}/readyz")[2] == b"ready\n"
            assert (
                b'depthcache_book_synced{exchange="binance.com",symbol="ETHUSDT"} 1.0'
                in get(f"{url}/metrics")[2]
            )
            process.send_signal(signal.SIGTERM)
            assert process.communicate(timeout=30)[0] == "stopped\n"
            assert process.returncode == 0


@pytest.mark.slow
def test_the_service_of_fastapi_serves_books_and_says_what_is_wrong() -> None:
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    with simulator.serve(seed=1) as server, pytest.MonkeyPatch.context() as patch:
        for variable, value in server.environment.items():
            patch.setenv(variable, value)
        command = [
            "-m",
            "uvicorn",
            "--port",
            "0",
            "--timeout-graceful-shutdown",
            "1",
            "--app-dir",
            str(EXAMPLES),
        ]
        with running(*command, "fastapi_service:app", says="running on http://127.0.0.1:") as (process, url):
            with urlopen(f"{url}/books/BTCUSDT/events", timeout=30) as events:  # noqa: S310
                update = json.loads(events.readline().removeprefix(b"data: "))
                assert (update["symbol"], update["status"], len(update["bids"])) == ("BTCUSDT", "synced", 10)
                assert events.readline() == b"\n"
                best = json.loads(get(f"{url}/books/BTCUSDT/best")[2])
                assert best["bid"][0] < best["ask"][0]
                status, headers, body = get(f"{url}/books/BTCUSDT?levels=2")
                assert (status, headers["content-type"]) == (200, "application/json")
                assert len(json.loads(body)["asks"]) == 2
                assert get(f"{url}/books/BTCUSDT?levels=-1")[0] == 422
                assert get(f"{url}/books/NOSUCH")[0] == 404
                server.refuse_connects(60)
                server.cut()
                while update["status"] == "synced":
                    line = events.readline()
                    update = json.loads(line.removeprefix(b"data: ")) if line.strip() else update
                status, headers, body = get(f"{url}/books/BTCUSDT")
                assert (status, headers["retry-after"]) == (503, "1")
                assert "disconnected" in json.loads(body)["detail"]
            process.send_signal(signal.SIGTERM)
            assert "Application shutdown complete" in process.communicate(timeout=30)[0]


@pytest.mark.slow
def test_a_slow_client_of_fastapi_gets_newer_books_and_not_more_memory() -> None:
    pytest.importorskip("fastapi")
    app = runpy.run_path(str(EXAMPLES / "fastapi_service.py"))["app"]
    pair = Pair(SimulatedExchange({"binance.com": ["BTCUSDT"]}, seed=1), seed=1)
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/books/BTCUSDT/events",
        "headers": [],
        "query_string": b"",
    }
    updates: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return await asyncio.Event().wait() or {}  # the client stays

    async def send(message: dict[str, Any]) -> None:
        if body := message.get("body"):
            updates.append(json.loads(body.removeprefix(b"data: ")))
            await asyncio.sleep(10)  # virtual seconds

    async def run() -> None:
        async with pair.connect("binance.com", ["BTCUSDT"]) as books:
            await books.wait_synced()
            app.state.books = books
            with suppress(TimeoutError):
                async with asyncio.timeout(35):
                    await app(scope, receive, send)

    pair.run(run())
    assert len(updates) == 4
    assert all(update["skipped"] > 50 for update in updates[1:])


NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def cells(notebook: Path) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(notebook.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_stored_with_what_they_show_and_nothing_of_the_machine(notebook: Path) -> None:
    shown = [output for cell in cells(notebook) for output in cell["outputs"]]
    kinds = {kind for output in shown for kind in output.get("data", {})}
    assert {"text/html", "image/png"} <= kinds
    assert "error" not in {output["output_type"] for output in shown}
    assert [cell["execution_count"] for cell in cells(notebook)] == list(range(1, len(cells(notebook)) + 1))
    assert [cell["metadata"] for cell in cells(notebook) if cell["metadata"]] == []
    assert notebook.stat().st_size < 200_000


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_stored_outputs_are_those_of_this_code(notebook: Path) -> None:
    # `python tools/picture_depth.py` stores them; numbers and images depend on versions of other packages.
    again = json.loads(picture_tool().executed(notebook))
    assert [outputs_of(cell) for cell in again["cells"]] == [
        outputs_of(cell) for cell in json.loads(notebook.read_text("utf-8"))["cells"]
    ]


def outputs_of(cell: dict[str, Any]) -> list[Any]:
    """What a cell shows, without numbers; of images and foreign tables only that they are there."""
    found: list[Any] = []
    for output in cell.get("outputs", []):
        ours = {
            kind: re.sub(r"\d[\d.,:-]*", "0", "".join(lines))
            for kind, lines in output.get("data", {"text": output.get("text", "")}).items()
            if kind != "image/png"
        }
        is_foreign = not ours.get("text/html", "<div style").startswith("<div style")
        found.append([*output.get("data", {}), None if is_foreign else ours])
    return found


def picture_tool(name: str = "picture_depth") -> ModuleType:
    path = EXAMPLES.parent / "tools" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_pictures_of_the_documents_are_drawn_by_this_code(tmp_path: Path) -> None:
    stored = EXAMPLES.parent / "docs" / "pictures"
    tool = picture_tool()
    tool.depth_chart(tmp_path / "depth-chart.svg")
    tool.tables(tmp_path)
    names = ["depth-chart.svg", "notebook-book.svg", "notebook-books.svg"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    for name in names:
        drawn, old = ((folder / name).read_text("utf-8") for folder in (tmp_path, stored))
        assert words(drawn) == words(old)
        assert len(old) < 80_000


@pytest.mark.slow
def test_the_picture_of_the_terminal_app_is_drawn_by_this_code() -> None:
    stored = EXAMPLES.parent / "docs" / "pictures" / "terminal.svg"
    assert words(picture_tool("pictures").terminal()) == words(stored.read_text("utf-8"))


def words(svg: str) -> list[str]:
    """The texts of a picture without its numbers."""
    found = [re.sub(r"\d[\d.,:-]*", "0", text) for text in ET.fromstring(svg).itertext()]  # noqa: S314 - our own
    return [text for text in found if text.strip(" 0\n")]


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_of_a_notebook_runs_in_order(
    notebook: Path, served_by_the_embedded_exchange: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Not with a kernel: the cells are plain Python, and that they run is what can break.
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    pyplot.close("all")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for cell in cells(notebook):
        exec("".join(cell["source"]), namespace)  # noqa: S102
    figures = [pyplot.figure(number) for number in pyplot.get_fignums()]
    assert [len(figure.axes) for figure in figures] == [1, 2]
    figures[0].savefig("chart.png")
    pyplot.close("all")
    assert Path("chart.png").stat().st_size > 5_000
