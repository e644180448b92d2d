"""A cluster that goes on for long: nodes that come and go, and books that are created and stopped.

    python -m benches.cluster_soak --joins 500 --changes 10000 [--seed 1]

Two nodes stay. Nodes under new names join them over Zenoh and TLS, some at a time, and leave, or die and are
forgotten. Then three whole nodes create and stop books of an exchange. Memory, descriptors and threads of the
nodes that stay must not grow after the first part, and nothing must be left of what has gone: no member, no
registered node, no tombstone, no child process.

The nodes that come and go share one process. On a busy machine Zenoh does not close all of their sessions in
time; those keep their sockets, here and at the nodes that stay, until the process ends.
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
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benches import thin_exchange
from benches.cluster_nodes import HOST, NodeProcess, Nodes, free_ports
from benches.server_soak import Usage, leaks
from benches.thin_exchange import VENUE, symbols
from depthcache.cluster.authority import Authority, make_node_key
from depthcache.cluster.core.members import Node
from depthcache.cluster.core.node import NodeCore, load
from depthcache.cluster.core.ownership import ReplicaState
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.core.wanted_set import WantedSet
from depthcache.cluster.errors import ChangeNotStored
from depthcache.cluster.runner import NodeRunner, SystemClock
from depthcache.cluster.wanted_file import WantedFile
from depthcache.cluster.zenoh_network import ZenohNetwork, ZenohSettings

NAMES = ("a1", "b2")
WORKERS = 12
"""Nodes that come and go at the same time."""
DYING = 0.2
"""Share of the nodes that die instead of leaving."""
PARTS = 10
WARM = 0.3
"""The share after which nothing must grow any more."""
BOOKS, STAYING = 100, 20
"""Created and stopped together, and those that stay. Without the latter, every round would open new
connections, which the exchange limits."""
DEADLINE_S = 60.0
IDLE = 8
"""Threads of the engine that come and go with its load."""
FIRST_PORT, PORTS = 20_000, 10_000
"""Below those that the system gives to others meanwhile."""


# --- a node without books -----------------------------------------------------------------------------


@dataclass
class NoBooks:
    """`runner.ReplicaHost` whose books are synced at once."""

    held: set[BookKey] = field(default_factory=set)
    runner: Any = None

    def start(self, book: Any, source: Any) -> None:
        """As `StartReplica`."""
        self.held.add(book.key)
        asyncio.get_running_loop().call_soon(self.runner.on_replica, book.key, ReplicaState.SYNCED)

    def update(self, book: Any) -> None:
        """As `UpdateReplica`."""

    def stop(self, key: BookKey) -> None:
        """As `StopReplica`."""
        self.held.discard(key)

    def set_budget_share(self, share: float) -> None:
        """As `SetBudgetShare`."""

    def set_holders(self, key: BookKey, nodes: Any, *, is_synced: bool) -> None:
        """As `SetHolders`."""

    def set_denied(self, nodes: Any) -> None:
        """As `SetDenied`."""


def light(folder: Path, name: str, listen: str, peers: Sequence[str]) -> tuple[NodeRunner, ZenohNetwork]:
    """A node whose certificate and wanted set are in its folder."""
    settings = ZenohSettings(
        cluster="soak",
        listen=listen,
        peers=tuple(peers),
        authority=folder / "authority.pem",
        certificate=folder / "node.pem",
        key=folder / "node.key",
    )
    wanted, disk, host = WantedSet(name), WantedFile(folder / "wanted.journal"), NoBooks()
    load(wanted, disk.load())
    network = ZenohNetwork(settings)
    core = NodeCore(Node(id=name, run=1, address=f"{HOST}:1"), wanted)
    runner = NodeRunner(core, network, disk=disk, host=host, clock=SystemClock(), on_stop=lambda _: None)
    host.runner = runner
    return runner, network


class Stays:
    """What the soak asks a node that stays."""

    def __init__(self, runner: NodeRunner, network: ZenohNetwork, folder: Path) -> None:
        self._runner, self._network, self._folder = runner, network, folder

    async def register(self, name: str) -> str:
        """Let a node join; the content that it begins with, hexadecimal."""
        await self._runner.register(name)
        return self._runner.core.snapshot().hex()

    async def forget(self, name: str) -> None:
        """A node is gone for good."""
        await self._runner.forget(name)

    async def sees(self, name: str) -> bool:
        """Whether a node is alive."""
        return self._runner.core.members.is_alive(name)

    async def left(self) -> dict[str, Any]:
        """What there is of other nodes and of changes."""
        core = self._runner.core
        return {
            "members": sorted({each.node.id for each in self._network.members()}),
            "not dead": sorted(each.id for each in core.members.not_dead()),
            "registered": sorted(core.wanted.registered()),
            "entries": len(core.wanted.map.content()),
            "tombstones": core.wanted.map.tombstones(),
            "journal": (self._folder / "wanted.journal").stat().st_size,
            "content": len(core.snapshot()),
        }


async def _main(given: Mapping[str, Any]) -> None:
    folder = Path(given["folder"])
    runner, network = light(folder, given["name"], given["listen"], given["peers"])
    await runner.start()
    stays = Stays(runner, network, folder)
    print(json.dumps({"ready": given["name"]}), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        call, arguments = json.loads(line)
        print(json.dumps({"result": await getattr(stays, call)(*arguments)}), flush=True)
    await runner.close()


# --- nodes that come and go ---------------------------------------------------------------------------


class Stayer:
    """A node that stays, in a process of its own."""

    def __init__(self, folder: Path, name: str, listen: str, peers: Sequence[str]) -> None:
        self._given = {"folder": str(folder), "name": name, "listen": listen, "peers": list(peers)}
        self.name = name
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Until it is ready."""
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benches.cluster_soak", "--node", json.dumps(self._given)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 26,
        )
        await self._line()

    async def ask(self, call: str, *arguments: Any) -> Any:
        """The result of a call of `Stays`."""
        async with self._lock:
            assert self.process.stdin is not None
            self.process.stdin.write(json.dumps([call, arguments]).encode() + b"\n")
            return (await self._line())["result"]

    async def end(self) -> None:
        """End it."""
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def _line(self) -> Any:
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), DEADLINE_S)
        assert line, f"{self.name} has ended"
        return json.loads(line)


