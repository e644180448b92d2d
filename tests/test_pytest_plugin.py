"""The pytest plugin: its fixtures and marker in runs of pytest of their own, and what it costs to load."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.test_exports import HEAVY, modules_after

ROOT = Path(__file__).parents[1]
DECLARED = [each.value for each in entry_points(group="pytest11", name="depthcache")]
"""What the installed package says; a source tree that was installed before this plugin says nothing."""
EXPLICIT = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "depthcache.pytest_plugin"}


def run(folder: Path, code: str, *options: str, environment: dict[str, str] | None = None) -> str:
    """What pytest prints for this file, with all warnings as errors."""
    (folder / "test_it.py").write_text(code, "utf-8")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers --strict-config\n")
    call = [sys.executable, "-W", "error", "-m", "pytest", "-W", "error", "-p", "no:cacheprovider"]
    ran = subprocess.run(
        [*call, "-q", "--tb=short", *options],
        cwd=folder,
        env={**os.environ, **(EXPLICIT if environment is None else environment)},
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.stdout + ran.stderr


@pytest.mark.slow
def test_a_server_is_there_with_what_the_marker_says_and_gone_after_the_test(tmp_path: Path) -> None:
    told = run(
        tmp_path,
        """
import os, subprocess, sys
import pytest
from depthcache import blocking
from depthcache.simulator import Faults

pytestmark = pytest.mark.depthcache(seed=5, symbols="ETHUSDT")
BEFORE = dict(os.environ)
seen = []


@pytest.mark.depthcache(symbols="BTCUSDT,binance.com-futures:ETHUSDT", faults=Faults(drop=0.5))
def test_marked(depthcache_server):
    seen.append(depthcache_server)
    exchange = depthcache_server.exchange
    assert exchange.symbols("binance.com") == ("BTCUSDT",)
    assert exchange.symbols("binance.com-futures") == ("ETHUSDT",)
    assert exchange.faults.drop == 0.5
    assert set(depthcache_server.settings.endpoints) == {"binance.com", "binance.com-futures"}
    with blocking.connect("binance.com", ["BTCUSDT"], settings=depthcache_server.settings) as books:
        books.wait_synced(timeout=30)


def test_the_environment_leads_to_it(depthcache_server):
    seen.append(depthcache_server)
    assert depthcache_server.exchange.symbols("binance.com") == ("ETHUSDT",)
    with blocking.connect("binance.com", ["ETHUSDT"]) as books:
        books.wait_synced(timeout=30)
    assert os.environ["DEPTHCACHE_BINANCE_US_REST"] == depthcache_server.url + "/binance.us"
    assert "127.0.0.1" in os.environ["NO_PROXY"]


@pytest.mark.parametrize("run", [1, 2])
@pytest.mark.depthcache(symbols={"binance.us": ["ABCUSDT"]}, faults="rough,seed=9")
def test_faults_are_new_ones_for_each_test(depthcache_server, run):
    faults = depthcache_server.exchange.faults
    assert (faults.drop, faults.seed, faults.counts) == (0.01, 9, {})
    faults.happens("lagging", 0)
    faults.counts["drop"] = 1


def test_all_of_it_is_undone():
    assert {name: os.environ.get(name) for name in BEFORE if name != "PYTEST_CURRENT_TEST"} == {
        name: value for name, value in BEFORE.items() if name != "PYTEST_CURRENT_TEST"
    }
    assert not [name for name in os.environ if name.startswith("DEPTHCACHE_BINANCE")]
    for server in seen:
        with pytest.raises(ValueError, match="closed"):
            server.cut()
""",
    )
    assert "5 passed" in told, told


@pytest.mark.slow
def test_a_pair_is_the_same_in_every_run(tmp_path: Path) -> None:
    told = run(
        tmp_path,
        """
import pytest
from depthcache.simulator import Faults

ends = []
FAULTS = Faults(seed=3, drop=0.02)


