"""axe-core, from npm, in the environment of the tests alone: found in its lock file, kept in build/."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

LOCKED = Path(__file__).parent / "axe"
FOLDER = Path(__file__).parents[2] / "build" / "axe"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@cache
def _source() -> str:
    wanted = (LOCKED / "package-lock.json").read_bytes()
    script, lock = FOLDER / "node_modules" / "axe-core" / "axe.min.js", FOLDER / "package-lock.json"
    if not (script.exists() and lock.exists() and lock.read_bytes() == wanted):
        FOLDER.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(LOCKED / name, FOLDER / name)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        try:
            subprocess.run(command, cwd=FOLDER, check=True, capture_output=True, timeout=120)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"the accessibility of the page was not checked: axe-core cannot be had ({error})")
    return script.read_text("utf-8")


def faults(page: Any) -> list[str]:
    """What axe finds on the page as it is: rule, element, and why."""
    page.evaluate(_source())
    found = page.evaluate(
        "async rules => (await axe.run(document, {runOnly: rules, resultTypes: ['violations']})).violations",
        RULES,
    )
    return [
        f"{rule['id']}: {node['html'][:120]} {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
    ]
