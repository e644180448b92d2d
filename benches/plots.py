"""The figures of a run as charts: one SVG per section, whose title says what was found.

    python -m benches.plots                  draws build/bench.json, into build/plots
    python -m benches.plots BENCHMARKS.md    draws the figures of that document, into docs/concepts/measured

A complete run draws into docs/concepts/measured, for docs/concepts/measured.md. The same figures give the
same files. Titles are made of the figures, so they cannot claim what was not measured. Charts are cards that
are light or dark as the reader's system is. They suit a phone: words stand above their bar, not beside it.
"""

from __future__ import annotations

import ast
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from textwrap import wrap
from typing import Any
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"
DRAWINGS = ROOT / "docs" / "concepts" / "measured"

WIDTH = 440
"""Units of a chart; a phone shows one about as a pixel."""
MARGIN = 14
BARS = 250
"""The longest bar; right of it is room for its figure."""
STYLE = """
.card { fill: #fff; stroke: #8884; } text { font: 12px sans-serif; fill: #1f2328; }
.title { font-size: 15px; font-weight: bold; } .about, .axis { fill: #59636e; } .group { font-weight: bold; }
.ours { fill: #2f86cc; } .other { fill: #9aa3ad; } .missed { fill: #d9661f; } .mark { stroke: #1f2328; }
.grid { stroke: #8884; } .hollow { fill: none; stroke: #9aa3ad; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
.card { fill: #161b22; } text { fill: #e6edf3; } .about, .axis { fill: #9aa5b1; } .mark { stroke: #e6edf3; }
}
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar. `shown`: its figure in words. `mark`: its threshold, on the scale of the bars."""

    group: str
    label: str
    value: float | None
    shown: str
    kind: str = "ours"
    mark: float | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn of a section."""

    title: str
    about: str
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class Lane:
    """A case, and what three contestants took of it, in milliseconds."""

    label: str
    bare: float
    native: float
    aiohttp: float
    is_missed: bool


Row = dict[str, Any]
Rows = list[Row]


def draw(found: dict[str, Any], folder: Path) -> list[Path]:
    """Draw every section that has ratios; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, section in found["sections"].items():
        rows = section["rows"]
        if not any(row["ratio"] is not None for row in rows):
            continue
        file = folder / f"{name}.svg"
        file.write_text(picture(name, section), "utf-8")
        files.append(file)
    return files


def picture(name: str, section: dict[str, Any]) -> str:
    """The chart of one section as SVG."""
    rows: Rows = section["rows"]
    if name == "freshness" and (lanes := _lanes(rows)):
        return _of_lanes(lanes, _verdict(rows))
    chart = CHARTS[name](rows) if name in CHARTS else None
    if chart is None or not chart.bars:
        chart = _of_ratios(section)
    return _of_bars(chart, _verdict(rows))


# --- what is drawn of which section ----------------------------------------------------------


def _of_ratios(section: dict[str, Any]) -> Chart:
    """Any section: its ratios."""
    bars = [
        _ratio_bar(row, row["what"])
        for row in section["rows"]
        if row["ratio"] is not None and row["ratio"] >= 0
    ]
    return Chart(section["title"], f"{section['unit']}; shorter is better", bars)


def _frames(rows: Rows) -> Chart:
    bars = _timed(rows, r"([\d.]+) us a frame", ours="depthcache")
    orjson = _ratios(rows, "orjson")
    title = "Raw frames to an applied book"
    if orjson:
        title = f"A frame is in its book in {_span(orjson, '.0%')} of the time in which orjson parses it"
    return Chart(title, "µs of CPU a frame; orjson only parses", bars)


def _cpu(rows: Rows) -> Chart:
    bars = _timed(rows, r"([\d.]+) us at", ours="depthcache")
    bare = _ratios(rows, "bare receiver")
    title = "What does a received frame cost?"
    if bare:
        more = _span([each - 1 for each in bare], ".0%")
        title = f"Keeping books costs {more} more CPU than receiving the frames"
    return Chart(title, "µs of CPU a frame, the whole process; 5,000 frames a second, or saturated", bars)


