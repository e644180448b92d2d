"""Every command of the program against a cluster (`DEPTHCACHE_SERVER`): it works, or refuses in words."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import depthcache
from depthcache import Settings, Status
from tests.cluster.processes import DEADLINE_S, SPOT, SYMBOLS, Processes, running

pytestmark = [pytest.mark.slow, pytest.mark.processes]

BOOK = SYMBOLS[0]


class Program:
    """`depthcache` with the nodes as its servers."""

    def __init__(self, cluster: Processes) -> None:
        self.folder = cluster.folder / "program"
        self.folder.mkdir()
        self._environment = cluster.environment | {
            "DEPTHCACHE_SERVER": ",".join(cluster.urls),
            "DEPTHCACHE_TOKEN": cluster.read_token,
            "DEPTHCACHE_CA_FILE": str(cluster.authority),
            "HOME": str(self.folder),
            "XDG_DATA_HOME": str(self.folder),
        }

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        command = [sys.executable, "-m", "depthcache", *words]
        return await asyncio.create_subprocess_exec(
            *command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    async def run(self, *words: str) -> tuple[int | None, str]:
        """Its exit code and what it printed."""
        process = await self.start(*words)
        async with asyncio.timeout(DEADLINE_S):
            out, _ = await process.communicate()
        return process.returncode, out.decode()


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Processes]:
    async with running(tmp_path, "ab") as found:
        yield found


async def test_every_command_takes_its_books_from_the_cluster(cluster: Processes) -> None:
    program = Program(cluster)

    async def prints(code: int, *words: str) -> str:
        found, out = await program.run(*words)
        assert found == code, (words, out)
        return out

    assert "synced" in await prints(0, "watch", BOOK, "--seconds", "3")
    assert '"status":"synced"' in await prints(0, "watch", BOOK, "--seconds", "3", "--json")
    assert f"{BOOK} on {SPOT}: right" in await prints(0, "audit", BOOK, "--minutes", "0")
    listed = await prints(0, "symbols", SPOT)
    assert all(symbol in listed for symbol in SYMBOLS)
    folder = program.folder / "recordings"
    assert "0 lines lost" in await prints(0, "record", BOOK, "--out", str(folder), "--seconds", "2")
    [recording] = folder.iterdir()
    assert "RIGHT: 1 book" in await prints(0, "verify", str(recording))
    doctor = await prints(0, "doctor")
    assert "this host can keep books" in doctor
    assert "warn" not in doctor, "the certificates of nodes last a week"
    assert "issued by unknown" not in doctor
    for words in (("watch", "--seconds", "3"), ("audit", "--minutes", "0"), ("record", "--out", str(folder))):
        out = await prints(2, words[0], "NOUSDT", *words[1:])
        assert f"depthcache cluster add NOUSDT --exchange {SPOT}" in out, out


async def test_a_server_of_books_of_the_cluster(cluster: Processes) -> None:
    program = Program(cluster)
    serving = await program.start("serve", BOOK, "--port", "0", "--data-dir", str(program.folder / "served"))
    assert serving.stdout is not None
    async with asyncio.timeout(DEADLINE_S):
        lines: list[str] = []
        while "http://127.0.0.1:" not in (line := (await serving.stdout.readline()).decode()):
            assert line, lines
            lines.append(line)
    url = "http://" + line.partition("http://")[2].partition("/")[0].split()[0]
    async with depthcache.connect(SPOT, [BOOK], server=url) as books:
        await books.wait_synced(DEADLINE_S)
        assert depthcache.simulator.differences(books[BOOK], cluster.truth(BOOK)) == 0
    serving.send_signal(signal.SIGTERM)
    async with asyncio.timeout(DEADLINE_S):
        await serving.communicate()
    assert serving.returncode == 0


async def test_a_recording_through_the_death_of_its_node_has_no_gap(tmp_path: Path) -> None:
    async with running(tmp_path, "abc") as cluster:
        program = Program(cluster)
        settings = Settings(record_to=tmp_path / "recordings")
        async with depthcache.connect(
            SPOT,
            SYMBOLS,
            server=cluster.urls,
            token=cluster.read_token,
            ca=cluster.authority,
            settings=settings,
        ) as books:
            await books.wait_synced(DEADLINE_S)
            for name in "bc":
                await cluster[name].kill()
                await cluster.settled()
                await books.wait_synced(DEADLINE_S)
                await cluster[name].restart()
                await cluster.settled()
            assert [book.counters["gaps"] for book in books] == [0] * len(SYMBOLS)
            assert all(book.status is Status.SYNCED for book in books)
        [recording] = (tmp_path / "recordings").iterdir()
        code, out = await program.run("verify", str(recording))
        assert code == 0, out
        assert "RIGHT: 6 books" in out
