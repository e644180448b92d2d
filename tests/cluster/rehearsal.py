"""A rehearsal of what operators do to a cluster, and of what happens to it, while readers of every kind read.

`python -m benches.rehearsal` runs it; the short form is a test. Every step begins and ends with a whole
cluster. In between, no reader may get an error, and every book that it gets is compared with the exchange's.

Two steps cannot pass unnoticed: all books are removed by mistake, and all nodes lose their disks. Then there
is nothing to read, so the readers end before and begin after, and the time without books is counted apart.

What stands in for the real thing: a full disk is a limit on the size of files (`RLIMIT_FSIZE`); a clock that
jumps is that of Python's `time` in one node; a cut link needs namespaces, and is a cluster of its own
(`cut_links`), skipped where the machine has none. A backup is a copy of the data folders, and the list of the
books that the cluster keeps.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from depthcache.cli.cluster_client import NodeRefused
from tests.cluster import venue_readers
from tests.cluster.builds import OWN, forced, older_source
from tests.cluster.processes import SPOT, SYMBOLS, NodeProcess, Processes, running
from tests.cluster.readers import ALL, BookSeconds, OwnClient, Reader, Readers, RestReader, SocketReader

__all__ = ["Rehearsal", "Report", "Step", "lines", "rehearse"]

OLD_CLIENTS = ("--compat-listen", "127.0.0.1:0")
EXTRA = "XTRAUSDT"
"""A book that comes and goes."""
DEADLINE_S = 90
_LOOK_S = 0.1
_JUMP_S = 2 * 60 * 60
_CLOCK = "REHEARSAL_CLOCK"
_JUMPING = f"""
import os, time

real, path, last = time.time_ns, os.environ.get({_CLOCK!r}), [0.0, 0]


def jumped():
    now = time.monotonic()
    if now >= last[0]:
        try:
            last[:] = now + 0.1, int(open(path).read()) * 10**9
        except (OSError, ValueError):
            last[:] = now + 0.1, 0
    return real() + last[1]


if path:
    time.time_ns = jumped
    time.time = lambda: jumped() / 1e9
"""
"""`sitecustomize` of the nodes: the seconds in a file are added to the system's clock."""


@dataclass(slots=True)
class Step:
    """What was done, and what readers noticed."""

    name: str
    at_s: float
    took_s: float = 0.0
    faults: list[str] = field(default_factory=list)
    note: str = ""


@dataclass(slots=True)
class Report:
    """A whole rehearsal.

    Attributes:
        seed: of the order of the steps and the choice of nodes.
        is_short: whether it was the short form.
        steps: in the order in which they were done.
        reads: answers and messages that were compared with the exchange, by kind of reader.
        repeated: changes that were to be repeated, because a node did not store them in time.
        without_books_s: how long no book could be read, of the steps that take all books away.
        failure: why it ended early; empty if it did not.
    """

    seed: int
    is_short: bool
    steps: list[Step] = field(default_factory=list)
    reads: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    without_books_s: dict[str, float] = field(default_factory=dict)
    failure: str = ""

    @property
    def wrong(self) -> int:
        """Reads that were not what the exchange had; of each reader, the first 20 faults alone are known."""
        return sum("wrong levels" in each for step in self.steps for each in step.faults)

    @property
    def errors(self) -> int:
        """All other faults."""
        return sum(len(step.faults) for step in self.steps) - self.wrong

    @property
    def is_right(self) -> bool:
        """Whether all was done, and no reader noticed anything."""
        return not (self.failure or self.wrong or self.errors)

    def json(self) -> dict[str, Any]:
        """As one object."""
        return {**asdict(self), "errors": self.errors, "wrong": self.wrong, "is_right": self.is_right}


def lines(report: Report) -> list[str]:
    """The result in words."""
    reads = ", ".join(f"{name} {count:,}" for name, count in sorted(report.reads.items()))
    found = [f"{sum(report.reads.values()):,} reads compared: {reads}"]
    found += [
        f"{name}: no book could be read for {took_s:.1f} s" for name, took_s in report.without_books_s.items()
    ]
    found += [f"{report.repeated} changes were asked for again"] if report.repeated else []
    found += [f"{step.name}: {fault}" for step in report.steps for fault in step.faults]
    found += [report.failure] if report.failure else []
    found.append(
        f"{report.errors} errors, {report.wrong} wrong reads" + ("" if report.is_right else ": FAILED")
    )
    return found


