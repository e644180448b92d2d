"""The cluster client against a real cluster of the old library (UBDCC 0.9.1), started in an environment and a
home of its own.

Its nodes find no exchange here and need none: what is compared is how the public side is asked and answers.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from depthcache import Settings
from depthcache.compat.ubldc import DepthCacheClusterNotReachableError
from depthcache.compat.ubldc.cluster import Cluster

pytestmark = [pytest.mark.rivals, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / "build" / "old-cluster"
DEADLINE_S = 180
SPOT = "binance.com"


def made_environment() -> Path:
    """Its interpreter; skips where it cannot be installed."""
    python = ENVIRONMENT / "bin" / "python"
    if not (ENVIRONMENT / ".installed").exists():
        for command in (
            [sys.executable, "-m", "venv", str(ENVIRONMENT)],
            [str(python), "-m", "pip", "install", "-q", "ubdcc==0.9.1"],
        ):
            made = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
            if made.returncode:
                pytest.skip(f"ubdcc cannot be installed here: {made.stderr.strip().splitlines()[-1:]}")
        (ENVIRONMENT / ".installed").touch()
    return python


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("ubdcc")
    said = folder / "said.txt"
    with said.open("w") as out:
        process = subprocess.Popen(
            [str(made_environment()), "-c", "from ubdcc.cli import main; main()", "start"],
            env={**os.environ, "HOME": str(folder), "NO_PROXY": "127.0.0.1", "PYTHONUNBUFFERED": "1"},
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield reached(process, said)
    finally:
        with_its_own = process.pid
        assert process.stdin is not None
        process.stdin.close()
        os.killpg(with_its_own, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(with_its_own, signal.SIGKILL)
            process.wait()


def reached(process: subprocess.Popen[bytes], said: Path) -> Cluster:
    """The cluster, once it answers; skips where it does not."""
    ends = time.monotonic() + DEADLINE_S
    while time.monotonic() < ends and process.poll() is None:
        found = re.search(r"REST API: http://127\.0\.0\.1:(\d+)/", said.read_text())
        if found is not None:
            try:
                return Cluster("127.0.0.1", int(found[1]), exchange=SPOT, settings=Settings(proxies=False))
            except DepthCacheClusterNotReachableError:
                pass
        time.sleep(0.2)
    pytest.skip(f"the real cluster did not start here: {said.read_text()[-300:]!r}")


def test_c1_a_single_cache_can_be_created_although_the_server_takes_no_post(cluster: Cluster) -> None:
    response = cluster.create_depthcache(SPOT, "BTCUSDT", desired_quantity=1, debug=True)
    assert response["result"] == "OK"
    assert response["debug"]["request_time"] > response["debug"]["cluster_execution_time"]
    assert asyncio.run(cluster.create_depthcache_async(SPOT, "ETHUSDT"))["result"] == "OK"
    again = cluster.create_depthcache(SPOT, "BTCUSDT")
    assert (again["result"], again["error_id"]) == ("ERROR", "#1024")


def test_many_caches_are_created_listed_and_stopped(cluster: Cluster) -> None:
    assert cluster.create_depthcaches(markets=["BNBUSDT", "SOLUSDT"])["result"] == "OK"
    listed = cluster.get_depthcache_list()["depthcache_list"][SPOT]
    assert {"BNBUSDT", "SOLUSDT"} <= listed.keys()
    info = cluster.get_depthcache_info(market="BNBUSDT")["depthcache_info"]
    assert (info["MARKET"], info["DESIRED_QUANTITY"]) == ("BNBUSDT", 1)
    assert cluster.stop_depthcache(market="BNBUSDT")["result"] == "OK"
    assert asyncio.run(cluster.stop_depthcache_async(SPOT, "SOLUSDT"))["result"] == "OK"
    assert not {"BNBUSDT", "SOLUSDT"} & cluster.get_depthcache_list()["depthcache_list"][SPOT].keys()
    assert cluster.get_depthcache_info(market="BNBUSDT")["error_id"] == "#7000"


def test_reads_of_what_is_not_there_are_the_errors_of_the_server(cluster: Cluster) -> None:
    for response in (cluster.get_asks(market="NOBODY"), asyncio.run(cluster.get_bids_async(SPOT, "NOBODY"))):
        assert (response["result"], response["error_id"]) == ("ERROR", "#7000")


def test_the_cluster_tells_of_itself(cluster: Cluster) -> None:
    info = cluster.get_cluster_info()
    assert (info["result"], info["version"]) == ("OK", "0.9.1")
    assert info["db"].keys() >= {"credentials", "depthcaches", "nodes", "pods", "timestamp"}
    assert cluster.test_connection() is True
    assert asyncio.run(cluster.test_connection_async()) is True


def test_credentials_come_and_go(cluster: Cluster) -> None:
    added = cluster.add_credentials("binance.us", "k" * 16, "s" * 16)
    held = cluster.get_credentials_list()["credentials"]
    assert [each["id"] for each in held] == [added["id"]]
    assert "s" * 16 not in str(held)
    assert cluster.remove_credentials(added["id"])["result"] == "OK"
    assert cluster.get_credentials_list()["credentials"] == []