def _unicorn(rows: Rows) -> Chart:
    bars = _timed(rows, r"([\d.]+) s$", ours="drop-in")
    title = "From nothing to 20 synced markets"
    if len(bars) == 2 and bars[0].value and bars[1].value:
        title = f"20 markets are synced in {bars[1].shown} s instead of {bars[0].shown} s"
    return Chart(title, "seconds from the start, with round trips of 20 ms", bars)


def _startup(rows: Rows) -> Chart:
    bars = _timed(rows, r"([\d.]+) ms$", ours="")
    title = "Start"
    if len(bars) > 1:
        title = f"import depthcache takes {bars[1].shown} ms, a live client {bars[-1].shown} ms"
    return Chart(title, "ms of CPU in a fresh interpreter", bars)


def _reads(rows: Rows) -> Chart:
    bars = [_without_sizes(bar) for bar in _timed(rows, r"([\d.]+) ns$", ours="")]
    title, best = "Reads", _shown(bars, "best (")
    if best and (twenty := _shown(bars, "top 20")):
        title = f"Both best prices in {_micro(best)} µs, 20 levels of both sides in {_micro(twenty)} µs"
    return Chart(title, "ns a read, of a book of thousands of levels", bars)


def _following(rows: Rows) -> Chart:
    bars = _timed(rows, r"(-?[\d.]+) ns$", ours="")
    title, idle, taken = "Following", _shown(bars, "idle"), _shown(bars, "taken")
    if idle and taken and bars[0].value:
        share = float(idle) / bars[0].value
        added = f"adds {share:.0%}" if share >= 0.01 else "costs nothing that can be measured"
        title = f"Following 500 books {added} while nobody reads, and {_micro(taken)} µs for each item"
    return Chart(title, "ns an update, of 500 books", bars)


def _columns(rows: Rows) -> Chart:
    bars = _timed(rows, r"([\d.]+) us$", ours="")
    title, arrow = "Levels as columns", _shown(bars, "Arrow")
    if arrow:
        title = f"The top 20 of 500 books are a table in {float(arrow) / 1_000:.1f} ms"
    return Chart(title, "µs, both sides of a book or of 500", bars)


def _depth(rows: Rows) -> Chart:
    row = rows[0]
    found = re.match(r"([\d.]+) ns against ([\d.]+) ns", row["figure"])
    if not found:
        return Chart("", "", [])
    deep, thin = (float(each) for each in found.groups())
    bars = [
        Bar("", "1,000 levels a side", thin, f"{thin:g}"),
        Bar(
            "",
            "30,000 levels a side",
            deep,
            f"{deep:g}" + _against(row),
            _kind(row),
            thin * (row["threshold"] or 0),
        ),
    ]
    return Chart(
        f"An update of a book 30 times as deep costs {row['ratio']:.2f} times as much", "ns an update", bars
    )


def _memory(rows: Rows) -> Chart:
    ratios = _ratios(rows, "")
    title = f"A level takes {_span(ratios, '.2f')} times its 16 bytes"
    return Chart(title, "memory, in units of the level data", [_ratio_bar(row, row["what"]) for row in rows])


def _readers(rows: Rows) -> Chart:
    bars = [_ratio_bar(row, row["what"]) for row in rows if row["ratio"] is not None]
    title = f"With eight reading threads a frame takes {bars[0].value:.2f} times as long"
    return Chart(title, "time, in units of the time without readers", bars)


