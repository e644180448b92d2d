"""A cluster that goes on for long: nodes that come and go, and books that are created and stopped.

    python -m benches.cluster_soak --joins 2000 --changes 10000 [--seed 1]
    python -m benches.cluster_soak --day 24 [--books 500] [--every 180] [--seed 1]

Three whole nodes stay and keep some books. Nodes under new names join them over Zenoh and TLS, some at a
time, and leave, or are killed and forgotten. Then the three create and stop books of an exchange. What the
three hold and use must not grow after the first part, and nothing must be left of what has gone: no member,
no registered node, no tombstone, no child process.

The nodes that come and go live one after the other in processes that are replaced: after a kill, and after
some lives. `--day` is `cluster_day`: a cluster that is left alone for hours.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benches import thin_exchange
from benches.asked_process import AskedProcess
from benches.cluster_nodes import CLUSTER, HOST, NodeProcess, Nodes, prove, remember
from benches.growth import grown
from benches.server_soak import Usage
from benches.thin_exchange import VENUE, symbols
from depthcache.cluster.core.members import Node
from depthcache.cluster.core.node import NodeCore, load
from depthcache.cluster.core.wanted_set import WantedSet
from depthcache.cluster.errors import ChangeNotStored
from depthcache.cluster.runner import NodeRunner, SystemClock
from depthcache.cluster.wanted_file import WantedFile
from depthcache.cluster.zenoh_network import ZenohNetwork, ZenohSettings

NAMES = ("a1", "b2", "c3")
"""Nodes that stay."""
STAYING = 20
"""Books that stay. Without them, every round of creates would open new connections, which the exchange
limits."""
BOOKS = 100
"""Created and stopped together."""
WORKERS = 6
"""Nodes that come and go at the same time."""
LIVES = 20
"""Nodes that live in one process, one after the other."""
DYING = 0.2
"""Share of the nodes that are killed instead of leaving."""
PARTS = 10
WARM = 0.3
"""The share after which nothing must grow any more."""
IDLE_S = 20.0
"""Idle connections between nodes have ended by then."""
DEADLINE_S = 60.0
MOST_FILES, MOST_THREADS = 2, 8
"""What may be more at the end: threads of the engine come and go with its load."""
MOST_ENTRIES = 4
JOINS_MB, CHANGES_MB = 6.0, 3.0
"""The same for memory: of a join, 2 to 4 kB stay that no container of a node holds."""
FIRST_PORT, PORTS = 20_000, 10_000
"""Below those that the system gives to others meanwhile."""


# --- in the process of nodes that come and go -----------------------------------------------------------


class NoBooks:
    """`runner.ReplicaHost` of a node that owns none."""

    def start(self, *_: object) -> None:
        """As `StartReplica`."""

    def update(self, *_: object) -> None:
        """As `UpdateReplica`."""

    def stop(self, *_: object) -> None:
        """As `StopReplica`."""

    def set_budget_share(self, share: float) -> None:
        """As `SetBudgetShare`."""

    def set_holders(self, *_: object, **named: object) -> None:
        """As `SetHolders`."""

    def set_denied(self, nodes: Any) -> None:
        """As `SetDenied`."""


class Lives:
    """What the soak asks such a process."""

    async def come(self, name: str, folder: str, listen: str, peers: Sequence[str]) -> None:
        """Start a node whose certificate and wanted set are in its folder; until it sees those that stay."""
        path = Path(folder)
        settings = ZenohSettings(
            cluster=CLUSTER,
            listen=listen,
            peers=tuple(peers),
            authority=path / "authority.pem",
            certificate=path / "node.pem",
            key=path / "node.key",
        )
        wanted, disk = WantedSet(name), WantedFile(path / "wanted.journal")
        load(wanted, disk.load())
        facts = Node(id=name, run=1, address=f"{HOST}:1", capacity=1e-9, egress=name)
        self._runner = NodeRunner(
            NodeCore(facts, wanted),
            ZenohNetwork(settings),
            disk=disk,
            host=NoBooks(),
            clock=SystemClock(),
            on_stop=lambda _: None,
        )
        await self._runner.start()
        async with asyncio.timeout(DEADLINE_S):
            while not set(NAMES) <= set(self._runner.core.members.alive()):
                await asyncio.sleep(0.02)

    async def leave(self) -> None:
        """Leave for good; repeated where a node that is killed meanwhile was the one to store that."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                try:
                    return await self._runner.retire()
                except ChangeNotStored:
                    continue


