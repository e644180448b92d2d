"""The system's clock may step: books depend only on a monotonic clock that includes sleep."""

from __future__ import annotations

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "depthcache"
WALL = {"time", "time_ns", "now", "utcnow", "today", "localtime", "gmtime"}
KEEPS_BOOKS = (
    "core",
    "reference",
    "venues",
    "client",
    "blocking.py",
)
IO_THAT_DATES_FILES = {"flight_dumps.py", "recorder.py", "files.py"}
"""What is written to files carries times of day; no status follows from them."""


def test_nothing_that_decides_on_a_status_reads_the_systems_clock() -> None:
    files = [path for name in KEEPS_BOOKS for path in _files(SOURCE / name)]
    files += [path for path in _files(SOURCE / "io") if path.name not in IO_THAT_DATES_FILES]
    assert len(files) > 40
    assert [f"{path.name}: {found}" for path in files for found in _reads(path)] == []


def test_one_clock_stamps_and_judges_and_it_counts_sleep() -> None:
    files = [path for name in (*KEEPS_BOOKS, "io", "rest.py") for path in _files(SOURCE / name)]
    other = {"monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "clock_gettime_ns"}
    assert [f"{path.name}: {found}" for path in files for found in _reads(path, other)] == []


def test_a_reader_of_the_systems_clock_would_be_seen() -> None:
    assert _reads(SOURCE / "io" / "recording" / "recorder.py") == ["time_ns"]
    assert "time" in _reads(SOURCE / "doctor" / "reach.py")


def _files(path: Path) -> list[Path]:
    return [path] if path.suffix else sorted(path.rglob("*.py"))


def _reads(path: Path, names: set[str] = WALL) -> list[str]:
    """Clocks that a file takes from `time` or `datetime`; those of the day unless others are asked for."""
    dotted = {f"{module}.{name}" for module in ("time", "datetime") for name in names}
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            found += [each.name for each in node.names if each.name in names]
        if isinstance(node, ast.Attribute) and ast.unparse(node) in dotted:
            found.append(node.attr)
    return found
