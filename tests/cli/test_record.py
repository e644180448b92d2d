"""`depthcache record` as a program against an embedded exchange: Ctrl-C, kill -9, full disks."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import depthcache
from depthcache import blocking, simulator
from depthcache.recording import Frame, Problems, read, verify
from depthcache.server import ServerConfig, serve
from depthcache.simulator import Faults, SimulatedExchange
from depthcache.simulator.server import Server
from tests.cli.programs import running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with simulator.serve(seed=3) as server:
        yield server


def frames(path: Path) -> int:
    problems = Problems()
    count = sum(isinstance(record, Frame) for record in read([path], problems))
    assert problems.lines() == []
    return count


def test_until_ctrl_c_and_the_file_verifies(server: Server, tmp_path: Path) -> None:
    arguments = ("record", "BTCUSDT", "ETHUSDT", "--out", str(tmp_path / "data"))
    with running(*arguments, environment=server.environment) as program:
        assert program.process.stderr is not None
        first = program.process.stderr.readline()
        while "2 of 2 books synced" not in program.process.stderr.readline():
            pass
        code, out, errors = program.end()
    assert first.startswith("recording 2 books to ")
    (path,) = (tmp_path / "data").iterdir()
    assert (code, out.strip()) == (0, str(path))
    assert "Traceback" not in errors
    report = verify([path])
    assert (report.faults, report.breaks) == ([], 0)
    last = re.fullmatch(r"recorded ([\d,]+) updates? of 2 books, 0 lines lost", errors.splitlines()[-1])
    assert last is not None
    assert 0 < int(last[1].replace(",", "")) <= sum(row.diffs_total for row in report.rows)
    assert [row.symbol for row in report.rows] == ["BTCUSDT", "ETHUSDT"]
    assert all(row.snapshot_lastUpdateId for row in report.rows)
    with running("verify", str(path)) as program:
        code, out, _ = program.rest()
    assert code == 0
    assert "BTCUSDT" in out


def test_a_book_server_that_refuses_the_token_ends_it(server: Server, tmp_path: Path) -> None:
    config = ServerConfig(port=0, data_dir=tmp_path / "server")
    settings = server.settings
    with (
        blocking.connect("binance.com", ["BTCUSDT"], settings=settings) as books,
        serve(books, config) as running_server,
    ):
        environment = {"DEPTHCACHE_SERVER": running_server.url, "DEPTHCACHE_TOKEN": "dcr_wrong"}
        with running(
            "record", "BTCUSDT", "--out", str(tmp_path / "data"), environment=environment
        ) as program:
            code, _, errors = program.rest()
    assert code == 2
    assert "check the token" in errors
    assert "dcr_wrong" not in errors


def test_what_is_left_after_kill_9_is_read_and_right(server: Server, tmp_path: Path) -> None:
    with running("record", "BTCUSDT", "--out", str(tmp_path), environment=server.environment) as program:
        program.until_error("1 of 1 book synced")
        (path,) = tmp_path.iterdir()
        while frames(path) < 5:  # what another process can read while it is written
            pass
        program.end(signal.SIGKILL)
    assert frames(path) >= 5
    assert verify([path]).faults == []


TWICE = """
import asyncio, signal
from depthcache.client import client
close = client.Client.aclose
async def aclose(self):
    signal.raise_signal(signal.SIGINT)
    await asyncio.sleep(0)
    await close(self)