async def _live(name: str) -> None:
    lives = Lives()
    print(json.dumps({"ready": name}), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        call, arguments, named = json.loads(line)
        result = await getattr(lives, call)(*arguments, **named)
        print(json.dumps({"result": result}), flush=True)


# --- nodes that come and go ---------------------------------------------------------------------------


class Comers:
    """Nodes that join and leave, one after the other in each of some tasks."""

    def __init__(self, nodes: Nodes, *, seed: int, dying: float) -> None:
        self._nodes, self._dying = nodes, dying
        self._stayers = [nodes.nodes[name] for name in NAMES]
        self._random = random.Random(seed)
        self._number, self._ports = 0, os.getpid() * 61
        self._to_come = 0
        self._homes: dict[AskedProcess, int] = {}
        """Processes, and how many nodes have lived in each."""
        self._free: list[AskedProcess] = []

    async def run(self, joins: int) -> None:
        """So many more."""
        self._to_come = joins
        await asyncio.gather(*(self._work() for _ in range(min(WORKERS, joins))))

    async def end(self) -> None:
        """End all processes."""
        for process in tuple(self._homes):
            await self._end(process)

    async def _work(self) -> None:
        while self._to_come > 0:
            self._to_come -= 1
            process = self._free.pop() if self._free else await self._start()
            self._homes[process] += 1
            if await self._come_and_go(process) and self._homes[process] < LIVES:
                self._free.append(process)
            else:
                await self._end(process)

    async def _start(self) -> AskedProcess:
        process = AskedProcess(f"lives from {self._number}", deadline_s=2 * DEADLINE_S)
        command = (sys.executable, "-m", "benches.cluster_soak", "--lives", process.name)
        self._homes[process] = 0
        await process.begin(*command, environment=os.environ)
        return process

    async def _end(self, process: AskedProcess) -> None:
        await process.end()
        del self._homes[process]

    async def _come_and_go(self, process: AskedProcess) -> bool:
        """Whether the process can be used again."""
        self._number += 1
        name = f"{self._number + 0xC0000:x}"
        issuer, other = self._random.sample(self._stayers, 2)
        folder = self._nodes.folder / name
        prove(self._nodes.authority, folder, name)
        await issuer.ask("register", name)
        WantedFile(folder / "wanted.journal").append([bytes.fromhex(await issuer.ask("content"))])
        peers = [f"{each.host}:{each.node_port}" for each in self._stayers]
        await process.ask("come", name, str(folder), f"{HOST}:{self._port()}", peers)
        async with asyncio.timeout(DEADLINE_S):
            while not all([await each.ask("sees", name) for each in self._stayers]):
                await asyncio.sleep(0.05)
        if self._random.random() >= self._dying:
            await process.ask("leave")
            return True
        await process.kill()
        await other.ask("forget", name)
        return False

    def _port(self) -> int:
        """The next one that nothing listens on."""
        while True:
            self._ports += 1
            with suppress(OSError), socket.socket() as probe:
                port = FIRST_PORT + self._ports % PORTS
                probe.bind((HOST, port))
                return port


async def come_and_go(nodes: Nodes, growth: Growth, *, joins: int, seed: int, dying: float) -> list[str]:
    """The faults found, a sentence each."""
    comers = Comers(nodes, seed=seed, dying=dying)
    try:
        for part in range(1, PARTS + 1):
            await comers.run(joins * part // PARTS - joins * (part - 1) // PARTS)
            await growth.look(part, f"{joins * part // PARTS:,} joins")
        return await growth.faults()
    finally:
        await comers.end()


# --- books that come and go -----------------------------------------------------------------------------


async def create_and_stop(nodes: Nodes, growth: Growth, *, changes: int) -> list[str]:
    """The faults found, a sentence each."""
    rounds = changes // BOOKS
    for part in range(1, PARTS + 1):
        for number in range(rounds * (part - 1) // PARTS, rounds * part // PARTS):
            await one_round(nodes, number)
        await growth.look(part, f"{BOOKS * (rounds * part // PARTS):,} creates and stops")
    return await growth.faults()


async def one_round(nodes: Nodes, number: int) -> None:
    """All books are created at one node and stopped at the next."""
    first, second = nodes.nodes[NAMES[number % 3]], nodes.nodes[NAMES[(number + 1) % 3]]
    books = symbols(BOOKS + STAYING)[STAYING:]
    await first.ask("create", VENUE, books, 2, depth=20)
    await nodes.since_whole(NAMES, alive=3)
    await second.ask("stop_books", VENUE, books)


# --- what the nodes that stay hold and use --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Measured:
    """What a node holds and uses when it is idle."""

    usage: Usage
    entries: Mapping[str, int]

    def more_than(self, warm: Measured, *, most_mb: float) -> list[str]:
        """What grew, a sentence each."""
        found = grown(warm.entries, self.entries, by=MOST_ENTRIES)
        files, threads = self.usage.files - warm.usage.files, self.usage.threads - warm.usage.threads
        grew_mb = (self.usage.bytes - warm.usage.bytes) / 1e6
        found += [f"{files} descriptors are left behind"] if files > MOST_FILES else []
        found += [f"{threads} threads are left behind"] if threads > MOST_THREADS else []
        found += [f"memory grew by {grew_mb:.1f} MB"] if grew_mb > most_mb else []
        return found


class Growth:
    """What the nodes that stay hold and use, after each part of a soak."""

    def __init__(self, nodes: Nodes, *, idle_s: float | None, most_mb: float) -> None:
        """`idle_s`: how long until nodes are idle; None to look only for what is left."""
        self._nodes = [nodes.nodes[name] for name in NAMES]
        self._idle_s, self._most_mb = idle_s, most_mb
        self._warm: dict[str, Measured] = {}

    async def look(self, part: int, what: str) -> None:
        """After a part."""
        said = "; ".join(f"{each.name}: {usage_of(each.pid)}" for each in self._nodes)
        print(f"{what}; {said}; load {os.getloadavg()[0]:.0f}", flush=True)
        if part == int(WARM * PARTS) and self._idle_s is not None:
            await self._idle(self._idle_s)
            self._warm = {each.name: await held(each) for each in self._nodes}
            self._tell(self._warm)

    async def _idle(self, seconds: float) -> None:
        """Until no more connections end."""
        before: list[int] = []
        ends_s = time.monotonic() + 2 * DEADLINE_S
        while (now := [usage_of(each.pid).files for each in self._nodes]) != before:
            if time.monotonic() > ends_s:
                return
            before = now
            await asyncio.sleep(seconds)

    async def faults(self) -> list[str]:
        """What grew or is left although there was time to compact and to end what is idle."""
        ends_s = time.monotonic() + DEADLINE_S + IDLE_S
        while True:
            now = {each.name: await held(each) for each in self._nodes}
            found = [
                f"{name}: {each}"
                for name, warm in self._warm.items()
                for each in now[name].more_than(warm, most_mb=self._most_mb)
            ]
            found += [fault for each in self._nodes for fault in await left(each)]
            if not found or time.monotonic() > ends_s:
                self._tell(now)
                return found
            await asyncio.sleep(5.0)

    @staticmethod
    def _tell(found: Mapping[str, Measured]) -> None:
        said = "; ".join(
            f"{name}: {each.usage}, {sum(each.entries.values()):,} entries" for name, each in found.items()
        )
        print(f"idle, trimmed; {said}", flush=True)


async def held(node: NodeProcess) -> Measured:
    """By a node now."""
    trimmed_mb, found = await node.ask("trimmed"), await node.ask("held")
    usage = usage_of(node.pid)
    return Measured(Usage(usage.files, usage.threads, round(trimmed_mb * 1e6)), found)


async def left(node: NodeProcess) -> list[str]:
    """What is left of nodes and books that have gone."""
    found = await node.ask("left")
    others = [name for name in NAMES if name != node.name]
    expected = {
        "not dead": list(NAMES),
        "registered": list(NAMES),
        "members": others,
        "books": STAYING,
        "tombstones": 0,
        "entries": len(NAMES) + STAYING,
        "client": found["replicas"],
    }
    wrong = [f"{node.name}: {key} are {found[key]}" for key in expected if found[key] != expected[key]]
    children = children_of(node.pid)
    return wrong + ([f"{node.name}: {children} child processes are left"] if children else [])


def usage_of(pid: int) -> Usage:
    """Of a process."""
    folder = Path(f"/proc/{pid}")
    pages = int((folder / "statm").read_text("ascii").split()[1])
    files, threads = (len(list((folder / name).iterdir())) for name in ("fd", "task"))
    return Usage(files, threads, pages * os.sysconf("SC_PAGE_SIZE"))


def children_of(pid: int) -> int:
    """How many processes it started and did not wait for."""
    return len(Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split())


# --- both ---------------------------------------------------------------------------------------------


async def soak(
    *, joins: int, changes: int, seed: int, dying: float = DYING, idle_s: float | None = IDLE_S
) -> list[str]:
    """The faults found, a sentence each. `dying`: the share that is killed. `idle_s`: as of `Growth`."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        endpoint = stack.enter_context(thin_exchange.serving(books=BOOKS + STAYING, interval_s=0.5))
        nodes = Nodes(folder, thin_exchange.environment(endpoint), NAMES, depth20=True)
        for name in NAMES:
            remember(folder / name, name)
        faults: list[str] = []
        try:
            await nodes.start()
            await nodes.since_whole(NAMES, alive=3)
            await nodes.nodes[NAMES[0]].ask("create", VENUE, symbols(STAYING), 2, depth=20)
            if joins:
                growth = Growth(nodes, idle_s=idle_s, most_mb=JOINS_MB)
                faults += await come_and_go(nodes, growth, joins=joins, seed=seed, dying=dying)
            if changes:
                faults += await create_and_stop(
                    nodes, Growth(nodes, idle_s=idle_s, most_mb=CHANGES_MB), changes=changes
                )
            return faults
        finally:
            await nodes.end()


def main(arguments: Sequence[str] | None = None) -> int:
    """1 where anything was left behind."""
    parser = argparse.ArgumentParser(prog="python -m benches.cluster_soak")
    parser.add_argument("--joins", type=int, default=2_000)
    parser.add_argument("--changes", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--day", type=float, metavar="HOURS", help="as `cluster_day`, for so long")
    parser.add_argument("--books", type=int, default=500, help="of a day")
    parser.add_argument(
        "--every", type=float, default=180.0, metavar="SECONDS", help="between two operations"
    )
    parser.add_argument("--lives", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.lives:
        asyncio.run(_live(options.lives))
        return 0
    if options.day is not None:
        from benches.cluster_day import run_day

        print(
            f"{options.books:,} books x 2 on 3 nodes for {options.day:g} h, seed {options.seed}", flush=True
        )
        day = run_day(hours=options.day, books=options.books, every_s=options.every, seed=options.seed)
        print("\n".join(day.table()))
        return 1 if day.faults else 0
    print(f"{options.joins:,} joins, {options.changes:,} creates and stops, seed {options.seed}")
    faults = asyncio.run(soak(joins=options.joins, changes=options.changes, seed=options.seed))
    print("\n".join(faults) or "ok")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
