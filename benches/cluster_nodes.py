"""Nodes of a cluster in processes of their own, for measurements: over Zenoh and loopback, or in namespaces.

Nodes are registered before they start, as joining would have done it. A node answers commands on its standard
input, one JSON line each: the name of a call of `Looks`, its arguments by place, and by name.

    python -m benches.cluster_nodes '{"folder": …}'
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import logging
import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benches.asked_process import AskedProcess
from benches.growth import entries
from depthcache import Policy, Settings
from depthcache.cluster.authority import Authority, make_node_key
from depthcache.cluster.core.members import Node
from depthcache.cluster.core.node import NodeCore
from depthcache.cluster.core.ownership import ReplicaState
from depthcache.cluster.core.wanted_set import WantedSet
from depthcache.cluster.data_folder import Identity
from depthcache.cluster.moves import Move
from depthcache.cluster.running_node import ClusterNode, NodeOptions
from depthcache.cluster.wanted_file import WantedFile
from depthcache.server import ServerConfig

__all__ = ["CLUSTER", "HOST", "NodeProcess", "Nodes", "free_ports", "prove", "remember"]

ROOT = Path(__file__).parents[1]
CLUSTER, HOST = "bench", "127.0.0.1"
DEADLINE_S = 120.0
_LOOK_S = 0.05
HISTORY = 10_000
"""Moves of books that a node remembers: as many are there before it starts, since they would count as
growth."""


# --- in the process of a node -------------------------------------------------------------------------


class Looks:
    """What a measurement asks a node."""

    def __init__(self, node: ClusterNode) -> None:
        self._node = node

    async def create(self, exchange: str, symbols: Sequence[str], replicas: int, **settings: int) -> float:
        """Seconds until the books are on two disks."""
        began_s = time.monotonic()
        await self._node.create_books(exchange, symbols, replicas=replicas, settings=settings)
        return time.monotonic() - began_s

    async def change(self, exchange: str, symbols: Sequence[str], replicas: int) -> None:
        """Keep books on as many nodes."""
        await self._node.change_books(exchange, symbols, replicas=replicas)

    async def drain(self, name: str, draining: bool) -> None:
        """Whether a node is to hold no books."""
        await self._node.runner.drain(name, draining=draining)

    async def hand_over(self) -> bool:
        """Let other nodes copy what this one alone has, before its process ends."""
        return await self._node.hand_over(timeout_s=10.0)

    async def moved(self) -> int:
        """Books that began, were synced or ended on this node since it started."""
        return sum(self._node._metrics._moves.values())

    async def stop_books(self, exchange: str, symbols: Sequence[str]) -> None:
        """Keep them no longer."""
        await self._node.stop_books(exchange, symbols)

    async def register(self, name: str) -> None:
        """Let a node join."""
        await self._node.runner.register(name)

    async def content(self) -> str:
        """The wanted set, as a node that joins gets it; hexadecimal."""
        return self._node.runner.core.snapshot().hex()

    async def forget(self, name: str) -> None:
        """A node is gone for good."""
        await self._node.runner.forget(name)

    async def sees(self, name: str) -> bool:
        """Whether another node is alive."""
        return self._node.runner.core.members.is_alive(name)

    async def left(self) -> dict[str, Any]:
        """What there is of books and of other nodes."""
        core = self._node.runner.core
        return {
            "books": len(core.wanted.books()),
            "replicas": len(core.books.states()),
            "tombstones": core.wanted.map.tombstones(),
            "entries": len(core.wanted.map.content()),
            "client": len(self._node.books),
            "journal": (self._node.options.folder / "wanted.journal").stat().st_size,
            "members": sorted(each.node.id for each in self._node.network.members()),
            "not dead": sorted(each.id for each in core.members.not_dead()),
            "registered": sorted(core.wanted.registered()),
        }

    async def held(self) -> dict[str, int]:
        """The entries of all containers of the node."""
        return dict(entries(self._node))

    async def trimmed(self) -> float:
        """Megabytes of the process without what is free already."""
        gc.collect()
        with suppress(OSError, AttributeError):  # other C libraries have no such function
            ctypes.CDLL(None).malloc_trim(0)
        return (await self.usage())["mb"]

    async def retire(self) -> float:
        """Hand all books over and leave; seconds."""
        began_s = time.monotonic()
        await self._node.stop()
        return time.monotonic() - began_s

    async def read_token(self) -> str:
        """The secret of readers."""
        return self._node.read_token

    async def since_whole(self, alive: int, *, is_even: bool) -> float:
        """The system's monotonic time at which every book was synced on as many nodes as it should be and,
        `is_even`, on its owners alone, seen from here, with so many nodes alive."""
        async with asyncio.timeout(DEADLINE_S):
            while not self._is_whole(alive, is_even=is_even):
                await asyncio.sleep(_LOOK_S)
        return time.monotonic()

    async def counts(self) -> dict[str, int]:
        """Replicas of this node, and those that are synced; books, and how many have so many holders."""
        core = self._node.runner.core
        states = core.books.states().values()
        books = core.wanted.books()
        held = [len(core.books.holders(key)) for key in books]
        found = {f"held by {number}": held.count(number) for number in sorted(set(held))}
        synced = sum(each is ReplicaState.SYNCED for each in states)
        alive = len(core.members.alive()) + 1
        return {"replicas": len(states), "synced": synced, "books": len(books), "alive": alive, **found}

    async def usage(self) -> dict[str, float]:
        """Megabytes, CPU seconds, descriptors and threads of the process."""
        own = Path("/proc/self")
        pages = int((own / "statm").read_text().split()[1])
        files, tasks = (len(list((own / name).iterdir())) for name in ("fd", "task"))
        return {
            "mb": pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
            "cpu_s": time.process_time(),
            "files": files,
            "threads": tasks,
        }

    async def not_held(self, symbols: Sequence[str]) -> list[str]:
        """Those books that this node does not hold."""
        held = {key.symbol for key in self._node.runner.core.books.states()}
        return [symbol for symbol in symbols if symbol not in held]

    def _is_whole(self, alive: int, *, is_even: bool) -> bool:
        core = self._node.runner.core
        if len(core.members.alive()) + 1 != alive:
            return False
        for key, book in core.wanted.books().items():
            held = core.books.holders(key)
            if len(held) < min(book.replicas, alive) or (
                is_even and set(held) != set(core.books.owners(key))
            ):
                return False
        return True


async def _main(given: dict[str, Any]) -> None:
    folder = Path(given["folder"])
    authority, certificate, key = (
        (folder / name).read_text() for name in ("authority.pem", "node.pem", "node.key")
    )
    facts = Node(id=given["name"], run=given["run"], address=f"{given['host']}:{given['port']}")
    identity = Identity(CLUSTER, facts, authority, certificate, key, tuple(given["peers"]), False)
    policy = Policy(bootstrap_from_depth20=given["depth20"])
    options = NodeOptions(
        folder=folder,
        listen=f"{given['host']}:{given['node_port']}",
        server=ServerConfig(
            listen=given["host"],
            port=given["port"],
            data_dir=folder,
            certificate=folder / "node.pem",
            key=folder / "node.key",
            drain_s=0.1,
        ),
        settings=Settings.from_environment(policy=policy),
    )
    async with ClusterNode(identity, options) as node:
        looks = Looks(node)
        print(json.dumps({"ready": given["name"]}), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            call, arguments, named = json.loads(line)
            result = await getattr(looks, call)(*arguments, **named)
            print(json.dumps({"result": result}), flush=True)


# --- in the process of the measurement ----------------------------------------------------------------


class NodeProcess(AskedProcess):
    """One node: start it, ask it, kill or freeze it."""

    def __init__(self, cluster: Nodes, name: str, host: str, ports: tuple[int, int]) -> None:
        self.folder = cluster.folder / name
        super().__init__(name, deadline_s=DEADLINE_S + 10, log=self.folder / "log.txt")
        self.cluster, self.host, self.runs = cluster, host, 0
        self.port, self.node_port = ports

    @property
    def url(self) -> str:
        """Where readers reach it: plain on loopback."""
        return f"http{'' if self.host == HOST else 's'}://{self.host}:{self.port}"

    async def start(self) -> None:
        """Start the process, and wait until the node is ready."""
        self.runs += 1
        given = {
            "folder": str(self.folder),
            "name": self.name,
            "run": self.runs,
            "host": self.host,
            "port": self.port,
            "node_port": self.node_port,
            "depth20": self.cluster.depth20,
            "peers": [
                f"{each.host}:{each.node_port}" for each in self.cluster.nodes.values() if each is not self
            ],
        }
        await self.begin(
            *self.cluster.before(self.name),
            *(sys.executable, "-m", "benches.cluster_nodes", json.dumps(given)),
            environment={**os.environ, **self.cluster.environment},
        )


class Nodes:
    """The nodes of one cluster. `names` are registered; `later` ones join when `join` is called."""

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        names: Sequence[str],
        *,
        later: Sequence[str] = (),
        depth20: bool = False,
        hosts: Mapping[str, str] | None = None,
        before: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """`hosts`: the address of each node; loopback where there is none. `before`: the beginning of the
        command of each node's process."""
        self.folder, self.environment, self.depth20 = folder, environment, depth20
        self._before = before or {}
        every = (*names, *later)
        ports = free_ports(2 * len(every))
        self.nodes = {
            name: NodeProcess(self, name, (hosts or {}).get(name, HOST), (ports.pop(), ports.pop()))
            for name in every
        }
        self.authority = Authority.create(CLUSTER, now=datetime.now(UTC))
        first = NodeCore(Node(id=names[0], run=1, address=""), WantedSet(names[0]))
        first.start(0, 1)
        for name in names[1:]:
            first.register(name, now_ns=0, wall_ms=1)
        for name, node in self.nodes.items():
            prove(self.authority, node.folder, name, node.host)
            if name in names:
                WantedFile(node.folder / "wanted.journal").append([first.snapshot()])
        self._first = list(names)

    def before(self, name: str) -> Sequence[str]:
        """The beginning of the command of a node's process."""
        return self._before.get(name, ())

    async def start(self) -> None:
        """Start all registered nodes."""
        await asyncio.gather(*(self.nodes[name].start() for name in self._first))

    async def join(self, name: str, by: str) -> None:
        """A further node joins."""
        await self.nodes[by].ask("register", name)
        content = await self.nodes[by].ask("content")
        WantedFile(self.nodes[name].folder / "wanted.journal").append([bytes.fromhex(content)])
        await self.nodes[name].start()

    async def since_whole(self, names: Sequence[str], *, alive: int, is_even: bool = False) -> float:
        """When every book was synced on as many nodes as it should be, as the last of these nodes saw it."""
        asked = (self.nodes[name].ask("since_whole", alive, is_even=is_even) for name in names)
        found: float = max(await asyncio.gather(*asked))
        return found

    async def end(self) -> None:
        """End all processes."""
        await asyncio.gather(*(node.end() for node in self.nodes.values()))


def prove(authority: Authority, folder: Path, name: str, host: str = HOST) -> None:
    """Write what a node needs to talk to others."""
    folder.mkdir(parents=True)
    key = make_node_key(name)
    issued = authority.issue(key.request, node=name, hosts=[host, "localhost"], now=datetime.now(UTC))
    (folder / "authority.pem").write_text(authority.certificate)
    (folder / "node.pem").write_text(issued)
    (folder / "node.key").write_text(key.key)


def remember(folder: Path, name: str) -> None:
    """Write the history of a node that runs for long."""
    move = Move(0, name, "binance.com", "BTCUSDT", "began", source="exchange", why="created or changed")
    (folder / "moves.jsonl").write_text("".join(f"{json.dumps(asdict(move))}\n" for _ in range(HISTORY)))


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(_main(json.loads(sys.argv[1])))
