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

from benches.measure import Row

MOST_SECONDS = 600
"""The time limit of a complete run on two cores."""

CAVEATS = (
    "All contestants take turns on the same bytes within one run; a figure is the median over its rounds. "
    "Times are CPU time: of one thread where one thread does the work, of the whole process where a section "
    "says so. Trust the ratios more than the microseconds, which depend on the machine and its load. "
    "Everything is served over loopback, so no figure includes a real network. Before frames are timed, the "
    "resulting book is compared with the expected one."
)
HOW = (
    "`make bench` runs on any machine with Python and Rust, `python -m benches --only SECTION` runs one "
    "section. The recordings are not part of the repository (`../shared/captures`); without them, the "
    "sections that need them are skipped. The figures are also written as JSON to `build/bench.json`, and as "
    "charts to `docs/concepts/measured`. `make instructions` counts instructions instead of time. "
    "`make endurance` and `make soak` test long runs."
)


@dataclass(frozen=True, slots=True)
class Section:
    """One group of figures. `about`: the text above its table. `unit`: of the ratios."""

    name: str
    title: str
    about: str
    unit: str
    rows: Sequence[Row]
    seconds: float


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
        """The rows above their threshold."""
        return [row for row in self.judged if row.result == "MISSED"]

    @property
    def summary(self) -> str:
        """One line."""
        return f"{len(self.judged)} thresholds, {len(self.missed)} missed; the run took {self.seconds:.0f} s"

    def plain(self) -> dict[str, dict[str, object]]:
        """The sections as plain values."""
        return {
            section.name: {
                "title": section.title,
                "unit": section.unit,
                "seconds": round(section.seconds, 1),
                "rows": [
                    {
                        "what": row.what,
                        "figure": row.figure,
                        "ratio": row.ratio,
                        "threshold": row.threshold,
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
            lines += ["", "Missed:", "", *(f"- {row.what}: {shown(row)}" for row in self.missed)]
        for section in self.sections:
            lines += ["", f"## {section.title}", "", section.about, ""]
            lines += [f"| what | figure | {section.unit} | threshold | |", "|---|---:|---:|---:|---|"]
            for row in section.rows:
                cells = (row.what, row.figure, number(row.ratio), number(row.threshold), row.result)
                lines.append(f"| {' | '.join(cells)} |")
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


def shown(row: Row) -> str:
    """The ratio and its threshold."""
    return f"{number(row.ratio)}, threshold {number(row.threshold)}"


def number(ratio: float | None) -> str:
    """A ratio with three decimals below 10, otherwise one."""
    if ratio is None:
        return ""
    return f"{ratio:.3f}" if ratio < 10 else f"{ratio:.1f}"


def print_section(console: Console, section: Section) -> None:
    """One group as a table."""
    table = Table(title=section.title, title_justify="left")
    for heading in ("what", "figure", section.unit, "threshold", "result"):
        table.add_column(heading, justify="left" if heading in {"what", "result"} else "right", no_wrap=True)
    for row in section.rows:
        table.add_row(row.what, row.figure, number(row.ratio), number(row.threshold), row.result)
    console.print(table)


def machine() -> str:
    """Processor, cores and system."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text("utf-8").splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}{load}"
