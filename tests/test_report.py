"""The report of the benchmarks: every figure, with missed thresholds first."""

from __future__ import annotations

import json
import platform
import re
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from benches import columns, cpu, following, paced, plots, reads_against_peers
from benches.captures import Capture
from benches.measure import Estimate, Row, above_beside, estimate, ratio_beside
from benches.reasons import REASONS, reason_of
from benches.report import Report, Section, machine

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "BENCHMARKS.md"
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
    assert "2 thresholds, 1 missed, 0 within noise; the run took 2 s." in text
    assert text.index("- a start: 12.5, threshold 5.000") < text.index("## Reads")


def test_a_missed_threshold_is_followed_by_its_reason_and_the_next_idea() -> None:
    known = Row("spot: against orjson.loads", "4 us", 0.4, 0.3)
    text = Report({}, [Section("frames", "Frames", "", "", [known, BAD], 1.0)], 1.0).as_markdown()
    reason = reason_of(known.what)
    assert reason is not None
    assert f"- {known.what}: 0.400, threshold 0.300. {reason.why} Next idea: {reason.idea}\n" in text
    assert "- a start: 12.5, threshold 5.000. No reason is known yet.\n" in text


def test_reasons_are_of_rows_that_have_a_threshold() -> None:
    table = re.findall(
        r"^\| (.+) \| .* \| (?:met|MISSED|within noise) \|$", DOCUMENT.read_text("utf-8"), re.M
    )
    for reason in REASONS:
        assert any(re.search(reason.row, what) for what in table), reason.row


def test_every_row_is_in_the_document_with_its_result() -> None:
    text = REPORT.as_markdown()
    assert "| a read | 10 ns | 0.400 |  | 0.500 | met |" in text
    assert "| a start | 9 s | 12.5 |  | 5.000 | MISSED |" in text
    assert "| a rival | not measured: not installed |  |  |  |  |" in text
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


def test_only_an_interval_beyond_the_threshold_misses_it() -> None:
    results = {
        Row.of("a", "", Estimate(1.1, low, high), 1.0).result: (low, high)
        for low, high in ((0.8, 1.0), (0.9, 1.3), (1.01, 1.3))
    }
    assert results == {"met": (0.8, 1.0), "within noise": (0.9, 1.3), "MISSED": (1.01, 1.3)}
    assert Row.of("a", "", Estimate(1.1, 0.9, 1.3)).result == ""


def test_what_was_not_measured_misses_its_threshold() -> None:
    failed = Row("books", "not measured: it crashed", None, 1.2)
    assert (failed.result, PLAIN.result) == ("MISSED", "")
    report = Report({}, [Section("cpu", "CPU", "", "ratio", [failed], 1.0)], 1.0)
    assert "- books: not measured: it crashed, threshold 1.200" in report.as_markdown()
    never = [inf, 0.1, 0.2, 0.1, 0.2, 0.1]
    assert Row.of("late", "", above_beside(never, never, never), 0.1).result == "MISSED"


