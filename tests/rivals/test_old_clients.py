"""The old library itself, releases 2.8 and 2.14, as a client of the book server."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from depthcache import blocking, server, simulator
from tests.rivals import judging
from tests.rivals.test_ubdcc import made_environment

pytestmark = [pytest.mark.rivals, pytest.mark.slow]

LIBRARY = "unicorn-binance-local-depth-cache"
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


def told_by(release: str, folder: Path) -> list[tuple[str, list[Any], Any]]:
    """Call, arguments and answer of everything that the client does."""
    python, modules = library(release)
    environment = {name: each for name, each in os.environ.items() if not name.lower().endswith("_proxy")}
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
            task = {"port": port, "rest": ends.rest, "websocket": ends.websocket}
            ran = subprocess.run(
                [str(python), str(judging.FOLDER / "old_cluster_client.py"), json.dumps(task)],
                capture_output=True,
                text=True,
                check=False,
                timeout=judging.PROGRAM_S,
                env=environment | {"PYTHONPATH": str(modules)},
            )
    assert ran.returncode == 0, ran.stderr[-3_000:]
    return [tuple(each) for each in json.loads(ran.stdout.splitlines()[-1])]


@pytest.mark.parametrize("release", RELEASES)
def test_every_call_of_the_old_library_is_answered(release: str, tmp_path: Path) -> None:
    told = told_by(release, tmp_path)
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
