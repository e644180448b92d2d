"""What a run of the benchmarks writes: every figure, and first the missed thresholds."""

from __future__ import annotations

import json
import platform
import re
from pathlib import Path

import pytest

from benches.measure import Row
from benches.report import Report, Section, machine

ROOT = Path(__file__).parents[1]
GOOD = Row("a read", "10 ns", 0.4, 0.5)
BAD = Row("a start", "9 s", 12.5, 5.0)
PLAIN = Row("a rival", "not measured: not installed")
REPORT = Report(
    {"machine": "two cores"},
    [Section("reads", "Reads", "One read.", "of nothing", [GOOD, BAD, PLAIN], 1.25)],
    2.0,
)


def test_missed_thresholds_come_before_the_tables() -> None:
    text = REPORT.as_markdown()
    assert "2 thresholds, 1 missed; the run took 2 s." in text
    assert text.index("- a start: 12.5, threshold 5.000") < text.index("## Reads")


def test_every_row_is_in_the_document_with_its_result() -> None:
    text = REPORT.as_markdown()
    assert "| a read | 10 ns | 0.400 | 0.500 | met |" in text
    assert "| a start | 9 s | 12.5 | 5.000 | MISSED |" in text
    assert "| a rival | not measured: not installed |  |  |  |" in text
    assert "- machine: two cores" in text


def test_machines_read_the_same_figures(tmp_path: Path) -> None:
    REPORT.write(tmp_path, None)
    found = json.loads((tmp_path / "bench.json").read_text("utf-8"))
    assert found["environment"] == {"machine": "two cores"}
    assert [row["ratio"] for row in found["sections"]["reads"]["rows"]] == [0.4, 12.5, None]
    assert found["sections"]["reads"]["unit"] == "of nothing"


def test_a_run_of_some_sections_leaves_the_document_alone(tmp_path: Path) -> None:
    REPORT.write(tmp_path, None)
    assert [path.name for path in tmp_path.iterdir()] == ["bench.json"]
    document = tmp_path / "BENCHMARKS.md"
    REPORT.write(tmp_path, document)
    assert document.read_text("utf-8") == REPORT.as_markdown()


def test_the_machine_is_named() -> None:
    assert f"cores, {platform.system()} {platform.machine()}" in machine()


def test_the_document_and_the_charts_are_of_the_sections_that_there_are() -> None:
    pytest.importorskip("orjson")
    from benches.__main__ import SECTIONS

    document = (ROOT / "BENCHMARKS.md").read_text("utf-8")
    titles = re.findall(r"^## (.*)$", document, re.MULTILINE)
    assert titles == [*(plan.title for plan in SECTIONS.values()), "How to repeat"]
    charts = ROOT / "docs" / "concepts" / "measured"
    shown = re.findall(r"\(measured/(\w+)\.svg\)", charts.with_suffix(".md").read_text("utf-8"))
    assert sorted(shown) == sorted(path.stem for path in charts.iterdir())
    assert set(shown) <= set(SECTIONS)
