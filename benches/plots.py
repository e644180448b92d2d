"""The ratios of a run as charts: one SVG per section, bars on a logarithmic axis, thresholds as marks.

    python -m benches.plots          draws build/bench.json again, into build/plots

A complete run draws into docs/concepts/measured, for docs/concepts/measured.md. The same figures give the
same files. Needs matplotlib, which `make bench` installs; without it, the run says that no charts were drawn.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

BUILD = Path(__file__).parents[1] / "build"


def draw(found: dict[str, Any], folder: Path) -> list[Path]:
    """Draw every section that has ratios; return the files."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "depthcache"}
    from matplotlib import pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, section in found["sections"].items():
        rows = [row for row in section["rows"] if row["ratio"]]
        if not rows:
            continue
        figure, axes = plt.subplots(figsize=(9, 1 + 0.3 * len(rows)))
        positions = range(len(rows))
        missed = [row["result"] == "MISSED" for row in rows]
        axes.barh(positions, [row["ratio"] for row in rows], color=["C3" if bad else "C0" for bad in missed])
        marked = [(row["threshold"], at) for at, row in zip(positions, rows, strict=True) if row["threshold"]]
        axes.scatter(
            [threshold for threshold, _ in marked], [at for _, at in marked], marker="|", color="k", s=120
        )
        axes.set_yticks(positions, [row["what"] for row in rows], fontsize=7)
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.set_xlabel(f"{section['unit']} (| threshold)")
        axes.set_title(section["title"])
        file = folder / f"{name}.svg"
        figure.savefig(file, bbox_inches="tight", metadata={"Date": None})
        plt.close(figure)
        files.append(file)
    return files


if __name__ == "__main__":
    for path in draw(json.loads((BUILD / "bench.json").read_text("utf-8")), BUILD / "plots"):
        print(path)
