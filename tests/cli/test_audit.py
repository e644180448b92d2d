"""`depthcache audit`: exit code 0 for right books, 1 for wrong ones, 130 after Ctrl-C."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from depthcache import simulator

pytestmark = pytest.mark.slow


def run(*arguments: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-c", "import sys; from depthcache.cli import main; sys.exit(main())", "audit"]
    own = {**os.environ, **environment}
    return subprocess.run(
        [*call, *arguments], env=own, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("exchange", ["binance.com", "binance.com-futures"])
def test_right_books_are_said_to_be_right_with_every_source(exchange: str) -> None:
    with simulator.serve(seed=3) as server:
        done = run(
            "BTCUSDT", "ETHUSDT", "--exchange", exchange, "--minutes", "0.05", environment=server.environment
        )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "depthcache: comparing 2 books for 0.05 min; Ctrl-C ends it\n"
    first, second = sorted(done.stdout.splitlines())
    assert first.startswith(f"BTCUSDT on {exchange}: right, ")
    assert second.startswith(f"ETHUSDT on {exchange}: right, ")
    for source in ("rest: 2 compared", "depth20@100ms: ", "bookTicker: "):
        assert source in first


def test_a_book_that_lost_levels_is_said_to_be_wrong() -> None:
    profile = {"BTCUSDT": simulator.TINY}
    exchange = simulator.SimulatedExchange({"binance.com": profile}, seed=3, evicts_beyond=15)
    with simulator.Server(exchange) as server:
        done = run("BTCUSDT", "--minutes", "0.1", environment=server.environment)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BTCUSDT on binance.com: WRONG, " in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_one_line_and_never_the_1_of_a_wrong_price() -> None:
    call = [sys.executable, "-m", "depthcache", "audit", "BTCUSDT", "ETHUSDT", "--minutes", "0"]
    with simulator.serve(seed=3) as server, Path("/dev/full").open("w") as full:
        own = {**os.environ, **server.environment, "PYTHONUNBUFFERED": ""}
        done = subprocess.run(
            call, env=own, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    told = "depthcache: cannot write the output: No space left on device\n"
    assert (done.returncode, done.stderr) == (2, told)


def test_a_reader_that_goes_away_is_141() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    call = [sys.executable, "-m", "depthcache", "audit", "BTCUSDT", "--minutes", "0"]
    with simulator.serve(seed=3) as server:
        own = {**os.environ, **server.environment}
        done = subprocess.run(
            call, env=own, stdout=theirs, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    os.close(theirs)
    assert (done.returncode, done.stderr) == (141, "")


def test_an_unknown_symbol_is_refused_with_names_like_it() -> None:
    with simulator.serve(seed=3) as server:
        done = run("BTCUSD", environment=server.environment)
    assert done.returncode == 2
    assert "did you mean 'BTCUSDT'" in done.stderr