@pytest.mark.parametrize("run", [1, 2])
@pytest.mark.depthcache(symbols=["BTCUSDT"], seed=7, faults=FAULTS)
def test_pair(depthcache_pair, run):
    book = depthcache_pair.add("binance.com", "BTCUSDT")
    depthcache_pair.run_for(10)
    assert depthcache_pair.differences() == 0
    ends.append((book.last_update_id, dict(book.counters), dict(depthcache_pair.exchange.faults.counts)))
    assert ends[0] == ends[-1]
    assert FAULTS.counts == {}


def test_a_coroutine(depthcache_pair):
    async def program():
        async with depthcache_pair.connect("binance.com", ["BTCUSDT"]) as books:
            await books.wait_synced(timeout=30)
            return books["BTCUSDT"].status
    assert depthcache_pair.run(program()) == "synced"
""",
    )
    assert "3 passed" in told, told


@pytest.mark.slow
def test_a_wrong_marker_fails_its_test_in_one_line(tmp_path: Path) -> None:
    cases = {
        'symbol=["BTCUSDT"]': "invalid argument 'symbol': expected symbols, seed, faults; did you mean",
        '"BTCUSDT"': "invalid positional argument 'BTCUSDT': expected keyword arguments alone",
        "seed=1.5": "invalid seed 1.5: expected a whole number",
        "seed=None": "invalid seed None: expected a whole number",
        "symbols=5": "invalid symbols 5: expected text such as 'BTCUSDT,ETHUSDT'",
        'symbols="binance.con:A"': "unknown exchange 'binance.con': did you mean 'binance.com'",
        'symbols={"binance.con": ["A"]}': "unknown exchange 'binance.con': did you mean 'binance.com'",
        'faults="drop=2"': "invalid drop 2.0: expected a probability from 0.0 to 1.0",
        'faults={"drop": 1}': "invalid faults {'drop': 1}: expected a Faults, or text such as 'rough'",
    }
    code = "import pytest\n"
    for number, (arguments, _) in enumerate(cases.items()):
        fixture = "depthcache_server" if number % 2 else "depthcache_pair"
        code += f"@pytest.mark.depthcache({arguments})\ndef test_{number}({fixture}): pass\n"
    told = run(tmp_path, code)
    assert f"{len(cases)} errors" in told, told
    assert "Traceback" not in told
    lines = [line for line in told.splitlines() if line.startswith("@pytest.mark.depthcache: ")]
    assert [line for line, words in zip(lines, cases.values(), strict=True) if words not in line] == []


def test_loading_it_loads_nothing_of_depthcache() -> None:
    loaded = modules_after("import pytest; import depthcache.pytest_plugin")
    ours = {name for name in loaded if name.startswith("depthcache")}
    assert ours == {"depthcache", "depthcache.pytest_plugin"}
    assert loaded & (HEAVY - {"logging"}) == set()


@pytest.mark.skipif("TESTED_WHEEL" not in os.environ, reason="the package under test is no wheel")
def test_the_wheel_declares_it() -> None:
    assert DECLARED == ["depthcache.pytest_plugin"]


@pytest.mark.slow
@pytest.mark.skipif(not DECLARED, reason="installed before the plugin: make dev")
def test_pytest_finds_it_by_itself_beside_its_other_plugins(tmp_path: Path) -> None:
    code = (
        "import sys\ndef test_nothing_was_loaded():\n    assert 'depthcache.simulator' not in sys.modules\n"
    )
    told = run(tmp_path, code, "-o", "asyncio_default_fixture_loop_scope=function", environment={})
    assert "1 passed" in told, told
    told = run(
        tmp_path, code, "--markers", "-o", "asyncio_default_fixture_loop_scope=function", environment={}
    )
    assert "@pytest.mark.depthcache(symbols=..., seed=..., faults=...)" in told
    assert "no:depthcache" not in told


@pytest.mark.slow
def test_the_tests_of_the_guide_pass(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "test-your-program.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    tests = [block for block in blocks if "depthcache_server" in block or "depthcache_pair" in block]
    assert len(tests) >= 2
    count = sum(len(re.findall(r"^(?:async )?def test_", block, re.MULTILINE)) for block in tests)
    for number, block in enumerate(tests[1:]):
        (tmp_path / f"test_block_{number}.py").write_text(block, "utf-8")
    told = run(tmp_path, tests[0])
    assert f"{count} passed" in told, told