def _layers(rows: Rows) -> Chart:
    """Changes of a part of a percent: the ratios themselves all look like 1."""
    changes = [(row, (row["ratio"] - 1) * 100) for row in rows if row["ratio"] is not None]
    bars = [
        Bar(
            "",
            f"{row['what']}: {row['figure']}",
            max(change, 0.0),
            f"{change:+.1f}%",
            _kind(row),
            _percent(row),
        )
        for row, change in changes
    ]
    most = max(change for _, change in changes)
    title = "No layer needs 0.1% more instructions than its stored count"
    if most >= 0.1:
        title = f"A layer needs up to {most:.1f}% more instructions than its stored count"
    return Chart(title, "instructions an operation, and the change", bars)


def _many_books(rows: Rows) -> Chart:
    """Seconds, ratios and milliseconds have no axis in common but their thresholds."""
    bars = []
    for row in rows:
        if row["ratio"] is not None and row["threshold"] is not None:
            share = row["ratio"] / row["threshold"]
            label = f"{row['what']}: {row['figure']}"
            bars.append(Bar("", label, share, f"{share:.0%}", _kind(row), 1.0))
    title = f"500 books use {_span([bar.value or 0.0 for bar in bars], '.0%')} of what their thresholds allow"
    return Chart(title, "share of the threshold", bars)


CHARTS: dict[str, Callable[[Rows], Chart]] = {
    "frames": _frames,
    "cpu": _cpu,
    "unicorn": _unicorn,
    "startup": _startup,
    "reads": _reads,
    "following": _following,
    "columns": _columns,
    "depth": _depth,
    "memory": _memory,
    "readers": _readers,
    "layers": _layers,
    "many_books": _many_books,
}