class Rehearsal:
    """A cluster under rehearsal, and its readers."""

    def __init__(
        self,
        cluster: Processes,
        report: Report,
        *,
        older: Mapping[str, str],
        kinds: Sequence[type[Reader]],
        say: Callable[[str], None],
    ) -> None:
        """`older`: the build that is upgraded. `kinds`: of the readers."""
        self.cluster, self.report = cluster, report
        self.random = Random(report.seed)
        self._older, self._kinds, self._say = older, kinds, say
        self._readers: Readers | None = None
        self._known = 0
        self._began_s = time.monotonic()

    # --- readers -------------------------------------------------------------------------------

    async def begin_reading(self) -> None:
        """All readers begin; those that stay at one node at one of their own."""
        numbers = range(len(self.cluster.nodes))
        made: list[Reader] = []
        for kind in self._kinds:
            is_named = issubclass(kind, venue_readers.AllBooksClient)
            symbols = [f"{SPOT}/{each}" for each in SYMBOLS] if is_named else SYMBOLS
            firsts = numbers if kind.stays and not self.report.is_short else numbers[:1]
            made += [kind(self.cluster, symbols, first) for first in firsts]
        self._readers, self._known = Readers(made), 0
        await self._readers.progress()

    async def end_reading(self) -> None:
        """All end; what they noticed belongs to the current step."""
        if self._readers is None:
            return
        readers, self._readers = self._readers, None
        await readers.end()
        self._take_faults(readers)
        for each in readers.readers:
            self.report.reads[type(each).__name__] += sum(each.compared.values())

    async def progress(self) -> None:
        """Every reader gets more of every book."""
        if self._readers is not None:
            await self._readers.progress()

    def _take_faults(self, readers: Readers) -> None:
        faults = readers.faults
        self.report.steps[-1].faults += faults[self._known :]
        self._known = len(faults)

    # --- steps ---------------------------------------------------------------------------------

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[Step]:
        """Do it between whole clusters; readers must get on at its end."""
        began_s = time.monotonic()
        step = Step(name, round(began_s - self._began_s, 1))
        self.report.steps.append(step)
        try:
            yield step
            await self.cluster.settled()
            await self.progress()
        finally:
            if self._readers is not None:
                self._take_faults(self._readers)
            step.took_s = round(time.monotonic() - began_s, 1)
            noticed = f"{len(step.faults)} faults" if step.faults else "nothing noticed"
            self._say(f"{step.at_s:7.1f} s  {name:<34} {step.took_s:5.1f} s  {step.note or noticed}")

    def build(self, name: str, build: Mapping[str, str]) -> Mapping[str, str]:
        """A build with the clock of one node."""
        path = os.pathsep.join(filter(None, (str(self._clocks), build.get("PYTHONPATH"))))
        return {**build, "PYTHONPATH": path, _CLOCK: str(self._clocks / name)}

    @property
    def _clocks(self) -> Path:
        return self.cluster.folder / "clocks"

    def any(self, but: str = "") -> NodeProcess:
        """A node that is up."""
        return self.cluster[self.random.choice([name for name in "abc" if name != but])]

    async def edit(self, node: NodeProcess, method: str, path: str, body: dict[str, Any]) -> None:
        """Ask until it is stored: while nodes open their sessions again, a message may be lost; then the
        answer says that the change is to be repeated."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                try:
                    await node.ask(method, path, body)
                except NodeRefused as refused:
                    if "repeat it" not in str(refused):
                        raise
                    self.report.repeated += 1
                else:
                    return

    async def until(self, is_so: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait for it."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not await is_so():  # noqa: ASYNC110 - other processes say it
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            raise AssertionError(f"still not so after {DEADLINE_S} s: {what}") from None

    # --- operations that nobody may notice -------------------------------------------------------

    async def upgrade(self, *, names: str = "abc") -> None:
        """Every node is replaced by one of this build."""
        for name in self.random.sample(names, len(names)):
            async with self.step(f"upgrade {name}"):
                await self.cluster[name].replace(self.build(name, OWN))
        status = await self.cluster[names[0]].status()
        speaking = {each["id"]: each["protocol"] for each in status["nodes"] if each["protocol"]}
        expected = {self.cluster[name].id: [1, 2] for name in names}
        assert {peer: speaking[peer] for peer in expected} == expected, speaking

    async def join_and_leave(self) -> None:
        """A fourth node comes, and goes again."""
        async with self.step("join d"):
            self.cluster.build = self.build("d", OWN)
            await self.cluster.join("d", *OLD_CLIENTS)
        async with self.step("d leaves"):
            await self.cluster["d"].ask("POST", "/leave", {})
            assert await self.cluster["d"].ended() == 0
            del self.cluster.nodes["d"]

    async def change(self) -> None:
        """Books are added, changed and removed at different nodes."""
        async with self.step("add, set and remove a book"):
            body = {"exchange": SPOT, "symbols": [EXTRA]}
            await self.edit(self.any(), "POST", "/books", body)
            await self.edit(self.any(), "PATCH", "/books", {**body, "replicas": 3})
            await self.edit(self.any(), "DELETE", "/books", body)
            await self.agree(without=EXTRA)

    async def drain(self) -> None:
        """A node is drained, and holds books again."""
        node = self.any()
        async with self.step("drain a node and undo it"):
            await self.any().ask("POST", f"/nodes/{node.id}/drain", {})
            await node.wait(lambda status: all(node.id not in book["holders"] for book in status["books"]))
            await self.progress()
            await self.any().ask("POST", f"/nodes/{node.id}/drain", {"draining": False})

    async def restart(self) -> None:
        """A node ends as asked, and starts again."""
        node = self.any()
        async with self.step("restart a node"):
            assert await node.terminate() == 0
            await self.progress()
            await node.restart()

    async def kill(self) -> None:
        """kill -9."""
        node = self.any()
        async with self.step("kill -9 a node, start it again"):
            await node.kill()
            await self.cluster.settled()
            await self.progress()
            await node.restart()

    async def freeze(self) -> None:
        """A process stops for a while."""
        node = self.any()
        async with self.step("freeze a node for a while"):
            node.freeze()
            await self.cluster.settled()
            await self.progress()
            node.thaw()

    async def rotate_tokens(self) -> None:
        """All three, at different nodes; readers go on with the earlier ones."""
        async with self.step("new tokens: read, manage, exchange"):
            for role, file in (("read", "read"), ("exchange", "exchange"), ("manage", "admin")):
                made = (await self.any().ask("POST", f"/tokens/{role}", {}))["token"]

                async def is_everywhere(file: str = file, made: str = made) -> bool:
                    return all(each.secret(file) == made for each in self.cluster.up)

                await self.until(is_everywhere, f"every node has the new {role} token")

    async def rotate_authority(self) -> None:
        """All certificates are replaced; programs get the new authority while both are trusted."""
        before = self.cluster["a"].authority.read_text()

        async def are_both_trusted() -> bool:
            return all(each.authority.read_text().count("BEGIN CERT") == 2 for each in self.cluster.up)

        async def is_over() -> bool:
            found = {each.authority.read_text() for each in self.cluster.up}
            return len(found) == 1 and before not in found and found.pop().count("BEGIN CERT") == 1

        async with self.step("a new authority and certificates"):
            await self.cluster["a"].ask("POST", "/authority", {})
            await self.until(are_both_trusted, "every node trusts both authorities")
            both = self.cluster["a"].authority.read_text()
            await self.end_reading()
            self.cluster.trusted = self.cluster.folder / "trusted.pem"
            self.cluster.trusted.write_text(both)
            await self.begin_reading()
            await self.until(is_over, "every node trusts the new authority alone")

    async def fill_disk(self) -> None:
        """A node cannot write: changes are made without it, and it catches up."""
        node = self.any()
        async with self.step("a full disk at a node"):
            body = {"exchange": SPOT, "symbols": [EXTRA]}
            with _full(node):
                await self.edit(self.any(but=_name(self.cluster, node)), "POST", "/books", body)
                await self.progress()
            await self.edit(self.any(), "DELETE", "/books", body)
            await self.agree(without=EXTRA)

            async def is_saved() -> bool:  # while the disk was full, not even the log was written
                return "is saved again on this node" in node.log

            await self.until(is_saved, f"the node writes again: {node.log}")

    async def jump_clock(self) -> None:
        """A node's clock jumps two hours ahead and back: its edits and those that follow last, tokens too."""
        node = self.any()
        name = _name(self.cluster, node)
        other = self.any(but=name)
        body = {"exchange": SPOT, "symbols": [SYMBOLS[0]]}
        async with self.step("a clock jumps 2 h ahead and back"):
            for jump_s in (_JUMP_S, 0):
                (self._clocks / name).write_text(str(jump_s))
                await asyncio.sleep(2)  # housekeeping looks at the clock once a second
                await self.edit(node, "PATCH", "/books", {**body, "settings": {"depth": 150}})
                await self.edit(other, "PATCH", "/books", {**body, "settings": {"depth": 100}})
                kept = await self.agree()
                assert (SYMBOLS[0], 2, {"depth": 100}) in kept, kept
                await self.progress()

    async def cut_links(self) -> None:
        """Links are cut in a cluster of its own."""
        async with self.step("cut links, in namespaces") as step:
            step.note = await _cut(self.cluster.folder / "cut")

    # --- operations that take all books away -------------------------------------------------------

    async def backup(self) -> list[dict[str, Any]]:
        """The list of the books, and copies of the data folders of nodes that run."""
        async with self.step("backup"):
            books = (await self.cluster["a"].status())["books"]
            (self.cluster.folder / "books.json").write_text(json.dumps(books))
            for name, node in self.cluster.nodes.items():
                shutil.copytree(node.folder, self.cluster.folder / "backup" / name)
            return list(books)

    async def lose_books(self, books: Iterable[Mapping[str, Any]]) -> None:
        """All books are removed by mistake, and added again from the backup."""
        name = "remove all books, restore the list"
        async with self.step(name) as step:
            await self.end_reading()
            await self.edit(
                self.any(),
                "DELETE",
                "/books",
                {"exchange": SPOT, "symbols": [each["symbol"] for each in books]},
            )
            began_s = time.monotonic()
            groups: dict[str, list[Mapping[str, Any]]] = {}
            for each in books:
                groups.setdefault(
                    json.dumps([each["exchange"], each["replicas"], each["settings"]]), []
                ).append(each)
            for text, group in groups.items():
                exchange, replicas, settings = json.loads(text)
                body = {"exchange": exchange, "symbols": [each["symbol"] for each in group]}
                await self.edit(
                    self.any(), "POST", "/books", {**body, "replicas": replicas, "settings": settings}
                )
            await self._readable_again(name, began_s, step)

    async def lose_nodes(self) -> None:
        """All nodes and their disks are lost, and come back from copies of their folders."""
        name = "lose all disks, restore the folders"
        async with self.step(name) as step:
            await self.end_reading()
            began_s = time.monotonic()
            for node in self.cluster.nodes.values():
                await node.kill()
                shutil.rmtree(node.folder)
            for each, node in self.cluster.nodes.items():
                shutil.copytree(self.cluster.folder / "backup" / each, node.folder)
            await asyncio.gather(*(node.restart() for node in self.cluster.nodes.values()))
            await self._readable_again(name, began_s, step)

    async def _readable_again(self, name: str, began_s: float, step: Step) -> None:
        await self.cluster.settled()
        took_s = round(time.monotonic() - began_s, 1)
        self.report.without_books_s[name], step.note = took_s, f"books are back after {took_s:.1f} s"
        await self.begin_reading()

    async def agree(self, *, without: str = "") -> list[tuple[str, int, Mapping[str, object]]]:
        """What all nodes say that the cluster keeps, once they say the same."""
        kept: list[list[tuple[str, int, Mapping[str, object]]]] = []

        async def do_all() -> bool:
            found = [await each.status() for each in self.cluster.up]
            kept[:] = [
                [(book["symbol"], book["replicas"], book["settings"]) for book in each["books"]]
                for each in found
            ]
            return all(each == kept[0] for each in kept) and without not in {symbol for symbol, *_ in kept[0]}

        await self.until(do_all, "all nodes keep the same books")
        return kept[0]


