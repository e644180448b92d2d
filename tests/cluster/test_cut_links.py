"""Links between nodes are cut, where this machine lets a test make networks."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.processes]

DEADLINE_S = 180
ALONE = ("unshare", "-rn")
STEPS = ["whole", "cut", "healed", "one direction between two nodes cut", "healed", "done"]
HALVES = ["whole", *2 * ["each half takes changes", "healed"], "done"]


def check_networks() -> None:
    """Skip, and say why, where namespaces cannot be made."""
    if missing := [each for each in ("ip", "nsenter", "unshare") if shutil.which(each) is None]:
        pytest.skip(f"NO LINK IS CUT HERE: {', '.join(missing)} missing")
    tried = subprocess.run(
        [*ALONE, "ip", "link", "add", "br0", "type", "bridge"], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        pytest.skip(f"NO LINK IS CUT HERE: {tried.stderr.strip()}")


def test_no_reader_notices_a_cut_link(tmp_path: Path) -> None:
    check_scenario("cut_links", STEPS, tmp_path)


def test_each_half_of_a_cut_cluster_goes_on_as_one(tmp_path: Path) -> None:
    check_scenario("cut_halves", HALVES, tmp_path)


def check_scenario(name: str, steps: list[str], folder: Path) -> None:
    """Run it in a network of its own."""
    check_networks()
    words = [*ALONE, sys.executable, "-m", f"tests.cluster.{name}", str(folder)]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=DEADLINE_S, cwd=Path(__file__).parents[2]
    )
    assert (done.stdout.splitlines(), done.returncode) == (steps, 0), done.stderr
