"""The examples of the drop-in run against the embedded exchange and print what they promise."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from depthcache import simulator
from tests.compat.fake_cluster import HOST, FakeCluster, serving

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples" / "compat"
ARGUMENTS = {"limit_count": ["1"], "futures": ["1"], "summary": ["2"], "picture": ["pictures"]}
SAYS = {
    "several_markets": ["not yet: []", "['btcusdt', 'ethusdt', 'bnbusdt']"],
    "limit_count": ["binance_api_status={'status_code': 200", "BTCUSDT asks [[", "in sync: "],
    "threshold_volume": ["asks: ", "bids: ", "of 200,000"],
    "futures": ["BTCUSDT: [", " ms"],
    "us": ["BTCUSDT: [[", "stopped"],
    "options": ["BTC-", "bids [[", "asks [["],
    "summary": ["My caches", "round 2 of 2", "Powered by depthcache_", "active streams: ['"],
    "picture": ["see pictures"],
    "update_check": ["is the newest, or the index could not be reached"],
    "cluster": ["'result': 'OK'", "BTCUSDT [[100.5, 1.0]", "ETHUSDT [["],
}


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    with simulator.serve(seed=8) as server, serving(FakeCluster()) as cluster:
        yield {
            **os.environ,
            **server.environment,
            "DEPTHCACHE_RELEASES_URL": f"http://{HOST}:1/nobody",
            "NO_PROXY": HOST,
            "UBDCC_ADDRESS": HOST,
            "UBDCC_PORT": str(cluster.port),
        }


def ran(name: str, environment: dict[str, str], cwd: Path, *runner: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *runner, str(EXAMPLES / f"{name}.py"), *ARGUMENTS.get(name, [])]
    return subprocess.run(
        command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=180, check=False
    )


def test_every_example_is_short_and_run_here() -> None:
    found = {path.stem: path.read_text("utf-8") for path in EXAMPLES.glob("*.py")}
    assert found.keys() == SAYS.keys()
    assert {name for name, text in found.items() if len(text.splitlines()) > 40} == set()


@pytest.mark.parametrize("name", SAYS)
def test_an_example_does_what_it_says(name: str, environment: dict[str, str], tmp_path: Path) -> None:
    done = ran(name, environment, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for words in SAYS[name]:
        assert words in done.stdout
    pictures = sorted(each.name for each in tmp_path.rglob("*.png"))
    assert pictures == (["print_summary.png", "print_summary_plain.png"] if name == "picture" else [])


def test_a_cluster_that_is_not_there_ends_the_example_in_words(
    environment: dict[str, str], tmp_path: Path
) -> None:
    done = ran("cluster", {**environment, "UBDCC_PORT": "1"}, tmp_path)
    assert done.returncode == 1
    assert "could not be established" in done.stderr.splitlines()[-1]


def test_the_old_import_line_is_enough_under_the_runner(environment: dict[str, str], tmp_path: Path) -> None:
    text = (EXAMPLES / "several_markets.py").read_text("utf-8")
    old = text.replace("from depthcache.compat.ubldc import", "from unicorn_binance_local_depth_cache import")
    assert old != text
    (tmp_path / "old.py").write_text(old)
    command = [sys.executable, "-m", "depthcache.compat.ubldc", "old.py", "ETHUSDT"]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "['ethusdt']"