async def rehearse(
    folder: Path,
    *,
    seed: int,
    is_short: bool,
    patience: float = 1.0,
    say: Callable[[str], None] = print,
) -> Report:
    """The whole rehearsal. `patience`: as of `Processes`."""
    report = Report(seed, is_short)
    (folder / "clocks").mkdir(parents=True)
    (folder / "clocks" / "sitecustomize.py").write_text(_JUMPING)
    try:
        older = forced("1") if is_short else older_source(folder / "older")
    except pytest.skip.Exception as skipped:
        say(f"the older build is this one that is forced back: {skipped}")
        older = forced("1")
    kinds = _SHORT if is_short else (*ALL, BookSeconds, venue_readers.BlockingClient)
    try:
        async with running(folder, "", *OLD_CLIENTS, symbols=(*SYMBOLS, EXTRA), patience=patience) as cluster:
            rehearsal = Rehearsal(cluster, report, older=older, kinds=kinds, say=say)
            try:
                await _begin(rehearsal, cluster, older)
                await (_short if is_short else _long)(rehearsal)
            finally:
                await rehearsal.end_reading()
    except Exception as error:
        report.failure = f"{type(error).__name__}: {error}"
    return report


_SHORT: tuple[type[Reader], ...] = (OwnClient, RestReader, SocketReader, BookSeconds)


