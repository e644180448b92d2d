"""Every file of examples/ runs, against the embedded exchange, and prints what it promises."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
MOST_LINES = 40
PRINTS = {
    "audit": r"[1-9][\d,]* prices compared at update id \d+\nright\n",
    "best_bid_ask": r"(\d+: bid \d+\.\d\d, ask \d+\.\d\d\n){5}",
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
    "record_and_verify": r"BTCUSDT: [1-9]\d+ updates applied, 0 gaps, last update id \d+\nright\n",
    "several_exchanges": r"(?s)(binance.com\S* \w+: Level.*\n){4}<LiveBook BTCUSDT on binance.com-futures",
    "slippage_monitor": r"((buy|sell) [\d,]+: \d+\.\d\d bp, average \d+\.\d\d.*\n){18}",
    "spot_futures_spread": r"(spot \d+\.\d\d, futures \d+\.\d\d, spread .* bp\n){5}",
    "strategy_test": r"[1-9]\d+ quotes, [1-9]\d* pauses in 30\d virtual seconds\n",
    "threads": r"(\w+: \d+% of the quantity is bid\n){3}",
    "wait_for_books": r"first: .*\nall: BTCUSDT, ETHUSDT, BNBUSDT\nnot yet: NEXOUSDT is .*\nthen: NEXOUSDT\n"
    r"synced: BTCUSDT, ETHUSDT, BNBUSDT, NEXOUSDT\n",
}


def test_every_example_is_run_here_and_stays_short() -> None:
    found = {path.stem: path.read_text("utf-8").splitlines() for path in EXAMPLES.glob("*.py")}
    assert found.keys() == PRINTS.keys()
    assert [name for name, lines in found.items() if len(lines) > MOST_LINES] == []


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
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert re.match(PRINTS[name], printed), printed


NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def cells(notebook: Path) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(notebook.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_hold_no_output(notebook: Path) -> None:
    assert [cell for cell in cells(notebook) if cell["outputs"] or cell["execution_count"] is not None] == []


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_of_a_notebook_runs_in_order(
    notebook: Path, served_by_the_embedded_exchange: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Not with a kernel: the cells are plain Python, and that they run is what can break.
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for cell in cells(notebook):
        exec("".join(cell["source"]), namespace)  # noqa: S102
    figures = [pyplot.figure(number) for number in pyplot.get_fignums()]
    assert [len(figure.axes) for figure in figures] == [1]
    figures[0].savefig("chart.png")
    pyplot.close("all")
    assert Path("chart.png").stat().st_size > 5_000
