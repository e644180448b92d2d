"""Directories of recorded market data next to the repository, and their expected results."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "captures"

needs_captures = pytest.mark.skipif(
    not CAPTURES.is_dir(), reason="needs recorded market data in ../shared/captures"
)


@dataclass(frozen=True)
class Golden:
    """The files of one recording and the expected row of each of its symbols."""

    files: tuple[Path, ...]
    rows: tuple[dict[str, Any], ...]

    @property
    def name(self) -> str:
        return self.files[0].parent.name + "/" + self.files[0].name

    @property
    def diffs(self) -> int:
        return sum(row["diffs_total"] for row in self.rows)


def golden() -> list[Golden]:
    """Every recording of golden.json; an empty list where there are none."""
    path = CAPTURES / "golden" / "golden.json"
    if not path.is_file():
        return []
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in json.loads(path.read_text("utf-8"))["captures"]:
        files = tuple(row.pop("files"))
        groups.setdefault(files, []).append(row)
    return [Golden(tuple(CAPTURES / name for name in files), tuple(rows)) for files, rows in groups.items()]
