"""Install what the benchmarks compare with into the interpreter that runs this, one by one.

If one cannot be installed, this prints it, and the benchmarks report it as not measured. Those that need
another interpreter, or conflict with these, have environments of their own (`benches/environments.py`).
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

GROUP = "clients"


def requirements(groups: dict[str, list[str | dict[str, str]]], name: str) -> list[str]:
    """The requirements of a dependency group and of the groups it includes."""
    found = []
    for entry in groups[name]:
        found += [entry] if isinstance(entry, str) else requirements(groups, entry["include-group"])
    return found


def main() -> None:
    """Install all, and print those that cannot be installed."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
    for requirement in requirements(project["dependency-groups"], GROUP):
        command = [sys.executable, "-m", "pip", "install", "-q", requirement]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            why = done.stderr.strip().rpartition("\n")[2]
            sys.stdout.write(f"{requirement} cannot be installed: {why}\n")


if __name__ == "__main__":
    main()