@pytest.mark.parametrize("failing", [cpu.OURS, cpu.BARE])
def test_a_client_that_crashes_while_its_cost_is_measured_is_a_miss(
    monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def measured(name: str, *_: object) -> dict[str, float] | str:
        return "it crashed" if name == failing else {"cpu_s": 1.0, "frames": 1_000}

    monkeypatch.setattr(cpu, "in_its_own_process", measured)
    costs = cpu.Costs(paced.Endpoint("http://localhost", None), 1.0, {})
    for _ in range(2):
        costs.measure(cpu.BARE, cpu.OURS, cpu.AGAIN)
    *_, judged = costs.rows("plain", 1.2)
    assert (judged.what, judged.result) == ("plain: against bare receiver", "MISSED")


def test_many_books_that_cannot_be_measured_are_a_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("orjson")
    from benches import many_books

    @contextmanager
    def no_exchange() -> Iterator[None]:
        raise many_books.NotMeasured("books was not measured: 3 gaps")
        yield

    monkeypatch.setattr(many_books, "serving", no_exchange)
    (row,) = many_books.run(rounds=1, burst_s=0.0)
    assert (row.figure, row.result) == ("books was not measured: 3 gaps", "MISSED")


def test_a_read_is_judged_by_the_interval_of_its_ratios_to_the_fastest_library() -> None:
    fast, slow = [10.0, 20.0, 10.0, 20.0, 10.0, 20.0], [90.0] * 6
    ours = [9.0, 21.0, 11.0, 22.0, 9.5, 21.0]  # follows the updates, as the other does
    row = reads_against_peers.row("mid", {"depthcache": ours, "fast": fast, "slow": slow}, 1.0)
    assert (row.what, row.figure) == ("mid; fast 15 ns", "16 ns (9 to 22)")
    assert (row.ratio, row.interval) == (pytest.approx(1.05), (0.9, 1.1))
    assert row.result == "within noise"
    assert (
        reads_against_peers.row("mid", {"depthcache": [12.0] * 6, "fast": [10.0] * 6}, 1.0).result == "MISSED"
    )
    assert reads_against_peers.row("mid", {"depthcache": ours}, 1.0).result == ""


def test_columns_and_followers_have_thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    def six_times_the_copy(functions: dict[str, Any], *, calls: int) -> dict[str, list[float]]:
        return {name: [10.0 if name == "copy" else 60.0] * 6 for name in functions}

    def added(*_: object, **__: object) -> list[dict[str, float]]:
        costs = {following.WARM: 100.0, following.STEADY: 100.0, following.SLOW: 110.0}
        return [costs | {following.PROMPT: 300.0 + spread} for spread in (-40, -20, -10, 10, 20, 40)]

    monkeypatch.setattr(columns, "call_costs", six_times_the_copy)
    monkeypatch.setattr(following, "take_turns", added)
    monkeypatch.setattr(following, "call_cost", lambda *_, **__: {"empty": 20.0})
    assert [row.result for row in columns.run()] == ["MISSED", "", "", "met"]
    assert [row.result for row in following.run(rounds=6)] == ["", "", "within noise"]


def test_a_library_has_one_version_in_all_sections() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    pins = dict(each.split("==") for each in groups["rivals"] if "==" in each)
    read = dict(each.split("==") for each in reads_against_peers.LIBRARIES)
    shared = pins.keys() & read.keys()
    assert shared >= {"ccxt", "python-binance"}
    assert {name: pins[name] for name in shared} == {name: read[name] for name in shared}


def test_libraries_are_those_of_their_own_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    site = tmp_path / "site-packages"
    for package in ("depthcache", "ccxt"):
        (site / package).mkdir(parents=True)
        (site / package / "__init__.py").touch()
    script = tmp_path / "script.py"
    script.write_text("import depthcache, json, os\nprint(json.dumps(os.listdir(os.environ['PYTHONPATH'])))")
    monkeypatch.setattr(reads_against_peers, "SCRIPT", script)
    here = SimpleNamespace(__file__=str(site / "depthcache" / "__init__.py"))
    monkeypatch.setattr(reads_against_peers, "depthcache", here)
    nothing = Capture("", "x", "X", b"", [], [], 0, ("", ""), ("", ""), (0, 0))
    assert reads_against_peers.measure(nothing, sys.executable) == ["depthcache"]


def test_an_interval_stands_beside_its_ratio() -> None:
    noisy = Row.of("freshness", "noise: -0.1 to 0.1", Estimate(-0.02, -0.5, 0.3), 0.1)
    report = Report({}, [Section("reads", "Reads", "", "ms", [noisy, BAD], 61.0, "made data")], 61.0)
    text = report.as_markdown()
    assert "| freshness | noise: -0.1 to 0.1 | -0.020 | -0.500 to 0.300 | 0.100 | within noise |" in text
    assert "2 thresholds, 1 missed, 1 within noise" in text
    assert " Data: made data. The section took 61 s." in text
    found = json.loads(report.as_json())["sections"]["reads"]["rows"][0]
    assert (found["interval"], found["result"]) == ([-0.5, 0.3], "within noise")
    assert plots.read(text)["sections"]["reads"]["rows"][0]["threshold"] == 0.1


@pytest.mark.parametrize(
    ("count", "interval"), [(1, (0, 0)), (3, (0, 2)), (5, (0, 4)), (6, (0, 5)), (9, (1, 7)), (20, (5, 14))]
)
def test_an_interval_is_that_of_the_median_at_95_percent(count: int, interval: tuple[int, int]) -> None:
    found = estimate(reversed(range(count)))
    assert found.interval == interval
    assert found.median == (count - 1) / 2


def test_ours_is_compared_with_what_ran_before_and_after_it() -> None:
    before, ours, after = [1.0, 2.0], [2.0, 3.0], [3.0, 4.0]  # a machine that becomes slower
    assert ratio_beside(ours, before, after).interval == (1.0, 1.0)
    assert above_beside(ours, before, after).interval == (0.0, 0.0)


def test_the_machine_is_named() -> None:
    found = machine()
    assert f", {platform.system()} {platform.machine()}" in found
    for part in (" cores, ", "governor ", "before the start"):
        assert part in found


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


def a_section(name: str, *rows: Row, unit: str = "ratio") -> str:
    """The chart of one section."""
    section = Section(name, name.title(), "", unit, rows, 1.0)
    report = Report({}, [section], 1.0)
    return plots.picture(name, report.plain()[name])


def words(svg: str) -> str:
    """All texts of a chart, on one line."""
    texts = ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")  # noqa: S314 - our own
    return " ".join(text.text or "" for text in texts)


def test_the_charts_are_those_of_the_document(tmp_path: Path) -> None:
    # `python -m benches.plots BENCHMARKS.md` draws them.
    document = (ROOT / "BENCHMARKS.md").read_text("utf-8")
    stored = ROOT / "docs" / "concepts" / "measured"
    drawn = plots.draw(plots.read(document), tmp_path)
    assert {path.name: path.read_text("utf-8") for path in drawn} == {
        path.name: path.read_text("utf-8") for path in stored.iterdir()
    }


def test_the_title_of_a_chart_is_made_of_its_figures() -> None:
    frames = a_section(
        "frames",
        Row("spot: depthcache Book.apply", "4.60 us a frame"),
        Row("spot: against orjson.loads", "11.60 us a frame", 0.396, 0.5),
        Row("USD-M: against orjson.loads", "10 us a frame", 1.7, 0.5),
    )
    assert words(frames).startswith(
        "A frame is in its book in 40% to 170% of the time in which orjson parses it"
    )
    assert "1 of 2 thresholds are missed: see BENCHMARKS.md." in words(frames)


def test_a_missed_threshold_is_told_by_a_word_and_a_colour() -> None:
    svg = a_section("new", Row("a <read>", "10 ns", 2.5, 1.0), Row("a write", "10 ns", 0.5, 1.0))
    assert "a <read> 2.5 (missed 1) a write 0.5 " in words(svg)
    assert svg.count('class="missed"') == svg.count('class="ours"') == 1
    assert svg.count('class="mark"') == 2


def test_a_title_has_the_figure_of_what_missed_its_threshold() -> None:
    svg = a_section(
        "following",
        Row("an update, not followed", "400 ns", 20.0),
        Row("added: idle consumer", "1 ns", 0.1),
        Row("added: each item taken", "543 ns", 36.2, 10.0),
    )
    assert "while nobody reads, and 0.5 µs for each item" in words(svg)


def test_noise_is_no_miss() -> None:
    noisy = Row.of("a read", "10 ns", Estimate(1.1, 0.9, 1.3), 1.0)
    svg = a_section("new", noisy, GOOD)
    assert "No threshold is missed. 1 of 2 are within the noise of the machine." in words(svg)
    assert 'class="missed"' not in svg


def test_what_was_not_measured_stays_on_the_chart_without_a_bar() -> None:
    svg = a_section(
        "cpu",
        Row("TLS: depthcache", "30.2 us at 5,004/s"),
        Row("TLS: ccxt", "not measured: not installed"),
        Row("TLS: against bare receiver", "", 1.2, 1.3),
    )
    assert "ccxt: not measured: not installed" in words(svg)
    assert svg.count("<rect") == 2  # the card and one bar


def test_late_books_are_points_in_milliseconds() -> None:
    rows = [
        Row("plain, idle: bare", "0.046 / 0.582 / 0.844 ms"),
        Row("plain, idle: native", "0.051 / 0.801 / 2.082 ms"),
        Row("plain, idle: aiohttp", "0.372 / 810 / 816 ms"),
        Row("plain, idle: native p99 above bare", "", 0.22, 0.1),
    ]
    svg = a_section("freshness", *rows)
    assert "native at most 0.8 ms, aiohttp up to 810 ms" in words(svg)
    assert "◆ 0.80   ▲ 810 ms" in words(svg)
    assert "0 1 10 100" not in words(svg)
    assert "● 0.80" in words(a_section("freshness", *rows[:3], Row("x", "", 0.1, 0.2)))


def test_figures_of_another_form_still_make_a_chart() -> None:
    for name in plots.CHARTS:
        svg = a_section(name, Row("something: new", "10 furlongs", 0.5, 1.0))
        assert "something" in words(svg)
