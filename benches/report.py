"""What a run of the benchmarks found: as a table to look at, as BENCHMARKS.md, and for machines.

BENCHMARKS.md is only ever written from here. Not here: measuring, drawing (`plots`).
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
"""What a whole run may take on two cores."""

CAVEATS = (
    "The contestants take turns on the same bytes in one run; figures are medians over rounds. CPU time of "
    "one thread where one thread does the work, of whole processes where that is said. Where a machine is "
    "shared, the ratios mean something and the microseconds little. No real network is in any figure: what "
    "is served comes over loopback. Before frames are timed, the final book is compared with the right one."
)
HOW = (
    "`make bench` on any machine with Python and Rust; `python -m benches --only SECTION` for one section. "
    "The recorded days stand outside the repository (`../shared/captures`); without them only what needs "
    "none of them runs. `build/bench.json` has the figures for machines, `docs/concepts/measured` the "
    "drawings. `make instructions` counts instead of timing, `make endurance` and `make soak` look for what "
    "breaks in the long run."
)


@dataclass(frozen=True, slots=True)
class Section:
    """One group of figures. `unit`: what the ratios are of. `about`: what is measured, for readers."""

    name: str
    title: str
    about: str
    unit: str
    rows: Sequence[Row]
    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """One run. `facts`: versions and machine, name and value."""

    facts: dict[str, str]
    sections: Sequence[Section]
    seconds: float

    @property
    def bars(self) -> list[Row]:
        """The rows that had something to reach."""
        return [row for section in self.sections for row in section.rows if row.verdict]

    @property
    def missed(self) -> list[Row]:
        """Those that did not."""
        return [row for row in self.bars if row.verdict == "NOT REACHED"]

    @property
    def summary(self) -> str:
        """One line."""
        return f"{len(self.bars)} bars, {len(self.missed)} not reached; the run took {self.seconds:.0f} s"

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
                        "bar": row.bar,
                        "verdict": row.verdict,
                    }
                    for row in section.rows
                ],
            }
            for section in self.sections
        }

    def as_json(self) -> str:
        """Everything, for machines."""
        whole = {"facts": self.facts, "seconds": round(self.seconds, 1), "sections": self.plain()}
        return json.dumps(whole, indent=2) + "\n"

    def as_markdown(self) -> str:
        """BENCHMARKS.md."""
        lines = [
            "# Benchmarks",
            "",
            "Written by `make bench`, never by hand. " + CAVEATS,
            "",
            *(f"- {name}: {value}" for name, value in self.facts.items()),
            "",
            f"{self.summary}.",
        ]
        if self.missed:
            lines += ["", "Not reached:", "", *(f"- {row.what}: {shown(row)}" for row in self.missed)]
        for section in self.sections:
            lines += ["", f"## {section.title}", "", section.about, ""]
            lines += [f"| what | figure | {section.unit} | bar | |", "|---|---:|---:|---:|---|"]
            lines += [
                f"| {row.what} | {row.figure} | {number(row.ratio)} | {number(row.bar)} | {row.verdict} |"
                for row in section.rows
            ]
        lines += [
            "",
            "## How to repeat",
            "",
            HOW,
            "",
            "Why the levels live as they do: [docs/concepts/ladder.md](docs/concepts/ladder.md).",
        ]
        return "\n".join(lines) + "\n"

    def write(self, folder: Path, document: Path | None) -> None:
        """The JSON into `folder`; the document where one is given."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "bench.json").write_text(self.as_json(), "utf-8")
        if document is not None:
            document.write_text(self.as_markdown(), "utf-8")


def shown(row: Row) -> str:
    """What was found and what was wanted."""
    return f"{number(row.ratio)} where at most {number(row.bar)} is wanted"


def number(ratio: float | None) -> str:
    """Three digits that matter."""
    if ratio is None:
        return ""
    return f"{ratio:.3f}" if ratio < 10 else f"{ratio:.1f}"


def print_section(console: Console, section: Section) -> None:
    """One group as a table."""
    table = Table(title=section.title, title_justify="left")
    for heading in ("what", "figure", section.unit, "bar", "verdict"):
        table.add_column(heading, justify="left" if heading in {"what", "verdict"} else "right", no_wrap=True)
    for row in section.rows:
        table.add_row(row.what, row.figure, number(row.ratio), number(row.bar), row.verdict)
    console.print(table)


def machine() -> str:
    """Processor, cores and system."""
    model = platform.cpu() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text("utf-8").splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    load = f", load {os.getloadavg()[0]:.1f} at the beginning" if hasattr(os, "getloadavg") else ""
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}{load}"