def _lanes(rows: Rows) -> list[Lane]:
    """The p99 of the three contestants in each case."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        case, _, contestant = row["what"].rpartition(": ")
        if times := re.match(r"[\d.]+ / ([\d.]+) / [\d.]+ ms$", row["figure"]):
            found.setdefault(case, {})[contestant] = float(times[1])
    wanted = {"bare", "native", "aiohttp"}
    missed = {row["what"].rpartition(": ")[0] for row in rows if row["result"] == "MISSED"}
    return [
        Lane(case, **times, is_missed=case in missed) for case, times in found.items() if set(times) == wanted
    ]


# --- bars of rows ----------------------------------------------------------------------------


def _timed(rows: Rows, pattern: str, *, ours: str) -> list[Bar]:
    """Bars of absolute figures; of rows that have none the words."""
    bars = []
    for row in rows:
        group, _, label = row["what"].rpartition(": ")
        label = label.removeprefix("against ")
        found = re.match(pattern, row["figure"])
        if found:
            kind = _kind(row) if ours in label else "other"
            bars.append(Bar(group, label, float(found[1]), found[1] + _against(row), kind))
        elif row["figure"].startswith("not measured"):
            bars.append(Bar(group, f"{label}: {row['figure']}", None, ""))
    return bars


def _ratio_bar(row: Row, label: str) -> Bar:
    return Bar("", label, row["ratio"], f"{row['ratio']:.3g}{_against(row)}", _kind(row), row["threshold"])


def _against(row: Row) -> str:
    """A missed threshold in words."""
    return f" (missed {row['threshold']:g})" if row["result"] == "MISSED" else ""


def _kind(row: Row) -> str:
    return "missed" if row["result"] == "MISSED" else "ours"


def _percent(row: Row) -> float | None:
    return None if row["threshold"] is None else (row["threshold"] - 1) * 100


def _ratios(rows: Rows, what: str) -> list[float]:
    return [row["ratio"] for row in rows if what in row["what"] and row["ratio"] is not None]


def _without_sizes(bar: Bar) -> Bar:
    label = re.sub(r" \([\d,]+ x [\d,]+ levels\)", "", bar.label)
    return Bar(bar.group, label, bar.value, bar.shown, bar.kind, bar.mark)


def _shown(bars: Iterable[Bar], part: str) -> str | None:
    """The figure of a bar, without what is said of its threshold."""
    return next(
        (bar.shown.split(" ")[0] for bar in bars if part in bar.label and bar.value is not None), None
    )


def _micro(nanoseconds: str) -> str:
    return f"{float(nanoseconds) / 1_000:.1f}"


def _span(values: Sequence[float], form: str) -> str:
    low, high = format(min(values), form), format(max(values), form)
    return low if low == high else f"{low} to {high}"


def _verdict(rows: Rows) -> str:
    judged = [row["result"] for row in rows if row["result"]]
    if not judged:
        return ""
    missed, undecided = judged.count("MISSED"), judged.count("within noise")
    noise = f" {undecided} of {len(judged)} are within the noise of the machine." if undecided else ""
    if missed:
        return f"{missed} of {len(judged)} thresholds are missed: see BENCHMARKS.md.{noise}"
    if undecided:
        return f"No threshold is missed.{noise}"
    return "Its threshold is met." if len(judged) == 1 else f"All {len(judged)} thresholds are met."


# --- SVG -------------------------------------------------------------------------------------


class _Page:
    """A card that grows downwards."""

    def __init__(self) -> None:
        self.y = 10.0
        self.parts: list[str] = []

    def text(
        self, words: str, kind: str = "", *, x: float = MARGIN, step: float = 16, anchor: str = "start"
    ) -> None:
        """One line, which moves the pen down by `step`; 0 stays on the line before."""
        self.y += step
        self.parts.append(
            f'<text class="{kind}" x="{x:g}" y="{self.y:g}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    def lines(self, words: str, kind: str, *, characters: int, step: float = 16) -> None:
        for line in wrap(words, characters):
            self.text(line, kind, step=step)

    def add(self, part: str) -> None:
        self.parts.append(part)

    def done(self) -> str:
        height = math.ceil(self.y + 14)
        body = "\n".join(self.parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="600" height="{600 * height // WIDTH}" '
            f'viewBox="0 0 {WIDTH} {height}" role="img">\n<style>{STYLE}</style>\n'
            f'<rect class="card" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="6"/>\n'
            f"{body}\n</svg>\n"
        )


def _begun(title: str, about: str) -> _Page:
    page = _Page()
    page.lines(title, "title", characters=52, step=19)
    page.lines(about, "about", characters=64)
    return page


def _of_bars(chart: Chart, verdict: str) -> str:
    page = _begun(chart.title, chart.about)
    most = max([bar.value or 0.0 for bar in chart.bars] + [bar.mark or 0.0 for bar in chart.bars]) or 1.0
    for group, bars in groupby(chart.bars, key=lambda bar: bar.group):
        if group:
            page.text(group, "group", step=24)
        for bar in bars:
            _bar(page, bar, most)
    if any(bar.mark for bar in chart.bars):
        verdict = f"A line is a threshold. {verdict}"
    if verdict:
        page.lines(verdict, "about", characters=64, step=22)
    return page.done()


def _bar(page: _Page, bar: Bar, most: float) -> None:
    page.lines(bar.label, "", characters=66, step=18)
    if bar.value is None:
        return
    length = max(1.0, max(0.0, bar.value) / most * BARS)
    top = page.y + 4
    page.add(f'<rect class="{bar.kind}" x="{MARGIN}" y="{top:g}" width="{length:.1f}" height="11"/>')
    end = length
    if bar.mark:
        at = MARGIN + bar.mark / most * BARS
        page.add(f'<path class="mark" d="M{at:.1f} {top - 2:g}v15"/>')
        end = max(length, at - MARGIN)
    page.text(bar.shown, x=MARGIN + end + 6, step=14)


def _of_lanes(lanes: Sequence[Lane], verdict: str) -> str:
    """Times that differ a thousandfold: points on a logarithmic axis."""
    native = max(lane.native for lane in lanes)
    aiohttp = max(lane.aiohttp for lane in lanes)
    title = f"p99 from sent to readable: native at most {native:.1f} ms, aiohttp up to {aiohttp:,.0f} ms"
    page = _begun(title, "ms, logarithmic: ○ receives only, ● native (◆ missed a threshold), ▲ aiohttp")
    low = min(min(lane.bare, lane.native) for lane in lanes) / 1.5
    high = aiohttp * 1.5
    span = WIDTH - 2 * MARGIN

    def at(ms: float) -> float:
        return MARGIN + math.log(ms / low) / math.log(high / low) * span

    begin = page.y + 10
    for lane in lanes:
        page.text(lane.label, step=24)
        page.y += 15
        middle, x = page.y - 4, at(lane.native)
        page.add(f'<path class="grid" d="M{MARGIN} {middle:g}h{span}"/>')
        page.add(f'<circle class="hollow" cx="{at(lane.bare):.1f}" cy="{middle:g}" r="5"/>')
        page.add(f'<path class="other" d="M{at(lane.aiohttp):.1f} {middle - 6:g}l6 11h-12z"/>')
        sign = "◆" if lane.is_missed else "●"
        if lane.is_missed:
            page.add(f'<path class="missed" d="M{x:.1f} {middle - 6:g}l6 6l-6 6l-6 -6z"/>')
        else:
            page.add(f'<circle class="ours" cx="{x:.1f}" cy="{middle:g}" r="5"/>')
        times = f"{sign} {lane.native:.2f}   ▲ {lane.aiohttp:,.4g} ms"
        page.text(times, "about", x=WIDTH - MARGIN, step=-15, anchor="end")
        page.y += 15
    for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1):
        x = at(10.0**power)
        page.add(f'<path class="grid" d="M{x:.1f} {begin:g}V{page.y + 4:g}"/>')
        page.text(
            f"{10.0**power:g}",
            "axis",
            x=x,
            step=18 if power == math.ceil(math.log10(low)) else 0,
            anchor="middle",
        )
    if verdict:
        page.lines(verdict, "about", characters=64, step=22)
    return page.done()


# --- figures ---------------------------------------------------------------------------------


def read(document: str) -> dict[str, Any]:
    """The figures of BENCHMARKS.md, as a run has them."""
    names = _names()
    sections: dict[str, Any] = {}
    for title, body in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", document, re.MULTILINE | re.DOTALL):
        rows = [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in re.findall(r"^\|.*\|$", body, re.MULTILINE)
        ]
        if title in names and rows:
            sections[names[title]] = {
                "title": title,
                "unit": rows[0][2],
                "rows": [_row(*each) for each in rows[2:]],
            }
    return {"sections": sections}


def _names() -> dict[str, str]:
    """Title to name of each section, from the source: importing it needs everything that is measured."""
    tree = ast.parse((ROOT / "benches" / "__main__.py").read_text("utf-8"))
    plans = next(
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SECTIONS"
    )
    assert isinstance(plans, ast.Dict)
    return {
        ast.literal_eval(plan.args[0]): ast.literal_eval(name)
        for name, plan in zip(plans.keys, plans.values, strict=True)
        if name is not None and isinstance(plan, ast.Call)
    }


def _row(what: str, figure: str, ratio: str, *others: str) -> Row:
    """Of the cells of a table: with an interval before the threshold, or, in older documents, without."""
    *_, threshold, result = others
    numbers = {"ratio": ratio, "threshold": threshold}
    return {"what": what, "figure": figure, "result": result} | {
        name: float(text.replace(",", "")) if text else None for name, text in numbers.items()
    }


def main(arguments: Sequence[str]) -> None:
    """Draw what the command line names."""
    if arguments:
        found, folder = read(Path(arguments[0]).read_text("utf-8")), DRAWINGS
    else:
        found, folder = json.loads((BUILD / "bench.json").read_text("utf-8")), BUILD / "plots"
    for path in draw(found, folder):
        print(path)


if __name__ == "__main__":
    main(sys.argv[1:])