class Comers:
    """Nodes that join and leave, one after the other in each of some tasks."""

    def __init__(
        self, folder: Path, authority: Authority, stayers: Sequence[Stayer], listens: Sequence[str], seed: int
    ) -> None:
        self._folder, self._authority = folder, authority
        self._stayers, self._listens = stayers, listens
        self._random = random.Random(seed)
        self._number, self._ports = 0, os.getpid() * 61
        self.to_come = 0
        self._open: set[ZenohNetwork] = set()
        self.dying = DYING

    async def end(self) -> None:
        """End those that are there, as after a fault."""
        for network in tuple(self._open):
            await network.lose()

    async def run(self, joins: int) -> None:
        """So many more."""
        self.to_come = joins
        await asyncio.gather(*(self._work() for _ in range(WORKERS)))

    async def _work(self) -> None:
        while self.to_come > 0:
            self.to_come -= 1
            self._number += 1
            await self._come_and_go(f"{self._number + 0xC0000:x}")

    async def _come_and_go(self, name: str) -> None:
        issuer, other = self._random.sample(list(self._stayers), 2)
        folder = self._folder / name
        prove(self._authority, folder, name)
        content = await issuer.ask("register", name)
        WantedFile(folder / "wanted.journal").append([bytes.fromhex(content)])
        runner, network = light(folder, name, f"{HOST}:{self._port()}", self._listens)
        self._open.add(network)
        await runner.start()
        async with asyncio.timeout(DEADLINE_S):
            while len(runner.core.members.alive()) < len(NAMES) or not await other.ask("sees", name):
                await asyncio.sleep(0.05)
            if self._random.random() >= self.dying:
                await self._leave(runner)
                self._open.discard(network)
                return
        await network.lose()
        self._open.discard(network)
        await runner.close()
        await other.ask("forget", name)

    async def _leave(self, runner: NodeRunner) -> None:
        """Repeated where a node that dies meanwhile was the one to store that."""
        while True:
            try:
                return await runner.retire()
            except ChangeNotStored:
                continue

    def _port(self) -> int:
        """The next one that nothing listens on."""
        while True:
            self._ports += 1
            with suppress(OSError), socket.socket() as probe:
                port = FIRST_PORT + self._ports % PORTS
                probe.bind((HOST, port))
                return port