client.Client.aclose = aclose
"""


@pytest.mark.parametrize("transport", ["native", "aiohttp"])
def test_a_second_ctrl_c_while_it_ends_spoils_nothing(server: Server, tmp_path: Path, transport: str) -> None:
    environment = {**server.environment, "DEPTHCACHE_TRANSPORT": transport}
    arguments = ("record", "BTCUSDT", "--out", str(tmp_path))
    with running(*arguments, environment=environment, first=TWICE) as program:
        program.until_error("1 of 1 book synced")
        code, out, errors = program.end()
    (path,) = tmp_path.iterdir()
    assert (code, out.strip()) == (0, str(path))
    assert "nclosed" not in errors
    assert "Traceback" not in errors
    report = verify([path])
    assert (report.faults, report.problems.notes) == ([], [])


@pytest.mark.skipif(sys.platform == "win32", reason="limits of the system")
def test_a_full_disk_is_reported_everywhere(server: Server, tmp_path: Path) -> None:
    """No file may be larger than what one flush needs."""
    import resource

    environment = {**server.environment, "PYTHONDONTWRITEBYTECODE": "1"}
    arguments = ("record", "BTCUSDT", "ETHUSDT", "--out", str(tmp_path))
    with running(*arguments, environment=environment, limits={resource.RLIMIT_FSIZE: 600}) as program:
        program.until_error("NOTHING IS BEING WRITTEN: File too large")
        code, out, errors = program.end()
    assert code == 1
    assert "depthcache: the recording is incomplete, " in errors
    assert "Traceback" not in errors
    files = out.split()
    assert files == sorted(map(str, tmp_path.iterdir()))
    report = verify(files)
    assert report.lost > 0
    assert not report.right


@pytest.mark.skipif(sys.platform == "win32", reason="limits of the system")
@pytest.mark.parametrize("most", [6, 8, 10])
def test_too_few_file_descriptors_are_one_line(server: Server, tmp_path: Path, most: int) -> None:
    """For a recording, for the thread of the connections, for the wake socket between them."""
    first = (
        "import resource, aiohttp, depthcache.cli.record, depthcache.client.client, depthcache.client.aio\n"
    )
    first += "import depthcache.io.network.native, depthcache.cli.interrupt\n"
    first += f"resource.setrlimit(resource.RLIMIT_NOFILE, ({most}, {most}))"
    arguments = ("record", "BTCUSDT", "--out", str(tmp_path), "--seconds", "0.1")
    with running(*arguments, environment=server.environment, first=first) as program:
        code, out, errors = program.rest()
    assert (code, out, len(errors.splitlines())) == (2, "", 1)
    assert errors.startswith("depthcache: ")
    assert "Too many open files" in errors
    assert "`ulimit -n` shows and raises the limit" in errors


def test_it_ends_by_itself_after_its_seconds(server: Server, tmp_path: Path) -> None:
    arguments = ("record", "BTCUSDT", "--out", str(tmp_path), "--exchange", "binance.com-futures")
    with running(*arguments, "--seconds", "1", environment=server.environment) as program:
        code, out, _ = program.rest()
    assert code == 0
    assert [row.venue for row in verify([out.strip()]).rows] == ["usdm"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("BTCUSDT",), "--out"),
        (("--out", "somewhere"), "SYMBOL"),
        (("BTCUSDT", "--out", "/dev/null/x"), "a writable folder"),
        (("BTCUSDT", "--out", "somewhere", "--exchange", "binance.con"), "did you mean 'binance.com'"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: tuple[str, ...], words: str) -> None:
    with running("record", *arguments) as program:
        code, out, errors = program.rest()
    assert (code, out) == (2, "")
    assert words in errors
    assert "Traceback" not in errors


def test_a_symbol_that_does_not_exist_ends_it(server: Server, tmp_path: Path) -> None:
    with running("record", "NOSUCH", "--out", str(tmp_path), environment=server.environment) as program:
        code, _, errors = program.rest()
    assert code == 2
    assert "unknown symbol 'NOSUCH'" in errors


@pytest.mark.parametrize("transport", ["native", "aiohttp"])
def test_a_recording_in_trouble_tells_its_interruptions_and_is_served_again(
    tmp_path: Path, transport: str
) -> None:
    faults = Faults(seed=5, cut=0.05)
    with Server(SimulatedExchange({"binance.com": ["BTCUSDT"]}, seed=5, faults=faults)) as server:
        settings = replace(server.settings, record_to=tmp_path, transport=transport)  # type: ignore[arg-type]
        with depthcache.blocking.connect("binance.com", ["BTCUSDT"], depth=100, settings=settings) as books:
            while faults.counts.get("cut", 0) < 3:
                books["BTCUSDT"].wait_synced(timeout=60)
            faults.cut = 0.0
            books.wait_synced(timeout=60)
            path = books.recording
    assert path is not None
    report = verify([path])
    assert report.faults == []
    assert report.breaks >= 1
    with (
        simulator.serve(files=[path], speed=20) as again,
        depthcache.blocking.connect("binance.com", ["BTCUSDT"], depth=100, settings=again.settings) as books,
    ):
        books.wait_synced(timeout=60)
