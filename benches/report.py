"""The results of a benchmark run: a table on the console, BENCHMARKS.md, and JSON.

Nothing else writes BENCHMARKS.md. Not here: measuring, charts (`plots`).
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benches.measure import MISSED, WITHIN_NOISE, Row, number, span
from benches.reasons import reason_of

MOST_SECONDS = 810
"""The time limit of a complete run on two cores."""

CAVEATS = (
    "All contestants take turns on the same bytes within one run; a figure is the median over its rounds. "
    "Ratios are judged by the interval that holds the true median at 95 % confidence: a threshold is missed "
    "only where the whole interval lies above it, and `within noise` where the interval contains it. "
    "Times are CPU time: of one thread where one thread does the work, of the whole process where a section "
    "says so. Trust the ratios more than the microseconds, which depend on the machine and its load. "
    "Everything is served over loopback, so no figure includes a real network. Before frames are timed, the "
    "resulting book is compared with the expected one."
)
HOW = (
    "`make bench` runs on any machine with Python and Rust, `python -m benches --only SECTION` runs one "
    "section. The recordings are not part of the repository (`../shared/captures`); without them, the "
    "simulator makes market data of the same statistics "
    "([compared](docs/concepts/made-market-data.md)), and every section says so. "
    '`make bench FILES="a.jsonl.zst b.gz"` measures the sections of frames, reads and depth on recordings of '
    "your own: all that `depthcache verify` reads. The figures are also written as JSON to "
    "`build/bench.json`, and as charts to `docs/concepts/measured`. "
    "`make instructions` counts instructions instead of time. "
    "`make endurance` and `make soak` test long runs."
)


@dataclass(frozen=True, slots=True)
class Section:
    """One group of figures. `about`: the text above its table. `unit`: of the ratios. `data`: which market
    data it used, empty where none."""

    name: str
    title: str
    about: str
    unit: str
    rows: Sequence[Row]
    seconds: float
    data: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """One run. `environment`: versions and machine, by name."""

    environment: dict[str, str]
    sections: Sequence[Section]
    seconds: float

    @property
    def judged(self) -> list[Row]:
        """The rows with a threshold."""
        return [row for section in self.sections for row in section.rows if row.result]

    @property
    def missed(self) -> list[Row]:
        """The rows whose whole interval lies above their threshold, or that have a threshold and were not
        measured."""
        return [row for row in self.judged if row.result == MISSED]

    @property
    def undecided(self) -> list[Row]:
        """The rows whose threshold lies inside their interval."""
        return [row for row in self.judged if row.result == WITHIN_NOISE]

    @property
    def summary(self) -> str:
        """One line."""
        return (
            f"{len(self.judged)} thresholds, {len(self.missed)} missed, {len(self.undecided)} within noise; "
            f"the run took {self.seconds:.0f} s"
        )

    def plain(self) -> dict[str, dict[str, object]]:
        """The sections as plain values."""
        return {
            section.name: {
                "title": section.title,
                "unit": section.unit,
                "data": section.data,
                "seconds": round(section.seconds, 1),
                "rows": [
                    {
                        "what": row.what,
                        "figure": row.figure,
                        "ratio": row.ratio,
                        "threshold": row.threshold,
                        "interval": row.interval,
                        "result": row.result,
                    }
                    for row in section.rows
                ],
            }
            for section in self.sections
        }

    def as_json(self) -> str:
        """Everything, as JSON."""
        whole = {"environment": self.environment, "seconds": round(self.seconds, 1), "sections": self.plain()}
        return json.dumps(whole, indent=2) + "\n"

    def as_markdown(self) -> str:
        """BENCHMARKS.md."""
        lines = [
            "# Benchmarks",
            "",
            "`make bench` writes this file. " + CAVEATS,
            "",
            *(f"- {name}: {value}" for name, value in self.environment.items()),
            "",
            f"{self.summary}.",
        ]
        if self.missed:
            lines += ["", "Missed:", "", *map(missed, self.missed)]
        for section in self.sections:
            data = f" Data: {section.data}." if section.data else ""
            took = f" The section took {section.seconds:.0f} s."
            lines += ["", f"## {section.title}", "", section.about + data + took, ""]
            lines += [
                f"| what | figure | {section.unit} | interval | threshold | |",
                "|---|---:|---:|---:|---:|---|",
            ]
            lines += [f"| {' | '.join(cells(row))} |" for row in section.rows]
        lines += [
            "",
            "## How to repeat",
            "",
            HOW,
            "",
            "How levels are stored: [docs/concepts/ladder.md](docs/concepts/ladder.md).",
        ]
        return "\n".join(lines) + "\n"

    def write(self, folder: Path, document: Path | None) -> None:
        """Write the JSON to `folder`, and the document when a path is given."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "bench.json").write_text(self.as_json(), "utf-8")
        if document is not None:
            document.write_text(self.as_markdown(), "utf-8")


def cells(row: Row) -> tuple[str, str, str, str, str, str]:
    """A row of a table: what, figure, ratio, interval, threshold, result."""
    return (
        row.what,
        row.figure,
        number(row.ratio),
        span(row.interval),
        number(row.threshold),
        row.result,
    )


def missed(row: Row) -> str:
    """A line about a missed threshold: the figures, the reason, and what could be tried next."""
    reason = reason_of(row.what)
    why = f"{reason.why} Next idea: {reason.idea}" if reason else "No reason is known yet."
    return f"- {row.what}: {shown(row)}. {why}"


def shown(row: Row) -> str:
    """The ratio with its interval, and its threshold."""
    if row.ratio is None:
        return f"{row.figure}, threshold {number(row.threshold)}"
    interval = f" ({span(row.interval)})" if row.interval else ""
    return f"{number(row.ratio)}{interval}, threshold {number(row.threshold)}"


def print_section(console: Console, section: Section) -> None:
    """One group as a table."""
    title = f"{section.title} ({section.data})" if section.data else section.title
    table = Table(title=title, title_justify="left")
    for heading in ("what", "figure", section.unit, "interval", "threshold", "result"):
        table.add_column(heading, justify="left" if heading in {"what", "result"} else "right", no_wrap=True)
    for row in section.rows:
        table.add_row(*cells(row))
    console.print(table)


def machine() -> str:
    """Vendor and model of the processor, cores, governor, system, and the load before the start."""
    parts = [_processor(), f"{os.cpu_count()} cores"]
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    parts.append(
        f"governor {governor.read_text('ascii').strip()}" if governor.exists() else "governor unknown"
    )
    parts.append(f"{platform.system()} {platform.machine()}")
    if hasattr(os, "getloadavg"):
        parts.append(f"load {os.getloadavg()[0]:.1f} before the start")
    return ", ".join(parts)


def _processor() -> str:
    """As Linux names it: vendor, model, and the numbers behind a model name that says little."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() or platform.machine()
    first = cpuinfo.read_text("utf-8").partition("\n\n")[0]
    facts = {
        name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())
    }
    known = [facts[name] for name in ("vendor_id", "model name") if name in facts]
    numbers = [f"{name} {facts[name]}" for name in ("cpu family", "model") if name in facts]
    if numbers:
        known.append(f"({' '.join(numbers)})")
    return " ".join(known) or platform.processor() or platform.machine()