def prove(authority: Authority, folder: Path, name: str) -> None:
    """Write a certificate of a node."""
    folder.mkdir()
    key = make_node_key(name)
    issued = authority.issue(key.request, node=name, hosts=[HOST], now=datetime.now(UTC))
    (folder / "authority.pem").write_text(authority.certificate)
    (folder / "node.pem").write_text(issued)
    (folder / "node.key").write_text(key.key)


async def come_and_go(*, joins: int, seed: int, dying: float = DYING) -> list[str]:
    """The faults found, a sentence each."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        authority = Authority.create("soak", now=datetime.now(UTC))
        first = NodeCore(Node(id=NAMES[0], run=1, address=""), WantedSet(NAMES[0]))
        first.start(0, 1)
        first.register(NAMES[1], now_ns=0, wall_ms=1)
        listens = [f"{HOST}:{port}" for port in free_ports(len(NAMES))]
        stayers = []
        for name, listen in zip(NAMES, listens, strict=True):
            prove(authority, folder / name, name)
            WantedFile(folder / name / "wanted.journal").append([first.snapshot()])
            stayers.append(Stayer(folder / name, name, listen, [each for each in listens if each != listen]))
            await stayers[-1].start()
            stack.push_async_callback(stayers[-1].end)
        comers = Comers(folder, authority, stayers, listens, seed)
        comers.dying = dying
        stack.push_async_callback(comers.end)
        usage = Growth({each.name: each.process.pid for each in stayers})
        for number in range(1, PARTS + 1):
            await comers.run(joins * number // PARTS - joins * (number - 1) // PARTS)
            usage.look(number, f"{joins * number // PARTS:,} joins")
        faults = await usage.faults()
        for each in stayers:
            faults += await remains(each)
        return faults


async def remains(stayer: Stayer) -> list[str]:
    """What is left of nodes that have gone, once there was time to notice and to compact."""
    expected = {"not dead": list(NAMES), "registered": list(NAMES), "tombstones": 0, "entries": len(NAMES)}
    ends_s = time.monotonic() + DEADLINE_S
    while True:
        left = await stayer.ask("left")
        wrong = [
            f"{stayer.name}: {key} are {left[key]}" for key, value in expected.items() if left[key] != value
        ]
        wrong += [f"{stayer.name}: {each} is still a member" for each in left["members"] if each not in NAMES]
        if not wrong or time.monotonic() > ends_s:
            print(f"{stayer.name}: {left}", flush=True)
            return wrong[:5]
        await asyncio.sleep(0.5)


# --- usage ----------------------------------------------------------------------------------------------


def usage_of(pid: int) -> Usage:
    """Of a process."""
    folder = Path(f"/proc/{pid}")
    pages = int((folder / "statm").read_text("ascii").split()[1])
    files, threads = (len(list((folder / name).iterdir())) for name in ("fd", "task"))
    return Usage(files, threads, pages * os.sysconf("SC_PAGE_SIZE"))


def children_of(pid: int) -> int:
    """How many processes it started and did not wait for."""
    return len(Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split())


class Growth:
    """What processes use, after each part of a soak."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._warm: dict[str, Usage] = {}
        self._now: dict[str, Usage] = {}

    def look(self, part: int, what: str) -> None:
        """After a part."""
        self._now = {name: usage_of(pid) for name, pid in self._pids.items()}
        if part / PARTS <= WARM:
            self._warm = self._now
        said = "; ".join(f"{name}: {each}" for name, each in self._now.items())
        print(f"{what}; {said}; load {os.getloadavg()[0]:.0f}", flush=True)

    async def faults(self) -> list[str]:
        """What grew and stays, although idle connections and threads had time to end; and children."""
        ends_s = time.monotonic() + DEADLINE_S
        while True:
            self.look(PARTS, "idle")
            more = {name: replace(each, threads=each.threads + IDLE) for name, each in self._warm.items()}
            grown = ((name, leaks(more[name], self._now[name])) for name in self._pids)
            found = [f"{name}: {each}" for name, several in grown for each in several]
            if not found or time.monotonic() > ends_s:
                break
            await asyncio.sleep(5.0)
        for name, pid in self._pids.items():
            children = children_of(pid)
            found += [f"{name}: {children} child processes are left"] if children else []
        return found


