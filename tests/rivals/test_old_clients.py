"""The old library itself, releases 2.8 and 2.14, as a client of the book server."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from depthcache import blocking, server, simulator
from tests.cluster.processes import Processes
from tests.rivals import judging
from tests.rivals.test_ubdcc import made_environment

pytestmark = [pytest.mark.rivals, pytest.mark.slow]

LIBRARY = "unicorn-binance-local-depth-cache"
LOOKS = 4
"""A gap, a cut and a ban come between them."""
RELEASES = {"2.8.1": "compat_listen_2_8", "2.14.0": "compat_listen"}


def library(release: str) -> tuple[Path, Path]:
    """An interpreter that has all that the library needs, and a folder with the release alone.

    Skips where one of them cannot be installed.
    """
    python, folder = made_environment(), judging.ENVIRONMENTS / f"{LIBRARY}-{release}"
    if not folder.exists():
        draft = folder.with_name(f"{folder.name}.{os.getpid()}")
        command = [str(python), "-m", "pip", "install", "-q", "--no-deps", "--target", str(draft)]
        command.append(f"{LIBRARY}=={release}")
        made = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        if made.returncode:
            pytest.skip(f"{LIBRARY} cannot be installed here: {made.stderr.strip().splitlines()[-1:]}")
        draft.replace(folder)
    return python, folder


@contextmanager
def served(release: str, folder: Path) -> Iterator[tuple[simulator.Server, dict[str, Any]]]:
    """An exchange, and what a client of a server that reads from it must know."""
    with (
        simulator.serve(seed=3) as exchange,
        blocking.connect("binance.com", ["BTCUSDT"], settings=exchange.settings) as books,
    ):
        listening = {RELEASES[release]: "127.0.0.1:0"}
        config = server.ServerConfig(port=0, data_dir=folder, compat_manage=True, **listening)
        with server.serve(books, config) as running:
            books.wait_synced()
            ends = exchange.settings.endpoints["binance.com"]
            port = int(running.compat_urls[0].rpartition(":")[2])
            yield exchange, {"port": port, "rest": ends.rest, "websocket": ends.websocket}


@asynccontextmanager
async def clustered(release: str, folder: Path) -> AsyncIterator[tuple[Processes, dict[str, Any]]]:
    """Three nodes, and what a client of the one that was started last must know."""
    option = f"--{RELEASES[release].replace('_', '-')}"
    with simulator.serve(seed=3) as exchange:
        cluster = Processes(folder, exchange)
        try:
            await cluster.start("a", "--compat-manage", option, "127.0.0.1:0")
            for name in "bc":
                await cluster.join(name, "--compat-manage", option, "127.0.0.1:0")
            body = {"exchange": "binance.com", "symbols": ["BTCUSDT"], "replicas": 1}
            await cluster["a"].ask("POST", "/books", body)
            await cluster.settled()
            ends = exchange.settings.endpoints["binance.com"]
            port = int(cluster["c"].facts["compat_urls"][0].rpartition(":")[2])
            yield cluster, {"port": port, "rest": ends.rest, "websocket": ends.websocket}
        finally:
            cluster.end()


def told_by(release: str, program: str, task: dict[str, Any]) -> Iterator[Any]:
    """What a program prints that uses the library."""
    python, modules = library(release)
    judge = replace(judging.judges()[0], client=LIBRARY, path=judging.FOLDER / program)
    yield from judging.told(judge, str(python), task, {"PYTHONPATH": str(modules)})


@pytest.mark.parametrize("release", RELEASES)
def test_every_call_of_the_old_library_is_answered(release: str, tmp_path: Path) -> None:
    with served(release, tmp_path) as (_, task):
        check_every_call(release, task)


@pytest.mark.parametrize("release", RELEASES)
async def test_every_call_of_the_old_library_is_answered_by_a_cluster(release: str, tmp_path: Path) -> None:
    """Whichever node it asks, and wherever the book is."""
    async with clustered(release, tmp_path) as (_, task):
        await asyncio.to_thread(check_every_call, release, task)


def check_every_call(release: str, task: dict[str, Any]) -> None:
    told = [tuple(each["told"]) for each in told_by(release, "old_cluster_client.py", task)]
    assert told.pop(0) == ("version", [], release)
    connected = [answer for name, _, answer in told if name.startswith("test_connection")]
    assert connected == [True, True]
    expected = {
        ("get_asks", "NOBODY"): "#7000",
        ("create_depthcache", "typo"): "#1017",
        ("remove_credentials", "no such id"): "#1034",
    }
    begun: set[str] = set()
    for called, arguments, answer in told[2:]:
        name = called.removesuffix("_async")
        error_id = next(
            (each for (one, word), each in expected.items() if one == name and word in arguments), None
        )
        if name == "create_depthcache" and arguments[1] in begun:
            error_id = "#1024"
        if name == "stop_depthcache" and arguments[1] not in begun:
            error_id = "#7000"
        assert answer["event"] in (name.upper(), "TEST"), (called, answer)
        assert answer.get("error_id") == error_id, (called, arguments, answer)
        assert answer["result"] == ("OK" if error_id is None else "ERROR"), (called, answer)
        if error_id is None and name in ("create_depthcache", "create_depthcaches"):
            begun |= {arguments[1]} if isinstance(arguments[1], str) else set(arguments[1])
        if error_id is None and name == "stop_depthcache":
            begun.discard(arguments[1])
    answers = [(name.removesuffix("_async"), arguments, answer) for name, arguments, answer in told]
    for name, side in (("get_asks", "asks"), ("get_bids", "bids")):
        read = [answer for each, arguments, answer in answers if each == name and "NOBODY" not in arguments]
        assert all(isinstance(number, float) for answer in read for level in answer[side] for number in level)
    assert [len(answer["bids"]) for name, _, answer in answers if name == "get_bids"][::2] == [3, 3]
    [timed, _] = [answer["debug"] for name, _, answer in answers if name == "get_depthcache_info"]
    assert timed["request_time"] > timed["cluster_execution_time"] > 0
    assert "SECRET" not in str([answer for _, _, answer in told])


@pytest.mark.parametrize("release", RELEASES)
def test_what_the_old_library_reads_is_true_through_gaps_cuts_and_bans(release: str, tmp_path: Path) -> None:
    with served(release, tmp_path) as (exchange, task):
        trouble, differences, looks = judging.Trouble(exchange, LOOKS), 0, 0
        for look in told_by(release, "old_cluster_reader.py", task | {"looks": LOOKS}):
            if "errors" in look:
                assert look["errors"] == ["#6000"], "it was told that the book was out of sync"
                break
            differences += judging.differing(exchange, look, look["side"], look["update_id"], levels=20)
            looks += 1
            trouble.after(look)
    assert (looks, differences) == (LOOKS, 0)
    assert trouble.caused.total() == LOOKS - 1