async def _begin(rehearsal: Rehearsal, cluster: Processes, older: Mapping[str, str]) -> None:
    for name in "abc":
        cluster.build = rehearsal.build(name, older)
        await (cluster.start(name, *OLD_CLIENTS) if name == "a" else cluster.join(name, *OLD_CLIENTS))
    body = {"exchange": SPOT, "symbols": list(SYMBOLS), "replicas": 2, "settings": {"depth": 100}}
    await cluster["a"].ask("POST", "/books", body)
    await cluster.settled()
    rehearsal.report.steps.append(Step("begin", 0.0))
    await rehearsal.begin_reading()


async def _short(rehearsal: Rehearsal) -> None:
    await rehearsal.upgrade()
    await rehearsal.rotate_tokens()
    await rehearsal.kill()
    await rehearsal.drain()
    await rehearsal.lose_books(await rehearsal.backup())


async def _long(rehearsal: Rehearsal) -> None:
    await rehearsal.upgrade()
    calm = [
        rehearsal.join_and_leave,
        rehearsal.change,
        rehearsal.drain,
        rehearsal.restart,
        rehearsal.kill,
        rehearsal.freeze,
        rehearsal.rotate_tokens,
        rehearsal.rotate_authority,
        rehearsal.fill_disk,
        rehearsal.jump_clock,
    ]
    for operation in rehearsal.random.sample(calm, len(calm)):
        await operation()
    await rehearsal.cut_links()
    await rehearsal.lose_books(await rehearsal.backup())
    await rehearsal.lose_nodes()
    await rehearsal.drain()


@contextmanager
def _full(node: NodeProcess) -> Generator[None]:
    """Files of a process cannot grow."""
    usual, most = resource.prlimit(node.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (1, most))
    try:
        yield
    finally:
        resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (usual, most))


async def _cut(folder: Path) -> str:
    """What became of links that were cut; empty if no reader noticed."""
    if missing := [each for each in ("ip", "nsenter", "unshare") if shutil.which(each) is None]:
        return f"SKIPPED: {', '.join(missing)} missing"
    tried = await _run("unshare", "-rn", "ip", "link", "add", "br0", "type", "bridge")
    if tried[0]:
        return f"SKIPPED: {tried[1].strip()}"
    await asyncio.to_thread(folder.mkdir)
    code, out = await _run("unshare", "-rn", sys.executable, "-m", "tests.cluster.cut_links", str(folder))
    assert code == 0, out
    return ""


async def _run(*words: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=Path(__file__).parents[2],
    )
    async with asyncio.timeout(3 * DEADLINE_S):
        out, _ = await process.communicate()
    return process.returncode, out.decode(errors="replace")


def _name(cluster: Processes, node: NodeProcess) -> str:
    return next(name for name, each in cluster.nodes.items() if each is node)