# --- books that come and go -------------------------------------------------------------------------------


async def create_and_stop(*, changes: int) -> list[str]:
    """The faults found, a sentence each."""
    names = ("a1", "b2", "c3")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        endpoint = stack.enter_context(thin_exchange.serving(books=BOOKS + STAYING, interval_s=0.5))
        nodes = Nodes(folder, thin_exchange.environment(endpoint), names, depth20=True)
        try:
            await nodes.start()
            await nodes.since_whole(names, alive=3)
            await nodes.nodes[names[0]].ask("create", VENUE, symbols(STAYING), 2, depth=20)
            growth = Growth({name: nodes.nodes[name].pid for name in names})
            rounds = changes // BOOKS
            for part in range(1, PARTS + 1):
                for number in range(rounds * (part - 1) // PARTS, rounds * part // PARTS):
                    await one_round(nodes, names, number)
                await asyncio.sleep(1.0)
                growth.look(part, f"{BOOKS * rounds * part // PARTS:,} creates and stops")
            faults = await growth.faults()
            for name in names:
                faults += await cleared(nodes.nodes[name])
            return faults
        finally:
            await nodes.end()


async def one_round(nodes: Nodes, names: Sequence[str], number: int) -> None:
    """All books are created at one node and stopped at the next."""
    first, second = nodes.nodes[names[number % 3]], nodes.nodes[names[(number + 1) % 3]]
    books = symbols(BOOKS + STAYING)[STAYING:]
    await first.ask("create", VENUE, books, 2, depth=20)
    await nodes.since_whole(names, alive=3)
    await second.ask("stop_books", VENUE, books)


async def cleared(node: NodeProcess) -> list[str]:
    """What is left of the books."""
    ends_s = time.monotonic() + DEADLINE_S
    while True:
        left = await node.ask("left")
        expected = {"books": STAYING, "tombstones": 0, "client": left["replicas"]}
        wrong = [f"{node.name}: {left[key]} {key} are left" for key in expected if left[key] != expected[key]]
        if not wrong or time.monotonic() > ends_s:
            print(f"{node.name}: {left}", flush=True)
            return wrong
        await asyncio.sleep(0.5)


def main(arguments: Sequence[str] | None = None) -> int:
    """1 where anything was left behind."""
    parser = argparse.ArgumentParser(prog="python -m benches.cluster_soak")
    parser.add_argument("--joins", type=int, default=500)
    parser.add_argument("--changes", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--node", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.node:
        asyncio.run(_main(json.loads(options.node)))
        return 0
    print(f"{options.joins:,} joins, {options.changes:,} creates and stops, seed {options.seed}")
    faults: list[str] = []
    if options.joins:
        faults += asyncio.run(come_and_go(joins=options.joins, seed=options.seed))
    if options.changes:
        faults += asyncio.run(create_and_stop(changes=options.changes))
    print("\n".join(faults) or "ok")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
